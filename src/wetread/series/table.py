"""The table of series and its rows, for users."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from copy import copy
from dataclasses import dataclass, field
from functools import cached_property, partial
from typing import TYPE_CHECKING, Any, NoReturn, overload

import numpy as np
import pyarrow as pa

from wetread.common.dataframe import to_frame
from wetread.common.html import preview_html
from wetread.common.text import counted, pick
from wetread.errors import SERIES_PROBLEMS, GeometryError, UnknownNameError, UsageError
from wetread.series import tables
from wetread.series.affine import make_affine, read_spacing
from wetread.series.build import Collection, collect
from wetread.series.stacks import Stack
from wetread.series.volume import Grid, Slice, Volume
from wetread.settings import Settings
from wetread.table.query import find_rows
from wetread.table.rows import IndexRows, fetch_rows

if TYPE_CHECKING:
    import pandas as pd

_PREVIEW = (
    "Modality",
    "SeriesDescription",
    "files",
    "slices",
    "stacks",
    "volumes",
    "regularly_spaced_3d_volume",
    "slice_spacing_mm",
    "problems",
)
_MOST_PROBLEMS = 5
"""Problems that the message of a GeometryError names."""


class SeriesTable:
    """Series of an index, one row per series, computed on first use.

    A series is one Series Instance UID of one patient and study; files without one are grouped by
    folder, and have the problem SERIES_UID_MISSING. Files without a header belong to no series.

    - `len(series)` is the number of series, `series[0]` a `Series`, iteration yields all.
    - `series["Modality"]` is a column as a pandas Series.
    - `series.table` and `series.to_pandas()` are the table, `series.where(...)` selects rows.
    """

    def __init__(
        self, index: IndexRows, settings: Settings = Settings(), progress: bool = True
    ) -> None:
        self._index, self._settings, self._progress = index, settings, progress

    @cached_property
    def collection(self) -> Collection:
        """Slices, stacks and problems of all series of the index."""
        return collect(self._index, self._settings, self._progress)

    @cached_property
    def table(self) -> pa.Table:
        """The series as an Arrow table; see docs/series.md for its columns."""
        return tables.series_table(self.collection)

    @cached_property
    def _numbers(self) -> np.ndarray[Any, np.dtype[np.int64]]:
        """Numbers of the series of this table in the collection."""
        return np.arange(len(self.collection.images.ids))

    def to_pandas(self) -> pd.DataFrame:
        """Convert to a DataFrame, one row per series."""
        return to_frame(self.table, "keep")

    def where(self, expression: str) -> SeriesTable:
        """Select series with an SQL expression, such as `"slice_spacing_mm < 2"`.

        A comparison with null is null: `regularly_spaced_3d_volume IS NOT TRUE` selects series that
        are not volumes, and those with one slice.

        Raises:
            QueryError: not an expression, or an unknown column.
        """
        rows = find_rows(self.table, expression)
        selected = copy(self)
        selected.table, selected._numbers = self.table.take(pa.array(rows)), self._numbers[rows]
        return selected

    def problems(self, code: str | None = None) -> pd.DataFrame:
        """List the problems of the series, one row per problem, with the slice that is wrong.

        Returns:
            series_id, code, severity, path, member, id, frame, slice_position_mm (of a slice that
            is missing, or of the slice) and text.

        Raises:
            UnknownNameError: there is no such code.
        """
        return to_frame(self.problem_rows(code))

    def problem_rows(self, code: str | None = None) -> pa.Table:
        """The problems as an Arrow table; see `problems`."""
        if code is not None and code not in SERIES_PROBLEMS:
            raise UnknownNameError("problem code of series", code, SERIES_PROBLEMS)
        return tables.problem_table(self.collection, self._numbers, code)

    def __arrow_c_stream__(self, requested_schema: object = None) -> object:
        """Rows for polars, pyarrow, DuckDB and others (Arrow PyCapsule interface)."""
        return self.table.__arrow_c_stream__(requested_schema)

    def __len__(self) -> int:
        return len(self._numbers)

    @overload
    def __getitem__(self, key: int) -> Series: ...
    @overload
    def __getitem__(self, key: str) -> pd.Series[Any]: ...
    def __getitem__(self, key: int | str) -> Series | pd.Series[Any]:
        if isinstance(key, str):
            if key not in self.table.column_names:
                raise UnknownNameError("column of the series table", key, self.table.column_names)
            return to_frame(self.table.select([key]), "keep")[key]
        at = pick(key, len(self), "series")
        row = self.table.slice(at, 1).to_pylist()[0]
        return Series(self.collection, int(self._numbers[at]), row)

    def __iter__(self) -> Iterator[Series]:
        for number, row in zip(self._numbers.tolist(), self.table.to_pylist(), strict=True):
            yield Series(self.collection, number, row)

    def __repr__(self) -> str:
        return f"<SeriesTable: {len(self):,} series in {self._index.root}>"

    def _repr_html_(self) -> str:
        return preview_html(self.table.select(_PREVIEW), "series")


@dataclass(frozen=True)
class SeriesStack:
    """Slices that share orientation, matrix and pixel spacing, in order of position."""

    slices: list[Slice]
    """Slices from the lowest position on row x column; without copies."""
    is_volume: bool
    """True if the slices are a regularly spaced volume."""
    shape: tuple[int, int, int]
    """Number of slices, rows and columns."""
    spacing: tuple[float | None, float, float]
    """Distance in mm between slices, rows and columns; None for slices that are not a volume."""
    orientation: tuple[float, ...]
    """Image Orientation (Patient): row, then column vector."""
    origin: tuple[float, ...]
    """Image Position (Patient) of the first slice: the centre of its first pixel, LPS mm."""
    divided_by: dict[str, Any]
    """Attributes that tell the stack from others at the same positions, with their values."""
    _make: Callable[[], Volume] = field(repr=False, compare=False)

    @property
    def volume(self) -> Volume:
        """The stack as a volume; nothing is decoded yet.

        Raises:
            GeometryError: it is none; the message names the problems and slices.
        """
        return self._make()


class Series:
    """One series of an index."""

    def __init__(self, collection: Collection, number: int, row: dict[str, Any]) -> None:
        self._collection, self._number = collection, number
        self.row = row
        """Row of the series table, by column."""

    @property
    def series_id(self) -> str:
        """Id of the series: 16 hex digits, stable across scans and machines."""
        return str(self.row["series_id"])

    @property
    def modality(self) -> str | None:
        """Modality, if all files share it."""
        return self.row["Modality"] or None

    @property
    def description(self) -> str | None:
        """Series Description, if all files share it."""
        return self.row["SeriesDescription"] or None

    @property
    def files(self) -> int:
        """Number of files."""
        return int(self.row["files"])

    @cached_property
    def stacks(self) -> list[SeriesStack]:
        """Stacks of the series, the largest first."""
        collection = self._collection
        if self._number in collection.divided:
            return [self._stack(stack) for stack in collection.divided[self._number]]
        first, end = collection.bounds.get(self._number, (0, 0))
        placed = np.arange(first, end)[collection.stack_index[first:end] == 0]
        if not len(placed):
            return []
        regular = bool(collection.volumes[self._number])
        s = collection.slices
        stack = Stack(placed, collection.depth[placed], s.position[first], s.orientation[first])
        stack.regular = regular
        return [self._stack(stack)]

    @cached_property
    def volumes(self) -> list[Volume]:
        """The stacks that are regularly spaced volumes; nothing is decoded yet."""
        return [stack.volume for stack in self.stacks if stack.is_volume]

    @property
    def volume(self) -> Volume:
        """The only volume of the series.

        Raises:
            GeometryError: there is none; the message names the problems and slices.
            UsageError: there are several; `volumes` lists them.
        """
        if len(self.volumes) > 1:
            raise UsageError(f"{self!r}: choose one of them, as volumes[0]")
        return self.volumes[0] if self.volumes else self._refuse()

    def problems(self) -> pd.DataFrame:
        """List the problems of the series; see `SeriesTable.problems`."""
        return to_frame(tables.problem_table(self._collection, np.array([self._number])))

    def _stack(self, stack: Stack) -> SeriesStack:
        collection, s = self._collection, self._collection.slices
        rows = collection.images.row[s.row[stack.slices]]
        ids = fetch_rows(collection.index, rows, ["id"])["id"].to_pylist()
        frames = np.maximum(s.frame[stack.slices], 0).tolist()
        slices = list(map(Slice, ids, frames, stack.depth.tolist()))
        first, last = stack.slices[[0, -1]].tolist()
        shape = (len(slices), *s.matrix[first][:2].tolist())
        step, (row, column) = None, s.spacing[first].tolist()
        values: dict[str, Any] = {}
        if stack.by and collection.dividers is not None:
            at = int(collection.divided_at[first])
            values = {name: collection.dividers.value(name, at) for name in stack.by}
        make: Callable[[], Volume] = self._refuse
        if stack.regular:
            affine = make_affine(
                s.position[first],
                s.position[last],
                len(slices),
                stack.orientation,
                s.spacing[first],
            )
            step = read_spacing(affine)[0]
            grid = Grid(shape, affine, int(s.matrix[first][2]))
            make = partial(
                Volume,
                collection.index,
                rows,
                slices,
                grid,
                collection.settings,
                self._name,
                values,
            )
        orientation = tuple(stack.orientation.tolist())
        origin = tuple(s.position[first].tolist())
        return SeriesStack(
            slices, stack.regular, shape, (step, row, column), orientation, origin, values, make
        )

    def _refuse(self) -> NoReturn:
        """Raise GeometryError with the problems of the series."""
        rows = tables.problem_table(self._collection, np.array([self._number])).to_pylist()
        texts = [f"{row['code']}: {_place(row)}: {row['text']}" for row in rows[:_MOST_PROBLEMS]]
        if len(rows) > _MOST_PROBLEMS:
            texts.append(f"and {len(rows) - _MOST_PROBLEMS} more, see problems()")
        if not rows:
            count = self.row["slices"]
            texts = [f"{counted(count, 'slice')} without regular distances"]
        raise GeometryError(f"{self!r} is not a volume: {'; '.join(texts)}")

    @property
    def _name(self) -> str:
        return f"{self.modality or 'files'}" + (
            f" {self.description!r}" if self.description else ""
        )

    def __repr__(self) -> str:
        return (
            f"<Series: {self._name}, {counted(self.row['slices'], 'slice')}, "
            f"{counted(self.row['stacks'], 'stack')}, "
            f"{counted(self.row['volumes'], 'volume')}>"
        )


def _place(row: dict[str, Any]) -> str:
    """File, archive member and frame of a problem."""
    frame = "" if row["frame"] is None else f" frame {row['frame']}"
    return f"{row['path']} {row['member'] or ''}".strip() + frame

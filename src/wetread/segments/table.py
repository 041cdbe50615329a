"""The table of segments, for users."""

from __future__ import annotations

from collections.abc import Collection, Iterator
from copy import copy
from dataclasses import dataclass
from functools import cached_property, partial
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, overload

import numpy as np
import pyarrow as pa

from wetread.boxes.collection import Boxes
from wetread.common.dataframe import to_frame
from wetread.common.html import preview_html
from wetread.common.progress import Progress
from wetread.common.text import counted, pick
from wetread.display.plot import Outline
from wetread.errors import SEGMENT_PROBLEMS, UnknownNameError, WetreadError
from wetread.segments.contents import Description, Fit, LabelFile, Measured, Pieces, Problem
from wetread.segments.match import Images
from wetread.segments.segment import Segment, find_alignment
from wetread.settings import Settings
from wetread.sources.find import PathLike
from wetread.table.query import find_rows
from wetread.table.rows import IndexRows

if TYPE_CHECKING:
    import pandas as pd

    from wetread.images.image import Image
    from wetread.series.volume import Volume

Form = Literal["nifti", "nnunet"]
_T, _I, _F = pa.string(), pa.int64(), pa.float64()
SCHEMA = pa.schema(
    [
        ("path", _T),
        ("member", _T),
        ("id", _T),
        ("kind", _T),
        ("number", _I),
        ("label", _T),
        ("code", _T),
        ("colour", _T),
        ("algorithm", _T),
        ("reader", _T),
        ("series_id", _T),
        ("SeriesInstanceUID", _T),
        ("aligned", pa.bool_()),
        ("voxels", _I),
        ("volume_ml", _F),
        ("slices", _I),
        ("first_slice", _I),
        ("last_slice", _I),
        ("x0", _F),
        ("y0", _F),
        ("x1", _F),
        ("y1", _F),
        ("box_mm", pa.list_(_F)),
        ("problems", pa.list_(_T)),
    ]
)
"""Columns of the table; docs/segments.md describes them."""
_PROBLEM_SCHEMA = pa.schema(
    [(n, _T) for n in ("code", "severity", "path", "member", "id")]
    + [("number", _I), ("label", _T), ("text", _T)]
)
_PREVIEW = ("path", "number", "label", "aligned", "voxels", "volume_ml", "slices", "problems")


@dataclass
class _Entry:
    """One segment with its place and problems."""

    file: LabelFile
    at: int
    """Number of the file."""
    description: Description
    fit: Fit | None
    found: list[Problem]


class Segments:
    """Segments of label files, one row per segment, ROI or label; computed on first use.

    - `len(segments)` is the number of segments, `segments[0]` a `Segment`, iteration yields all.
    - `segments["label"]` is a column as a pandas Series.
    - `segments.table` and `segments.to_pandas()` are the table, `segments.where(...)` selects rows.
    """

    def __init__(
        self,
        files: list[LabelFile],
        root: str,
        images: IndexRows | None = None,
        settings: Settings = Settings(),
        progress: bool = False,
        accepted: Collection[str] = (),
    ) -> None:
        self._files, self.root, self.images = files, root, images
        """Folder of the label files, and index of their images."""
        self._settings, self._progress, self._accepted = settings, progress, accepted
        self._measured: dict[int, Measured] = {}

    @cached_property
    def _entries(self) -> list[_Entry]:
        """All segments of all files, placed on their images."""
        lookup = None if self.images is None else Images(self.images, self._settings)
        entries = []
        for at, file in enumerate(self._files):
            fit, found = None, list(file.found)
            if lookup is not None and file.kind:
                fit, more = lookup.match(file)
                found += more
            for description in file.descriptions:
                own = [f for f in found if f.number in (None, description.number)]
                entries.append(_Entry(file, at, description, fit, own))
        return entries

    def _measure(self, at: int) -> Measured:
        """Pixels of the segments of one file."""
        if at not in self._measured:
            self._measured[at] = self._measure_file(at)
        return self._measured[at]

    def _measure_file(self, at: int) -> Measured:
        entries = [entry for entry in self._entries if entry.at == at]
        file, fit = entries[0].file, entries[0].fit
        if fit is not None and not fit.is_placed:
            fit = None
        try:
            measured = file.measure(fit)
        except WetreadError as error:
            measured = Measured(Pieces.of([]), [Problem("SEGMENT_UNREADABLE", str(error))])
        full = set(measured.pieces.number.tolist())
        for entry in entries:
            number = entry.description.number
            entry.found += [f for f in measured.found if f.number in (None, number)]
            unread = any(f.code == "SEGMENT_UNREADABLE" for f in entry.found)
            known = fit is not None or file.kind != "RTSTRUCT"
            if number not in full and known and not unread:
                entry.found.append(Problem("SEGMENT_EMPTY", "no voxel", number))
        return measured

    @cached_property
    def table(self) -> pa.Table:
        """The segments as an Arrow table; see docs/segments.md for its columns."""
        self._entries  # noqa: B018 - the series of the index are no part of the first file
        with Progress(self._progress and len(self._files) > 1, len(self._files)) as bar:
            for at in range(len(self._files)):
                self._measure(at)
                bar.add(1)
        rows = [self._row(number) for number in range(len(self._entries))]
        return pa.Table.from_pylist(rows, SCHEMA)

    @cached_property
    def _numbers(self) -> np.ndarray[Any, np.dtype[np.int64]]:
        """Numbers of the segments of this table in `_entries`."""
        return np.arange(len(self._entries))

    def _row(self, number: int) -> dict[str, Any]:
        entry = self._entries[number]
        measured = self._measure(entry.at)
        d, file, fit = entry.description, entry.file, entry.fit
        names = ("path", "member", "id")
        row: dict[str, Any] = {name: file.row.get(name) for name in names}
        row |= {"kind": file.kind or None, "number": d.number, "label": d.label, "code": d.code}
        row |= {"colour": d.colour, "algorithm": d.algorithm, "reader": file.reader}
        row["series_id"] = None if fit is None else fit.target.series["series_id"]
        row["SeriesInstanceUID"] = next(iter(file.references.series), None)
        if fit is not None:
            row["SeriesInstanceUID"] = fit.target.series["SeriesInstanceUID"]
        row["aligned"] = self._find_alignment(entry)
        row["problems"] = list(dict.fromkeys(f.code for f in entry.found))
        unread = "SEGMENT_UNREADABLE" in row["problems"]
        if not unread and (file.kind != "RTSTRUCT" or fit is not None):
            row |= _count(measured, d.number)
        if row["aligned"] is not False and fit is not None and row.get("voxels"):
            row |= _bound(measured.pieces, d.number, fit)
        return {name: row.get(name) for name in SCHEMA.names}

    def _find_alignment(self, entry: _Entry) -> bool | None:
        return find_alignment(entry.file, entry.found, entry.fit, self._accepted)

    def to_pandas(self) -> pd.DataFrame:
        """Convert to a DataFrame, one row per segment."""
        return to_frame(self.table, "keep")

    def where(self, expression: str) -> Segments:
        """Select segments with an SQL expression, such as `"label = 'Liver' AND aligned"`.

        Raises:
            QueryError: not an expression, or an unknown column.
        """
        rows = find_rows(self.table, expression)
        selected = copy(self)
        selected.table, selected._numbers = self.table.take(pa.array(rows)), self._numbers[rows]
        return selected

    def problems(self, code: str | None = None) -> pd.DataFrame:
        """List the problems, one row per problem: those of a whole file have no number.

        Returns:
            code, severity, path, member, id, number, label and text.

        Raises:
            UnknownNameError: there is no such code.
        """
        return to_frame(self.problem_rows(code))

    def problem_rows(self, code: str | None = None) -> pa.Table:
        """The problems as an Arrow table; see `problems`."""
        if code is not None and code not in SEGMENT_PROBLEMS:
            raise UnknownNameError("problem code of segments", code, SEGMENT_PROBLEMS)
        self.table  # noqa: B018 - measures
        rows: dict[tuple[Any, ...], dict[str, Any]] = {}
        for number in self._numbers.tolist():
            entry = self._entries[number]
            for f in entry.found:
                if code in (None, f.code):
                    names = {n: entry.file.row.get(n) for n in ("path", "member", "id")}
                    label = None if f.number is None else entry.description.label
                    row = {"code": f.code, "severity": f.severity, **names}
                    row |= {"number": f.number, "label": label, "text": f.text}
                    rows.setdefault((entry.at, *f), row)
        return pa.Table.from_pylist(list(rows.values()), _PROBLEM_SCHEMA)

    def boxes(self) -> Boxes:
        """Bounding boxes of all aligned segments, one per slice; see `Segment.boxes`."""
        rows = [row for number in self._numbers.tolist() for row in self._boxes_of(number)]
        return self._make_boxes(rows)

    def agreement(self) -> pd.DataFrame:
        """Agreement of the segments with one label on one volume; see `segments.agreement`."""
        from wetread.segments.agreement import compare_segments

        return compare_segments(list(self))

    def save(self, to: PathLike, form: Form = "nifti", progress: bool = True) -> pa.Table:
        """Write the segments as NIfTI masks, or with their images as a data set of nnU-Net.

        See `wetread.segments.export.save_segments`.
        """
        from wetread.segments.export import save_segments

        return save_segments(list(self), Path(to), form, progress)

    def on(self, image: Image, frame: int = 0) -> Iterator[Outline]:
        """Yield the outlines on one frame of an image, for `Image.show`."""
        hidden = 0
        for segment in self:
            fit = segment._fit
            if fit is None or (image.id, frame) not in fit.target.slices:
                continue
            if segment.aligned is False:
                hidden += 1
                continue
            k = fit.target.slices.index((image.id, frame))
            mask = segment.read(slice(k, k + 1))[0]
            if mask.any():
                yield Outline(mask, segment.caption, segment.colour)
        if hidden:
            yield _name_hidden(hidden, (1, 1))

    def over(self, volume: Volume) -> Iterator[Outline]:
        """Yield the outlines on a volume, for `Volume.show`; one mask is in memory at a time."""
        slices = [(one.id, one.frame) for one in volume.slices]
        hidden = 0
        for segment in self:
            if segment._fit is None or segment._fit.target.slices != slices:
                continue
            if segment.aligned is False:
                hidden += 1
            else:
                yield segment.outline()
        if hidden:
            yield _name_hidden(hidden, volume.shape)

    def _boxes_of(self, number: int) -> Iterator[dict[str, Any]]:
        entry = self._entries[number]
        measured = self._measure(entry.at)
        if entry.fit is None or self._find_alignment(entry) is False:
            return
        slices = entry.fit.target.slices
        several = len({id_ for id_, _ in slices}) < len(slices) or any(f for _, f in slices)
        pieces = measured.pieces.take(measured.pieces.number == entry.description.number)
        by_slice: dict[int, list[list[int]]] = {}
        for k, box in zip(pieces.slice.tolist(), pieces.box.tolist(), strict=True):
            by_slice.setdefault(k, []).append(box)
        for k, found in sorted(by_slice.items()):
            low, high = np.min(found, axis=0), np.max(found, axis=0)
            corners = (*low[:2].tolist(), *high[2:].tolist())
            id_, frame = slices[k]
            label = entry.description.label or f"segment {entry.description.number}"
            yield {
                "image": id_,
                "frame": frame if several else None,
                "label": label,
                "reader": entry.file.reader or entry.file.name,
                **dict(zip(("x0", "y0", "x1", "y1"), map(float, corners), strict=True)),
            }

    def _make_boxes(self, rows: list[dict[str, Any]]) -> Boxes:
        names = ("image", "frame", "label", "reader", "x0", "y0", "x1", "y1")
        columns: dict[str, Any] = {name: [row[name] for row in rows] for name in names}
        boxes = Boxes.from_columns({**columns, "key": columns["image"]}, dialect="segments")
        return boxes if self.images is None or not rows else boxes.join(self.images)

    def __arrow_c_stream__(self, requested_schema: object = None) -> object:
        """Rows for polars, pyarrow, DuckDB and others (Arrow PyCapsule interface)."""
        return self.table.__arrow_c_stream__(requested_schema)

    def __len__(self) -> int:
        return len(self._numbers)

    @overload
    def __getitem__(self, key: int) -> Segment: ...
    @overload
    def __getitem__(self, key: str) -> pd.Series[Any]: ...
    def __getitem__(self, key: int | str) -> Segment | pd.Series[Any]:
        if isinstance(key, str):
            if key not in SCHEMA.names:
                raise UnknownNameError("column of the table of segments", key, SCHEMA.names)
            return to_frame(self.table.select([key]), "keep")[key]
        return self._segment(int(self._numbers[pick(key, len(self), "segment")]))

    def __iter__(self) -> Iterator[Segment]:
        yield from map(self._segment, self._numbers.tolist())

    def _segment(self, number: int) -> Segment:
        entry = self._entries[number]
        return Segment(
            entry.file,
            entry.description,
            entry.fit,
            entry.found,
            partial(self._row, number),
            lambda: self._make_boxes(list(self._boxes_of(number))),
            self._accepted,
            self._settings,
        )

    def __repr__(self) -> str:
        return (
            f"<Segments: {counted(len(self), 'segment')} in "
            f"{counted(len(self._files), 'file')} of {self.root}>"
        )

    def _repr_html_(self) -> str:
        return preview_html(self.table.select(_PREVIEW), "segments")


def _name_hidden(count: int, shape: tuple[int, ...]) -> Outline:
    """Entry of the legend for segments that are not drawn."""
    text = f"not shown: {counted(count, 'segment')} not aligned"
    return Outline(np.zeros(shape, bool), text, "#888888")


def _count(measured: Measured, number: int) -> dict[str, Any]:
    """Voxels, volume and slices of a segment."""
    pieces = measured.pieces.take(measured.pieces.number == number)
    voxels = int(pieces.voxels.sum())
    scale = measured.voxel_ml
    return {
        "voxels": voxels,
        "volume_ml": None if scale is None else voxels * scale,
        "slices": len(np.unique(pieces.slice)),
    }


def _bound(pieces: Pieces, number: int, fit: Fit) -> dict[str, Any]:
    """Bounding box of a segment: slices, edges of stored pixels, and LPS mm."""
    own = pieces.take(pieces.number == number)
    low, high = own.box[:, :2].min(axis=0), own.box[:, 2:].max(axis=0)
    first, last = int(own.slice.min()), int(own.slice.max())
    (x0, y0), (x1, y1) = low.tolist(), high.tolist()
    corners = np.array([[k, r, c, 1] for k in (first - 0.5, last + 0.5)
                        for r in (y0 - 0.5, y1 - 0.5) for c in (x0 - 0.5, x1 - 0.5)])  # fmt: skip
    world = (corners @ fit.target.affine.T)[:, :3]
    row: dict[str, Any] = {"first_slice": first, "last_slice": last}
    row |= {"x0": x0, "y0": y0, "x1": x1, "y1": y1}
    if fit.target.volume is not None:
        row["box_mm"] = [*world.min(axis=0).tolist(), *world.max(axis=0).tolist()]
    return row

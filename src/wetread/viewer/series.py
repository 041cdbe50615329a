"""Series for the page: the tiles of a grouped grid, and the stack of slices around an image."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any, Literal, NamedTuple

import numpy as np
from numpy.typing import NDArray

from wetread.errors import PROBLEMS, SERIES_PROBLEMS, NotFoundError, UsageError
from wetread.series.build import Collection
from wetread.series.table import Series, SeriesTable
from wetread.settings import Settings
from wetread.table.query import query
from wetread.table.rows import fetch_rows, take_rows
from wetread.viewer.catalogue import Catalogue, RowNumbers, RowQuery
from wetread.viewer.memo import memoize
from wetread.viewer.orders import sort_stably

Kind = Literal["series", "study"]
KINDS: tuple[Kind, ...] = ("series", "study")
DESCRIPTION = ("SeriesNumber", "SeriesDescription", "StudyDate")
"""Columns of the series table in the corner of an image; they may identify a patient."""
_ALIKE = (
    "Rows", "Columns", "BitsStored", "PixelRepresentation", "PhotometricInterpretation",
    "RescaleSlope", "RescaleIntercept", "RescaleType", "PixelPaddingValue",
)  # fmt: skip
"""Columns that are equal in slices of one grey scale."""
_STACKS, _GROUPS = 64, 16
"""Series and orders of groups in the cache."""
_UID = "SeriesInstanceUID"
_MOST_ROWS = 10_000
"""Files of a series that is computed before those of the whole index."""
_MOST_LABELS = 256
"""Stacks of a series that the page lists."""


class Groups(NamedTuple):
    """Groups of the rows that match a query, in its order."""

    key: NDArray[np.int64]
    """Number of the series or study; -1 - row number for a file without series."""
    row: RowNumbers
    """First matching row."""
    matching: NDArray[np.int64]
    """Number of matching rows."""


class Picture(NamedTuple):
    """Image and frame that stand for a series."""

    row: int
    frame: int


class SeriesCatalogue:
    """Series and studies of one index; computed on first use, thread-safe."""

    def __init__(self, catalogue: Catalogue, settings: Settings = Settings()) -> None:
        self._catalogue, self._settings = catalogue, settings
        self.is_collected = False
        """True once the series of the whole index are known."""
        self._table = SeriesTable(catalogue.index, settings, progress=False)
        self._collect = memoize(self._collect_all)
        self._alone = memoize(self._separate, 2)
        self._rows_of = memoize(self._number_rows, len(KINDS))
        self._members = memoize(self._sort_members, len(KINDS))
        self._codes = memoize(self._list_codes)
        self._groups = memoize(self._find_groups, _GROUPS)
        self._one = memoize(lambda number: self._table[number], _STACKS)
        self._numbers = memoize(
            lambda: {name: number for number, name in enumerate(self.collection.images.ids)}
        )

    def _collect_all(self) -> Collection:
        collection = self._table.collection
        self.is_collected = True
        return collection

    @property
    def table(self) -> SeriesTable:
        """One row per series."""
        self._collect()  # once, for all threads
        return self._table

    @property
    def collection(self) -> Collection:
        """Slices, stacks and problems of all series."""
        return self._collect()

    def series(self, series_id: str) -> Series:
        """Series by id; raises NotFoundError."""
        number = self._numbers().get(series_id)
        if number is None:
            raise NotFoundError("no such series in this index")
        return self._one(number)

    def in_frame_of_reference(self, series: Series) -> list[Series]:
        """Series of the same study and frame of reference that have volumes."""
        names = ("StudyInstanceUID", "FrameOfReferenceUID")
        wanted = [series.row[name] for name in names]
        if not all(wanted):
            return [series]
        table = self._table.table.select([*names, "volumes"])
        found = [
            number
            for number, row in enumerate(table.to_pylist())
            if row["volumes"] and [row[name] for name in names] == wanted
        ]
        return [self._one(number) for number in found]

    # -- grid ---------------------------------------------------------------------------------

    def page(self, kind: Kind, row_query: RowQuery, offset: int, limit: int) -> dict[str, Any]:
        """At most `limit` groups from `offset` on, in the order of their first matching rows."""
        groups = self._groups(kind, row_query)
        chosen = slice(offset, offset + limit)
        tiles = [
            self._tile(kind, int(key), int(row), int(count))
            for key, row, count in zip(*(part[chosen] for part in groups), strict=True)
        ]
        rows = self._catalogue.rows([tile["row"] for tile in tiles])
        for tile, row in zip(tiles, rows, strict=True):
            row["problems"] = tile.pop("problems")
            tile.pop("row")
            row["group"] = tile
        return {"total": len(groups.key), "offset": offset, "rows": rows}

    def position(self, kind: Kind, row_query: RowQuery, id_: str) -> dict[str, Any]:
        """Offset of the group of an image, and the images that stand for its neighbours."""
        groups = self._groups(kind, row_query)
        row = self._catalogue.number(id_)
        at = None
        if row is not None:
            (found,) = np.nonzero(groups.key == self._key(kind, row))
            at = int(found[0]) if len(found) else None
        sides: dict[str, Any] = {}
        for name, by in (("previous", -1), ("next", 1)):
            there = None if at is None or not 0 <= at + by < len(groups.key) else at + by
            picture = None if there is None else self._picture(kind, *_entry(groups, there))
            sides[name] = None if picture is None else self._catalogue.ids([picture.row])[0]
            sides[f"{name}_frame"] = picture and picture.frame
        return {"offset": at, "total": len(groups.key), **sides}

    def _find_groups(self, kind: Kind, row_query: RowQuery) -> Groups:
        ordered = self._catalogue.ordered(row_query)
        numbers = self._rows_of(kind)[ordered].astype(np.int64)
        keys = np.where(numbers < 0, -1 - ordered.astype(np.int64), numbers)
        found, first, counts = np.unique(keys, return_index=True, return_counts=True)
        order = np.argsort(first)
        return Groups(found[order], ordered[first[order]], counts[order])

    def _number_rows(self, kind: Kind) -> NDArray[np.int32]:
        """Series or study of every row; -1 for files without a header."""
        images = self.collection.images
        of = np.arange(len(images.ids))
        if kind == "study":
            studies: dict[tuple[str, ...], int] = {}
            of = np.array(
                [
                    studies.setdefault(one[:2] if one[1] else (*one, name), len(studies))
                    for one, name in zip(images.identities, images.ids, strict=True)
                ],
                np.int64,
            )
        numbers = np.full(len(self._catalogue), -1, np.int32)
        numbers[images.row] = of[images.series]
        return numbers

    def _sort_members(self, kind: Kind) -> tuple[NDArray[np.int64], NDArray[np.int32]]:
        """Rows sorted by group, and the group of each."""
        numbers = self._rows_of(kind)
        order = np.argsort(numbers, kind="stable")
        return order, numbers[order]

    def _rows_in(self, kind: Kind, key: int) -> NDArray[np.int64]:
        order, numbers = self._members(kind)
        low, high = np.searchsorted(numbers, [key, key + 1])
        return order[low:high]

    def _list_codes(self) -> dict[int, list[str]]:
        """Codes of the problems of each series that has any."""
        codes: dict[int, list[str]] = {}
        for located in self.collection.problems:
            known = codes.setdefault(located.series, [])
            if located.found.code not in known:
                known.append(located.found.code)
        return codes

    def _key(self, kind: Kind, row: int) -> int:
        number = int(self._rows_of(kind)[row])
        return number if number >= 0 else -1 - row

    def _tile(self, kind: Kind, key: int, row: int, matching: int) -> dict[str, Any]:
        """Numbers and problems of a group, and the picture that stands for it."""
        picture = self._picture(kind, key, row, matching)
        tile = {"row": picture.row, "frame": picture.frame, "kind": kind, "matching": matching}
        if key < 0:
            problems = self._catalogue.problems([row])
            return {**tile, "kind": "file", "files": 1, "problems": problems}
        members = self._rows_in(kind, key)
        series = np.unique(self._rows_of("series")[members]).tolist()
        codes = [code for number in series for code in self._codes().get(number, ())]
        found = self._catalogue.problems(members.tolist())
        bounds = [self.collection.bounds.get(number, (0, 0)) for number in series]
        one = self._one(series[0]).row if kind == "series" else {}
        return {
            **tile,
            "problems": list(dict.fromkeys([*codes, *found])),
            "series": len(series),
            "files": len(members),
            "slices": sum(end - first for first, end in bounds),
            "stacks": int(self.collection.stacks[series].sum()),
            "volumes": int(self.collection.volumes[series].sum()),
            "description": {name: one.get(name) for name in DESCRIPTION},
            "study": self.collection.images.identities[series[0]][1] if kind == "study" else "",
        }

    def _picture(self, kind: Kind, key: int, row: int, matching: int = 0) -> Picture:
        """Middle slice of the largest stack; of a study, that of its series with most slices."""
        if key < 0:
            return Picture(row, 0)
        collection = self.collection
        series = np.unique(self._rows_of("series")[self._rows_in(kind, key)]).tolist()

        def count(number: int) -> int:
            first, end = collection.bounds.get(number, (0, 0))
            return end - first

        number = max(series, key=count)
        first, end = collection.bounds.get(number, (0, 0))
        if first == end:  # no images: the first file
            at = int(collection.images.first[number])
            return Picture(int(collection.images.row[at]), 0)
        stacks = collection.divided.get(number)
        slices = stacks[0].slices if stacks else np.arange(first, end)
        middle = int(slices[len(slices) // 2])
        s = collection.slices
        return Picture(int(collection.images.row[s.row[middle]]), max(int(s.frame[middle]), 0))

    # -- stack --------------------------------------------------------------------------------

    def stack(self, id_: str, frame: int) -> dict[str, Any]:
        """Slices around an image in spatial order, with the problems and stacks of its series.

        `slices` is None for frames without a position, which are in the order of the file. Until
        the series of the whole index are known, only that of the image is computed.
        """
        row = self._catalogue.number(id_)
        if row is None:
            raise NotFoundError("no such image in this index")
        if not self.is_collected:
            (uid,) = fetch_rows(self._catalogue.index, np.array([row]), [_UID])[0].to_pylist()
            if uid and (alone := self._alone(uid)) is not None:
                return alone.stack(id_, frame)
        number = int(self._rows_of("series")[row])
        if number < 0:
            return {"series": None, "slices": None, "stacks": [], "marks": []}
        series = self._one(number)
        at = self._find_slice(number, row, frame)
        stack = -1 if at is None else int(self.collection.stack_index[at])
        listed = self._describe_series(series)
        if stack < 0:
            others = self._unplaced(number, row)
            return {"series": listed, "slices": others, "stacks": _label(series), "marks": []}
        members = self._stack_slices(number, stack)
        s = self.collection.slices
        rows = self.collection.images.row[s.row[members]]
        ids = self._catalogue.ids(rows.tolist())
        frames = np.maximum(s.frame[members], 0).tolist()
        positions = self.collection.depth[members].tolist()
        names = self._catalogue.names(rows.tolist())
        slices = list(zip(ids, frames, positions, names, strict=True))
        one = series.stacks[stack]
        return {
            "series": listed,
            "slices": slices,
            "marks": _mark(listed["problems"], slices),
            "stacks": _label(series),
            "stack": stack,
            "volume": one.is_volume,
            "orientation": list(one.orientation),
            "alike": self._are_alike(rows, series),
        }

    def _separate(self, uid: str) -> SeriesCatalogue | None:
        """Series of one UID by themselves; None for more than `_MOST_ROWS` files."""
        index = self._catalogue.index
        here = query(index, f'SELECT coalesce({_UID} = $1, false) AS here FROM "index"', [uid])
        rows = np.flatnonzero(here["here"].to_numpy())
        if not 0 < len(rows) <= min(_MOST_ROWS, len(index) - 1):
            return None
        alone = SeriesCatalogue(Catalogue(take_rows(index, rows), self._settings), self._settings)
        alone._collect()
        return alone

    def _find_slice(self, number: int, row: int, frame: int) -> int | None:
        first, end = self.collection.bounds.get(number, (0, 0))
        s = self.collection.slices
        rows = self.collection.images.row[s.row[first:end]]
        mine = (rows == row) & (np.maximum(s.frame[first:end], 0) == frame)
        (found,) = np.nonzero(mine)
        return first + int(found[0]) if len(found) else None

    def _stack_slices(self, number: int, stack: int) -> NDArray[np.int64]:
        """Slices of a stack in order of position, each before its copies."""
        first, end = self.collection.bounds[number]
        members = first + np.flatnonzero(self.collection.stack_index[first:end] == stack)
        copies = self.collection.slice_index[members] < 0
        order = np.lexsort([copies, self.collection.depth[members]])
        return np.asarray(members[order])

    def _unplaced(self, number: int, row: int) -> list[tuple[str, int, None, str]] | None:
        """Single-frame images of a series without position, by Instance Number.

        None for frames of a file, and for images that only share a folder.
        """
        if self.collection.images.unnamed[number]:
            return None
        first, end = self.collection.bounds.get(number, (0, 0))
        s, images = self.collection.slices, self.collection.images
        without = first + np.flatnonzero(self.collection.stack_index[first:end] < 0)
        without = without[~images.is_multiframe()[s.row[without]]]
        rows = images.row[s.row[without]]
        if row not in rows:
            return None
        keys = fetch_rows(self._catalogue.index, rows, ["InstanceNumber"])[0]
        ordered = rows[sort_stably(keys)].tolist()
        ids, names = self._catalogue.ids(ordered), self._catalogue.names(ordered)
        return [(id_, 0, None, name) for id_, name in zip(ids, names, strict=True)]

    def _are_alike(self, rows: NDArray[np.int64], series: Series) -> bool:
        """True if one grey scale applies to all slices."""
        if "FRAMES_VARY" in series.row["problems"]:
            return False
        table = fetch_rows(self._catalogue.index, np.unique(rows), _ALIKE)
        return all(len(set(column.to_pylist())) == 1 for column in table.columns)

    def _describe_series(self, series: Series) -> dict[str, Any]:
        row = series.row
        problems = self._table.where(f"series_id = '{series.series_id}'").problem_rows()
        return {
            "id": series.series_id,
            "modality": series.modality,
            "files": series.files,
            "slices": row["slices"],
            "volumes": row["volumes"],
            "description": {name: row[name] for name in DESCRIPTION},
            "problems": problems.to_pylist(),
        }


def _entry(groups: Groups, at: int) -> tuple[int, int]:
    return int(groups.key[at]), int(groups.row[at])


def _label(series: Series) -> list[dict[str, Any]]:
    """Stacks of a series for a list: their middle slice, size, and what tells them apart."""
    return [
        {
            "id": stack.slices[len(stack.slices) // 2].id,
            "frame": stack.slices[len(stack.slices) // 2].frame,
            "slices": len(stack.slices),
            "volume": stack.is_volume,
            "divided_by": {name: _short(value) for name, value in stack.divided_by.items()},
            "plane": name_plane(stack.orientation),
        }
        for stack in series.stacks[:_MOST_LABELS]
    ]


def name_plane(orientation: Sequence[float]) -> str:
    """Plane whose normal is nearest to that of an Image Orientation (Patient); "" without one.

    >>> name_plane((0, 1, 0, 0, 0, -1))
    'sagittal'
    """
    row, column = np.reshape(orientation, (2, 3))
    if not np.isfinite([row, column]).all():
        return ""
    return ("sagittal", "coronal", "axial")[int(np.abs(np.cross(row, column)).argmax())]


def _short(value: Any) -> str:
    parts = value if isinstance(value, list | tuple) else [value]
    return ", ".join(f"{one:.6g}" if isinstance(one, float) else str(one) for one in parts)


def _mark(
    problems: Iterable[dict[str, Any]], slices: list[tuple[str, int, float, str]]
) -> list[dict[str, Any]]:
    """Problems of slices at their places in the stack; a missing slice is between two."""
    places = {(id_, frame): at for at, (id_, frame, *_) in enumerate(slices)}
    positions = np.array([position for _, _, position, _ in slices])
    marks = []
    for problem in problems:
        at: float | None = places.get((problem["id"], problem["frame"] or 0))
        if at is None:
            continue
        if problem["code"] == "SLICE_MISSING":
            at = float(np.searchsorted(positions, problem["slice_position_mm"])) - 0.5
        marks.append({"at": at, **{name: problem[name] for name in ("code", "severity", "text")}})
    return marks


def severity_of(code: str) -> str | None:
    """Severity of a problem of a file or a series."""
    known = PROBLEMS.get(code) or SERIES_PROBLEMS.get(code)
    return known.severity if known else None


def check_kind(text: str) -> Kind:
    """Kind of groups in a request; raises UsageError."""
    for kind in KINDS:
        if text == kind:
            return kind
    raise UsageError("group must be series or study")

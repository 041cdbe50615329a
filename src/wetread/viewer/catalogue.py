"""Rows of an index, in pages: filter, search, sort, positions and facets.

Internally a row is its row number in the index, a uint32; orders of a million rows are cached.
"""

from __future__ import annotations

import re
from collections.abc import Collection, Iterable, Sequence
from typing import Any, NamedTuple

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from wetread.errors import UnknownNameError
from wetread.images import batch
from wetread.settings import Settings
from wetread.table.problems import COLUMNS as PROBLEM_COLUMNS
from wetread.table.query import name_column, parse_expression, query
from wetread.table.rows import IndexRows, all_rows, encoded_columns, fetch
from wetread.viewer.box_columns import COLUMNS as BOX_COLUMNS
from wetread.viewer.box_columns import NO_BOXES, BoxColumns, JoinedBoxes
from wetread.viewer.facets import column_type, count_images, count_values
from wetread.viewer.filter import NUMBER, Matches, RowFilter
from wetread.viewer.ids import Ids, to_number, to_numbers
from wetread.viewer.marks import Marks
from wetread.viewer.memo import memoize
from wetread.viewer.orders import read_seed, sort_stably

RowNumbers = NDArray[np.uint32]
TILE = (
    "id",
    "path",
    "member",
    "read_status",
    "Modality",
    "Rows",
    "Columns",
    "PhotometricInterpretation",
    "NumberOfFrames",
    "InstanceNumber",
    "pixel_length",
    "part",
)
"""Columns shown on a tile of the grid, with the codes of its problems and its slice position."""
_SLICE, _FILE_TYPE = "slice_position_mm", "file_type"
_NOT_DICOM = "list_filter(problems, lambda f: f.code = 'NOT_DICOM')[1].text"
"""Type of a file that is no DICOM: "PNG picture"."""
_POSITION = """list_transform([{'p': ImagePositionPatient, 'o': ImageOrientationPatient}], lambda s:
    s.p[1] * (s.o[2] * s.o[6] - s.o[3] * s.o[5])
    + s.p[2] * (s.o[3] * s.o[4] - s.o[1] * s.o[6])
    + s.p[3] * (s.o[1] * s.o[5] - s.o[2] * s.o[4]))[1]"""
"""Projection of Image Position (Patient) on the normal of the slice; null without one."""
REPETITIVE = (
    "read_status",
    "Modality",
    "PhotometricInterpretation",
    "SeriesDescription",
    "StudyDescription",
    "ProtocolName",
    "BodyPartExamined",
)
"""Columns with few distinct values, held dictionary-encoded. `search` covers them, `path` and
`member`, and for a text that looks like a UID or an id also `UIDS`."""
UIDS = ("id", "SOPInstanceUID", "SeriesInstanceUID", "StudyInstanceUID")
_UID = re.compile(r"[0-9.]{6,}|[0-9a-f]{16}")
_CACHED = 16
"""Orders and searches in the cache; four times as many facets."""


class RowQuery(NamedTuple):
    """Filter, search text and order of rows."""

    where: str = ""
    search: str = ""
    order: str = ""
    desc: bool = False
    iou: float = 0.5
    score: float = 0.0
    """IoU and minimum score at which predictions are compared with the ground truth."""


class Catalogue:
    """Queries over the rows of one index; thread-safe."""

    def __init__(
        self,
        index: IndexRows,
        settings: Settings = Settings(),
        marks: Marks | None = None,
    ) -> None:
        if index.chosen is not None:  # filtered rows have no row numbers on disk
            index = IndexRows(index.root, index.schema, rows=all_rows(index))
        self.index = index
        self.columns = list(index.schema.names)
        self._marks = marks or Marks(None, None, "wbf")
        self.box_columns = [n for n in self._marks.columns if n not in self.columns]
        self.image_columns = [n for n in self._marks.image_columns if n not in self.columns]
        self._rows = RowFilter([*self.columns, *self.box_columns, *self.image_columns], settings)
        self._names = memoize(parse_expression, _CACHED)
        self._column = memoize(self._read_column, _CACHED // 2)
        self._matched = memoize(self._match, _CACHED)
        self._joined = memoize(self._join_boxes, 2)
        self._boxes = memoize(self._select_boxes, 4)
        self._place = memoize(lambda boxes: self._find_rows(boxes.ids), 3)
        self._tiles = memoize(self._read_tiles)
        self._ids = memoize(self._sort_ids)
        self._series_numbers = memoize(self._number_series)
        self._order = memoize(self._make_order, _CACHED)
        self._series_order = memoize(self._order_series, _CACHED)
        self._matches = memoize(self._search, _CACHED)
        self.facet = memoize(self._count_facet, 4 * _CACHED)

    def close(self) -> None:
        """End the processes of the filter."""
        self._rows.close()

    def __len__(self) -> int:
        return len(self.index)

    def _read_tiles(self) -> pa.Table:
        """Load the columns of the tiles for all rows, so that pages in any order need no query."""
        available = (name for name in dict.fromkeys([*TILE, *REPETITIVE]) if name in self.columns)
        codes = "list_distinct(list_transform(problems, lambda f: f.code)) AS problems"
        names = ", ".join(map(name_column, available))
        tiles = query(
            self.index,
            f"SELECT {names}, {codes}, {_POSITION} AS {_SLICE}, "
            f"{_NOT_DICOM} AS {_FILE_TYPE} FROM index",
        )
        for name in (*REPETITIVE, _FILE_TYPE):
            at = tiles.column_names.index(name)
            tiles = tiles.set_column(at, name, tiles[name].dictionary_encode().combine_chunks())
        return tiles

    def _sort_ids(self) -> tuple[Ids, RowNumbers]:
        """Ids of all rows, ascending, and their row numbers."""
        ids = to_numbers(self._tiles()["id"])
        order = np.argsort(ids, kind="stable")
        return ids[order], order.astype(np.uint32)

    def warm(self) -> None:
        """Load the columns of the first page, and start the processes of the filter."""
        self._rows.warm()
        self._ids()

    def count_images(self) -> int:
        """Number of rows with pixels."""
        return len(self) - int(self._tiles()["pixel_length"].null_count)

    def check(self, column: str) -> None:
        """Raise UnknownNameError if there is no such column."""
        known = [*self.columns, *self.image_columns]
        if column not in known:
            raise UnknownNameError("column", column, known)

    def page(
        self, row_query: RowQuery, offset: int, limit: int, extra: Sequence[str]
    ) -> dict[str, Any]:
        """At most `limit` rows from `offset` on, with the `extra` columns, and the total."""
        for name in extra:
            self.check(name)
        ordered = self._ordered(row_query)
        numbers = ordered[offset : offset + limit]
        rows = self.rows(numbers)
        if extra:
            more = self._fetch(numbers, list(dict.fromkeys(extra)), row_query).to_pylist()
            rows = [{**row, "columns": values} for row, values in zip(rows, more, strict=True)]
        return {"total": len(ordered), "offset": offset, "rows": rows}

    def outlines(self, row_query: RowQuery, offset: int, limit: int) -> list[list[list[Any]]]:
        """Boxes to draw on the thumbnails of a page; see `BoxColumns.outlines`."""
        numbers = self._ordered(row_query)[offset : offset + limit]
        return self._boxes(row_query.iou, row_query.score).outlines(numbers)

    def _fetch(self, numbers: RowNumbers, names: list[str], row_query: RowQuery) -> pa.Table:
        """Columns of some rows, those of the boxes included."""
        own = [name for name in names if name in self.columns]
        rows = fetch(self.index, numbers.tolist(), own) if own else {}
        if len(own) < len(names):
            found, at = self._boxes(row_query.iou, row_query.score), pa.array(numbers)
            rows = {n: rows[n] if n in own else found.image_column(n).take(at) for n in names}
        return pa.table({name: rows[name] for name in names})

    def position(self, row_query: RowQuery, id_: str) -> dict[str, Any]:
        """Offset and neighbours of a row in a query; offset None if it does not match."""
        ordered = self._ordered(row_query)
        offset = self._offset(ordered, id_)
        return {"offset": offset, "total": len(ordered), **self._neighbours(ordered, offset)}

    def positions(self, row_query: RowQuery, ids: Iterable[str]) -> list[tuple[str, int]]:
        """The ids that match a query, in its order, with their offsets."""
        numbers = [number for number in map(self._row_number, ids) if number is not None]
        ordered = self._ordered(row_query)
        offsets = np.flatnonzero(np.isin(ordered, np.array(numbers, np.uint32)))
        matches = self._tiles()["id"].take(pa.array(ordered[offsets])).to_pylist()
        return list(zip(matches, offsets.tolist(), strict=True))

    def count_known(self, ids: Collection[str]) -> int:
        """Number of the ids that are rows."""
        numbers = to_numbers(pa.array(list(ids), pa.string()))
        return int(np.count_nonzero(self._find_rows(numbers) >= 0))

    def next_image(self, row_query: RowQuery, id_: str, without: Collection[str]) -> str | None:
        """First image after a row, in the order of a query and around its end, but for some."""
        ordered = self._ordered(row_query)
        left_out = self._find_rows(to_numbers(pa.array(list(without), pa.string())))
        wanted = ~np.isin(ordered, left_out)
        wanted &= np.asarray(self._tiles()["pixel_length"].is_valid())[ordered]
        at = self._offset(ordered, id_)
        candidates = np.flatnonzero(wanted)
        if not len(candidates):
            return None
        first = 0 if at is None else int(np.searchsorted(candidates, at + 1))
        number = ordered[candidates[first % len(candidates)]]
        return str(self._tiles()["id"][int(number)].as_py())

    def row(self, id_: str, columns: Sequence[str] = ()) -> dict[str, Any] | None:
        """One row with the columns needed for decoding; None for an unknown id."""
        number = self._row_number(id_)
        if number is None:
            return None
        names = [*batch.COLUMNS, "problems", *(c for c in columns if c in self.columns)]
        row: dict[str, Any]
        (row,) = fetch(self.index, [number], list(dict.fromkeys(names))).to_pylist()
        return row

    def ordered(self, row_query: RowQuery) -> RowNumbers:
        """Row numbers of the rows that match a query, in order."""
        return self._ordered(row_query)

    def number(self, id_: str) -> int | None:
        """Row number of an image; None for an unknown id."""
        return self._row_number(id_)

    def ids(self, numbers: Sequence[int]) -> list[str]:
        """Ids of rows."""
        ids: list[str] = self._tiles()["id"].take(pa.array(numbers, pa.int64())).to_pylist()
        return ids

    def names(self, numbers: Sequence[int]) -> list[str]:
        """Paths of rows, each with its archive member."""
        rows = self._tiles().select(["path", "member"]).take(pa.array(numbers, pa.int64()))
        return [f"{row['path']} {row['member'] or ''}".strip() for row in rows.to_pylist()]

    def rows(self, numbers: Sequence[int] | RowNumbers) -> list[dict[str, Any]]:
        """Columns of the tiles of rows."""
        tiles = self._tiles()
        names = [
            name for name in (*TILE, _SLICE, _FILE_TYPE, "problems") if name in tiles.column_names
        ]
        rows: list[dict[str, Any]] = (
            tiles.select(names).take(pa.array(numbers, pa.int64())).to_pylist()
        )
        return rows

    def problems(self, numbers: Sequence[int]) -> list[str]:
        """Distinct problem codes of rows."""
        codes = self._tiles()["problems"].take(pa.array(numbers, pa.int64()))
        found: list[str] = pc.unique(pc.list_flatten(codes)).to_pylist()
        return found

    def series(self, id_: str) -> dict[str, Any]:
        """Position of an image in its series, by Instance Number."""
        number = self._row_number(id_)
        series = -1 if number is None else int(self._series_numbers()[number])
        if series < 0:
            return {"position": 0, "count": 1, "previous": None, "next": None}
        ordered = self._series_order(series)
        at = self._offset(ordered, id_)
        return {"position": at or 0, "count": len(ordered), **self._neighbours(ordered, at)}

    def _number_series(self) -> NDArray[np.int32]:
        """Series number of every row; -1 without a series or pixels."""
        uids = query(self.index, "SELECT SeriesInstanceUID FROM index")[0].dictionary_encode()
        codes = uids.combine_chunks().indices.fill_null(-1).to_numpy().copy()
        codes[np.asarray(self._tiles()["pixel_length"].is_null())] = -1
        return np.asarray(codes, np.int32)

    def _order_series(self, series: int) -> RowNumbers:
        numbers = np.flatnonzero(self._series_numbers() == series).astype(np.uint32)
        keys = fetch(self.index, numbers.tolist(), ["InstanceNumber"])[0]
        ordered: RowNumbers = numbers[sort_stably(keys)]
        return ordered

    def _count_facet(self, column: str, row_query: RowQuery) -> dict[str, Any]:
        """Distribution of the values of a column; see `facets`."""
        numbers = self._ordered(row_query)
        if column in self.box_columns:
            matches = self._matched(*self._filter_key(row_query))
            found = self._boxes(row_query.iou, row_query.score)
            boxes = found.select([column], matches.boxes).select([NUMBER, column])
            shown = np.isin(boxes[NUMBER].to_numpy(), numbers, kind="table")
            hidden = found.count_hidden(numbers) if column == "score" else {}
            return {**count_images(boxes.filter(pa.array(shown))), **hidden}
        self.check(column)
        if column in self.image_columns:
            values = self._boxes(row_query.iou, row_query.score).image_column(column)
        elif column in self._tiles().column_names:  # of problems, the codes
            values = self._tiles()[column]
        else:
            values = self._column(column)
        everything = not (row_query.where or row_query.search)
        return count_values(values if everything else values.take(pa.array(numbers)), column)

    def _ordered(self, row_query: RowQuery) -> RowNumbers:
        """Row numbers of the rows that match a query, in order."""
        if not (self._names_boxes(row_query.where) or row_query.order in self.image_columns):
            row_query = row_query._replace(iou=0.0, score=0.0)
        return self._order(row_query)

    def _make_order(self, row_query: RowQuery) -> RowNumbers:
        """Uncached `_ordered`."""
        order, desc = row_query.order, row_query.desc
        seed = read_seed(order)
        if order and seed is None:
            self.check(order)
        numbers = self._matched(*self._filter_key(row_query)).rows
        if row_query.search:
            numbers = numbers[self._matches(row_query.search)[numbers]]
        if order in ("", "path"):  # the order of the index
            return numbers[::-1] if desc else numbers
        if seed is not None:
            keys = pa.chunked_array([np.random.default_rng(seed).permutation(len(self))])
        elif order in self.image_columns:
            keys = self._boxes(row_query.iou, row_query.score).image_column(order)
        else:
            keys = query(self.index, f"SELECT {self._key(order)} AS key FROM index")["key"]
        ordered: RowNumbers = numbers[sort_stably(keys.take(pa.array(numbers)), desc)]
        return ordered

    def _names_boxes(self, where: str) -> bool:
        """True if a filter names the table or a column of the boxes."""
        if not (where.strip() and self.box_columns):
            return False
        names = self._names(where)
        own = {*BOX_COLUMNS, *self.image_columns}.difference(self.columns)
        return "boxes" in names.tables or not names.columns.isdisjoint(own)

    def _filter_key(self, row_query: RowQuery) -> tuple[str, float, float]:
        """Arguments of `_match`; those without effect are 0."""
        where, iou, score = row_query.where, row_query.iou, row_query.score
        return (where, iou, score) if self._names_boxes(where) else (where, 0.0, 0.0)

    def _match(self, where: str, iou: float, score: float) -> Matches:
        """Rows and boxes that match an SQL expression."""
        if not where.strip():
            return Matches(np.arange(len(self), dtype=np.uint32), None)
        names = self._names(where)
        columns = [c for c in self.columns if c.lower() in names.columns]
        if "problems" in names.tables:
            columns = list(dict.fromkeys([*columns, *PROBLEM_COLUMNS]))
        rows = {NUMBER: pa.array(np.arange(len(self), dtype=np.uint32))}
        rows |= {name: self._column(name) for name in columns}
        if not self._names_boxes(where):
            return self._rows.match(where, pa.table(rows), NO_BOXES, joined=False)
        found = self._boxes(iou, score)
        rows |= {n: found.image_column(n) for n in self.image_columns if n in names.columns}
        own = [name for name in BOX_COLUMNS if name in names.columns]
        boxes = found.select(own)
        if "boxes" in names.tables:
            ids = self._tiles()["id"].take(boxes[NUMBER])
            boxes = boxes.append_column("id", ids).append_column("image", ids)
        joined = not set(own).issubset(self.columns)
        return self._rows.match(where, pa.table(rows), boxes, joined)

    def _join_boxes(self, iou: float) -> JoinedBoxes:
        return JoinedBoxes(len(self), self._find_rows, self._place, self._marks, iou)

    def _select_boxes(self, iou: float, score: float) -> BoxColumns:
        return BoxColumns(self._joined(iou), score)

    def _find_rows(self, ids: Ids) -> NDArray[np.int64]:
        """Row number of each id; -1 for none."""
        known, numbers = self._ids()
        if not len(known):
            return np.full(len(ids), -1)
        at = np.minimum(np.searchsorted(known, ids), len(known) - 1)
        return np.where(known[at] == ids, numbers[at].astype(np.int64), -1)

    def _read_column(self, name: str) -> pa.ChunkedArray:
        """Values of a column for all rows."""
        tiles = self._tiles()
        if name in tiles.column_names and name != "problems":
            return tiles[name]
        return encoded_columns(self.index, [name])[name]

    def _search(self, text: str) -> NDArray[np.bool_]:
        """Boolean mask of the rows that contain a text."""
        tiles, mask = self._tiles(), np.zeros(len(self), bool)
        for name in ("path", "member"):
            hits = pc.match_substring(tiles[name], text, ignore_case=True)
            mask |= np.asarray(hits.fill_null(False))
        for name in REPETITIVE:
            for chunk in tiles[name].chunks:
                hits = pc.match_substring(chunk.dictionary, text, ignore_case=True)
                mask |= np.asarray(hits.take(chunk.indices).fill_null(False))
        if _UID.fullmatch(text):
            each = " OR ".join(f"contains({name}, ?)" for name in UIDS)
            sql = f"SELECT coalesce({each}, false) FROM index"
            mask |= query(self.index, sql, [text] * len(UIDS))[0].to_numpy()
        return mask

    def _key(self, column: str) -> str:
        """SQL of the sort key: the first value of a list, the number of problems."""
        type_ = self.index.schema.field(column).type
        if column_type(type_) != "list":
            return name_column(column)
        records = pa.types.is_struct(type_.value_type)
        return f"len({name_column(column)})" if records else f"{name_column(column)}[1]"

    def _row_number(self, id_: str) -> int | None:
        ids, numbers = self._ids()
        id_number = to_number(id_)
        at = int(np.searchsorted(ids, id_number))
        return int(numbers[at]) if at < len(ids) and ids[at] == id_number else None

    def _offset(self, ordered: RowNumbers, id_: str) -> int | None:
        number = self._row_number(id_)
        if number is None:
            return None
        (at,) = np.nonzero(ordered == np.uint32(number))
        return int(at[0]) if len(at) else None

    def _neighbours(self, ordered: RowNumbers, at: int | None) -> dict[str, str | None]:
        def id_at(offset: int) -> str | None:
            if at is None or not 0 <= offset < len(ordered):
                return None
            return str(self._tiles()["id"][int(ordered[offset])].as_py())

        return {"previous": id_at((at or 0) - 1), "next": id_at((at or 0) + 1)}

"""Rows of an index, in pages: filter, search, sort, positions and facets.

Internally a row is its row number in the index, a uint32; orders of a million rows are cached.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path
from threading import Condition
from typing import Any, NamedTuple, ParamSpec, TypeVar

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from cachetools import LRUCache, cached
from numpy.typing import NDArray

from wetread.errors import UnknownNameError
from wetread.images import batch
from wetread.settings import Settings
from wetread.table.query import name_column, query
from wetread.table.query import where as filter_rows
from wetread.table.rows import IndexRows, all_rows, fetch
from wetread.viewer.facets import column_type, count_values
from wetread.viewer.ids import Ids, to_number, to_numbers

P = ParamSpec("P")
T = TypeVar("T")
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
    "pixel_length",
    "part",
)
"""Columns shown on a tile of the grid, in addition to the codes of its problems."""
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


def memoize(function: Callable[P, T], size: int = 1) -> Callable[P, T]:
    """Memoize a function in an LRU cache; threads with equal arguments wait for one computation.

    Exceptions are not cached.

    >>> from itertools import count
    >>> number = memoize(lambda _, numbers=count(): next(numbers), 2)
    >>> [number("a"), number("b"), number("a")]
    [0, 1, 0]
    """
    return cached(LRUCache[Any, T](size), condition=Condition())(function)


class RowQuery(NamedTuple):
    """Filter, search text and order of rows."""

    where: str = ""
    search: str = ""
    order: str = ""
    desc: bool = False


class Catalogue:
    """Queries over the rows of one index; thread-safe."""

    def __init__(
        self,
        index: IndexRows,
        settings: Settings = Settings(),
    ) -> None:
        if index.chosen is not None:  # filtered rows have no row numbers on disk
            index = IndexRows(index.root, index.schema, rows=all_rows(index))
        self.index = index
        self._seconds = settings.filter_seconds
        self.columns = list(index.schema.names)
        self._empty = IndexRows(index.root, index.schema, folder=Path(index.root))
        self._tiles = memoize(self._read_tiles)
        self._ids = memoize(self._sort_ids)
        self._series_numbers = memoize(self._number_series)
        self._order = memoize(self._make_order, _CACHED)
        self._series_order = memoize(self._order_series, _CACHED)
        self._matches = memoize(self._search, _CACHED)
        self.facet = memoize(self._count_facet, 4 * _CACHED)

    def __len__(self) -> int:
        return len(self.index)

    def _read_tiles(self) -> pa.Table:
        """Columns of the tiles for all rows, in memory: pages of any order come at once."""
        available = (name for name in dict.fromkeys([*TILE, *REPETITIVE]) if name in self.columns)
        codes = "list_distinct(list_transform(problems, lambda f: f.code)) AS problems"
        names = ", ".join(map(name_column, available))
        tiles = query(self.index, f"SELECT {names}, {codes} FROM index")
        for name in REPETITIVE:
            at = tiles.column_names.index(name)
            tiles = tiles.set_column(at, name, tiles[name].dictionary_encode().combine_chunks())
        return tiles

    def _sort_ids(self) -> tuple[Ids, RowNumbers]:
        """Ids of all rows, ascending, and their row numbers."""
        ids = to_numbers(self._tiles()["id"])
        order = np.argsort(ids, kind="stable")
        return ids[order], order.astype(np.uint32)

    def warm(self) -> None:
        """Load the columns of the first page."""
        self._ids()

    def count_images(self) -> int:
        """Number of rows with pixels."""
        return len(self) - int(self._tiles()["pixel_length"].null_count)

    def check(self, column: str) -> None:
        """Raise UnknownNameError if there is no such column."""
        if column not in self.columns:
            raise UnknownNameError("column", column, self.columns)

    def page(
        self, row_query: RowQuery, offset: int, limit: int, extra: Sequence[str]
    ) -> dict[str, Any]:
        """At most `limit` rows from `offset` on, with the `extra` columns, and the total."""
        for name in extra:
            self.check(name)
        ordered = self._order(row_query)
        numbers = ordered[offset : offset + limit]
        tiles = self._tiles()
        names = [name for name in (*TILE, "problems") if name in tiles.column_names]
        rows = tiles.select(names).take(pa.array(numbers)).to_pylist()
        if extra:
            more = fetch(self.index, numbers.tolist(), list(dict.fromkeys(extra))).to_pylist()
            rows = [{**row, "columns": values} for row, values in zip(rows, more, strict=True)]
        return {"total": len(ordered), "offset": offset, "rows": rows}

    def position(self, row_query: RowQuery, id_: str) -> dict[str, Any]:
        """Offset and neighbours of a row in a query; offset None if it does not match."""
        ordered = self._order(row_query)
        offset = self._offset(ordered, id_)
        return {"offset": offset, "total": len(ordered), **self._neighbours(ordered, offset)}

    def positions(self, row_query: RowQuery, ids: Iterable[str]) -> list[tuple[str, int]]:
        """The ids that match a query, in its order, with their offsets."""
        numbers = [number for number in map(self._row_number, ids) if number is not None]
        ordered = self._order(row_query)
        offsets = np.flatnonzero(np.isin(ordered, np.array(numbers, np.uint32)))
        matches = self._tiles()["id"].take(pa.array(ordered[offsets])).to_pylist()
        return list(zip(matches, offsets.tolist(), strict=True))

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
        return self._order(row_query)

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

    def rows(self, numbers: Sequence[int]) -> list[dict[str, Any]]:
        """Columns of the tiles of rows."""
        tiles = self._tiles()
        names = [name for name in (*TILE, "problems") if name in tiles.column_names]
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

    def _count_facet(self, column: str, where: str, search: str) -> dict[str, Any]:
        """Distribution of the values of a column; see `facets.count_values`."""
        self.check(column)
        numbers = self._order(RowQuery(where, search))
        if column in self._tiles().column_names:
            values = self._tiles()[column]
        else:
            values = query(self.index, f"SELECT {name_column(column)} FROM index")[0]
        return count_values(values.take(pa.array(numbers)) if where or search else values, column)

    def _make_order(self, row_query: RowQuery) -> RowNumbers:
        """Row numbers of the rows that match a query, in order."""
        where, search, order, desc = row_query
        if order:
            self.check(order)
        numbers = self._filter(where)
        if search:
            numbers = numbers[self._matches(search)[numbers]]
        if order in ("", "path"):  # the order of the index
            return numbers[::-1] if desc else numbers
        keys = query(self.index, f"SELECT {self._key(order)} AS key FROM index")["key"]
        ordered: RowNumbers = numbers[sort_stably(keys.take(pa.array(numbers)), desc)]
        return ordered

    def _filter(self, where: str) -> RowNumbers:
        """Row numbers of the rows that match a SQL expression."""
        if not where.strip():
            return np.arange(len(self), dtype=np.uint32)
        filter_rows(self._empty, where, self._seconds)  # checks that it is one expression
        numbered = 'SELECT *, row_number() OVER () - 1 AS "row number" FROM index'
        sql = f'SELECT "row number" FROM ({numbered}) "index" WHERE ({where}\n)'  # ends a comment
        matches = query(self.index, sql, seconds=self._seconds)
        numbers: RowNumbers = matches[0].to_numpy().astype(np.uint32)
        return numbers

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


def sort_stably(keys: pa.ChunkedArray, desc: bool = False) -> NDArray[np.int64]:
    """Stable argsort of values; missing values last in either direction.

    >>> sort_stably(pa.chunked_array([["b", None, "a", "b"]]), desc=True).tolist()
    [0, 3, 2, 1]
    """
    missing = np.asarray(keys.is_null(nan_is_null=True))
    if pa.types.is_temporal(keys.type):
        keys = keys.cast(pa.int32() if keys.type.bit_width == 32 else pa.int64())
    elif not (pa.types.is_integer(keys.type) or pa.types.is_floating(keys.type)):
        texts = keys.dictionary_encode().combine_chunks()  # compares each distinct text once
        ranks = pc.rank(texts.dictionary, "ascending", tiebreaker="dense")
        keys = ranks.take(texts.indices)
    numbers = np.asarray(keys.fill_null(0))
    if desc:
        order = len(numbers) - 1 - np.argsort(numbers[::-1], kind="stable")[::-1]
    else:
        order = np.argsort(numbers, kind="stable")
    return np.concatenate([order[~missing[order]], np.flatnonzero(missing)])

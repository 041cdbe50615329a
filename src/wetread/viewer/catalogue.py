"""The rows of an index for a browser that never holds them all: pages, places, facets.

Inside, a row is its place in the index: a number of four bytes, so that orders of a million rows
are made once and kept.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from wetread.errors import UnknownNameError
from wetread.images import batch
from wetread.settings import Settings
from wetread.table.query import name_column, query
from wetread.table.query import where as filter_rows
from wetread.table.rows import IndexRows, all_rows, fetch
from wetread.viewer.facets import count_values, kind_of
from wetread.viewer.ids import Ids, to_number, to_numbers
from wetread.viewer.lru import Kept

Places = NDArray[np.uint32]
CARD = (
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
"""What a tile of the grid shows, beside the codes of its problems."""
FEW = (
    "read_status",
    "Modality",
    "PhotometricInterpretation",
    "SeriesDescription",
    "StudyDescription",
    "ProtocolName",
    "BodyPartExamined",
)
"""Columns with few different values, which are kept once each; `search` looks into them, and into
path and member; for what may be one also into `UIDS`."""
UIDS = ("id", "SOPInstanceUID", "SeriesInstanceUID", "StudyInstanceUID")
_UID = re.compile(r"[0-9.]{6,}|[0-9a-f]{16}")
_KEPT = 16
"""Orders that are kept, as many searches and as many answers about columns."""


class Wish(NamedTuple):
    """Which rows, in which order."""

    where: str = ""
    search: str = ""
    order: str = ""
    desc: bool = False


class Catalogue:
    """Questions about the rows; may be asked from several threads."""

    def __init__(
        self,
        content: IndexRows,
        settings: Settings = Settings(),
    ) -> None:
        if content.chosen is not None:  # rows that were chosen have no places on disk
            content = IndexRows(content.root, content.schema, rows=all_rows(content))
        self.content = content
        self._seconds = settings.filter_seconds
        self.columns = list(content.schema.names)
        self._empty = IndexRows(content.root, content.schema, folder=Path(content.root))
        self._orders, self._masks, self._facets = Kept(_KEPT), Kept(_KEPT), Kept(4 * _KEPT)
        self._tables = Kept(3)

    def __len__(self) -> int:
        return len(self.content)

    @property
    def _cards(self) -> pa.Table:
        return self._tables.get("cards", self._read_cards)

    def _read_cards(self) -> pa.Table:
        """What tiles show of every row, in memory: pages of any order come at once."""
        wanted = (name for name in dict.fromkeys([*CARD, *FEW]) if name in self.columns)
        codes = "list_distinct(list_transform(problems, lambda f: f.code)) AS problems"
        names = ", ".join(map(name_column, wanted))
        cards = query(self.content, f"SELECT {names}, {codes} FROM index")
        for name in FEW:
            at = cards.column_names.index(name)
            cards = cards.set_column(at, name, cards[name].dictionary_encode().combine_chunks())
        return cards

    @property
    def _ids(self) -> tuple[Ids, Places]:
        return self._tables.get("ids", self._sort_ids)

    def _sort_ids(self) -> tuple[Ids, Places]:
        """The ids of all rows, ascending, and the place of each."""
        ids = to_numbers(self._cards["id"])
        order = np.argsort(ids, kind="stable")
        return ids[order], order.astype(np.uint32)

    def warm(self) -> None:
        """Read what the first page needs."""
        _ = self._ids

    def count_images(self) -> int:
        """How many rows have pixels."""
        return len(self) - int(self._cards["pixel_length"].null_count)

    def check(self, column: str) -> None:
        """Raises UnknownNameError where there is no such column."""
        if column not in self.columns:
            raise UnknownNameError("column", column, self.columns)

    def page(self, wish: Wish, offset: int, limit: int, extra: Sequence[str]) -> dict[str, Any]:
        """The rows from `offset` on, and how many there are in all."""
        for name in extra:
            self.check(name)
        ordered = self._order(wish)
        chosen = ordered[offset : offset + limit]
        names = [name for name in (*CARD, "problems") if name in self._cards.column_names]
        rows = self._cards.select(names).take(pa.array(chosen)).to_pylist()
        if extra:
            more = fetch(self.content, chosen.tolist(), list(dict.fromkeys(extra))).to_pylist()
            rows = [{**row, "columns": values} for row, values in zip(rows, more, strict=True)]
        return {"total": len(ordered), "offset": offset, "rows": rows}

    def place(self, wish: Wish, id_: str) -> dict[str, Any]:
        """Where a row stands in an order, and its neighbours; offset None where it is not in it."""
        ordered = self._order(wish)
        offset = self._find_in(ordered, id_)
        return {"offset": offset, "total": len(ordered), **self._neighbours(ordered, offset)}

    def among(self, wish: Wish, ids: Iterable[str]) -> list[tuple[str, int]]:
        """Those of some ids that are in an order, in it, and where."""
        found = [place for place in map(self._place, ids) if place is not None]
        ordered = self._order(wish)
        at = np.flatnonzero(np.isin(ordered, np.array(found, np.uint32)))
        chosen = self._cards["id"].take(pa.array(ordered[at])).to_pylist()
        return list(zip(chosen, at.tolist(), strict=True))

    def row(self, id_: str, columns: Sequence[str] = ()) -> dict[str, Any] | None:
        """One row, with the columns that decoding needs; None where there is none of that id."""
        place = self._place(id_)
        if place is None:
            return None
        names = [*batch.COLUMNS, "problems", *(c for c in columns if c in self.columns)]
        found = fetch(self.content, [place], list(dict.fromkeys(names)))
        row: dict[str, Any] = found.to_pylist()[0]
        return row

    def series(self, id_: str) -> dict[str, Any]:
        """The place of an image in its series, by Instance Number."""
        place = self._place(id_)
        codes = self._tables.get("series", self._number_series)
        code = -1 if place is None else int(codes[place])
        if code < 0:
            return {"place": 0, "count": 1, "previous": None, "next": None}
        ordered = self._orders.get(code, lambda: self._order_series(codes == code))
        at = self._find_in(ordered, id_)
        return {"place": at or 0, "count": len(ordered), **self._neighbours(ordered, at)}

    def _number_series(self) -> NDArray[np.int32]:
        """A number for the series of every row; -1 without a series or pixels."""
        uids = query(self.content, "SELECT SeriesInstanceUID FROM index")[0].dictionary_encode()
        codes = uids.combine_chunks().indices.fill_null(-1).to_numpy().copy()
        codes[np.asarray(self._cards["pixel_length"].is_null())] = -1
        return np.asarray(codes, np.int32)

    def _order_series(self, mine: NDArray[np.bool_]) -> Places:
        places = np.flatnonzero(mine).astype(np.uint32)
        numbers = fetch(self.content, places.tolist(), ["InstanceNumber"])[0]
        ordered: Places = places[sort_stably(numbers)]
        return ordered

    def facet(self, column: str, where: str, search: str) -> dict[str, Any]:
        """How the values of a column are distributed; see `facets.count_values`."""
        self.check(column)

        def count() -> dict[str, Any]:
            chosen = self._order(Wish(where, search))
            if column in self._cards.column_names:
                values = self._cards[column]
            else:
                values = query(self.content, f"SELECT {name_column(column)} FROM index")[0]
            chosen_values = values.take(pa.array(chosen)) if where or search else values
            return count_values(chosen_values, column)

        counted: dict[str, Any] = self._facets.get((column, where, search), count)
        return counted

    def _order(self, wish: Wish) -> Places:
        """The places of the rows that are wished for, in order."""
        if wish.order:
            self.check(wish.order)
        ordered: Places = self._orders.get(wish, lambda: self._make_order(wish))
        return ordered

    def _make_order(self, wish: Wish) -> Places:
        places = self._choose(wish.where)
        if wish.search:
            places = places[self._masks.get(wish.search, lambda: self._search(wish.search))[places]]
        if wish.order in ("", "path"):  # the order of the index
            return places[::-1] if wish.desc else places
        sql = f"SELECT {self._key(wish.order)} AS key FROM index"
        keys = query(self.content, sql)["key"].take(pa.array(places))
        ordered: Places = places[sort_stably(keys, wish.desc)]
        return ordered

    def _choose(self, where: str) -> Places:
        """The places of the rows that fulfil an expression."""
        if not where.strip():
            return np.arange(len(self), dtype=np.uint32)
        filter_rows(self._empty, where, self._seconds)  # that it is one expression over the columns
        numbered = 'SELECT *, row_number() OVER () - 1 AS "row number" FROM index'
        sql = f'SELECT "row number" FROM ({numbered}) "index" WHERE ({where}\n)'  # ends a comment
        found = query(self.content, sql, seconds=self._seconds)
        places: Places = found[0].to_numpy().astype(np.uint32)
        return places

    def _search(self, text: str) -> NDArray[np.bool_]:
        """For every row whether a text is in it."""
        found = np.zeros(len(self), bool)
        for name in ("path", "member"):
            hits = pc.match_substring(self._cards[name], text, ignore_case=True)
            found |= np.asarray(hits.fill_null(False))
        for name in FEW:
            for chunk in self._cards[name].chunks:
                hits = pc.match_substring(chunk.dictionary, text, ignore_case=True)
                found |= np.asarray(hits.take(chunk.indices).fill_null(False))
        if _UID.fullmatch(text):
            each = " OR ".join(f"contains({name}, ?)" for name in UIDS)
            sql = f"SELECT coalesce({each}, false) FROM index"
            found |= query(self.content, sql, [text] * len(UIDS))[0].to_numpy()
        return found

    def _key(self, column: str) -> str:
        """What rows are ordered by: of lists the first value, of problems their number."""
        type_ = self.content.schema.field(column).type
        if kind_of(type_) != "list":
            return name_column(column)
        records = pa.types.is_struct(type_.value_type)
        return f"len({name_column(column)})" if records else f"{name_column(column)}[1]"

    def _place(self, id_: str) -> int | None:
        ids, places = self._ids
        number = to_number(id_)
        at = int(np.searchsorted(ids, number))
        return int(places[at]) if at < len(ids) and ids[at] == number else None

    def _find_in(self, ordered: Places, id_: str) -> int | None:
        place = self._place(id_)
        if place is None:
            return None
        (at,) = np.nonzero(ordered == np.uint32(place))
        return int(at[0]) if len(at) else None

    def _neighbours(self, ordered: Places, at: int | None) -> dict[str, str | None]:
        def id_at(offset: int) -> str | None:
            if at is None or not 0 <= offset < len(ordered):
                return None
            return str(self._cards["id"][int(ordered[offset])].as_py())

        return {"previous": id_at((at or 0) - 1), "next": id_at((at or 0) + 1)}


def sort_stably(keys: pa.ChunkedArray, desc: bool = False) -> NDArray[np.int64]:
    """The order of values, missing ones last either way; equal ones keep theirs.

    >>> sort_stably(pa.chunked_array([["b", None, "a", "b"]]), desc=True).tolist()
    [0, 3, 2, 1]
    """
    missing = np.asarray(keys.is_null(nan_is_null=True))
    if pa.types.is_temporal(keys.type):
        keys = keys.cast(pa.int32() if keys.type.bit_width == 32 else pa.int64())
    elif not (pa.types.is_integer(keys.type) or pa.types.is_floating(keys.type)):
        texts = keys.dictionary_encode().combine_chunks()  # each text is compared once
        ranks = pc.rank(texts.dictionary, "ascending", tiebreaker="dense")
        keys = ranks.take(texts.indices)
    numbers = np.asarray(keys.fill_null(0))
    if desc:
        order = len(numbers) - 1 - np.argsort(numbers[::-1], kind="stable")[::-1]
    else:
        order = np.argsort(numbers, kind="stable")
    return np.concatenate([order[~missing[order]], np.flatnonzero(missing)])

"""The rows of an index for a browser that never holds them all: pages, places, facets."""

from __future__ import annotations

import threading
from collections import OrderedDict
from collections.abc import Callable, Iterable, Sequence
from dataclasses import replace
from functools import cached_property
from typing import Any, NamedTuple

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from wetread import bulk
from wetread.errors import UnknownNameError
from wetread.table.store import Content, fetch, query
from wetread.table.store import where as narrow

Ids = NDArray[np.uint64]
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
    "findings",
)
"""What a tile of the grid shows."""
SEARCHED = (
    "path",
    "member",
    "SOPInstanceUID",
    "Modality",
    "SeriesDescription",
    "StudyDescription",
    "ProtocolName",
    "BodyPartExamined",
)
"""The columns that `search` looks into."""
_KEPT = 24
"""Orders that are kept, and answers about columns."""


class Wish(NamedTuple):
    """Which rows, in which order."""

    where: str = ""
    search: str = ""
    order: str = ""
    desc: bool = False


class Catalogue:
    """Questions about the rows; may be asked from several threads."""

    def __init__(self, content: Content) -> None:
        self.content = content
        self._base = replace(content, chosen=None)
        self._orders: OrderedDict[Any, Any] = OrderedDict()
        self._lock = threading.Lock()

    @property
    def columns(self) -> list[str]:
        """The names of the columns."""
        return list(self.content.schema.names)

    @cached_property
    def _places(self) -> tuple[Ids, NDArray[np.int64]]:
        """The ids of all rows, ascending, and the place of each."""
        ids = to_numbers(query(self._base, "SELECT id FROM index")["id"])
        order = np.argsort(ids, kind="stable")
        return ids[order], order

    @cached_property
    def _cards(self) -> pa.Table:
        """What tiles show of every row, in memory: pages of any order come at once."""
        names = [name for name in CARD if name in self.columns and name != "findings"]
        chosen = ", ".join(map(quoted, names))
        codes = "list_distinct(list_transform(findings, lambda f: f.code)) AS codes"
        cards = query(self._base, f"SELECT {chosen}, {codes} FROM index")
        return _with_dictionaries(cards)

    def warm(self) -> None:
        """Read what the first page needs."""
        _ = self._places, self._cards

    def ordered(self, wish: Wish) -> Ids:
        """The ids of the rows, in order."""
        return self._remember(wish, lambda: self._order(wish))

    def _order(self, wish: Wish) -> Ids:
        content, condition, values = self._narrowed(wish.where, wish.search)
        order = ""
        if wish.order:
            self.check(wish.order)
            way = "DESC" if wish.desc else "ASC"
            order = f"ORDER BY {quoted(wish.order)} {way} NULLS LAST, path, member"
        found = query(content, f"SELECT id FROM index {condition} {order}", values)
        ids = to_numbers(found["id"])
        return ids[::-1] if wish.desc and not wish.order else ids

    def page(self, wish: Wish, offset: int, limit: int, extra: Sequence[str]) -> dict[str, Any]:
        """The rows from `offset` on, and how many there are in all."""
        for name in extra:
            self.check(name)
        ids = self.ordered(wish)
        chosen = ids[offset : offset + limit]
        places = self._find(chosen)
        rows = self._cards.take(pa.array(places)).to_pylist()
        if extra:
            more = fetch(self._base, places.tolist(), list(dict.fromkeys(extra))).to_pylist()
            rows = [{**row, "columns": values} for row, values in zip(rows, more, strict=True)]
        return {"total": len(ids), "offset": offset, "rows": rows}

    def place(self, wish: Wish, id_: str) -> dict[str, Any]:
        """Where a row stands in an order, and its neighbours; offset None where it is not in it."""
        ids = self.ordered(wish)
        (at,) = np.nonzero(ids == np.uint64(int(id_, 16)))
        if not len(at):
            return {"offset": None, "total": len(ids), "previous": None, "next": None}
        offset = int(at[0])
        return {"offset": offset, "total": len(ids), **_neighbours(ids, offset)}

    def among(self, wish: Wish, ids: Iterable[str]) -> list[str]:
        """Those of some ids that are in an order, in it."""
        ordered = self.ordered(wish)
        some = np.array([int(id_, 16) for id_ in ids], np.uint64)
        return [to_id(number) for number in ordered[np.isin(ordered, some)]]

    def count_images(self) -> int:
        """How many rows have pixels."""
        return int(query(self.content, "SELECT count(pixel_length) AS n FROM index")["n"][0].as_py())

    def row(self, id_: str, columns: Sequence[str] = ()) -> dict[str, Any] | None:
        """One row, with the columns that decoding needs; None where there is none of that id."""
        number = np.array([int(id_, 16)], np.uint64)
        ids, places = self._places
        at = int(np.searchsorted(ids, number)[0])
        if at == len(ids) or ids[at] != number[0]:
            return None
        names = [*bulk.COLUMNS, "findings", *(c for c in columns if c in self.columns)]
        found = fetch(self._base, [int(places[at])], list(dict.fromkeys(names)))
        row: dict[str, Any] = found.to_pylist()[0]
        return row

    def series(self, uid: str | None, id_: str) -> dict[str, Any]:
        """The place of an image in its series, by Instance Number."""
        if not uid:
            return {"place": 0, "count": 1, "previous": None, "next": None}

        def find() -> Ids:
            sql = (
                "SELECT id FROM index WHERE SeriesInstanceUID = ? AND pixel_length IS NOT NULL "
                "ORDER BY InstanceNumber NULLS LAST, path, member"
            )
            return to_numbers(query(self.content, sql, [uid])["id"])

        ids = self._remember(("series", uid), find)
        (at,) = np.nonzero(ids == np.uint64(int(id_, 16)))
        if not len(at):
            return {"place": 0, "count": 1, "previous": None, "next": None}
        return {"place": int(at[0]), "count": len(ids), **_neighbours(ids, int(at[0]))}

    def facet(self, column: str, where: str, search: str) -> dict[str, Any]:
        """How the values of a column are distributed."""
        from wetread.viewer.facets import count_values

        self.check(column)

        def find() -> dict[str, Any]:
            content, condition, values = self._narrowed(where, search)
            return count_values(content, column, condition, values)

        return self._remember(("facet", column, where, search), find)

    def check(self, column: str) -> None:
        """Raises UnknownNameError where there is no such column."""
        if column not in self.columns:
            raise UnknownNameError("column", column, self.columns)

    def _narrowed(self, where: str, search: str) -> tuple[Content, str, list[str]]:
        """The content that `where` leaves, and the condition of `search` with its values."""
        content = narrow(self.content, where) if where.strip() else self.content
        if not search:
            return content, "", []
        names = [name for name in SEARCHED if name in self.columns]
        each = [f"contains(lower({quoted(name)}), ?)" for name in names]
        return content, f"WHERE {' OR '.join(each)}", [search.lower()] * len(names)

    def _find(self, ids: Ids) -> NDArray[np.int64]:
        known, places = self._places
        return places[np.searchsorted(known, ids)]

    def _remember(self, key: Any, make: Callable[[], Any]) -> Any:
        with self._lock:
            if key in self._orders:
                self._orders.move_to_end(key)
                return self._orders[key]
        made = make()
        with self._lock:
            self._orders[key] = made
            while len(self._orders) > _KEPT:
                self._orders.popitem(last=False)
        return made


def quoted(name: str) -> str:
    """A column in SQL."""
    return '"' + name.replace('"', '""') + '"'


def to_numbers(ids: pa.ChunkedArray) -> Ids:
    """Ids of 16 hex digits as numbers, which take half the room.

    >>> to_numbers(pa.chunked_array([["00000000000000ff", "8000000000000000"]])).tolist()
    [255, 9223372036854775808]
    """
    flat = ids.combine_chunks()
    if not len(flat):
        return np.zeros(0, np.uint64)
    text = _text(flat)
    digits = np.frombuffer(text, "u1").reshape(-1, 16)
    nibbles = np.where(digits > 57, digits - 87, digits - 48)  # "a" is 97, "0" is 48
    pairs = np.ascontiguousarray(nibbles[:, ::2] << 4 | nibbles[:, 1::2])
    numbers: Ids = pairs.view(">u8").ravel().astype(np.uint64)
    return numbers


def _text(strings: pa.StringArray) -> memoryview:
    """The characters of strings, one after the other."""
    _, offsets, data = strings.buffers()
    ends = np.frombuffer(offsets, "i4")[[strings.offset, strings.offset + len(strings)]]
    return memoryview(data)[ends[0] : ends[1]]


def to_id(number: Any) -> str:
    """An id as the index has it.

    >>> to_id(np.uint64(255))
    '00000000000000ff'
    """
    return f"{int(number):016x}"


def _neighbours(ids: Ids, at: int) -> dict[str, str | None]:
    return {
        "previous": to_id(ids[at - 1]) if at else None,
        "next": to_id(ids[at + 1]) if at + 1 < len(ids) else None,
    }


def _with_dictionaries(cards: pa.Table) -> pa.Table:
    """Columns of few values take little room."""
    for name in ("read_status", "Modality", "PhotometricInterpretation"):
        if name in cards.column_names:
            at = cards.column_names.index(name)
            cards = cards.set_column(at, name, cards[name].dictionary_encode())
    return cards

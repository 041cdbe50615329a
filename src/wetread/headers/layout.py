"""Buffers of the columns of a block, slices of one array (Arrow's columnar format)."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from wetread.headers.core.constants import (
    AT_BOUNDS,
    AT_DATA,
    AT_LIST_BOUNDS,
    AT_LIST_VALID,
    AT_VALID,
    BYTES,
    COUNTED,
    DATE,
    FILLED,
    LIST_FILLED,
    LISTED,
    PARTS,
    PLACES,
    SEQUENCE,
    TEXT,
    USED,
)
from wetread.headers.schema import ARROW_TYPES, Column

Bytes = npt.NDArray[np.uint8]
Int64s = npt.NDArray[np.int64]

_ALIGNED = 64
"""Bytes; Arrow recommends it for vectorized functions."""
_LARGEST = 2**31 - 1
"""Bytes or values of one array."""
_WIDTH = np.zeros(SEQUENCE + 1, np.int64)
for _family, _kind in ARROW_TYPES.items():
    _WIDTH[_family] = 0 if pa.types.is_string(_kind) else _kind.bit_width // 8
_WIDTHS: list[int] = _WIDTH.tolist()
"""Bytes of a value by family; 0 for texts."""


class Layout:
    """Places of the values of columns in one array of bytes.

    Args:
        rows: number of rows of every column.
        families: uint8[n]: family of each column.
        is_list: uint8[n]: 1 for columns of lists.
        counts: int64[n, COUNTS]: of the values of each column; see `ColumnBuilder.measure`.

    Raises:
        OverflowError: a column has 2 GiB of texts or 2**31 values.
    """

    def __init__(
        self,
        rows: int,
        families: npt.NDArray[np.uint8],
        is_list: npt.NDArray[np.uint8],
        counts: Int64s,
    ) -> None:
        if counts.max(initial=0) > _LARGEST:
            raise OverflowError(f"{counts.max()} bytes or values in one array")
        self.rows, self._counts = rows, counts
        self._families, self._is_list = families, is_list > 0
        width = _WIDTH[families]
        is_text, values = width == 0, np.where(self._is_list, counts[:, PARTS], rows)
        sizes = np.full((AT_LIST_BOUNDS + 1, len(families)), -1)
        sizes[AT_VALID] = -(-rows // 8)
        sizes[AT_BOUNDS] = np.where(self._is_list | is_text, 4 * (rows + 1), -1)
        sizes[AT_DATA] = np.where(is_text, counts[:, BYTES], width * values)
        parsed = self._is_list & (families > TEXT) & (families <= DATE)
        sizes[AT_LIST_VALID] = np.where(parsed, -(-values // 8), -1)
        sizes[AT_LIST_BOUNDS] = np.where(self._is_list & is_text, 4 * (values + 1), -1)
        sizes[:, counts[:, PARTS] == 0] = -1
        room = (sizes.clip(0) + _ALIGNED - 1) // _ALIGNED * _ALIGNED
        ends = room.ravel().cumsum()
        self.places = np.zeros((len(families), PLACES), np.int64)
        self.places[:, : len(sizes)] = np.where(sizes < 0, -1, ends.reshape(sizes.shape) - room).T
        self.values = np.zeros(int(ends[-1]) // 8 if ends.size else 0, np.int64)

    @property
    def codes(self) -> list[int]:
        """Numbers of the columns that the elements have, by their order."""
        return np.flatnonzero(self._counts[:, COUNTED]).tolist()

    def arrays(self, columns: list[Column]) -> dict[int, pa.Array]:
        """Arrays of `codes`."""
        data, places = pa.py_buffer(self.values), self.places.tolist()
        return {code: self._array(columns[code], data, places[code]) for code in self.codes}

    def _array(self, column: Column, data: pa.Buffer, place: list[int]) -> pa.Array:
        kind, rows = column.type, self.rows
        if place[AT_VALID] < 0:
            return pa.nulls(rows, kind)
        valid = None if place[FILLED] == rows else data.slice(place[AT_VALID], -(-rows // 8))
        width, count = _WIDTHS[column.family], place[LISTED] if column.is_list else rows
        values = data.slice(place[AT_DATA], width * count if width else place[USED])
        buffers = [valid, values]
        if place[AT_BOUNDS] >= 0:
            buffers.insert(1, data.slice(place[AT_BOUNDS], 4 * (rows + 1)))
        if not column.is_list:
            return pa.Array.from_buffers(kind, rows, buffers)
        listed = [None, values]
        if place[AT_LIST_VALID] >= 0 and place[LIST_FILLED] < count:
            listed[0] = data.slice(place[AT_LIST_VALID], -(-count // 8))
        if place[AT_LIST_BOUNDS] >= 0:
            listed.insert(1, data.slice(place[AT_LIST_BOUNDS], 4 * (count + 1)))
        flat = pa.Array.from_buffers(ARROW_TYPES[column.family], count, listed)
        return pa.Array.from_buffers(kind, rows, buffers[:2], children=[flat])

    def first_value(self, code: int, row: int) -> int:
        """Number of the value of a row, or of the first one of its list."""
        if not self._is_list[code]:
            return row
        return int(self.values.view(np.int32)[self.places[code, AT_BOUNDS] // 4 + row])

    def find_nulls(self, code: int, first: int, count: int) -> list[int]:
        """Those of `count` values, given by their numbers from `first` on, that are null."""
        start, end = self._valid(code) + first // 8, self._valid(code) + (first + count + 7) // 8
        bits = np.unpackbits(self.values.view(np.uint8)[start:end], bitorder="little")
        nulls = np.flatnonzero(bits[first % 8 : first % 8 + count] == 0)
        found: list[int] = (nulls + first).tolist()
        return found

    def fill(self, code: int, value: int, number: float | int) -> None:
        """Write a number in place of a null."""
        numbers = self.values.view(ARROW_TYPES[int(self._families[code])].to_pandas_dtype())
        numbers[self.places[code, AT_DATA] // 8 + value] = number
        self.values.view(np.uint8)[self._valid(code) + value // 8] |= 1 << value % 8
        self.places[code, LIST_FILLED if self._is_list[code] else FILLED] += 1

    def _valid(self, code: int) -> int:
        return int(self.places[code, AT_LIST_VALID if self._is_list[code] else AT_VALID])

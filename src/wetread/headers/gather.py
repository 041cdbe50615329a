"""Texts of many ranges of the arena."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from wetread.headers.core import texts

Bytes = npt.NDArray[np.uint8]
Int64s = npt.NDArray[np.int64]


def trim(arena: Bytes, start: Int64s, length: Int64s) -> Int64s:
    """Lengths without trailing spaces and NULs (PS3.5 6.2), all values at once."""
    length = length.copy()
    texts.measure(arena, start, length)
    return length


def gather_bytes(arena: Bytes, start: Int64s, length: Int64s) -> pa.BinaryArray:
    """Bytes of ranges.

    Raises:
        OverflowError: they have 2 GiB or more.
    """
    return _gather(arena, start, length, pa.binary())


def gather_strings(arena: Bytes, start: Int64s, length: Int64s) -> pa.StringArray:
    """Trimmed texts of ranges; a byte that is not ASCII becomes a question mark.

    >>> arena = np.frombuffer(bytearray(b"abc ef"), np.uint8)
    >>> gather_strings(arena, np.array([4, 0]), np.array([2, 4])).to_pylist()
    ['ef', 'abc']

    Raises:
        OverflowError: they have 2 GiB or more.
    """
    return _gather(arena, start, trim(arena, start, length), pa.string())


def _gather(arena: Bytes, start: Int64s, length: Int64s, kind: pa.DataType) -> pa.Array:
    data = np.empty(int(length.sum()), np.uint8)
    if len(data) > 2**31 - 1:
        raise OverflowError(f"{len(data)} bytes in one array")
    bounds = np.empty(len(start) + 1, np.int32)
    texts.copy(arena, start, length, data, bounds)
    if kind == pa.string():
        data[data >= 0x80] = ord("?")
    return pa.Array.from_buffers(kind, len(start), [None, pa.py_buffer(bounds), pa.py_buffer(data)])

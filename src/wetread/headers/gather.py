"""Texts of many ranges of the arena."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from wetread.headers.core import ranges

Bytes = npt.NDArray[np.uint8]
Int64s = npt.NDArray[np.int64]


def gather(arena: Bytes, start: Int64s, length: Int64s) -> tuple[Bytes, Int64s, bool]:
    """Bytes of many ranges one after the other, their n + 1 bounds, and whether any is strange.

    Strange are bytes above ASCII, and the escape.

    >>> arena = np.frombuffer(bytearray(b"abcdef"), np.uint8)
    >>> gather(arena, np.array([4, 0]), np.array([2, 1]))[0].tobytes()
    b'efa'
    """
    bounds = np.zeros(len(start) + 1, np.int64)
    np.cumsum(length, out=bounds[1:])
    data = np.empty(bounds[-1], np.uint8)
    strange = ranges.copy(arena, start, length, data)
    return data, bounds, strange


def trim(arena: Bytes, start: Int64s, length: Int64s) -> Int64s:
    """Lengths without trailing spaces and NULs (PS3.5 6.2), all values at once."""
    length = length.copy()
    ranges.trim(arena, start, length)
    return length


def as_strings(data: Bytes, bounds: Int64s) -> pa.StringArray:
    """A string array over ASCII (or UTF-8) bytes and their n + 1 bounds."""
    offsets = pa.py_buffer(bounds.astype(np.int32))
    return pa.StringArray.from_buffers(len(bounds) - 1, offsets, pa.py_buffer(data))


def gather_strings(arena: Bytes, start: Int64s, length: Int64s) -> pa.StringArray:
    """Trimmed texts of ranges; a byte that is not ASCII becomes a question mark."""
    data, bounds, strange = gather(arena, start, trim(arena, start, length))
    if strange:
        data = np.where(data < 0x80, data, ord("?")).astype(np.uint8)
    return as_strings(data, bounds)

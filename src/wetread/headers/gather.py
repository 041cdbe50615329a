"""Many ranges of bytes at once."""

from __future__ import annotations

from itertools import pairwise

import numpy as np
import numpy.typing as npt
import pyarrow as pa

Bytes = npt.NDArray[np.uint8]
Int64s = npt.NDArray[np.int64]


_PIECE = 64 * 1024
"""Bytes gathered at once: their indices stay in the processor's cache."""


def gather(arena: Bytes, start: Int64s, length: Int64s) -> tuple[Bytes, Int64s]:
    """Bytes of many ranges one after the other, and their n + 1 bounds.

    >>> gather(np.frombuffer(b"abcdef", np.uint8), np.array([4, 0]), np.array([2, 1]))[0].tobytes()
    b'efa'
    """
    bounds = np.zeros(len(start) + 1, np.int64)
    np.cumsum(length, out=bounds[1:])
    data = np.empty(bounds[-1], np.uint8)
    shift = start - bounds[:-1]
    cuts = np.searchsorted(bounds, np.arange(0, bounds[-1], _PIECE)).tolist()
    for begin, end in pairwise([*cuts, len(length)]):
        first, last = bounds[begin], bounds[end]
        where = np.repeat(shift[begin:end], length[begin:end])
        where += np.arange(first, last)
        arena.take(where, out=data[first:last], mode="clip")
    return data, bounds


def trim(arena: Bytes, start: Int64s, length: Int64s) -> Int64s:
    """Lengths without trailing spaces and NULs (PS3.5 6.2), all values at once."""
    length = length.copy()
    left = np.flatnonzero(length > 0)
    while left.size:
        last = arena[start[left] + length[left] - 1]
        left = left[(last == 0x20) | (last == 0)]
        length[left] -= 1
        left = left[length[left] > 0]
    return length


def as_strings(data: Bytes, bounds: Int64s) -> pa.StringArray:
    """A string array over ASCII (or UTF-8) bytes and their n + 1 bounds."""
    offsets = pa.py_buffer(bounds.astype(np.int32))
    return pa.StringArray.from_buffers(len(bounds) - 1, offsets, pa.py_buffer(data))


def gather_strings(arena: Bytes, start: Int64s, length: Int64s) -> pa.StringArray:
    """Trimmed texts of ranges; a byte that is not ASCII becomes a question mark."""
    data, bounds = gather(arena, start, trim(arena, start, length))
    return as_strings(np.where(data < 0x80, data, ord("?")).astype(np.uint8), bounds)

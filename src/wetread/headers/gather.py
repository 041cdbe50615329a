"""Texts of many ranges of the arena."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from wetread.headers.core import texts

Bytes = npt.NDArray[np.uint8]
Int32s = npt.NDArray[np.int32]
Int64s = npt.NDArray[np.int64]


def trim(arena: Bytes, start: Int64s, length: Int64s) -> Int64s:
    """Lengths without trailing spaces and NULs (PS3.5 6.2), all values at once."""
    length = length.copy()
    texts.measure(arena, start, length)
    return length


def gather(
    arena: Bytes, start: Int64s, length: Int64s, flags: Bytes | None = None
) -> tuple[Bytes, Int32s, Bytes]:
    """Bytes of n ranges one after the other, their n + 1 bounds, and flags of those not in ASCII.

    `flags`: 1 leading spaces are left out, 2 trailing `=`. An escape is not ASCII either.

    >>> arena = np.frombuffer(bytearray(b"abcdef"), np.uint8)
    >>> gather(arena, np.array([4, 0]), np.array([2, 1]))[0].tobytes()
    b'efa'
    """
    data = np.empty(int(length.sum()), np.uint8)
    if len(data) > 2**31 - 1:
        raise OverflowError(f"{len(data)} bytes in one array")
    bounds, strange = np.empty(len(start) + 1, np.int32), np.empty(len(start), np.uint8)
    none = np.zeros(len(start), np.uint8) if flags is None else flags
    texts.copy(arena, start, length, none, data, bounds, strange)
    return data[: bounds[-1]], bounds, strange


def as_strings(data: Bytes, bounds: Int32s) -> pa.StringArray:
    """A string array over ASCII (or UTF-8) bytes and their n + 1 bounds."""
    return pa.StringArray.from_buffers(len(bounds) - 1, pa.py_buffer(bounds), pa.py_buffer(data))


def gather_strings(arena: Bytes, start: Int64s, length: Int64s) -> pa.StringArray:
    """Trimmed texts of ranges; a byte that is not ASCII becomes a question mark."""
    data, bounds, strange = gather(arena, start, trim(arena, start, length))
    if strange.any():
        data = np.where(data < 0x80, data, ord("?")).astype(np.uint8)
    return as_strings(data, bounds)

"""Conversion between image ids of 16 hexadecimal digits and uint64."""

from __future__ import annotations

from typing import Any

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from wetread.common.arrays import whole_array

Ids = NDArray[np.uint64]


def to_numbers(ids: pa.ChunkedArray | pa.Array) -> Ids:
    """Ids as uint64, without nulls.

    >>> to_numbers(pa.array(["00000000000000ff", "8000000000000000"])).tolist()
    [255, 9223372036854775808]
    """
    flat = whole_array(ids)
    if not len(flat):
        return np.zeros(0, np.uint64)
    _, offsets, data = flat.buffers()
    first = int(np.frombuffer(offsets, "i4")[flat.offset])
    digits = np.frombuffer(data, "u1")[first : first + 16 * len(flat)].reshape(-1, 16)
    nibbles = np.where(digits > 57, digits - 87, digits - 48)  # "a" is 97, "0" is 48
    pairs = np.ascontiguousarray(nibbles[:, ::2] << 4 | nibbles[:, 1::2])
    return pairs.view(">u8").ravel().astype(np.uint64)


def to_number(id_: str) -> np.uint64:
    """Convert one id to uint64."""
    return np.uint64(int(id_, 16))


def to_id(number: Any) -> str:
    """Convert a uint64 to an id.

    >>> to_id(np.uint64(255))
    '00000000000000ff'
    """
    return f"{int(number):016x}"

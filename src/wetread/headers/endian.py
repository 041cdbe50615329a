"""Big endian numbers turned round, so that one conversion serves both (PS3.5 7.3)."""

from __future__ import annotations

import numpy as np

from wetread.headers.gather import Bytes
from wetread.headers.schema import SWAPPED_VRS, pack_vr
from wetread.headers.walk import Elements


def swap_value(value: bytes, vr: str) -> bytes:
    """A big-endian value as a little-endian one; a rest that fills no number stays.

    >>> swap_value(bytes([1, 2, 3, 4, 5]), "US").hex()
    '0201040305'
    """
    size = SWAPPED_VRS.get(vr, 1)
    whole = len(value) - len(value) % size
    numbers = np.frombuffer(value[:whole], np.uint8).reshape(-1, size)
    return numbers[:, ::-1].tobytes() + value[whole:]


def swap_values(arena: Bytes, elements: Elements) -> None:
    """The same for many values, where they lie; the File Meta group is never big endian."""
    for vr, size in SWAPPED_VRS.items():
        chosen = (elements.vr == pack_vr(vr)) & (elements.tag >> 16 != 2)
        start, count = elements.start[chosen], elements.length[chosen] // size
        step = np.arange(count.sum()) - np.repeat(np.cumsum(count) - count, count)
        first = np.repeat(start, count) + step * size
        places = first[:, None] + np.arange(size)
        arena[places] = arena[places[:, ::-1]]

"""Byte order of big-endian values, swapped before conversion (PS3.5 7.3)."""

from __future__ import annotations

import numpy as np

from wetread.headers.core.constants import (
    BIG,
    F_CLIPPED,
    R_ENCODING,
)
from wetread.headers.core.texts import swap
from wetread.headers.schema import SWAPPED_VRS, column_of, pack_vr
from wetread.headers.walks import (
    Bytes,
    Elements,
    Walked,
)

_SIZES = np.zeros(65536, np.uint8)
"""Bytes of a number, by packed VR; 0 for texts."""
for _vr, _size in SWAPPED_VRS.items():
    _SIZES[pack_vr(_vr)] = _size


def swap_values(arena: Bytes, elements: Elements, walked: Walked) -> None:
    """Swap the values of big-endian files in place, without File Meta (PS3.10 7.1)."""
    rows = np.flatnonzero(walked.rows[R_ENCODING] & BIG)
    if not len(rows):
        return
    big = elements.take(elements.of_rows(rows))
    chosen = (big.start >= 0) & (big.tag >> 16 != 2)
    chosen &= (big.depth == 0) & (big.bits & F_CLIPPED == 0)
    chosen &= (big.tag & 0xFFFF != 0) & ((big.tag & 0x10000) == 0)
    big = big.take(np.flatnonzero(chosen))
    for i in np.flatnonzero(big.vr == 0).tolist():
        big.vr[i] = pack_vr(column_of(int(big.tag[i])).vrs[0])
    swap(arena, big.start, big.length, _SIZES[big.vr])

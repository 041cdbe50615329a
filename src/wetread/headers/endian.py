"""Byte order of big-endian values, swapped before conversion (PS3.5 7.3)."""

from __future__ import annotations

import numpy as np

from wetread.headers.core.constants import (
    BIG,
    F_CLIPPED,
    R_ENCODING,
)
from wetread.headers.schema import SWAPPED_VRS, column_of, pack_vr
from wetread.headers.walks import (
    Bytes,
    Elements,
    Walked,
)


def swap_values(arena: Bytes, elements: Elements, walked: Walked) -> None:
    """Swap the values of big-endian files in place, without File Meta (PS3.10 7.1)."""
    is_big = walked.rows[R_ENCODING] & BIG > 0
    if not is_big.any():
        return
    big = elements.take(np.flatnonzero(is_big[elements.row]))
    chosen = (big.start >= 0) & (big.tag >> 16 != 2)
    chosen &= (big.depth == 0) & (big.bits & F_CLIPPED == 0)
    chosen &= (big.tag & 0xFFFF != 0) & ((big.tag & 0x10000) == 0)
    _swap(arena, big.take(np.flatnonzero(chosen)))


def _swap(arena: Bytes, chosen: Elements) -> None:
    vrs = chosen.vr.copy()
    for i in np.flatnonzero(vrs == 0):
        vrs[i] = pack_vr(column_of(int(chosen.tag[i])).vrs[0])
    for vr, size in SWAPPED_VRS.items():
        start, length = chosen.start[vrs == pack_vr(vr)], chosen.length[vrs == pack_vr(vr)]
        count = length // size
        step = np.arange(count.sum()) - np.repeat(np.cumsum(count) - count, count)
        first = np.repeat(start, count) + step * size
        places = first[:, None] + np.arange(size)
        arena[places] = arena[places[:, ::-1]]

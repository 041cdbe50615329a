"""Tables of families of VRs, for the compiled functions that read values."""

from __future__ import annotations

from functools import lru_cache

import numpy as np

from wetread.headers.core.constants import (
    AT,
    FD,
    FL,
    NO_FAMILY,
    SEQUENCE,
    SL,
    SS,
    SV,
    UL,
    US,
    UV,
)
from wetread.headers.schema import FAMILY_OF_VR, pack_vr

NUMBERS = {
    US: "<u2",
    SS: "<i2",
    UL: "<u4",
    SL: "<i4",
    UV: "<u8",
    SV: "<i8",
    FL: "<f4",
    FD: "<f8",
    AT: "<u4",
}
"""Families of binary numbers, and the NumPy type of their values in a file."""
_DAYS = [[0, 31, february, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31] for february in (28, 29)]
_YEARS = {"Y": 1.0, "M": 1 / 12, "W": 7 / 365.25, "D": 1 / 365.25}


class Families:
    """Families of VRs, bytes of their values, and tables of numbers and dates."""

    def __init__(self) -> None:
        self.of_vr = np.full(65536, NO_FAMILY, np.uint8)
        for vr, family in FAMILY_OF_VR.items():
            self.of_vr[pack_vr(vr)] = family
        self.unit = np.ones(SEQUENCE + 1, np.uint8)
        for family, kind in NUMBERS.items():
            self.unit[family] = np.dtype(kind).itemsize
        self.powers = np.array([10.0**power for power in range(23)])
        self.month_days = np.array(_DAYS, np.uint8)
        self.years = np.zeros(256)
        for letter, years in _YEARS.items():
            self.years[ord(letter)] = years


families = lru_cache(maxsize=1)(Families)
"""The tables, built once."""

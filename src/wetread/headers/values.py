"""Texts as times, moments and ages, a whole column at once, and as numbers one by one.

The functions of columns take a string array and give an array of the same length, with null where
the text is null or does not parse.
"""

from __future__ import annotations

import math
import re
from decimal import Decimal

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from wetread.common.arrays import array
from wetread.headers.core.constants import AGES, MOMENTS, TIMES
from wetread.headers.core.numbers import Numbers
from wetread.headers.families import families

_NUMBER = re.compile(r"[+-]?(\d+(\.\d*)?|\.\d+)([eE][+-]?\d+)?", re.ASCII)


def bytes_of(texts: pa.StringArray) -> tuple[npt.NDArray[np.uint8], npt.NDArray[np.int32]]:
    """The bytes of a string array and its offsets into them (uint8[m], int32[n + 1])."""
    _, offsets, data = texts.buffers()
    bounds = np.frombuffer(offsets, np.int32, len(texts) + 1, texts.offset * 4)
    if data is None:
        return np.empty(0, np.uint8), bounds
    return np.frombuffer(data, np.uint8), bounds


def parse_number(text: str, whole: bool) -> float | int | None:
    """A decimal (DS) or whole (IS) number; None for a comma, a word, `nan`, `inf`.

    >>> parse_number("1.0", True), parse_number("14.5", True), parse_number("1e3", False)
    (1, None, 1000.0)
    """
    if not _NUMBER.fullmatch(text):
        return None
    value = float(text)
    if math.isinf(value):
        return None
    if not whole:
        return value
    # A Decimal, as an int is made of at most 4,300 digits, and these may be zeros.
    number = Decimal(text) if text.lstrip("+-").isdigit() else value
    if number != int(number) or not -(2**63) <= number < 2**63:
        return None
    return int(number)


def parse_times(texts: pa.StringArray) -> pa.Array:
    """TM as time64[us] where it is valid (HH, HHMM, HHMMSS or HHMMSS.F to HHMMSS.FFFFFF)."""
    return _parse(texts, TIMES, pa.time64("us"))


def parse_moments(texts: pa.StringArray) -> pa.Array:
    """DT as timestamp[us] as written, where a whole date is there; its offset stays in the text."""
    return _parse(texts, MOMENTS, pa.timestamp("us"))


def parse_ages(texts: pa.StringArray) -> pa.Array:
    """AS as years (float64) where it is valid: one to three digits and D, W, M or Y."""
    return _parse(texts, AGES, pa.float64())


def _parse(texts: pa.StringArray, which: int, kind: pa.DataType) -> pa.Array:
    data, bounds = bytes_of(texts)
    values, valid = np.empty(len(texts), np.int64), np.empty(len(texts), np.uint8)
    reals = values.view(np.float64)
    Numbers(data, families()).parse_texts(which, bounds, values, reals, valid)
    return array(reals if which == AGES else values, kind, valid == 0)

"""Flat text values as numbers, dates, times and ages, all at once.

Each function takes a string array and gives an array of the same length with null where the text is
empty or does not parse, and a mask of those that do not parse.
"""

from __future__ import annotations

import math
import re
from decimal import Decimal
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from wetread.common.arrays import array
from wetread.headers.core import texts as core

Bools = npt.NDArray[np.bool_]
Int64s = npt.NDArray[np.int64]

_NUMBER = re.compile(r"[+-]?(\d+(\.\d*)?|\.\d+)([eE][+-]?\d+)?", re.ASCII)
_EMPTY, _UNREAD, _OLD = 1, 2, 3
"""States of values that are not parsed; see `core.texts`."""
_POWERS = np.array([10.0**power for power in range(23)])
_MONTH_DAYS = np.array(
    [[0, 31, february, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31] for february in (28, 29)], np.uint8
)


def bytes_of(texts: pa.StringArray) -> tuple[npt.NDArray[np.uint8], npt.NDArray[np.int32]]:
    """The bytes of a string array and its offsets into them (uint8[m], int32[n + 1])."""
    _, offsets, data = texts.buffers()
    bounds = np.frombuffer(offsets, np.int32, len(texts) + 1, texts.offset * 4)
    if data is None:
        return np.empty(0, np.uint8), bounds
    return np.frombuffer(data, np.uint8), bounds


def fixed_width(texts: pa.StringArray, width: int, fill: bytes) -> npt.NDArray[np.uint8]:
    """The first `width` bytes of every text, padded; uint8[n, width]."""
    data, offsets = bytes_of(texts)
    bounds = offsets.astype(np.int64)
    starts, lengths = bounds[:-1, None], np.diff(bounds)[:, None]
    columns = np.arange(width)
    inside = columns < lengths
    padded = np.concatenate([data, np.zeros(width, np.uint8)])
    result: npt.NDArray[np.uint8] = np.where(
        inside, padded[np.minimum(starts + columns, len(padded) - 1)], fill[0]
    )
    return result


def lengths_of(texts: pa.StringArray) -> Int64s:
    """Bytes of every text, 0 for null."""
    bounds = bytes_of(texts)[1].astype(np.int64)
    return bounds[1:] - bounds[:-1]


def parse_decimals(texts: pa.StringArray) -> tuple[pa.Array, Bools]:
    """DS as float64 (PS3.5 6.2); a comma, a word, `nan` or `inf` does not parse."""
    values, state = np.empty(len(texts), np.float64), np.empty(len(texts), np.uint8)
    core.parse_decimals(*bytes_of(texts), _POWERS, values, state)
    return _finish(texts, values, state, pa.float64())


def parse_integers(texts: pa.StringArray) -> tuple[pa.Array, Bools]:
    """IS as int64; `1.0` is 1 and `14.5` does not parse."""
    values, state = np.empty(len(texts), np.int64), np.empty(len(texts), np.uint8)
    core.parse_integers(*bytes_of(texts), values, state)
    return _finish(texts, values, state, pa.int64())


def _finish(
    texts: pa.StringArray,
    values: npt.NDArray[Any],
    state: npt.NDArray[np.uint8],
    kind: pa.DataType,
) -> tuple[pa.Array, Bools]:
    """Complete the numbers that the compiled functions leave, one by one."""
    null, bad = state == _EMPTY, np.zeros(len(texts), np.bool_)
    whole = pa.types.is_integer(kind)
    for i in np.flatnonzero(state == _UNREAD).tolist():
        text = texts[i].as_py().strip(" \0")
        value = _read_number(text, whole)
        null[i] = value is None
        bad[i] = value is None and bool(text)
        values[i] = value or 0
    return array(values, kind, null), bad


def _read_number(text: str, whole: bool) -> float | int | None:
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


def parse_dates(texts: pa.StringArray) -> tuple[pa.Array, Bools, Bools]:
    """DA as date32; the third array marks the form YYYY.MM.DD of before 1993."""
    days, state = np.empty(len(texts), np.int32), np.empty(len(texts), np.uint8)
    core.parse_dates(*bytes_of(texts), _MONTH_DAYS, days, state)
    bad = state == _UNREAD
    return array(days, pa.date32(), bad | (state == _EMPTY)), bad, state == _OLD


def _days(chars: npt.NDArray[np.uint8]) -> tuple[Int64s, Bools]:
    """Days since 1970 of YYYYMMDD, and whether it is a date; uint8[n, 8]."""
    digits = chars.astype(np.int64) - 48
    valid = ((digits >= 0) & (digits <= 9)).all(axis=1)
    year = digits[:, :4] @ np.array([1000, 100, 10, 1])
    month = digits[:, 4] * 10 + digits[:, 5]
    day = digits[:, 6] * 10 + digits[:, 7]
    valid &= (year >= 1) & (month >= 1) & (month <= 12) & (day >= 1)
    year, month = np.where(valid, year, 1970), np.where(valid, month, 1)
    months = (year - 1970) * 12 + month - 1
    first = months.astype("datetime64[M]").astype("datetime64[D]").astype(np.int64)
    after = (months + 1).astype("datetime64[M]").astype("datetime64[D]").astype(np.int64)
    valid &= day <= after - first
    return first + day - 1, valid


def parse_times(texts: pa.StringArray) -> pa.Array:
    """TM as time64[us] where it is valid (HH, HHMM, HHMMSS or HHMMSS.F to HHMMSS.FFFFFF)."""
    micros, valid = _micros(fixed_width(texts, 13, b"0"), lengths_of(texts))
    return array(micros, pa.time64("us"), ~valid)


def _micros(chars: npt.NDArray[np.uint8], lengths: Int64s) -> tuple[Int64s, Bools]:
    """Microseconds since midnight of TM, and whether it is a time; uint8[n, 13]."""
    digits = chars.astype(np.int64) - 48
    point = lengths > 6
    valid = np.isin(lengths, (2, 4, 6)) | ((lengths >= 8) & (lengths <= 13))
    valid &= ~point | (chars[:, 6] == ord("."))
    number = (digits >= 0) & (digits <= 9)
    number[:, 6] = True
    valid &= number.all(axis=1)
    hour, minute, second = (digits[:, i] * 10 + digits[:, i + 1] for i in (0, 2, 4))
    valid &= (hour < 24) & (minute < 60) & (second < 60)
    fraction = digits[:, 7:13] @ np.array([100000, 10000, 1000, 100, 10, 1])
    seconds = (hour * 60 + minute) * 60 + second
    return seconds * 1_000_000 + np.where(point, fraction, 0), valid


def parse_moments(texts: pa.StringArray) -> pa.Array:
    """DT as timestamp[us] as written, where a whole date is there; its offset stays in the text."""
    lengths = lengths_of(texts)
    chars = fixed_width(texts, 26, b"0")
    last = np.clip(lengths - 5, 0, 25)
    rows = np.arange(len(lengths))
    sign = chars[rows, last]
    zoned = (lengths >= 13) & ((sign == ord("+")) | (sign == ord("-")))
    lengths = lengths - 5 * zoned
    chars = np.where(np.arange(26) < lengths[:, None], chars, 48)
    days, valid = _days(chars[:, :8])
    micros, is_time = _micros(chars[:, 8:21], lengths - 8)
    valid &= (lengths == 8) | is_time
    moments = days * 86_400_000_000 + np.where(lengths > 8, micros, 0)
    return array(moments, pa.timestamp("us"), ~valid)


_YEARS = {ord("Y"): 1.0, ord("M"): 1 / 12, ord("W"): 7 / 365.25, ord("D"): 1 / 365.25}


def parse_ages(texts: pa.StringArray) -> pa.Array:
    """AS as years (float64) where it is valid: one to three digits and D, W, M or Y."""
    lengths = lengths_of(texts)
    chars = fixed_width(texts, 4, b" ")
    per_unit = np.zeros(256)
    for letter, years in _YEARS.items():
        per_unit[letter] = years
    unit = per_unit[chars[np.arange(len(lengths)), np.clip(lengths - 1, 0, 3)]]
    count = np.zeros(len(lengths), np.int64)
    valid = (unit > 0) & (lengths >= 2) & (lengths <= 4)
    for i in range(3):
        digit = chars[:, i].astype(np.int64) - 48
        used = i < lengths - 1
        valid &= ~used | ((digit >= 0) & (digit <= 9))
        count = np.where(used, count * 10 + digit, count)
    return array(count * unit, pa.float64(), ~valid)

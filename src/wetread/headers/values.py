"""Flat text values as numbers, dates, times and ages, all at once.

Each function takes a string array and gives an array of the same length with null where the text is
empty or does not parse, and a mask of those that do not parse.
"""

from __future__ import annotations

import math
import re
from decimal import Decimal

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from wetread.common.arrays import array, filled

Bools = npt.NDArray[np.bool_]
Int64s = npt.NDArray[np.int64]

_NUMBER = re.compile(r"[+-]?(\d+(\.\d*)?|\.\d+)([eE][+-]?\d+)?", re.ASCII)
_DECIMAL_BYTES = np.zeros(256, np.bool_)
_DECIMAL_BYTES[list(b"0123456789.+-eE")] = True
_INTEGER_BYTES = np.zeros(256, np.bool_)
_INTEGER_BYTES[list(b"0123456789-")] = True


def bytes_of(texts: pa.StringArray) -> tuple[npt.NDArray[np.uint8], Int64s]:
    """The bytes of a string array and its offsets into them (uint8[m], int64[n + 1])."""
    _, offsets, data = texts.buffers()
    bounds = np.frombuffer(offsets, np.int32, len(texts) + 1, texts.offset * 4).astype(np.int64)
    if data is None:
        return np.empty(0, np.uint8), bounds
    return np.frombuffer(data, np.uint8), bounds


def fixed_width(texts: pa.StringArray, width: int, fill: bytes) -> npt.NDArray[np.uint8]:
    """The first `width` bytes of every text, filled up; uint8[n, width]."""
    data, bounds = bytes_of(texts)
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
    return np.diff(bytes_of(texts)[1])


def parse_decimals(texts: pa.StringArray) -> tuple[pa.Array, Bools]:
    """DS as float64 (PS3.5 6.2); a comma, a word, `nan` or `inf` does not parse."""
    return _parse_numbers(texts, pa.float64(), _DECIMAL_BYTES)


def parse_integers(texts: pa.StringArray) -> tuple[pa.Array, Bools]:
    """IS as int64; `1.0` is 1 and `14.5` does not parse."""
    return _parse_numbers(texts, pa.int64(), _INTEGER_BYTES)


def _parse_numbers(
    texts: pa.StringArray, kind: pa.DataType, plain: Bools
) -> tuple[pa.Array, Bools]:
    data, bounds = bytes_of(texts)
    strange = _spread(~plain[data[bounds[0] : bounds[-1]]], bounds - bounds[0])
    empty = np.diff(bounds) == 0
    strange[~empty] |= data[bounds[:-1][~empty]] == ord("+")  # which Arrow does not take
    numbers = _cast(texts, kind, strange | empty)
    if numbers is None:  # plain bytes in an order that is no number: look at each
        strange = ~empty
        numbers = pa.nulls(len(texts), kind)
    else:  # of `1e400` Arrow makes inf
        strange |= ~filled(pc.is_finite(numbers), True)
    return _replace(numbers, texts, strange, kind)


def _cast(texts: pa.StringArray, kind: pa.DataType, without: Bools) -> pa.Array | None:
    try:
        if without.any():
            texts = pc.if_else(array(without, pa.bool_()), pa.nulls(len(texts), texts.type), texts)
        return pc.cast(texts, kind)
    except pa.ArrowInvalid:
        return None


def _replace(
    numbers: pa.Array, texts: pa.StringArray, strange: Bools, kind: pa.DataType
) -> tuple[pa.Array, Bools]:
    """Numbers with those of the strange texts, read one by one, put in."""
    bad = np.zeros(len(texts), np.bool_)
    index = np.flatnonzero(strange)
    if not index.size:
        return numbers, bad
    whole = pa.types.is_integer(kind)
    values: list[float | int | None] = []
    for i in index:
        text = texts[int(i)].as_py().strip(" \0")
        value = _read_number(text, whole)
        bad[i] = value is None and bool(text)
        values.append(value)
    return pc.replace_with_mask(numbers, array(strange, pa.bool_()), array(values, kind)), bad


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


def _spread(marked: Bools, bounds: Int64s) -> Bools:
    """Texts that contain a marked byte."""
    count = np.concatenate([[0], np.cumsum(marked)])
    result: Bools = count[bounds[1:]] > count[bounds[:-1]]
    return result


def parse_dates(texts: pa.StringArray) -> tuple[pa.Array, Bools, Bools]:
    """DA as date32; the third array marks the form YYYY.MM.DD of before 1993."""
    lengths = lengths_of(texts)
    chars = fixed_width(texts, 10, b"0")
    old = (lengths == 10) & (chars[:, 4] == ord(".")) & (chars[:, 7] == ord("."))
    if old.any():
        chars = np.where(old[:, None], chars[:, [0, 1, 2, 3, 5, 6, 8, 9, 0, 0]], chars)
    days, valid = _days(chars[:, :8])
    valid &= (lengths == 8) | old
    bad = ~valid & (lengths > 0)
    return array(days.astype(np.int32), pa.date32(), ~valid), bad, old & valid


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

"""Values written in characters: gathered, decoded and converted (PS3.5 6.1 and 6.2)."""

from __future__ import annotations

from functools import lru_cache

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from wetread.common.arrays import array
from wetread.headers import schema as s
from wetread.headers.building import Work
from wetread.headers.charset import decode_text
from wetread.headers.core import texts as core
from wetread.headers.gather import as_strings, gather
from wetread.headers.values import bytes_of, parse_dates, parse_decimals, parse_integers
from wetread.headers.walks import Bytes

Int64s = npt.NDArray[np.int64]
Bools = npt.NDArray[np.bool_]

TEXTUAL = (s.TEXT, s.DECIMAL, s.INTEGER, s.DATE)
"""The families that are written in characters."""
LEADING, EQUALS = 1, 2
"""Flags of values without leading spaces, and without trailing `=`."""
_LONG = 256
"""Longest raw value in the cache of decoded texts."""
_BAD_CODE = {s.DECIMAL: "BAD_NUMBER", s.INTEGER: "BAD_NUMBER", s.DATE: "BAD_DATE"}


def gather_texts(
    work: Work, index: npt.NDArray[np.intp], start: Int64s, length: Int64s, flags: Bytes
) -> pa.StringArray:
    """UTF-8 texts; those that are not ASCII are decoded one by one, in their row's character set.

    `flags`: see `gather`.
    """
    data, bounds, strange = gather(work.arena, start, length, flags)
    if not strange.any():
        return as_strings(data, bounds)
    binary = pa.BinaryArray.from_buffers(
        pa.binary(), len(start), [None, pa.py_buffer(bounds), pa.py_buffer(data)]
    )
    which = np.flatnonzero(strange)
    decoded = [
        _decode(work, int(index[i]), int(start[i]), int(length[i]), int(flags[i]))
        for i in which.tolist()
    ]
    mended = pc.replace_with_mask(
        binary, array(strange.view(np.bool_), pa.bool_()), array(decoded, pa.binary())
    )
    return mended.cast(pa.string())


def _decode(work: Work, element: int, start: int, length: int, flags: int) -> bytes:
    """One value in UTF-8, with a problem where it is not in the stated character set."""
    raw = work.arena[start : start + length].tobytes()
    text, stated = _decode_text(raw, work.charset(element), work.delimiters(element))
    if not stated:
        tag, offset = int(work.elements.tag[element]), work.elements.offset[element]
        row = int(work.elements.row[element])
        work.built.find(row, "CHARSET", tag, offset, "not in the stated character set")
        name = work.registry.columns[work.codes[element]].name
        work.built.invalid.append((row, name, work.raw(element)))
    text = text.rstrip("\0 ")
    text = text.lstrip(" ") if flags & LEADING else text
    return (text.rstrip("=") if flags & EQUALS else text).encode()


def _decode_text(raw: bytes, charset: str, delimiters: bytes) -> tuple[str, bool]:
    if len(raw) > _LONG:
        return decode_text(raw, charset, delimiters)
    return _decode_short(raw, charset, delimiters)


_decode_short = lru_cache(maxsize=4096)(decode_text)
"""`decode_text`, cached: names and descriptions are equal in many files."""


def convert_texts(
    work: Work, index: npt.NDArray[np.intp], texts: pa.StringArray, number: int
) -> pa.Array:
    """One value per element; null if it is empty or does not parse."""
    if number == s.TEXT:
        return texts
    values, bad, old = _parse(texts, number)
    for i in np.flatnonzero(bad):
        work.reject(int(index[i]), _BAD_CODE[number], _why_bad(texts[int(i)].as_py()))
    _note_old(work, index[old])
    return values


def _why_bad(text: str) -> str:
    """Description of an invalid value, without quoting it."""
    return "more than one value" if "\\" in text else f"{len(text)} characters that do not parse"


def _parse(flat: pa.StringArray, number: int) -> tuple[pa.Array, Bools, Bools]:
    """Values, those that do not parse, and dates of the old form."""
    none = np.zeros(len(flat), np.bool_)
    if number == s.DECIMAL:
        return (*parse_decimals(flat), none)
    if number == s.INTEGER:
        return (*parse_integers(flat), none)
    return parse_dates(flat)


def _note_old(work: Work, index: npt.NDArray[np.intp]) -> None:
    for i in index:
        e = work.elements
        work.built.find(e.row[i], "OLD_DATE", int(e.tag[i]), e.offset[i], "YYYY.MM.DD")


def convert_lists(
    work: Work, index: npt.NDArray[np.intp], texts: pa.StringArray, number: int
) -> pa.ListArray:
    """Values split at the backslash; a part that does not parse is null in its list."""
    data, bounds = bytes_of(texts)
    parts = np.empty(core.count_parts(data, bounds) + 1, np.int32)
    out, begin = np.empty(bounds[-1] - bounds[0], np.uint8), np.empty(len(texts) + 1, np.int32)
    core.split(data, bounds, number != s.TEXT, out, parts, begin)
    flat, offsets = as_strings(out[: parts[-1]], parts), array(begin, pa.int32())
    if number == s.TEXT:
        return pa.ListArray.from_arrays(offsets, flat)
    values, bad, old = _parse(flat, number)
    if bad.any():
        owners = np.unique(np.searchsorted(begin, np.flatnonzero(bad), side="right") - 1)
        for i in owners:
            work.reject(int(index[i]), _BAD_CODE[number], "one of several values does not parse")
    if old.any():
        owners = np.unique(np.searchsorted(begin, np.flatnonzero(old), side="right") - 1)
        _note_old(work, index[owners])
    return pa.ListArray.from_arrays(offsets, values)

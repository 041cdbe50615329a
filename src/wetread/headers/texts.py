"""Values written in characters: gathered, decoded and converted (PS3.5 6.1 and 6.2)."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from wetread.common.arrays import array, filled
from wetread.headers import schema as s
from wetread.headers.building import Work
from wetread.headers.charset import decode_text
from wetread.headers.gather import as_strings, gather
from wetread.headers.values import bytes_of, parse_dates, parse_decimals, parse_integers
from wetread.headers.walks import Bytes

Int64s = npt.NDArray[np.int64]
Bools = npt.NDArray[np.bool_]

TEXTUAL = (s.TEXT, s.DECIMAL, s.INTEGER, s.DATE)
"""The families that are written in characters."""
_BAD_CODE = {s.DECIMAL: "BAD_NUMBER", s.INTEGER: "BAD_NUMBER", s.DATE: "BAD_DATE"}


def gather_texts(
    work: Work, index: npt.NDArray[np.intp], start: Int64s, length: Int64s
) -> pa.StringArray:
    """UTF-8 texts; what is not ASCII is decoded one by one, as the row's character set says."""
    data, bounds, strange = gather(work.arena, start, length)
    if strange:
        positions = np.flatnonzero((data >= 0x80) | (data == 0x1B))
        return _decode_strange(work, index, data, bounds, positions)
    return as_strings(data, bounds)


def _decode_strange(
    work: Work,
    index: npt.NDArray[np.intp],
    data: Bytes,
    bounds: Int64s,
    positions: npt.NDArray[np.intp],
) -> pa.StringArray:
    which = np.unique(np.searchsorted(bounds, positions, side="right") - 1)
    binary = pa.BinaryArray.from_buffers(
        pa.binary(),
        len(bounds) - 1,
        [None, pa.py_buffer(bounds.astype(np.int32)), pa.py_buffer(data)],
    )
    decoded: list[bytes] = []
    for i in which:
        element = int(index[i])
        row = int(work.elements.row[element])
        raw = data[bounds[i] : bounds[i + 1]].tobytes()
        text, stated = decode_text(raw, work.charset(element), work.delimiters(element))
        decoded.append(text.rstrip("\0 ").encode("utf-8"))
        if not stated:
            tag, offset = int(work.elements.tag[element]), work.elements.offset[element]
            work.built.find(row, "CHARSET", tag, offset, "not in the stated character set")
            name = work.registry.columns[work.codes[element]].name
            work.built.invalid.append((row, name, work.raw(element)))
    mask = np.zeros(len(binary), np.bool_)
    mask[which] = True
    mended = pc.replace_with_mask(binary, array(mask, pa.bool_()), array(decoded, pa.binary()))
    return mended.cast(pa.string())


def convert_texts(
    work: Work, index: npt.NDArray[np.intp], texts: pa.StringArray, number: int
) -> pa.Array:
    """One value an element; null where it is empty or does not parse."""
    if number == s.TEXT:
        return _strip_texts(work, index, texts)
    flat = pc.utf8_ltrim(texts, " ") if _any_leading(texts) else texts
    values, bad, old = _parse(flat, number)
    for i in np.flatnonzero(bad):
        work.reject(int(index[i]), _BAD_CODE[number], _why_bad(flat[int(i)].as_py()))
    _note_old(work, index[old])
    return values


def _why_bad(text: str) -> str:
    """Description of an invalid value, without quoting it."""
    return "more than one value" if "\\" in text else f"{len(text)} characters that do not parse"


def _any_leading(texts: pa.StringArray) -> bool:
    data, bounds = bytes_of(texts)
    first = bounds[:-1][np.diff(bounds) > 0]
    return bool((data[first] == 0x20).any())


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


def _strip_texts(work: Work, index: npt.NDArray[np.intp], texts: pa.StringArray) -> pa.StringArray:
    """Without what means nothing: leading spaces of AE, trailing `=` of PN (PS3.5 6.2)."""
    for chosen, trim_side, mark in (
        (work.registry.is_title, pc.utf8_ltrim, " "),
        (work.registry.is_name, pc.utf8_rtrim, "="),
    ):
        where = np.flatnonzero(chosen[work.codes[index]])
        part = texts.take(array(where, pa.int64()))
        trimmed = trim_side(part, mark)
        if not trimmed.equals(part):
            mask = np.zeros(len(texts), np.bool_)
            mask[where] = True
            texts = pc.replace_with_mask(texts, array(mask, pa.bool_()), trimmed)
    return texts


def convert_lists(
    work: Work, index: npt.NDArray[np.intp], texts: pa.StringArray, number: int
) -> pa.ListArray:
    """Values split at the backslash; a part that does not parse is null in its list."""
    lists = pc.split_pattern(texts, "\\")
    offsets, flat = lists.offsets, pc.utf8_rtrim(lists.flatten(), " \0")
    if number == s.TEXT:
        return pa.ListArray.from_arrays(offsets, flat)
    flat = pc.utf8_ltrim(flat, " ")
    values, bad, old = _parse(flat, number)
    bounds = filled(offsets, 0)
    if bad.any():
        owners = np.unique(np.searchsorted(bounds, np.flatnonzero(bad), side="right") - 1)
        for i in owners:
            work.reject(int(index[i]), _BAD_CODE[number], "one of several values does not parse")
    if old.any():
        owners = np.unique(np.searchsorted(bounds, np.flatnonzero(old), side="right") - 1)
        _note_old(work, index[owners])
    return pa.ListArray.from_arrays(offsets, values)

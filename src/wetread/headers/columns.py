"""Arrow columns from elements: sort by column, convert by family, cut into columns."""

from __future__ import annotations

from functools import lru_cache
from itertools import pairwise
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from wetread.common.arrays import array
from wetread.headers import schema as s
from wetread.headers.building import Built, Work, spread
from wetread.headers.charset import CHARSET, decode_text, is_defined
from wetread.headers.core.columns import has_repeats, settle_families, sort_codes
from wetread.headers.gather import trim
from wetread.headers.registry import NO_CODE, Registry
from wetread.headers.schema import Column, format_tag, pack_vr, unpack_vr
from wetread.headers.texts import (
    EQUALS,
    LEADING,
    TEXTUAL,
    convert_lists,
    convert_texts,
    gather_texts,
)
from wetread.headers.values import parse_ages, parse_moments, parse_times
from wetread.headers.walks import Bytes, Elements

Int64s = npt.NDArray[np.int64]
Bools = npt.NDArray[np.bool_]

_DTYPES = {
    s.US: "<u2",
    s.SS: "<i2",
    s.UL: "<u4",
    s.SL: "<i4",
    s.UV: "<u8",
    s.SV: "<i8",
    s.FL: "<f4",
    s.FD: "<f8",
    s.AT: "<u4",
}
_PIXEL_REPRESENTATION = 0x00280103

_FAMILY = np.full(65536, 255, np.uint8)
for _vr, _family in s.FAMILY_OF_VR.items():
    _FAMILY[pack_vr(_vr)] = _family
_UN = pack_vr("UN")


def build_columns(arena: Bytes, elements: Elements, rows: int, registry: Registry) -> Built:
    """Typed columns of the public elements of `rows` rows; arrays of that length by name."""
    built = Built(rows)
    codes = registry.codes_of(elements)
    if (codes == NO_CODE).any():
        _note_left_out(built, elements, codes)
    order = np.empty(len(codes), np.int64)
    order = order[: sort_codes(codes, np.zeros(len(registry.columns) + 1, np.int64), order)]
    elements, codes = elements.take(order), codes.take(order)
    if has_repeats(codes, elements.row):
        elements, codes = _take_last(built, elements, codes)
    work = Work(arena, elements, codes, registry, built)
    _check_charsets(work)
    family = _settle_families(work)
    present = np.bincount(family, minlength=256)
    _build_texts(work, np.flatnonzero(family <= s.DATE), family)
    for number in _DTYPES:
        if present[number]:
            _build_numbers(work, np.flatnonzero(family == number), number)
    _build_lengths(work, np.flatnonzero(family == s.LENGTH))
    _add_extra(work)
    return built


def _take_last(
    built: Built, elements: Elements, codes: npt.NDArray[np.uint16]
) -> tuple[Elements, npt.NDArray[np.uint16]]:
    """The last element of each tag in each row, which alone counts; a problem for the others."""
    again = (codes[1:] == codes[:-1]) & (elements.row[1:] == elements.row[:-1])
    last = np.flatnonzero(np.append(~again, True))
    counts = np.diff(last, prepend=-1)
    for i, count in zip(last[counts > 1].tolist(), counts[counts > 1].tolist(), strict=True):
        row, tag = elements.row[i], int(elements.tag[i])
        built.find(row, "DUPLICATE_TAG", tag, elements.offset[i], f"{count} times")
    return elements.take(last), codes[last]


def _check_charsets(work: Work) -> None:
    """A problem for every Specific Character Set with a term that the standard does not define."""
    elements = work.elements
    index = np.flatnonzero((elements.tag == CHARSET) & (elements.start >= 0)).tolist()
    undefined = {text for text in {work.charset(i) for i in index} if not is_defined(text)}
    for i in index if undefined else ():
        if work.charset(i) in undefined:
            text = "not a defined term of the standard"
            work.built.find(elements.row[i], "CHARSET", CHARSET, elements.offset[i], text)


def _note_left_out(built: Built, elements: Elements, codes: npt.NDArray[np.uint16]) -> None:
    """A problem for every row with elements that get no column."""
    left = np.flatnonzero(codes == NO_CODE)
    rows, first, counts = np.unique(elements.row[left], return_index=True, return_counts=True)
    for row, i, count in zip(rows, left[first], counts, strict=True):
        text = f"{count} tags that no dictionary has are too many for columns, from this one on"
        built.find(row, "HEADER_BUDGET", int(elements.tag[i]), elements.offset[i], text)


def _settle_families(work: Work) -> npt.NDArray[np.uint8]:
    """Conversion family of each value: the dictionary's if the bytes allow it, else 255."""
    elements, codes, registry = work.elements, work.codes, work.registry
    family, odd = np.full(len(codes), 255, np.uint8), np.empty(len(codes), np.uint8)
    if (dual := np.flatnonzero(registry.dual[codes])).size:
        stated, row = elements.vr[dual], elements.row[dual]
        by_pixels = (stated == 0) | (stated == _UN)
        signed = (_FAMILY[stated] == s.SS) | (by_pixels & _signed_rows(work)[row])
        family[dual[signed]] = s.SS
    settle_families(
        codes,
        elements.vr,
        elements.start,
        registry.family,
        registry.vr,
        registry.unknown.view(np.uint8),
        _FAMILY,
        s.DATE,
        s.LENGTH,
        family,
        odd,
    )
    for i in np.flatnonzero(odd & 1).tolist():
        _read_other(work, i)
    _note_mismatches(work, np.flatnonzero(odd & 2))
    for i in np.flatnonzero(odd & 4).tolist():
        _read_unknown(work, i)
    return family


def _signed_rows(work: Work) -> Bools:
    """Rows with signed pixels: `US or SS` is SS there if implicit or UN (PS3.6)."""
    elements = work.elements
    signed = np.zeros(work.built.rows, np.bool_)
    found = np.flatnonzero((elements.tag == _PIXEL_REPRESENTATION) & (elements.length == 2))
    signed[elements.row[found]] = work.arena[elements.start[found]] == 1
    return signed


def _note_mismatches(work: Work, index: npt.NDArray[np.intp]) -> None:
    """A problem for every stated VR that the dictionary does not have."""
    elements, columns = work.elements, work.registry.columns
    pairs = work.codes[index].astype(np.uint32) << np.uint32(16) | elements.vr[index]
    for pair in np.unique(pairs).tolist():
        column, vr = columns[pair >> 16], unpack_vr(pair & 0xFFFF)
        if vr in column.vrs or not column.known:
            continue
        text = f"{vr}, the dictionary says {' or '.join(column.vrs)}"
        for i in index[pairs == pair].tolist():
            work.built.find(elements.row[i], "VR_MISMATCH", column.tag, elements.offset[i], text)


def _build_texts(work: Work, index: npt.NDArray[np.intp], family: npt.NDArray[np.uint8]) -> None:
    """All values that are written in characters: gathered once, then converted by family."""
    if not index.size:
        return
    start = work.elements.start[index]
    length = trim(work.arena, start, work.elements.length[index])
    is_list = work.registry.is_list[work.codes[index]]
    families = family[index]
    present = np.bincount(families, minlength=4)
    for number in TEXTUAL:
        if not present[number]:
            continue
        of_family = families == number
        for many in (False, True):
            chosen = np.flatnonzero(of_family & (is_list == many))
            if not chosen.size:
                continue
            flags = _trim_flags(work, index[chosen], number, many)
            part = gather_texts(work, index[chosen], start[chosen], length[chosen], flags)
            convert = convert_lists if many else convert_texts
            values = convert(work, index[chosen], part, number)
            _cut_columns(work, index[chosen], values, length[chosen] > 0)


def _trim_flags(work: Work, index: npt.NDArray[np.intp], number: int, many: bool) -> Bytes:
    """Flags of characters without meaning: leading spaces, and `=` after a name."""
    codes, registry = work.codes[index], work.registry
    if many:
        return np.zeros(len(index), np.uint8)
    if number != s.TEXT:
        return np.full(len(index), LEADING, np.uint8)
    flags: Bytes = registry.is_title[codes] * np.uint8(LEADING)
    return flags | registry.is_name[codes] * np.uint8(EQUALS)


# --- binary numbers ---------------------------------------------------------------------------


def _build_numbers(work: Work, index: npt.NDArray[np.intp], number: int) -> None:
    if not index.size:
        return
    is_list = work.registry.is_list[work.codes[index]]
    kind = np.dtype(_DTYPES[number])
    length = work.elements.length[index]
    fits = np.where(is_list, length % kind.itemsize == 0, length == kind.itemsize) | (length == 0)
    for i in index[~fits]:
        several = work.elements.length[i] % kind.itemsize == 0
        code, text = (
            ("VM_MISMATCH", "more than one value")
            if several
            else (
                "BAD_VALUE",
                f"{work.elements.length[i]} bytes, a multiple of {kind.itemsize} expected",
            )
        )
        work.reject(int(i), code, text)
    for many in (False, True):
        chosen = index[fits & (is_list == many)]
        if chosen.size:
            values = _gather_numbers(work, chosen, kind, number, many)
            _cut_columns(work, chosen, values, work.elements.length[chosen] > 0)


def _gather_numbers(
    work: Work, index: npt.NDArray[np.intp], kind: np.dtype[Any], number: int, many: bool
) -> pa.Array:
    size = kind.itemsize
    view = np.ndarray((work.arena.size - size + 1,), kind, work.arena, strides=(1,))
    start = work.elements.start[index]
    if not many:
        return _number_array(view[start], number)
    counts = work.elements.length[index] // size
    bounds = np.zeros(len(index) + 1, np.int64)
    np.cumsum(counts, out=bounds[1:])
    step = np.arange(bounds[-1]) - np.repeat(bounds[:-1], counts)
    flat = _number_array(view[np.repeat(start, counts) + step * size], number)
    return pa.ListArray.from_arrays(array(bounds.astype(np.int32), pa.int32()), flat)


def _number_array(values: npt.NDArray[Any], number: int) -> pa.Array:
    if number == s.AT:
        swapped = (values << np.uint32(16)) | (values >> np.uint32(16))
        distinct, inverse = np.unique(swapped, return_inverse=True)
        texts = array([format_tag(int(tag)) for tag in distinct], pa.string())
        return texts.take(array(inverse, pa.int64()))
    return array(values, s.ARROW_TYPES[number])


def _build_lengths(work: Work, index: npt.NDArray[np.intp]) -> None:
    if index.size:
        length = work.elements.length[index]
        _cut_columns(work, index, array(length, pa.int64()), length > 0)


# --- from values to columns -------------------------------------------------------------------


def _cut_columns(work: Work, index: npt.NDArray[np.intp], values: pa.Array, filled: Bools) -> None:
    """Cut the values of elements sorted by column into columns with a place for every row.

    An element that is not `filled` has no value: null.
    """
    codes, rows = work.codes[index], work.elements.row[index]
    cuts = [0, *(np.flatnonzero(codes[1:] != codes[:-1]) + 1).tolist(), len(codes)]
    for begin, end in pairwise(cuts):
        column = work.registry.columns[codes[begin]]
        here, full = rows[begin:end], filled[begin:end]
        part = values.slice(begin, end - begin)
        if not (here[1:] > here[:-1]).all():
            order = np.argsort(here, kind="stable")
            here, full, part = here[order], full[order], part.take(array(order, pa.int64()))
        _place(work, column, part, here, full)


def _place(
    work: Work,
    column: Column,
    values: pa.Array,
    rows: npt.NDArray[np.int32],
    filled: Bools,
) -> None:
    """Put values of some rows in the result; another family may have given those of other rows."""
    field = _field_of(column)
    if values.type != field.type:
        values = values.cast(field.type)
    _put(work, field, spread(values, rows, filled, work.built.rows))
    derived = column.derived_field()
    if derived is not None:
        _put(work, derived, spread(_derive(derived, values), rows, filled, work.built.rows))


def _put(work: Work, field: pa.Field, column: pa.Array) -> None:
    if field.name in work.built.arrays:
        column = pc.coalesce(column, work.built.arrays[field.name][1])
    work.built.arrays[field.name] = (field, column)


_field_of = lru_cache(maxsize=65536)(Column.field)
"""`Column.field`, cached."""


def _derive(field: pa.Field, texts: pa.StringArray) -> pa.Array:
    """Parsed form of TM, DT and PatientAge, a column of its own."""
    if field.name == "patient_age_years":
        return parse_ages(texts)
    if pa.types.is_time(field.type):
        return parse_times(texts)
    return parse_moments(texts)


# --- one by one -------------------------------------------------------------------------------


def _read_other(work: Work, i: int) -> None:
    """A value whose stated VR is of another family than the column's: convert it if it fits."""
    column = work.registry.columns[work.codes[i]]
    if column.family in (s.LENGTH, s.SEQUENCE) or not work.elements.length[i]:
        return
    try:
        values = _read_values(work, i)
        coerced = [_coerce(v, column.family) for v in values]
        if len(coerced) != 1 and not column.is_list:
            raise ValueError("more than one value")
        value = coerced if column.is_list else coerced[0]
        array([value], column.type)
    except (ValueError, TypeError, OverflowError, pa.ArrowInvalid):
        vr = unpack_vr(int(work.elements.vr[i]))
        work.reject(i, "BAD_VALUE", f"a value in {vr} that does not fit {column.vrs[0]}")
        return
    work.extra.setdefault(int(work.codes[i]), []).append((int(work.elements.row[i]), value))


def _read_values(work: Work, i: int) -> list[Any]:
    """Values of an element by its stated VR: texts, numbers, or none."""
    family = int(_FAMILY[work.elements.vr[i]])
    start = int(work.elements.start[i])
    if start < 0:
        raise ValueError("its bytes were not read")
    raw = work.arena[start : start + int(work.elements.length[i])].tobytes()
    if family in TEXTUAL or family == s.LENGTH:
        return [
            part.strip(" \0")
            for part in decode_text(raw, work.charset(i), work.delimiters(i))[0].split("\\")
        ]
    if family in _DTYPES:
        kind = np.dtype(_DTYPES[family])
        values = np.frombuffer(raw[: len(raw) - len(raw) % kind.itemsize], kind)
        if family == s.AT:
            return [format_tag(int(v) << 16 & 0xFFFF0000 | int(v) >> 16) for v in values]
        return list(values.tolist())
    return []


def _coerce(value: Any, family: int) -> Any:
    if family in (s.TEXT, s.AT):
        return str(value)
    if family in (s.DECIMAL, s.FL, s.FD):
        return float(value)
    if family == s.DATE:
        raise ValueError("no date")
    number = float(value)
    if number != int(number):
        raise ValueError("no whole number")
    return int(value)


def _read_unknown(work: Work, i: int) -> None:
    """A public element without a keyword: its text, or the length of its bytes."""
    tag, row = int(work.elements.tag[i]), int(work.elements.row[i])
    vr_family = int(_FAMILY[work.elements.vr[i]])
    values = _read_values(work, i) if vr_family < s.LENGTH and work.elements.start[i] >= 0 else []
    column = s.unknown_column(tag, text=bool(values))
    value: Any = "\\".join(map(str, values)) if values else int(work.elements.length[i])
    _place(work, column, array([value], column.type), np.array([row], np.int32), np.array([True]))


def _add_extra(work: Work) -> None:
    for code, found in work.extra.items():
        column = work.registry.columns[code]
        by_row = dict(sorted(found))
        rows = np.array(list(by_row), np.int32)
        values = array(list(by_row.values()), column.type)
        _place(work, column, values, rows, np.ones(len(rows), np.bool_))

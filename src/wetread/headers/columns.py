"""Arrow columns from elements, built in three passes; the odd values are read one by one."""

from __future__ import annotations

from functools import lru_cache
from operator import attrgetter
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from wetread.common.arrays import array
from wetread.headers import schema as s
from wetread.headers.building import Built, Values, Work
from wetread.headers.charset import decode_text, is_defined
from wetread.headers.core.builder import ColumnBuilder
from wetread.headers.core.constants import (
    AT,
    COUNTS,
    DATE,
    DECIMAL,
    FD,
    FL,
    LENGTH,
    MISFIT,
    NOT_ASCII,
    NOT_PARSED,
    OLD_DATE,
    OTHER_FAMILY,
    OTHER_VR,
    REPEATED,
    SEQUENCE,
    TEXT,
    UNKNOWN,
)
from wetread.headers.families import NUMBERS, families
from wetread.headers.layout import Layout
from wetread.headers.registry import NO_CODE, Registry
from wetread.headers.schema import Column, format_tag, unpack_vr
from wetread.headers.texts import decode_values, delimiters, parse_again
from wetread.headers.values import parse_ages, parse_moments, parse_times
from wetread.headers.walks import Elements, Memory


def build_columns(memory: Memory, elements: Elements, rows: int, registry: Registry) -> Built:
    """Typed columns of the public elements of `rows` rows; arrays of that length by name.

    Decoded texts are appended to the memory.
    """
    built = Built(rows)
    codes = registry.codes_of(elements)
    if (codes == NO_CODE).any():
        _note_left_out(built, elements, codes)
    work = Work(memory, elements, Values.of(codes), registry, built)
    count = len(registry.columns)
    builder = ColumnBuilder(memory.arena, elements, work.values, registry, families())
    builder.settle(np.zeros(rows, np.uint8), np.full(count, -1))
    work.read_charsets()
    _read_odd(work)
    counts = np.zeros((count, COUNTS), np.int64)
    builder.measure(counts)
    decode_values(work, builder, work.marked(NOT_ASCII))
    for i in work.marked(MISFIT).tolist():
        work.reject(i, *_why_misfit(work, i))
    layout = Layout(rows, registry.family[:count], registry.is_list[:count], counts)
    builder.write(layout.places, layout.values, rows)
    for i in work.marked(NOT_PARSED).tolist():
        parse_again(work, layout, i)
    for i in work.marked(OLD_DATE).tolist():
        work.find(i, "OLD_DATE", "YYYY.MM.DD")
    _add_arrays(work, layout)
    return built


def _note_left_out(built: Built, elements: Elements, codes: npt.NDArray[np.uint16]) -> None:
    """A problem for every row with elements that get no column."""
    left = np.flatnonzero(codes == NO_CODE)
    rows, first, counts = np.unique(elements.row[left], return_index=True, return_counts=True)
    for row, i, count in zip(rows, left[first], counts, strict=True):
        text = f"{count} tags that no dictionary has are too many for columns, from this one on"
        tag, offset = int(elements.tag[i]), int(elements.offset[i])
        built.problems.find(int(row), "HEADER_BUDGET", text, tag, offset)


def _read_odd(work: Work) -> None:
    """Elements that are repeated, or not of the column's VR; an undefined character set."""
    for i in work.marked(REPEATED).tolist():
        work.find(i, "DUPLICATE_TAG", f"{work.values.copies[i] + 1} times")
    for i in work.marked(OTHER_VR).tolist():
        _note_mismatch(work, i)
    for i in work.marked(OTHER_FAMILY).tolist():
        _read_other(work, i)
    for i in work.marked(UNKNOWN).tolist():
        _read_unknown(work, i)
    undefined = np.array([not is_defined(text) for text in work.charsets], np.bool_)
    numbers = work.charset_numbers[work.elements.row[work.stated]]
    for i in work.stated[undefined[numbers]].tolist():
        work.find(i, "CHARSET", "not a defined term of the standard")


def _note_mismatch(work: Work, i: int) -> None:
    """A problem for a stated VR that the dictionary does not have."""
    column, vr = work.column(i), unpack_vr(int(work.elements.vr[i]))
    if column.known and vr not in column.vrs:
        work.find(i, "VR_MISMATCH", f"{vr}, the dictionary says {' or '.join(column.vrs)}")


def _why_misfit(work: Work, i: int) -> tuple[str, str]:
    """Problem of a binary value whose length is not that of its numbers."""
    length, unit = int(work.elements.length[i]), int(families().unit[work.column(i).family])
    if length % unit == 0:
        return "VM_MISMATCH", "more than one value"
    return "BAD_VALUE", f"{length} bytes, a multiple of {unit} expected"


def _add_arrays(work: Work, layout: Layout) -> None:
    """The arrays of all columns by tag, each followed by its parsed form."""
    columns = work.registry.columns
    arrays = {columns[code]: values for code, values in layout.arrays(columns).items()}
    for column, by_row in work.extra.items():
        values = _place(array(list(by_row.values()), column.type), list(by_row), work.built.rows)
        arrays[column] = pc.coalesce(values, arrays[column]) if column in arrays else values
    for column in sorted(arrays, key=attrgetter("tag", "name")):
        field, derived = _field_of(column), _derived_of(column)
        work.built.arrays[field.name] = (field, arrays[column])
        if derived is not None:
            work.built.arrays[derived.name] = (derived, _derive(derived, arrays[column]))


_field_of = lru_cache(maxsize=65536)(Column.field)
_derived_of = lru_cache(maxsize=65536)(Column.derived_field)
"""`Column.field` and `Column.derived_field`, cached."""


def _place(values: pa.Array, rows: list[int], count: int) -> pa.Array:
    """Array of `count` rows with values in some of them, null in the others."""
    index = np.full(count, -1)
    index[rows] = np.arange(len(rows))
    return values.take(array(index, pa.int64(), index < 0))


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
    column = work.column(i)
    if column.family in (LENGTH, SEQUENCE) or not work.elements.length[i]:
        return
    try:
        values = [_coerce(v, column.family) for v in _read_values(work, i)]
        if len(values) != 1 and not column.is_list:
            raise ValueError("more than one value")
        value = values if column.is_list else values[0]
        array([value], column.type)
    except (ValueError, TypeError, OverflowError, pa.ArrowInvalid):
        vr = unpack_vr(int(work.elements.vr[i]))
        work.reject(i, "BAD_VALUE", f"a value in {vr} that does not fit {column.vrs[0]}")
        return
    work.extra.setdefault(column, {})[int(work.elements.row[i])] = value


def _read_values(work: Work, i: int) -> list[Any]:
    """Values of an element by its stated VR: texts, numbers, or none."""
    family = int(families().of_vr[work.elements.vr[i]])
    start = int(work.elements.start[i])
    if start < 0:
        raise ValueError("its bytes were not read")
    raw = work.memory.arena[start : start + int(work.elements.length[i])].tobytes()
    if family <= DATE or family == LENGTH:
        text, _ = decode_text(raw, work.charset(i), delimiters(work.column(i)))
        return [part.strip(" \0") for part in text.split("\\")]
    if family in NUMBERS:
        kind = np.dtype(NUMBERS[family])
        values = np.frombuffer(raw[: len(raw) - len(raw) % kind.itemsize], kind)
        if family == AT:
            return [format_tag(int(v) << 16 & 0xFFFF0000 | int(v) >> 16) for v in values]
        return list(values.tolist())
    return []


def _coerce(value: Any, family: int) -> Any:
    if family in (TEXT, AT):
        return str(value)
    if family in (DECIMAL, FL, FD):
        return float(value)
    if family == DATE:
        raise ValueError("no date")
    number = float(value)
    if number != int(number):
        raise ValueError("no whole number")
    return int(value)


def _read_unknown(work: Work, i: int) -> None:
    """A public element without a keyword: its text, or the length of its bytes."""
    tag, row = int(work.elements.tag[i]), int(work.elements.row[i])
    vr_family = int(families().of_vr[work.elements.vr[i]])
    values = _read_values(work, i) if vr_family < LENGTH and work.elements.start[i] >= 0 else []
    column = s.unknown_column(tag, text=bool(values))
    value: Any = "\\".join(map(str, values)) if values else int(work.elements.length[i])
    work.extra.setdefault(column, {})[row] = value

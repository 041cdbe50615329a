"""Values written in characters that are read one by one (PS3.5 6.1 and 6.2)."""

from __future__ import annotations

from functools import lru_cache

import numpy as np
import numpy.typing as npt

from wetread.headers.building import Work
from wetread.headers.charset import decode_text
from wetread.headers.core.builder import ColumnBuilder
from wetread.headers.core.constants import DATE, INTEGER
from wetread.headers.layout import Layout
from wetread.headers.schema import Column
from wetread.headers.values import parse_number

_LONG = 256
"""Longest raw value in the cache of decoded texts."""


def delimiters(column: Column) -> bytes:
    """Characters of a value after which its first character set counts again."""
    if column.vrs[0] == "PN":
        return b"\\^="
    return b"\\" if column.splits else b""


def decode_values(work: Work, builder: ColumnBuilder, index: npt.NDArray[np.int64]) -> None:
    """Values that are not ASCII, in UTF-8; a problem where they are not in the stated set."""
    if not len(index):
        return
    arena, columns, values = work.memory.arena.data, work.registry.columns, work.values
    charsets = work.charset_numbers[work.elements.row[index]].tolist()
    start, code = values.start[index], values.code[index]
    end = start + values.size[index]
    texts: list[bytes] = []
    for number, (a, b) in enumerate(zip(start.tolist(), end.tolist(), strict=True)):
        decode = _decode_short if b - a <= _LONG else _decode
        text, stated = decode(
            bytes(arena[a:b]), work.charsets[charsets[number]], columns[code[number]]
        )
        if not stated:
            work.reject(int(index[number]), "CHARSET", "not in the stated character set")
        texts.append(text)
    sizes = np.fromiter(map(len, texts), np.int64, len(texts))
    starts = work.memory.keep(b"".join(texts)) + np.cumsum(sizes) - sizes
    builder.replace(index, work.memory.arena, starts, sizes)


def _decode(raw: bytes, charset: str, column: Column) -> tuple[bytes, bool]:
    text, stated = decode_text(raw, charset, delimiters(column))
    return text.rstrip("\0 ").encode(), stated


_decode_short = lru_cache(maxsize=4096)(_decode)
"""`_decode`, cached: names and descriptions are equal in many files."""


def parse_again(work: Work, layout: Layout, i: int) -> None:
    """A number or a date that the compiled functions leave; a problem if it is none."""
    column, code = work.column(i), int(work.values.code[i])
    text = work.trimmed(i).decode()
    parts = text.split("\\") if column.is_list else [text]
    first = layout.first_value(code, int(work.elements.row[i]))
    bad = False
    for place in layout.find_nulls(code, first, len(parts)):
        part = parts[place - first].strip(" \0")
        if not part:
            continue
        value = None if column.family == DATE else parse_number(part, column.family == INTEGER)
        if value is None:
            bad = True
        else:
            layout.fill(code, place, value)
    problem = "BAD_DATE" if column.family == DATE else "BAD_NUMBER"
    if bad and column.is_list:
        work.reject(i, problem, "one of several values does not parse")
    elif bad:
        work.reject(i, problem, _why_bad(text.lstrip(" ")))


def _why_bad(text: str) -> str:
    """Description of an invalid value, without quoting it."""
    return "more than one value" if "\\" in text else f"{len(text)} characters that do not parse"

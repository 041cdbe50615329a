"""Numbers in text: what one text gives does not depend on those beside it."""

from __future__ import annotations

import math
import re

import pyarrow as pa
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st
from pydicom.datadict import tag_for_keyword

from wetread.headers.building import Built
from wetread.headers.columns import build_columns
from wetread.headers.registry import Registry
from wetread.headers.walks import Elements, Memory

FORM = re.compile(r"[+-]?(\d+\.?\d*|\.\d+)([eE][+-]?\d+)?", re.ASCII)
LONG = "9" * 5000
"""More digits than Python makes an int of."""
texts = st.lists(st.text("0123456789.+-eE x", max_size=6), min_size=1, max_size=6)


def build(keyword: str, rows: list[str]) -> Built:
    """Column of one element per row."""
    memory, elements = Memory(), Elements.empty(len(rows))
    for i, text in enumerate(rows):
        elements.row[i], elements.tag[i] = i, tag_for_keyword(keyword)
        elements.length[i], elements.start[i] = len(text), memory.keep(text.encode())
    return build_columns(memory, elements, len(rows), Registry())


def values(built: Built, keyword: str) -> list[object]:
    found: pa.Array = built.arrays[keyword][1]
    found.validate(full=True)
    return list(found.to_pylist())


def bad_rows(built: Built) -> list[int]:
    return sorted(row for row, code in built.problems.known() if code == "BAD_NUMBER")


def number(text: str) -> float | None:
    text = text.strip()
    return float(text) if FORM.fullmatch(text) and math.isfinite(float(text)) else None


def whole(text: str) -> float | None:
    found = number(text)
    return found if found is not None and found == found // 1 and abs(found) < 2**63 else None


@settings(deadline=None)
@given(texts)
@example(["1e400", "7", "-1e400"])
@example(["1e400", "1,0"])
@example([LONG])
@example(["1e-1001", "0.1", "123456789012345678e-10", "9007199254740993"])
def test_decimals(written: list[str]) -> None:
    built = build("PatientWeight", written)
    wanted = [number(text) for text in written]
    assert values(built, "PatientWeight") == wanted
    assert bad_rows(built) == [i for i, v in enumerate(wanted) if v is None and written[i].strip()]


@settings(deadline=None)
@given(texts)
@example(["1e400", "7"])
@example([LONG, "7", "-" + LONG, "0" * 5000 + "1"])
def test_integers(written: list[str]) -> None:
    built = build("SeriesNumber", written)
    wanted = [whole(text) for text in written]
    assert values(built, "SeriesNumber") == wanted
    assert bad_rows(built) == [i for i, v in enumerate(wanted) if v is None and written[i].strip()]


@settings(deadline=None)
@given(st.lists(texts, min_size=1, max_size=4))
def test_lists(written: list[list[str]]) -> None:
    built = build("WindowCenter", ["\\".join(row) for row in written])
    empty = [not "\\".join(row).strip() for row in written]
    wanted = [
        None if nothing else [number(text) for text in row]
        for row, nothing in zip(written, empty, strict=True)
    ]
    assert values(built, "WindowCenter") == wanted


@pytest.mark.parametrize("text", ["9223372036854775807", "-9223372036854775808"])
def test_the_largest_integers(text: str) -> None:
    assert values(build("SeriesNumber", [text]), "SeriesNumber") == [int(text)]

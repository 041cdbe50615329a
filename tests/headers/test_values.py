"""Numbers in text: what one text gives does not depend on those beside it."""

from __future__ import annotations

import math
import re

import pyarrow as pa
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from wetread.headers.values import parse_decimals, parse_integers

FORM = re.compile(r"[+-]?(\d+\.?\d*|\.\d+)([eE][+-]?\d+)?", re.ASCII)
LONG = "9" * 5000
"""More digits than Python makes an int of."""
texts = st.lists(st.text("0123456789.+-eE x", max_size=6), max_size=6)


def is_bad(values: list[float | None], written: list[str]) -> list[bool]:
    return [v is None and text.strip() != "" for v, text in zip(values, written, strict=True)]


def number(text: str) -> float | None:
    text = text.strip()
    return float(text) if FORM.fullmatch(text) and math.isfinite(float(text)) else None


@settings(deadline=None)
@given(texts)
@example(["1e400", "7", "-1e400"])
@example(["1e400", "1,0"])
@example([LONG])
def test_decimals(written: list[str]) -> None:
    found, bad = parse_decimals(pa.array(written, pa.string()))
    wanted = [number(text) for text in written]
    assert found.to_pylist() == wanted
    assert list(bad) == is_bad(wanted, written)


@settings(deadline=None)
@given(texts)
@example(["1e400", "7"])
@example([LONG, "7", "-" + LONG, "0" * 5000 + "1"])
def test_integers(written: list[str]) -> None:
    found, bad = parse_integers(pa.array(written, pa.string()))
    wanted = [number(text) for text in written]
    whole = [n if n is not None and n == n // 1 and abs(n) < 2**63 else None for n in wanted]
    assert found.to_pylist() == whole
    assert list(bad) == is_bad(whole, written)


@pytest.mark.parametrize("text", ["9223372036854775807", "-9223372036854775808"])
def test_the_largest_integers(text: str) -> None:
    assert parse_integers(pa.array([text]))[0].to_pylist() == [int(text)]

"""Text formatting for JSON, terminals, CSV files and pages."""

from __future__ import annotations

import operator
import re
from collections.abc import Mapping
from typing import Any, SupportsIndex


def natural_key(text: str) -> list[tuple[str, int]]:
    """Sort key that counts digits as numbers.

    >>> sorted(["R10", "R2", "R1"], key=natural_key)
    ['R1', 'R2', 'R10']
    """
    pieces = re.findall(r"([^0-9]*)([0-9]*)", text)
    return [(words, int(digits or -1)) for words, digits in pieces]


def counted(count: int, noun: str, verb: str = "") -> str:
    """Number with its noun and verb, given as a singular and a plural.

    >>> counted(1, "box"), counted(1200, "box"), counted(1, "study of a patient", "have")
    ('1 box', '1,200 boxes', '1 study of a patient has')
    """
    if count == 1:
        singular = {"": "", "are": "is", "have": "has", "were": "was"}.get(verb, f"{verb}s")
        return f"1 {noun} {singular}".rstrip()
    head, rest = re.fullmatch(rf"(.*?)((?: (?:{_AFTER_NOUN}) .*)?)", noun).groups()  # type: ignore[union-attr]
    if head.endswith(("s", "x", "ch", "sh")):
        head += "es" * (not head.endswith("series"))
    elif re.search("[^aeiou]y$", head):
        head = f"{head[:-1]}ies"
    else:
        head += "s"
    return f"{count:,} {head}{rest} {verb}".rstrip()


_AFTER_NOUN = "by|in|of|on|that|to|with|without"
"""Words after which a phrase goes on that describes the noun before."""


def pick(key: SupportsIndex, count: int, noun: str) -> int:
    """Position, from 0, of an item of a sequence of this length; negative keys count from the end.

    Raises:
        IndexError: there is no such item; the message has the length.

    >>> pick(-1, 3, "file")
    2
    """
    try:
        return range(count)[operator.index(key)]
    except IndexError:
        there = "there is 1, number 0" if count == 1 else f"there are {count:,}, numbered from 0"
        raise IndexError(f"no {noun} {key}: {there}") from None


def to_plain(value: Any) -> Any:
    """Convert to JSON types: bytes in hex, dates in ISO 8601, NaN and infinity as None.

    >>> to_plain({"a": (1.5, float("nan")), "b": b"DICM"})
    {'a': [1.5, None], 'b': '4449434d'}
    """
    if isinstance(value, Mapping):
        return {str(key): to_plain(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [to_plain(item) for item in value]
    if isinstance(value, bytes):
        return value.hex()
    if hasattr(value, "item"):  # a NumPy scalar
        value = value.item()
    if isinstance(value, float):
        return value if abs(value) < float("inf") else None
    return value if isinstance(value, str | int | None) else str(value)


def printable(text: str) -> str:
    r"""Escape invisible characters, terminal control sequences and bidirectional controls.

    >>> printable("a\x1b[31m"), printable("a\u202eb\x00")
    ('a\\x1b[31m', 'a\\u202eb\\x00')
    """
    if text.isprintable():
        return text
    return "".join(c if c.isprintable() else ascii(c)[1:-1] for c in text)


def guard_cell(text: str) -> str:
    """Guard a CSV cell against formula injection: a formula gets a leading quote.

    Numbers stay unchanged. `unguard_cell` is the inverse.

    >>> guard_cell("=1+1"), guard_cell("-5"), guard_cell("a=b")
    ("'=1+1", '-5', 'a=b')
    """
    return f"'{text}" if _FORMULA.match(text) and not _NUMBER.fullmatch(text) else text


def unguard_cell(text: str) -> str:
    """Undo `guard_cell`.

    >>> unguard_cell("'=1+1"), unguard_cell("'quoted'")
    ('=1+1', "'quoted'")
    """
    return text[1:] if text.startswith("'") and _FORMULA.match(text) else text


_FORMULA = re.compile("'*[=+\\-@\t\r\n\uff1d\uff0b\uff0d\uff20]")
"""Start of a formula, also in full-width characters, and of a cell that `guard_cell` quoted."""
_NUMBER = re.compile(r"[+-]?(\d+\.?\d*|\.\d+)([eE][+-]?\d+)?|[+-]?(inf|nan)", re.IGNORECASE)


def parse_id(text: str) -> str:
    """Whole number that pandas wrote as a float, without `.0`.

    >>> parse_id("8.0"), parse_id("1.2.0"), parse_id("R8")
    ('8', '1.2.0', 'R8')
    """
    return re.sub(r"^(\d+)\.0+$", r"\1", text)


def format_bytes(count: float) -> str:
    """Format a number of bytes.

    >>> format_bytes(1536)
    '1.5 kB'
    """
    for unit in ("bytes", "kB", "MB", "GB", "TB"):
        if count < 1024 or unit == "TB":
            break
        count /= 1024
    return f"{count:,.0f} {unit}" if unit == "bytes" else f"{count:,.1f} {unit}"

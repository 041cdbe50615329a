"""What JSON, a terminal and a page can show of any value."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any


def natural_key(text: str) -> list[tuple[str, int]]:
    """Sort key that counts digits as numbers.

    >>> sorted(["R10", "R2", "R1"], key=natural_key)
    ['R1', 'R2', 'R10']
    """
    pieces = re.findall(r"([^0-9]*)([0-9]*)", text)
    return [(words, int(digits or -1)) for words, digits in pieces]


def to_plain(value: Any) -> Any:
    """Dicts, lists, text and numbers: bytes in hex, dates in ISO 8601, NaN and infinity as None.

    >>> to_plain({"a": (1.5, float("nan")), "b": b"DICM"})
    {'a': [1.5, None], 'b': '4449434d'}
    """
    if isinstance(value, Mapping):
        return {str(key): to_plain(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [to_plain(item) for item in value]
    if isinstance(value, bytes):
        return value.hex()
    if hasattr(value, "item"):  # NumPy's
        value = value.item()
    if isinstance(value, float):
        return value if abs(value) < float("inf") else None
    return value if isinstance(value, str | int | None) else str(value)


def printable(text: str) -> str:
    r"""Text with what is not seen, steers a terminal or turns the rest around, written out.

    >>> printable("a\x1b[31m"), printable("a\u202eb\x00")
    ('a\\x1b[31m', 'a\\u202eb\\x00')
    """
    if text.isprintable():
        return text
    return "".join(c if c.isprintable() else ascii(c)[1:-1] for c in text)


def name_bytes(count: float) -> str:
    """A number of bytes for people.

    >>> name_bytes(1536)
    '1.5 kB'
    """
    for unit in ("bytes", "kB", "MB", "GB", "TB"):
        if count < 1024 or unit == "TB":
            break
        count /= 1024
    return f"{count:,.0f} {unit}" if unit == "bytes" else f"{count:,.1f} {unit}"

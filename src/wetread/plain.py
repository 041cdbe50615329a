"""What JSON can say of any value."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any


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

"""Values of a header, whatever state it is in: pydicom converts at access, and may raise there."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    from pydicom.dataset import Dataset


def integer(header: Dataset | None, keyword: str) -> int | None:
    """The first value of an element as an integer; None where it is absent or no number."""
    values = numbers(header, keyword)
    return int(values[0]) if values and abs(values[0]) < 2**63 else None


def numbers(header: Dataset | None, keyword: str) -> tuple[float, ...]:
    """All values of an element that are finite numbers; () where there are none."""
    value = _value(header, keyword)
    if value is None or (isinstance(value, (str, bytes)) and not value):
        return ()
    found = []
    for one in value if is_many(value) else (value,):
        try:
            number = float(one)
        except (TypeError, ValueError):
            continue
        if np.isfinite(number):
            found.append(number)
    return tuple(found)


def text(header: Dataset | None, keyword: str) -> str:
    """The first value of an element as stripped text; "" where it is absent."""
    found = texts(header, keyword)
    return found[0] if found else ""


def texts(header: Dataset | None, keyword: str) -> tuple[str, ...]:
    """All values of an element as stripped text; () where there are none."""
    value = _value(header, keyword)
    if value is None:
        return ()
    return tuple(str(one).strip(" \0") for one in (value if is_many(value) else (value,)))


def _value(header: Dataset | None, keyword: str) -> Any:
    """An element's value; None where it is absent or does not convert."""
    try:
        return None if header is None else header.get(keyword)
    except Exception:  # noqa: BLE001 - pydicom parses and converts at access: many kinds are raised
        return None


def is_many(value: object) -> bool:
    """Whether an element's value is a list of values or of items."""
    return hasattr(value, "__iter__") and not isinstance(value, (str, bytes))


def items(header: Dataset | None, keyword: str) -> list[Dataset]:
    """The items of a sequence; [] where it is absent or no sequence."""
    value = _value(header, keyword)
    return [item for item in value or () if hasattr(item, "get")] if is_many(value) else []


def groups(header: Dataset, frame: int, sequence: str) -> Iterator[tuple[str, Dataset]]:
    """Where a parameter may stand, nearest first (PS3.3 C.7.6.16)."""
    for place, keyword, item in (
        ("frame", "PerFrameFunctionalGroupsSequence", frame),
        ("shared", "SharedFunctionalGroupsSequence", 0),
    ):
        groups = items(header, keyword)
        if 0 <= item < len(groups):
            for found in items(groups[item], sequence)[:1]:
                yield place, found
    yield "header", header

"""Values of a header, whatever state it is in: pydicom converts at access, and may raise there."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from wetread.errors import DecodeError

if TYPE_CHECKING:
    from pydicom.dataset import Dataset

_DECIMAL = re.compile(r"[+-]?(\d+\.?\d*|\.\d+)([eE][+-]?\d+)?", re.ASCII)
"""A Decimal String (PS3.5 6.2). Python's `float` accepts more: "1_0", "nan"."""
_COMMA = re.compile(r"[^.,]*,[^.,]*")


class Numbers(NamedTuple):
    """Values of a numeric element: absent and unreadable are two things."""

    values: tuple[float | None, ...]
    """Empty for an element that is absent or has no value; None for each unreadable value."""
    problem: str = ""
    """Values that are not as the standard writes them, for a problem; "" if there are none."""

    @property
    def first(self) -> float | None:
        """First value; None if there is none or it is unreadable."""
        return self.values[0] if self.values else None

    @property
    def unreadable(self) -> bool:
        """True if the element has a value that is no number."""
        return None in self.values


def read_numbers(header: Dataset | None, keyword: str) -> Numbers:
    """Values of an element that holds numbers. Never raises.

    A single decimal comma is read as a point, and is a problem: it can mean nothing else in a
    Decimal String, where neither commas nor thousands separators are allowed.

    >>> from pydicom.dataset import Dataset
    >>> read_numbers(Dataset(), "RescaleSlope")
    Numbers(values=(), problem='')
    >>> read_numbers({"RescaleSlope": "2,5"}, "RescaleSlope")
    Numbers(values=(2.5,), problem="RescaleSlope '2,5': decimal comma read as a point")
    >>> read_numbers({"RescaleSlope": "steep"}, "RescaleSlope")
    Numbers(values=(None,), problem="RescaleSlope 'steep' is no number")
    """
    if header is None:
        return Numbers(())
    try:
        value = header.get(keyword)
    except Exception:  # noqa: BLE001 - pydicom parses and converts at access: many kinds are raised
        return Numbers((None,), f"{keyword} {_raw(header, keyword)} is no number")
    if isinstance(value, bytes) and value:
        value = _unpack(value, keyword)
    if value is None or (isinstance(value, (str, bytes)) and not value.strip()):
        return Numbers(())
    found: list[float | None] = []
    problems: list[str] = []
    for one in value if is_many(value) else (value,):
        number, problem = _parse(one)
        found.append(number)
        if problem:
            problems.append(f"{keyword} {str(one)[:40]!r}{problem}")
    return Numbers(tuple(found), "; ".join(problems))


def _parse(value: Any) -> tuple[float | None, str]:
    """A value as a finite number or None, and its problem."""
    text = getattr(value, "original_string", value)  # DSfloat takes what float() does
    problem = ""
    if isinstance(text, str):
        text = text.strip(" \0")
        if _COMMA.fullmatch(text):
            text, problem = text.replace(",", "."), ": decimal comma read as a point"
        if not _DECIMAL.fullmatch(text):
            return None, " is no number"
        value = text
    try:
        number = float(value)
    except (TypeError, ValueError, OverflowError):
        return None, " is no number"
    return (number, problem) if np.isfinite(number) else (None, " is no finite number")


def _unpack(value: bytes, keyword: str) -> Any:
    """Bytes of an element whose VR is not one of numbers: words of `US or SS`, else text.

    The words come without a sign, which Pixel Representation decides.
    """
    from pydicom.datadict import dictionary_VR

    if dictionary_VR(keyword).startswith(("US", "SS")):
        return np.frombuffer(value, "<u2").tolist() if len(value) % 2 == 0 else repr(value[:40])
    return value.decode("latin-1").split("\\")


def _raw(header: Any, keyword: str) -> str:
    """Bytes of an element that pydicom cannot convert, for a message."""
    try:
        value = header.get_item(keyword).value
    except Exception:  # noqa: BLE001 - only for a message
        return "of a wrong length"
    return repr(value[:40]) if isinstance(value, bytes) else "of a wrong kind"


def integer(header: Dataset | None, keyword: str) -> int | None:
    """First value of an element as an integer; None where it is absent or has no value.

    Raises:
        DecodeError: the value is no integer.
    """
    numbers = read_numbers(header, keyword)
    if not numbers.values:
        return None
    if numbers.first is None or not numbers.first.is_integer():
        raise DecodeError(numbers.problem or f"{keyword} {numbers.first:g} is no integer")
    return int(numbers.first)


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


def present(header: Dataset, keyword: str) -> bool:
    """True if an element is there and not empty, be its value readable or not."""
    try:
        value = header.get(keyword)
    except Exception:  # noqa: BLE001 - pydicom parses and converts at access: many kinds are raised
        return True
    return value is not None and (not hasattr(value, "__len__") or len(value) > 0)


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

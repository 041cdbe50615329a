"""Robust access to header values: pydicom converts on access and may raise."""

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
    """Values of a numeric element; distinguishes absent from unreadable."""

    values: tuple[float | None, ...]
    """Empty if the element is absent or has no value; None for each unreadable value."""
    problem: str = ""
    """Text about values that violate the standard; "" if there are none."""

    @property
    def first(self) -> float | None:
        """First value; None if there is none or it is unreadable."""
        return self.values[0] if self.values else None

    @property
    def unreadable(self) -> bool:
        """True if any value of the element is not a number."""
        return None in self.values


def read_numbers(header: Dataset | None, keyword: str) -> Numbers:
    """Read the values of a numeric element. Never raises.

    A single decimal comma is read as a point and noted as a problem. It is unambiguous: a Decimal
    String allows neither commas nor thousands separators.

    >>> from pydicom.dataset import Dataset
    >>> read_numbers(Dataset(), "RescaleSlope")
    Numbers(values=(), problem='')
    >>> read_numbers({"RescaleSlope": "2,5"}, "RescaleSlope")
    Numbers(values=(2.5,), problem="RescaleSlope '2,5': decimal comma read as a point")
    >>> read_numbers({"RescaleSlope": "steep"}, "RescaleSlope")
    Numbers(values=(None,), problem="RescaleSlope 'steep' is not a number")
    """
    if header is None:
        return Numbers(())
    try:
        value = header.get(keyword)
    except Exception:  # noqa: BLE001 - pydicom converts on access and raises many types
        return Numbers((None,), f"{keyword} {_raw(header, keyword)} is not a number")
    if isinstance(value, bytes) and value:
        value = _unpack(value, keyword)
    if value is None or (isinstance(value, (str, bytes)) and not value.strip()):
        return Numbers(())
    values: list[float | None] = []
    problems: list[str] = []
    for one in value if is_many(value) else (value,):
        number, problem = _parse(one)
        values.append(number)
        if problem:
            problems.append(f"{keyword} {str(one)[:40]!r}{problem}")
    return Numbers(tuple(values), "; ".join(problems))


def _parse(value: Any) -> tuple[float | None, str]:
    """Convert a value to a finite number, or None, and return its problem."""
    text = getattr(value, "original_string", value)  # DSfloat accepts more than the standard
    problem = ""
    if isinstance(text, str):
        text = text.strip(" \0")
        if _COMMA.fullmatch(text):
            text, problem = text.replace(",", "."), ": decimal comma read as a point"
        if not _DECIMAL.fullmatch(text):
            return None, " is not a number"
        value = text
    try:
        number = float(value)
    except (TypeError, ValueError, OverflowError):
        return None, " is not a number"
    return (number, problem) if np.isfinite(number) else (None, " is not finite")


def _unpack(value: bytes, keyword: str) -> Any:
    """Convert the bytes of an element without a numeric VR: words of `US or SS`, else text.

    Words are unsigned; their sign depends on Pixel Representation.
    """
    from pydicom.datadict import dictionary_VR

    if dictionary_VR(keyword).startswith(("US", "SS")):
        return np.frombuffer(value, "<u2").tolist() if len(value) % 2 == 0 else repr(value[:40])
    return value.decode("latin-1").rstrip(" \0").split("\\")


def _raw(header: Any, keyword: str) -> str:
    """Return the bytes of an element that pydicom cannot convert, for a message."""
    try:
        value = header.get_item(keyword).value
    except Exception:  # noqa: BLE001 - only for a message
        return "of a wrong length"
    return repr(value[:40]) if isinstance(value, bytes) else "of a wrong kind"


def integer(header: Dataset | None, keyword: str) -> int | None:
    """Read the first value of an element as an integer; None if absent or empty.

    Raises:
        DecodeError: the value is not an integer.
    """
    numbers = read_numbers(header, keyword)
    if not numbers.values:
        return None
    if numbers.first is None or not numbers.first.is_integer():
        raise DecodeError(numbers.problem or f"{keyword} {numbers.first:g} is not an integer")
    return int(numbers.first)


def text(header: Dataset | None, keyword: str) -> str:
    """Read the first value of an element as stripped text; "" if absent."""
    values = texts(header, keyword)
    return values[0] if values else ""


def texts(header: Dataset | None, keyword: str) -> tuple[str, ...]:
    """Read all values of an element as stripped text; () if absent."""
    value = _value(header, keyword)
    if value is None:
        return ()
    return tuple(str(one).strip(" \0") for one in (value if is_many(value) else (value,)))


def _value(header: Dataset | None, keyword: str) -> Any:
    """Return the value of an element; None if absent or not convertible."""
    try:
        return None if header is None else header.get(keyword)
    except Exception:  # noqa: BLE001 - pydicom converts on access and raises many types
        return None


def present(header: Dataset, keyword: str) -> bool:
    """Return True if an element exists and is not empty, readable or not."""
    try:
        value = header.get(keyword)
    except Exception:  # noqa: BLE001 - pydicom converts on access and raises many types
        return True
    return value is not None and (not hasattr(value, "__len__") or len(value) > 0)


def is_many(value: object) -> bool:
    """Return True if the value of an element is a list of values or of items.

    >>> from pydicom.valuerep import PersonName
    >>> is_many([1.0, 2.0]), is_many("CT"), is_many(PersonName("Doe^Jane"))
    (True, False, False)
    """
    if isinstance(value, (str, bytes)) or hasattr(value, "components"):  # a PersonName
        return False
    return hasattr(value, "__iter__")


def items(header: Dataset | None, keyword: str) -> list[Dataset]:
    """Return the items of a sequence; [] if absent or not a sequence."""
    value = _value(header, keyword)
    return [item for item in value or () if hasattr(item, "get")] if is_many(value) else []


def groups(header: Dataset, frame: int, sequence: str) -> Iterator[tuple[str, Dataset]]:
    """Yield the data sets that may hold a parameter of a frame, by precedence (PS3.3 C.7.6.16)."""
    for level, keyword, item in (
        ("frame", "PerFrameFunctionalGroupsSequence", frame),
        ("shared", "SharedFunctionalGroupsSequence", 0),
    ):
        groups = items(header, keyword)
        if 0 <= item < len(groups):
            for group in items(groups[item], sequence)[:1]:
                yield level, group
    yield "header", header

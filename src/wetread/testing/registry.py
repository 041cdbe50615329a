"""Registry of failure classes, with the expected row of each damaged file."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from wetread.testing.dicom import EXPLICIT, Element, changed, dicom_file, picture

RIGHT: dict[str, Any] = {"PatientName": "Doe^Jane", "Rows": 8}
"""Values in every `Folder.picture`, near its start and near its end."""


@dataclass(frozen=True, slots=True)
class Expected:
    """Expected row of one file; a path (and member) without an `Expected` has no row."""

    path: str
    status: str = "ok"
    codes: frozenset[str] = frozenset()
    """Required problem codes."""
    also: frozenset[str] = frozenset()
    """Allowed problem codes; all others are false."""
    values: dict[str, Any] = field(default_factory=dict)
    """Columns that are correct despite the damage."""
    invalid: dict[str, bytes] = field(default_factory=dict)
    """Raw bytes of values that do not parse, by keyword."""
    member: str = ""


class Folder:
    """Folder of damaged files under construction, with the expected row of each."""

    def __init__(self, root: Path, number: int) -> None:
        self.root = root
        self.number = number
        self.expected: list[Expected] = []

    def picture(self, *new: Element, without: tuple[str, ...] = ()) -> list[Element]:
        """Data set of an image with a unique number; elements are replaced, added or removed."""
        number = 100 * self.number + len(self.expected)
        return changed(picture(number), *new, without=without)

    def file(self, *new: Element, syntax: str = EXPLICIT) -> bytes:
        """File of such an image."""
        return dicom_file(self.picture(*new), syntax)

    def write(self, path: str, data: bytes) -> Path:
        """Write bytes; create folders as needed."""
        target = self.root / path
        target.parent.mkdir(parents=True, exist_ok=True)
        target.write_bytes(data)
        return target

    def put(self, path: str, data: bytes, status: str, codes: str = "", **more: Any) -> Path:
        """Write a file and record its expected row; codes are separated by spaces."""
        self.expect(path, status, codes, **more)
        return self.write(path, data)

    def expect(self, path: str, status: str, codes: str = "", also: str = "", **more: Any) -> None:
        """Record the expected row of an existing path."""
        required, allowed = frozenset(codes.split()), frozenset(also.split())
        self.expected.append(Expected(path, status, required, allowed, **more))


@dataclass(frozen=True, slots=True)
class Damage:
    """Failure class."""

    number: int
    """Number in wetread's table of 45 failure classes."""
    name: str
    meaning: str
    fill: Callable[[Folder], None]

    def make(self, root: Path) -> list[Expected]:
        """Write the damaged files of this class into a folder; return their expected rows."""
        root.mkdir(parents=True, exist_ok=True)
        folder = Folder(root, self.number)
        self.fill(folder)
        return folder.expected


_KNOWN: dict[str, Damage] = {}


def failure_class(number: int) -> Callable[[Callable[[Folder], None]], Callable[[Folder], None]]:
    """Decorator that registers a function that fills a folder."""

    def register(fill: Callable[[Folder], None]) -> Callable[[Folder], None]:
        _KNOWN[fill.__name__] = Damage(number, fill.__name__, fill.__doc__ or "", fill)
        return fill

    return register


def damages() -> list[Damage]:
    """All failure classes, by number.

    >>> [d.name for d in damages()][:3]
    ['bad_among_good', 'truncated', 'not_dicom']
    """
    return sorted(_KNOWN.values(), key=lambda d: d.number)

"""Every kind of damage by name, and what a reader must say about each file."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from wetread.testing.dicom import EXPLICIT, Element, changed, dicom_file, picture

RIGHT: dict[str, Any] = {"PatientName": "Doe^Jane", "Rows": 8}
"""What stands in every `Folder.picture`, near its start and near its end."""


@dataclass(frozen=True, slots=True)
class Expected:
    """What a reader must say about one file; a path (and member) in no `Expected` has no row."""

    path: str
    status: str = "ok"
    codes: frozenset[str] = frozenset()
    """Problems that must be there."""
    also: frozenset[str] = frozenset()
    """Problems that may be there; any other is false."""
    values: dict[str, Any] = field(default_factory=dict)
    """Columns that are right in spite of the damage."""
    invalid: dict[str, bytes] = field(default_factory=dict)
    """Raw bytes that are kept of values that do not parse."""
    member: str = ""


class Folder:
    """A folder being filled with damaged files; notes what to expect of each."""

    def __init__(self, root: Path, number: int) -> None:
        self.root = root
        self.number = number
        self.expected: list[Expected] = []

    def picture(self, *new: Element, without: tuple[str, ...] = ()) -> list[Element]:
        """A picture with a number of its own, some elements replaced, added or left out."""
        number = 100 * self.number + len(self.expected)
        return changed(picture(number), *new, without=without)

    def file(self, *new: Element, syntax: str = EXPLICIT) -> bytes:
        """The bytes of such a picture."""
        return dicom_file(self.picture(*new), syntax)

    def write(self, path: str, data: bytes) -> Path:
        """Write bytes, making folders on the way."""
        target = self.root / path
        target.parent.mkdir(parents=True, exist_ok=True)
        target.write_bytes(data)
        return target

    def put(self, path: str, data: bytes, status: str, codes: str = "", **more: Any) -> Path:
        """Write a file and note what to expect of it; codes are separated by blanks."""
        self.expect(path, status, codes, **more)
        return self.write(path, data)

    def expect(self, path: str, status: str, codes: str = "", also: str = "", **more: Any) -> None:
        """Note what to expect of a path that is there already."""
        said, may = frozenset(codes.split()), frozenset(also.split())
        self.expected.append(Expected(path, status, said, may, **more))


@dataclass(frozen=True, slots=True)
class Damage:
    """One failure class."""

    number: int
    """The class in wetread's table of 45 failure classes."""
    name: str
    meaning: str
    fill: Callable[[Folder], None]

    def make(self, root: Path) -> list[Expected]:
        """Write the damaged files of this class into a folder; what to expect of each."""
        root.mkdir(parents=True, exist_ok=True)
        folder = Folder(root, self.number)
        self.fill(folder)
        return folder.expected


_KNOWN: dict[str, Damage] = {}


def failure_class(number: int) -> Callable[[Callable[[Folder], None]], Callable[[Folder], None]]:
    """Enter a function that fills a folder under its name."""

    def enter(fill: Callable[[Folder], None]) -> Callable[[Folder], None]:
        _KNOWN[fill.__name__] = Damage(number, fill.__name__, fill.__doc__ or "", fill)
        return fill

    return enter


def damages() -> list[Damage]:
    """Every kind of damage, by the number of its class.

    >>> [d.name for d in damages()][:3]
    ['bad_among_good', 'truncated', 'not_dicom']
    """
    from wetread.testing import damage, elements, folders  # noqa: F401  (they enter functions)

    return sorted(_KNOWN.values(), key=lambda d: d.number)

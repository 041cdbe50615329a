"""Result of the scalar walk of one file."""

from __future__ import annotations

from dataclasses import dataclass, field

from wetread.headers.encodings import Encoding

Problem = tuple[str, int | None, int | None, str]
"""Code, tag, position in the file, text."""
MOST_RAW = 64 * 1024
"""Bytes that are kept of a value that does not become one."""


@dataclass(frozen=True, slots=True)
class Element:
    """One element of the top level; `value` is little endian, None where it is not needed."""

    tag: int
    vr: str
    value: bytes | None
    length: int
    offset: int


@dataclass(slots=True)
class Walked:
    """Result of the scalar walk of one file."""

    elements: list[Element] = field(default_factory=list)
    problems: list[Problem] = field(default_factory=list)
    clipped: list[tuple[int, bytes]] = field(default_factory=list)
    """Tag and first bytes of values that the end of the file cut."""
    is_dicom: bool = True
    syntax: str | None = None
    encoding: Encoding = field(default_factory=Encoding)
    pixel_tag: int = 0
    pixel_offset: int | None = None
    pixel_length: int | None = None

    def find(self, code: str, tag: int | None, offset: int | None, text: str) -> None:
        """Note a problem, once a code and tag."""
        if not any(f[0] == code and f[1] == tag for f in self.problems):
            self.problems.append((code, tag, offset, text))

    def find_first(self, code: str, tag: int, offset: int, text: str) -> None:
        """Note a problem, once a code."""
        if not any(f[0] == code for f in self.problems):
            self.problems.append((code, tag, offset, text))

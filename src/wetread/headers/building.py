"""Columns built from the elements of a block, with problems and unparsed bytes."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from wetread.headers.charset import CHARSET, read_charsets
from wetread.headers.core.constants import MOST_RAW, NO_FAMILY
from wetread.headers.registry import Registry
from wetread.headers.schema import Column, format_tag
from wetread.headers.walks import Elements, Memory


@dataclass(slots=True)
class Built:
    """Columns of n rows, and problems of values."""

    rows: int
    arrays: dict[str, tuple[pa.Field, pa.Array]] = field(default_factory=dict)
    problems: list[tuple[int, str, str | None, int | None, str]] = field(default_factory=list)
    """Row, code, tag, position in the file, text."""
    invalid: list[tuple[int, str, bytes]] = field(default_factory=list)
    """Row, keyword, raw bytes."""

    def find(self, row: int, code: str, tag: int, offset: int, text: str) -> None:
        """Note a problem about an element."""
        self.problems.append((int(row), code, format_tag(tag), int(offset), text))


@dataclass(slots=True)
class Values:
    """Flat arrays, one entry per element; see `core.builder`."""

    code: npt.NDArray[np.uint16]
    """Number of the column."""
    family: npt.NDArray[np.uint8]
    """By which the value is read; NO_FAMILY if it is not, or not here."""
    odd: npt.NDArray[np.uint8]
    """Bits: OTHER_FAMILY, ..."""
    copies: npt.NDArray[np.int32]
    """Elements of the same tag before it in its row."""
    start: npt.NDArray[np.int64]
    """Start of the bytes in the arena."""
    size: npt.NDArray[np.int64]
    """Bytes without padding; -1 for an element without a value."""

    @classmethod
    def of(cls, code: npt.NDArray[np.uint16]) -> Values:
        """Zeros beside the numbers of the columns."""
        family, odd = np.zeros((2, len(code)), np.uint8)
        start, size = np.zeros((2, len(code)), np.int64)
        return cls(code, family, odd, np.zeros(len(code), np.int32), start, size)


@dataclass(slots=True)
class Work:
    """State of the conversion of one block."""

    memory: Memory
    elements: Elements
    values: Values
    registry: Registry
    built: Built
    extra: dict[Column, dict[int, Any]] = field(default_factory=dict)
    """By column and row: Python values of elements read one by one."""
    is_charset: npt.NDArray[np.bool_] = field(init=False)
    """Elements Specific Character Set that count; see `read_charsets`."""
    charsets: dict[int, str] = field(init=False)
    """Values of these, by row."""

    def read_charsets(self) -> None:
        """Read the character sets that the rows state, once the families are settled."""
        self.is_charset = (self.elements.tag == CHARSET) & (self.values.family != NO_FAMILY)
        stated = self.elements.take(np.flatnonzero(self.is_charset))
        self.charsets = read_charsets(self.memory.arena, stated)

    def column(self, i: int) -> Column:
        """Column of an element."""
        return self.registry.columns[int(self.values.code[i])]

    def raw(self, i: int) -> bytes:
        """The first bytes of an element's value, as far as they were read."""
        start = int(self.elements.start[i])
        if start < 0:
            return b""
        end = start + min(int(self.elements.length[i]), MOST_RAW)
        return self.memory.arena[start:end].tobytes()

    def trimmed(self, i: int) -> bytes:
        """Value of an element without padding."""
        start = int(self.values.start[i])
        return self.memory.arena[start : start + int(self.values.size[i])].tobytes()

    def charset(self, i: int) -> str:
        """Specific Character Set of an element's row; "" if it states none."""
        return self.charsets.get(int(self.elements.row[i]), "")

    def delimiters(self, i: int) -> bytes:
        """Characters of an element after which its first character set counts again."""
        column = self.column(i)
        if column.vrs[0] == "PN":
            return b"\\^="
        return b"\\" if column.splits else b""

    def find(self, i: int, code: str, text: str) -> None:
        """Note a problem about an element."""
        e = self.elements
        self.built.find(e.row[i], code, int(e.tag[i]), e.offset[i], text)

    def reject(self, i: int, code: str, text: str) -> None:
        """Reject a value: keep its bytes in `invalid`, note a problem."""
        self.built.invalid.append((int(self.elements.row[i]), self.column(i).name, self.raw(i)))
        self.find(i, code, text)

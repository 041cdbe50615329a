"""Columns built from the elements of a block, with problems and unparsed bytes."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from wetread.common.arrays import filled
from wetread.headers.charset import CHARSET
from wetread.headers.core.constants import MOST_RAW, NO_FAMILY
from wetread.headers.gather import gather_strings
from wetread.headers.registry import Registry
from wetread.headers.row_problems import RowProblems
from wetread.headers.schema import Column
from wetread.headers.walks import Elements, Memory


@dataclass(slots=True)
class Built:
    """Columns of n rows, and problems of values."""

    rows: int
    arrays: dict[str, tuple[pa.Field, pa.Array]] = field(default_factory=dict)
    problems: RowProblems = field(default_factory=RowProblems)
    invalid: list[tuple[int, str, bytes]] = field(default_factory=list)
    """Row, keyword, raw bytes."""


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
    stated: npt.NDArray[np.int64] = field(init=False)
    """Elements Specific Character Set that count; see `read_charsets`."""
    charsets: list[str] = field(init=False)
    """Distinct values of these; the first is "", for rows without one."""
    charset_numbers: npt.NDArray[np.int64] = field(init=False)
    """Place in `charsets` of each row's."""

    def read_charsets(self) -> None:
        """Read the character sets that the rows state, once the families are settled."""
        e = self.elements
        self.stated = np.flatnonzero((e.tag == CHARSET) & (self.values.family != NO_FAMILY))
        self.stated = self.stated[e.start[self.stated] >= 0]
        start, length = e.start[self.stated], e.length[self.stated]
        texts = gather_strings(self.memory.arena, start, length).dictionary_encode()
        self.charsets = ["", *texts.dictionary.to_pylist()]
        self.charset_numbers = np.zeros(self.built.rows, np.int64)
        self.charset_numbers[e.row[self.stated]] = filled(texts.indices, 0) + 1

    def marked(self, bit: int) -> npt.NDArray[np.int64]:
        """Elements with a bit of `values.odd`."""
        return np.flatnonzero(self.values.odd & bit > 0)  # booleans are searched 8 times as fast

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
        return self.charsets[int(self.charset_numbers[self.elements.row[i]])]

    def find(self, i: int, code: str, text: str) -> None:
        """Note a problem about an element."""
        e = self.elements
        row, tag, offset = int(e.row[i]), int(e.tag[i]), int(e.offset[i])
        self.built.problems.find(row, code, text, tag, offset)

    def reject(self, i: int, code: str, text: str) -> None:
        """Reject a value: keep its bytes in `invalid`, note a problem."""
        self.built.invalid.append((int(self.elements.row[i]), self.column(i).name, self.raw(i)))
        self.find(i, code, text)

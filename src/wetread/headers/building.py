"""Columns built from the elements of a block, with problems and unparsed bytes."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from wetread.common.arrays import buffer_type, filled_flags
from wetread.headers.charset import read_charsets
from wetread.headers.core.constants import MOST_RAW
from wetread.headers.core.texts import spread_offsets
from wetread.headers.registry import Registry
from wetread.headers.schema import format_tag
from wetread.headers.walks import Bytes, Elements

Bools = npt.NDArray[np.bool_]


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
class Work:
    """State of the conversion of one block."""

    arena: Bytes
    elements: Elements
    codes: npt.NDArray[np.uint16]
    registry: Registry
    built: Built
    extra: dict[int, list[tuple[int, Any]]] = field(default_factory=dict)
    """By number of column: row and Python value of elements read one by one."""
    charsets: dict[int, str] | None = None
    """Specific Character Set by row, of the rows that state one; read on first use."""

    def raw(self, i: int) -> bytes:
        """The first bytes of an element's value, as far as they were read."""
        start = int(self.elements.start[i])
        if start < 0:
            return b""
        return self.arena[start : start + min(int(self.elements.length[i]), MOST_RAW)].tobytes()

    def charset(self, i: int) -> str:
        """Specific Character Set of an element's row; "" if it states none."""
        if self.charsets is None:
            self.charsets = read_charsets(self.arena, self.elements)
        return self.charsets.get(int(self.elements.row[i]), "")

    def delimiters(self, i: int) -> bytes:
        """Characters of an element after which its first character set counts again."""
        code = self.codes[i]
        if self.registry.is_name[code]:
            return b"\\^="
        return b"\\" if self.registry.columns[code].splits else b""

    def reject(self, i: int, code: str, text: str) -> None:
        """Reject a value: keep its bytes in `invalid`, note a problem."""
        row, tag = int(self.elements.row[i]), int(self.elements.tag[i])
        name = self.registry.columns[self.codes[i]].name
        self.built.invalid.append((row, name, self.raw(i)))
        self.built.find(row, code, tag, self.elements.offset[i], text)


def spread(values: pa.Array, rows: npt.NDArray[np.int32], filled: Bools, count: int) -> pa.Array:
    """Array of `count` rows with values in some of them, null in the others.

    `rows` are in ascending order; a value that is not `filled` is null. The data of texts and
    lists is not copied.

    >>> from wetread.common.arrays import array
    >>> values, filled = array(["a", "b"], pa.string()), np.array([True, True])
    >>> spread(values, np.array([0, 2], np.int32), filled, 3).to_pylist()
    ['a', None, 'b']
    """
    if values.null_count:
        filled = filled & filled_flags(values)
    if len(values) == count and filled.all():
        return values
    first, buffers, valid = values.offset, values.buffers(), np.zeros(-(-count // 8), np.uint8)
    has_offsets = pa.types.is_string(values.type) or pa.types.is_list(values.type)
    offsets = np.frombuffer(buffers[1], np.int32) if has_offsets else np.zeros(len(rows) + 1, "i4")
    offsets = offsets[first : first + len(rows) + 1] if has_offsets else offsets
    bounds = np.empty(count + 1, np.int32)
    spread_offsets(offsets, rows, filled.view(np.uint8), bounds, valid)
    if pa.types.is_list(values.type):
        made = [pa.py_buffer(valid), pa.py_buffer(bounds)]
        return pa.Array.from_buffers(values.type, count, made, children=[values.values])
    if pa.types.is_string(values.type):
        return pa.Array.from_buffers(
            values.type, count, [pa.py_buffer(valid), pa.py_buffer(bounds), buffers[2]]
        )
    kind = buffer_type(values.type)
    out = np.zeros(count, kind)
    out[rows] = np.frombuffer(buffers[1], kind)[first : first + len(values)]
    return pa.Array.from_buffers(values.type, count, [pa.py_buffer(valid), pa.py_buffer(out)])

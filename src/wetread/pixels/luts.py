"""Look-up tables of a header, also if descriptor and data disagree."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from wetread.common.text import counted
from wetread.pixels.access import is_many, read_numbers

if TYPE_CHECKING:
    from collections.abc import Sequence

    from pydicom.dataset import Dataset

Entries = NDArray[np.uint16]
MOST = 65536
"""Maximum number of entries of a table, written as 0 in a descriptor."""


class Table(NamedTuple):
    """Look-up table and the problems of its descriptor (PS3.3 C.11.1.1.1, C.7.6.3.1.5)."""

    first: int
    """First value mapped, as an unsigned 16-bit word; see `first_mapped`."""
    bits: int
    """Bits per entry as stated, unchecked."""
    entries: Entries
    problems: tuple[str, ...] = ()

    @property
    def needed(self) -> int:
        """Number of bits of the largest entry."""
        return int(self.entries.max()).bit_length()


def read_table(
    group: Dataset, descriptor: str, data: str, *, segmented: bool = False, swapped: bool = False
) -> Table | str:
    """Read a look-up table; return the reason as text if it is unreadable.

    Args:
        group: data set with the table.
        descriptor: keyword of its descriptor.
        data: keyword of its data.
        segmented: the data are segments (PS3.3 C.7.9.2).
        swapped: 16-bit words are big endian.
    """
    head = read_numbers(group, descriptor)
    words = [int(number) & 0xFFFF for number in head.values if number is not None]
    if len(head.values) != 3 or len(words) != 3:
        return head.problem or f"{descriptor} has {len(head.values)} values, not 3"
    count, first, bits = words[0] or MOST, words[1], words[2]
    raw = _read_bytes(group, data, swapped)
    entries = _read_segments(raw, count, bits) if segmented else _split(raw, count, bits)
    if not len(entries):
        return f"{data} has no entries"
    problems = (f"{data}: {counted(len(entries), 'entry')}, {count} stated",)
    return Table(first, bits, entries[:count], problems if len(entries) != count else ())


def first_mapped(table: Table, low: float, high: float) -> int:
    """Return the first value that a table maps, signed or unsigned.

    By the standard, it has the sign of the input values, `low` to `high`. Some files differ: the
    other reading is used if it covers over four times as many input values.

    >>> table = Table(65436, 8, np.zeros(256, "u2"))
    >>> first_mapped(table, -1024, 3071), first_mapped(table, 0, 65535)
    (-100, 65436)
    """

    def covered(first: int) -> float:
        return max(0, min(first + len(table.entries), high + 1) - max(first, low))

    if table.first <= 32767:
        return table.first
    signs = (table.first, table.first - MOST)
    stated, other = signs if low >= 0 else signs[::-1]
    return other if covered(other) > 4 * covered(stated) else stated


def _read_bytes(group: Dataset, keyword: str, swapped: bool) -> bytes:
    """Read the data of a table of any VR as little-endian words."""
    try:
        element = group[keyword]
        value = element.value
    except Exception:  # noqa: BLE001 - absent, or pydicom cannot convert it
        return b""
    if isinstance(value, bytes):
        if swapped and element.VR == "OW":
            return np.frombuffer(value[: len(value) // 2 * 2], ">u2").astype("<u2").tobytes()
        return value
    many = value if is_many(value) else () if value in (None, "") else (value,)
    try:
        return np.array([int(word) & 0xFFFF for word in many], "<u2").tobytes()
    except (TypeError, ValueError):
        return b""


def _split(data: bytes, count: int, bits: int) -> Entries:
    """Split data into entries of 8 or 16 bits, by length, else by the bits stated."""
    if len(data) < 2 * count and (len(data) in (count, count + 1) or bits <= 8):
        entries = np.frombuffer(data, "u1").astype(np.uint16)
        return entries[:count] if len(data) == count + 1 else entries  # padded to even length
    return np.frombuffer(data[: len(data) // 2 * 2], "<u2").astype(np.uint16)


def _read_segments(data: bytes, count: int, bits: int) -> Entries:
    """Expand segments, in bytes or words, whichever gives the stated number of entries."""
    first = np.zeros(0, np.uint16)
    for size in (1, 2) if bits <= 8 else (2, 1):
        values = np.frombuffer(data[: len(data) // size * size], f"<u{size}").tolist()
        entries = np.array(_expand(values, size), np.uint16)
        if len(entries) == count:
            return entries
        first = first if len(first) else entries
    return first


def _expand(data: Sequence[int], size: int) -> list[int]:
    """Expand segments (PS3.3 C.7.9.2), up to the first damaged one and to `MOST` entries."""
    entries: list[int] = []
    stack = [(0, len(data))]
    """Position to continue at, and number of segments left."""
    for _ in range(2 * MOST):  # damaged segments may be recursive
        if not stack or len(entries) >= MOST:
            break
        at, left = stack.pop()
        if left == 0 or at + 2 >= len(data):  # two values and padding are too few
            continue
        kind, length = data[at : at + 2]
        at += 2
        if kind == 0:
            entries += data[at : at + length]
            at += length
        elif kind == 1 and entries:
            ramp = np.linspace(entries[-1], data[at], length + 1)[1:]
            entries += np.around(ramp).astype(int).tolist()
            at += 1
        elif kind == 2 and entries and at + 4 // size <= len(data) and len(stack) < 64:
            # A byte offset as two 16-bit words, the low one first.
            parts = np.array(data[at : at + 4 // size], f"<u{size}").tobytes()
            target = int.from_bytes(parts, "little") // size
            at += 4 // size
            stack += [(at, left - 1), (target, length)]
            continue
        else:
            break
        stack.append((at, left - 1))
    return entries[:MOST]


def fit_bits(table: Table) -> Table:
    """Set the bits of a table to those of its largest entry; note a difference as a problem.

    Some devices state 16 bits for entries of 8 to 15 bits, which would render nearly black.
    Horos, cornerstone, dcm4che and dicom-rs also take the range from the largest entry.
    """
    bits = table.needed or min(max(table.bits, 1), 16)
    if bits == table.bits:
        return table
    problem = f"entries up to {int(table.entries.max())}, {table.bits} bits stated"
    return table._replace(bits=bits, problems=(*table.problems, problem))


def read_palette(header: Dataset, swapped: bool = False) -> tuple[Any, Table | None, list[str]]:
    """Read a palette: colours as uint8 (entries, 3), red table, problems; None if unusable.

    One colour may be dark on purpose, so bits are checked on all three (PS3.3 C.7.6.3.1.5).
    """
    tables: list[Table] = []
    for colour in ("Red", "Green", "Blue"):
        data = f"{colour}PaletteColorLookupTableData"
        segmented = f"Segmented{data}" in header
        descriptor = f"{colour}PaletteColorLookupTableDescriptor"
        name = f"Segmented{data}" if segmented else data
        table = read_table(header, descriptor, name, segmented=segmented, swapped=swapped)
        if isinstance(table, str):
            return None, None, [table]
        tables.append(table)
    problems = [problem for table in tables for problem in table.problems]
    if len({(table.first, len(table.entries)) for table in tables}) > 1:
        problems.append("red, green and blue have different sizes or first values")
    red = tables[0]
    needed, bits = max(table.needed for table in tables), red.bits
    # Colours within a sixteenth of the range are not dark: 16 bits were stated for fewer.
    if needed and not needed <= bits <= min(16, max(8, needed + 3)):
        problems.append(f"palette entries need {needed} bits, {bits} stated")
        bits = max(8, needed)
    size = min(len(table.entries) for table in tables)
    entries = np.stack([table.entries[:size] for table in tables], axis=-1)
    return (entries >> max(0, bits - 8)).astype(np.uint8), red, problems

"""Driver of the compiled walk: tables of the standard, memory, bytes of members and objects."""

from __future__ import annotations

import contextlib
import os
import zlib
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field, fields
from functools import lru_cache, partial
from typing import Any, ClassVar, Self

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from wetread.common.arrays import array, filled, ranges
from wetread.headers import problems
from wetread.headers.core.constants import (
    BIG,
    D_BULK,
    D_GROUP,
    D_KNOWN,
    D_LISTED,
    D_REPEATED,
    D_VENDOR,
    DEFLATED,
    DONE,
    ENCAPSULATED,
    F_CLIPPED,
    HASHED,
    IMPLICIT,
    INFLATE,
    LENGTH,
    MOST_RAW,
    PIXEL_HEAD,
    R_COLUMNS,
    R_ENCODING,
    R_ERROR,
    R_PIXEL_LENGTH,
    R_PIXEL_OFFSET,
    R_SIZE,
    R_SYNTAX,
    R_TEXT,
    R_TEXT_LENGTH,
    ROOM,
    SEQUENCE,
    SLACK,
)
from wetread.headers.core.walk import Walk
from wetread.headers.dictionary import DICTIONARY, REPEATERS
from wetread.headers.encodings import (
    EXPLICIT_BE,
    EXPLICIT_LE,
    IMPLICIT_LE,
    KNOWN_SYNTAXES,
    NATIVE,
    STREAM_STARTS,
    encoding_of,
    infer_compression,
)
from wetread.headers.families import families
from wetread.headers.gather import gather_strings
from wetread.headers.macros import GROUP_TAGS
from wetread.headers.schema import FAMILY_OF_VR, LONG_FORM_VRS, column_of, pack_vr
from wetread.headers.vendors import VENDOR_TAGS
from wetread.settings import MIB, Settings
from wetread.sources.archives import ArchiveError
from wetread.sources.find import PASSING

Bytes = npt.NDArray[np.uint8]
Int64s = npt.NDArray[np.int64]
Bools = npt.NDArray[np.bool_]
Read = Callable[[int, int, int], bytes]
"""Row, first byte, number of bytes -> the bytes, fewer at the end."""

NO_FILE = 100_000
"""Error number of a source that is not a regular file."""
NO_TAG = 0xFFFFFFFF
_ENDLESS = 1 << 60
"""Size of a deflated data set beyond the limit, whose end is unknown."""
_INFLATED = 4
"""Maximum size of a deflated data set, as a multiple of `header_bytes`."""


class Standard:
    """Tables of PS3.5 and PS3.6 for the walk."""

    def __init__(self) -> None:
        self.form = np.zeros(65536, np.uint8)
        self.unit = np.zeros(65536, np.uint8)
        for vr, family in FAMILY_OF_VR.items():
            self.form[pack_vr(vr)] = 2 if vr in LONG_FORM_VRS else 1
            if family not in (LENGTH, SEQUENCE):
                self.unit[pack_vr(vr)] = families().unit[family]
        self.slot_tag = np.full(65536, NO_TAG, np.uint32)
        self.slot_vr = np.zeros(65536, np.uint16)
        self.slot_bits = np.zeros(65536, np.uint8)
        for tag in DICTIONARY:
            self._add(tag, D_LISTED)
        for mask in REPEATERS:
            self._add(int(mask.replace("x", "0"), 16), D_REPEATED)
        for tag in GROUP_TAGS:
            self._add(tag, D_GROUP)
        for tag in VENDOR_TAGS:
            self._add(tag, D_VENDOR)
        uids = sorted(KNOWN_SYNTAXES)
        self.uids = np.zeros((len(uids), 65), np.uint8)
        self.uid_bits = np.zeros(len(uids), np.uint8)
        for i, uid in enumerate(uids):
            self.uids[i, : len(uid)] = list(uid.encode())
            stated = encoding_of(uid)
            self.uid_bits[i] = (
                IMPLICIT * stated.implicit
                | BIG * stated.big
                | DEFLATED * stated.deflated
                | ENCAPSULATED * (uid not in NATIVE)
            )
        self.start_sizes = np.array(list(map(len, STREAM_STARTS)), np.uint8)
        self.starts = np.zeros((len(STREAM_STARTS), PIXEL_HEAD), np.uint8)
        for i, start in enumerate(STREAM_STARTS):
            self.starts[i, : len(start)] = list(start)
        self.kind_code = np.frombuffer(problems.CODE_NUMBERS, np.uint8).copy()

    def _add(self, tag: int, bit: int) -> None:
        column = column_of(tag)
        slot = (tag * 2654435769 & 0xFFFFFFFF) >> 16
        while self.slot_tag[slot] not in (tag, NO_TAG):
            slot = (slot + 1) & 0xFFFF
        self.slot_tag[slot] = tag
        self.slot_vr[slot] = pack_vr(column.vrs[0])
        bulk = column.family in (LENGTH, SEQUENCE)
        self.slot_bits[slot] |= D_BULK * bulk | D_KNOWN * column.known | bit

    @staticmethod
    def longs(count: int) -> Int64s:
        """Zeros, int64[count]."""
        return np.zeros(count, np.int64)

    @staticmethod
    def bytes(count: int) -> Bytes:
        """Zeros, uint8[count]."""
        return np.zeros(count, np.uint8)


standard = lru_cache(maxsize=1)(Standard)
"""Tables of the standard, built once."""


class _Entries:
    """Flat arrays of equal length, one place per entry."""

    KINDS: ClassVar[tuple[str, ...]]
    """NumPy types of the arrays."""

    @classmethod
    def empty(cls, count: int) -> Self:
        """Zeros for `count` entries."""
        return cls(*(np.zeros(count, kind) for kind in cls.KINDS))

    def take(self, index: npt.NDArray[np.integer[Any]]) -> Self:
        """Entries at some places."""
        return type(self)(*(column.take(index) for column in self._columns()))

    def first(self, count: int) -> Self:
        """The first entries, without a copy."""
        return type(self)(*(column[:count] for column in self._columns()))

    def grown(self, count: int) -> Self:
        """Copy with room for `count` entries."""
        larger = self.empty(count)  # no memory is used until it is written
        for new, old in zip(larger._columns(), self._columns(), strict=True):
            new[: len(old)] = old
        return larger

    @classmethod
    def join(cls, parts: list[Self]) -> Self:
        """Concatenate the arrays."""
        columns = zip(*(part._columns() for part in (cls.empty(0), *parts)), strict=True)
        return parts[0] if len(parts) == 1 else cls(*map(np.concatenate, columns))

    def _columns(self) -> list[npt.NDArray[Any]]:
        return [getattr(self, f.name) for f in fields(self)]  # type: ignore[arg-type]


@dataclass(slots=True)
class Elements(_Entries):
    """Elements in the order of each file."""

    KINDS = ("i4", "u4", "u2", "u1", "u1", "i8", "i8", "i8")
    row: npt.NDArray[np.int32]
    tag: npt.NDArray[np.uint32]
    vr: npt.NDArray[np.uint16]
    """Packed letters; 0 if the file states none (implicit VR)."""
    depth: npt.NDArray[np.uint8]
    """0 at the top level; of an element in an item, the number of open sequences and items."""
    bits: npt.NDArray[np.uint8]
    start: Int64s
    """Start of the value in the arena; -1 if its bytes are absent."""
    length: Int64s
    offset: Int64s
    """Start of the value in the file."""

    def of_rows(self, rows: npt.NDArray[np.integer[Any]]) -> Int64s:
        """Numbers of the elements of some rows; the elements are in order of rows."""
        wanted = rows.astype(np.int32)
        first, end = (np.searchsorted(self.row, wanted, side) for side in ("left", "right"))
        return ranges(first, end)


@dataclass(slots=True)
class Found(_Entries):
    """Problems in the order of each file."""

    KINDS = ("i4", "u1", "i8", "i8", "i8", "i8")
    row: npt.NDArray[np.int32]
    kind: npt.NDArray[np.uint8]
    tag: Int64s
    """-1 for none."""
    offset: Int64s
    a: Int64s
    b: Int64s


@dataclass(slots=True)
class Memory:
    """Memory of a walk, reused for every block."""

    arena: Bytes = field(default_factory=lambda: np.zeros(64 * 1024, np.uint8))
    elements: Elements = field(default_factory=lambda: Elements.empty(512))
    found: Found = field(default_factory=lambda: Found.empty(1024))
    used: int = 0

    def append(self, other: Memory) -> int:
        """Append the bytes of another arena, and return their start."""
        return self.keep(other.arena[: other.used])

    def keep(self, data: bytes | Bytes) -> int:
        """Append bytes to the arena, and return their start."""
        start, end = self.used, self.used + len(data)
        if end + SLACK > len(self.arena):
            larger = np.empty((end + SLACK) * 5 // 4, np.uint8)
            larger[:start] = self.arena[:start]
            self.arena = larger
        self.arena[start:end] = np.frombuffer(data, np.uint8)
        self.used = end
        return start

    def make_room(self, walk: Walk, most_problems: int) -> None:
        """Enlarge the arrays that are full."""
        _, first, last, used, count, found, _ = walk.state
        need = used + max(last - first, HASHED) + SLACK
        if need > len(self.arena):
            larger = np.empty(need * 5 // 4, np.uint8)
            larger[:used] = self.arena[:used]
            self.arena = larger
            walk.set_arena(larger)
        if count + 4 > len(self.elements.row):
            self.elements = self.elements.grown(2 * len(self.elements.row))
            walk.set_table(self.elements)
        if found + most_problems + 2 > len(self.found.row):
            self.found = self.found.grown(2 * len(self.found.row) + most_problems)
            walk.set_problems(self.found)


@dataclass(slots=True)
class Walked:
    """Results of a walk through n files."""

    rows: Int64s
    """int64[R_COLUMNS, n]: R_SIZE and so on of each."""
    elements: Elements
    found: Found
    problems: dict[int, tuple[str, str]] = field(default_factory=dict)
    """Problem code and text of the rows that could not be read."""
    inferred: dict[int, str | None] = field(default_factory=dict)
    """Transfer syntax inferred from the fragments, of rows that state none."""
    slow: bool = False
    """True if the walk ended after the first files, because opening them is slow."""

    def forget(self, row: int) -> None:
        """Drop the elements and problems of a row."""
        self.elements = self.elements.take(np.flatnonzero(self.elements.row != row))
        self.found = self.found.take(np.flatnonzero(self.found.row != row))
        self.problems.pop(row, None)
        self.inferred.pop(row, None)


SYNTAXES = (EXPLICIT_LE, IMPLICIT_LE, EXPLICIT_BE, IMPLICIT_LE)  # implicit big endian has none
"""By the bits implicit and big of an encoding."""


def walk_files(
    names: pa.BinaryArray,
    memory: Memory,
    settings: Settings,
    *,
    whole: bool = False,
    folder: int = -1,
    above: int = 0,
) -> Walked:
    """Walk plain files; the last ones are left out if the memory of a block is full.

    `names` end with a NUL; their first `above` bytes are the path of the folder whose descriptor
    is `folder`.
    """
    _, offsets, data = names.buffers()
    places = np.frombuffer(offsets, np.int32, len(names), names.offset * 4) + np.int64(above)
    rows = np.zeros((R_COLUMNS, len(names)), np.int64)
    walk = Walk(standard(), settings, whole)
    walk.begin(
        rows,
        np.frombuffer(data or b"\0", np.uint8),
        places,
        folder,
        memory.arena,
        memory.used,
        0,
    )

    def read(row: int, first: int, count: int) -> bytes:
        with open(names[row].as_py()[:-1], "rb") as file:
            file.seek(first)
            return file.read(count)

    return _drive(walk, rows, memory, settings, read)


def walk_others(
    sizes: list[int], read: Read, memory: Memory, settings: Settings, *, whole: bool = False
) -> Walked:
    """Walk sources with a function that reads them, such as members of archives."""
    rows = np.zeros((R_COLUMNS, len(sizes)), np.int64)
    rows[R_SIZE] = sizes
    nothing = np.zeros(1, np.uint8)
    walk = Walk(standard(), settings, whole)
    walk.begin(rows, nothing, np.zeros(1, np.int64), -1, memory.arena, memory.used, 1)
    return _drive(walk, rows, memory, settings, read)


def _drive(walk: Walk, rows: Int64s, memory: Memory, settings: Settings, read: Read) -> Walked:
    walk.set_table(memory.elements)
    walk.set_problems(memory.found)
    walked = Walked(rows, memory.elements, memory.found)
    plain: dict[int, _Inflated] = {}
    while (status := walk.run()) != DONE:
        row, first, last, *_ = walk.state
        if status == ROOM:
            memory.make_room(walk, settings.row_problems)
            continue
        try:
            if status == INFLATE:
                plain.clear()
                plain[row] = _Inflated(partial(read, row), walk.position, settings)
                _begin_inflated(walk, plain[row])
            elif row in plain:
                if last > settings.header_bytes and plain[row].size == _ENDLESS:
                    walk.report("INFLATED_BUDGET", -1, -1, settings.header_bytes, 0)
                    walk.fail()
                walk.feed(plain[row].read(first, last - first))
            else:
                walk.feed(read(row, first, last - first))
        except (OSError, ArchiveError) as error:
            walked.problems[row] = describe_error(error)
            walk.fail()
    done, _, _, memory.used, count, found, _ = walk.state
    walked.rows, walked.slow = rows[:, :done], walk.slow
    _keep_cut(memory, rows, count, read)
    walked.elements, walked.found = memory.elements.first(count), memory.found.first(found)
    for row in np.flatnonzero(walked.rows[R_ERROR]).tolist():
        walked.problems[row] = _describe(int(rows[R_ERROR, row]))
    fragments = (
        (rows[R_PIXEL_OFFSET] >= 0) & (rows[R_PIXEL_LENGTH] < 0) & (rows[R_TEXT_LENGTH] == 0)
    )
    for row in np.flatnonzero(fragments[:done]).tolist():
        walked.inferred[row] = infer_compression(partial(read, row), int(rows[R_PIXEL_OFFSET, row]))
    return walked


def _keep_cut(memory: Memory, rows: Int64s, count: int, read: Read) -> None:
    """Read the first bytes of sequences that are cut by the end of the file."""
    e = memory.elements
    cut = np.flatnonzero((e.bits[:count] & F_CLIPPED > 0) & (e.start[:count] < 0))
    for i in cut[rows[R_ENCODING, e.row[cut]] & DEFLATED == 0].tolist():
        with contextlib.suppress(OSError, ArchiveError):
            raw = read(int(e.row[i]), int(e.offset[i]), min(int(e.length[i]), MOST_RAW))
            e.start[i] = memory.keep(raw)
            e.length[i] = len(raw)


def _begin_inflated(walk: Walk, plain: _Inflated) -> None:
    """Continue in the inflated data set, or in one that was not deflated."""
    if not plain.size:
        walk.not_deflated()
        return
    walk.inflated(plain.size)
    if plain.damaged:
        walk.report("DAMAGED", -1, -1, 0, 0)


class _Inflated:
    """A deflated data set (PS3.5 A.5): its size is counted first, its bytes are read on demand."""

    def __init__(self, read: Callable[[int, int], bytes], at: int, settings: Settings) -> None:
        self._read, self._at, self._most = read, at, settings.header_bytes
        self.size, self.damaged = 0, False
        for piece in self._pieces():
            self.size += len(piece)
            if self.size > _INFLATED * self._most:
                self.size = _ENDLESS
                break
        self._more, self._kept = self._pieces(), bytearray()

    def _pieces(self) -> Iterator[bytes]:
        inflater, at, raw = zlib.decompressobj(-zlib.MAX_WBITS), self._at, b""
        while not inflater.eof:
            if not raw:
                raw = self._read(at, 64 * 1024)
                at += len(raw)
            try:  # with nothing left too: zlib may hold output back
                piece = inflater.decompress(raw, MIB)
            except zlib.error:
                self.damaged = True
                return
            if not raw and not piece and not inflater.eof:
                self.damaged = True
                return
            raw = inflater.unconsumed_tail
            yield piece

    def read(self, first: int, count: int) -> bytes:
        """Bytes from a position on; fewer at the end, and at the limit of a header."""
        end = min(first + count, self._most)
        while len(self._kept) < end and (piece := next(self._more, None)) is not None:
            self._kept += piece
        return bytes(self._kept[first:end])


@dataclass(slots=True)
class Syntaxes:
    """Transfer Syntax UIDs of n rows."""

    names: list[str | None]
    """Distinct ones; the first is None, for unknown."""
    codes: Int64s
    """Place in `names` of each row's."""

    def where(self, test: Callable[[str], bool]) -> Bools:
        """True for the rows with a transfer syntax that passes a test."""
        passed = [name is not None and test(name) for name in self.names]
        return np.array(passed, np.bool_)[self.codes]

    def texts(self) -> pa.StringArray:
        """One UID per row, null for unknown."""
        return array(self.names, pa.string()).take(array(self.codes, pa.int64()))


def read_syntaxes(walked: Walked, arena: Bytes) -> Syntaxes:
    """Transfer Syntax UIDs that the bytes of the rows are in."""
    syntax = walked.rows[R_SYNTAX]
    found: list[str | None] = [None, *SYNTAXES]
    codes = np.maximum(syntax, -1) + 1
    stated = np.flatnonzero(syntax == -2)
    start, length = walked.rows[R_TEXT, stated], walked.rows[R_TEXT_LENGTH, stated]
    names = gather_strings(arena, start, length).dictionary_encode()
    codes[stated] = filled(names.indices, 0) + len(found)
    found += [name.strip() or None for name in names.dictionary.to_pylist()]
    for row, inferred in walked.inferred.items():
        codes[row] = len(found)
        found.append(inferred)
    return Syntaxes(found, codes)


def describe_error(error: OSError | ArchiveError) -> tuple[str, str]:
    """Problem code and text of a source that cannot be read."""
    if isinstance(error, ArchiveError):
        return error.code, str(error)
    return "NO_ACCESS", error.strerror or type(error).__name__


def _describe(number: int) -> tuple[str, str]:
    if number == NO_FILE:
        return "NOT_A_FILE", "not a regular file"
    return "NO_ACCESS", os.strerror(number)


def passing(walked: Walked) -> list[int]:
    """Rows with a transient error, for another attempt."""
    return [
        i
        for i in np.flatnonzero(walked.rows[R_ERROR]).tolist()
        if walked.rows[R_ERROR, i] in PASSING
    ]

"""Read the first bytes of many files into one buffer."""

from __future__ import annotations

import os
import re
import stat
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from wetread.settings import Settings
from wetread.sources.archives import ArchiveError
from wetread.sources.find import PASSING

Bytes = npt.NDArray[np.uint8]
Int64s = npt.NDArray[np.int64]

SLACK = 16
"""Bytes after a window that may be gathered, never used."""
_SAMPLE = 16
"""Files whose timing decides whether opening waits."""
DELIMITER = b"\xfe\xff\xdd\xe0\0\0\0\0"
"""The sequence delimitation item that ends encapsulated pixels (PS3.5 A.4)."""

_ENCAPSULATED = re.compile(rb"1\.2\.840\.10008\.1\.2\.[45]")
_FLAGS = os.O_RDONLY | getattr(os, "O_CLOEXEC", 0) | getattr(os, "O_NONBLOCK", 0)
_FLAGS |= getattr(os, "O_BINARY", 0)
_readv = getattr(os, "readv", None)
_pread = getattr(os, "pread", None)


class Peek(NamedTuple):
    """The first read of a source that is no plain file."""

    head: bytes
    """The first bytes, at most a window."""
    size: int
    last: bytes
    """The last 8 bytes; empty where they need not be known."""


Peeker = Callable[[int], Peek]
"""Peeks at an archive's member or an object of a store; takes the size of the window."""


class Arena:
    """One buffer of bytes, kept from block to block: a window a file, then what is appended."""

    def __init__(self) -> None:
        self.bytes: Bytes = np.empty(0, np.uint8)
        self.used = 0
        self._views: list[memoryview] = []
        self._shape = (0, 0)

    def lay_out(self, files: int, window: int) -> list[memoryview]:
        """Room for a window a file; the writable views of it, one a file."""
        need = files * window + SLACK
        if self.bytes.size < need:
            self.bytes = np.empty(need + (need >> 2), np.uint8)
            self._shape = (0, 0)
        if self._shape[1] != window or self._shape[0] < files:
            memory = self.bytes.data
            self._views = [memory[i * window : (i + 1) * window] for i in range(files)]
            self._shape = (files, window)
        self.used = need
        return self._views

    def append(self, values: Bytes) -> int:
        """Keep bytes after the windows; where they start."""
        start, end = self.used, self.used + values.size
        if end + SLACK > self.bytes.size:
            grown = np.empty(end + SLACK + (end >> 2), np.uint8)
            grown[:start] = self.bytes[:start]
            self.bytes = grown
            self._views, self._shape = [], (0, 0)
        self.bytes[start:end] = values
        self.used = end
        return start


@dataclass(slots=True)
class Heads:
    """Result of the first read of a block of n files."""

    window: int
    """Bytes read of each, at most."""
    size: npt.NDArray[np.int64]
    mtime_ns: npt.NDArray[np.int64]
    got: npt.NDArray[np.int64]
    """Bytes in the window."""
    ended: npt.NDArray[np.bool_]
    """True if the last 8 bytes are a sequence delimiter; checked for encapsulated files only."""
    problems: dict[int, tuple[str, str]] = field(default_factory=dict)
    """Problem code and text of the files that could not be read."""

    @classmethod
    def of(cls, files: int, window: int) -> Heads:
        """Nothing read yet."""
        size, mtime_ns, got = (np.zeros(files, np.int64) for _ in range(3))
        return cls(window, size, mtime_ns, got, np.zeros(files, np.bool_))


def read_heads(
    names: list[bytes],
    arena: Arena,
    window: int,
    others: dict[int, Peeker],
    problems: dict[int, tuple[str, str]],
    settings: Settings,
    pool: ThreadPoolExecutor | None = None,
) -> Heads:
    """Read the first `window` bytes of every file into the arena.

    `names` are full paths; a row in `others` is peeked at instead, one in `problems` is not opened.
    With a pool all is read in its threads. Where opening waits (network file systems), threads
    overlap it: the first files' timing decides.
    """
    views = arena.lay_out(len(names), window)
    reading = _Reading(names, views, arena.bytes.data, window, others, dict(problems), settings)
    if pool is not None:
        for _ in pool.map(reading.read_row, range(len(names))):
            pass
        return reading.heads(arena.bytes)
    first = min(_SAMPLE, len(names))
    begun = time.perf_counter()
    for i in range(first):
        reading.read_row(i)
    waits = time.perf_counter() - begun > settings.slow_open_seconds * first
    if waits and not others:  # which are read one after the other
        with ThreadPoolExecutor(settings.io_threads) as pool:
            for _ in pool.map(reading.read_row, range(first, len(names))):
                pass
    elif others or problems:
        for i in range(first, len(names)):
            reading.read_row(i)
    else:
        reading.read_rest(first)
    return reading.heads(arena.bytes)


class _Reading:
    """The first read of a block; lists, which are faster to set one by one than arrays."""

    def __init__(
        self,
        names: list[bytes],
        views: list[memoryview],
        buffer: memoryview,
        window: int,
        others: dict[int, Peeker],
        problems: dict[int, tuple[str, str]],
        settings: Settings,
    ) -> None:
        self.names, self.views, self.buffer, self.window = names, views, buffer, window
        self.others, self.problems, self.settings = others, problems, settings
        self.size, self.mtime_ns, self.got = ([0] * len(names) for _ in range(3))
        self.ended: list[int] = []
        self.reached = 0

    def heads(self, arena: Bytes) -> Heads:
        """Bytes read, as arrays."""
        heads = Heads(
            self.window,
            np.array(self.size, np.int64),
            np.array(self.mtime_ns, np.int64),
            np.array(self.got, np.int64),
            np.zeros(len(self.names), np.bool_),
            self.problems,
        )
        heads.ended[self.ended] = True
        _look_at_ends(heads, arena)
        return heads

    def read_rest(self, first: int) -> None:
        """Every plain file from `first` on; the few that raise go through `read_row`."""
        while first < len(self.names):
            try:
                self._read_files(range(first, len(self.names)))
                return
            except OSError:
                first = self.reached + 1
                self.read_row(self.reached)

    def read_row(self, i: int) -> None:
        """One source, again after an error that may pass; what remains is its problem."""
        if i in self.problems:
            return
        for left in reversed(range(self.settings.retries)):
            try:
                if i in self.others:
                    self._peek(i)
                else:
                    self._read_files(range(i, i + 1))
                return
            except (OSError, ArchiveError) as error:
                if getattr(error, "errno", None) not in PASSING or not left:
                    self.problems[i] = describe_error(error)
                    return
                time.sleep(0.01)

    def _read_files(self, which: range) -> None:
        """Plain files: the loop that costs most. Raises OSError at the file `reached`."""
        names, views, buffer, window = self.names, self.views, self.buffer, self.window
        size, mtime_ns, got = self.size, self.mtime_ns, self.got
        open_, fstat, close, search = os.open, os.fstat, os.close, _ENCAPSULATED.search
        for i in which:
            self.reached = i
            descriptor = open_(names[i], _FLAGS)
            try:
                info = fstat(descriptor)
                if info.st_mode & 0o170000 != stat.S_IFREG:
                    self.problems[i] = ("NOT_A_FILE", "not a regular file")
                    continue
                got[i] = count = read_into(descriptor, views[i])
                size[i] = length = info.st_size
                mtime_ns[i] = info.st_mtime_ns
                if (
                    length > count
                    and search(buffer, i * window + 128, i * window + 640)
                    and read_at(descriptor, 8, length - 8) == DELIMITER
                ):
                    self.ended.append(i)
            finally:
                close(descriptor)

    def _peek(self, i: int) -> None:
        peek = self.others[i](self.window)
        self.views[i][: len(peek.head)] = peek.head
        self.got[i], self.size[i] = len(peek.head), peek.size
        if peek.last == DELIMITER:
            self.ended.append(i)


def _look_at_ends(heads: Heads, arena: Bytes) -> None:
    """Sequence delimiters at the end of the files that lie in their window whole."""
    whole = np.flatnonzero((heads.got == heads.size) & (heads.got >= 8))
    last = np.ndarray((arena.size - 7,), "<u8", arena, strides=(1,))
    ends = whole * heads.window + heads.got[whole] - 8
    heads.ended[whole] = last[ends] == int.from_bytes(DELIMITER, "little")


def is_encapsulated(head: bytes) -> bool:
    """True if the first bytes name a transfer syntax with encapsulated pixels."""
    return _ENCAPSULATED.search(head, 128, 640) is not None


def describe_error(error: OSError | ArchiveError) -> tuple[str, str]:
    """Problem code and text of a source that cannot be read."""
    if isinstance(error, ArchiveError):
        return error.code, str(error)
    return "NO_ACCESS", error.strerror or type(error).__name__


def read_into(descriptor: int, view: memoryview) -> int:
    """Fill a view from the start of a file as far as the file goes; the bytes read."""
    if _readv is not None:
        count: int = _readv(descriptor, (view,))
        return count
    data = os.read(descriptor, len(view))
    view[: len(data)] = data
    return len(data)


def read_at(descriptor: int, count: int, offset: int) -> bytes:
    """`os.pread`, also where the system has none."""
    if _pread is not None:
        return bytes(_pread(descriptor, count, offset))
    os.lseek(descriptor, offset, os.SEEK_SET)
    return os.read(descriptor, count)


def read_windows(names: list[bytes], positions: list[int], window: int) -> tuple[Bytes, Int64s]:
    """`window` bytes of every file from its position on; uint8[files * window] and bytes read."""
    data = np.empty(len(names) * window + SLACK, np.uint8)
    got = np.zeros(len(names), np.int64)
    memory = data.data
    for i, (name, position) in enumerate(zip(names, positions, strict=True)):
        try:
            descriptor = os.open(name, _FLAGS)
        except OSError:
            continue
        try:
            chunk = read_at(descriptor, window, position)
            memory[i * window : i * window + len(chunk)] = chunk
            got[i] = len(chunk)
        except OSError:
            pass
        finally:
            os.close(descriptor)
    return data, got

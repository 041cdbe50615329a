"""Bytes at any position of one file, an archive's member or a deflated data set."""

from __future__ import annotations

import os
import time
import zlib
from typing import BinaryIO, Protocol

from wetread.headers.blocks import read_at

_PAGE = 64 * 1024


class BudgetError(Exception):
    """The header is larger or slower to read than the settings allow."""


class Reader(Protocol):
    """Interface of a source for the scalar walk."""

    def page(self, offset: int) -> tuple[bytes | bytearray, int]:
        """Some bytes that hold those at `offset`, and where they start."""

    def at(self, offset: int, count: int) -> bytes:
        """Up to `count` bytes from `offset` on; fewer at the end."""

    def ends_before(self, offset: int) -> bool:
        """True if the source has fewer than `offset` bytes."""

    def size(self) -> int:
        """Bytes in all, as far as they can be known."""


class FileReader:
    """A file descriptor or a seekable stream, read in pages."""

    def __init__(
        self, source: int | BinaryIO, size: int, budget: int, deadline: float, head: bytes = b""
    ) -> None:
        self._source = source
        self._size = size
        self._left = budget
        self._deadline = deadline
        self._page, self._start = head, 0

    def at(self, offset: int, count: int) -> bytes:
        """Up to `count` bytes from `offset` on."""
        begin = offset - self._start
        if begin < 0 or begin + count > len(self._page):
            if offset >= self._size:
                return b""
            self._read_page(offset, count)
            begin = offset - self._start
        return self._page[begin : begin + count]

    def page(self, offset: int) -> tuple[bytes, int]:
        """The page that holds `offset`, and where it starts."""
        self.at(offset, 12)
        return self._page, self._start

    def _read_page(self, offset: int, count: int) -> None:
        wanted = min(max(count, _PAGE), self._size - offset)
        self._left -= wanted
        if self._left < 0 or time.monotonic() > self._deadline:
            raise BudgetError
        if isinstance(self._source, int):
            self._page = read_at(self._source, wanted, offset)
        else:
            self._source.seek(offset, os.SEEK_SET)
            self._page = self._source.read(wanted)
        self._start = offset

    def ends_before(self, offset: int) -> bool:
        """True if there are fewer than `offset` bytes."""
        return offset > self._size

    def size(self) -> int:
        """Bytes in all, as far as they are known."""
        return self._size


class DeflatedReader:
    """A data set deflated as PS3.5 A.5 says, inflated as far as it is asked for.

    Positions count from the start of the inflated data set. What `ends_before` passes beyond
    the budget is counted and forgotten, so a bomb costs no memory.
    """

    def __init__(self, source: FileReader, start: int, budget: int, deadline: float) -> None:
        self._source, self._next = source, start
        self._inflate = zlib.decompressobj(-zlib.MAX_WBITS)
        self._data = bytearray()
        self._skipped = 0
        self._budget, self._deadline = budget, deadline
        self._pending = b""
        self.damaged = False

    def _more(self) -> bytes:
        """The next piece of the inflated stream, at most 1 MiB; empty at its end."""
        while not self._inflate.eof and not self.damaged:
            if time.monotonic() > self._deadline:
                raise BudgetError
            if not self._pending:
                self._pending = self._source.at(self._next, _PAGE)
                self._next += len(self._pending)
            try:  # with nothing pending too: zlib may hold output back
                piece = self._inflate.decompress(self._pending, 1 << 20)
            except zlib.error:
                self.damaged = True
                break
            ended = not self._pending and not piece and not self._inflate.eof
            self._pending = self._inflate.unconsumed_tail
            if piece:
                return piece
            self.damaged = ended
        return b""

    def at(self, offset: int, count: int) -> bytes:
        """Up to `count` bytes from `offset` on."""
        if time.monotonic() > self._deadline:
            raise BudgetError
        while len(self._data) < offset + count:
            if self._skipped or len(self._data) > self._budget:
                raise BudgetError
            piece = self._more()
            if not piece:
                break
            self._data += piece
        return bytes(self._data[offset : offset + count])

    def page(self, offset: int) -> tuple[bytearray, int]:
        """The page that holds `offset`, and where it starts."""
        self.at(offset, 12)
        return self._data, 0

    def ends_before(self, offset: int) -> bool:
        """True if there are fewer than `offset` bytes."""
        while len(self._data) + self._skipped < offset:
            piece = self._more()
            if not piece:
                return True
            if self._skipped or len(self._data) > self._budget:
                self._skipped += len(piece)
            else:
                self._data += piece
        return False

    def size(self) -> int:
        """Bytes in all, as far as they are known."""
        return len(self._data) + self._skipped

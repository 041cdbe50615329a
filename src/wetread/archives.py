"""Members of a zip, tar or gzipped tar, read where they lie; nothing is ever extracted."""

from __future__ import annotations

import functools
import io
import os
import posixpath
import tarfile
import threading
import zipfile
import zlib
from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING, BinaryIO, NamedTuple, Protocol

from wetread.errors import AccessError
from wetread.settings import KIB, MIB, Settings

if TYPE_CHECKING:
    from _typeshed import WriteableBuffer

_ENDINGS = (b".zip", b".tar", b".tar.gz", b".tgz")
_GZIP = b"\x1f\x8b"
_PIECE = 256 * KIB
"""Bytes inflated at once."""


_ReadAt = Callable[[int, int], bytes]
"""Up to so many bytes from an offset."""


class ArchiveError(AccessError):
    """A member that cannot be read; `code` is the finding: BAD_ARCHIVE, BOMB, ..."""

    def __init__(self, code: str, text: str) -> None:
        super().__init__(text)
        self.code = code


class Member(NamedTuple):
    """One source in an archive; the name b"" stands for the archive itself, with its problem."""

    name: bytes
    size: int
    problem: str | None


class Archive(Protocol):
    """What a zip and a tar have in common."""

    def __iter__(self) -> Iterator[Member]:
        """The members in the order of their names' bytes; of equal names the last one counts."""

    def open(self, name: bytes) -> BinaryIO:
        """A seekable stream of one member; ArchiveError if it cannot be read."""


def is_archive_name(path: bytes) -> bool:
    """Whether the name promises an archive.

    >>> is_archive_name(b"train.TAR.GZ"), is_archive_name(b"train.gz")
    (True, False)
    """
    return path.lower().endswith(_ENDINGS)


def open_archive(path: bytes, settings: Settings) -> Archive | None:
    """The archive at `path`, or None for a file that is none; the last one stays open.

    Raises:
        ArchiveError: it is an archive, but nothing in it can be listed.
        OSError: the file cannot be read.
    """
    stat = os.stat(path)
    with _lock:
        return _open(path, settings, (stat.st_dev, stat.st_ino, stat.st_size, stat.st_mtime_ns))


_lock = threading.Lock()


@functools.lru_cache(maxsize=1)
def _open(path: bytes, settings: Settings, version: tuple[int, ...]) -> Archive | None:
    with open(path, "rb") as file:
        head = file.read(4)
    if head in (b"PK\x03\x04", b"PK\x05\x06", b"PK\x07\x08"):
        return _Zip(path, settings)
    return _Tar.at(path, settings, gzipped=head[:2] == _GZIP)


class _Zip:
    def __init__(self, path: bytes, settings: Settings) -> None:
        try:
            self._zip = zipfile.ZipFile(os.fsdecode(path))
        except Exception as error:  # damage shows as half a dozen types
            raise ArchiveError("BAD_ARCHIVE", f"not a readable zip: {error}") from error
        self._infos = {_raw_name(i): i for i in self._zip.infolist() if not i.is_dir()}
        self._settings = settings
        self._lock = threading.RLock()  # zipfile counts its open members without one

    def __iter__(self) -> Iterator[Member]:
        for name in sorted(self._infos):
            info = self._infos[name]
            yield Member(name, info.file_size, self._problem(info))

    def _problem(self, info: zipfile.ZipInfo) -> str | None:
        limits = self._settings
        too_large = info.file_size > limits.member_bytes
        if too_large or info.file_size > limits.member_ratio * max(info.compress_size, 1):
            return "BOMB"
        # Encrypted; or bzip2 and LZMA, whose decompressors in zipfile have no limit on what
        # one step yields.
        stored_or_deflated = info.compress_type in (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED)
        return None if stored_or_deflated and not info.flag_bits & 1 else "BAD_ARCHIVE"

    def open(self, name: bytes) -> BinaryIO:
        info = self._infos.get(name)
        if info is None:
            raise ArchiveError("BAD_ARCHIVE", "no such member")
        if problem := self._problem(info):
            raise ArchiveError(problem, "a member that is not read")
        try:
            with self._lock:
                member = self._zip.open(info)
        except Exception as error:
            raise ArchiveError("BAD_ARCHIVE", str(error)) from error

        def read_at(count: int, offset: int) -> bytes:
            try:
                if member.tell() != offset:
                    member.seek(offset)
                return member.read(count)
            except (zipfile.BadZipFile, zlib.error, EOFError) as error:
                raise ArchiveError("BAD_ARCHIVE", str(error)) from error

        def close() -> None:
            with self._lock:
                member.close()

        return io.BufferedReader(_Stream(read_at, info.file_size, close))


def _raw_name(info: zipfile.ZipInfo) -> bytes:
    # zipfile decodes as UTF-8 if the flag says so, else as cp437, which gives the bytes back.
    utf8 = info.flag_bits & 0x800 or not _is_cp437(info.orig_filename)
    return info.orig_filename.encode("utf-8" if utf8 else "cp437")


def _is_cp437(text: str) -> bool:
    try:
        text.encode("cp437")
    except UnicodeEncodeError:
        return False
    return True


class _Tar:
    """Offset and size of every member; links within the archive lead to what they mean."""

    def __init__(self, bytes_: _Stored | _Gzipped, settings: Settings) -> None:
        self._bytes = bytes_
        self._settings = settings
        self._places: dict[bytes, tuple[int, int]] = {}
        self._problems: dict[bytes, str] = {}

    @classmethod
    def at(cls, path: bytes, settings: Settings, gzipped: bool) -> _Tar | None:
        archive = cls(_Gzipped(path, settings) if gzipped else _Stored(path), settings)
        try:
            archive._list()
        except tarfile.ReadError as error:  # the very first header
            if gzipped:
                raise ArchiveError("BAD_ARCHIVE", f"not a readable tar: {error}") from error
            return None
        return archive

    def _list(self) -> None:
        links: list[tuple[bytes, bytes]] = []
        folders = set()
        last = -1
        # Raises ReadError where the first header is none; later damage ends the list.
        tar = tarfile.TarFile(
            fileobj=_Cursor(self._bytes),  # type: ignore[arg-type]
            encoding="utf-8",
            errors="surrogateescape",
        )
        try:
            while (info := tar.next()) is not None:
                tar.members.clear()  # type: ignore[attr-defined]  # else memory grows
                if tar.offset <= last:  # a negative size would go round in circles
                    raise ArchiveError("BAD_ARCHIVE", "a header that points backwards")
                last = tar.offset
                name, target = (
                    text.encode("utf-8", "surrogateescape") for text in (info.name, info.linkname)
                )
                self._problems.pop(name, None)
                if info.isdir():
                    folders.add(name)
                elif info.islnk():
                    links.append((name, target))
                elif info.issym():
                    target = posixpath.join(posixpath.dirname(name), target)
                    links.append((name, posixpath.normpath(target)))
                elif info.isreg():
                    self._places[name] = (info.offset_data, info.size)
                    if info.size > self._settings.member_bytes:
                        self._problems[name] = "BOMB"
                    elif info.issparse():
                        self._problems[name] = "BAD_ARCHIVE"
                else:
                    self._add_problem(name, "NOT_A_FILE")
            rest = self._bytes.pread(tarfile.BLOCKSIZE, tar.offset)
            if rest.strip(b"\0") or self._bytes.damaged:
                raise ArchiveError("BAD_ARCHIVE", "the archive is cut or damaged")
        except ArchiveError as error:
            self._add_problem(b"", error.code)
        except Exception:  # noqa: BLE001 - ReadError, ValueError, RecursionError, ...
            self._add_problem(b"", "BAD_ARCHIVE")
        for name, target in links:
            if target in self._places:
                self._places[name] = self._places[target]
            elif target not in folders:
                self._add_problem(name, "BROKEN_LINK")

    def _add_problem(self, name: bytes, code: str) -> None:
        self._places[name] = (0, 0)
        self._problems[name] = code

    def __iter__(self) -> Iterator[Member]:
        for name in sorted(self._places):
            yield Member(name, self._places[name][1], self._problems.get(name))

    def open(self, name: bytes) -> BinaryIO:
        if problem := self._problems.get(name):
            raise ArchiveError(problem, "a member that is not read")
        if name not in self._places:
            raise ArchiveError("BAD_ARCHIVE", "no such member")
        start, size = self._places[name]
        return io.BufferedReader(_Stream(lambda n, at: self._bytes.pread(n, start + at), size))


class _Stored:
    """Bytes of a file, read at any offset by any thread."""

    damaged = False

    def __init__(self, path: bytes) -> None:
        self._file = open(path, "rb", buffering=0)  # noqa: SIM115
        self._lock = threading.Lock()

    def pread(self, count: int, offset: int) -> bytes:
        with self._lock:
            self._file.seek(offset)
            return self._file.read(count)

    def __del__(self) -> None:
        self._file.close()


class _Gzipped:
    """Bytes of a gzipped file, read at any offset by any thread.

    The inflater is copied on the way (every MiB; further apart in a large file), so that going
    back does not begin at the start. Damage ends the bytes; too much growth is an ArchiveError.
    """

    _POINTS = 512  # copies of 40 KB

    def __init__(self, path: bytes, settings: Settings) -> None:
        self._stored = _Stored(path)
        self._ratio = settings.member_ratio
        self._lock = threading.Lock()
        self._spacing = MIB
        self._inflater = zlib.decompressobj(31)
        self._in = self._out = 0
        self._piece = b""  # the bytes before self._out
        self._points = [(0, 0, self._inflater.copy())]
        self.damaged = False

    def pread(self, count: int, offset: int) -> bytes:
        pieces = []
        with self._lock:
            self._approach(offset)
            while count > 0:
                skip = offset - (self._out - len(self._piece))
                part = self._piece[skip : skip + count]
                pieces.append(part)
                offset, count = offset + len(part), count - len(part)
                if offset >= self._out and count and not self._advance():
                    break
        return b"".join(pieces)

    def _approach(self, offset: int) -> None:
        """Go to the last point before `offset`, unless what is in hand is nearer."""
        near = max((p for p in self._points if p[0] <= offset), key=lambda p: p[0])
        if offset < self._out - len(self._piece) or near[0] > self._out:
            self._out, self._in, self._piece = near[0], near[1], b""
            self._inflater = near[2].copy()
        while self._out < offset and self._advance():
            pass

    def _advance(self) -> bool:
        """Inflate the next piece; False at the end."""
        self._piece = b""
        while not self._piece:
            data = self._stored.pread(16 * KIB, self._in)
            if self._inflater.eof:
                if data[:2] != _GZIP:  # padding, or nothing
                    return False
                self._inflater = zlib.decompressobj(31)  # gzip files may follow each other
            if not data:
                self.damaged = True
                return False
            try:
                self._piece = self._inflater.decompress(data, _PIECE)
            except zlib.error:
                self.damaged = True
                return False
            left = len(self._inflater.unconsumed_tail) + len(self._inflater.unused_data)
            self._in += len(data) - left
        self._out += len(self._piece)
        if self._out > self._ratio * self._in + MIB:
            raise ArchiveError("BOMB", f"grows more than {self._ratio}-fold")
        if self._out >= self._points[-1][0] + self._spacing:
            self._points.append((self._out, self._in, self._inflater.copy()))
            if len(self._points) > self._POINTS:
                self._points = self._points[::2]
                self._spacing *= 2
        return True


class _Cursor:
    """What tarfile reads headers from; one that wants more than a MiB is no header."""

    def __init__(self, bytes_: _Stored | _Gzipped) -> None:
        self._bytes = bytes_
        self._at = 0

    def read(self, count: int) -> bytes:
        if not 0 <= count <= MIB:
            raise ArchiveError("BAD_ARCHIVE", "a header of impossible length")
        data = self._bytes.pread(count, self._at)
        self._at += len(data)
        return data

    def seek(self, offset: int) -> None:
        self._at = offset

    def tell(self) -> int:
        return self._at


class _Stream(io.RawIOBase):
    """One member; its size is known, so going to its end reads nothing."""

    name = ""
    """pydicom wants one of every file."""

    def __init__(
        self, read_at: _ReadAt, size: int, close: Callable[[], None] = lambda: None
    ) -> None:
        self._read_at, self._size, self._close, self._at = read_at, size, close, 0

    def readable(self) -> bool:
        return True

    def seekable(self) -> bool:
        return True

    def readinto(self, buffer: WriteableBuffer) -> int:
        view = memoryview(buffer)
        count = max(0, min(view.nbytes, self._size - self._at))
        data = self._read_at(count, self._at) if count else b""
        view[: len(data)] = data
        self._at += len(data)
        return len(data)

    def seek(self, offset: int, whence: int = os.SEEK_SET) -> int:
        self._at = max(0, offset + (0, self._at, self._size)[whence])
        return self._at

    def tell(self) -> int:
        return self._at

    def close(self) -> None:
        if not self.closed:
            self._close()
        super().close()

"""Members of a zip, tar or gzipped tar, read where they lie; nothing is ever extracted."""

from __future__ import annotations

import functools
import io
import os
import posixpath
import struct
import tarfile
import threading
import zipfile
import zlib
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
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
    """A member that cannot be read; `code` is the problem: BAD_ARCHIVE, BOMB, ..."""

    def __init__(self, code: str, text: str) -> None:
        super().__init__(text)
        self.code = code


class Member(NamedTuple):
    """One source in an archive; the name b"" stands for the archive itself, with its problem."""

    name: bytes
    """Unique in its archive: the second member named `a.dcm` is `a.dcm#2`."""
    size: int
    problem: str | None


class Archive(Protocol):
    """What a zip and a tar have in common."""

    def __iter__(self) -> Iterator[Member]:
        """The members in the order of their names' bytes."""

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


def _unique_names(names: Sequence[bytes]) -> list[bytes]:
    """Names of members made unique: the second `a` becomes `a#2`, the empty name `#1`.

    The first member keeps its plain name, so appending to an archive renames nothing. The empty
    name stands for the archive itself.

    >>> _unique_names([b"a", b"a", b"a#2", b""])
    [b'a', b'a#3', b'a#2', b'#1']
    """
    taken, counts = {b"", *names}, Counter[bytes]()
    unique = []
    for name in names:
        counts[name] += 1
        key = name
        if not name or counts[name] > 1:
            while (key := b"%b#%d" % (name, counts[name])) in taken:
                counts[name] += 1
            taken.add(key)
        unique.append(key)
    return unique


class _Zip:
    def __init__(self, path: bytes, settings: Settings) -> None:
        try:
            with _ZipDirectory(path) as file:
                infos = [i for i in zipfile.ZipFile(file).infolist() if not _is_folder(i)]
        except Exception as error:  # damage shows as half a dozen types
            raise ArchiveError("BAD_ARCHIVE", f"not a readable zip: {error}") from error
        # zipfile decoded them as cp437, which has a character for every byte.
        names = _unique_names([info.orig_filename.encode("cp437") for info in infos])
        self._infos = dict(zip(names, infos, strict=True))
        self._bytes = _Stored(path)
        self._settings = settings

    def __iter__(self) -> Iterator[Member]:
        for name in sorted(self._infos):
            info = self._infos[name]
            yield Member(name, info.file_size, self._problem(info))

    def _problem(self, info: zipfile.ZipInfo) -> str | None:
        limits = self._settings
        too_large = info.file_size > limits.member_bytes
        if too_large or info.file_size > limits.member_ratio * max(info.compress_size, 1):
            return "BOMB"
        # Encrypted or a patch; or bzip2 and LZMA, whose decompressors in zipfile have no limit on
        # what one step yields.
        stored_or_deflated = info.compress_type in (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED)
        return None if stored_or_deflated and not info.flag_bits & 0x61 else "BAD_ARCHIVE"

    def open(self, name: bytes) -> BinaryIO:
        info = self._infos.get(name)
        if info is None:
            raise ArchiveError("BAD_ARCHIVE", "no such member")
        if problem := self._problem(info):
            raise ArchiveError(problem, "a member that is not read")
        try:
            start = self._find_data(info)
            packed = _Stream(lambda n, at: self._bytes.pread(n, start + at), info.compress_size)
            member = zipfile.ZipExtFile(packed, "r", info)
        except Exception as error:
            raise ArchiveError("BAD_ARCHIVE", str(error)) from error

        def read_at(count: int, offset: int) -> bytes:
            try:
                if member.tell() != offset:
                    member.seek(offset)
                return member.read(count)
            except (zipfile.BadZipFile, zlib.error, EOFError) as error:
                raise ArchiveError("BAD_ARCHIVE", str(error)) from error

        return io.BufferedReader(_Stream(read_at, info.file_size))

    def _find_data(self, info: zipfile.ZipInfo) -> int:
        """Offset of a member's bytes; the name in front of them may differ from the directory's."""
        header = self._bytes.pread(_LOCAL_HEADER.size, info.header_offset)
        signature, *_, name, extra = _LOCAL_HEADER.unpack(header)
        if signature != b"PK\x03\x04":
            raise zipfile.BadZipFile("no header where the directory says")
        return info.header_offset + _LOCAL_HEADER.size + int(name) + int(extra)


_LOCAL_HEADER = struct.Struct("<4s5H3L2H")
_DIRECTORY_ENTRY = struct.Struct("<4s24x3H12x")
"""Signature, and the lengths of name, extra field and comment (APPNOTE 4.3.12)."""


class _ZipDirectory(io.FileIO):
    """A zip file whose directory nowhere says that a name is UTF-8.

    Names are in any code page, whatever their flag says, and zipfile gives up on the whole archive
    where it cannot decode one.
    """

    def read(self, size: int | None = -1, /) -> bytes:
        data = bytearray(super().read(-1 if size is None else size) or b"")
        at = 0
        while data.startswith(b"PK\x01\x02", at) and at + _DIRECTORY_ENTRY.size <= len(data):
            data[at + 9] &= ~0x08
            _, *lengths = _DIRECTORY_ENTRY.unpack_from(data, at)
            at += _DIRECTORY_ENTRY.size + sum(lengths)
        return bytes(data)


def _is_folder(info: zipfile.ZipInfo) -> bool:
    """Folders have no data; Windows tools end their names in a backslash."""
    return info.file_size == 0 and info.orig_filename.endswith(("/", "\\"))


class _Place(NamedTuple):
    """Bytes of a tar member."""

    start: int = 0
    size: int = 0
    problem: str | None = None


class _Tar:
    """Offset and size of every member; links within the archive lead to what they mean."""

    def __init__(self, bytes_: _Stored | _Gzipped, settings: Settings) -> None:
        self._bytes = bytes_
        self._settings = settings
        self._members: dict[bytes, _Place] = {}

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
        found: list[tuple[bytes, _Place | None]] = []
        links: list[tuple[int, bytes]] = []
        files: dict[bytes, _Place] = {}
        folders = set()
        problem = None
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
                if info.isdir():
                    folders.add(name)
                    continue
                place: _Place | None = None
                if info.issym():
                    target = posixpath.normpath(posixpath.join(posixpath.dirname(name), target))
                if info.islnk() or info.issym():
                    if target == name and name in files:  # a file that was archived twice
                        continue
                    links.append((len(found), target))
                elif info.isreg():
                    too_large = info.size > self._settings.member_bytes
                    refused = "BOMB" if too_large else "BAD_ARCHIVE" if info.issparse() else None
                    place = files[name] = _Place(info.offset_data, info.size, refused)
                else:
                    place = _Place(problem="NOT_A_FILE")
                found.append((name, place))
            rest = self._bytes.pread(tarfile.BLOCKSIZE, tar.offset)
            if rest.strip(b"\0") or self._bytes.damaged:
                raise ArchiveError("BAD_ARCHIVE", "the archive is cut or damaged")
        except ArchiveError as error:
            problem = error.code
        except Exception:  # noqa: BLE001 - ReadError, ValueError, RecursionError, ...
            problem = "BAD_ARCHIVE"
        for number, target in links:
            name = found[number][0]
            linked = files.get(target, _Place(problem="BROKEN_LINK"))
            files.setdefault(name, linked)
            found[number] = name, None if target in folders else linked
        there = [(name, place) for name, place in found if place]
        names = _unique_names([name for name, _ in there])
        self._members = {key: place for key, (_, place) in zip(names, there, strict=True)}
        if problem:
            self._members[b""] = _Place(problem=problem)

    def __iter__(self) -> Iterator[Member]:
        for name, place in sorted(self._members.items()):
            yield Member(name, place.size, place.problem)

    def open(self, name: bytes) -> BinaryIO:
        place = self._members.get(name)
        if place is None:
            raise ArchiveError("BAD_ARCHIVE", "no such member")
        if place.problem:
            raise ArchiveError(place.problem, "a member that is not read")
        start = place.start
        return io.BufferedReader(
            _Stream(lambda n, at: self._bytes.pread(n, start + at), place.size)
        )


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

    def __init__(self, read_at: _ReadAt, size: int) -> None:
        self._read_at, self._size, self._at = read_at, size, 0

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

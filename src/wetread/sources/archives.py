"""Members of zip, tar and gzipped tar archives, read in place; nothing is extracted to disk."""

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

from wetread.errors import PROBLEMS, AccessError
from wetread.settings import KIB, MIB, Settings

if TYPE_CHECKING:
    from _typeshed import WriteableBuffer

_ENDINGS = (b".zip", b".tar", b".tar.gz", b".tgz")
_GZIP = b"\x1f\x8b"
_PIECE = 256 * KIB
"""Bytes decompressed at once."""


_ReadAt = Callable[[int, int], bytes]
"""Function of (count, offset) that returns up to `count` bytes."""


class ArchiveError(AccessError):
    """A member that cannot be read; `code` is the problem code: BAD_ARCHIVE, BOMB, ..."""

    def __init__(self, code: str, text: str) -> None:
        super().__init__(text)
        self.code = code

    @property
    def problem(self) -> str:
        """Code and reason, as in `Member.problem`."""
        return f"{self.code}: {self}"


class Member(NamedTuple):
    """Member of an archive; the name b"" stands for the archive itself, with its problem."""

    name: bytes
    """Unique within the archive: the second member named `a.dcm` is `a.dcm#2`."""
    size: int
    problem: str | None
    """Problem code, and the reason after a colon."""


class Archive(Protocol):
    """Common interface of zip and tar archives."""

    def __iter__(self) -> Iterator[Member]:
        """Members, sorted by the bytes of their names."""

    def open(self, name: bytes) -> BinaryIO:
        """Open one member as a seekable stream; ArchiveError if it cannot be read."""


def is_archive_name(path: bytes) -> bool:
    """Return True if the file name has the extension of an archive.

    >>> is_archive_name(b"train.TAR.GZ"), is_archive_name(b"train.gz")
    (True, False)
    """
    return path.lower().endswith(_ENDINGS)


def open_archive(path: bytes, settings: Settings) -> Archive | None:
    """Open the archive at `path`; None if the file is not an archive. The last archive stays open.

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
    return _Tar.open_file(path, settings, gzipped=head[:2] == _GZIP)


def _unique_names(names: Sequence[bytes]) -> list[bytes]:
    """Make member names unique: the second `a` becomes `a#2`, the empty name `#1`.

    The first member keeps its name, so appending to an archive renames nothing. The empty name is
    reserved for the archive itself.

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
        except Exception as error:  # damage raises half a dozen types
            end = "File is not a zip file" in str(error)  # zipfile finds no directory
            text = "truncated: the directory at its end is missing" if end else error
            raise ArchiveError("BAD_ARCHIVE", f"not a readable zip: {text}") from error
        # zipfile has decoded the names as cp437, which has a character for every byte.
        names = _unique_names([info.orig_filename.encode("cp437") for info in infos])
        self._infos = dict(zip(names, infos, strict=True))
        self._bytes = _PlainFile(path)
        self._settings = settings

    def __iter__(self) -> Iterator[Member]:
        for name in sorted(self._infos):
            info = self._infos[name]
            yield Member(name, info.file_size, self._problem(info))

    def _problem(self, info: zipfile.ZipInfo) -> str | None:
        if problem := _find_bomb(info.file_size, info.compress_size, self._settings):
            return problem
        if info.flag_bits & _ENCRYPTED:
            return "BAD_ARCHIVE: encrypted: extract it with its password"
        if info.volume:
            return "BAD_ARCHIVE: on another disk of a multi-disk archive"
        if info.flag_bits & _PATCH:
            return "BAD_ARCHIVE: a patch, not a file"
        # zipfile does not limit how much the decompressors of bzip2 and LZMA return per step.
        if info.compress_type not in (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED):
            number = info.compress_type
            name = zipfile.compressor_names.get(number, f"method {number}")  # type: ignore[attr-defined]
            return f"BAD_ARCHIVE: compressed by {name}; only deflate is read"
        return None

    def open(self, name: bytes) -> BinaryIO:
        info = self._infos.get(name)
        if info is None:
            raise ArchiveError("BAD_ARCHIVE", "no such member")
        if problem := self._problem(info):
            raise _as_error(problem)
        try:
            start = self._data_offset(info)
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
                text = str(error) or "truncated: its data end early"
                raise ArchiveError("BAD_ARCHIVE", text) from error

        return io.BufferedReader(_Stream(read_at, info.file_size))

    def _data_offset(self, info: zipfile.ZipInfo) -> int:
        """Offset of a member's data; the local header may differ from the central directory."""
        header = self._bytes.pread(_LOCAL_HEADER.size, info.header_offset)
        if len(header) < _LOCAL_HEADER.size:
            raise zipfile.BadZipFile("truncated: the local header is missing")
        signature, *_, name, extra = _LOCAL_HEADER.unpack(header)
        if signature != b"PK\x03\x04":
            raise zipfile.BadZipFile("no local header at the offset in the directory")
        return info.header_offset + _LOCAL_HEADER.size + int(name) + int(extra)


_ENCRYPTED, _PATCH = 0x41, 0x20
"""Flags of a member (APPNOTE 4.4.4); 0x40 is strong encryption."""
_LOCAL_HEADER = struct.Struct("<4s5H3L2H")
_DIRECTORY_ENTRY = struct.Struct("<4s24x3H12x")
"""Signature, and the lengths of name, extra field and comment (APPNOTE 4.3.12)."""


def _find_bomb(size: int, stored: int, settings: Settings) -> str | None:
    """Problem of a member that is larger than the limits."""
    if size > settings.member_bytes:
        return f"BOMB: {size:,} bytes, more than Settings.member_bytes"
    if size > settings.member_ratio * max(stored, 1):
        return f"BOMB: {size:,} bytes of {stored:,}, beyond Settings.member_ratio"
    return None


def _as_error(problem: str) -> ArchiveError:
    code, _, reason = problem.partition(": ")
    return ArchiveError(code, reason or PROBLEMS[code].meaning)


class _ZipDirectory(io.FileIO):
    """Zip file with the UTF-8 flag cleared in every entry of its central directory.

    Names may be in any code page, whatever the flag says, and zipfile rejects the whole archive if
    it cannot decode one of them.
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
    """Return True for a folder: no data, and a name that ends in "/" or (Windows) a backslash."""
    return info.file_size == 0 and info.orig_filename.endswith(("/", "\\"))


class _Extent(NamedTuple):
    """Offset and size of a tar member, or the problem of one that cannot be read."""

    start: int = 0
    size: int = 0
    problem: str | None = None


class _Tar:
    """Tar archive as a table of member extents; links within the archive are resolved."""

    def __init__(self, bytes_: _PlainFile | _GzipFile, settings: Settings) -> None:
        self._bytes = bytes_
        self._settings = settings
        self._members: dict[bytes, _Extent] = {}

    @classmethod
    def open_file(cls, path: bytes, settings: Settings, gzipped: bool) -> _Tar | None:
        archive = cls(_GzipFile(path, settings) if gzipped else _PlainFile(path), settings)
        try:
            archive._list()
        except tarfile.ReadError as error:  # the very first header
            if gzipped:
                raise ArchiveError("BAD_ARCHIVE", f"not a readable tar: {error}") from error
            return None
        return archive

    def _list(self) -> None:
        found: list[tuple[bytes, _Extent | None]] = []
        links: list[tuple[int, bytes]] = []
        files: dict[bytes, _Extent] = {}
        folders = set()
        problem = None
        last = -1
        # Raises ReadError if the first header is invalid; later damage ends the list.
        tar = tarfile.TarFile(
            fileobj=_Reader(self._bytes),  # type: ignore[arg-type]
            encoding="utf-8",
            errors="surrogateescape",
        )
        try:
            while (info := tar.next()) is not None:
                tar.members.clear()  # type: ignore[attr-defined]  # else memory grows
                if tar.offset <= last:  # a negative size would loop forever
                    raise ArchiveError("BAD_ARCHIVE", "a header that points backwards")
                last = tar.offset
                name, target = (
                    text.encode("utf-8", "surrogateescape") for text in (info.name, info.linkname)
                )
                if info.isdir():
                    folders.add(name)
                    continue
                extent: _Extent | None = None
                if info.issym():
                    target = posixpath.normpath(posixpath.join(posixpath.dirname(name), target))
                if info.islnk() or info.issym():
                    if target == name and name in files:  # a file archived twice
                        continue
                    links.append((len(found), target))
                elif info.isreg():
                    sparse = "BAD_ARCHIVE: a sparse file" if info.issparse() else None
                    refused = _find_bomb(info.size, info.size, self._settings) or sparse
                    extent = files[name] = _Extent(info.offset_data, info.size, refused)
                else:
                    extent = _Extent(problem="NOT_A_FILE")
                found.append((name, extent))
            rest = self._bytes.pread(tarfile.BLOCKSIZE, tar.offset)
            if rest.strip(b"\0") or self._bytes.damage:
                text = self._bytes.damage or "damaged: no header after the last member"
                raise ArchiveError("BAD_ARCHIVE", text)
        except ArchiveError as error:
            problem = error.problem
        except Exception as error:  # noqa: BLE001 - ReadError, ValueError, RecursionError, ...
            text = self._bytes.damage or f"damaged after {len(found)} members: {error}"
            problem = f"BAD_ARCHIVE: {text}"
        for number, target in links:
            name = found[number][0]
            linked = files.get(target, _Extent(problem="BROKEN_LINK"))
            files.setdefault(name, linked)
            found[number] = name, None if target in folders else linked
        members = [(name, extent) for name, extent in found if extent]
        names = _unique_names([name for name, _ in members])
        self._members = {key: extent for key, (_, extent) in zip(names, members, strict=True)}
        if problem:
            self._members[b""] = _Extent(problem=problem)

    def __iter__(self) -> Iterator[Member]:
        for name, extent in sorted(self._members.items()):
            yield Member(name, extent.size, extent.problem)

    def open(self, name: bytes) -> BinaryIO:
        extent = self._members.get(name)
        if extent is None:
            raise ArchiveError("BAD_ARCHIVE", "no such member")
        if extent.problem:
            raise _as_error(extent.problem)
        start = extent.start
        return io.BufferedReader(
            _Stream(lambda n, at: self._bytes.pread(n, start + at), extent.size)
        )


class _PlainFile:
    """File with thread-safe reads at any offset."""

    damage = ""

    def __init__(self, path: bytes) -> None:
        self._file = open(path, "rb", buffering=0)  # noqa: SIM115
        self._lock = threading.Lock()

    def pread(self, count: int, offset: int) -> bytes:
        with self._lock:
            self._file.seek(offset)
            return self._file.read(count)

    def __del__(self) -> None:
        self._file.close()


class _GzipFile:
    """Gzipped file with thread-safe reads at any offset of the decompressed bytes.

    Checkpoints, copies of the decompressor, are kept every MiB (further apart in a large file), so
    that seeking back does not begin at the start. Damage ends the data; output beyond the limit
    raises ArchiveError.
    """

    def __init__(self, path: bytes, settings: Settings) -> None:
        self._stored = _PlainFile(path)
        self._ratio = settings.member_ratio
        self._most = settings.gzip_checkpoints
        self._lock = threading.Lock()
        self._spacing = MIB
        self._inflater = zlib.decompressobj(31)
        self._in = self._out = 0
        self._piece = b""  # the bytes before self._out
        self._checkpoints = [(0, 0, self._inflater.copy())]
        self.damage = ""
        """Reason why the data end early."""

    def pread(self, count: int, offset: int) -> bytes:
        pieces = []
        with self._lock:
            self._approach(offset)
            while count > 0:
                skip = offset - (self._out - len(self._piece))
                data = self._piece[skip : skip + count]
                pieces.append(data)
                offset, count = offset + len(data), count - len(data)
                if offset >= self._out and count and not self._advance():
                    break
        return b"".join(pieces)

    def _approach(self, offset: int) -> None:
        """Seek to `offset` from the last checkpoint before it, or from the current position."""
        near = max((p for p in self._checkpoints if p[0] <= offset), key=lambda p: p[0])
        if offset < self._out - len(self._piece) or near[0] > self._out:
            self._out, self._in, self._piece = near[0], near[1], b""
            self._inflater = near[2].copy()
        while self._out < offset and self._advance():
            pass

    def _advance(self) -> bool:
        """Decompress the next piece; False at the end."""
        self._piece = b""
        while not self._piece:
            data = self._stored.pread(16 * KIB, self._in)
            if self._inflater.eof:
                if data[:2] != _GZIP:  # padding, or the end
                    return False
                self._inflater = zlib.decompressobj(31)  # gzip members may follow each other
            if not data:
                self.damage = "truncated: the compressed data end early"
                return False
            try:
                self._piece = self._inflater.decompress(data, _PIECE)
            except zlib.error as error:
                self.damage = f"damaged: {error}"
                return False
            left = len(self._inflater.unconsumed_tail) + len(self._inflater.unused_data)
            self._in += len(data) - left
        self._out += len(self._piece)
        if self._out > self._ratio * self._in + MIB:
            raise ArchiveError("BOMB", f"expands more than {self._ratio}-fold")
        if self._out >= self._checkpoints[-1][0] + self._spacing:
            self._checkpoints.append((self._out, self._in, self._inflater.copy()))
            if len(self._checkpoints) > self._most:
                self._checkpoints = self._checkpoints[::2]
                self._spacing *= 2
        return True


class _Reader:
    """File object for tarfile, which reads headers from it; reads beyond 1 MiB are refused."""

    def __init__(self, bytes_: _PlainFile | _GzipFile) -> None:
        self._bytes = bytes_
        self._at = 0

    def read(self, count: int) -> bytes:
        if not 0 <= count <= MIB:
            raise ArchiveError("BAD_ARCHIVE", "invalid header length")
        data = self._bytes.pread(count, self._at)
        self._at += len(data)
        return data

    def seek(self, offset: int) -> None:
        self._at = offset

    def tell(self) -> int:
        return self._at


class _Stream(io.RawIOBase):
    """Seekable stream of one member of known size: seeking to its end reads nothing."""

    name = ""
    """Required by pydicom."""

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

"""Problem files: folders, globs, lists, members of archives, buckets; sorted, streamed, a row each.

Files are told apart by content, later; here a name only says where to look for members. Nothing
but a regular file is ever opened: pipes, sockets and devices get their row unopened.
"""

from __future__ import annotations

import errno
import glob
import os
import re
import stat as mode
import time
from bisect import bisect_left
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any, BinaryIO

import pyarrow as pa

from wetread.common.arrays import array
from wetread.errors import NotFoundError, StorageError, UsageError
from wetread.settings import Settings
from wetread.sources.archives import ArchiveError, is_archive_name, open_archive
from wetread.sources.buckets import ANONYMOUS, Listed, find_objects, is_url, open_bucket

SOURCE_SCHEMA = pa.schema(
    [
        ("path", pa.binary()),
        ("member", pa.binary()),
        ("file_size", pa.int64()),
        ("mtime_ns", pa.int64()),
        ("problem", pa.string()),
        ("etag", pa.string()),
    ]
)
"""`path` is relative, POSIX, as bytes; `problem` the code of a problem: do not open."""

INDEX_MARKER = "wetread-index.json"
_MARKER = os.fsencode(INDEX_MARKER)
PASSING = {errno.EIO, errno.ESTALE, errno.EAGAIN, errno.ETIMEDOUT, errno.EBUSY, errno.EINTR}
"""Errors after which another try may do."""
_INDEX_FILES = re.compile(
    r"(^|/)(wetread-index\.json|parts/\d{20}-[0-9a-f]{8}\.parquet"
    r"|commits/(\d{20}-[0-9a-f]{8}|generation-\d{6})\.json)$"
)
"""The files of an index in a listing, where a folder cannot be looked into first."""

PathLike = str | os.PathLike[str]


@dataclass(frozen=True, slots=True)
class Origin:
    """What `find` found: the folder that paths are relative to, and the sources."""

    root: str
    """An absolute folder, or the URL of one."""
    batches: Iterator[pa.RecordBatch]
    """SOURCE_SCHEMA, by the bytes of (path, member), read from the disk as it is consumed."""
    items: tuple[str, ...]
    """What was asked for: absolute paths and globs, or a URL."""

    def covers(self, item: str) -> bool:
        """Whether all files of an item of another `Origin` are among those found here."""
        return any(item == mine or item.startswith(mine.rstrip("/") + "/") for mine in self.items)


def find(
    what: PathLike | Iterable[PathLike],
    *,
    stat: bool = False,
    size: int = 8192,
    settings: Settings = Settings(),
) -> Origin:
    """Every source in `what`: a folder, a file, an archive, a glob, any of them in a list, a URL.

    Links to folders are followed once, hidden files included, index folders of wetread passed
    over. `file_size` (bytes) and `mtime_ns` are null unless `stat`; members always have them.
    A folder that cannot be listed is a row whose path ends in "/".

    Raises:
        NotFoundError: nothing is there.
        UsageError: `what` is an index, or a list with a URL in it.

    >>> import pathlib, tempfile
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     _ = pathlib.Path(folder, "a.dcm").write_bytes(b"DICM")
    ...     [batch["path"].to_pylist() for batch in find(folder).batches]
    [[b'a.dcm']]
    """
    items = [what] if isinstance(what, str | bytes | os.PathLike) else list(what)
    if any(map(is_url, items)):
        if len(items) > 1:
            raise UsageError("one URL at a time; scan each into an index and merge them")
        return _find_objects(os.fsdecode(items[0]), size, settings)
    paths = [path for item in items for path in _matches(os.fsencode(item))]
    folders = {path for path in paths if os.path.isdir(path)}
    tops = folders | {os.path.dirname(path) for path in paths if path not in folders}
    root = os.path.commonpath(tops) if tops else os.fsencode(os.getcwd())
    if len(paths) == 1 and os.path.lexists(os.path.join(paths[0], _MARKER)):
        name = os.fsdecode(paths[0])
        raise UsageError(
            f"{name} is an index, not DICOM files: wetread view, query and mosaic take it, "
            f"in Python Index.open({name!r})"
        )
    prefix = os.path.join(root, b"")
    keys = {os.path.join(path, b"") if path in folders else path for path in paths}
    relative = (key[len(prefix) :].replace(os.fsencode(os.sep), b"/") for key in keys)
    walk = _Walk(prefix, stat, size, settings)
    rows = _batches(walk.rows(_uncovered(relative)), size)
    asked = sorted({os.path.abspath(os.fsdecode(item)) for item in items})
    return Origin(os.fsdecode(root), rows, tuple(asked))


def name_bytes(row: Mapping[str, Any]) -> tuple[bytes, bytes]:
    """Path and member of a row of an index, as `open_source` takes them."""
    path, member = (row.get(f"{n}_bytes") or (row[n] or "").encode() for n in ("path", "member"))
    return path, member


def open_source(
    root: str,
    path: bytes,
    member: bytes,
    settings: Settings = Settings(),
    size: int | None = None,
    etag: str | None = None,
) -> BinaryIO:
    """A seekable stream of one source, in an archive too; close it.

    `size` and `etag` are of an object in a bucket, as the scan has them; see `Bucket.open`.

    Raises:
        ArchiveError: a member that cannot be read; its `code` is the problem.
        OSError: a file that cannot be opened, or that is none.
    """
    if is_url(root):
        return open_bucket(root, settings).open(path.decode(), size, etag)
    full = os.path.join(os.fsencode(root), path)
    if not member:
        return open(full, "rb", opener=_open_regular)
    archive = open_archive(full, settings)
    if archive is None:
        raise ArchiveError("BAD_ARCHIVE", "not an archive any more")
    return archive.open(member)


def _open_regular(path: str, flags: int) -> int:
    # Not to wait for the other end, should a pipe have taken the file's place.
    file = os.open(path, flags | getattr(os, "O_NONBLOCK", 0))
    if not mode.S_ISREG(os.fstat(file).st_mode):
        os.close(file)
        raise OSError(errno.EINVAL, "not a regular file")
    return file


def _find_objects(url: str, size: int, settings: Settings) -> Origin:
    root, pages = find_objects(url, settings)
    item = url.replace(f"://{ANONYMOUS}@", "://").rstrip("/")
    return Origin(root, _object_batches(root, pages, size), (item,))


def _object_batches(
    root: str, pages: Iterator[list[Listed]], size: int
) -> Iterator[pa.RecordBatch]:
    """Rows of listed objects; wetread's own index folders are passed over."""
    waiting: list[Listed] = []
    try:
        for page in pages:
            waiting += [one for one in page if not _INDEX_FILES.search(one.key)]
            while len(waiting) >= size:
                yield _to_batch(waiting[:size])
                waiting = waiting[size:]
    except OSError as error:
        raise StorageError(
            f"{root} cannot be listed: {error.filename}: {error.strerror}"
        ) from error
    if waiting:
        yield _to_batch(waiting)


def _to_batch(objects: list[Listed]) -> pa.RecordBatch:
    there = [one.size >= 0 for one in objects]
    columns: list[list[Any]] = [
        [one.key.encode() for one in objects],
        [b""] * len(objects),
        [one.size if is_there else None for one, is_there in zip(objects, there, strict=True)],
        [one.mtime_ns if is_there else None for one, is_there in zip(objects, there, strict=True)],
        [None if is_there else "NO_ACCESS" for is_there in there],
        [one.etag for one in objects],
    ]
    arrays = [array(c, kind) for c, kind in zip(columns, SOURCE_SCHEMA.types, strict=True)]
    return pa.RecordBatch.from_arrays(arrays, schema=SOURCE_SCHEMA)


def _matches(item: bytes) -> list[bytes]:
    """The absolute paths that one argument means."""
    if os.path.lexists(item):
        return [os.path.abspath(item)]
    found = glob.glob(item, recursive=True, include_hidden=True) if glob.has_magic(item) else []
    if not found:
        raise NotFoundError(f"no such file or folder: {os.fsdecode(item)}")
    return [os.path.abspath(path) for path in found]


def _uncovered(keys: Iterable[bytes]) -> Iterator[bytes]:
    """Sorted; without what lies in a folder that is itself among the keys."""
    folder = None
    for key in sorted(keys):
        if folder is None or not key.startswith(folder):
            yield key
            if key.endswith(b"/") or not key:
                folder = key


@dataclass(slots=True)
class _Rows:
    """Columns of some sources, in order."""

    path: list[bytes]
    member: list[bytes]
    file_size: list[int | None]
    mtime_ns: list[int | None]
    problem: list[str | None]

    def extend(self, more: _Rows) -> None:
        self.path += more.path
        self.member += more.member
        self.file_size += more.file_size
        self.mtime_ns += more.mtime_ns
        self.problem += more.problem

    def take(self, count: int) -> pa.RecordBatch:
        """The first `count` rows, which are then gone from here."""
        arrays: list[pa.Array] = []
        for name, kind in zip(SOURCE_SCHEMA.names, SOURCE_SCHEMA.types, strict=True):
            if name == "etag":  # which only object stores have
                arrays.append(pa.nulls(len(arrays[0]), kind))
                continue
            column = getattr(self, name)
            arrays.append(array(column[:count], kind))
            del column[:count]
        return pa.RecordBatch.from_arrays(arrays, schema=SOURCE_SCHEMA)


def _batches(pieces: Iterator[_Rows], size: int) -> Iterator[pa.RecordBatch]:
    rows = _Rows([], [], [], [], [])
    for piece in pieces:
        rows.extend(piece)
        while len(rows.path) >= size:
            yield rows.take(size)
    if rows.path:
        yield rows.take(size)


class _Walk:
    """One walk over a tree. Paths are bytes relative to `root`; those of folders end in "/".

    Sorting a folder's entries so is sorting the full paths.
    """

    def __init__(self, root: bytes, stat: bool, size: int, settings: Settings) -> None:
        self._root, self._stat, self._size, self._settings = root, stat, size, settings
        self._trees: dict[tuple[int, int], bytes] = {}
        """(device, inode) and real path of the tops of all trees: arguments, followed links."""

    def rows(self, keys: Iterable[bytes]) -> Iterator[_Rows]:
        """A stack of half-walked folders, as paths may be deeper than Python's stack."""
        for key in keys:
            if key and not key.endswith(b"/"):
                yield from self._single(key)
                continue
            stack = [self._folder(key)] if self._is_new_tree(key) else []
            while stack:
                found = next(stack[-1], None)
                if found is None:
                    stack.pop()
                elif isinstance(found, _Rows):
                    yield found
                elif self._is_new(found):
                    stack.append(self._folder(found))

    def _folder(self, folder: bytes) -> Iterator[_Rows | bytes]:
        files, others, complete = self._list(folder)
        if _MARKER in files:
            return
        if not complete:
            yield self._row(folder or b"./", "NO_ACCESS")
        start = 0
        for name in others:
            stop = bisect_left(files, name, start)
            yield from self._files(folder, files[start:stop])
            start = stop
            if name.endswith(b"/"):
                yield folder + name
            else:
                yield from self._single(folder + name)
        yield from self._files(folder, files[start:])

    def _list(self, folder: bytes) -> tuple[list[bytes], list[bytes], bool]:
        """Sorted names of ordinary files, and of all else; and whether these are all."""
        for pause in range(self._settings.retries, 0, -1):
            files, others = [], []
            try:
                with os.scandir(self._root + folder) as entries:
                    for entry in entries:
                        try:
                            if entry.is_file():
                                files.append(entry.name)
                            else:
                                others.append(entry.name + b"/" * entry.is_dir())
                        except OSError:  # a link in a circle, or into a locked folder
                            others.append(entry.name)
                complete = True
                break
            except OSError as error:
                complete = False
                if error.errno not in PASSING or pause == 1:
                    break
                time.sleep(0.1)
        # Only names that end in p, r or z can be an archive's: one cheap look at most files.
        archives = {name for name in files if name[-1] in b"przPRZ" and is_archive_name(name)}
        if archives:
            files = [name for name in files if name not in archives]
        return sorted(files), sorted(others + list(archives)), complete

    def _files(self, folder: bytes, names: list[bytes]) -> Iterator[_Rows]:
        for start in range(0, len(names), self._size):
            some = names[start : start + self._size]
            paths = [folder + name for name in some]
            try:
                sizes, times = self._stats(folder, some)
            except OSError:  # one of them is gone or locked
                for path in paths:
                    yield from self._single(path)
            else:
                yield _Rows(paths, [b""] * len(some), sizes, times, [None] * len(some))

    def _stats(self, folder: bytes, names: list[bytes]) -> tuple[list[int | None], ...]:
        if not self._stat:
            return [None] * len(names), [None] * len(names)
        sizes: list[int | None] = []
        times: list[int | None] = []
        below = os.stat in os.supports_dir_fd  # a fifth faster than full paths
        handle = os.open(self._root + folder, os.O_RDONLY) if below else None
        prefix = b"" if below else self._root + folder
        try:
            for name in names:  # no list of results: the garbage collector would walk it
                stat = os.stat(prefix + name, dir_fd=handle)
                sizes.append(stat.st_size)
                times.append(stat.st_mtime_ns)
        finally:
            if handle is not None:
                os.close(handle)
        return sizes, times

    def _single(self, path: bytes) -> Iterator[_Rows]:
        """One source that may be anything but a folder; an archive gives its members."""
        full = self._root + path
        try:
            stat = os.stat(full)
        except OSError as error:
            broken = error.errno in (errno.ENOENT, errno.ELOOP) and os.path.islink(full)
            yield self._row(path, "BROKEN_LINK" if broken else "NO_ACCESS")
            return
        if not mode.S_ISREG(stat.st_mode):
            yield self._row(path, "NOT_A_FILE")
        elif is_archive_name(path):
            yield from self._members(path, stat)
        else:
            yield self._row(path, None, stat if self._stat else None)

    def _row(self, path: bytes, problem: str | None, stat: os.stat_result | None = None) -> _Rows:
        size, changed = (stat.st_size, stat.st_mtime_ns) if stat else (None, None)
        return _Rows([path], [b""], [size], [changed], [problem])

    def _members(self, path: bytes, stat: os.stat_result) -> Iterator[_Rows]:
        try:
            archive = open_archive(self._root + path, self._settings)
        except ArchiveError as error:
            yield self._row(path, error.code, stat)
            return
        except OSError:
            yield self._row(path, "NO_ACCESS", stat)
            return
        members = list(archive or ())
        if not members:  # by its content no archive, or an empty one: a source like any other
            yield self._row(path, None, stat if self._stat else None)
        for start in range(0, len(members), self._size):
            some = members[start : start + self._size]
            yield _Rows(
                [path] * len(some),
                [m.name for m in some],
                [m.size for m in some],
                [stat.st_mtime_ns] * len(some),
                [m.problem for m in some],
            )

    def _is_new(self, folder: bytes) -> bool:
        """Whether to enter a folder met on the way."""
        full = self._root + folder[:-1]
        try:
            stat = os.lstat(full)
        except OSError:
            return True  # listing it will say why not
        if not mode.S_ISLNK(stat.st_mode):
            return (stat.st_dev, stat.st_ino) not in self._trees
        above = os.path.realpath(os.path.dirname(full))
        return not _lies_in(above, os.path.realpath(full)) and self._is_new_tree(folder)

    def _is_new_tree(self, folder: bytes) -> bool:
        """Whether a linked folder or an argument lies in no tree yet; if so it is one now."""
        real = os.path.realpath(self._root + folder)
        if any(_lies_in(real, tree) for tree in self._trees.values()):
            return False
        try:
            stat = os.stat(real)
        except OSError:
            return True
        self._trees[stat.st_dev, stat.st_ino] = real
        return True


def _lies_in(path: bytes, tree: bytes) -> bool:
    return path == tree or path.startswith(os.path.join(tree, b""))

"""Find sources: files of folders, globs and lists, members of archives, objects of buckets.

Sources are sorted and streamed, one row per source. Files are recognised by content, later; here
only the names of archives matter. Only regular files are opened: pipes, sockets and devices get a
row, unopened.
"""

from __future__ import annotations

import errno
import glob
import os
import re
import stat as mode
import time
from bisect import bisect_left
from collections.abc import Container, Iterable, Iterator, Mapping
from dataclasses import dataclass
from itertools import groupby
from typing import Any, BinaryIO

import numpy as np
import pyarrow as pa

from wetread.common.arrays import array
from wetread.errors import NotFoundError, StorageError, UnknownNameError, UsageError
from wetread.settings import KIB, Settings
from wetread.sources.archives import ArchiveError, is_archive_name, open_archive
from wetread.sources.buckets import (
    ANONYMOUS,
    SCHEMES,
    Listed,
    find_objects,
    is_url,
    open_bucket,
)
from wetread.sources.folders import LISTS, list_folder, stat_files

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
"""`path` is relative, POSIX, as bytes; a source with a `problem` (its code, and
the reason after a colon) is not opened."""

INDEX_MARKER = "wetread-index.json"
_MARKER = os.fsencode(INDEX_MARKER)
PASSING = {errno.EIO, errno.ESTALE, errno.EAGAIN, errno.ETIMEDOUT, errno.EBUSY, errno.EINTR}
"""Transient errors: another try may succeed."""
_INDEX_FILES = (
    r"(^|/)(wetread-index\.json|parts/\d{20}-[0-9a-f]{8}\.parquet"
    r"|commits/(\d{20}-[0-9a-f]{8}|generation-\d{6})\.json)$"
)
"""Files of an index within a listing of a bucket."""

PathLike = str | os.PathLike[str]


@dataclass(frozen=True, slots=True)
class Origin:
    """Result of `find`: the root folder and the sources below it."""

    root: str
    """Absolute path or URL of the folder that paths are relative to."""
    batches: Iterator[pa.RecordBatch]
    """Sources (SOURCE_SCHEMA), sorted by the bytes of (path, member); files are listed lazily."""
    items: tuple[str, ...]
    """Arguments of `find`: absolute paths and globs, or a URL."""

    def covers(self, item: str) -> bool:
        """Return True if the items here include all files of an item of another `Origin`."""
        return any(item == mine or item.startswith(mine.rstrip("/") + "/") for mine in self.items)


def find(
    what: PathLike | Iterable[PathLike],
    *,
    stat: bool = False,
    size: int = 8192,
    settings: Settings = Settings(),
) -> Origin:
    """Find every source in `what`: a folder, file, archive or glob, a list of them, or a URL.

    Links to folders are followed once, hidden files are included, index folders of wetread are
    skipped. `file_size` (bytes) and `mtime_ns` are null unless `stat`; members always have them.
    A folder that cannot be listed is a row whose path ends in "/".

    Raises:
        NotFoundError: there is no such file, folder or object.
        UsageError: `what` is an index, a URL of another scheme, or a list that contains a URL.

    >>> import pathlib, tempfile
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     _ = pathlib.Path(folder, "a.dcm").write_bytes(b"DICM")
    ...     [batch["path"].to_pylist() for batch in find(folder).batches]
    [[b'a.dcm']]
    """
    given = [what] if isinstance(what, str | bytes | os.PathLike) else what
    items = [os.fsencode(item) for item in given]
    if any(b"://" in item and is_url(item) for item in items):
        if len(items) > 1:
            raise UsageError("one URL at a time; scan each into an index and merge them")
        return _find_objects(os.fsdecode(items[0]), size, settings)
    absolute = [os.path.abspath(item) for item in items]
    modes: dict[bytes, int] = {}
    for item, path in zip(items, absolute, strict=True):
        modes.update(_matches(item, path))
    folders = {path for path, found in modes.items() if mode.S_ISDIR(found)}
    tops = folders | {os.path.dirname(path) for path in modes.keys() - folders}
    root = os.path.commonpath(tops) if tops else os.fsencode(os.getcwd())
    if len(modes) == 1 and os.path.lexists(os.path.join(*modes, _MARKER)):
        name = os.fsdecode(*modes)
        raise UsageError(
            f"{name} is an index, not a folder of DICOM files: open it with wetread view, query "
            f"or mosaic, in Python with Index.open({name!r})"
        )
    prefix = os.path.join(root, b"")
    keys: dict[bytes, int] = {}
    for path, found in modes.items():
        full = os.path.join(path, b"") if path in folders else path
        keys[full[len(prefix) :].replace(os.fsencode(os.sep), b"/")] = found
    walk = _Walk(prefix, stat, size, settings)
    plain = {key for key, found in keys.items() if mode.S_ISREG(found) and not is_archive_name(key)}
    rows = _batches(walk.rows(_uncovered(keys), plain), size)
    return Origin(os.fsdecode(root), rows, tuple(sorted(set(map(os.fsdecode, absolute)))))


def path_and_member(row: Mapping[str, Any]) -> tuple[bytes, bytes]:
    """Path and member of a row of an index as bytes, for `open_source`."""
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
    """Open a file, a member of an archive or an object as a seekable stream; close it.

    `size` and `etag` of an object in a bucket, from the scan: see `Bucket.open`.

    Raises:
        ArchiveError: the member cannot be read; `code` is the problem code.
        OSError: the file cannot be opened, or is not a regular file.
    """
    if is_url(root):
        return open_bucket(root, settings).open(path.decode(), size, etag)
    full = os.path.join(os.fsencode(root), path)
    if not member:
        return open(full, "rb", opener=_open_regular)
    archive = open_archive(full, settings)
    if archive is None:
        raise ArchiveError("BAD_ARCHIVE", "no longer an archive")
    return archive.open(member)


def _open_regular(path: str, flags: int) -> int:
    # O_NONBLOCK: do not wait for a writer if a pipe has replaced the file.
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
    """Rows of listed objects, without the files of index folders."""
    waiting: list[Listed] = []
    try:
        for page in pages:
            waiting += [one for one in page if not re.search(_INDEX_FILES, one.key)]
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
    columns: list[list[Any]] = [
        [one.key.encode() for one in objects],
        [b""] * len(objects),
        [one.size if one.size >= 0 else None for one in objects],
        [one.mtime_ns if one.size >= 0 else None for one in objects],
        [None if one.size >= 0 else "NO_ACCESS" for one in objects],
        [one.etag for one in objects],
    ]
    arrays = [array(c, kind) for c, kind in zip(columns, SOURCE_SCHEMA.types, strict=True)]
    return pa.RecordBatch.from_arrays(arrays, schema=SOURCE_SCHEMA)


def _matches(item: bytes, path: bytes) -> list[tuple[bytes, int]]:
    """Absolute path of every match of an argument, a path or a glob, and its mode, 0 if unknown.

    `path`: absolute path of the argument.
    """
    if (found := _mode(item)) or os.path.lexists(item):
        return [
            (path, _mode(path) if b".." in item else found)
        ]  # a link before ".." leads elsewhere
    names = glob.glob(item, recursive=True, include_hidden=True) if glob.has_magic(item) else []
    if not names:
        name = os.fsdecode(item)
        scheme, is_address, _ = name.partition("://")
        if is_address:
            raise UnknownNameError("scheme of a URL", scheme, SCHEMES)
        kind = "file matches" if glob.has_magic(item) else "such file or folder:"
        raise NotFoundError(f"no {kind} {name}")
    return [(path, _mode(path)) for path in map(os.path.abspath, names)]


def _mode(path: bytes) -> int:
    try:
        return os.stat(path).st_mode
    except (OSError, ValueError):  # missing, a broken link, not allowed, or no name of a file
        return 0


def _uncovered(keys: Iterable[bytes]) -> Iterator[bytes]:
    """Sort keys and drop those within a folder that is itself among them."""
    folder = None
    for key in sorted(keys):
        if folder is None or not key.startswith(folder):
            yield key
            if key.endswith(b"/") or not key:
                folder = key


@dataclass(slots=True)
class _Rows:
    """Columns of consecutive sources."""

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
        """Remove and return the first `count` rows."""
        arrays: list[pa.Array] = []
        for name, kind in zip(SOURCE_SCHEMA.names, SOURCE_SCHEMA.types, strict=True):
            if name == "etag":  # of objects in buckets only
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
    """Walk over a tree of folders. Paths are bytes relative to `root`; folders end in "/".

    With that ending, sorting the entries of each folder sorts the full paths.
    """

    def __init__(self, root: bytes, stat: bool, size: int, settings: Settings) -> None:
        self._root, self._stat, self._size, self._settings = root, stat, size, settings
        self._trees: dict[tuple[int, int], bytes] = {}
        """Real path by (device, inode) of the root of every tree: arguments, followed links."""

    def rows(self, keys: Iterable[bytes], plain: Container[bytes]) -> Iterator[_Rows]:
        """Yield the sources below `keys`; not recursive: paths may be deeper than the stack.

        `plain`: keys of regular files that are no archives.
        """
        for folder, group in groupby(keys, lambda key: _above(key) if key in plain else None):
            if folder is None:
                yield from self._each(group)
            else:
                yield from self._files(folder, [key[len(folder) :] for key in group])

    def _each(self, keys: Iterable[bytes]) -> Iterator[_Rows]:
        """Yield the sources below folders, and other ones of any kind."""
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
        """Sorted names of regular files, of all other entries, and False if some are missing."""
        for pause in range(self._settings.retries, 0, -1):
            files, others, error = _list_folder(self._root + folder)
            if error not in PASSING or pause == 1:
                break
            time.sleep(0.1)
        # Only names of archives end in p, r or z: a cheap test for most files.
        archives = {name for name in files if name[-1] in b"przPRZ" and is_archive_name(name)}
        if archives:
            files = [name for name in files if name not in archives]
        return sorted(files), sorted(others + list(archives)), not error

    def _files(self, folder: bytes, names: list[bytes]) -> Iterator[_Rows]:
        for start in range(0, len(names), self._size):
            some = names[start : start + self._size]
            paths = [folder + name for name in some] if folder else some.copy()
            try:
                sizes, times = self._stats(folder, some)
            except OSError:  # one of them is missing or unreadable
                for path in paths:
                    yield from self._single(path)
            else:
                yield _Rows(paths, [b""] * len(some), sizes, times, [None] * len(some))

    def _stats(self, folder: bytes, names: list[bytes]) -> tuple[list[int | None], ...]:
        if not self._stat:
            return [None] * len(names), [None] * len(names)
        if not LISTS:
            stats = [os.stat(self._root + folder + name) for name in names]
            return [one.st_size for one in stats], [one.st_mtime_ns for one in stats]
        sizes, times = np.empty((2, len(names)), np.int64)
        handle = os.open(self._root + folder, os.O_RDONLY)
        try:
            done = stat_files(handle, b"\0".join([*names, b""]), sizes, times)
        finally:
            os.close(handle)
        if done < len(names):
            raise OSError(f"{names[done]!r} has no stat")
        return sizes.tolist(), times.tolist()

    def _single(self, path: bytes) -> Iterator[_Rows]:
        """Yield one source of any kind but a folder; of an archive, its members."""
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
            yield self._row(path, error.problem, stat)
            return
        except OSError:
            yield self._row(path, "NO_ACCESS", stat)
            return
        members = list(archive or ())
        if not members:  # no archive by its content, or an empty one: an ordinary source
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
        """Return True for a subfolder that has not been walked."""
        full = self._root + folder[:-1]
        try:
            stat = os.lstat(full)
        except OSError:
            return True  # listing it reports the error
        if not mode.S_ISLNK(stat.st_mode):
            return (stat.st_dev, stat.st_ino) not in self._trees
        above = os.path.realpath(os.path.dirname(full))
        return not _lies_in(above, os.path.realpath(full)) and self._is_new_tree(folder)

    def _is_new_tree(self, folder: bytes) -> bool:
        """Register a linked folder or an argument as a tree; False if it is within one."""
        real = os.path.realpath(self._root + folder)
        if any(_lies_in(real, tree) for tree in self._trees.values()):
            return False
        try:
            stat = os.stat(real)
        except OSError:
            return True
        self._trees[stat.st_dev, stat.st_ino] = real
        return True


def _above(key: bytes) -> bytes:
    """Key of the folder of a file."""
    return key[: key.rfind(b"/") + 1]


def _lies_in(path: bytes, tree: bytes) -> bool:
    return path == tree or path.startswith(os.path.join(tree, b""))


def _list_folder(folder: bytes) -> tuple[list[bytes], list[bytes], int]:
    """Names of regular files, of other entries (folders end in "/"), and the error number."""
    if LISTS:
        return list_folder(folder, np.empty(32 * KIB, np.uint8))
    files: list[bytes] = []
    others: list[bytes] = []
    try:
        with os.scandir(folder) as entries:
            for entry in entries:
                try:
                    if entry.is_file():
                        files.append(entry.name)
                    else:
                        others.append(entry.name + b"/" * entry.is_dir())
                except OSError:  # a circular link, or one into an unreadable folder
                    others.append(entry.name)
    except OSError as error:
        return files, others, error.errno or errno.EIO
    return files, others, 0

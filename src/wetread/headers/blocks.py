"""Blocks of sources: plain files, members of archives and objects of a bucket."""

from __future__ import annotations

import os
import threading
import time
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass, replace
from functools import lru_cache, partial
from math import inf

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from wetread.common.arrays import array, filled, scalar, whole_array
from wetread.errors import PROBLEMS
from wetread.headers.core.constants import (
    ENTRY,
    PIXEL_HEAD,
    R_COLUMNS,
    R_HEAD,
    R_MTIME,
    R_PIXEL_LENGTH,
    R_PIXEL_OFFSET,
    R_SYNTAX,
    R_TEXT,
)
from wetread.headers.registry import Registry
from wetread.headers.walks import (
    Elements,
    Found,
    Memory,
    Walked,
    describe_error,
    passing,
    walk_files,
    walk_others,
)
from wetread.settings import Settings
from wetread.sources.archives import ArchiveError
from wetread.sources.buckets import Bucket, is_url, open_bucket
from wetread.sources.find import open_source

_AHEAD = 32
"""Number of sources that a thread walks at once where opening is slow."""
_EXACT = 8 + PIXEL_HEAD
"""Bytes of an object up to which no more are requested: the head of a fragment."""
Retried = tuple[int, Walked, Memory]
"""Number of a file that was read again, and what was read."""
WalkRange = Callable[[int, int, Memory], Walked]
"""Walk of consecutive sources: the number of the first, how many, and the memory to use."""
_PLACES = np.array([R_HEAD, R_TEXT])


class _Reused(threading.local):
    """Memory and columns of each thread, reused for every block."""

    def __init__(self) -> None:
        self.memory = Memory()
        self.registry = Registry()


_reused = _Reused()


@dataclass(slots=True)
class Block:
    """Walked sources; the first of the given ones if memory is short."""

    sources: pa.RecordBatch | pa.Table
    walked: Walked
    memory: Memory


def thread_registry() -> Registry:
    """Column registry of this thread; replaced once it is nearly full."""
    if _reused.registry.full:
        _reused.registry = Registry()
    return _reused.registry


def walk_block(
    root: str, sources: pa.RecordBatch | pa.Table, settings: Settings, *, whole: bool
) -> Block:
    """Walk the first sources, as many as the memory of a block holds."""
    memory = _reused.memory
    memory.used = 0
    path, member = (whole_array(sources.column(name)) for name in ("path", "member"))
    known = whole_array(sources.column("problem"))
    rows = np.zeros((R_COLUMNS, len(path)), np.int64)
    rows[[R_SYNTAX, R_PIXEL_OFFSET, R_PIXEL_LENGTH]] = -1
    block = _Gathering(rows, memory, settings, whole)
    reads = filled(known.is_null(), True)
    for i in np.flatnonzero(~reads).tolist():
        code, _, reason = known[i].as_py().partition(": ")
        block.problems[i] = code, reason or PROBLEMS[code].meaning
    if is_url(root):
        sizes = sources.column("file_size").to_pylist()
        rows[R_MTIME] = filled(sources.column("mtime_ns"), 0)
        left = np.flatnonzero(reads)
        block.walk_objects(open_bucket(root, settings), left, path.to_pylist(), sizes)
    else:
        is_member = filled(pc.binary_length(member), 0) > 0
        above = os.path.join(os.fsencode(root), b"")
        nul, nothing = scalar(b"\0", pa.binary()), scalar(b"", pa.binary())
        names = pc.binary_join_element_wise(scalar(above, pa.binary()), path, nul, nothing)
        block.walk_plain(np.flatnonzero(reads & ~is_member), names, above)
        begun = block.size()
        for i in np.flatnonzero(reads & is_member).tolist():
            if block.size() - begun > settings.block_bytes:
                block.rows = block.rows[:, :i]
            if i >= block.rows.shape[1]:
                break
            block.walk_member(i, root, path[i].as_py(), member[i].as_py())
    return Block(sources.slice(0, block.rows.shape[1]), block.walked(), memory)


@contextmanager
def _opened(folder: bytes) -> Iterator[int]:
    """Descriptor of a folder, in which files are opened faster than by whole paths; -1 for none."""
    try:
        number = os.open(folder, getattr(os, "O_PATH", os.O_RDONLY) | os.O_DIRECTORY)
    except (OSError, AttributeError):  # Windows has no `O_DIRECTORY`
        yield -1
        return
    try:
        yield number
    finally:
        os.close(number)


class _Gathering:
    """Results of several walks, joined."""

    def __init__(self, rows: np.ndarray, memory: Memory, settings: Settings, whole: bool) -> None:
        self.rows, self.memory, self.settings, self.whole = rows, memory, settings, whole
        self.problems: dict[int, tuple[str, str]] = {}
        self.inferred: dict[int, str | None] = {}
        self.slow = False
        self.count = 0
        self.elements: list[Elements] = []
        self.found: list[Found] = []

    def walked(self) -> Walked:
        """All rows, elements in their order, and problems."""
        elements, found = Elements.join(self.elements), Found.join(self.found)
        rows = self.rows.shape[1]
        if (elements.row[1:] < elements.row[:-1]).any():
            elements = elements.take(np.argsort(elements.row, kind="stable"))
        if max(elements.row.max(initial=0), found.row.max(initial=0)) >= rows:
            elements = elements.take(np.flatnonzero(elements.row < rows))
            found = found.take(np.flatnonzero(found.row < rows))
        problems = {row: problem for row, problem in self.problems.items() if row < rows}
        inferred = {row: syntax for row, syntax in self.inferred.items() if row < rows}
        return Walked(self.rows, elements, found, problems, inferred, self.slow)

    def size(self) -> int:
        """Bytes of the values and of the table of elements."""
        return self.memory.used + ENTRY * self.count

    def take(
        self, index: Sequence[int] | npt.NDArray[np.intp], walked: Walked, shift: int = 0
    ) -> None:
        """Add the results of a walk of the rows `index`; its arena starts at `shift` in ours."""
        places = np.asarray(index, np.int64)
        times = self.rows[R_MTIME, places]
        self.rows[:, places] = walked.rows
        self.rows[np.ix_(_PLACES, places)] += shift
        self.rows[R_MTIME, places] = np.maximum(self.rows[R_MTIME, places], times)
        self.problems.update({int(index[i]): problem for i, problem in walked.problems.items()})
        self.inferred.update({int(index[i]): syntax for i, syntax in walked.inferred.items()})
        elements, found = walked.elements, walked.found
        if len(places) != self.rows.shape[1]:
            elements.row = places[elements.row].astype(np.int32)
            found.row = places[found.row].astype(np.int32)
        if shift:
            elements.start[elements.start >= 0] += shift
        self.elements.append(elements)
        self.found.append(found)
        self.count += len(elements.row)

    def walk_plain(self, index: npt.NDArray[np.intp], names: pa.BinaryArray, above: bytes) -> None:
        """Walk the files `index` of `names`, in threads if opening them is slow.

        `above`: the folder of all of them, with which every name begins.
        """
        names = names if len(index) == len(names) else names.take(array(index, pa.int64()))
        untimed = replace(self.settings, slow_open_seconds=inf)
        with _opened(above) as folder:
            prefix = len(above) if folder >= 0 else 0
            walk = partial(walk_files, whole=self.whole, folder=folder, above=prefix)

            def walk_range(first: int, count: int, memory: Memory) -> Walked:
                return walk(names.slice(first, count), memory, untimed)

            walked = walk(names, self.memory, self.settings)
            again = _retry(0, walked, walk_range, self.settings)
            self._take_retried(index, walked, again)
            self.slow, done = walked.slow, walked.rows.shape[1]
            if self.slow:
                most = self.settings.io_threads
                with ThreadPoolExecutor(most) as pool:
                    done = self._walk_ahead(index, done, walk_range, pool, most)
        self._end(index, done)

    def _walk_ahead(
        self,
        index: npt.NDArray[np.intp],
        first: int,
        walk: WalkRange,
        pool: ThreadPoolExecutor,
        most: int,
    ) -> int:
        """Walk the sources `index` in threads, from number `first` on.

        At most `most` walks run at once, over no more sources than memory is left for if their
        headers have the mean size of those before. Returns the number of the first source for
        which there is no memory.
        """

        def run(at: int, count: int) -> tuple[Walked, Memory, list[Retried]]:
            memory = Memory()
            walked = walk(at, count, memory)
            return walked, memory, _retry(at, walked, walk, self.settings)

        limit = self.settings.block_bytes
        waiting: deque[tuple[int, Future[tuple[Walked, Memory, list[Retried]]]]] = deque()
        following = first

        def fill() -> None:
            nonlocal following
            while len(waiting) < most and following < len(index):
                count = 1  # until the size of one is known
                if first:
                    fit = (limit - self.size()) * first // max(1, self.size())
                    left = fit - (following - first)
                    if left < 1 and waiting:
                        return
                    count = min(max(1, left), _AHEAD, 1 + len(index) // (2 * most))
                    count = min(count, len(index) - following)
                waiting.append((count, pool.submit(run, following, count)))
                following += count

        try:
            fill()
            while waiting:
                count, answer = waiting.popleft()
                walked, memory, again = answer.result()
                done = walked.rows.shape[1]
                self._take_retried(index[first:], walked, again, self.memory.append(memory))
                first += done
                if done < count or self.size() > limit:
                    break
                fill()
        finally:
            for _, answer in waiting:
                answer.cancel()
        return first

    def _take_retried(
        self,
        index: npt.NDArray[np.intp],
        walked: Walked,
        again: list[Retried],
        shift: int = 0,
    ) -> None:
        """Add the results of a walk of the first sources `index`, and of those read again."""
        self.take(index[: walked.rows.shape[1]], walked, shift)
        for i, once, memory in again:
            self.take([int(index[i])], once, self.memory.append(memory))

    def _end(self, index: npt.NDArray[np.intp], done: int) -> None:
        """Leave out the rows from the first source of `index` that was not walked."""
        if done < len(index):
            self.rows = self.rows[:, : index[done]]

    def walk_member(self, row: int, root: str, path: bytes, member: bytes) -> None:
        """A member of an archive."""
        try:
            with open_source(root, path, member, self.settings) as stream:

                def read(_: int, first: int, count: int) -> bytes:
                    stream.seek(first)
                    return stream.read(count)

                size, memory = stream.seek(0, os.SEEK_END), Memory()
                walked = walk_others([size], read, memory, self.settings, whole=self.whole)
        except (OSError, ArchiveError) as error:
            self.problems[row] = describe_error(error)
            return
        self.take([row], walked, self.memory.append(memory))

    def walk_objects(
        self, bucket: Bucket, index: npt.NDArray[np.intp], paths: list[bytes], sizes: list[int]
    ) -> None:
        """Objects of a bucket, concurrently; the fewer there are, the fewer per thread."""
        requests = self.settings.requests

        def walk_range(first: int, count: int, memory: Memory) -> Walked:
            rows = index[first : first + count].tolist()

            @lru_cache(maxsize=1)  # one object after the other
            def reader(i: int) -> _ObjectReader:
                row = rows[i]
                return _ObjectReader(bucket, paths[row].decode(), sizes[row], self.settings)

            def read(i: int, start: int, length: int) -> bytes:
                return reader(i).read(start, length)

            own = [sizes[row] for row in rows]
            return walk_others(own, read, memory, self.settings, whole=self.whole)

        self._end(index, self._walk_ahead(index, 0, walk_range, bucket.pool, 2 * requests))


def _retry(first: int, walked: Walked, walk: WalkRange, settings: Settings) -> list[Retried]:
    """Walk files with a transient error again; what was read of them before is dropped."""
    again: list[Retried] = []
    for i in passing(walked):
        for _ in range(settings.retries - 1):
            time.sleep(0.01)
            memory = Memory()
            once = walk(first + i, 1, memory)
            if not passing(once):
                again.append((i, once, memory))
                walked.forget(i)
                break
    return again


class _ObjectReader:
    """Ranges of an object, in few requests."""

    def __init__(self, bucket: Bucket, key: str, size: int, settings: Settings) -> None:
        self._bucket, self._key, self._size, self._settings = bucket, key, size, settings
        self._first, self._data = 0, b""

    def read(self, first: int, count: int) -> bytes:
        """Bytes from a position on; OSError if a request fails or returns too few of them."""
        at = first - self._first
        if at < 0 or at + count > len(self._data):
            wanted = max(count, self._settings.object_window) if count > _EXACT else count
            if self._size <= self._settings.object_bytes:
                first_wanted, wanted = 0, self._size
            else:
                first_wanted, wanted = first, min(wanted, self._size - first)
            data = self._bucket.read(self._key, first_wanted, wanted)
            if len(data) < wanted:
                raise OSError(None, f"{len(data)} bytes came of {wanted}")
            if wanted == count <= _EXACT:
                return data
            self._first, self._data = first_wanted, data
            at = first - first_wanted
        return self._data[at : at + count]

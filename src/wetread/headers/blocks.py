"""Blocks of sources: plain files, members of archives and objects of a bucket."""

from __future__ import annotations

import os
import threading
import time
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from wetread.common.arrays import array, filled, scalar, whole_array
from wetread.headers.core.constants import (
    ENTRY,
    R_COLUMNS,
    R_HEAD,
    R_MTIME,
    R_PIXEL_LENGTH,
    R_PIXEL_OFFSET,
    R_PIXELS,
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

_PLACES = np.array([R_HEAD, R_TEXT, R_PIXELS])


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
    block.problems = {i: (known[i].as_py(), "") for i in np.flatnonzero(~reads).tolist()}
    if is_url(root):
        sizes = sources.column("file_size").to_pylist()
        rows[R_MTIME] = filled(sources.column("mtime_ns"), 0)
        left = np.flatnonzero(reads).tolist()
        block.walk_objects(open_bucket(root, settings), left, path.to_pylist(), sizes)
    else:
        is_member = filled(pc.binary_length(member), 0) > 0
        prefix = scalar(os.path.join(os.fsencode(root), b""), pa.binary())
        nul, nothing = scalar(b"\0", pa.binary()), scalar(b"", pa.binary())
        names = pc.binary_join_element_wise(prefix, path, nul, nothing)
        block.walk_plain(np.flatnonzero(reads & ~is_member), names)
        begun = block.size()
        for i in np.flatnonzero(reads & is_member).tolist():
            if block.size() - begun > settings.block_bytes:
                block.rows = block.rows[:, :i]
            if i >= block.rows.shape[1]:
                break
            block.walk_member(i, root, path[i].as_py(), member[i].as_py())
    return Block(sources.slice(0, block.rows.shape[1]), block.walked(), memory)


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
        """All rows, elements and problems."""
        elements, found = Elements.join(self.elements), Found.join(self.found)
        rows = self.rows.shape[1]
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

    def walk_plain(self, index: npt.NDArray[np.intp], names: pa.BinaryArray) -> None:
        """Walk the files `index` of `names`, up to the first one for which there is no memory."""
        names = names if len(index) == len(names) else names.take(array(index, pa.int64()))
        walked = walk_files(names, self.memory, self.settings, whole=self.whole)
        done = walked.rows.shape[1]
        if done < len(index):
            self.rows, self.slow = self.rows[:, : index[done]], walked.slow
        again = passing(walked)
        self.take(index[:done], walked)
        for i in again:
            self._try_again(int(index[i]), names.slice(i, 1))

    def _try_again(self, row: int, name: pa.BinaryArray) -> None:
        """Read a file again after a transient error."""
        for _ in range(self.settings.retries - 1):
            time.sleep(0.01)
            memory = Memory()
            walked = walk_files(name, memory, self.settings, whole=self.whole)
            if not passing(walked):
                self.problems.pop(row)
                self.take([row], walked, self.memory.append(memory))
                return

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
        self, bucket: Bucket, index: list[int], paths: list[bytes], sizes: list[int]
    ) -> None:
        """Objects of a bucket, concurrently, each with its own arena."""

        def walk(row: int) -> tuple[Walked, Memory]:
            memory = Memory()
            reader = _ObjectReader(bucket, paths[row].decode(), sizes[row], self.settings)
            walked = walk_others([sizes[row]], reader.read, memory, self.settings, whole=self.whole)
            return walked, memory

        for row, (walked, memory) in zip(index, bucket.pool.map(walk, index), strict=True):
            if self.size() > self.settings.block_bytes:
                self.rows = self.rows[:, :row]
                break
            self.take([row], walked, self.memory.append(memory))


class _ObjectReader:
    """Ranges of an object, in few requests."""

    def __init__(self, bucket: Bucket, key: str, size: int, settings: Settings) -> None:
        self._bucket, self._key, self._size, self._settings = bucket, key, size, settings
        self._first, self._data = 0, b""

    def read(self, _: int, first: int, count: int) -> bytes:
        """Bytes from a position on; OSError if a request fails or returns too few of them."""
        at = first - self._first
        if at < 0 or at + count > len(self._data):
            wanted = max(count, self._settings.object_window) if count > 8 else count
            if self._size <= self._settings.object_bytes:
                first_wanted, wanted = 0, self._size
            else:
                first_wanted, wanted = first, min(wanted, self._size - first)
            data = self._bucket.read(self._key, first_wanted, wanted)
            if len(data) < wanted:
                raise OSError(None, f"{len(data)} bytes came of {wanted}")
            if count <= 8 and wanted == count:
                return data
            self._first, self._data = first_wanted, data
            at = first - first_wanted
        return self._data[at : at + count]

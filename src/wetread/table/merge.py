"""Merge of old rows with the files found, and of parts with each other: sorted streams.

Keys are compared as Arrow arrays, one batch at a time; a part is open only while its range of keys
is processed.
"""

from __future__ import annotations

import warnings
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from itertools import zip_longest
from pathlib import Path
from typing import Any, TypeVar

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from wetread.common.arrays import array, filled, scalar
from wetread.common.files import checksum, storage_errors
from wetread.errors import IndexFormatError
from wetread.headers.schema import unify
from wetread.table.changes import still_valid
from wetread.table.parts import (
    GROUP_ROWS,
    Generation,
    Options,
    Part,
    find_damage,
    new_name,
    part_path,
    part_writer,
    row_keys,
    used_columns,
    used_schema,
)

Rows = TypeVar("Rows", pa.RecordBatch, pa.Table)
_STATE_COLUMNS = ["file_size", "mtime_ns", "etag", "read_status"]
KEY_COLUMNS = ["path", "path_bytes", "member", "member_bytes", *_STATE_COLUMNS]
_BATCH_ROWS = 4096
"""Rows that a merge reads from each part at once; twice as many if it reads the keys alone."""


def conform(rows: pa.Table, schema: pa.Schema) -> pa.Table:
    """Rows with exactly the columns of a schema; missing columns are null."""
    have = set(rows.column_names)
    columns = [rows[f.name] if f.name in have else pa.nulls(rows.num_rows, f.type) for f in schema]
    return pa.table(columns, schema=schema)


def concat(tables: Sequence[pa.Table]) -> pa.Table:
    """Concatenate tables, with the columns of all."""
    if len(tables) == 1:
        return tables[0]
    schema = unify(table.schema for table in tables)
    return pa.concat_tables([conform(table, schema) for table in tables])


@dataclass(eq=False)
class Stored:
    """A part on disk and a mask of its valid rows."""

    part: Part
    path: Path
    keep: np.ndarray[Any, np.dtype[np.bool_]] = field(init=False)

    def __post_init__(self) -> None:
        self.keep = np.zeros(self.part.rows, bool)


def valid_parts(folder: Path, generation: Generation | None, options: Options) -> list[Stored]:
    """Intact parts of the last generation, if its options are the same; no row is marked as valid.

    Warns:
        UserWarning: a part is damaged or missing; its files are read again.
    """
    if generation is None or generation.options != options:
        return []
    valid = []
    for part in generation.parts:
        path = part_path(folder, part.name)
        if problem := find_damage(folder, part):
            warnings.warn(
                f"{path} is damaged: {problem}; its {part.rows:,} files are read again, and "
                "columns added to them are lost",
                UserWarning,
                stacklevel=2,
            )
        else:
            valid.append(Stored(part, path))
    return valid


class Feed:
    """Reader of a part that returns its next rows up to a key."""

    def __init__(
        self,
        stored: Stored,
        columns: list[str] | None = None,
        keep: np.ndarray[Any, np.dtype[np.bool_]] | None = None,
    ) -> None:
        self.stored = stored
        self.taken = 0
        self.head: bytes | None = stored.part.first
        """Key of the next row, or of an earlier one; None at the end."""
        self._batches = self._read(columns, keep)
        self._rows: pa.Table | None = None
        self._keys: pa.Array

    def _read(
        self, columns: list[str] | None, keep: np.ndarray[Any, np.dtype[np.bool_]] | None
    ) -> Iterator[pa.Table]:
        import pyarrow.parquet as pq

        at = 0
        with pq.ParquetFile(self.stored.path, pre_buffer=False) as file:
            size = 2 * _BATCH_ROWS if columns else _BATCH_ROWS
            for batch in file.iter_batches(size, columns=columns):
                rows = pa.Table.from_batches([batch])
                if keep is not None:
                    rows = rows.filter(array(keep[at : at + len(batch)], pa.bool_()))
                at += len(batch)
                if rows.num_rows:
                    yield rows

    def _next(self) -> None:
        self._rows = next(self._batches, None)
        self.head = None
        if self._rows is not None:
            self._keys = row_keys(self._rows)
            self.head = self._keys[0].as_py()

    def reach(self) -> bytes | None:
        """Key of the last row in memory; None at the end."""
        if self._rows is None and self.head is not None:
            self._next()
        return None if self._rows is None else self._keys[-1].as_py()

    def until(self, last: bytes | None) -> list[pa.Table]:
        """Return the next rows with a key up to `last`; None returns all."""
        found = []
        while (reach := self.reach()) is not None and not after(self.head, last):
            rows = self._rows
            assert rows is not None
            if after(reach, last):
                count = pc.sum(pc.less_equal(self._keys, scalar(last, pa.binary()))).as_py()
                self._rows, self._keys = rows.slice(count), self._keys.slice(count)
                self.head = self._keys[0].as_py()
                rows = rows.slice(0, count)
            else:
                self._next()
            self.taken += rows.num_rows
            found.append(rows)
        return found


def after(key: bytes | None, last: bytes | None) -> bool:
    """True if a key is greater than `last`; None stands for the end.

    >>> after(b"b", b"a"), after(b"b", None)
    (True, False)
    """
    return last is not None and key is not None and key > last


class Known:
    """Rows of an earlier scan, read in step with the files found."""

    def __init__(self, stored: Iterable[Stored]) -> None:
        # The newest first: a file that an interrupted scan has read again counts with that row.
        self._feeds = [Feed(s, KEY_COLUMNS) for s in reversed(list(stored))]

    def changed(self, walk: Rows) -> Rows:
        """Return the sources to read; the rows of the others are marked as valid.

        Args:
            walk: sources or rows in order, after those of the last call, with sizes and times.
        """
        keys = row_keys(walk)
        old, runs = self._until(keys[-1].as_py())
        if old is None:
            return walk
        before = row_keys(old)
        if keys.equals(before):  # the usual case, and faster
            found = np.arange(len(keys))
        else:
            numbers = pc.index_in(keys, value_set=before)
            found = filled(numbers, -1)
            old = old.select(_STATE_COLUMNS).take(numbers)
        same = (found >= 0) & still_valid(old, walk, "read_status")
        unchanged = np.sort(found[same])
        at = 0
        for stored, first, count in runs:
            mine = unchanged[slice(*np.searchsorted(unchanged, [at, at + count]))]
            stored.keep[first + mine - at] = True
            at += count
        return walk.filter(array(~same, pa.bool_()))

    def _until(self, last: bytes) -> tuple[pa.Table | None, list[tuple[Stored, int, int]]]:
        """Old rows up to a key, and for each run of them its part, first row and length."""
        tables: list[pa.Table] = []
        runs = []
        for feed in self._feeds:
            if feed.head is None or after(feed.head, last):
                continue
            first = feed.taken
            try:
                tables += feed.until(last)
            except (pa.ArrowInvalid, OSError) as error:
                feed.head = None
                if first:
                    raise IndexFormatError(f"{feed.stored.path} is damaged: {error}") from error
                continue  # no row of it was used: its files are read again
            if feed.taken > first:
                runs.append((feed.stored, first, feed.taken - first))
        self._feeds = [feed for feed in self._feeds if feed.head is not None]
        return (pa.concat_tables(tables) if tables else None), runs


def compact(
    folder: Path, ordered: Sequence[Stored], fresh: Sequence[Stored], known: pa.Schema, rows: int
) -> tuple[tuple[Part, ...], pa.Schema]:
    """Write the parts of a new generation; returns them in order, with their common schema.

    A part stays as it is if all its rows are valid and no new row falls between them.

    Args:
        folder: the index folder.
        ordered: parts of the last generation.
        fresh: parts of this scan, or of an interrupted one before it.
        known: schema of the last generation.
        rows: maximum number of rows in a new part.

    Raises:
        StorageError: the disk is full or the folder cannot be written.
    """
    import pyarrow.parquet as pq

    ordered, fresh = ([s for s in stored if s.keep.any()] for stored in (ordered, fresh))
    schema = unify([known, *(pq.read_schema(stored.path) for stored in fresh)])
    standing = _standing(ordered, fresh, min(GROUP_ROWS, rows) // 2)
    ordered = sorted([*ordered, *standing], key=lambda s: s.part.first)
    feeds = [Feed(s, keep=s.keep) for s in fresh if s not in standing]
    # The range of a part ends with its last key, that of the last part is open.
    ends = [*(stored.part.last for stored in ordered[:-1]), None]
    parts: list[Part] = []
    for old, end in zip_longest(ordered, ends):  # without parts, one range has all keys
        inputs = [f for f in feeds if f.head is not None and not after(f.head, end)]
        if old is not None and old.keep.all() and not inputs:
            parts.append(old.part)
            continue
        if old is not None:
            inputs.append(Feed(old, keep=old.keep))
        total = sum(int(feed.stored.keep.sum()) for feed in inputs)
        size = -(-total // max(1, -(-total // rows)))  # even parts, none of them tiny
        with storage_errors(folder):
            parts += write_parts(folder, _merged(inputs, end, schema), schema, size)
    return tuple(parts), used_schema(schema, (name for part in parts for name in part.columns))


def _standing(ordered: Sequence[Stored], fresh: Sequence[Stored], large: int) -> list[Stored]:
    """Fresh parts that need no merge: those of `large` or more rows that overlap no other part.

    The last part of a first scan may be smaller: later scans append to it.
    """
    parts = sorted([*ordered, *fresh], key=lambda s: s.part.first)
    standing = []
    before: bytes | None = None
    for stored, following in zip_longest(parts, parts[1:]):
        part = stored.part
        alone = before is None or before < part.first
        alone &= following is None or part.last < following.part.first
        enough = part.rows >= large or (following is None and not ordered)
        if alone and enough and stored in fresh and stored.keep.all():
            standing.append(stored)
        before = part.last if before is None else max(before, part.last)
    return standing


def _merged(feeds: Sequence[Feed], end: bytes | None, schema: pa.Schema) -> Iterator[pa.Table]:
    """Rows of sorted feeds up to a key, in order."""
    while True:
        last = end
        for feed in sorted((f for f in feeds if f.head is not None), key=lambda f: f.head or b""):
            if after(feed.head, last):
                break
            reach = feed.reach()
            if reach is not None and not after(reach, last):
                last = reach
        pieces = [t for f in feeds if not after(f.head, last) for t in f.until(last)]
        if not pieces:
            return
        rows = pa.concat_tables([conform(piece, schema) for piece in pieces])
        if len(pieces) > 1:
            rows = rows.take(pc.array_sort_indices(row_keys(rows)))
        yield rows


def write_parts(
    folder: Path, tables: Iterator[pa.Table], schema: pa.Schema, size: int
) -> Iterator[Part]:
    """Write rows as parts of `size` rows, with one row group in memory at a time."""
    rows = pa.Table.from_batches([], schema)
    while True:
        done, first, last, name = 0, b"", b"", new_name()
        used: set[str] = set()
        rows = _fill(rows, tables, min(GROUP_ROWS, size))
        if not rows.num_rows:
            return
        path = part_path(folder, name)
        with part_writer(path, schema) as writer:
            while done < size and rows.num_rows:
                group = rows.slice(0, min(GROUP_ROWS, size - done))
                keys = row_keys(group)
                first, last = first if done else keys[0].as_py(), keys[-1].as_py()
                writer.write_table(group)
                used.update(used_columns(group))
                done += group.num_rows
                rows = _fill(rows.slice(group.num_rows), tables, min(GROUP_ROWS, size))
        yield Part(name, done, first, last, tuple(sorted(used)), checksum(path))


def _fill(rows: pa.Table, tables: Iterator[pa.Table], size: int) -> pa.Table:
    """Append tables until there are `size` rows."""
    pieces = [rows]
    have = rows.num_rows
    while have < size and (more := next(tables, None)) is not None:
        pieces.append(more)
        have += more.num_rows
    return pa.concat_tables(pieces)

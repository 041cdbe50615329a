"""Distributed scan: each job scans one shard of the paths, and a merge joins the shards.

train.index/
    shards/0003-of-0064/       the index of the job `--shard 3/64`
"""

from __future__ import annotations

import os
import re
import shutil
import zlib
from pathlib import Path
from typing import NamedTuple

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from wetread.common.arrays import array, filled
from wetread.common.files import storage_errors
from wetread.errors import NotFoundError, UsageError
from wetread.table.changes import TRY_AGAIN
from wetread.table.merge import (
    KEY_COLUMNS,
    Feed,
    Known,
    Stored,
    compact,
    valid_parts,
)
from wetread.table.parts import (
    SHARDS,
    Generation,
    check_parts,
    commit_generation,
    locked,
    part_path,
    read_generation,
)

_NAME = re.compile(r"(\d{4,})-of-(\d{4,})")


class Shard(NamedTuple):
    """Number of a shard, from 0, and the number of shards."""

    number: int
    of: int

    @classmethod
    def parse(cls, text: str) -> Shard:
        """Parse a shard as written on the command line.

        Raises:
            UsageError: not K/N with K below N.

        >>> Shard.parse("3/64")
        Shard(number=3, of=64)
        """
        match = re.fullmatch(r"(\d+)/(\d+)", text)
        if match and int(match[1]) < int(match[2]):
            return cls(int(match[1]), int(match[2]))
        raise UsageError(f"shard {text!r}: write K/N, K from 0 to N - 1, as 3/64 for the fourth")

    def take(self, sources: pa.RecordBatch) -> pa.RecordBatch:
        """Select the sources of this shard by the hash of the path; members stay together."""
        hashes = np.array([zlib.crc32(path) for path in sources["path"].to_pylist()], np.int64)
        return sources.filter(array(hashes % self.of == self.number, pa.bool_()))

    @property
    def folder(self) -> str:
        """Subfolder of the index folder."""
        return f"{SHARDS}/{self.number:04}-of-{self.of:04}"


def merge_shards(folder: Path, compact_rows: int) -> None:
    """Merge the shards of an index folder; they stay, and may be scanned and merged again.

    Rows of files that have not changed since the last merge keep their added columns.

    Raises:
        NotFoundError: there are no shards.
        UsageError: shards are missing, unfinished, or were scanned with different options.
        StorageError: the folder cannot be written.
    """
    shards = _find_shards(folder)
    count = {shard.of for shard in shards}
    if len(count) > 1:
        raise UsageError(
            f"{folder} has shards of {' and of '.join(map(str, sorted(count)))}: "
            "remove those of one kind"
        )
    (total,) = count
    done = {shard.number: generation for shard, generation in shards.items() if generation}
    if missing := sorted(set(range(total)) - set(done)):
        listed = ", ".join(map(str, missing[:20])) + ", ..." * (len(missing) > 20)
        raise UsageError(f"{len(missing)} of {total} shards are missing or unfinished: {listed}")
    if len({generation.options for generation in done.values()}) > 1:
        raise UsageError(f"the shards in {folder} differ in their files or scan options")
    with locked(folder):
        _merge(folder, done, total, compact_rows)


def _merge(folder: Path, done: dict[int, Generation], total: int, compact_rows: int) -> None:
    stored = []
    with storage_errors(folder):
        for number, generation in done.items():
            shard = folder / Shard(number, total).folder
            check_parts(shard, generation.parts, "repeat the scan of that shard")
            for part in generation.parts:
                path = part_path(folder, part.name)
                if not path.exists():
                    _link(part_path(shard, part.name), path)
                stored.append(Stored(part, path))
    first = next(iter(done.values()))
    before = read_generation(folder)
    ordered = valid_parts(folder, before, first.options)
    _keep_unchanged(ordered, stored)
    known = before.schema if before and ordered else first.schema
    parts, schema = compact(folder, ordered, stored, known, compact_rows)
    seconds = sum(generation.scan["seconds"] for generation in done.values())
    files = sum(part.rows for part in parts)
    scan = {"files": files, "read": files, "seconds": round(seconds, 3), "shards": total}
    scan["items"] = first.scan["items"]
    number = before.number + 1 if before else 1
    commit_generation(folder, Generation(number, first.options, schema, parts, scan))


def _keep_unchanged(ordered: list[Stored], stored: list[Stored]) -> None:
    """Mark the valid rows of the last merge, and all other rows of the shards."""
    known = Known(stored)
    for old in ordered:
        try:
            rows = pa.concat_tables(Feed(old, KEY_COLUMNS).until(None))
        except (pa.ArrowInvalid, OSError):
            continue  # damaged: the shards have all its rows
        old.keep[:] = ~filled(pc.is_in(rows["read_status"], TRY_AGAIN), False)
        rows = rows.append_column("at", array(np.arange(rows.num_rows), pa.int64()))
        if old.keep.any():
            changed = known.changed(rows.filter(array(old.keep, pa.bool_())))
            old.keep[filled(changed["at"], 0)] = False
    for new in stored:
        new.keep = ~new.keep


def _link(source: Path, to: Path) -> None:
    try:
        os.link(source, to)
    except OSError:  # a file system without links
        shutil.copyfile(source, to)


def _find_shards(folder: Path) -> dict[Shard, Generation | None]:
    """Shards of an index folder with their generations, None for an unfinished one."""
    shards = {}
    for path in sorted((folder / SHARDS).glob("*-of-*")):
        if match := _NAME.fullmatch(path.name):
            shards[Shard(int(match[1]), int(match[2]))] = read_generation(path)
    if not shards:
        raise NotFoundError(
            f"{folder} has no shards: make them with wetread scan WHAT -o {folder} --shard K/N"
        )
    return shards

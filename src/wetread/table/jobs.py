"""An index read by many jobs: each keeps the rows of its share of the paths, one merge joins them.

train.index/
    shards/0003-of-0064/       what the job `--shard 3/64` has read: an index of its own
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
    """One of so many shares, counted from 0."""

    number: int
    of: int

    @classmethod
    def parse(cls, text: str) -> Shard:
        """A shard as it is written on the command line; UsageError if it is none.

        >>> Shard.parse("3/64")
        Shard(number=3, of=64)
        """
        said = re.fullmatch(r"(\d+)/(\d+)", text)
        if said and int(said[1]) < int(said[2]):
            return cls(int(said[1]), int(said[2]))
        raise UsageError(f"shard {text!r}: write K/N, K from 0 to N - 1, as 3/64 for the fourth")

    def take(self, sources: pa.RecordBatch) -> pa.RecordBatch:
        """The sources of this share: by the hash of the path, so members stay together."""
        hashes = np.array([zlib.crc32(path) for path in sources["path"].to_pylist()], np.int64)
        return sources.filter(array(hashes % self.of == self.number, pa.bool_()))

    @property
    def folder(self) -> str:
        """Where its rows are kept, in the folder of the index."""
        return f"{SHARDS}/{self.number:04}-of-{self.of:04}"


def merge_shards(folder: Path, compact_rows: int) -> None:
    """Makes an index of all shards in its folder; they stay, and may be scanned and merged again.

    Rows of files that have not changed since the last merge keep what was added to them there.

    Raises:
        NotFoundError: there are no shards.
        UsageError: shards are missing or not finished, or were not read alike; says which.
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
    done = {shard.number: made for shard, made in shards.items() if made}
    if missing := sorted(set(range(total)) - set(done)):
        listed = ", ".join(map(str, missing[:20])) + ", ..." * (len(missing) > 20)
        raise UsageError(f"{len(missing)} of {total} shards are missing or not finished: {listed}")
    alike = {generation.options for generation in done.values()}
    if len(alike) > 1:
        raise UsageError(f"the shards in {folder} were read from different places or in other ways")
    with locked(folder):
        _merge(folder, done, total, compact_rows)


def _merge(folder: Path, done: dict[int, Generation], total: int, compact_rows: int) -> None:
    stored = []
    with storage_errors(folder):
        for number, generation in done.items():
            shard = folder / Shard(number, total).folder
            check_parts(shard, generation.parts, "the same scan of that shard again reads it anew")
            for part in generation.parts:
                there = part_path(shard, part.name)
                here = part_path(folder, part.name)
                if not here.exists():
                    _link(there, here)
                stored.append(Stored(part, here))
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
    """Marks the rows of the last merge that still hold, and all others of the shards."""
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


def _link(there: Path, here: Path) -> None:
    try:
        os.link(there, here)
    except OSError:  # a file system without links
        shutil.copyfile(there, here)


def _find_shards(folder: Path) -> dict[Shard, Generation | None]:
    """The shards in an index folder and what each holds, None where it is not finished."""
    found = {}
    for path in sorted((folder / SHARDS).glob("*-of-*")):
        if said := _NAME.fullmatch(path.name):
            found[Shard(int(said[1]), int(said[2]))] = read_generation(path)
    if not found:
        raise NotFoundError(
            f"{folder} has no shards: make them with wetread scan WHAT -o {folder} --shard K/N"
        )
    return found

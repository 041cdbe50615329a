"""The folder of a cache while it is written: what still holds, what is safe, what counts."""

from __future__ import annotations

import contextlib
import hashlib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from wetread.cache.cache import (
    MARKER,
    NAMED,
    SCHEMA,
    STAMP,
    read_lines,
    table_path,
)
from wetread.cache.shards import close_shard, ends, shard_path, sync_shard
from wetread.common.files import TEMPORARY, hash_file, storage_errors, take_lock, whole_file
from wetread.errors import CacheError, StorageError, UsageError
from wetread.images import batch
from wetread.settings import Settings
from wetread.table.changes import still_valid
from wetread.table.parts import new_name
from wetread.table.query import query
from wetread.table.rows import IndexRows

JOINED = ("path", "member", *NAMED, "group", "part")
"""Columns of the index, which may change without a picture changing."""


@contextlib.contextmanager
def locked(folder: Path, size: int) -> Iterator[None]:
    """The folder as a cache that this process alone writes; made where there is none."""
    with storage_errors(folder):
        folder.mkdir(parents=True, exist_ok=True)
        others = (e for e in folder.iterdir() if not e.name.startswith((TEMPORARY, "lock")))
        if not (folder / MARKER).exists() and any(others):
            raise CacheError(f"{folder} has files in it and is no cache: choose a new folder")
        file = open(folder / "lock", "ab")  # noqa: SIM115  (held until the end)
    with file:
        if not take_lock(file):
            raise StorageError(f"{folder}: another prepare is writing this cache")
        with storage_errors(folder):
            if not (folder / MARKER).exists():
                STAMP.write(folder / MARKER, {"size": size, "table": None})
            for name in ("tables", "commits", "shards"):
                (folder / name).mkdir(exist_ok=True)
        yield


def latest(paths: list[Path]) -> pa.Table:
    """The lines of every image in the last of the files that has it."""
    tables = [read_lines(path) for path in paths]
    if not tables:
        return read_lines()
    lines = pa.concat_tables(tables)
    numbers = np.repeat(np.arange(len(tables)), [len(table) for table in tables])
    lines = lines.append_column("file", pa.array(numbers))
    last = lines.group_by("id").aggregate([("file", "max")])
    at = pc.index_in(lines["id"], value_set=last["id"].combine_chunks())
    mine = pc.equal(lines["file"], last["file_max"].take(at))
    return lines.filter(mine).drop_columns(["file"])


def still_right(folder: Path, lines: pa.Table, images: pa.Table) -> pa.Table:
    """The lines that still answer: of files that have not changed, and not worth another try.

    Raises UsageError where images of the cache are not in the index.
    """
    at = pc.index_in(lines["id"], value_set=images["id"].combine_chunks())
    if at.null_count:
        lost = lines.filter(at.is_null())
        raise UsageError(
            f"{folder} has {len(lost['id'].unique())} images that the index does not have, such as "
            f"{lost['path'][0].as_py() or lost['id'][0].as_py()}: choose another folder"
        )
    now = images.take(at)
    same = still_valid(lines, now, "status")
    changed = lines["id"].filter(pa.array(~same))
    lines = lines.filter(pc.invert(pc.is_in(lines["id"], value_set=changed.combine_chunks())))
    good = lines.filter(pc.equal(lines["status"], "ok"))
    files = {shard: shard_path(folder, shard) for shard in good["shard"].unique().to_pylist()}
    have = {shard: p.stat().st_size if p.is_file() else 0 for shard, p in files.items()}
    short = [shard for shard, end in ends(good).items() if have[shard] < end]
    gone = good["id"].filter(pc.is_in(good["shard"], value_set=pa.array(short, pa.string())))
    return lines.filter(pc.invert(pc.is_in(lines["id"], value_set=gone.combine_chunks())))


def committed(folder: Path, tables: Iterator[pa.Table], settings: Settings) -> Iterator[pa.Table]:
    """The tables, once their pictures are safe on disk."""

    def commit(lines: pa.Table) -> pa.Table:
        for shard in lines["shard"].drop_null().unique().to_pylist():
            sync_shard(shard_path(folder, shard))
        _write_table(folder / "commits" / f"{new_name()}.parquet", lines)
        return lines

    return batch.commit_often(tables, commit, settings)


def _write_table(path: Path, lines: pa.Table) -> None:
    import pyarrow.parquet as pq

    with whole_file(path) as file:
        pq.write_table(lines, file, compression="zstd")


def finish(
    content: IndexRows, folder: Path, said: dict[str, Any], images: pa.Table, lines: pa.Table
) -> None:
    """Makes the lines count, in the order of the index, and sweeps up what no line names."""
    lines = batch.sort_rows(_joined(content, lines), images).combine_chunks()
    good = lines.filter(pc.equal(lines["status"], "ok"))
    if said["table"] is None or not read_lines(table_path(folder, said["table"])).equals(lines):
        finished = set(said.get("shards", ()))
        for shard, end in ends(good).items():
            if shard not in finished:
                close_shard(shard_path(folder, shard), end)
        name = new_name()
        _write_table(table_path(folder, name), lines)
        said = {
            "size": said["size"],
            "root": content.root,
            "index_hash": _hash_images(images),
            "table": name,
            "hash": hash_file(table_path(folder, name)),
            "shards": sorted(ends(good)),
        }
        STAMP.write(folder / MARKER, said)
    _sweep(folder, {said["table"]}, set(said["shards"]))


def _joined(content: IndexRows, lines: pa.Table) -> pa.Table:
    """The lines with what the index says now."""
    names = [name for name in JOINED if name in content.schema.names]
    listed = ", ".join(f'"{name}"' for name in ["id", *names])
    rows = query(content, f"SELECT {listed} FROM index WHERE pixel_length IS NOT NULL")
    rows = rows.take(pc.index_in(lines["id"], value_set=rows["id"].combine_chunks()))
    for name in JOINED:
        field = SCHEMA.field(name)
        values = rows[name].cast(field.type) if name in names else pa.nulls(len(lines), field.type)
        lines = lines.set_column(SCHEMA.get_field_index(name), field, values)
    return lines


def _hash_images(images: pa.Table) -> str:
    pairs = zip(images["id"].to_pylist(), images["file_size"].to_pylist(), strict=True)
    said = "\n".join(f"{id_} {size}" for id_, size in pairs)
    return hashlib.blake2b(said.encode(), digest_size=8).hexdigest()


def _sweep(folder: Path, tables: set[str], shards: set[str]) -> None:
    for below, named in (("commits", set()), ("tables", tables), ("shards", shards)):
        for entry in (folder / below).iterdir():
            if entry.stem not in named:
                with contextlib.suppress(OSError):  # Windows keeps what a reader holds open
                    entry.unlink()

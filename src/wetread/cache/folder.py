"""Writing a cache folder: reuse of cached rows, commits, and the final table."""

from __future__ import annotations

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
    read_rows,
    table_path,
)
from wetread.cache.shards import close_shard, shard_path, shard_sizes, sync_shard
from wetread.common.files import hash_file, whole_file
from wetread.common.store import Store
from wetread.common.text import counted
from wetread.errors import UsageError
from wetread.images import batch
from wetread.settings import Settings
from wetread.table.changes import still_valid
from wetread.table.parts import new_name
from wetread.table.query import query
from wetread.table.rows import IndexRows

JOINED = ("path", "member", *NAMED, "group", "part")
"""Columns of the index, which may change without decoding again."""
STORE = Store(STAMP, MARKER, "lock", ("tables", "commits", "shards"), "a cache", "prepare")


def latest(paths: list[Path]) -> pa.Table:
    """Rows of every image, from the last of the files that has it."""
    tables = [read_rows(path) for path in paths]
    if not tables:
        return read_rows()
    rows = pa.concat_tables(tables)
    numbers = np.repeat(np.arange(len(tables)), [len(table) for table in tables])
    rows = rows.append_column("file", pa.array(numbers))
    last = rows.group_by("id").aggregate([("file", "max")])
    at = pc.index_in(rows["id"], value_set=last["id"].combine_chunks())
    mine = pc.equal(rows["file"], last["file_max"].take(at))
    return rows.filter(mine).drop_columns(["file"])


def reusable(folder: Path, rows: pa.Table, images: pa.Table) -> pa.Table:
    """Rows whose source files are unchanged, whose shards exist, and that need no retry.

    Raises:
        UsageError: images of the cache are not in the index.
    """
    at = pc.index_in(rows["id"], value_set=images["id"].combine_chunks())
    if at.null_count:
        missing = rows.filter(at.is_null())
        example = missing["path"][0].as_py() or missing["id"][0].as_py()
        raise UsageError(
            f"{folder} has {counted(len(missing['id'].unique()), 'image')} that the index "
            f"does not have, "
            f"such as {example}: choose another folder"
        )
    now = images.take(at)
    changed = rows["id"].filter(pa.array(~still_valid(rows, now, "status")))
    rows = rows.filter(pc.invert(pc.is_in(rows["id"], value_set=changed.combine_chunks())))
    good = rows.filter(pc.equal(rows["status"], "ok"))
    paths = {shard: shard_path(folder, shard) for shard in good["shard"].unique().to_pylist()}
    sizes = {shard: p.stat().st_size if p.is_file() else 0 for shard, p in paths.items()}
    short = [shard for shard, size in shard_sizes(good).items() if sizes[shard] < size]
    lost = good["id"].filter(pc.is_in(good["shard"], value_set=pa.array(short, pa.string())))
    return rows.filter(pc.invert(pc.is_in(rows["id"], value_set=lost.combine_chunks())))


def committed(folder: Path, tables: Iterator[pa.Table], settings: Settings) -> Iterator[pa.Table]:
    """Pass tables on after syncing their shards and writing a commit."""

    def commit(rows: pa.Table) -> pa.Table:
        for shard in rows["shard"].drop_null().unique().to_pylist():
            sync_shard(shard_path(folder, shard))
        _write_table(folder / "commits" / f"{new_name()}.parquet", rows)
        return rows

    return batch.commit_often(tables, commit, settings)


def _write_table(path: Path, rows: pa.Table) -> None:
    import pyarrow.parquet as pq

    with whole_file(path) as file:
        pq.write_table(rows, file, compression="zstd")


def finish(
    index: IndexRows, folder: Path, marker: dict[str, Any], images: pa.Table, rows: pa.Table
) -> None:
    """Write the table, in the order of the index, and delete unreferenced files."""
    rows = batch.sort_rows(_joined(index, rows), images).combine_chunks()
    if marker["table"] is None or not read_rows(table_path(folder, marker["table"])).equals(rows):
        sizes = shard_sizes(rows.filter(pc.equal(rows["status"], "ok")))
        for shard in sizes.keys() - marker.get("shards", ()):
            close_shard(shard_path(folder, shard), sizes[shard])
        name = new_name()
        _write_table(table_path(folder, name), rows)
        marker = {
            "size": marker["size"],
            "root": index.root,
            "index_hash": _hash_images(images),
            "table": name,
            "hash": hash_file(table_path(folder, name)),
            "shards": sorted(sizes),
        }
        STAMP.write(folder / MARKER, marker)
    STORE.sweep(folder, {"commits": (), "tables": (marker["table"],), "shards": marker["shards"]})


def _joined(index: IndexRows, rows: pa.Table) -> pa.Table:
    """Rows with the current values of the index in the columns JOINED."""
    names = [name for name in JOINED if name in index.schema.names]
    listed = ", ".join(f'"{name}"' for name in ["id", *names])
    indexed = query(index, f"SELECT {listed} FROM index WHERE pixel_length IS NOT NULL")
    indexed = indexed.take(pc.index_in(rows["id"], value_set=indexed["id"].combine_chunks()))
    for name in JOINED:
        field = SCHEMA.field(name)
        values = (
            indexed[name].cast(field.type) if name in names else pa.nulls(len(rows), field.type)
        )
        rows = rows.set_column(SCHEMA.get_field_index(name), field, values)
    return rows


def _hash_images(images: pa.Table) -> str:
    pairs = zip(images["id"].to_pylist(), images["file_size"].to_pylist(), strict=True)
    text = "\n".join(f"{id_} {size}" for id_, size in pairs)
    return hashlib.blake2b(text.encode(), digest_size=8).hexdigest()

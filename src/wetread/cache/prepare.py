"""Build a training cache: decode every frame of an index once."""

from __future__ import annotations

import os
import shutil
import sys
import tempfile
import weakref
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc

from wetread.cache.cache import SCHEMA, Cache, read_marker, table_path
from wetread.cache.encode import encode_frame
from wetread.cache.folder import STORE, committed, finish, latest, reusable
from wetread.cache.shards import PIXEL, ShardWriter, hash_pixels
from wetread.common.files import storage_errors
from wetread.common.progress import Progress
from wetread.common.text import counted, format_bytes
from wetread.errors import StorageError, UsageError
from wetread.images import batch
from wetread.images.image import Image
from wetread.imaging import fit
from wetread.pixels import Frames
from wetread.settings import Settings
from wetread.table.query import query
from wetread.table.rows import IndexLike, IndexRows, check_files
from wetread.table.summary import say_without_pixels
from wetread.workers import Engine

FUNCTION = "wetread.cache.prepare:prepare_part"


def prepare(
    index: IndexLike,
    to: str | os.PathLike[str] | None = None,
    size: int = 1024,
    workers: int | None = None,
    progress: bool = True,
    engine: Engine | None = None,
    settings: Settings = Settings(),
) -> Cache:
    """Build a training cache: decode every frame once, to memory-mapped 16-bit arrays.

    Modality values are stored, not clipped to a window; files with reduced resolutions are
    decoded at one that is large enough. Decoding runs in worker processes; images that cannot be
    decoded are listed in `left_out`. Resumable: a second call decodes only images that are new,
    have changed, or could not be reached.

    Args:
        index: the images, or their index folder.
        to: cache folder (default: a temporary one, deleted with the `Cache`).
        size: maximum length of the longest side, in pixels; smaller images are not enlarged.
        workers: number of worker processes, at least 1 (default: one per core).
        progress: show a progress bar and the disk space needed.
        engine: execution engine; the workers of a `wetread.DaskEngine` must see `to`.
        settings: limits of decoding.

    Raises:
        UsageError: no row has pixels; `size` or `workers` below 1; `to` is a cache of another
            size, or has images that the index lacks.
        CacheError: `to` is not a cache, or damaged.
        StorageError: not enough free disk space, or `to` cannot be written.
    """
    if size < 1:
        raise UsageError(f"size must be at least 1, not {size}")
    index = IndexRows.of(index)
    images = batch.list_images(index)
    if not images.num_rows:
        reasons = ["no image to prepare: no row has pixels", *say_without_pixels(index)]
        raise UsageError("; ".join(reasons))
    if to is not None:
        folder = Path(os.path.abspath(to))
        _prepare(index, images, folder, size, workers, progress, settings, engine)
        return Cache.open(folder)
    folder = Path(tempfile.mkdtemp(prefix="wetread-cache-"))
    try:
        _prepare(index, images, folder, size, workers, progress, settings, engine)
        cache = Cache.open(folder)
    except BaseException:
        shutil.rmtree(folder, ignore_errors=True)
        raise
    weakref.finalize(cache, _remove, folder, os.getpid())
    return cache


def _remove(folder: Path, owner: int) -> None:
    if os.getpid() == owner:  # a forked worker of a DataLoader drops its copy of the Cache too
        shutil.rmtree(folder, ignore_errors=True)


def _prepare(
    index: IndexRows,
    images: pa.Table,
    folder: Path,
    size: int,
    workers: int | None,
    progress: bool,
    settings: Settings,
    engine: Engine | None,
) -> None:
    with STORE.locked(folder, {"size": size, "table": None}), storage_errors(folder):
        marker = read_marker(folder)
        if marker["size"] != size:
            raise UsageError(
                f"{folder} is a cache of size {marker['size']}, not {size}: choose another folder"
            )
        before = [table_path(folder, marker["table"])] if marker["table"] else []
        commits = sorted((folder / "commits").glob("*.parquet"))
        rows = reusable(folder, latest([*before, *commits]), images)
        done = pc.is_in(images["id"], value_set=rows["id"].combine_chunks())
        todo = images.filter(pc.invert(done))
        if todo.num_rows:
            check_files(index)
            _check_disk(index, folder, size, todo, images.num_rows, progress)
            options = {"root": index.root, "to": str(folder), "size": size}
            failed = batch.failed_rows(SCHEMA)
            tables = batch.run(FUNCTION, todo, options, failed, workers, progress, settings, engine)
            rows = pa.concat_tables([rows, *committed(folder, tables, settings)])
        finish(index, folder, marker, images, rows)


def _check_disk(
    index: IndexRows, folder: Path, size: int, todo: pa.Table, count: int, progress: bool
) -> None:
    """Print the disk space needed; raise StorageError if it is not free."""
    names = 'id, "Rows", "Columns", NumberOfFrames, file_size, pixel_length'
    rows = query(index, f"SELECT {names} FROM index WHERE pixel_length IS NOT NULL")
    rows = rows.filter(pc.is_in(rows["id"], value_set=todo["id"].combine_chunks()))
    need = 0
    for row in rows.to_pylist():
        known = row["Rows"] and row["Columns"]
        height, width = fit((row["Rows"], row["Columns"]), size) if known else (size, size)
        need += PIXEL.itemsize * height * width * _count_frames(row)
    free = shutil.disk_usage(folder).free
    summary = (
        f"{todo.num_rows:,} of {counted(count, 'image')} take {format_bytes(need)} in {folder}"
    )
    if need > free:
        raise StorageError(
            f"{summary}, where {format_bytes(free)} are free: choose another disk or size"
        )
    Progress(progress).say(f"{summary}, where {format_bytes(free)} are free")


def _count_frames(row: dict[str, Any]) -> int:
    """Number of frames, limited by the file size: 1 bit per pixel, or an 8-byte item per frame."""
    native = row["pixel_length"] >= 0 and row["Rows"] and row["Columns"]
    least = max(1, row["Rows"] * row["Columns"] // 8) if native else 8
    announced = row["NumberOfFrames"] or 1
    return max(1, min(announced, (row["file_size"] or sys.maxsize) // least))


def prepare_part(images: pa.Table, options: dict[str, Any]) -> pa.Table:
    """Worker function of `prepare`: decode images and write them to shards."""
    return batch.make_rows(images, options, _write, SCHEMA)


def _write(image: Image, frames: Frames, options: dict[str, Any], number: int) -> dict[str, Any]:
    """Write a frame to this process's shard; its row in the table."""
    writer = _WRITERS.setdefault(options["to"], ShardWriter(Path(options["to"])))
    pixels, row = encode_frame(frames, number, options["size"], options["settings"])
    return {**row, "hash": hash_pixels(pixels), **writer.write(pixels)}


_WRITERS: dict[str, ShardWriter] = {}
"""Shard writer of this worker process for each cache folder."""

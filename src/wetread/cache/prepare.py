"""The images of an index, decoded once into a cache."""

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
from wetread.cache.encode import make_picture
from wetread.cache.folder import committed, finish, latest, locked, still_right
from wetread.cache.shards import PIXEL, Shelf, hash_picture
from wetread.common.files import storage_errors
from wetread.common.text import format_bytes
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
    """Decodes every frame of every image once: 16-bit pictures, memory-mapped, ready to train on.

    Modality values are kept as they are, not clipped to a window; the file's own lower resolutions
    are used. Images are decoded in processes of their own; one that cannot be decoded is named in
    `left_out` and is no picture. What was stopped goes on when called again; then only images that
    are new, have changed, or could not be reached are decoded.

    Args:
        index: the images, or their index folder.
        to: the folder; by default a temporary one, removed with the `Cache`.
        size: the longest side of a picture; smaller ones are not enlarged.
        workers: processes that decode, 1 or more; None for one a core.
        progress: say on stderr what it will take and how far it is.
        engine: who does the work; the workers of a `wetread.DaskEngine` must see `to`.
        settings: the limits that decoding keeps.

    Raises:
        UsageError: no row has pixels; a size or workers below 1; `to` has pictures of another
            size, or of images that the index does not have.
        CacheError: `to` is something else.
        StorageError: too little disk is free, or `to` cannot be written.
    """
    if size < 1:
        raise UsageError(f"size must be at least 1, not {size}")
    index = IndexRows.of(index)
    images = batch.list_images(index)
    if not images.num_rows:
        said = ["no image to prepare: no row has pixels", *say_without_pixels(index)]
        raise UsageError("; ".join(said))
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
    content: IndexRows,
    images: pa.Table,
    folder: Path,
    size: int,
    workers: int | None,
    progress: bool,
    settings: Settings,
    engine: Engine | None,
) -> None:
    with locked(folder, size), storage_errors(folder):
        said = read_marker(folder)
        if said["size"] != size:
            raise UsageError(
                f"{folder} has pictures of size {said['size']}, not {size}: choose another folder"
            )
        before = [table_path(folder, said["table"])] if said["table"] else []
        commits = sorted((folder / "commits").glob("*.parquet"))
        kept = still_right(folder, latest([*before, *commits]), images)
        done = pc.is_in(images["id"], value_set=kept["id"].combine_chunks())
        todo = images.filter(pc.invert(done))
        if todo.num_rows:
            check_files(content)
            _check_disk(content, folder, size, todo, images.num_rows, progress)
            options = {"root": content.root, "to": str(folder), "size": size}
            failed = batch.failed_rows(SCHEMA)
            tables = batch.run(FUNCTION, todo, options, failed, workers, progress, settings, engine)
            kept = pa.concat_tables([kept, *committed(folder, tables, settings)])
        finish(content, folder, said, images, kept)


def _check_disk(
    content: IndexRows, folder: Path, size: int, todo: pa.Table, count: int, progress: bool
) -> None:
    """Says what the pictures will take, and refuses to begin where that is not free."""
    names = 'id, "Rows", "Columns", NumberOfFrames, file_size, pixel_length'
    rows = query(content, f"SELECT {names} FROM index WHERE pixel_length IS NOT NULL")
    rows = rows.filter(pc.is_in(rows["id"], value_set=todo["id"].combine_chunks()))
    need = 0
    for row in rows.to_pylist():
        known = row["Rows"] and row["Columns"]
        height, width = fit((row["Rows"], row["Columns"]), size) if known else (size, size)
        need += PIXEL.itemsize * height * width * _count_frames(row)
    free = shutil.disk_usage(folder).free
    said = f"{todo.num_rows:,} of {count:,} images take {format_bytes(need)} in {folder}"
    if need > free:
        raise StorageError(
            f"{said}, where {format_bytes(free)} are free: choose another disk or size"
        )
    if progress:
        print(f"wetread: {said}, where {format_bytes(free)} are free", file=sys.stderr, flush=True)


def _count_frames(row: dict[str, Any]) -> int:
    """The frames announced, as far as the file has bytes for them: a bit a pixel, or an item."""
    native = row["pixel_length"] >= 0 and row["Rows"] and row["Columns"]
    least = max(1, row["Rows"] * row["Columns"] // 8) if native else 8
    announced = row["NumberOfFrames"] or 1
    return max(1, min(announced, (row["file_size"] or sys.maxsize) // least))


def prepare_part(images: pa.Table, options: dict[str, Any]) -> pa.Table:
    """Writes the pictures of images: the engine's function."""
    return batch.make_rows(images, options, _put, SCHEMA)


def _put(image: Image, frames: Frames, options: dict[str, Any], number: int) -> dict[str, Any]:
    """The picture of a frame on its shelf; what the cache says of it."""
    shelf = _SHELVES.setdefault(options["to"], Shelf(Path(options["to"])))
    pixels, said = make_picture(frames, number, options["size"], options["settings"])
    return {**said, "hash": hash_picture(pixels), **shelf.put(pixels)}


_SHELVES: dict[str, Shelf] = {}
"""Of this process, which is a worker, by folder."""

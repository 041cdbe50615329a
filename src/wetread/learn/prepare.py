"""The images of an index, decoded once into a cache."""

from __future__ import annotations

import contextlib
import hashlib
import json
import os
import shutil
import sys
import tempfile
import time
import weakref
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from wetread import __version__, bulk
from wetread.errors import CacheError, StorageError, UsageError
from wetread.imaging import fit
from wetread.learn.cache import (
    FORMAT,
    MARKER,
    NAMED,
    SCHEMA,
    SCHEMA_VERSION,
    Cache,
    hash_file,
    read_lines,
    read_marker,
    table_path,
)
from wetread.learn.pictures import make_picture
from wetread.learn.shards import (
    PIXEL,
    Shelf,
    close_shard,
    ends,
    hash_picture,
    shard_path,
    sync_shard,
)
from wetread.settings import Settings
from wetread.table.files import TEMPORARY, storage_errors, take_lock, whole_file
from wetread.table.merge import TRY_AGAIN
from wetread.table.parts import new_name
from wetread.table.store import Content, Indexed, query

FUNCTION = "wetread.learn.prepare:prepare_part"
_JOINED = ("path", "member", *NAMED, "group", "part")
"""Columns of the index, which may change without a picture changing."""


def prepare(
    index: Indexed,
    to: str | os.PathLike[str] | None = None,
    size: int = 1024,
    workers: int | None = None,
    progress: bool = True,
    settings: Settings = Settings(),  # noqa: B008
) -> Cache:
    """Decodes every frame of every image once: 16-bit pictures, memory-mapped, ready to train on.

    Modality values are kept as they are, not clipped to a window; the file's own lower resolutions
    are used. Images are decoded in processes of their own; one that cannot be decoded is named in
    `left_out` and is no picture. What was stopped goes on when called again; then only images that
    are new, have changed, or could not be reached are decoded.

    Args:
        index: the images.
        to: the folder; by default a temporary one, removed with the `Cache`.
        size: the longest side of a picture; smaller ones are not enlarged.
        workers: processes that decode, 1 or more; None for one a core.
        progress: say on stderr what it will take and how far it is.
        settings: the limits that decoding keeps.

    Raises:
        UsageError: no row has pixels; a size or workers below 1; `to` has pictures of another
            size, or of images that the index does not have.
        CacheError: `to` is something else.
        StorageError: too little disk is free, or `to` cannot be written.
    """
    if size < 1:
        raise UsageError(f"size must be at least 1, not {size}")
    content = index.content
    images = bulk.list_images(content)
    if not images.num_rows:
        raise UsageError("no image to prepare: no row has pixels")
    if to is not None:
        folder = Path(os.path.abspath(to))
        _prepare(content, images, folder, size, workers, progress, settings)
        return Cache.open(folder)
    folder = Path(tempfile.mkdtemp(prefix="wetread-cache-"))
    try:
        _prepare(content, images, folder, size, workers, progress, settings)
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
    content: Content,
    images: pa.Table,
    folder: Path,
    size: int,
    workers: int | None,
    progress: bool,
    settings: Settings,
) -> None:
    with _locked(folder, size), storage_errors(folder):
        said = read_marker(folder)
        if said["size"] != size:
            raise UsageError(
                f"{folder} has pictures of size {said['size']}, not {size}: choose another folder"
            )
        before = [table_path(folder, said["table"])] if said["table"] else []
        kept = _kept(
            folder, latest(before + sorted((folder / "commits").glob("*.parquet"))), images
        )
        done = pc.is_in(images["id"], value_set=kept["id"].combine_chunks())
        todo = images.filter(pc.invert(done))
        if todo.num_rows:
            _check_disk(content, folder, size, todo, images.num_rows, progress)
            options = {"root": content.root, "to": str(folder), "size": size}
            tables = bulk.run(FUNCTION, todo, options, _failed, workers, progress, settings)
            kept = pa.concat_tables([kept, *_committed(folder, tables, settings)])
        _finish(content, folder, said, images, kept)


@contextlib.contextmanager
def _locked(folder: Path, size: int) -> Iterator[None]:
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
                _write_marker(folder, {"size": size, "table": None})
            for name in ("tables", "commits", "shards"):
                (folder / name).mkdir(exist_ok=True)
        yield


def _write_marker(folder: Path, content: dict[str, Any]) -> None:
    said = {"format": FORMAT, "schema": SCHEMA_VERSION, "wetread": __version__, **content}
    with whole_file(folder / MARKER) as file:
        file.write(json.dumps(said, indent=1).encode())


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


def _kept(folder: Path, lines: pa.Table, images: pa.Table) -> pa.Table:
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
    same = ~np.asarray(pc.is_in(lines["status"], TRY_AGAIN))
    for name in ("file_size", "mtime_ns"):
        old, new = (rows[name].fill_null(-1).to_numpy() for rows in (lines, now))
        same &= old == new
    changed = lines["id"].filter(pa.array(~same))
    lines = lines.filter(pc.invert(pc.is_in(lines["id"], value_set=changed.combine_chunks())))
    good = lines.filter(pc.equal(lines["status"], "ok"))
    files = {shard: shard_path(folder, shard) for shard in good["shard"].unique().to_pylist()}
    have = {shard: p.stat().st_size if p.is_file() else 0 for shard, p in files.items()}
    short = [shard for shard, end in ends(good).items() if have[shard] < end]
    gone = good["id"].filter(pc.is_in(good["shard"], value_set=pa.array(short, pa.string())))
    return lines.filter(pc.invert(pc.is_in(lines["id"], value_set=gone.combine_chunks())))


def _check_disk(
    content: Content, folder: Path, size: int, todo: pa.Table, count: int, progress: bool
) -> None:
    """Says what the pictures will take, and refuses to begin where that is not free."""
    names = 'id, "Rows", "Columns", NumberOfFrames'
    rows = query(content, f"SELECT {names} FROM index WHERE pixel_length IS NOT NULL")
    rows = rows.filter(pc.is_in(rows["id"], value_set=todo["id"].combine_chunks()))
    need = 0
    for row in rows.to_pylist():
        known = row["Rows"] and row["Columns"]
        height, width = fit((row["Rows"], row["Columns"]), size) if known else (size, size)
        need += PIXEL.itemsize * height * width * max(1, row["NumberOfFrames"] or 1)
    free = shutil.disk_usage(folder).free
    said = f"{todo.num_rows:,} of {count:,} images take {_gb(need)} GB in {folder}"
    if need > free:
        raise StorageError(f"{said}, where {_gb(free)} GB are free: choose another disk or size")
    if progress:
        print(f"wetread: {said}, where {_gb(free)} GB are free", file=sys.stderr, flush=True)


def _gb(count: int) -> str:
    return f"{count / 1e9:,.3g}"


def _committed(folder: Path, tables: Iterator[pa.Table], settings: Settings) -> Iterator[pa.Table]:
    """The tables, once their pictures are safe on disk; what is waiting also at an end."""
    waiting: list[pa.Table] = []
    written = time.monotonic()

    def commit() -> pa.Table:
        lines = pa.concat_tables(waiting)
        for shard in lines["shard"].drop_null().unique().to_pylist():
            sync_shard(shard_path(folder, shard))
        _write_table(folder / "commits" / f"{new_name()}.parquet", lines)
        waiting.clear()
        return lines

    try:
        for table in tables:
            waiting.append(table)
            if time.monotonic() - written >= settings.part_seconds:
                yield commit()
                written = time.monotonic()
    except BaseException:
        if waiting:
            commit()
        raise
    if waiting:
        yield commit()


def _write_table(path: Path, lines: pa.Table) -> None:
    import pyarrow.parquet as pq

    with whole_file(path) as file:
        pq.write_table(lines, file, compression="zstd")


def _finish(
    content: Content, folder: Path, said: dict[str, Any], images: pa.Table, lines: pa.Table
) -> None:
    """Makes the lines count, in the order of the index, and sweeps up what no line names."""
    lines = _in_order(_joined(content, lines), images)
    good = lines.filter(pc.equal(lines["status"], "ok"))
    if said["table"] is None or not read_lines(table_path(folder, said["table"])).equals(lines):
        finished = set(said.get("shards", ()))
        for shard, end in ends(good).items():
            if shard not in finished:
                close_shard(shard_path(folder, shard), end)
        name = new_name()
        _write_table(table_path(folder, name), lines)
        content_hash = _hash_images(images)
        said = {
            "size": said["size"],
            "root": content.root,
            "index_hash": content_hash,
            "table": name,
            "hash": hash_file(table_path(folder, name)),
            "shards": sorted(ends(good)),
        }
        _write_marker(folder, said)
    _sweep(folder, {said["table"]}, set(said["shards"]))


def _joined(content: Content, lines: pa.Table) -> pa.Table:
    """The lines with what the index says now."""
    names = [name for name in _JOINED if name in content.schema.names]
    listed = ", ".join(f'"{name}"' for name in ["id", *names])
    rows = query(content, f"SELECT {listed} FROM index WHERE pixel_length IS NOT NULL")
    rows = rows.take(pc.index_in(lines["id"], value_set=rows["id"].combine_chunks()))
    for name in _JOINED:
        field = SCHEMA.field(name)
        values = rows[name].cast(field.type) if name in names else pa.nulls(len(lines), field.type)
        lines = lines.set_column(SCHEMA.get_field_index(name), field, values)
    return lines


def _in_order(lines: pa.Table, images: pa.Table) -> pa.Table:
    at = pc.index_in(lines["id"], value_set=images["id"].combine_chunks())
    keys = pa.table({"at": at, "frame": lines["frame"]})
    order = pc.sort_indices(keys, [("at", "ascending"), ("frame", "ascending")])
    return lines.take(order).combine_chunks()


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


def prepare_part(images: pa.Table, options: dict[str, Any]) -> pa.Table:
    """Writes the pictures of images: the engine's function."""
    settings = Settings.from_json(options["settings"])
    lines = [line for row in images.to_pylist() for line in _lines(row, options, settings)]
    return pa.Table.from_pylist(lines, SCHEMA)


def _lines(
    row: dict[str, Any], options: dict[str, Any], settings: Settings
) -> Iterator[dict[str, Any]]:
    """The lines of one image, whatever happens."""
    shelf = _SHELVES.setdefault(options["to"], Shelf(Path(options["to"])))
    try:
        with bulk.opened(options["root"], row, settings) as (_, frames):

            def make(number: int) -> dict[str, Any]:
                pixels, said = make_picture(frames, number, options["size"], settings)
                return {**said, "hash": hash_picture(pixels), **shelf.put(pixels)}

            for number, made in bulk.each_frame(frames, make, settings):
                yield _line(row, number, made)
    except BaseException as error:  # noqa: BLE001 - sorted out there
        yield _line(row, None, bulk.explain(error))


def _line(
    row: dict[str, Any], frame: int | None, made: dict[str, Any] | bulk.Problem
) -> dict[str, Any]:
    known = {name: row[name] for name in ("id", "file_size", "mtime_ns")}
    if isinstance(made, bulk.Problem):
        said = {"status": made.status, "text": f"{made.code}: {made.text}"}
        return {**known, "frame": frame, **said}
    return {**known, "frame": frame, "status": "ok", **made}


def _failed(image: pa.Table, status: str, text: str) -> pa.Table:
    """What becomes of an image that ended its worker; its frames before that do not count."""
    problem = bulk.explain_end(status, text)
    return pa.Table.from_pylist([_line(image.to_pylist()[0], None, problem)], SCHEMA)


_SHELVES: dict[str, Shelf] = {}
"""Of this process, which is a worker, by folder."""

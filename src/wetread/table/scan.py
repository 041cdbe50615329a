"""Scan: read the headers of new and changed files, one part at a time; keep the other rows."""

from __future__ import annotations

import dataclasses
import glob
import os
import time
import warnings
from collections.abc import Callable, Iterable, Iterator
from contextlib import closing
from itertools import chain
from pathlib import Path
from typing import Any

import pyarrow as pa

from wetread.common.arrays import array
from wetread.common.progress import Progress
from wetread.errors import UsageError
from wetread.headers.failures import failed_row
from wetread.headers.reading import read_headers
from wetread.headers.schema import CORE
from wetread.settings import Settings
from wetread.sources.buckets import is_url
from wetread.sources.find import INDEX_MARKER, SOURCE_SCHEMA, Origin, PathLike, find
from wetread.table.jobs import Shard, merge_shards
from wetread.table.merge import Known, Stored, compact, concat, valid_parts
from wetread.table.mirror import address_of, fetch, local_folder, pull, push_marker, push_part
from wetread.table.parts import (
    Generation,
    Options,
    Part,
    check_folder,
    commit_generation,
    locked,
    part_path,
    read_generation,
    read_state,
    row_keys,
    used_columns,
    used_schema,
    write_part,
)
from wetread.table.rows import IndexRows
from wetread.workers import Engine, Threads

What = PathLike | Iterable[PathLike]


def scan(
    what: What,
    to: PathLike | None = None,
    *,
    workers: int | None = None,
    private: bool = False,
    sequences: bool = False,
    progress: bool = True,
    shard: str | None = None,
    replace: bool = False,
    engine: Engine | None = None,
    settings: Settings = Settings(),
) -> IndexRows:
    """One row per source, in memory or, with `to`, in an index folder; see `wetread.scan`."""
    job = None if shard is None else Shard.parse(shard)
    if to is not None and job is not None:
        to = os.path.join(os.fsdecode(to), job.folder)
    folder = None if to is None else local_folder(to)
    if folder is not None:
        pull(folder)
    again = folder is not None and _is_index(folder)
    origin = find(what, stat=again, size=settings.part_files, settings=settings)
    if job is not None:
        batches = filter(len, map(job.take, origin.batches))
        origin = Origin(origin.root, batches, origin.items)
    options = Options(origin.root, private, sequences)
    if engine is None:
        engine = Threads(workers)
    engine = engine.limited(10 * settings.part_seconds)
    with Progress(progress) as bar:
        if folder is None:
            engine.check(origin.root, None)
            index = _in_memory(origin, options, engine, settings, bar)
        else:
            with locked(folder):
                push_marker(folder, INDEX_MARKER)  # before any part
                if not replace:
                    before = read_generation(folder)
                    _check_items(folder, before, origin)
                    if job is None:
                        origin = _check_files(folder, before, origin)
                engine.check(origin.root, address_of(folder) or str(folder))
                _on_disk(folder, origin, options, engine, settings, bar)
            index = IndexRows.read(folder)
    if not len(index) and job is None:
        warnings.warn(f"no files in {what}", UserWarning, stacklevel=3)
    return index


def merge(folder: PathLike, settings: Settings = Settings()) -> IndexRows:
    """Merge the shards in an index folder; see `wetread.merge`."""
    path = local_folder(folder)
    pull(path)
    merge_shards(path, settings.compact_rows)
    return IndexRows.read(path)


def _is_index(folder: Path) -> bool:
    """True if the folder has an index, finished or not.

    Raises:
        IndexFormatError: an index of another version.
    """
    if not folder.is_dir() or not any((folder / name).exists() for name in ("commits", "parts")):
        return False
    check_folder(folder)
    return True


def _in_memory(
    origin: Origin, options: Options, engine: Engine, settings: Settings, bar: Progress
) -> IndexRows:
    started = time.monotonic()
    tables = list(_read(origin.batches, None, options, engine, settings, bar))
    tables.sort(key=lambda table: row_keys(table.slice(0, 1))[0].as_py())
    rows = concat(tables) if tables else pa.Table.from_batches([], CORE)
    rows = rows.select(used_schema(rows.schema, used_columns(rows)).names)
    rows = rows.replace_schema_metadata(None)
    done = _statistics(rows.num_rows, rows.num_rows, started)
    return IndexRows(options.root, rows.schema, rows=rows, scan=done)


def _on_disk(
    folder: Path,
    origin: Origin,
    options: Options,
    engine: Engine,
    settings: Settings,
    bar: Progress,
) -> None:
    started = time.monotonic()
    state = read_state(folder)
    before = sum(part.rows for part in state.generation.parts) if state.generation else 0
    ordered = valid_parts(folder, state.generation, options)
    valid = [part for part, made_with in state.loose if made_with == options]
    loose = [Stored(part, part_path(folder, part.name)) for part in valid]
    known = Known([*ordered, *loose])

    def changed() -> Iterator[pa.RecordBatch]:
        for batch in origin.batches:
            fresh = known.changed(batch)
            bar.add(batch.num_rows - fresh.num_rows)
            yield fresh

    read = 0
    written: list[Stored] = []
    for summary in _read(changed(), folder, options, engine, settings, bar):
        part = _part_of(summary)
        stored = Stored(part, part_path(folder, part.name))
        stored.keep[:] = True
        written.append(stored)
        read += part.rows
    names = [stored.part.name for stored in written]  # workers have written them to the bucket
    fetch(folder, [key for n in names for key in (f"parts/{n}.parquet", f"commits/{n}.json")])
    before_schema = state.generation.schema if state.generation and ordered else CORE
    fresh = [*loose, *written]
    parts, schema = compact(folder, ordered, fresh, before_schema, settings.compact_rows)
    number = state.generation.number + 1 if state.generation else 1
    done = _statistics(sum(part.rows for part in parts), read, started, before)
    done["items"] = list(origin.items)
    commit_generation(folder, Generation(number, options, schema, parts, done))


def _check_items(folder: Path, before: Generation | None, origin: Origin) -> None:
    """Raise UsageError if the scan would drop rows of files that still exist.

    Deleted files of a list are dropped, unless all are missing: then the folder was moved or is not
    mounted.
    """
    if before is None:
        return
    root = before.options.root
    lost = [i for i in before.scan["items"] if not origin.covers(i)]
    if root == origin.root:
        lost = [item for item in lost if glob.has_magic(item) or os.path.lexists(item)]
    if lost:
        more = f" and {len(lost) - 3} more" if len(lost) > 3 else ""
        raise UsageError(
            f"{folder} is the index of {', '.join(lost[:3])}{more}, which this scan would replace: "
            "choose another folder for the index, or replace it with replace=True; if the files "
            "were moved, open the index with root=FOLDER (--root FOLDER on the command line)"
        )


def _check_files(folder: Path, before: Generation | None, origin: Origin) -> Origin:
    """Raise UsageError if there is no file left: a disk that is not mounted is an empty folder."""
    first = next(origin.batches, None)
    rows = sum(part.rows for part in before.parts) if before else 0
    if first is None and rows:
        raise UsageError(
            f"no files in {', '.join(origin.items)}: is a disk not mounted? {folder} keeps its "
            f"{rows:,} rows; to drop them, scan with replace=True (--replace on the command line)"
        )
    batches = origin.batches if first is None else chain([first], origin.batches)
    return dataclasses.replace(origin, batches=batches)


def _statistics(files: int, read: int, started: float, before: int = 0) -> dict[str, Any]:
    seconds = round(time.monotonic() - started, 3)
    return {"files": files, "read": read, "seconds": seconds, "before": before}


def _read(
    batches: Iterable[pa.RecordBatch],
    folder: Path | None,
    options: Options,
    engine: Engine,
    settings: Settings,
    bar: Progress,
) -> Iterator[pa.Table]:
    """Results of `scan_part`, in order of completion."""
    pace = _Pace(settings)
    tasks = pace.tasks(batches)
    to = None if folder is None else address_of(folder) or str(folder)
    arguments = {**dataclasses.asdict(options), "to": to, "settings": dataclasses.asdict(settings)}
    failed = _failed(arguments)
    results = engine.map("wetread.table.scan:scan_part", tasks, arguments, failed)
    with closing(results):
        for table in results:
            rows, seconds = (float((table.schema.metadata or {})[k]) for k in (b"rows", b"seconds"))
            pace.note(int(rows), seconds)
            bar.add(int(rows))
            yield table


def scan_part(sources: pa.Table, options: dict[str, Any]) -> pa.Table:
    """Read the headers of some sources; the function that the engine maps.

    Returns:
        The rows; with the option `to` they are written there as a part, and the result is one row
        that describes the part. The metadata of the schema have `rows` and `seconds`.
    """
    started = time.monotonic()
    batch = sources.combine_chunks().to_batches()[0]
    rows = read_headers(
        options["root"],
        batch,
        private=options["private"],
        sequences=options["sequences"],
        settings=Settings.from_json(options["settings"]),
    )
    return _deliver(rows, options, time.monotonic() - started)


def _failed(options: dict[str, Any]) -> Callable[[pa.Table, str, str], pa.Table]:
    """Function that makes the row of a source that crashed a worker or exceeded the time limit."""

    def row(source: pa.Table, status: str, text: str) -> pa.Table:
        batch = source.combine_chunks().to_batches()[0]
        return _deliver(failed_row(batch, status, text), options, 0.0)

    return row


def _deliver(rows: pa.Table, options: dict[str, Any], seconds: float) -> pa.Table:
    """Write rows as a part where the scan has a folder; see `scan_part`."""
    metadata = {"rows": str(rows.num_rows), "seconds": str(seconds)}
    if options["to"] is not None:
        scan_options = Options(options["root"], options["private"], options["sequences"])
        to = options["to"]

        def write(folder: Path) -> Part:
            return write_part(folder, rows, scan_options)

        part = push_part(to, write) if is_url(to) else write(Path(to))
        rows = pa.table(
            {
                "name": array([part.name], pa.string()),
                "rows": array([part.rows], pa.int64()),
                "first": array([part.first], pa.binary()),
                "last": array([part.last], pa.binary()),
                "columns": array([part.columns], pa.list_(pa.string())),
                "checksum": array([part.checksum], pa.string()),
            }
        )
    return rows.replace_schema_metadata(metadata)


def _part_of(summary: pa.Table) -> Part:
    values = summary.to_pylist()[0]
    return Part(**{**values, "columns": tuple(values["columns"])})


class _Pace:
    """Task size: fewer sources per task if reading is slow."""

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        self._size = settings.part_files

    def tasks(self, batches: Iterable[pa.RecordBatch]) -> Iterator[pa.Table]:
        """Split batches of sources into tables of the current task size, in order."""
        waiting = pa.Table.from_batches([], SOURCE_SCHEMA)
        for batch in batches:
            waiting = pa.concat_tables([waiting, pa.Table.from_batches([batch])])
            while waiting.num_rows >= (size := self._size):
                yield waiting.slice(0, size)
                waiting = waiting.slice(size)
        if waiting.num_rows:
            yield waiting

    def note(self, rows: int, seconds: float) -> None:
        """Adapt the task size to the duration of a task, so that the next take `part_seconds`."""
        most = self._settings.part_files
        if seconds > 0:
            allowed = int(rows * self._settings.part_seconds / seconds)
            self._size = min(most, max(64, allowed))

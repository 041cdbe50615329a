"""Batch decoding in worker processes, isolated from crashes.

Images are never decoded in the calling process: a decoder that crashes, hangs or exhausts memory
ends only its worker, and only the rows of that image fail.
"""

from __future__ import annotations

import contextlib
import time
from collections.abc import Callable, Iterable, Iterator
from contextlib import closing
from dataclasses import asdict, replace
from functools import partial
from pathlib import Path
from typing import Any, NamedTuple, TypeVar

import pyarrow as pa
import pyarrow.compute as pc

from wetread.common.progress import Progress
from wetread.errors import DecodeError, StorageError, UsageError
from wetread.images.image import Image
from wetread.pixels import Frames
from wetread.settings import Settings
from wetread.table.query import query
from wetread.table.rows import IndexRows
from wetread.workers import Engine, LocalEngine
from wetread.workers.heartbeat import heartbeat
from wetread.workers.local import count_cores

T = TypeVar("T")

TASK_IMAGES = 16
"""Maximum number of images per task."""
COLUMNS = (
    "id",
    "path",
    "path_bytes",
    "member",
    "member_bytes",
    "file_size",
    "mtime_ns",
    "etag",
    "read_status",
    "transfer_syntax",
    "pixel_offset",
    "pixel_length",
)
"""Columns of the index that a worker needs."""
_STATUS_OF = {"UNDECODABLE": "failed", "BOMB": "refused", "NOT_A_FILE": "refused"}
"""Status by error code; "no_access" for other codes, as in a scan."""

MakeRow = Callable[[Image, Frames, dict[str, Any], int], dict[str, Any]]
"""Function of image, frames, options and frame number that returns the values of a row."""


class Problem(NamedTuple):
    """Reason why an image or a frame has no result."""

    status: str
    code: str
    text: str


def list_images(index: IndexRows) -> pa.Table:
    """Select the rows with pixels, in order, with the columns that a worker needs."""
    names = ", ".join(COLUMNS)
    return query(index, f"SELECT {names} FROM index WHERE pixel_length IS NOT NULL")


def run(
    function: str,
    images: pa.Table,
    options: dict[str, Any],
    failed: Callable[[pa.Table, str, str], pa.Table],
    workers: int | None,
    progress: bool,
    settings: Settings,
    engine: Engine | None = None,
) -> Iterator[pa.Table]:
    """Map `function` over images in worker processes; yield tables in any order.

    `function` gets `options` with `settings` added; `failed` returns the table of an image that
    crashed its worker. See `LocalEngine.map`.

    Raises:
        UsageError: fewer than one worker.
    """
    count = count_cores() if workers is None else workers
    if count < 1:
        raise UsageError("images are decoded in separate processes: workers must be at least 1")
    if (pc.sum(images["file_size"]).as_py() or 0) > settings.object_cache_bytes:
        settings = replace(
            settings, object_cache_bytes=0
        )  # the cache would be evicted before any reuse
    size = max(1, min(TASK_IMAGES, images.num_rows // (4 * count)))

    def cut() -> Iterator[pa.Table]:
        return (images.slice(at, size) for at in range(0, images.num_rows, size))

    engine = (engine or LocalEngine(count)).limited(settings.decode_seconds, each=True)
    engine.check(options["root"], None)
    results = engine.map(function, cut(), {**options, "settings": asdict(settings)}, failed)
    # Each table has all rows of its images: one per frame, or per thumbnail of a report.
    total = sum(pc.count_distinct(task["id"]).as_py() for task in cut())
    with closing(results):
        bar = Progress(progress, total, "images")
        yield from bar.track(results, lambda table: pc.count_distinct(table["id"]).as_py())


@contextlib.contextmanager
def open_image(
    root: str, row: dict[str, Any], settings: Settings
) -> Iterator[tuple[Image, Frames]]:
    """Open an image and its frames as a context manager that limits memory."""
    image = Image(root, {**row, "problems": None}, settings)
    with contextlib.ExitStack() as open_files:
        with bounded_memory(settings.decode_bytes + 8 * (row["file_size"] or 0)):
            frames = open_files.enter_context(image.open_frames())
        with bounded_memory(settings.decode_bytes + 8 * frames.form.frame_bytes):
            yield image, frames


def map_frames(
    frames: Frames, make: Callable[[int], T], settings: Settings
) -> Iterator[tuple[int, T | Problem]]:
    """Call `make` for each frame; yield frame number and result, or the reason for its failure.

    Sends a heartbeat with the time limit of each frame. Missing frames at the end are one problem,
    that of the first of them. Storage errors are raised, as they do not concern the image.
    """
    count, present = len(frames), frames.present
    for number in range(present):
        heartbeat(settings.decode_seconds + frames.form.frame_bytes / settings.decode_rate)
        try:
            result: T | Problem = make(number)
        except BaseException as error:  # noqa: BLE001 - re-raised by explain if needed
            result = explain(error)
        yield number, result
    if present < count:
        text = f"{count - present:,} of {count:,} frames are missing"
        yield present, Problem("failed", "UNDECODABLE", text)


def make_rows(
    images: pa.Table, options: dict[str, Any], make: MakeRow, schema: pa.Schema
) -> pa.Table:
    """Return one row per frame of the images, for functions called by `run`. Never raises.

    `make` gets the options with `settings` as `Settings`. A row holds the columns of its image,
    `frame`, and either `status` "ok" and the values of `make`, or another status and a `text`.
    """
    options = {**options, "settings": Settings.from_json(options["settings"])}
    rows = images.to_pylist()
    results = [result for row in rows for result in _image_rows(row, options, make, schema)]
    return pa.Table.from_pylist(results, schema)


def _image_rows(
    row: dict[str, Any], options: dict[str, Any], make: MakeRow, schema: pa.Schema
) -> Iterator[dict[str, Any]]:
    settings = options["settings"]
    try:
        with open_image(options["root"], row, settings) as (image, frames):
            one = partial(make, image, frames, options)
            for number, result in map_frames(frames, one, settings):
                yield _row(row, number, result, schema)
    except BaseException as error:  # noqa: BLE001 - re-raised by explain if needed
        yield _row(row, None, explain(error), schema)


def _row(
    row: dict[str, Any], frame: int | None, result: dict[str, Any] | Problem, schema: pa.Schema
) -> dict[str, Any]:
    known = {name: row[name] for name in COLUMNS if name in schema.names}
    if isinstance(result, Problem):
        text = f"{result.code}: {result.text}"
        return {**known, "frame": frame, "status": result.status, "text": text}
    return {**known, "frame": frame, "status": "ok", **result}


def failed_rows(schema: pa.Schema) -> Callable[[pa.Table, str, str], pa.Table]:
    """Return the function for images that crashed a worker; it discards their earlier frames."""

    def rows(image: pa.Table, status: str, text: str) -> pa.Table:
        row = image.to_pylist()[0]
        return pa.Table.from_pylist([_row(row, None, explain_exit(status, text), schema)], schema)

    return rows


def sort_rows(rows: pa.Table, images: pa.Table) -> pa.Table:
    """Sort rows in the order of the index, then by frame."""
    at = pc.index_in(rows["id"], value_set=images["id"].combine_chunks())
    keys = pa.table({"at": at, "frame": rows["frame"]})
    return rows.take(pc.sort_indices(keys, [("at", "ascending"), ("frame", "ascending")]))


def commit_often(
    tables: Iterable[pa.Table], commit: Callable[[pa.Table], pa.Table], settings: Settings
) -> Iterator[pa.Table]:
    """Call `commit` on batches of tables every `settings.part_seconds`, also on errors."""
    waiting: list[pa.Table] = []
    last = time.monotonic()

    def flush() -> pa.Table:
        rows = commit(pa.concat_tables(waiting))
        waiting.clear()
        return rows

    try:
        for table in tables:
            waiting.append(table)
            if time.monotonic() - last >= settings.part_seconds:
                yield flush()
                last = time.monotonic()
    except BaseException:
        if waiting:
            flush()
        raise
    if waiting:
        yield flush()


def explain(error: BaseException) -> Problem:
    """Convert an error of an image to a problem; re-raise errors that do not concern the image."""
    if isinstance(error, KeyboardInterrupt | SystemExit | GeneratorExit | StorageError):
        raise error
    text = str(error)[:300]
    if isinstance(error, MemoryError):
        return Problem("refused", "BOMB", text or "the memory limit is exceeded")
    if isinstance(error, DecodeError):
        return Problem(_STATUS_OF.get(error.code, "no_access"), error.code, text)
    if isinstance(error, OSError):
        return Problem("no_access", "NO_ACCESS", text)
    if isinstance(error, UsageError):
        return Problem("failed", "UNDECODABLE", text)
    return Problem("failed", "UNDECODABLE", f"{type(error).__name__}: {text}")


def explain_exit(status: str, text: str) -> Problem:
    """Problem of an image that crashed its worker, by the status of the engine."""
    return Problem(status, {"crashed": "CRASHED", "timeout": "TIMEOUT"}[status], text)


@contextlib.contextmanager
def bounded_memory(more: int) -> Iterator[None]:
    """Limit the memory of this process to `more` bytes above its current use.

    Allocations beyond the limit raise MemoryError. Linux only.
    """
    statm = Path("/proc/self/statm")
    if not statm.exists():
        yield
        return
    import resource

    before = resource.getrlimit(resource.RLIMIT_DATA)
    have = int(statm.read_text().split()[5]) * resource.getpagesize()
    soft = have + more if before[0] == resource.RLIM_INFINITY else min(before[0], have + more)
    resource.setrlimit(resource.RLIMIT_DATA, (soft, before[1]))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_DATA, before)

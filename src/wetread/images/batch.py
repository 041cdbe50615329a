"""Many images decoded, in processes that may die: a bad file costs its own rows, never the run.

The work is always done in worker processes, one image is enough for one: a decoder that crashes,
hangs or takes all memory takes only its worker along.
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
from wetread.workers.heartbeat import beat
from wetread.workers.local import count_cores

T = TypeVar("T")

TASK_IMAGES = 16
"""Images that a worker is given at once."""
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
"""What a worker needs to know of an image."""
_STATUS_OF = {"UNDECODABLE": "failed", "BOMB": "refused", "NOT_A_FILE": "refused"}
"""By the code of an error; of the others "no_access", as in a scan."""

Make = Callable[[Image, Frames, dict[str, Any], int], dict[str, Any]]
"""From an image, its frames, the options and a frame's number: what a line says of that frame."""


class Problem(NamedTuple):
    """What became of an image, or a frame of it, instead."""

    status: str
    code: str
    text: str


def list_images(content: IndexRows) -> pa.Table:
    """The rows with pixels, in order, with the columns that a worker needs."""
    names = ", ".join(COLUMNS)
    return query(content, f"SELECT {names} FROM index WHERE pixel_length IS NOT NULL")


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
    """What `function` makes of all images, in any order; see `LocalEngine.map`.

    Its options are `options` and `settings`; `failed` makes the table of an image that ended its
    worker. Raises UsageError for fewer than one worker.
    """
    count = count_cores() if workers is None else workers
    if count < 1:
        raise UsageError("images are decoded in processes of their own: workers must be 1 or more")
    if (pc.sum(images["file_size"]).as_py() or 0) > settings.object_cache_bytes:
        settings = replace(
            settings, object_cache_bytes=0
        )  # each would push out another, for nothing
    size = max(1, min(TASK_IMAGES, images.num_rows // (4 * count)))

    def cut() -> Iterator[pa.Table]:
        return (images.slice(at, size) for at in range(0, images.num_rows, size))

    engine = (engine or LocalEngine(count)).limited(settings.decode_seconds, each=True)
    engine.check(options["root"], None)
    results = engine.map(function, cut(), {**options, "settings": asdict(settings)}, failed)
    # A table has all lines of some images: of every frame, in a report of every part that is shown.
    total = sum(pc.count_distinct(task["id"]).as_py() for task in cut())
    with closing(results):
        bar = Progress(progress, total, "images")
        yield from bar.track(results, lambda table: pc.count_distinct(table["id"]).as_py())


@contextlib.contextmanager
def opened(root: str, row: dict[str, Any], settings: Settings) -> Iterator[tuple[Image, Frames]]:
    """An image and its frames; while the block lasts, in no more memory than they may take."""
    image = Image(root, {**row, "problems": None}, settings)
    with contextlib.ExitStack() as open_files:
        with bounded_memory(settings.decode_bytes + 8 * (row["file_size"] or 0)):
            frames = open_files.enter_context(image.open_frames())
        with bounded_memory(settings.decode_bytes + 8 * frames.form.frame_bytes):
            yield image, frames


def each_frame(
    frames: Frames, make: Callable[[int], T], settings: Settings
) -> Iterator[tuple[int, T | Problem]]:
    """What `make` makes of every frame, or why it cannot; tells the engine how long each may take.

    Frames of which no byte is there are one problem, that of the first of them. Errors of storage
    are raised: they are not the image's.
    """
    count, present = len(frames), frames.present
    for number in range(present):
        beat(settings.decode_seconds + frames.form.frame_bytes / settings.decode_rate)
        try:
            made: T | Problem = make(number)
        except BaseException as error:  # noqa: BLE001 - sorted out there
            made = explain(error)
        yield number, made
    if present < count:
        text = f"nothing is there of {count - present:,} of {count:,} frames"
        yield present, Problem("failed", "UNDECODABLE", text)


def make_lines(
    images: pa.Table, options: dict[str, Any], make: Make, schema: pa.Schema
) -> pa.Table:
    """A line for every frame of the images, whatever happens: for functions given to `run`.

    `make` gets the options with their `settings` as `Settings`. A line has what is known of its
    image, `frame`, and `status` "ok" with what `make` says, or another with a `text`.
    """
    options = {**options, "settings": Settings.from_json(options["settings"])}
    rows = images.to_pylist()
    lines = [line for row in rows for line in _make_image(row, options, make, schema)]
    return pa.Table.from_pylist(lines, schema)


def _make_image(
    row: dict[str, Any], options: dict[str, Any], make: Make, schema: pa.Schema
) -> Iterator[dict[str, Any]]:
    settings = options["settings"]
    try:
        with opened(options["root"], row, settings) as (image, frames):
            one = partial(make, image, frames, options)
            for number, made in each_frame(frames, one, settings):
                yield _line(row, number, made, schema)
    except BaseException as error:  # noqa: BLE001 - sorted out there
        yield _line(row, None, explain(error), schema)


def _line(
    row: dict[str, Any], frame: int | None, made: dict[str, Any] | Problem, schema: pa.Schema
) -> dict[str, Any]:
    known = {name: row[name] for name in COLUMNS if name in schema.names}
    if isinstance(made, Problem):
        said = {"status": made.status, "text": f"{made.code}: {made.text}"}
        return {**known, "frame": frame, **said}
    return {**known, "frame": frame, "status": "ok", **made}


def fail_line(schema: pa.Schema) -> Callable[[pa.Table, str, str], pa.Table]:
    """Makes the line of an image that ended its worker; its frames before that do not count."""

    def line(image: pa.Table, status: str, text: str) -> pa.Table:
        row = image.to_pylist()[0]
        return pa.Table.from_pylist([_line(row, None, explain_end(status, text), schema)], schema)

    return line


def in_order(lines: pa.Table, images: pa.Table) -> pa.Table:
    """Lines in the order of the index, then of the frames."""
    at = pc.index_in(lines["id"], value_set=images["id"].combine_chunks())
    keys = pa.table({"at": at, "frame": lines["frame"]})
    return lines.take(pc.sort_indices(keys, [("at", "ascending"), ("frame", "ascending")]))


def keep_often(
    tables: Iterable[pa.Table], keep: Callable[[pa.Table], pa.Table], settings: Settings
) -> Iterator[pa.Table]:
    """What `keep` makes of the tables, some at a time; of what is waiting also at an end."""
    waiting: list[pa.Table] = []
    kept = time.monotonic()

    def empty() -> pa.Table:
        rows = keep(pa.concat_tables(waiting))
        waiting.clear()
        return rows

    try:
        for table in tables:
            waiting.append(table)
            if time.monotonic() - kept >= settings.part_seconds:
                yield empty()
                kept = time.monotonic()
    except BaseException:
        if waiting:
            empty()
        raise
    if waiting:
        yield empty()


def explain(error: BaseException) -> Problem:
    """What an image that raised `error` gets for it; raises what is not the image's fault."""
    if isinstance(error, KeyboardInterrupt | SystemExit | GeneratorExit | StorageError):
        raise error
    text = str(error)[:300]
    if isinstance(error, MemoryError):
        return Problem("refused", "BOMB", text or "it takes more memory than it may")
    if isinstance(error, DecodeError):
        return Problem(_STATUS_OF.get(error.code, "no_access"), error.code, text)
    if isinstance(error, OSError):
        return Problem("no_access", "NO_ACCESS", text)
    if isinstance(error, UsageError):
        return Problem("failed", "UNDECODABLE", text)
    return Problem("failed", "UNDECODABLE", f"{type(error).__name__}: {text}")


def explain_end(status: str, text: str) -> Problem:
    """What an image gets that ended its worker; as the engine says it."""
    return Problem(status, {"crashed": "CRASHED", "timeout": "TIMEOUT"}[status], text)


@contextlib.contextmanager
def bounded_memory(more: int) -> Iterator[None]:
    """The process may take so many bytes more than it has; beyond, allocations fail.

    Only where the system counts them (Linux).
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

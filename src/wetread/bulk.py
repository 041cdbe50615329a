"""Many images decoded, in processes that may die: a bad file costs its own rows, never the run.

The work is always done in worker processes, one image is enough for one: a decoder that crashes,
hangs or takes all memory takes only its worker along.
"""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator
from contextlib import closing
from dataclasses import asdict
from pathlib import Path
from typing import Any, NamedTuple, TypeVar

import pyarrow as pa

from wetread.engines import Engine, LocalEngine
from wetread.engines.local import count_cores
from wetread.engines.pulse import beat
from wetread.errors import DecodeError, NotFoundError, StorageError, UsageError
from wetread.image import Image
from wetread.pixels import Frames
from wetread.settings import Settings
from wetread.table.progress import Progress
from wetread.table.store import Content, query

T = TypeVar("T")

TASK_IMAGES = 16
"""Images that a worker is given at once."""
COLUMNS = (
    "id",
    "path",
    "path_bytes",
    "member",
    "file_size",
    "mtime_ns",
    "read_status",
    "transfer_syntax",
    "pixel_offset",
    "pixel_length",
)
"""What a worker needs to know of an image."""


class Problem(NamedTuple):
    """What became of an image, or a frame of it, instead."""

    status: str
    code: str
    text: str


def list_images(content: Content) -> pa.Table:
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
    size = max(1, min(TASK_IMAGES, images.num_rows // (4 * count)))
    tasks = (images.slice(at, size) for at in range(0, images.num_rows, size))
    engine = (engine or LocalEngine(count)).limited(settings.decode_seconds, each=True)
    engine.check(options["root"], None)
    results = engine.map(function, tasks, {**options, "settings": asdict(settings)}, failed)
    with Progress(progress) as bar, closing(results):  # type: ignore[type-var]  # a generator
        for table in results:
            bar.add(len(set(table["id"].to_pylist())))
            yield table


@contextlib.contextmanager
def opened(root: str, row: dict[str, Any], settings: Settings) -> Iterator[tuple[Image, Frames]]:
    """An image and its frames; while the block lasts, in no more memory than they may take."""
    image = Image(root, {**row, "findings": None})
    with contextlib.ExitStack() as open_files:
        with bounded_memory(settings.decode_bytes + 8 * (row["file_size"] or 0)):
            frames = open_files.enter_context(image._opened())
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


def explain(error: BaseException) -> Problem:
    """What an image that raised `error` gets for it; raises what is not the image's fault."""
    if isinstance(error, KeyboardInterrupt | SystemExit | GeneratorExit | StorageError):
        raise error
    text = str(error)[:300]
    if isinstance(error, MemoryError) or "refused:" in text or "MemoryError" in text:
        return Problem("refused", "BOMB", text or "it takes more memory than it may")
    if isinstance(error, NotFoundError | OSError):
        return Problem("no_access", "NO_ACCESS", text)
    if isinstance(error, DecodeError | UsageError):
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

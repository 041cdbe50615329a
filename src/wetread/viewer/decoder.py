"""Frames for the viewer: decoded in worker processes, cached in memory."""

from __future__ import annotations

import asyncio
from concurrent.futures import Future
from dataclasses import asdict, dataclass
from typing import Any

import pyarrow as pa
from cachetools import LRUCache

from wetread.display.render import SAMPLE
from wetread.images import batch
from wetread.pixels import Frame
from wetread.pixels.reduced import halvings
from wetread.settings import Settings
from wetread.viewer.worker import FUNCTION, ProblemError, make_task, read_result, to_frame
from wetread.workers.local import count_cores
from wetread.workers.pool import Pool, WorkerEndedError

NOW, SOON, LATER = 0, 1, 2
"""Priorities: the image on display, its full resolution, a thumbnail."""


@dataclass(frozen=True, slots=True, eq=False)
class DecodedFrame:
    """A frame with its file's number of frames, resolutions and pixel format."""

    frame: Frame
    levels: int
    """Number of halvings of the resolution that the code-stream supports."""
    count: int
    """Number of frames in the file."""
    form: dict[str, Any]


class Decoder:
    """Decoder of the frames of one index; use from one event loop only."""

    def __init__(self, root: str, settings: Settings) -> None:
        options = {"root": root, "settings": asdict(settings)}
        self._pool = Pool(FUNCTION, options, count_cores(), settings.decode_seconds)
        room = settings.viewer_bytes
        self._frames = LRUCache[tuple[str, int, int], DecodedFrame](
            room, lambda decoded: min(decoded.frame.values.nbytes, room)
        )
        self._pending: dict[Any, asyncio.Future[Any]] = {}
        self._waiters: dict[Any, int] = {}
        self._levels: dict[str, tuple[int, int]] = {}
        """Longest side and number of halvings, by image id."""
        self._problems: dict[str, ProblemError] = {}
        """Images whose file ended a worker process; they are not retried."""

    def warm(self) -> None:
        """Start the worker processes."""
        self._pool.start()

    def close(self) -> None:
        """Stop the worker processes."""
        self._pool.close()
        self._frames.clear()

    async def frame(
        self, row: dict[str, Any], number: int, size: int | None, priority: int
    ) -> DecodedFrame:
        """Decode a frame at the smallest resolution in the file of at least `size` pixels.

        Raises:
            ProblemError: the frame cannot be decoded.
        """
        if row["id"] not in self._levels and size != SAMPLE:
            await self.frame(row, number, SAMPLE, NOW)  # finds the available sizes
        key = (row["id"], number, self._scale(row["id"], size))
        if cached := self._frames.get(key):
            return cached
        request = {"kind": "frame", "frame": number, "size": size}
        metadata, data = await self.run(row, request, priority)
        frame = to_frame(metadata, data)
        decoded = DecodedFrame(frame, *(metadata[name] for name in ("levels", "count", "form")))
        form = decoded.form
        self._levels[row["id"]] = max(form["rows"], form["columns"]), decoded.levels
        self._frames[row["id"], number, frame.scale] = decoded
        return decoded

    def _scale(self, id_: str, size: int | None) -> int:
        """Downscaling factor of a frame of at least `size` pixels; 0 if not known yet."""
        if id_ not in self._levels:
            return 0
        longest, levels = self._levels[id_]
        return 1 if size is None else 1 << min(halvings(longest, size), levels)

    async def thumb(self, row: dict[str, Any], number: int, size: int, window: Any) -> bytes:
        """Thumbnail of a frame as JPEG; raises ProblemError if it cannot be decoded."""
        request = {"kind": "thumb", "frame": number, "size": size, "window": window}
        _, data = await self.run(row, request, LATER)
        return bytes(data)

    async def slab(self, task: pa.Table) -> tuple[dict[str, Any], memoryview]:
        """Slices of a volume; see `slabs`. Not cached, and not retried after a crash.

        Raises:
            ProblemError: a slice cannot be decoded.
        """
        future = asyncio.wrap_future(self._pool.submit(task, SOON))
        try:
            return read_result(await future)
        except WorkerEndedError as error:
            raise ProblemError(*batch.explain_exit(error.status, str(error))) from None

    async def run(
        self, row: dict[str, Any], request: dict[str, Any], priority: int
    ) -> tuple[dict[str, Any], memoryview]:
        """Run a task in the pool; equal concurrent requests share one task.

        Raises:
            UsageError: a window or frame that does not exist.
            ProblemError: the file cannot be displayed.
        """
        if problem := self._problems.get(row["id"]):
            raise problem
        key = (row["id"], *map(str, request.values()))
        result = self._pending.get(key)
        if result is None:
            future: Future[pa.Table] = self._pool.submit(make_task(row, request), priority)
            result = self._pending[key] = asyncio.wrap_future(future)
            result.add_done_callback(lambda _: self._pending.pop(key, None))
        self._waiters[key] = self._waiters.get(key, 0) + 1
        try:
            return read_result(await asyncio.shield(result))
        except WorkerEndedError as error:
            problem = ProblemError(*batch.explain_exit(error.status, str(error)))
            self._problems[row["id"]] = problem
            raise problem from None
        finally:
            self._waiters[key] -= 1
            if not self._waiters[key]:
                del self._waiters[key]
                result.cancel()  # no effect on a finished task

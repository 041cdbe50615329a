"""Frames for the viewer: decoded in worker processes, kept as long as there is room."""

from __future__ import annotations

import asyncio
from collections import OrderedDict
from concurrent.futures import Future
from dataclasses import asdict, dataclass
from typing import Any

import pyarrow as pa

from wetread.display.render import SAMPLE
from wetread.images import batch
from wetread.pixels import Frame
from wetread.pixels.reduced import halvings
from wetread.settings import Settings
from wetread.viewer.worker import FUNCTION, ProblemError, make_task, read_answer, to_frame
from wetread.workers.local import count_cores
from wetread.workers.pool import Pool, WorkerEndedError

NOW, SOON, LATER = 0, 1, 2
"""How urgent a picture is: one that is looked at, its full resolution, a thumbnail."""


@dataclass(frozen=True, slots=True, eq=False)
class Decoded:
    """A frame, and what else was learned of its file."""

    frame: Frame
    levels: int
    """How often the code-stream can be decoded at half the resolution."""
    count: int
    """Frames in the file."""
    form: dict[str, Any]


class Decoder:
    """The decoded frames of one index; call it from one event loop only."""

    def __init__(self, root: str, settings: Settings) -> None:
        options = {"root": root, "settings": asdict(settings)}
        self._pool = Pool(FUNCTION, options, count_cores(), settings.decode_seconds)
        self._kept: OrderedDict[tuple[str, int, int], Decoded] = OrderedDict()
        self._room = settings.viewer_bytes
        self._under_way: dict[Any, asyncio.Future[Any]] = {}
        self._waiters: dict[Any, int] = {}
        self._levels: dict[str, tuple[int, int]] = {}
        """Of files that are known: the longest side, and how often it can be halved."""
        self._problems: dict[str, ProblemError] = {}
        """Files that ended a worker: they are not tried again."""

    def warm(self) -> None:
        """Have the processes ready before the first question."""
        self._pool.start()

    def close(self) -> None:
        """End the processes."""
        self._pool.close()
        self._kept.clear()

    async def frame(
        self, row: dict[str, Any], number: int, size: int | None, urgency: int
    ) -> Decoded:
        """A frame, at the smallest resolution the file holds of at least `size` pixels.

        Raises ProblemError where it cannot be decoded.
        """
        if row["id"] not in self._levels and size != SAMPLE:
            await self.frame(row, number, SAMPLE, NOW)  # what sizes there are is known then
        key = (row["id"], number, self._scale(row["id"], size))
        if found := self._kept.get(key):
            self._kept.move_to_end(key)
            return found
        ask = {"kind": "frame", "frame": number, "size": size}
        said, data = await self._ask(row, ask, urgency)
        decoded = Decoded(to_frame(said, data), said["levels"], said["count"], said["form"])
        form = decoded.form
        self._levels[row["id"]] = max(form["rows"], form["columns"]), decoded.levels
        self._keep((row["id"], number, decoded.frame.scale), decoded)
        return decoded

    def _scale(self, id_: str, size: int | None) -> int:
        """What a frame of at least `size` pixels is a fraction of; 0 where it is not known yet."""
        if id_ not in self._levels:
            return 0
        longest, levels = self._levels[id_]
        return 1 if size is None else 1 << min(halvings(longest, size), levels)

    async def thumb(self, row: dict[str, Any], number: int, size: int, window: Any) -> bytes:
        """A small JPEG of a frame. Raises ProblemError where it cannot be decoded."""
        ask = {"kind": "thumb", "frame": number, "size": size, "window": window}
        _, data = await self._ask(row, ask, LATER)
        return bytes(data)

    def _keep(self, key: tuple[str, int, int], decoded: Decoded) -> None:
        self._kept[key] = decoded
        self._kept.move_to_end(key)
        total = sum(one.frame.values.nbytes for one in self._kept.values())
        while total > self._room and len(self._kept) > 1:
            _, old = self._kept.popitem(last=False)
            total -= old.frame.values.nbytes

    async def _ask(
        self, row: dict[str, Any], ask: dict[str, Any], urgency: int
    ) -> tuple[dict[str, Any], memoryview]:
        """One question to the pool, whoever asks it at the same time."""
        if problem := self._problems.get(row["id"]):
            raise problem
        key = (row["id"], *map(str, ask.values()))
        answer = self._under_way.get(key)
        if answer is None:
            future: Future[pa.Table] = self._pool.submit(make_task(row, ask), urgency)
            answer = self._under_way[key] = asyncio.wrap_future(future)
            answer.add_done_callback(lambda _: self._under_way.pop(key, None))
        self._waiters[key] = self._waiters.get(key, 0) + 1
        try:
            return read_answer(await asyncio.shield(answer))
        except WorkerEndedError as error:
            problem = ProblemError(*batch.explain_exit(error.status, str(error)))
            self._problems[row["id"]] = problem
            raise problem from None
        finally:
            self._waiters[key] -= 1
            if not self._waiters[key]:
                del self._waiters[key]
                answer.cancel()  # nobody waits any more; once done this does nothing

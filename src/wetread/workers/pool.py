"""Worker processes that stay, and answer one question at a time as questions come."""

from __future__ import annotations

import heapq
import queue
import threading
from concurrent.futures import Future
from itertools import count
from typing import Any

import pyarrow as pa

from wetread.workers.local import _GoneError, _reason, _Worker


class WorkerEndedError(Exception):
    """A question that ended its worker: `status` is "crashed" or "timeout"."""

    def __init__(self, status: str, text: str) -> None:
        super().__init__(text)
        self.status = status


class Pool:
    """Processes that apply one function to tables of one row, and are replaced when they die.

    Args:
        function: "wetread.module:function", called as function(task, options) -> table.
        options: anything that JSON can hold.
        workers: processes for every question; one more takes only those of urgency 0, so that
            these never wait for long ones.
        timeout: seconds that a question may take, unless the function asks for more by
            `pulse.beat`.
    """

    def __init__(
        self, function: str, options: dict[str, Any], workers: int, timeout: float
    ) -> None:
        call = {"function": function, "options": options, "each": True}
        self._waiting: list[tuple[int, int, pa.Table, Future[pa.Table]]] = []
        self._changed = threading.Condition()
        self._count = count()
        self._closed = False
        self._crew = [_Clerk(self, 9 if i else 0, call, timeout) for i in range(workers + 1)]

    def ask(self, task: pa.Table, urgency: int) -> Future[pa.Table]:
        """The answer to come; those of a smaller `urgency` number go first, then the oldest.

        Cancel it, and a process that has not begun never does. Its exception is a
        `WorkerEndedError`, or what the function raised.
        """
        future: Future[pa.Table] = Future()
        with self._changed:
            if self._closed:
                future.cancel()
                return future
            heapq.heappush(self._waiting, (urgency, next(self._count), task, future))
            self._changed.notify_all()
        self.warm()
        return future

    def warm(self) -> None:
        """Start the processes, if that has not been done."""
        for clerk in self._crew:
            clerk.start()

    def close(self) -> None:
        """End all processes at once; what has not been answered is cancelled."""
        with self._changed:
            self._closed = True
            for *_, future in self._waiting:
                future.cancel()
            self._waiting.clear()
            self._changed.notify_all()
        for clerk in self._crew:
            clerk.stop()
        for clerk in self._crew:
            clerk.join()

    def take(self, least: int) -> tuple[pa.Table, Future[pa.Table]] | None:
        """The next question of urgency `least` or more urgent; None at the end."""
        with self._changed:
            while not self._closed:
                if self._waiting and self._waiting[0][0] <= least:
                    _, _, task, future = heapq.heappop(self._waiting)
                    if future.set_running_or_notify_cancel():
                        return task, future
                else:
                    self._changed.wait()
        return None


class _Clerk(_Worker):
    """A thread that puts the pool's questions to one process."""

    def __init__(self, pool: Pool, least: int, call: dict[str, Any], timeout: float) -> None:
        super().__init__(call, timeout, queue.SimpleQueue(), queue.SimpleQueue())
        self._pool, self._least = pool, least
        self._starting = threading.Lock()

    def start(self) -> None:
        with self._starting:
            if self._thread.ident is None and not self._stopped:
                self._thread.start()

    def _run(self) -> None:
        try:
            self._begin()  # before the first question: it is answered sooner
        except Exception:  # noqa: BLE001 - said to whoever asks: _ask tries again
            self._end()
        while (item := self._pool.take(self._least)) is not None:
            task, future = item
            try:
                future.set_result(self._ask(task))
            except _GoneError:
                status = self._end()
                late = ("timeout", f"longer than {self._allowed:g} s")
                ended = ("crashed", f"the worker ended: {_reason(status)}")
                future.set_exception(WorkerEndedError(*(late if self._late else ended)))
            except BaseException as error:  # noqa: BLE001 - raised where it is asked for
                self._end()  # a worker ends by itself after an exception
                future.set_exception(error)
        self._end()

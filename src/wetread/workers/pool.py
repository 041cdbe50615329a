"""Pool of long-lived worker processes with a priority queue of tasks."""

from __future__ import annotations

import heapq
import queue
import threading
from concurrent.futures import Future
from itertools import count
from typing import Any

import pyarrow as pa

from wetread.workers.local import _describe_status, _ProcessEndedError, _WorkerThread


class WorkerEndedError(Exception):
    """A task ended its worker process: `status` is "crashed" or "timeout"."""

    def __init__(self, status: str, text: str) -> None:
        super().__init__(text)
        self.status = status


class Pool:
    """Processes that apply one function to tables of one row; replaced when they die.

    Args:
        function: "wetread.module:function", called as function(task, options) -> table.
        options: any JSON value, passed to the function.
        workers: number of processes for all tasks; one more is reserved for priority 0, so that
            urgent tasks never wait for long ones.
        timeout: seconds per task, unless the function extends them with `heartbeat`.
    """

    def __init__(
        self, function: str, options: dict[str, Any], workers: int, timeout: float
    ) -> None:
        call = {"function": function, "options": options, "each": True}
        self._waiting: list[tuple[int, int, pa.Table, Future[pa.Table]]] = []
        self._changed = threading.Condition()
        self._count = count()
        self._closed = False
        self._threads = [
            _PoolThread(self, 9 if i else 0, call, timeout) for i in range(workers + 1)
        ]

    def submit(self, task: pa.Table, priority: int) -> Future[pa.Table]:
        """Queue a task: smaller `priority` numbers go first, then the oldest.

        A cancelled task that has not begun is not run. The future raises `WorkerEndedError`, or
        the exception of the function.
        """
        future: Future[pa.Table] = Future()
        with self._changed:
            if self._closed:
                future.cancel()
                return future
            heapq.heappush(self._waiting, (priority, next(self._count), task, future))
            self._changed.notify_all()
        self.start()
        return future

    def start(self) -> None:
        """Start the processes, unless they have been started."""
        for thread in self._threads:
            thread.start()

    def close(self) -> None:
        """Kill all processes and cancel the tasks that wait."""
        with self._changed:
            self._closed = True
            for *_, future in self._waiting:
                future.cancel()
            self._waiting.clear()
            self._changed.notify_all()
        for thread in self._threads:
            thread.stop()
        for thread in self._threads:
            thread.join()

    def take(self, limit: int) -> tuple[pa.Table, Future[pa.Table]] | None:
        """Wait for the next task of a priority number up to `limit`; None once closed."""
        with self._changed:
            while not self._closed:
                if self._waiting and self._waiting[0][0] <= limit:
                    _, _, task, future = heapq.heappop(self._waiting)
                    if future.set_running_or_notify_cancel():
                        return task, future
                else:
                    self._changed.wait()
        return None


class _PoolThread(_WorkerThread):
    """Pool thread: runs the tasks of the pool in one process."""

    def __init__(self, pool: Pool, limit: int, call: dict[str, Any], timeout: float) -> None:
        super().__init__(call, timeout, queue.SimpleQueue(), queue.SimpleQueue())
        self._pool, self._limit = pool, limit
        self._starting = threading.Lock()

    def start(self) -> None:
        with self._starting:
            if self._thread.ident is None and not self._stopped:
                self._thread.start()

    def _run(self) -> None:
        try:
            self._start_process()  # ahead of the first task
        except Exception:  # noqa: BLE001 - _request starts it again, and raises then
            self._end_process()
        while (item := self._pool.take(self._limit)) is not None:
            task, future = item
            try:
                future.set_result(self._request(task))
            except _ProcessEndedError:
                status = self._end_process()
                timeout = ("timeout", f"longer than {self._allowed:g} s")
                crash = ("crashed", f"the worker ended: {_describe_status(status)}")
                future.set_exception(WorkerEndedError(*(timeout if self._timed_out else crash)))
            except BaseException as error:  # noqa: BLE001 - raised by future.result()
                self._end_process()  # a worker ends after an exception
                future.set_exception(error)
        self._end_process()

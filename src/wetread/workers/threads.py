"""Threads of this process, for functions that release the GIL."""

from __future__ import annotations

from collections import deque
from collections.abc import Generator, Iterable
from concurrent.futures import Future, ThreadPoolExecutor
from typing import Any

import pyarrow as pa

from wetread.workers.local import Failed, count_cores
from wetread.workers.messages import resolve


class Threads:
    """Threads that map a function over tables.

    Args:
        workers: number of threads (default: one per core); 0 runs in the calling thread.
    """

    def __init__(self, workers: int | None = None) -> None:
        self.workers = count_cores() if workers is None else workers

    def limited(self, timeout: float | None, *, each: bool = False) -> Threads:
        """Return these threads; a thread cannot be stopped, so there is no time limit."""
        return self

    def check(self, root: str, to: str | None) -> None:
        """Do nothing: threads have the access of this process."""

    def map(
        self, function: str, tasks: Iterable[pa.Table], options: dict[str, Any], failed: Failed
    ) -> Generator[pa.Table, None, None]:
        """Yield the function's table of every task, in their order; see `LocalEngine.map`.

        At most two tasks per thread are taken ahead. The first one starts when the second is
        there, so that a single task needs no thread.
        """
        here, more = resolve(function), iter(tasks)
        first, second = next(more, None), None
        if self.workers and first is not None:
            second = next(more, None)
        if first is not None and second is None:
            yield here(first, options)
            first = None
        if first is None or second is None:
            for task in more:
                yield here(task, options)
            return
        pool = ThreadPoolExecutor(self.workers, thread_name_prefix="wetread")
        try:
            waiting: deque[Future[pa.Table]] = deque(
                pool.submit(here, task, options) for task in (first, second)
            )
            while waiting:
                while len(waiting) < 2 * self.workers and (task := next(more, None)) is not None:
                    waiting.append(pool.submit(here, task, options))
                yield waiting.popleft().result()
        finally:
            pool.shutdown(cancel_futures=True)

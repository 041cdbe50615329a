"""Local execution engine: worker processes on this machine."""

from __future__ import annotations

import contextlib
import os
import queue
import signal
import subprocess
import sys
import sysconfig
import threading
import time
from collections.abc import Callable, Generator, Iterable, Iterator
from pathlib import Path
from typing import Any, BinaryIO, Literal, cast

import pyarrow as pa

from wetread.workers.messages import (
    CALL,
    ERROR,
    HEARTBEAT,
    ROW,
    TABLE,
    read_message,
    rebuild,
    resolve,
    write_message,
)

_KEEP_MEMORY = {"MALLOC_MMAP_THRESHOLD_": "134217728", "MALLOC_TRIM_THRESHOLD_": "134217728"}
"""glibc keeps freed memory: fresh pages for every row would add half as much time again."""
_STARTS = 3
"""Attempts to start a worker process that is killed while it starts."""
Failed = Callable[[pa.Table, Literal["crashed", "timeout"], str], pa.Table]


def count_cores() -> int:
    """Number of CPU cores that this process may use, at least 1; PYTHON_CPU_COUNT overrides it."""
    limit = os.environ.get("PYTHON_CPU_COUNT", "")
    if limit.isdecimal() and int(limit):
        return int(limit)
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


class LocalEngine:
    """Worker processes, replaced when they die.

    Args:
        workers: number of processes; None: one per core; 0: run in the calling process.
        timeout: seconds per task; None: no limit.
        each: call the function row by row. The timeout then applies to each row (the function may
            extend it with `heartbeat`), and a row that ends its worker is known at once.
    """

    def __init__(
        self, workers: int | None = None, timeout: float | None = None, *, each: bool = False
    ) -> None:
        self.workers = count_cores() if workers is None else workers
        self.timeout = timeout
        self.each = each

    def limited(self, timeout: float | None, *, each: bool = False) -> LocalEngine:
        """The same workers with other limits."""
        return LocalEngine(self.workers, timeout, each=each)

    def check(self, root: str, to: str | None) -> None:
        """Do nothing: there is no other machine to check."""

    def map(
        self,
        function: str,
        tasks: Iterable[pa.Table],
        options: dict[str, Any],
        failed: Failed,
    ) -> Generator[pa.Table, None, None]:
        """Yield the result table of every task, in any order.

        A task that ends its worker, or takes too long, is split until the row responsible is
        alone; `failed(row, "crashed" or "timeout", text)` then returns the table for that row.
        One task may therefore yield several tables. At most two tasks per worker are taken ahead.

        Args:
            function: "wetread.module:function", called as function(task, options) -> table.
            tasks: tables, taken one by one as workers become free.
            options: any JSON value, passed to the function.
            failed: called in the calling process.

        Raises:
            Exception: the exception of the function, with the worker's traceback as a note.
            RuntimeError: a worker cannot start, or the exception is of another library's type.
        """
        if self.workers == 0:
            resolved = resolve(function)
            for task in tasks:
                yield resolved(task, options)
            return
        todo: queue.SimpleQueue[pa.Table | None] = queue.SimpleQueue()
        done: queue.SimpleQueue[Any] = queue.SimpleQueue()
        call = {"function": function, "options": options, "each": self.each}
        threads = [_WorkerThread(call, self.timeout, todo, done) for _ in range(self.workers)]
        try:
            waiting, more = 0, iter(tasks)
            while True:
                while waiting < 2 * self.workers and (task := next(more, None)) is not None:
                    if waiting < self.workers:
                        threads[waiting].start()
                    todo.put(task)
                    waiting += 1
                if not waiting:
                    return
                result = done.get()
                if result is None:  # all of one task is done
                    waiting -= 1
                elif isinstance(result, tuple):  # a row that ended its worker
                    yield failed(*result)
                elif isinstance(result, BaseException):
                    raise result
                else:
                    yield result
        finally:
            for thread in threads:
                thread.stop()
            for _ in threads:
                todo.put(None)
            for thread in threads:
                thread.join()


class _ProcessEndedError(Exception):
    """The worker process has ended."""


class _WorkerThread:
    """Thread that sends tasks to one worker process and restarts it when it dies."""

    def __init__(
        self,
        call: dict[str, Any],
        timeout: float | None,
        todo: queue.SimpleQueue[pa.Table | None],
        done: queue.SimpleQueue[Any],
    ) -> None:
        self._call, self._timeout, self._todo, self._done = call, timeout, todo, done
        self._process: subprocess.Popen[bytes] | None = None
        self._lock = threading.Lock()
        self._stopped = False
        self._timed_out = False
        self._allowed = 0.0
        self._deadline = 0.0
        self._row = -1
        self._thread = threading.Thread(target=self._run, daemon=True)

    def start(self) -> None:
        """Start, unless started."""
        if not self._thread.is_alive() and not self._stopped:
            self._thread.start()

    def stop(self) -> None:
        """Kill the process; its current task is lost."""
        with self._lock:
            self._stopped = True
            if self._process:
                self._process.kill()

    def join(self) -> None:
        """Wait until the thread has ended."""
        if self._thread.ident:
            self._thread.join()

    def _run(self) -> None:
        try:
            while (task := self._todo.get()) is not None and not self._stopped:
                self._run_task(task)
                self._done.put(None)
        except BaseException as error:  # noqa: BLE001 - raised in the caller's thread
            self._done.put(error)
        finally:
            self._end_process()

    def _run_task(self, task: pa.Table) -> None:
        pieces = [task]
        while pieces and not self._stopped:
            rows = pieces.pop()
            try:
                self._done.put(self._request(rows))
            except _ProcessEndedError:
                status = self._end_process()
                at = max(self._row, 0)  # the current row, if rows are announced
                if rows.num_rows > 1 and self._row < 0:
                    half = rows.num_rows // 2
                    pieces += [rows.slice(half), rows.slice(0, half)]
                elif self._timed_out:
                    text = f"longer than {self._allowed:g} s"
                    self._done.put((rows.slice(at, 1), "timeout", text))
                    pieces += _other_rows(rows, at)
                elif rows.num_rows > 1:  # rows before it may have caused the crash
                    pieces += [*_other_rows(rows, at), rows.slice(at, 1)]
                else:
                    text = f"the worker ended: {_describe_status(status)}"
                    self._done.put((rows, "crashed", text))

    def _request(self, rows: pa.Table) -> pa.Table:
        process = self._process
        if process is None or self._timed_out or process.poll() is not None:
            self._end_process()
            process = self._start_process()
        self._timed_out, self._row = False, -1
        if not self._timeout:
            return self._exchange(process, TABLE, rows)
        self._allow(self._timeout)
        done = threading.Event()
        watch = threading.Thread(target=self._watch, args=[process, done], daemon=True)
        watch.start()
        try:
            return self._exchange(process, TABLE, rows)
        finally:
            done.set()
            watch.join()  # _timed_out is final from here on

    def _allow(self, seconds: float) -> None:
        self._allowed, self._deadline = seconds, time.monotonic() + seconds

    def _watch(self, process: subprocess.Popen[bytes], done: threading.Event) -> None:
        while (left := self._deadline - time.monotonic()) > 0:
            if done.wait(min(left, 1.0)):  # the deadline may change meanwhile
                return
        self._timed_out = True
        process.kill()

    def _exchange(self, process: subprocess.Popen[bytes], kind: bytes, content: Any) -> Any:
        """Send one message; return the content of the response, or raise its exception."""
        try:
            write_message(cast(BinaryIO, process.stdin), kind, content)
            while True:
                kind, response = read_message(cast(BinaryIO, process.stdout))
                if kind == ROW:
                    self._row += 1
                    self._allow(self._timeout or 0)
                elif kind == HEARTBEAT:
                    self._allow(response["seconds"])
                else:
                    break
        except (EOFError, BrokenPipeError):
            raise _ProcessEndedError from None
        if kind == ERROR:
            raise rebuild(response)
        return response

    def _start_process(self) -> subprocess.Popen[bytes]:
        status = 0
        for _ in range(_STARTS):
            with self._lock:
                if self._stopped:
                    raise _ProcessEndedError
                with _blocked_interrupts():
                    process = self._process = subprocess.Popen(
                        # -P: no modules from the current folder, which may hold untrusted files
                        [sys.executable, "-P", "-m", "wetread.workers.worker"],
                        stdin=subprocess.PIPE,
                        stdout=subprocess.PIPE,
                        env={**(_KEEP_MEMORY if self._call["each"] else {}), **_environment()},
                    )
            try:
                self._exchange(process, CALL, self._call)
                return process
            except _ProcessEndedError:
                if self._stopped:
                    raise
                status = self._end_process()
            if status >= 0:  # not killed: an import fails, for example
                break
        raise RuntimeError(f"a worker process could not start: {_describe_status(status)}")

    def _end_process(self) -> int:
        """Close the pipes, which ends the process; return its exit status."""
        process, self._process = self._process, None
        if process is None:
            return 0
        for pipe in (process.stdin, process.stdout):
            with contextlib.suppress(BrokenPipeError):  # unsent bytes
                cast(BinaryIO, pipe).close()
        try:
            return process.wait(1)
        except subprocess.TimeoutExpired:
            process.kill()
            return process.wait()


def _other_rows(rows: pa.Table, row: int) -> list[pa.Table]:
    """The rows after one row and those before it, without empty tables."""
    return [piece for piece in (rows.slice(row + 1), rows.slice(0, row)) if piece.num_rows]


def _describe_status(status: int) -> str:
    if status >= 0:
        return f"exit status {status}"
    try:
        return signal.Signals(-status).name
    except ValueError:
        return f"signal {-status}"


@contextlib.contextmanager
def _blocked_interrupts() -> Iterator[None]:
    """Block SIGINT in this thread and in the processes that it starts.

    A worker ignores Ctrl-C, but only once Python has started; before, it would print a traceback.
    """
    if not hasattr(signal, "pthread_sigmask"):  # Windows
        yield
        return
    before = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT})
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)


def _environment() -> dict[str, str]:
    """Environment of this process, with a PYTHONPATH that leads to the same wetread."""
    home = str(Path(__file__).parents[2])
    if home == sysconfig.get_path("purelib"):
        return dict(os.environ)
    paths = [home, *filter(None, [os.environ.get("PYTHONPATH")])]
    return {**os.environ, "PYTHONPATH": os.pathsep.join(paths)}

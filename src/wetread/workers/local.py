"""Processes on this machine."""

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
from collections.abc import Callable, Generator, Iterable
from pathlib import Path
from typing import Any, BinaryIO, Literal, cast

import pyarrow as pa

from wetread.workers.messages import (
    BEAT,
    CALL,
    ERROR,
    ROW,
    TABLE,
    read_message,
    rebuild,
    resolve,
    write_message,
)

_KEEP_MEMORY = {"MALLOC_MMAP_THRESHOLD_": "134217728", "MALLOC_TRIM_THRESHOLD_": "134217728"}
"""Of glibc: tables come and go row by row, and the system's fresh pages cost half as much again."""
_STARTS = 3
"""Times that a worker is started which something kills while it does."""
Failed = Callable[[pa.Table, Literal["crashed", "timeout"], str], pa.Table]


def count_cores() -> int:
    """The cores this process may use, at least 1."""
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


class LocalEngine:
    """Worker processes, replaced when they die.

    Args:
        workers: how many; None: one per core; 0: no process, all is done in the caller's.
        timeout: seconds a task may take in a worker; None: no limit.
        each: a worker calls the function row by row, and the timeout is that of a row, or what
            the function asks for by `pulse.beat`. The row that ends a worker is then known at once.
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
        """Nothing: this machine sees what it sees."""

    def map(
        self,
        function: str,
        tasks: Iterable[pa.Table],
        options: dict[str, Any],
        failed: Failed,
    ) -> Generator[pa.Table, None, None]:
        """Yield what `function` makes of every task, in any order.

        A task that ends its worker, or takes too long, is cut up until the row that does it is
        alone; `failed(row, "crashed" or "timeout", text)` then makes the table for it. So a
        task may give several tables. At most two tasks per worker are taken ahead.

        Args:
            function: "wetread.module:function", called as function(task, options) -> table.
            tasks: tables, taken one by one as workers become free.
            options: anything that JSON can hold.
            failed: called in this process.

        Raises:
            Exception: what the function raised, with the worker's traceback as a note.
            RuntimeError: a worker that cannot start, or an exception of a foreign type.
        """
        if self.workers == 0:
            here = resolve(function)
            for task in tasks:
                yield here(task, options)
            return
        todo: queue.SimpleQueue[pa.Table | None] = queue.SimpleQueue()
        done: queue.SimpleQueue[Any] = queue.SimpleQueue()
        call = {"function": function, "options": options, "each": self.each}
        crew = [_Worker(call, self.timeout, todo, done) for _ in range(self.workers)]
        try:
            waiting, more = 0, iter(tasks)
            while True:
                while waiting < 2 * self.workers and (task := next(more, None)) is not None:
                    if waiting < self.workers:
                        crew[waiting].start()
                    todo.put(task)
                    waiting += 1
                if not waiting:
                    return
                answer = done.get()
                if answer is None:  # all of one task is done
                    waiting -= 1
                elif isinstance(answer, tuple):  # a row that ended its worker
                    yield failed(*answer)
                elif isinstance(answer, BaseException):
                    raise answer
                else:
                    yield answer
        finally:
            for worker in crew:
                worker.stop()
            for _ in crew:
                todo.put(None)
            for worker in crew:
                worker.join()


class _GoneError(Exception):
    """The process at the other end has ended."""


class _Worker:
    """A thread that feeds one process, and starts another when that dies."""

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
        self._late = False
        self._allowed = 0.0
        self._deadline = 0.0
        self._row = -1
        self._thread = threading.Thread(target=self._run, daemon=True)

    def start(self) -> None:
        """Begin, if that has not been done."""
        if not self._thread.is_alive() and not self._stopped:
            self._thread.start()

    def stop(self) -> None:
        """End the process at once; what it was at is lost."""
        with self._lock:
            self._stopped = True
            if self._process:
                self._process.kill()

    def join(self) -> None:
        """Wait for the end."""
        if self._thread.ident:
            self._thread.join()

    def _run(self) -> None:
        try:
            while (task := self._todo.get()) is not None and not self._stopped:
                self._do(task)
                self._done.put(None)
        except BaseException as error:  # noqa: BLE001 - raised in the caller's thread
            self._done.put(error)
        finally:
            self._end()

    def _do(self, task: pa.Table) -> None:
        parts = [task]
        while parts and not self._stopped:
            part = parts.pop()
            try:
                self._done.put(self._ask(part))
            except _GoneError:
                status = self._end()
                at = max(self._row, 0)  # the row it was at, where rows are announced
                if part.num_rows > 1 and self._row < 0:
                    half = part.num_rows // 2
                    parts += [part.slice(half), part.slice(0, half)]
                elif self._late:
                    text = f"longer than {self._allowed:g} s"
                    self._done.put((part.slice(at, 1), "timeout", text))
                    parts += _others(part, at)
                elif part.num_rows > 1:  # what it crashed on may be what the rows before it left
                    parts += [*_others(part, at), part.slice(at, 1)]
                else:
                    self._done.put((part, "crashed", f"the worker ended: {_reason(status)}"))

    def _ask(self, part: pa.Table) -> pa.Table:
        process = self._process
        if process is None or self._late or process.poll() is not None:
            self._end()
            process = self._begin()
        self._late, self._row = False, -1
        if not self._timeout:
            return self._talk(process, TABLE, part)
        self._allow(self._timeout)
        done = threading.Event()
        watch = threading.Thread(target=self._watch, args=[process, done], daemon=True)
        watch.start()
        try:
            return self._talk(process, TABLE, part)
        finally:
            done.set()
            watch.join()  # from here on it is known whether it was late

    def _allow(self, seconds: float) -> None:
        self._allowed, self._deadline = seconds, time.monotonic() + seconds

    def _watch(self, process: subprocess.Popen[bytes], done: threading.Event) -> None:
        while (left := self._deadline - time.monotonic()) > 0:
            if done.wait(min(left, 1.0)):  # the deadline may change while it waits
                return
        self._late = True
        process.kill()

    def _talk(self, process: subprocess.Popen[bytes], kind: bytes, content: Any) -> Any:
        """Send one message, return the content of the answer, or raise what it says."""
        try:
            write_message(cast(BinaryIO, process.stdin), kind, content)
            while True:
                kind, answer = read_message(cast(BinaryIO, process.stdout))
                if kind == ROW:
                    self._row += 1
                    self._allow(self._timeout or 0)
                elif kind == BEAT:
                    self._allow(answer["seconds"])
                else:
                    break
        except (EOFError, BrokenPipeError):
            raise _GoneError from None
        if kind == ERROR:
            raise rebuild(answer)
        return answer

    def _begin(self) -> subprocess.Popen[bytes]:
        status = 0
        for _ in range(_STARTS):
            with self._lock:
                if self._stopped:
                    raise _GoneError
                process = self._process = subprocess.Popen(
                    # -P: the caller's folder, which may hold anybody's files, is no place for
                    # modules
                    [sys.executable, "-P", "-m", "wetread.workers.worker"],
                    stdin=subprocess.PIPE,
                    stdout=subprocess.PIPE,
                    env={**(_KEEP_MEMORY if self._call["each"] else {}), **_environment()},
                )
            try:
                self._talk(process, CALL, self._call)
                return process
            except _GoneError:
                if self._stopped:
                    raise
                status = self._end()
            if status >= 0:  # its own doing, such as an import that fails
                break
        raise RuntimeError(f"a worker process could not start: {_reason(status)}")

    def _end(self) -> int:
        """Close the pipes, which ends the process; its exit status."""
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


def _others(part: pa.Table, row: int) -> list[pa.Table]:
    """The rows after one and those before it, as far as there are any."""
    return [piece for piece in (part.slice(row + 1), part.slice(0, row)) if piece.num_rows]


def _reason(status: int) -> str:
    if status >= 0:
        return f"exit status {status}"
    try:
        return signal.Signals(-status).name
    except ValueError:
        return f"signal {-status}"


def _environment() -> dict[str, str]:
    """Ours, and a worker finds the same wetread, wherever it was imported from."""
    home = str(Path(__file__).parents[2])
    if home == sysconfig.get_path("purelib"):
        return dict(os.environ)
    paths = [home, *filter(None, [os.environ.get("PYTHONPATH")])]
    return {**os.environ, "PYTHONPATH": os.pathsep.join(paths)}

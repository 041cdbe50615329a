"""Dask execution engine: workers on one machine or many (extra `dask`).

Only tables of sources and of results go through the scheduler, never files. Tables are sent as
Arrow IPC bytes, because a pickled slice would carry the whole table.
"""

from __future__ import annotations

import contextlib
import os
import platform
import uuid
from collections.abc import Callable, Generator, Iterable
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

import pyarrow as pa

from wetread.errors import EngineError, MissingExtraError, UsageError
from wetread.workers.local import LocalEngine
from wetread.workers.messages import describe, rebuild, resolve

if TYPE_CHECKING:
    from distributed import Client, Future

Failed = Callable[[pa.Table, Literal["crashed", "timeout"], str], pa.Table]
_AHEAD = 2
"""Queued tasks per thread of the cluster, so that none is idle."""


class DaskEngine:
    """Workers of a Dask cluster.

    Tasks of a worker that dies are tried again. A task that has killed workers is tried again in a
    separate process and split until the row responsible is alone. Workers read and write files
    themselves, with the credentials of their environment: they must see the same folders or
    buckets and have the same version of wetread. Anyone who can reach an open scheduler can run
    code on it: use `tls://`.

    Args:
        client: a `distributed.Client`, or the address of a scheduler.
        timeout: seconds per row if `each`; None: no limit.
        each: process rows one by one, in a separate process per Dask worker, so that a decoder
            that crashes does not end the Dask worker.
        start_seconds: seconds to wait for the first worker, which may be starting, or be
            restarted by its nanny.
    """

    def __init__(
        self,
        client: Client | str,
        timeout: float | None = None,
        *,
        each: bool = False,
        start_seconds: float = 60.0,
    ) -> None:
        try:
            from distributed import Client
        except ImportError as error:
            raise MissingExtraError("DaskEngine", "dask") from error
        try:
            self.client = Client(client) if isinstance(client, str) else client
        except (OSError, ValueError) as error:
            raise EngineError(f"cannot connect to a scheduler at {client}: {error}") from error
        self.timeout = timeout
        self.each = each
        self.start_seconds = start_seconds

    def limited(self, timeout: float | None, *, each: bool = False) -> DaskEngine:
        """The same cluster with other limits."""
        return DaskEngine(self.client, timeout, each=each, start_seconds=self.start_seconds)

    def check(self, root: str, to: str | None) -> None:
        """Check that every worker can read below `root` and write to `to`, before any work.

        Raises:
            UsageError: no worker appears within `start_seconds`, or one has another version of
                wetread or Python, or cannot see a folder.
            EngineError: the scheduler does not respond.
        """
        probe = None
        if to is not None and "://" not in to:
            probe = Path(to, f".tmp-{uuid.uuid4().hex}")
            probe.parent.mkdir(parents=True, exist_ok=True)
            probe.touch()
        try:
            with contextlib.suppress(TimeoutError):
                self.client.wait_for_workers(1, timeout=self.start_seconds)
            checks = self.client.run(_preflight, root, None if probe is None else str(probe))
        except (OSError, TimeoutError) as error:
            raise EngineError(f"the scheduler does not respond: {error}") from error
        finally:
            if probe is not None:
                probe.unlink(missing_ok=True)
        if not checks:
            raise UsageError("the scheduler has no workers: start some with `dask worker ADDRESS`")
        expected = _versions()
        for worker, (versions, problem) in checks.items():
            if versions != expected:
                raise UsageError(
                    f"worker {worker} has {versions}, the client has {expected}: "
                    "install the same versions"
                )
            if problem:
                raise UsageError(f"worker {worker} {problem}")

    def map(
        self,
        function: str,
        tasks: Iterable[pa.Table],
        options: dict[str, Any],
        failed: Failed,
    ) -> Generator[pa.Table, None, None]:
        """Yield the result table of every task, in any order; see `LocalEngine.map`.

        Raises:
            EngineError: the connection to the scheduler is lost; completed files stay.
        """
        from distributed import as_completed

        call = (function, options, self.timeout, self.each)
        under_way: dict[str, pa.Table] = {}
        waiting = as_completed()

        def submit(task: pa.Table, apart: bool = self.each) -> None:
            future = self.client.submit(_work, _to_bytes(task), *call, apart, pure=False)
            under_way[future.key] = task
            waiting.add(future)

        more = iter(tasks)
        for task in islice(more, _AHEAD * max(1, sum(self.client.nthreads().values()))):
            submit(task)
        # When a worker dies, each of its queued tasks may be the cause: these are tried again at
        # the end, one by one and in a separate process. Dask's nanny does not restart a worker that
        # dies while it starts (distributed 2026.8), as happens if a task that kills is tried again
        # and again.
        suspects: list[pa.Table] = []
        alone = False
        try:
            for future in waiting:
                task = under_way.pop(future.key)
                result = _result(future)
                future.release()  # else the scheduler computes it again when a worker dies
                if result is not None:
                    tables, failures = result
                    yield from map(_from_bytes, tables)
                    for row, status, text in failures:
                        yield failed(_from_bytes(row), status, text)
                elif not alone:
                    suspects.append(task)
                elif task.num_rows > 1:
                    half = task.num_rows // 2
                    suspects += [task.slice(half), task.slice(0, half)]
                else:
                    yield failed(task, "crashed", "every worker that tried it ended")
                if (following := next(more, None)) is not None:
                    submit(following)
                elif suspects and not under_way:
                    alone = True
                    submit(suspects.pop(), apart=True)
        finally:
            with contextlib.suppress(Exception):  # the scheduler may be gone
                self.client.cancel([*waiting.futures])


Result = tuple[list[bytes], list[tuple[bytes, Literal["crashed", "timeout"], str]]]


def _result(future: Future) -> Result | None:
    """Result of a task; None if it ended its workers. Raises the exception of the function."""
    from distributed import KilledWorker

    if future.status == "finished":
        kind, content = future.result()
        if kind == "error":
            raise rebuild(content)
        result: Result = content
        return result
    error = future.exception() if future.status == "error" else None
    if isinstance(error, KilledWorker):
        return None
    if error is not None:
        raise error
    raise EngineError(
        "the connection to the scheduler is lost; run the same command again to resume"
    )


def _work(
    data: bytes,
    function: str,
    options: dict[str, Any],
    timeout: float | None,
    each: bool,
    apart: bool,
) -> tuple[str, Any]:
    """Run a task in a Dask worker; `apart`: in a separate process, which may die."""
    task = _from_bytes(data)
    failures: list[tuple[bytes, str, str]] = []
    try:
        if not apart:
            return "done", ([_to_bytes(resolve(function)(task, options))], failures)
        empty = pa.table({})

        def failed(row: pa.Table, status: str, text: str) -> pa.Table:
            failures.append((_to_bytes(row), status, text))
            return empty

        tables = LocalEngine(1, timeout, each=each).map(function, [task], options, failed)
        return "done", ([_to_bytes(t) for t in tables if t is not empty], failures)
    except Exception as error:  # noqa: BLE001 - raised in the client
        return "error", describe(error)


def _preflight(root: str, probe: str | None) -> tuple[str, str]:
    """Versions of this worker, and the reason if it cannot do the work (runs in the worker)."""
    if probe is not None and not os.path.exists(probe):
        return _versions(), f"cannot find the folder {os.path.dirname(probe)}"
    if "://" in root:
        from wetread.sources.buckets import open_bucket

        try:
            next(open_bucket(root).pages(), None)
        except Exception as error:  # noqa: BLE001 - reported to the user
            return _versions(), f"cannot list {root}: {error}"
    elif not os.path.exists(root):
        return _versions(), f"cannot find {root}"
    return _versions(), ""


def _versions() -> str:
    from wetread import __version__

    return f"wetread {__version__}, Python {platform.python_version().rpartition('.')[0]}"


def _to_bytes(table: pa.Table) -> bytes:
    sink = pa.BufferOutputStream()
    with pa.ipc.new_stream(sink, table.schema) as stream:
        stream.write_table(table)
    return bytes(sink.getvalue())


def _from_bytes(data: bytes) -> pa.Table:
    return pa.ipc.open_stream(data).read_all()

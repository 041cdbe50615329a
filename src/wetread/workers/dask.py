"""Processes of a Dask cluster, on one machine or many (extra `dask`).

Only tables of sources and of results go through the scheduler, never files; the tables as Arrow IPC
bytes, since a pickled slice would carry all of what it was cut from.
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
"""Tasks that wait for each thread of the cluster, so that none is idle."""
_PATIENCE = 60
"""Seconds to wait for the first worker: it may still be starting, or be restarted by its nanny."""


class DaskEngine:
    """The workers of a Dask cluster.

    A worker that dies costs another try of its tasks. A task that has killed workers is tried again
    in a process of its own beside a worker, and cut up until the row that does it is alone. The
    workers read and write for themselves, with
    credentials of their own environment: they must see the same folders or buckets and have the
    same wetread. Anyone who reaches an open scheduler can run code on it: use `tls://`.

    Args:
        client: a `distributed.Client`, or the address of a scheduler.
        timeout: seconds that a row may take where rows are done one by one; None: no limit.
        each: rows are done one by one, each worker of Dask in a process of its own beside it, so
            that a decoder that crashes does not take the worker along.
    """

    def __init__(
        self, client: Client | str, timeout: float | None = None, *, each: bool = False
    ) -> None:
        try:
            from distributed import Client
        except ImportError as error:
            raise MissingExtraError("DaskEngine", "dask") from error
        try:
            self.client = Client(client) if isinstance(client, str) else client
        except (OSError, ValueError) as error:
            raise EngineError(f"no scheduler answers at {client}: {error}") from error
        self.timeout = timeout
        self.each = each

    def limited(self, timeout: float | None, *, each: bool = False) -> DaskEngine:
        """The same cluster with other limits."""
        return DaskEngine(self.client, timeout, each=each)

    def check(self, root: str, to: str | None) -> None:
        """Asks every worker whether it can do the work, before any of it is done.

        Raises:
            UsageError: no worker comes within a minute, or one has another wetread, or cannot see
                a folder.
            EngineError: the scheduler does not answer.
        """
        probe = None
        if to is not None and "://" not in to:
            probe = Path(to, f".tmp-{uuid.uuid4().hex}")
            probe.parent.mkdir(parents=True, exist_ok=True)
            probe.touch()
        try:
            with contextlib.suppress(TimeoutError):
                self.client.wait_for_workers(1, timeout=_PATIENCE)
            said = self.client.run(_preflight, root, None if probe is None else str(probe))
        except (OSError, TimeoutError) as error:
            raise EngineError(f"the scheduler does not answer: {error}") from error
        finally:
            if probe is not None:
                probe.unlink(missing_ok=True)
        if not said:
            raise UsageError("the scheduler has no workers: start some with `dask worker ADDRESS`")
        here = _versions()
        for worker, (versions, problem) in said.items():
            if versions != here:
                raise UsageError(
                    f"worker {worker} has {versions}, this is {here}: install the same"
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
        """Yield what `function` makes of every task, in any order; see `LocalEngine.map`.

        Raises:
            EngineError: the scheduler is lost; what was written is kept.
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
        # A worker that dies takes the good name of all tasks that it had waiting along: these are
        # tried again when nothing else is, one by one and apart from the worker. Dask's nanny does
        # not restart a worker that dies while it starts (distributed 2026.8), which is what happens
        # where a task that kills is tried again and again.
        suspects: list[pa.Table] = []
        alone = False
        try:
            for future in waiting:
                task = under_way.pop(future.key)
                result = _result(future)
                future.release()  # or the scheduler does all of it again when a worker dies
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
                    yield failed(task, "crashed", "it ended every worker that tried it")
                if (following := next(more, None)) is not None:
                    submit(following)
                elif suspects and not under_way:
                    alone = True
                    submit(suspects.pop(), apart=True)
        finally:
            with contextlib.suppress(Exception):  # it may be the scheduler that is gone
                self.client.cancel([*waiting.futures])


Result = tuple[list[bytes], list[tuple[bytes, Literal["crashed", "timeout"], str]]]


def _result(future: Future) -> Result | None:
    """What a task gave; None if it ended its workers. Raises what the function raised."""
    from distributed import KilledWorker

    if future.status == "finished":
        kind, answer = future.result()
        if kind == "error":
            raise rebuild(answer)
        result: Result = answer
        return result
    error = future.exception() if future.status == "error" else None
    if isinstance(error, KilledWorker):
        return None
    if error is not None:
        raise error
    raise EngineError("the scheduler is lost; the same command goes on from what is written")


def _work(
    data: bytes,
    function: str,
    options: dict[str, Any],
    timeout: float | None,
    each: bool,
    apart: bool,
) -> tuple[str, Any]:
    """Do a task in a worker; `apart`: in a process beside it, which may die."""
    task = _from_bytes(data)
    failures: list[tuple[bytes, str, str]] = []
    try:
        if not apart:
            return "done", ([_to_bytes(resolve(function)(task, options))], failures)
        nothing = pa.table({})

        def note(row: pa.Table, status: str, text: str) -> pa.Table:
            failures.append((_to_bytes(row), status, text))
            return nothing

        tables = LocalEngine(1, timeout, each=each).map(function, [task], options, note)
        return "done", ([_to_bytes(t) for t in tables if t is not nothing], failures)
    except Exception as error:  # noqa: BLE001 - raised by the caller, whatever it is
        return "error", describe(error)


def _preflight(root: str, probe: str | None) -> tuple[str, str]:
    """In a worker: its versions, and what it cannot see, if anything."""
    if probe is not None and not os.path.exists(probe):
        return _versions(), f"does not see the folder {os.path.dirname(probe)}"
    if "://" in root:
        from wetread.sources.buckets import open_bucket

        try:
            next(open_bucket(root).pages(), None)
        except Exception as error:  # noqa: BLE001 - said to the user
            return _versions(), f"cannot list {root}: {error}"
    elif not os.path.exists(root):
        return _versions(), f"does not see {root}"
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

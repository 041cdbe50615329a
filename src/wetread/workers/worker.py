"""Worker process: `python -m wetread.workers.worker`, started by `LocalEngine` and `Pool`."""

from __future__ import annotations

import contextlib
import os
import queue
import signal
import sys
import threading
from importlib.abc import Loader
from importlib.machinery import ModuleSpec
from types import ModuleType
from typing import Any, BinaryIO

import pyarrow as pa

from wetread.workers.heartbeat import listen
from wetread.workers.messages import (
    ERROR,
    HEARTBEAT,
    READY,
    ROW,
    TABLE,
    Function,
    describe,
    read_message,
    resolve,
    write_message,
)


def main() -> None:
    """Process one task after the other until the caller closes the pipe or ends."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C is the caller's to handle
    sys.meta_path.insert(0, _WithoutPandas())
    pa.set_cpu_count(1)  # the workers are the parallelism
    pa.set_memory_pool(pa.system_memory_pool())  # mimalloc keeps 40 MB more, for no speed
    # Printed text goes to stderr: stdout is the pipe for messages.
    output = os.fdopen(os.dup(1), "wb")
    os.dup2(2, 1)
    sys.stdout = sys.stderr
    inbox: queue.Queue[Any] = queue.Queue()
    threading.Thread(target=_receive, args=(sys.stdin.buffer, inbox), daemon=True).start()
    call = inbox.get()
    try:
        function = resolve(call["function"])
        if call["each"]:
            function = _row_by_row(function, output)
        listen(lambda seconds: write_message(output, HEARTBEAT, {"seconds": seconds}))
        write_message(output, READY, {})
        while True:
            write_message(output, TABLE, function(inbox.get(), call["options"]))
    except BaseException as error:  # noqa: BLE001 - a panic in Rust is no Exception
        with contextlib.suppress(BrokenPipeError):
            write_message(output, ERROR, describe(error))
    os._exit(1)  # a thread still reads stdin, which blocks an ordinary exit


def _row_by_row(function: Function, output: BinaryIO) -> Function:
    """Wrap a function to process one row at a time and announce each row to the caller."""

    def call(task: pa.Table, options: dict[str, Any]) -> pa.Table:
        tables = []
        for row in range(task.num_rows):
            write_message(output, ROW, {})
            tables.append(function(task.slice(row, 1), options))
        return pa.concat_tables(tables)

    return call


class _WithoutPandas(Loader):
    """Import hook that hides pandas: PyArrow would import it (34 MB) with its first array."""

    def find_spec(self, name: str, path: object = None, target: object = None) -> ModuleSpec | None:
        """Spec for pandas, None for others; PyTorch only checks that there is a spec."""
        return ModuleSpec(name, self) if name == "pandas" else None

    def exec_module(self, module: ModuleType) -> None:
        """Raise ModuleNotFoundError."""
        raise ModuleNotFoundError(module.__name__, name=module.__name__)


def _receive(pipe: BinaryIO, inbox: queue.Queue[Any]) -> None:
    # In a separate thread, so that the worker ends with its caller in the middle of a task too.
    while True:
        try:
            inbox.put(read_message(pipe)[1])
        except EOFError:
            os._exit(0)


if __name__ == "__main__":
    main()

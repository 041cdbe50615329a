"""Functions that misbehave on request, to try an engine with."""

from __future__ import annotations

import os
import signal
import sys
import time
from typing import Any

import pyarrow as pa

from wetread.workers.heartbeat import beat


def obey(table: pa.Table, options: dict[str, Any]) -> pa.Table:
    """Do what column `do` says, row by row; return the table with the worker's `pid`.

    `do` is null or one of: exit, kill, sleep, beat (asks for 60 s, sleeps 3), wait (until the
    file of option `until` exists), raise, end, print. With an option `log`, a file, each call adds
    a line of its words to it.

    >>> obey(pa.table({"do": [None]}), {}).column_names
    ['do', 'pid']
    """
    if "log" in options:
        with open(options["log"], "a") as file:
            file.write(",".join(map(str, table["do"].to_pylist())) + "\n")
    for word in table["do"].to_pylist():
        if word == "exit":
            os._exit(3)
        elif word == "kill":
            os.kill(os.getpid(), signal.SIGKILL)
        elif word == "sleep":
            time.sleep(options.get("seconds", 60))
        elif word == "beat":
            beat(60)
            time.sleep(3)
        elif word == "wait":
            beat(600)
            while not os.path.exists(options["until"]):
                time.sleep(0.01)
        elif word == "raise":
            raise KeyError("asked to")
        elif word == "end":
            raise EOFError("of something else than the pipe")
        elif word == "print":
            print("said by a worker")
            sys.stdout.flush()
    return table.append_column("pid", pa.array([os.getpid()] * len(table), pa.int64()))

"""Worker functions that crash, hang or raise, for tests of engines."""

from __future__ import annotations

import os
import signal
import sys
import time
from typing import Any

import pyarrow as pa

from wetread.workers.heartbeat import heartbeat


def obey(table: pa.Table, options: dict[str, Any]) -> pa.Table:
    """Execute the word in column `do` of each row; return the table with the worker's `pid`.

    `do` is null or one of: exit, kill, sleep, heartbeat (allows 60 s, sleeps 3), wait (until the
    file of option `until` exists), raise, end, print. With the option `log`, a file, each call adds
    one line of its words.

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
        elif word == "heartbeat":
            heartbeat(60)
            time.sleep(3)
        elif word == "wait":
            heartbeat(600)
            while not os.path.exists(options["until"]):
                time.sleep(0.01)
        elif word == "raise":
            raise KeyError("requested")
        elif word == "end":
            raise EOFError("not of the pipe")
        elif word == "print":
            print("printed by a worker")
            sys.stdout.flush()
    return table.append_column("pid", pa.array([os.getpid()] * len(table), pa.int64()))

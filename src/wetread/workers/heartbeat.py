"""Heartbeat of a worker: extend the time limit from inside a task."""

from __future__ import annotations

from collections.abc import Callable

_listeners: list[Callable[[float], None]] = []
"""Callbacks of this worker process; empty in any other process."""


def heartbeat(seconds: float) -> None:
    """Allow the next step of a task this many seconds, counted from now.

    A worker without another heartbeat in that time is treated as hung. For functions whose rows
    differ: a file of 500 frames may take 500 times as long. Does nothing outside a worker process.
    """
    for listen in _listeners:
        listen(seconds)


def listen(listener: Callable[[float], None]) -> None:
    """Pass every heartbeat of this process to `listener`."""
    _listeners.append(listener)

"""How a function tells the engine it works for that it lives."""

from __future__ import annotations

from collections.abc import Callable

_listeners: list[Callable[[float], None]] = []
"""What a worker process puts in; empty in any other process."""


def beat(seconds: float) -> None:
    """From now on, what comes next may take so many seconds; then the worker counts as hanging.

    For a function whose rows differ: a file of 500 frames may take 500 times as long. Does nothing
    outside a worker process.
    """
    for listen in _listeners:
        listen(seconds)


def listen(listener: Callable[[float], None]) -> None:
    """Have every beat of this process passed on."""
    _listeners.append(listener)

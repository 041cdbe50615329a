"""SIGTERM and SIGINT, put off until a step is done."""

from __future__ import annotations

import signal
import threading
from types import FrameType, TracebackType
from typing import Any, Self

_CAUGHT = (signal.SIGTERM, signal.SIGINT)


class Signals:
    """While it is open the two only leave a mark; a second Ctrl-C comes through.

    A second SIGTERM does not: a cluster's scheduler and torchrun may both send one.

    >>> with Signals() as signals:
    ...     signals.seen
    """

    def __init__(self) -> None:
        self.seen: int | None = None
        """The signal that came."""
        self._before: dict[int, Any] = {}

    def __enter__(self) -> Self:
        # Only the main thread may say what a signal does; elsewhere they do as they did.
        if threading.current_thread() is threading.main_thread():
            heeded = [n for n in _CAUGHT if signal.getsignal(n) is not signal.SIG_IGN]
            self._before = {number: signal.signal(number, self._mark) for number in heeded}
        return self

    def _mark(self, number: int, frame: FrameType | None) -> None:
        self.seen = number
        if number == signal.SIGINT:
            self._restore()

    def _restore(self) -> None:
        for number, handler in self._before.items():
            signal.signal(number, handler)

    def stop(self) -> None:
        """Lets the signal do what it would have done; where another process saw it, SIGTERM's."""
        self._restore()
        seen, self.seen = self.seen, None
        signal.raise_signal(seen or signal.SIGTERM)

    def __exit__(
        self, kind: type[BaseException] | None, _: object, __: TracebackType | None
    ) -> None:
        self._restore()

"""Deferred SIGTERM and SIGINT, handled at the end of a training step."""

from __future__ import annotations

import signal
import threading
from types import FrameType, TracebackType
from typing import Any, Self

_CAUGHT = (signal.SIGTERM, signal.SIGINT)


class Signals:
    """Context manager that records the two signals; a second Ctrl-C takes effect at once.

    A second SIGTERM does not: a cluster's scheduler and torchrun may both send one.

    >>> with Signals() as signals:
    ...     signals.seen
    """

    def __init__(self) -> None:
        self.seen: int | None = None
        """Number of the received signal."""
        self._before: dict[int, Any] = {}

    def __enter__(self) -> Self:
        # Only the main thread can set handlers; in other threads signals keep their action.
        if threading.current_thread() is threading.main_thread():
            caught = [n for n in _CAUGHT if signal.getsignal(n) is not signal.SIG_IGN]
            self._before = {number: signal.signal(number, self._record) for number in caught}
        return self

    def _record(self, number: int, frame: FrameType | None) -> None:
        self.seen = number
        if number == signal.SIGINT:
            self._restore()

    def _restore(self) -> None:
        for number, handler in self._before.items():
            signal.signal(number, handler)

    def stop(self) -> None:
        """Raise the recorded signal; if another process received it, SIGTERM."""
        self._restore()
        seen, self.seen = self.seen, None
        signal.raise_signal(seen or signal.SIGTERM)

    def __exit__(
        self, kind: type[BaseException] | None, _: object, __: TracebackType | None
    ) -> None:
        self._restore()

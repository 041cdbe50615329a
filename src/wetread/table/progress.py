"""How far a scan is, on stderr: a bar in a terminal, a line now and then elsewhere."""

from __future__ import annotations

import sys
import time
from types import TracebackType
from typing import Self

_LINE_SECONDS = 10.0


class Progress:
    """Counts files while a scan runs.

    >>> with Progress(shown=False) as progress:
    ...     progress.add(3)
    >>> progress.done
    3
    """

    def __init__(self, shown: bool = True) -> None:
        self.done = 0
        self._shown = shown
        self._started = self._said = time.monotonic()

    def __enter__(self) -> Self:
        self._bar = None
        if self._shown and sys.stderr.isatty():
            from rich.console import Console
            from rich.progress import Progress as Bar
            from rich.progress import SpinnerColumn, TextColumn, TimeElapsedColumn

            text = TextColumn("{task.completed:,} files  {task.fields[rate]:,.0f}/s")
            self._bar = Bar(
                SpinnerColumn(), text, TimeElapsedColumn(), console=Console(stderr=True)
            )
            self._task = self._bar.add_task("", total=None, rate=0)
            self._bar.start()
        return self

    def add(self, files: int) -> None:
        """So many more files are done."""
        self.done += files
        now = time.monotonic()
        rate = self.done / max(now - self._started, 1e-9)
        if self._bar:
            self._bar.update(self._task, completed=self.done, rate=rate)
        elif self._shown and now - self._said >= _LINE_SECONDS:
            self._said = now
            print(f"wetread: {self.done:,} files, {rate:,.0f}/s", file=sys.stderr, flush=True)

    def __exit__(
        self, kind: type[BaseException] | None, _: object, __: TracebackType | None
    ) -> None:
        if self._bar:
            self._bar.stop()

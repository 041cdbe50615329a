"""How far training is, on stderr: a bar in a terminal, a line an epoch elsewhere."""

from __future__ import annotations

import sys
from types import TracebackType
from typing import Self


class Steps:
    """Counts steps while a model trains.

    >>> with Steps(10, shown=False) as bar:
    ...     bar.reach(3)
    """

    def __init__(self, steps: int, shown: bool = True) -> None:
        self._steps = steps
        self._shown = shown

    def __enter__(self) -> Self:
        self._bar = None
        if self._shown and sys.stderr.isatty():
            from rich.console import Console
            from rich.progress import BarColumn, MofNCompleteColumn, TextColumn, TimeRemainingColumn
            from rich.progress import Progress as Bar

            text = TextColumn("{task.description}")
            columns = (BarColumn(), MofNCompleteColumn(), TimeRemainingColumn(), text)
            self._bar = Bar(*columns, console=Console(stderr=True))
            self._task = self._bar.add_task("", total=self._steps)
            self._bar.start()
        return self

    def reach(self, step: int) -> None:
        """So many steps are done."""
        if self._bar:
            self._bar.update(self._task, completed=step)

    def say(self, text: str) -> None:
        """What an epoch came to."""
        if self._bar:
            self._bar.update(self._task, description=text)
        elif self._shown and text:
            print(f"wetread: {text}", file=sys.stderr, flush=True)

    def __exit__(
        self, kind: type[BaseException] | None, _: object, __: TracebackType | None
    ) -> None:
        if self._bar:
            self._bar.stop()

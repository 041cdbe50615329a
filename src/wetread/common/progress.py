"""Progress on stderr: a bar in a terminal, else a line from time to time."""

from __future__ import annotations

import sys
import time
from collections.abc import Callable, Iterable, Iterator
from types import TracebackType
from typing import TYPE_CHECKING, Self, TypeVar

from wetread.common.text import printable

if TYPE_CHECKING:
    from rich.progress import Progress as Bar

T = TypeVar("T")

_LINE_SECONDS = 10.0
"""Minimum time between two lines; a long run writes one per 2 % of its elapsed time."""
_LINE_SHARE = 0.02


class Progress:
    """Count of finished items, with rate and time left.

    Args:
        shown: False writes nothing.
        total: number of items; None if unknown, as while a folder is listed.
        unit: plural noun of the items.

    >>> with Progress(shown=False, total=10) as progress:
    ...     progress.add(3)
    >>> progress.done, str(progress)[:13]
    (3, '3 of 10 files')
    """

    def __init__(self, shown: bool = True, total: int | None = None, unit: str = "files") -> None:
        self.done = 0
        self.total = total
        self._unit = unit
        self._shown = shown
        self._note = ""
        self._bar: Bar | None = None
        self._before: int | None = None
        self._started = self._written = time.monotonic()

    def __enter__(self) -> Self:
        if self._shown and sys.stderr.isatty():
            self._bar = _make_bar(self.total)
            self._bar.start()
        return self

    def add(self, items: int) -> None:
        """Count more finished items."""
        self._before = self._before or 0
        self.reach(self.done + items)

    def reach(self, done: int) -> None:
        """Set the number of finished items; the first call sets the start of a resumed run."""
        if self._before is None:
            self._before = done
        self.done = done
        if self._bar:
            self._bar.update(self._bar.task_ids[0], completed=done, description=str(self))
        elif self._shown:
            now = time.monotonic()
            wait = max(_LINE_SECONDS, _LINE_SHARE * (now - self._started))
            if now - self._written >= wait:
                self._written = now
                self._print(str(self))

    def track(self, results: Iterable[T], count: Callable[[T], int] = lambda _: 1) -> Iterator[T]:
        """Yield the results and count the items of each.

        >>> list(Progress(shown=False).track("ab"))
        ['a', 'b']
        """
        with self:
            for result in results:
                self.add(count(result))
                yield result

    def say(self, text: str) -> None:
        """Show a remark: next to the bar, or as a separate line."""
        if self._bar:
            self._note = printable(text)
            self.reach(self.done)
        elif self._shown and text:
            self._print(text)

    def __str__(self) -> str:
        seconds = max(time.monotonic() - self._started, 1e-9)
        rate = (self.done - (self._before or 0)) / seconds
        of = "" if self.total is None else f" of {self.total:,}"
        parts = [f"{self.done:,}{of} {self._unit}", f"{rate:,.{0 if rate >= 10 else 1}f}/s"]
        if self.total is not None and rate and self.done < self.total:
            parts.append(f"{format_duration((self.total - self.done) / rate)} left")
        return ", ".join([*parts, self._note] if self._note else parts)

    def _print(self, text: str) -> None:
        print(f"wetread: {printable(text)}", file=sys.stderr, flush=True)

    def __exit__(
        self, kind: type[BaseException] | None, _: object, __: TracebackType | None
    ) -> None:
        if self._bar:
            self._bar.stop()


def format_duration(seconds: float) -> str:
    """Format a duration in its two largest units.

    >>> format_duration(7.2), format_duration(125), format_duration(7300)
    ('7 s', '2 min 5 s', '2 h 1 min')
    """
    whole = round(seconds)
    for unit, size, small, step in (("h", 3600, "min", 60), ("min", 60, "s", 1)):
        if whole >= size:
            return f"{whole // size} {unit} {whole % size // step} {small}"
    return f"{whole} s"


def _make_bar(total: int | None) -> Bar:
    """Progress bar for a terminal; a spinner if the total is unknown."""
    from rich.console import Console
    from rich.progress import BarColumn, SpinnerColumn, TextColumn, TimeElapsedColumn
    from rich.progress import Progress as Bar

    first = SpinnerColumn() if total is None else BarColumn()
    text = TextColumn("{task.description}", markup=False)
    bar = Bar(first, text, TimeElapsedColumn(), console=Console(stderr=True))
    bar.add_task("", total=total)
    return bar

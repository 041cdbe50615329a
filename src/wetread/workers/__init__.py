"""Execution engines: map a pure function over tables of sources."""

from __future__ import annotations

from collections.abc import Callable, Generator, Iterable
from typing import TYPE_CHECKING, Any, Literal, Protocol

from wetread.workers.local import LocalEngine
from wetread.workers.threads import Threads

if TYPE_CHECKING:
    import pyarrow as pa

__all__ = ["Engine", "LocalEngine", "Threads"]


class Engine(Protocol):
    """Methods of every execution engine."""

    def limited(self, timeout: float | None, *, each: bool = False) -> Engine:
        """The same workers with a time limit in seconds, per task or (`each`) per row."""

    def check(self, root: str, to: str | None) -> None:
        """Raise UsageError if a worker cannot read below `root` or write to `to`."""

    def map(
        self,
        function: str,
        tasks: Iterable[pa.Table],
        options: dict[str, Any],
        failed: Callable[[pa.Table, Literal["crashed", "timeout"], str], pa.Table],
    ) -> Generator[pa.Table, None, None]:
        """Yield the result table of every task, in any order; see `LocalEngine.map`."""

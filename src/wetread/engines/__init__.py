"""Where work is done: one pure function, mapped over tables of sources."""

from __future__ import annotations

from collections.abc import Callable, Generator, Iterable
from typing import TYPE_CHECKING, Any, Literal, Protocol

from wetread.engines.local import LocalEngine
from wetread.engines.threads import Threads

if TYPE_CHECKING:
    import pyarrow as pa

__all__ = ["Engine", "LocalEngine", "Threads"]


class Engine(Protocol):
    """What every engine can do."""

    def limited(self, timeout: float | None, *, each: bool = False) -> Engine:
        """The same workers, for tasks, or rows one by one, that may take so many seconds."""

    def check(self, root: str, to: str | None) -> None:
        """Raises UsageError where a worker cannot read below `root` or write to `to`."""

    def map(
        self,
        function: str,
        tasks: Iterable[pa.Table],
        options: dict[str, Any],
        failed: Callable[[pa.Table, Literal["crashed", "timeout"], str], pa.Table],
    ) -> Generator[pa.Table, None, None]:
        """Yield the function's table of every task, in any order; see `LocalEngine.map`."""

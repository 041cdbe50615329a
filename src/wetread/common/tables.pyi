"""Types of the compiled functions; see `tables.py`."""

from typing import Any

from numpy.typing import NDArray

def count(patterns: NDArray[Any], table: NDArray[Any]) -> None: ...
def look_up(table: NDArray[Any], patterns: NDArray[Any], out: NDArray[Any]) -> None: ...

"""Types of the compiled functions; see `ranges.py`."""

from typing import Any

from numpy.typing import NDArray

def trim(arena: NDArray[Any], start: NDArray[Any], length: NDArray[Any]) -> None: ...
def copy(
    arena: NDArray[Any], start: NDArray[Any], length: NDArray[Any], out: NDArray[Any]
) -> bool: ...

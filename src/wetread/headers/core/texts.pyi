"""Types of the compiled functions; see `texts.py`."""

from typing import Any

from numpy.typing import NDArray

def measure(arena: NDArray[Any], start: NDArray[Any], length: NDArray[Any]) -> None: ...
def copy(
    arena: NDArray[Any],
    start: NDArray[Any],
    length: NDArray[Any],
    data: NDArray[Any],
    bounds: NDArray[Any],
) -> None: ...
def swap(
    arena: NDArray[Any], start: NDArray[Any], length: NDArray[Any], size: NDArray[Any]
) -> None: ...

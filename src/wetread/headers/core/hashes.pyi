"""Types of the compiled functions; see `hashes.py`."""

from typing import Any

from numpy.typing import NDArray

class Blake2b:
    def __init__(self, iv: NDArray[Any], order: NDArray[Any], block: NDArray[Any]) -> None: ...

def write_ids(
    blake: Blake2b,
    paths: NDArray[Any],
    path_bounds: NDArray[Any],
    members: NDArray[Any],
    member_bounds: NDArray[Any],
    out: NDArray[Any],
) -> None: ...

"""Types of the compiled functions; see `hashes.py`."""

from typing import Any

from numpy.typing import NDArray

def write_ids(
    paths: NDArray[Any],
    path_bounds: NDArray[Any],
    members: NDArray[Any],
    member_bounds: NDArray[Any],
    out: NDArray[Any],
) -> None: ...

"""Types of the compiled functions; see `columns.py`."""

from typing import Any

from numpy.typing import NDArray

def number_tags(
    tag: NDArray[Any],
    depth: NDArray[Any],
    bits: NDArray[Any],
    slot_tag: NDArray[Any],
    slot_code: NDArray[Any],
    codes: NDArray[Any],
    missed: NDArray[Any],
) -> int: ...

"""Types of the compiled functions; see `texts.py`."""

from typing import Any

from numpy.typing import NDArray

def measure(arena: NDArray[Any], start: NDArray[Any], length: NDArray[Any]) -> int: ...
def copy(
    arena: NDArray[Any],
    start: NDArray[Any],
    length: NDArray[Any],
    flags: NDArray[Any],
    data: NDArray[Any],
    bounds: NDArray[Any],
    strange: NDArray[Any],
) -> int: ...
def count_parts(data: NDArray[Any], bounds: NDArray[Any]) -> int: ...
def split(
    data: NDArray[Any],
    bounds: NDArray[Any],
    left: bool,
    out: NDArray[Any],
    parts: NDArray[Any],
    lists: NDArray[Any],
) -> None: ...
def parse_decimals(
    data: NDArray[Any],
    bounds: NDArray[Any],
    powers: NDArray[Any],
    values: NDArray[Any],
    state: NDArray[Any],
) -> None: ...
def parse_integers(
    data: NDArray[Any], bounds: NDArray[Any], values: NDArray[Any], state: NDArray[Any]
) -> None: ...
def parse_dates(
    data: NDArray[Any],
    bounds: NDArray[Any],
    month_days: NDArray[Any],
    values: NDArray[Any],
    state: NDArray[Any],
) -> None: ...
def spread_offsets(
    offsets: NDArray[Any],
    rows: NDArray[Any],
    filled: NDArray[Any],
    bounds: NDArray[Any],
    valid: NDArray[Any],
) -> None: ...

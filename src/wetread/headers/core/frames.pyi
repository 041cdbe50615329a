"""Types of the compiled function; see `frames.py`."""

from collections.abc import Callable

def count_starts(
    path: bytes,
    read: Callable[[int], bytes] | None,
    offset: int,
    find_start: Callable[[bytes], bytes],
) -> int: ...

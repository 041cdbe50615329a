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
def sort_codes(codes: NDArray[Any], counts: NDArray[Any], order: NDArray[Any]) -> int: ...
def has_repeats(codes: NDArray[Any], row: NDArray[Any]) -> bool: ...
def settle_families(
    codes: NDArray[Any],
    vr: NDArray[Any],
    start: NDArray[Any],
    family_of: NDArray[Any],
    vr_of: NDArray[Any],
    unknown: NDArray[Any],
    stated: NDArray[Any],
    last_text: int,
    first_length: int,
    family: NDArray[Any],
    odd: NDArray[Any],
) -> None: ...

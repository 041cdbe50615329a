"""Types of the compiled class; see `numbers.py`."""

from typing import Any

from numpy.typing import NDArray

class Numbers:
    def __init__(self, arena: NDArray[Any], families: Any) -> None: ...
    def parse_times(
        self, bounds: NDArray[Any], values: NDArray[Any], valid: NDArray[Any]
    ) -> None: ...
    def parse_moments(
        self, bounds: NDArray[Any], values: NDArray[Any], valid: NDArray[Any]
    ) -> None: ...
    def parse_ages(
        self, bounds: NDArray[Any], values: NDArray[Any], valid: NDArray[Any]
    ) -> None: ...

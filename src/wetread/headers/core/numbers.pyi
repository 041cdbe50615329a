"""Types of the compiled class; see `numbers.py`."""

from typing import Any

from numpy.typing import NDArray

class Numbers:
    def __init__(self, arena: NDArray[Any], families: Any) -> None: ...
    def parse_texts(
        self,
        kind: int,
        bounds: NDArray[Any],
        values: NDArray[Any],
        reals: NDArray[Any],
        valid: NDArray[Any],
    ) -> None: ...

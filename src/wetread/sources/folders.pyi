"""Types of the compiled functions; see `folders.py`."""

from typing import Any

import numpy as np
from numpy.typing import NDArray

LISTS: int

def list_folder(path: bytes, room: NDArray[Any]) -> tuple[list[bytes], list[bytes], int]: ...
def stat_files(
    folder: int, names: bytes, sizes: NDArray[np.int64], times: NDArray[np.int64]
) -> int: ...

"""Pictures of a cache and what is on them, as PyTorch wants them. (interface; bodies follow)"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch.utils.data import Dataset

if TYPE_CHECKING:
    from wetread.boxes.collection import Boxes
    from wetread.learn.augment import Augment
    from wetread.learn.cache import Cache, Window

Item = tuple[torch.Tensor, dict[str, torch.Tensor]]


class Images(Dataset[Item]):
    """Items (image float32 (1, size, size) in 0..1, target of torchvision's form).

    target: boxes float32 (n, 4) x0 y0 x1 y1 in item pixels, labels int64 (n,) from 1 in the order
    of `classes`, image_id int64 scalar: the row of the cache.
    """

    classes: tuple[str, ...]
    rows: NDArray[np.int64]
    """The row of the cache, for each item."""
    labels: NDArray[np.float32]
    """(items, classes): 1 where the class is on the image."""
    size: int

    def __init__(
        self,
        cache: Cache,
        truth: Boxes | None,
        part: str | None,
        size: int | None,
        window: Window,
        augment: bool | Augment,
        seed: int,
    ) -> None:
        raise NotImplementedError

    def __len__(self) -> int:
        return len(self.rows)

    def __getitem__(self, i: int) -> Item:
        raise NotImplementedError

    def set_epoch(self, epoch: int) -> None:
        """Augment by (seed, epoch, item) from now on, workers that start later too."""
        raise NotImplementedError

    def to_stored(self, boxes: Any, i: int) -> NDArray[np.float64]:
        """(n, 4) boxes of item `i` (its number in this data set) in stored pixels."""
        raise NotImplementedError

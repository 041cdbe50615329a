"""Pictures of a cache and what is on them, as PyTorch wants them."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import ArrayLike, NDArray

from wetread.errors import MissingExtraError, UsageError
from wetread.learn.augment import Augment, Change
from wetread.learn.rasterise import Placement, draw, make_shades
from wetread.learn.targets import choose

try:
    import torch
    from torch.utils.data import Dataset
except ImportError as error:
    raise MissingExtraError("Cache.dataset", "train") from error

if TYPE_CHECKING:
    from wetread.boxes.collection import Boxes
    from wetread.cache.cache import Cache, Window

Item = tuple[torch.Tensor, dict[str, torch.Tensor]]
Floats = NDArray[np.float32]
_TINY = 2.0
"""Boxes of which training sees less than so many pixels, in width or height, are dropped."""


class Images(Dataset[Item]):
    """Items (image, target) for PyTorch, of the pictures that a truth mentions, or of all.

    The image is float32 (1, size, size) in 0..1 after the window, the picture at the top left,
    0 below and right of it; never enlarged; MONOCHROME1 is turned the right way round. The target
    is torchvision's: `boxes` float32 (n, 4) x0, y0, x1, y1 in pixels of the item, `labels` int64
    (n,) from 1 in the order of `classes`, `image_id` int64, the row of the cache.

    Images whose readers found nothing have a target without boxes. Those that the truth does not
    mention are left out. Processes of a DataLoader each map the cache anew; what is pickled for
    them is small.

    Args:
        cache: the pictures.
        truth: boxes of one reader an image, of the same index; None is all pictures, without
            targets. Points count for `labels` of the data set only.
        part: only the images in this part.
        size: side of an item; by default that of the cache.
        window: `"auto"` is made of the pixels of each image; `"file"` its own first
            window, else `"auto"`; or (center, width) in modality values. Colour is as it is.
        augment: True, or an `Augment`, changes the pictures for training: boxes are clipped to
            the item, and dropped where hardly anything of them is left.
        seed: of the changes.

    Raises:
        MissingExtraError: PyTorch is not installed.
        UsageError: a truth of several readers an image, or about no picture of the cache; a part
            where none is known, or that the cache has otherwise; a size above the cache's.
        UnknownNameError: there is no such part or window.

    Warns:
        UserWarning: images of the truth that the cache does not have, boxes without an area,
            points.
    """

    def __init__(
        self,
        cache: Cache,
        truth: Boxes | None = None,
        part: str | None = None,
        size: int | None = None,
        window: Window = "auto",
        augment: bool | Augment = False,
        seed: int = 0,
    ) -> None:
        self.size = cache.size if size is None else size
        if not 1 <= self.size <= cache.size:
            raise UsageError(f"size {size}: the pictures of the cache are of size {cache.size}")
        self.cache = cache
        self.augment = Augment() if augment is True else augment or None
        self.seed, self.epoch = seed, 0
        self._targets = choose(cache, truth, part)
        rows = cache.rows.take(self._targets.rows)
        self._pictures = cache.pictures(rows)
        self._scales = np.stack([rows["scale_x"].to_numpy(), rows["scale_y"].to_numpy()], axis=1)
        self._shades = make_shades(rows, window)

    @property
    def classes(self) -> tuple[str, ...]:
        """The labels of the truth in order; a target's label 1 is the first."""
        return self._targets.classes

    @property
    def rows(self) -> NDArray[np.int64]:
        """The row of the cache, for each item."""
        return self._targets.rows

    @property
    def labels(self) -> Floats:
        """(items, classes): 1 where the class is on the image, else 0."""
        return self._targets.presence

    def set_epoch(self, epoch: int) -> None:
        """Changes are drawn by (seed, epoch, item); workers that run already keep the old epoch.

        So call it before the loop over a DataLoader, and leave `persistent_workers` off.
        """
        self.epoch = epoch

    def __len__(self) -> int:
        return len(self.rows)

    def __getitem__(self, i: int) -> Item:
        i = range(len(self))[i]
        change = self._change(i)
        where = self._place(i, change)
        image = torch.zeros((1, self.size, self.size))
        draw(self._pictures.read(i), where, self._shades[i], image[0].numpy(), change)
        boxes, labels = self._boxes(i, where)
        target = {
            "boxes": torch.from_numpy(boxes),
            "labels": torch.from_numpy(labels),
            "image_id": torch.tensor(int(self.rows[i])),
        }
        return image, target

    def to_stored(self, boxes: ArrayLike, i: int) -> NDArray[np.float64]:
        """Boxes (n, 4) in pixels of item `i`, its number here, as (n, 4) in stored pixels."""
        corners = np.asarray(boxes, np.float64).reshape(-1, 4)
        ratio, start = self._map(i, self._place(i, self._change(i)))
        return _ordered((corners - start) / ratio)

    def _change(self, i: int) -> Change:
        if self.augment is None:
            return Change()
        return self.augment.draw(self.seed, self.epoch, i)

    def _place(self, i: int, change: Change) -> Placement:
        """Zoomed about its middle, shifted, flipped."""
        height, width = self._pictures.size(i)
        fitted = min(1.0, self.size / max(height, width))
        ratio = fitted * change.zoom
        left = width * (fitted * (0.5 + change.shift_x) - ratio / 2)
        top = height * (fitted * (0.5 + change.shift_y) - ratio / 2)
        if change.flipped:
            return Placement(-ratio, ratio, left + width * ratio, top)
        return Placement(ratio, ratio, left, top)

    def _map(self, i: int, where: Placement) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        """Ratio and start that lead from stored pixels to the item, for x0, y0, x1, y1."""
        ratio = self._scales[i] * (where.x, where.y)
        return np.tile(ratio, 2), np.array([where.left, where.top] * 2)

    def _boxes(self, i: int, where: Placement) -> tuple[Floats, NDArray[np.int64]]:
        chosen = slice(*self._targets.starts[i : i + 2])
        ratio, start = self._map(i, where)
        boxes = _ordered(self._targets.corners[chosen] * ratio + start)
        labels = self._targets.numbers[chosen].copy()
        if self.augment is not None:
            boxes = boxes.clip(0, self.size)
            seen = ((boxes[:, 2:] - boxes[:, :2]) >= _TINY).all(axis=1)
            boxes, labels = boxes[seen], labels[seen]
        return boxes.astype(np.float32), labels

    def __repr__(self) -> str:
        boxes, items = len(self._targets.corners), len(self)
        return f"<Images: {items:,} of size {self.size}, {boxes:,} boxes of {len(self.classes)}>"


def _ordered(boxes: NDArray[np.float64]) -> NDArray[np.float64]:
    """Left before right, where they changed sides."""
    low, high = np.minimum(boxes[:, :2], boxes[:, 2:]), np.maximum(boxes[:, :2], boxes[:, 2:])
    return np.concatenate([low, high], axis=1)

"""PyTorch data set over a cache: images and targets in torchvision's format."""

from __future__ import annotations

import os

import numpy as np
from numpy.typing import ArrayLike, NDArray

from wetread.boxes.collection import Boxes
from wetread.boxes.reading import open_boxes
from wetread.cache.cache import Cache, WindowOption, open_cache
from wetread.cache.shards import ShardReader
from wetread.common.text import counted
from wetread.errors import MissingExtraError, UsageError
from wetread.learn.augment import Augment, Change
from wetread.learn.rasterise import Placement, draw, grey_scales
from wetread.learn.targets import select_targets

try:
    import torch
    from torch.utils.data import Dataset
except ImportError as error:
    raise MissingExtraError("CacheDataset", "train") from error

Item = tuple[torch.Tensor, dict[str, torch.Tensor]]
Floats = NDArray[np.float32]
_MIN_SIDE = 2.0
"""Minimum visible width and height of a box after augmentation, in pixels."""


class CacheDataset(Dataset[Item]):
    """PyTorch data set of the frames that the ground truth mentions, or of all.

    Items are (image, target) in torchvision's format. The image is float32 (1, size, size) in
    0..1 after the window, at the top left, padded with 0 on the right and below; never enlarged;
    MONOCHROME1 is inverted. The target has `boxes` float32 (n, 4) x0, y0, x1, y1 in pixels of the
    item, `labels` int64 (n,) from 1 in the order of `classes`, and `image_id` int64, the row of
    the cache.

    Images where the readers found nothing have a target without boxes. Images that the ground
    truth does not mention are left out. Worker processes of a DataLoader map the cache themselves;
    the pickled state is small.

    Args:
        cache: a cache (`wetread.prepare`), or its path.
        truth: ground-truth boxes, one set per image, or a file; None selects all frames, without
            targets. Points count in `labels` of the data set only.
        part: only images of this part.
        size: side of an item, in pixels (default: that of the cache).
        window: `"auto"`, computed from the pixels of each image; `"file"`, its own first window,
            else `"auto"`; or (center, width) in modality values. Not applied to colour.
        augment: True, or an `Augment` with its ranges. Boxes are clipped to the item, and dropped
            if hardly anything of them remains.
        seed: random seed of the augmentation.

    Raises:
        MissingExtraError: PyTorch is not installed.
        UsageError: several readers per image; no image of the ground truth is in the cache; no
            parts, or other ones than in the cache; `size` above that of the cache.
        UnknownNameError: there is no such part or window.

    Warns:
        UserWarning: images that are not in the cache, boxes without an area, points.
    """

    def __init__(
        self,
        cache: Cache | str | os.PathLike[str],
        truth: Boxes | str | os.PathLike[str] | None = None,
        part: str | None = None,
        size: int | None = None,
        window: WindowOption = "auto",
        augment: bool | Augment = False,
        seed: int = 0,
    ) -> None:
        self.cache = cache = open_cache(cache)
        self.size = cache.size if size is None else size
        if not 1 <= self.size <= cache.size:
            text = f"size {size}: the cache has size {cache.size}; give a size from 1 to that"
            raise UsageError(text)
        self.augment = Augment() if augment is True else augment or None
        self.seed, self.epoch = seed, 0
        boxes = None if truth is None else open_boxes(truth, cache.index)
        self._targets = select_targets(cache, boxes, part)
        rows = cache.rows.take(self._targets.rows)
        self._pixels = ShardReader(cache.folder, rows)
        self._scales = np.stack([rows["scale_x"].to_numpy(), rows["scale_y"].to_numpy()], axis=1)
        self._grey = grey_scales(rows, window)

    @property
    def classes(self) -> tuple[str, ...]:
        """Labels of the ground truth in order; label 1 of a target is the first."""
        return self._targets.classes

    @property
    def rows(self) -> NDArray[np.int64]:
        """(items,): row number in the cache."""
        return self._targets.rows

    @property
    def labels(self) -> Floats:
        """(items, classes): 1 if the class is on the image, else 0."""
        return self._targets.presence

    def set_epoch(self, epoch: int) -> None:
        """Set the epoch, which with seed and item determines the augmentation.

        Call it before each loop over a DataLoader, and leave `persistent_workers` off: persistent
        workers keep the old epoch.
        """
        self.epoch = epoch

    def __len__(self) -> int:
        return len(self.rows)

    def __getitem__(self, i: int) -> Item:
        i = range(len(self))[i]
        change = self._change(i)
        placement = self._place(i, change)
        image = torch.zeros((1, self.size, self.size))
        draw(self._pixels.read(i), placement, self._grey[i], image[0].numpy(), change)
        boxes, labels = self._boxes(i, placement)
        target = {
            "boxes": torch.from_numpy(boxes),
            "labels": torch.from_numpy(labels),
            "image_id": torch.tensor(int(self.rows[i])),
        }
        return image, target

    def to_stored(self, boxes: ArrayLike, i: int) -> NDArray[np.float64]:
        """Boxes (n, 4) in pixels of item `i`, transformed to stored pixels."""
        corners = np.asarray(boxes, np.float64).reshape(-1, 4)
        ratio, start = self._transform(i, self._place(i, self._change(i)))
        return _ordered((corners - start) / ratio)

    def _change(self, i: int) -> Change:
        if self.augment is None:
            return Change()
        return self.augment.draw(self.seed, self.epoch, i)

    def _place(self, i: int, change: Change) -> Placement:
        """Placement of item `i`: fit, zoom about the center, shift, flip."""
        height, width = self._pixels.size(i)
        fitted = min(1.0, self.size / max(height, width))
        ratio = fitted * change.zoom
        left = width * (fitted * (0.5 + change.shift_x) - ratio / 2)
        top = height * (fitted * (0.5 + change.shift_y) - ratio / 2)
        if change.flipped:
            return Placement(-ratio, ratio, left + width * ratio, top)
        return Placement(ratio, ratio, left, top)

    def _transform(
        self, i: int, placement: Placement
    ) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
        """Factors and offsets from stored pixels to the item, for x0, y0, x1, y1."""
        ratio = self._scales[i] * (placement.x, placement.y)
        return np.tile(ratio, 2), np.array([placement.left, placement.top] * 2)

    def _boxes(self, i: int, placement: Placement) -> tuple[Floats, NDArray[np.int64]]:
        own = slice(*self._targets.starts[i : i + 2])
        ratio, start = self._transform(i, placement)
        boxes = _ordered(self._targets.corners[own] * ratio + start)
        labels = self._targets.numbers[own].copy()
        if self.augment is not None:
            boxes = boxes.clip(0, self.size)
            visible = ((boxes[:, 2:] - boxes[:, :2]) >= _MIN_SIDE).all(axis=1)
            boxes, labels = boxes[visible], labels[visible]
        return boxes.astype(np.float32), labels

    def __repr__(self) -> str:
        boxes, items = len(self._targets.corners), len(self)
        return (
            f"<CacheDataset: {counted(items, 'item')} of size {self.size}, "
            f"{counted(boxes, 'box')} of "
            f"{counted(len(self.classes), 'class')}>"
        )


def _ordered(boxes: NDArray[np.float64]) -> NDArray[np.float64]:
    """Swap edges where a flip reversed them."""
    low, high = np.minimum(boxes[:, :2], boxes[:, 2:]), np.maximum(boxes[:, :2], boxes[:, 2:])
    return np.concatenate([low, high], axis=1)

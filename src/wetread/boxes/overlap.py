"""How much boxes overlap."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

Boxes = NDArray[np.float64]


def overlap(first: Boxes, second: Boxes) -> NDArray[np.float64]:
    """Intersection over union of every pair: (n, 4) and (m, 4) of x0, y0, x1, y1 -> (n, m).

    Coordinates are edges: no pixel is added. A pair without area has 0.

    >>> overlap(np.array([[0.0, 0, 2, 2]]), np.array([[1.0, 0, 3, 2], [5, 5, 6, 6]])).round(3)
    array([[0.333, 0.   ]])
    """
    return overlap_pairs(first[:, None, :], second[None, :, :])


def overlap_pairs(first: Boxes, second: Boxes) -> NDArray[np.float64]:
    """Intersection over union of boxes that stand side by side: (..., 4) and (..., 4) -> (...)."""
    low = np.maximum(first[..., :2], second[..., :2])
    high = np.minimum(first[..., 2:], second[..., 2:])
    shared = np.clip(high - low, 0, None).prod(axis=-1)
    union = _area(first) + _area(second) - shared
    ratio: NDArray[np.float64] = np.divide(
        shared, union, out=np.zeros_like(shared), where=union > 0
    )
    return ratio


def _area(boxes: Boxes) -> NDArray[np.float64]:
    area: NDArray[np.float64] = np.clip(boxes[..., 2:] - boxes[..., :2], 0, None).prod(axis=-1)
    return area

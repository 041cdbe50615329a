"""Intersection over union (IoU) of bounding boxes."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

Boxes = NDArray[np.float64]
Ints = NDArray[np.int64]
_CHUNK = 1 << 20
"""Candidate pairs compared at once: about 100 MB."""


class Overlaps(NamedTuple):
    """Overlapping pairs of boxes, sorted by `first`, then by `second`."""

    first: Ints
    """Row number in the first array."""
    second: Ints
    """Row number in the second array."""
    iou: NDArray[np.float64]


def overlap_pairs(first: Boxes, second: Boxes) -> NDArray[np.float64]:
    """Elementwise IoU, with broadcasting: (..., 4) and (..., 4) of x0, y0, x1, y1 -> (...).

    Coordinates are edges (no +1). Boxes without an area have IoU 0.

    >>> boxes = np.array([[1.0, 0, 3, 2], [5, 5, 6, 6]])
    >>> overlap_pairs(np.array([0.0, 0, 2, 2]), boxes).round(3)
    array([0.333, 0.   ])
    """
    width = np.minimum(first[..., 2], second[..., 2]) - np.maximum(first[..., 0], second[..., 0])
    height = np.minimum(first[..., 3], second[..., 3]) - np.maximum(first[..., 1], second[..., 1])
    shared = np.clip(width, 0, None) * np.clip(height, 0, None)
    union = _area(first) + _area(second) - shared
    ratio: NDArray[np.float64] = np.divide(
        shared, union, out=np.zeros_like(shared), where=union > 0
    )
    return ratio


def find_overlaps(
    first: Boxes, second: Boxes, first_group: Ints, second_group: Ints, threshold: float = 0.0
) -> Overlaps:
    """All pairs of boxes of the same group whose IoU is larger than `threshold`.

    Memory grows with the number of overlapping pairs, not of all pairs: boxes are sorted by their
    left edges, and only those that can overlap horizontally are compared, in chunks.

    Args:
        first: boxes (n, 4), x0, y0, x1, y1. A box with NaN overlaps nothing.
        second: boxes (m, 4).
        first_group: group of each box (n,), such as the number of its image; 0 or more.
        second_group: group of each box (m,).
        threshold: minimum IoU (exclusive), 0 or more.

    >>> boxes = np.array([[0.0, 0, 2, 2], [1, 0, 3, 2], [5, 5, 6, 6]])
    >>> group = np.zeros(3, np.int64)
    >>> find_overlaps(boxes, boxes[:1], group, group[:1]).iou.round(3)
    array([1.   , 0.333])
    """
    order = np.lexsort((second[:, 0], second_group))
    boxes, group = second[order], second_group[order]
    top, bottom = boxes[:, 1].copy(), boxes[:, 3].copy()
    widest = np.zeros(int(max(first_group.max(initial=0), group.max(initial=0))) + 1)
    np.fmax.at(widest, group, boxes[:, 2] - boxes[:, 0])
    edges = np.unique(boxes[:, 0])
    ranks = group * (len(edges) + 1) + np.searchsorted(edges, boxes[:, 0])

    def before(edge: NDArray[np.float64]) -> Ints:
        """Number of sorted boxes in smaller groups, or in the group and left of the edge."""
        rank = first_group * (len(edges) + 1) + np.searchsorted(edges, edge)
        return np.searchsorted(ranks, rank).astype(np.int64)

    start = before(first[:, 0] - widest[first_group])
    count = np.maximum(before(first[:, 2]) - start, 0)
    ends = np.cumsum(count)
    chunks = [Overlaps(*(np.zeros(0, np.int64),) * 2, np.zeros(0))]
    at = 0
    while at < len(first):
        end = max(at + 1, int(np.searchsorted(ends, ends[at] - count[at] + _CHUNK, "right")))
        counts = count[at:end]
        i = np.repeat(np.arange(at, end), counts)
        offset = np.arange(len(i)) - np.repeat(np.cumsum(counts) - counts, counts)
        j = np.repeat(start[at:end], counts) + offset
        near = np.flatnonzero((top[j] < first[i, 3]) & (bottom[j] > first[i, 1]))
        i, j = i[near], j[near]
        iou = overlap_pairs(first[i], boxes[j])
        near = np.flatnonzero(iou > threshold)
        i, j, iou = i[near], order[j[near]], iou[near]
        sort = np.argsort(i * len(boxes) + j, kind="stable")
        chunks.append(Overlaps(i[sort], j[sort], iou[sort]))
        at = end
    return Overlaps(*map(np.concatenate, zip(*chunks, strict=True)))


def _area(boxes: Boxes) -> NDArray[np.float64]:
    width, height = boxes[..., 2] - boxes[..., 0], boxes[..., 3] - boxes[..., 1]
    area: NDArray[np.float64] = np.clip(width, 0, None) * np.clip(height, 0, None)
    return area

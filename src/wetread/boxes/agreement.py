"""How far readers agree: on whether something is there, and on where."""

from __future__ import annotations

from collections import defaultdict
from dataclasses import dataclass, field
from itertools import combinations
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from wetread.boxes.collection import Boxes
from wetread.boxes.iou import Boxes as Corners
from wetread.boxes.iou import Ints, find_overlaps
from wetread.common.text import natural_key

if TYPE_CHECKING:
    import pandas as pd


def compare_readers(boxes: Boxes, iou: float = 0.4) -> pd.DataFrame:
    """Agreement of every pair of readers on every label, over the images that both have read.

    A reader has read the images on which they have a row, "nothing" included. Boxes of two readers
    are matched one to one, the largest overlap first.

    Args:
        boxes: of two readers or more.
        iou: two boxes match where their intersection over union is larger.

    Returns:
        A row per label and pair: `label`, `reader_a`, `reader_b`, `images` (read by both),
        `present_a`, `present_b` (images with the label), `kappa` (Cohen 1960, for presence; null
        where both always say the same one thing), `boxes_a`, `boxes_b`, `matched`,
        `matched_share` (2 x matched of all boxes of both) and `mean_iou` of the matched.
    """
    import pandas as pd

    drawn, read = _collect(boxes)
    rows = []
    for label in boxes.labels:
        for a, b in combinations(sorted(read, key=natural_key), 2):
            both = np.intersect1d(read[a], read[b])
            if len(both):
                named = {"label": label, "reader_a": a, "reader_b": b}
                rows.append(named | _compare(drawn[label, a], drawn[label, b], both, iou))
    return pd.DataFrame(rows, columns=_COLUMNS)


_COLUMNS = [
    "label",
    "reader_a",
    "reader_b",
    "images",
    "present_a",
    "present_b",
    "kappa",
    "boxes_a",
    "boxes_b",
    "matched",
    "matched_share",
    "mean_iou",
]


@dataclass
class _Drawn:
    """Boxes of one reader and label."""

    images: list[int] = field(default_factory=list)
    """Number of the image (or frame) of each box."""
    corners: list[list[float]] = field(default_factory=list)

    def on(self, images: Ints) -> tuple[Ints, Corners]:
        """The boxes on some images, and the position of each box's image among them."""
        numbers, corners = np.array(self.images, np.int64), np.array(self.corners).reshape(-1, 4)
        here = np.isin(numbers, images)
        return np.searchsorted(images, numbers[here]), corners[here]


def _collect(boxes: Boxes) -> tuple[dict[tuple[str, str], _Drawn], dict[str, Ints]]:
    """Boxes by label and reader, and the numbers of the images that each reader has read."""
    drawn: dict[tuple[str, str], _Drawn] = defaultdict(_Drawn)
    read: dict[str, set[int]] = defaultdict(set)
    numbers: dict[tuple[str, int | None], int] = {}
    columns = [boxes.table[name].to_pylist() for name in ("reader", "frame", "label", "kind")]
    rows = zip(boxes.images.to_pylist(), *columns, boxes.corners.tolist(), strict=True)
    for image, reader, frame, label, kind, corners in rows:
        if reader is None:
            continue
        number = numbers.setdefault((image, frame), len(numbers))
        read[reader].add(number)
        if kind == "box":
            drawn[label, reader].images.append(number)
            drawn[label, reader].corners.append(corners)
    return drawn, {reader: np.array(sorted(images)) for reader, images in read.items()}


def _compare(a: _Drawn, b: _Drawn, images: Ints, iou: float) -> dict[str, Any]:
    """Agreement of two readers on one label, over the images that both have read."""
    (where_a, boxes_a), (where_b, boxes_b) = a.on(images), b.on(images)
    there_a, there_b = (np.bincount(w, minlength=len(images)) > 0 for w in (where_a, where_b))
    matched = match(boxes_a, boxes_b, iou, where_a, where_b)
    total = len(boxes_a) + len(boxes_b)
    return {
        "images": len(images),
        "present_a": int(there_a.sum()),
        "present_b": int(there_b.sum()),
        "kappa": cohen_kappa(there_a, there_b),
        "boxes_a": len(boxes_a),
        "boxes_b": len(boxes_b),
        "matched": len(matched),
        "matched_share": 2 * len(matched) / total if total else np.nan,
        "mean_iou": float(matched.mean()) if len(matched) else np.nan,
    }


def match(
    first: Corners,
    second: Corners,
    iou: float,
    first_image: Ints | None = None,
    second_image: Ints | None = None,
) -> NDArray[np.float64]:
    """IoU of boxes matched one to one, the largest first: (n, 4), (m, 4) -> (k,).

    Boxes match on the same image only; without images all are of one. Of equal overlaps that of
    the smaller coordinates counts first, whatever the order of the boxes.
    """
    one, left = _count_equal(first, first_image)
    other, free = _count_equal(second, second_image)
    found = find_overlaps(
        one[:, 1:], other[:, 1:], one[:, 0].astype(np.int64), other[:, 0].astype(np.int64), iou
    )
    order = np.lexsort((found.second, found.first, -found.iou))
    taken = []
    for i, j in zip(found.first[order].tolist(), found.second[order].tolist(), strict=True):
        taken.append(min(left[i], free[j]))
        left[i] -= taken[-1]
        free[j] -= taken[-1]
    matched: NDArray[np.float64] = np.repeat(found.iou[order], np.array(taken, np.int64))
    return matched


def _count_equal(boxes: Corners, images: Ints | None) -> tuple[Corners, list[int]]:
    """The different rows (image, x0, y0, x1, y1), sorted, and how often each occurs."""
    images = np.zeros(len(boxes), np.int64) if images is None else images
    rows, counts = np.unique(np.column_stack([images, boxes]), axis=0, return_counts=True)
    return rows, counts.tolist()


def cohen_kappa(first: NDArray[np.bool_], second: NDArray[np.bool_]) -> float:
    """Cohen's kappa of two yes-or-no readings; NaN where chance explains everything.

    >>> round(cohen_kappa(np.array([1, 1, 0, 0], bool), np.array([1, 0, 0, 0], bool)), 2)
    0.5
    """
    count = len(first)
    yes, also = int(first.sum()), int(second.sum())
    expected = yes * also + (count - yes) * (count - also)  # of count squared
    observed = count * int((first == second).sum())
    return (observed - expected) / (count**2 - expected) if expected < count**2 else float("nan")

"""Inter-reader agreement on presence (Cohen's kappa) and on location (IoU of matched boxes)."""

from __future__ import annotations

from collections import defaultdict
from dataclasses import dataclass, field
from itertools import combinations
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from wetread.boxes.iou import Boxes as Corners
from wetread.boxes.iou import Ints, find_overlaps
from wetread.boxes.table import BoxTable
from wetread.common.text import natural_key

if TYPE_CHECKING:
    import pandas as pd


def compare_readers(boxes: BoxTable, iou: float = 0.4) -> pd.DataFrame:
    """Agreement of every pair of readers on every label, over the images read by both.

    A reader has read the images on which they have a row, including rows of kind "nothing". Boxes
    of two readers are matched one to one, in order of decreasing IoU.

    Args:
        boxes: boxes of two or more readers.
        iou: threshold; boxes match if their IoU is larger.

    Returns:
        One row per label and pair of readers: `label`, `reader_a`, `reader_b`, `images` (read by
        both), `present_a`, `present_b` (images with the label), `kappa` (Cohen 1960, for presence;
        null if both readers gave the same answer for every image), `boxes_a`, `boxes_b`, `matched`,
        `matched_share` (2 x matched / boxes of both readers) and `mean_iou` of the matched boxes.
    """
    import pandas as pd

    boxes_of, read = _collect(boxes.decided())
    rows = []
    for label in boxes.labels:
        for a, b in combinations(sorted(read, key=natural_key), 2):
            both = np.intersect1d(read[a], read[b])
            if len(both):
                pair = {"label": label, "reader_a": a, "reader_b": b}
                rows.append(pair | _compare(boxes_of[label, a], boxes_of[label, b], both, iou))
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
class _ReaderBoxes:
    """Boxes of one reader and label."""

    images: list[int] = field(default_factory=list)
    """Number of the image (or frame) of each box."""
    corners: list[list[float]] = field(default_factory=list)

    def on(self, images: Ints) -> tuple[Ints, Corners]:
        """Boxes on these (sorted) images, each with the position of its image in `images`."""
        numbers, corners = np.array(self.images, np.int64), np.array(self.corners).reshape(-1, 4)
        mask = np.isin(numbers, images)
        return np.searchsorted(images, numbers[mask]), corners[mask]


def _collect(boxes: BoxTable) -> tuple[dict[tuple[str, str], _ReaderBoxes], dict[str, Ints]]:
    """Boxes by label and reader, and the numbers of the images that each reader has read."""
    boxes_of: dict[tuple[str, str], _ReaderBoxes] = defaultdict(_ReaderBoxes)
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
            boxes_of[label, reader].images.append(number)
            boxes_of[label, reader].corners.append(corners)
    return boxes_of, {reader: np.array(sorted(images)) for reader, images in read.items()}


def _compare(a: _ReaderBoxes, b: _ReaderBoxes, images: Ints, iou: float) -> dict[str, Any]:
    """Agreement of two readers on one label, over the images read by both."""
    (image_a, boxes_a), (image_b, boxes_b) = a.on(images), b.on(images)
    present_a, present_b = (np.bincount(i, minlength=len(images)) > 0 for i in (image_a, image_b))
    matched = match(boxes_a, boxes_b, iou, image_a, image_b)
    total = len(boxes_a) + len(boxes_b)
    return {
        "images": len(images),
        "present_a": int(present_a.sum()),
        "present_b": int(present_b.sum()),
        "kappa": cohen_kappa(present_a, present_b),
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
    """Match boxes one to one in order of decreasing IoU: (n, 4), (m, 4) -> IoUs (k,).

    Boxes match only on the same image; without image numbers all are on one. Ties are broken by
    the smaller coordinates, so that the order of the boxes does not matter.
    """
    rows_a, left_a = _count_equal(first, first_image)
    rows_b, left_b = _count_equal(second, second_image)
    images_a, images_b = (rows[:, 0].astype(np.int64) for rows in (rows_a, rows_b))
    pairs = find_overlaps(rows_a[:, 1:], rows_b[:, 1:], images_a, images_b, iou)
    order = np.lexsort((pairs.second, pairs.first, -pairs.iou))
    counts = []
    for i, j in zip(pairs.first[order].tolist(), pairs.second[order].tolist(), strict=True):
        counts.append(min(left_a[i], left_b[j]))
        left_a[i] -= counts[-1]
        left_b[j] -= counts[-1]
    matched: NDArray[np.float64] = np.repeat(pairs.iou[order], np.array(counts, np.int64))
    return matched


def _count_equal(boxes: Corners, images: Ints | None) -> tuple[Corners, list[int]]:
    """Distinct rows (image, x0, y0, x1, y1), sorted, and the count of each."""
    images = np.zeros(len(boxes), np.int64) if images is None else images
    rows, counts = np.unique(np.column_stack([images, boxes]), axis=0, return_counts=True)
    return rows, counts.tolist()


def cohen_kappa(first: NDArray[np.bool_], second: NDArray[np.bool_]) -> float:
    """Cohen's kappa of two binary readings; NaN if the expected agreement is 1.

    >>> round(cohen_kappa(np.array([1, 1, 0, 0], bool), np.array([1, 0, 0, 0], bool)), 2)
    0.5
    """
    count = len(first)
    yes_a, yes_b = int(first.sum()), int(second.sum())
    expected = yes_a * yes_b + (count - yes_a) * (count - yes_b)  # times count squared
    observed = count * int((first == second).sum())
    return (observed - expected) / (count**2 - expected) if expected < count**2 else float("nan")

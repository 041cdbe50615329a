"""How far readers agree: on whether something is there, and on where."""

from __future__ import annotations

from itertools import combinations
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from wetread.boxes.collection import Boxes
from wetread.boxes.overlap import overlap

if TYPE_CHECKING:
    import pandas as pd

Found = dict[tuple[str, str, str], list[list[float]]]
"""(label, reader, image) -> the boxes."""


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

    found, read = _collect(boxes)
    rows = []
    for label in boxes.labels:
        for a, b in combinations(sorted(read), 2):
            both = sorted(read[a] & read[b])
            if both:
                rows.append(_compare(found, label, a, b, both, iou))
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


def _collect(boxes: Boxes) -> tuple[Found, dict[str, set[str]]]:
    """What each reader drew on each image, and the images that each has read."""
    found: Found = {}
    read: dict[str, set[str]] = {}
    table = boxes.table
    columns = [table[name].to_pylist() for name in ("reader", "frame", "label", "kind")]
    rows = zip(boxes.images.to_pylist(), *columns, boxes.corners.tolist(), strict=True)
    for image, reader, frame, label, kind, corners in rows:
        if reader is None:
            continue
        place = f"{image}\0{'' if frame is None else frame}"
        read.setdefault(reader, set()).add(place)
        if kind == "box":
            found.setdefault((label, reader, place), []).append(corners)
    return found, read


def _compare(
    found: Found, label: str, a: str, b: str, images: list[str], iou: float
) -> dict[str, Any]:
    pairs = [(found.get((label, a, i), []), found.get((label, b, i), [])) for i in images]
    there_a = np.array([bool(one) for one, _ in pairs])
    there_b = np.array([bool(other) for _, other in pairs])
    shared = [
        match(np.array(sorted(one)), np.array(sorted(other)), iou)  # sorted: ties, always the same
        for one, other in pairs
        if one and other
    ]
    matched = np.concatenate(shared) if shared else np.zeros(0)
    drawn = sum(len(one) for one, _ in pairs), sum(len(other) for _, other in pairs)
    return {
        "label": label,
        "reader_a": a,
        "reader_b": b,
        "images": len(images),
        "present_a": int(there_a.sum()),
        "present_b": int(there_b.sum()),
        "kappa": cohen_kappa(there_a, there_b),
        "boxes_a": drawn[0],
        "boxes_b": drawn[1],
        "matched": len(matched),
        "matched_share": 2 * len(matched) / sum(drawn) if sum(drawn) else np.nan,
        "mean_iou": float(matched.mean()) if len(matched) else np.nan,
    }


def match(
    first: NDArray[np.float64], second: NDArray[np.float64], iou: float
) -> NDArray[np.float64]:
    """The overlaps of boxes matched one to one, the largest first: (n, 4), (m, 4) -> (k,)."""
    ratios = overlap(first, second)
    matched = []
    while ratios.size and (best := ratios.max()) > iou:
        matched.append(best)
        at = np.unravel_index(ratios.argmax(), ratios.shape)
        ratios[at[0], :] = 0
        ratios[:, at[1]] = 0
    return np.array(matched)


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

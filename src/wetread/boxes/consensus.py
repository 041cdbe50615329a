"""Consensus of several readers or models: Weighted Boxes Fusion, NMS, union, majority."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Iterable, Sequence
from typing import Any, Literal, NamedTuple, get_args

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from wetread.boxes.table import BOX_SCHEMA, CORNERS, AnyBoxes, BoxTable
from wetread.common.text import counted
from wetread.errors import UnknownNameError, UsageError

Method = Literal["wbf", "nms", "union", "majority"]
METHODS = get_args(Method)
Corners = tuple[float, float, float, float]
_FEW = 16
"""Up to so many boxes a loop is faster than NumPy."""


class ReaderBox(NamedTuple):
    """Box of one reader; sorts by decreasing score, then by corners and reader.

    The result therefore does not depend on the order of the rows.
    """

    negative_score: float
    """-1 if the reader gave no score."""
    corners: Corners
    reader: str
    ignore: bool
    flags: tuple[str, ...]


class MergedBox(NamedTuple):
    """Box of all readers."""

    corners: Corners
    score: float
    ignore: bool
    """True if it is set in all merged boxes."""
    flags: tuple[str, ...]
    """Flags of all merged boxes."""


def merge_readers(boxes: AnyBoxes, method: Method = "wbf", iou: float = 0.4) -> AnyBoxes:
    """Merge the boxes of all readers, per image, frame and label.

    The result does not depend on the order of readers or rows.

    Args:
        boxes: boxes of any number of readers; a missing score counts as 1.
        method: `"wbf"` is Weighted Boxes Fusion (Solovyev et al., Image Vis. Comput. 2021): it
            averages overlapping boxes, and the score is their mean score times the share of readers
            with such a box (readers count, not boxes). `"majority"` is WBF restricted to boxes of
            more than half of the readers. `"nms"` (non-maximum suppression) keeps the box with the
            highest score among overlapping boxes, `"union"` keeps all boxes.
        iou: threshold; boxes overlap if their IoU is larger.

    Returns:
        Rows without a reader, sorted by key, frame and label. The readers of an image are those
        with a row on any of its frames. An image without boxes keeps one row of kind "nothing",
        whose score is the share of its readers who found nothing; if models gave such rows a
        score, the row has the mean score and is kept beside boxes. Points are kept unchanged. A
        merged box has the flags of all its boxes, and is ignored if all of them are. Readers who
        could not decide ("unsure", "bad image") are no readers of the image; if none could, it has
        one row of kind "nothing" that is ignored, with their flags.

    Raises:
        UnknownNameError: unknown method.
        UsageError: `iou` outside [0, 1), or boxes without coordinates, which `Boxes.check` lists.

    >>> from wetread.boxes import Boxes
    >>> two = Boxes.from_columns({"key": ["a", "a"], "label": ["ILD", "ILD"], "x0": [0, 1],
    ...     "y0": [0, 0], "x1": [10, 11], "y1": [10, 10], "reader": ["R1", "R2"]})
    >>> [(row["x0"], row["score"]) for row in merge_readers(two).table.to_pylist()]
    [(0.5, 1.0)]
    """
    if method not in METHODS:
        raise UnknownNameError("consensus", method, METHODS)
    if not 0 <= iou < 1:
        raise UsageError(f"iou must be at least 0 and below 1, not {iou}")
    incomplete = ~have_corners(boxes)
    if incomplete.any():
        key = boxes.table["key"][int(incomplete.argmax())].as_py()
        raise UsageError(
            f"{counted(int(incomplete.sum()), 'box', 'have')} no coordinates, such as one on "
            f"{key!r}; "
            "Boxes.check() lists them, Boxes.select() removes them"
        )
    merge = _MERGES[method]
    rows: list[tuple[Any, ...]] = []
    for image_rows in sorted(_by_image(boxes).values(), key=_sort_key):
        rows += _merge_image(image_rows, lambda boxes, readers: merge(boxes, readers, iou))
    columns = zip(*rows, strict=True) if rows else ((),) * len(BOX_SCHEMA)
    values = dict(zip(BOX_SCHEMA.names, map(list, columns), strict=True))
    return type(boxes).from_columns(values, boxes.classes, boxes.run, boxes.dialect, boxes.index)


def have_corners(boxes: BoxTable) -> NDArray[np.bool_]:
    """Boolean mask of the rows that can be merged: all four corners, or of kind "nothing"."""
    nothing = np.asarray(boxes.table["kind"]) == "nothing"
    return np.asarray(nothing | np.isfinite(boxes.corners).all(axis=1), bool)


def check_readers(rows: pa.Table, what: str = "truth") -> None:
    """Raise UsageError if several readers have rows on the same frame.

    A row without a frame is on every frame, rows without a reader count as one more reader, and
    rows without an image are ignored.

    Args:
        rows: table with the columns `image`, `frame` and `reader`.
        what: name of the rows in the message.

    Raises:
        UsageError: several readers; names some of the images.
    """
    rows = rows.filter(rows["image"].is_valid()).group_by(["image", "frame", "reader"])
    readers_of: dict[str, dict[int | None, set[str | None]]] = defaultdict(lambda: defaultdict(set))
    for row in rows.aggregate([]).to_pylist():
        readers_of[row["image"]][row["frame"]].add(row["reader"])
    several = sorted(
        image
        for image, frames in readers_of.items()
        if any(len(readers | frames.get(None, set())) > 1 for readers in frames.values())
    )
    if several:
        raise UsageError(
            f"{counted(len(several), 'image', 'have')} {what} of several readers, such as "
            f"{', '.join(several[:3])}; merge them first with Boxes.consensus(), on the command "
            "line --consensus wbf"
        )


def _by_image(boxes: BoxTable) -> dict[str, list[dict[str, Any]]]:
    images: dict[str, list[dict[str, Any]]] = defaultdict(list)
    for image, row in zip(boxes.images.to_pylist(), boxes.table.to_pylist(), strict=True):
        images[image].append(row)
    return images


def _sort_key(rows: list[dict[str, Any]]) -> tuple[str, str]:
    return _first(rows, "key") or "", _first(rows, "image") or ""


def _merge_image(
    rows: list[dict[str, Any]], merge: Callable[[list[ReaderBox], int], Iterable[MergedBox]]
) -> list[tuple[Any, ...]]:
    """Merged rows of one image, with the columns of BOX_SCHEMA."""
    image, key, group, part = (_first(rows, n) for n in ("image", "key", "group", "part"))
    decided = [row for row in rows if not (row["kind"] == "nothing" and row["ignore"])]
    if not decided:
        reasons = sorted({flag for row in rows for flag in row["flags"]})
        nobody = (None,) * 7  # frame, label, reader and corners
        return [(image, key, *nobody, 0.0, "nothing", True, reasons, group, part)]
    rows = decided
    readers = {row["reader"] or "" for row in rows}
    groups: dict[tuple[int, str], list[ReaderBox]] = defaultdict(list)
    merged: list[tuple[int, str, Sequence[float | None], float, str, bool, Sequence[str]]] = []
    for row in rows:
        frame_label = -1 if row["frame"] is None else row["frame"], row["label"] or ""
        corners = tuple(row[name] for name in CORNERS)
        score = 1.0 if row["score"] is None else row["score"]
        if row["kind"] == "box":
            flags = tuple(row["flags"])
            box = ReaderBox(-score, corners, row["reader"] or "", row["ignore"], flags)
            groups[frame_label].append(box)
        elif row["kind"] == "point":
            merged.append((*frame_label, corners, score, "point", row["ignore"], row["flags"]))
    for frame_label, boxes in groups.items():
        result = merge(sorted(boxes), len(readers))
        merged += [
            (*frame_label, box.corners, box.score, "box", box.ignore, box.flags) for box in result
        ]
    merged.sort(key=lambda row: (row[0], row[1], row[4], [c or 0 for c in row[2]], row[3]))
    scores = _nothing_scores(rows)
    if not merged or any(row["kind"] == "nothing" and row["score"] is not None for row in rows):
        share = sum(sorted(scores.values())) / len(readers)
        merged.append((-1, "", (None,) * 4, share, "nothing", False, ()))
    return [
        (image, key, f if f >= 0 else None, n or None, None, *corners, *values, group, part)
        for f, n, corners, *values in merged
    ]


def _first(rows: list[dict[str, Any]], name: str) -> str | None:
    return min((row[name] for row in rows if row[name] is not None), default=None)


def _nothing_scores(rows: list[dict[str, Any]]) -> dict[str, float]:
    """Score of "nothing" by reader; 1 if the row has none."""
    scores: dict[str, float] = {}
    for row in rows:
        if row["kind"] == "nothing":
            score = 1.0 if row["score"] is None else row["score"]
            reader = row["reader"] or ""
            scores[reader] = max(score, scores.get(reader, 0.0))
    return scores


class _Cluster:
    """Overlapping boxes and their mean, weighted by score."""

    def __init__(self, box: ReaderBox) -> None:
        self.corners = box.corners
        self.count = 0
        self.readers: set[str] = set()
        self.ignore = True
        self.flags: dict[str, None] = {}
        self._weight = 0.0
        self._sums = (0.0, 0.0, 0.0, 0.0)
        self.add(box)

    def add(self, box: ReaderBox) -> None:
        self.count += 1
        self.readers.add(box.reader)
        self.ignore &= box.ignore
        self.flags |= dict.fromkeys(box.flags)
        score = -box.negative_score
        self._weight += score
        a, b, c, d = (s + score * c for s, c in zip(self._sums, box.corners, strict=True))
        self._sums = a, b, c, d
        if self.count > 1 and (weight := self._weight) > 0:
            self.corners = a / weight, b / weight, c / weight, d / weight

    def merged(self, readers: int) -> MergedBox:
        score = self._weight / self.count * len(self.readers) / readers
        return MergedBox(self.corners, score, self.ignore, tuple(self.flags))


class _Candidates:
    """Growing list of boxes, searched for the one with the largest IoU.

    Few boxes are compared in a loop and many with NumPy, with the same result: an image may have
    three boxes or twenty thousand.
    """

    def __init__(self, capacity: int) -> None:
        self._boxes: list[Corners] = []
        self._arrays = np.empty((4, capacity if capacity > _FEW else 0))

    def set(self, number: int, corners: Corners) -> None:
        """Replace the box with this number, or append one with the next number."""
        self._boxes[number : number + 1] = [corners]
        if self._arrays.size:
            self._arrays[:, number] = corners

    def best(self, corners: Corners, iou: float) -> int | None:
        """Number of the box with the largest IoU above `iou`; the first of ties."""
        if len(self._boxes) > _FEW:
            return self._best_of_many(corners, iou)
        best, highest = None, iou
        for number, box in enumerate(self._boxes):
            ratio = _overlap(box, corners)
            if ratio > highest:
                best, highest = number, ratio
        return best

    def _best_of_many(self, corners: Corners, iou: float) -> int | None:
        x0, y0, x1, y1 = self._arrays[:, : len(self._boxes)]
        a0, b0, a1, b1 = corners
        near = np.flatnonzero((x0 < a1) & (x1 > a0) & (y0 < b1) & (y1 > b0))
        if not len(near):
            return None
        x0, y0, x1, y1 = self._arrays[:, near]
        shared = np.minimum(x1, a1) - np.maximum(x0, a0)
        shared *= np.minimum(y1, b1) - np.maximum(y0, b0)
        ratios = shared / ((x1 - x0) * (y1 - y0) + (a1 - a0) * (b1 - b0) - shared)
        best = int(ratios.argmax())
        return int(near[best]) if ratios[best] > iou else None


def _cluster(boxes: list[ReaderBox], iou: float) -> list[_Cluster]:
    """Add each box to the cluster with the largest IoU, or start a new one."""
    clusters: list[_Cluster] = []
    candidates = _Candidates(len(boxes))
    for box in boxes:
        number = candidates.best(box.corners, iou)
        if number is None:
            number = len(clusters)
            clusters.append(_Cluster(box))
        else:
            clusters[number].add(box)
        candidates.set(number, clusters[number].corners)
    return clusters


def _overlap(a: Corners, b: Corners) -> float:
    """IoU of one pair; for a single pair ten times faster than `boxes.iou.overlap`."""
    width = min(a[2], b[2]) - max(a[0], b[0])
    height = min(a[3], b[3]) - max(a[1], b[1])
    if width <= 0 or height <= 0:
        return 0.0
    shared = width * height
    return shared / ((a[2] - a[0]) * (a[3] - a[1]) + (b[2] - b[0]) * (b[3] - b[1]) - shared)


def _fuse(boxes: list[ReaderBox], readers: int, iou: float) -> list[MergedBox]:
    return [cluster.merged(readers) for cluster in _cluster(boxes, iou)]


def _fuse_majority(boxes: list[ReaderBox], readers: int, iou: float) -> list[MergedBox]:
    clusters = _cluster(boxes, iou)
    return [cluster.merged(readers) for cluster in clusters if 2 * len(cluster.readers) > readers]


def _suppress(boxes: list[ReaderBox], readers: int, iou: float) -> list[MergedBox]:
    candidates = _Candidates(len(boxes))
    remaining: list[ReaderBox] = []
    for box in boxes:
        if candidates.best(box.corners, iou) is None:
            candidates.set(len(remaining), box.corners)
            remaining.append(box)
    return _unite(remaining, readers, iou)


def _unite(boxes: list[ReaderBox], readers: int, iou: float) -> list[MergedBox]:
    return [MergedBox(box.corners, -box.negative_score, box.ignore, box.flags) for box in boxes]


_MERGES: dict[str, Callable[[list[ReaderBox], int, float], list[MergedBox]]] = {
    "wbf": _fuse,
    "majority": _fuse_majority,
    "nms": _suppress,
    "union": _unite,
}

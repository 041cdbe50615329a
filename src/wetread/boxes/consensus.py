"""Several readers, or several runs of models, merged into one."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Iterable, Sequence
from typing import Any, Literal, NamedTuple, get_args

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from wetread.boxes.collection import Boxes
from wetread.boxes.table import BOX_SCHEMA, CORNERS
from wetread.errors import UnknownNameError, UsageError

Method = Literal["wbf", "nms", "union", "majority"]
METHODS = get_args(Method)
Corners = tuple[float, float, float, float]
_FEW = 16
"""Boxes that are compared one by one, which is quicker than NumPy."""


class Mark(NamedTuple):
    """A box of one reader, in the order in which marks are taken: the surest first.

    What follows the score makes the order one, whatever order the rows came in.
    """

    doubt: float
    """The score, negative; a reader who gives none is sure."""
    corners: Corners
    reader: str


class Merged(NamedTuple):
    """A box of all readers."""

    corners: Corners
    score: float


def merge_readers(boxes: Boxes, method: Method = "wbf", iou: float = 0.4) -> Boxes:
    """One set of boxes an image, frame and label; the same whatever the order of readers or rows.

    Args:
        boxes: of any number of readers; a box without a score counts as 1.
        method: `"wbf"` is Weighted Boxes Fusion (Solovyev et al., Image Vis. Comput. 2021), which
            averages overlapping boxes; its score is their mean score times the share of readers
            who drew one (readers count, not boxes). `"majority"` keeps of these the boxes that
            more than half of the readers drew. `"nms"` keeps the surest of overlapping boxes,
            `"union"` every one.
        iou: boxes overlap where their intersection over union is larger.

    Returns:
        Rows without a reader, sorted by key, frame and label. An image's readers are those with a
        row on it, on whichever frame. An image without a box keeps one row "nothing", whose score
        is the share of its readers who found nothing; where models gave that a score of their own,
        the row holds their mean and stays beside boxes. Points are kept as they are.

    Raises:
        UnknownNameError: there is no such method.
        UsageError: an iou outside 0..1; boxes without a place, which `Boxes.check` lists.

    >>> two = Boxes.from_columns({"key": ["a", "a"], "label": ["ILD", "ILD"], "x0": [0, 1],
    ...     "y0": [0, 0], "x1": [10, 11], "y1": [10, 10], "reader": ["R1", "R2"]})
    >>> [(row["x0"], row["score"]) for row in two.consensus().table.to_pylist()]
    [(0.5, 1.0)]
    """
    if method not in METHODS:
        raise UnknownNameError("consensus", method, METHODS)
    if not 0 <= iou < 1:
        raise UsageError(f"iou must be at least 0 and below 1, not {iou}")
    lost = ~have_place(boxes)
    if lost.any():
        key = boxes.table["key"][int(lost.argmax())].as_py()
        raise UsageError(
            f"{int(lost.sum())} boxes have no place, such as one on {key!r}; Boxes.check() lists "
            "them, Boxes.select() leaves them out"
        )
    merge = _MERGES[method]
    rows: list[tuple[Any, ...]] = []
    for found in sorted(_by_image(boxes).values(), key=_name):
        rows += _merge_image(found, lambda marks, readers: merge(marks, readers, iou))
    columns = zip(*rows, strict=True) if rows else ((),) * len(BOX_SCHEMA)
    named = dict(zip(BOX_SCHEMA.names, map(list, columns), strict=True))
    return Boxes.from_columns(named, boxes.classes, boxes.run, boxes.dialect)


def have_place(boxes: Boxes) -> NDArray[np.bool_]:
    """Which rows can be merged: those of nothing, and those that have all corners."""
    nothing = np.asarray(boxes.table["kind"]) == "nothing"
    return np.asarray(nothing | np.isfinite(boxes.corners).all(axis=1), bool)


def check_readers(rows: pa.Table, what: str = "truth") -> None:
    """Refuses boxes of several readers on one frame: several opinions of one lesion are no truth.

    A row without a frame is about all of them, rows without a reader are those of one more, and
    rows without an image are passed over.

    Args:
        rows: columns `image`, `frame` and `reader`.
        what: what the rows are.

    Raises:
        UsageError: there are several; names some of the images.
    """
    rows = rows.filter(rows["image"].is_valid()).group_by(["image", "frame", "reader"])
    found: dict[str, dict[int | None, set[str | None]]] = defaultdict(lambda: defaultdict(set))
    for row in rows.aggregate([]).to_pylist():
        found[row["image"]][row["frame"]].add(row["reader"])
    several = sorted(
        image
        for image, frames in found.items()
        if any(len(readers | frames.get(None, set())) > 1 for readers in frames.values())
    )
    if several:
        raise UsageError(
            f"the {what} of {len(several)} images comes from several readers, such as "
            f"{', '.join(several[:3])}; make them one first: Boxes.consensus(), on the command "
            "line --consensus wbf"
        )


def _by_image(boxes: Boxes) -> dict[str, list[dict[str, Any]]]:
    found: dict[str, list[dict[str, Any]]] = defaultdict(list)
    for image, row in zip(boxes.images.to_pylist(), boxes.table.to_pylist(), strict=True):
        found[image].append(row)
    return found


def _name(rows: list[dict[str, Any]]) -> tuple[str, str]:
    return _first(rows, "key") or "", _first(rows, "image") or ""


def _merge_image(
    rows: list[dict[str, Any]], merge: Callable[[list[Mark], int], Iterable[Merged]]
) -> list[tuple[Any, ...]]:
    """The rows of the result, in the order of BOX_SCHEMA."""
    image, key, group, part = (_first(rows, n) for n in ("image", "key", "group", "part"))
    readers = {row["reader"] or "" for row in rows}
    marks: dict[tuple[int, str], list[Mark]] = defaultdict(list)
    made: list[tuple[int, str, Sequence[float | None], float, str]] = []
    for row in rows:
        place = -1 if row["frame"] is None else row["frame"], row["label"] or ""
        corners = tuple(row[name] for name in CORNERS)
        sure = 1.0 if row["score"] is None else row["score"]
        if row["kind"] == "box":
            marks[place].append(Mark(-sure, corners, row["reader"] or ""))
        elif row["kind"] == "point":
            made.append((*place, corners, sure, "point"))
    for place, drawn in marks.items():
        merged = merge(sorted(drawn), len(readers))
        made += [(*place, m.corners, m.score, "box") for m in merged]
    made.sort(key=lambda row: (row[0], row[1], row[4], [c or 0 for c in row[2]], row[3]))
    scores = _nothing_scores(rows)
    if not made or any(row["kind"] == "nothing" and row["score"] is not None for row in rows):
        share = sum(sorted(scores.values())) / len(readers)
        made.append((-1, "", (None,) * 4, share, "nothing"))
    return [
        (image, key, f if f >= 0 else None, n or None, None, *corners, sure, kind, group, part)
        for f, n, corners, sure, kind in made
    ]


def _first(rows: list[dict[str, Any]], name: str) -> str | None:
    return min((row[name] for row in rows if row[name] is not None), default=None)


def _nothing_scores(rows: list[dict[str, Any]]) -> dict[str, float]:
    """How sure each reader is that there is nothing; 1 where the row has no score."""
    found: dict[str, float] = {}
    for row in rows:
        if row["kind"] == "nothing":
            sure = 1.0 if row["score"] is None else row["score"]
            reader = row["reader"] or ""
            found[reader] = max(sure, found.get(reader, 0.0))
    return found


class _Cluster:
    """Overlapping marks, and their mean, weighted by score."""

    def __init__(self, mark: Mark) -> None:
        self.corners = mark.corners
        self.count = 0
        self.readers: set[str] = set()
        self._weight = 0.0
        self._sums = (0.0, 0.0, 0.0, 0.0)
        self.add(mark)

    def add(self, mark: Mark) -> None:
        self.count += 1
        self.readers.add(mark.reader)
        score = -mark.doubt
        self._weight += score
        a, b, c, d = (s + score * c for s, c in zip(self._sums, mark.corners, strict=True))
        self._sums = a, b, c, d
        if self.count > 1 and (weight := self._weight) > 0:
            self.corners = a / weight, b / weight, c / weight, d / weight

    def merged(self, readers: int) -> Merged:
        return Merged(self.corners, self._weight / self.count * len(self.readers) / readers)


class _Placed:
    """Growing list of boxes, searched for the one that a new box overlaps most.

    A few boxes are compared one by one and many with NumPy, to the same result: an image has three
    boxes or twenty thousand.
    """

    def __init__(self, most: int) -> None:
        self._boxes: list[Corners] = []
        self._arrays = np.empty((4, most if most > _FEW else 0))

    def put(self, number: int, corners: Corners) -> None:
        """Set the box of this number; the next free number appends one."""
        self._boxes[number : number + 1] = [corners]
        if self._arrays.size:
            self._arrays[:, number] = corners

    def best(self, corners: Corners, iou: float) -> int | None:
        """Number of the box with the largest IoU above `iou`, the first of equal ones."""
        if len(self._boxes) > _FEW:
            return self._best_of_many(corners, iou)
        best, most = None, iou
        for number, box in enumerate(self._boxes):
            shared = _overlap(box, corners)
            if shared > most:
                best, most = number, shared
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


def _cluster(marks: list[Mark], iou: float) -> list[_Cluster]:
    """Each mark joins the cluster that it overlaps most, or begins one."""
    clusters: list[_Cluster] = []
    placed = _Placed(len(marks))
    for mark in marks:
        number = placed.best(mark.corners, iou)
        if number is None:
            number = len(clusters)
            clusters.append(_Cluster(mark))
        else:
            clusters[number].add(mark)
        placed.put(number, clusters[number].corners)
    return clusters


def _overlap(a: Corners, b: Corners) -> float:
    """As `boxes.overlap`, for one pair: a hundred thousand times a tenth of NumPy's cost."""
    width = min(a[2], b[2]) - max(a[0], b[0])
    height = min(a[3], b[3]) - max(a[1], b[1])
    if width <= 0 or height <= 0:
        return 0.0
    shared = width * height
    return shared / ((a[2] - a[0]) * (a[3] - a[1]) + (b[2] - b[0]) * (b[3] - b[1]) - shared)


def _fuse(marks: list[Mark], readers: int, iou: float) -> list[Merged]:
    return [cluster.merged(readers) for cluster in _cluster(marks, iou)]


def _fuse_majority(marks: list[Mark], readers: int, iou: float) -> list[Merged]:
    clusters = _cluster(marks, iou)
    return [cluster.merged(readers) for cluster in clusters if 2 * len(cluster.readers) > readers]


def _suppress(marks: list[Mark], readers: int, iou: float) -> list[Merged]:
    placed = _Placed(len(marks))
    kept: list[Mark] = []
    for mark in marks:
        if placed.best(mark.corners, iou) is None:
            placed.put(len(kept), mark.corners)
            kept.append(mark)
    return [Merged(mark.corners, -mark.doubt) for mark in kept]


def _unite(marks: list[Mark], readers: int, iou: float) -> list[Merged]:
    return [Merged(mark.corners, -mark.doubt) for mark in marks]


_MERGES: dict[str, Callable[[list[Mark], int, float], list[Merged]]] = {
    "wbf": _fuse,
    "majority": _fuse_majority,
    "nms": _suppress,
    "union": _unite,
}

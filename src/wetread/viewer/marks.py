"""Boxes by image: what readers drew, what they agree on, what a model found."""

from __future__ import annotations

from functools import cached_property
from typing import Any

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from wetread.boxes import Boxes
from wetread.boxes.consensus import Method, merge_readers
from wetread.boxes.table import CORNERS
from wetread.evaluation.cases import Cases, Side
from wetread.evaluation.matching import match_free, pair_boxes
from wetread.viewer.catalogue import Ids, to_id, to_numbers

MOST_MISSES = 10_000


class Marks:
    """The boxes of one side, joined to the index; may be None."""

    def __init__(self, boxes: Boxes | None) -> None:
        rows = boxes.table.filter(boxes.table["image"].is_valid()) if boxes else None
        self.boxes = None if rows is None else Boxes(rows)
        ids = np.zeros(0, np.uint64) if rows is None else to_numbers(rows["image"])
        self._order = np.argsort(ids, kind="stable")
        self._ids = ids[self._order]

    def __bool__(self) -> bool:
        return self.boxes is not None

    def on(self, id_: str, frame: int | None = None) -> list[dict[str, Any]]:
        """The boxes and points on an image; with a frame, those of all frames or of that one."""
        if self.boxes is None:
            return []
        return [
            {name: row[name] for name in ("label", "reader", *CORNERS, "score", "kind")}
            for row in self._rows(id_).table.to_pylist()
            if row["kind"] != "nothing"
            and None not in (row["x0"], row["y0"])
            and (frame is None or row["frame"] in (None, frame))
        ]

    def merged(self, id_: str, frame: int, method: Method) -> list[dict[str, Any]]:
        """What the readers of an image agree on; nothing where there is one reader at most."""
        rows = self._rows(id_)
        if len(rows.readers) < 2:
            return []
        return Marks(merge_readers(rows, method)).on(id_, frame)

    def count(self, ids: list[str]) -> list[int]:
        """How many boxes each of some images has."""
        numbers = np.array([int(id_, 16) for id_ in ids], np.uint64)
        known, counts = self._counts
        if not len(known):
            return [0] * len(ids)
        at = np.minimum(np.searchsorted(known, numbers), len(known) - 1)
        return [int(n) for n in np.where(known[at] == numbers, counts[at], 0)]

    @cached_property
    def _counts(self) -> tuple[Ids, NDArray[np.int64]]:
        if self.boxes is None:
            return self._ids, np.zeros(0, np.int64)
        drawn = np.asarray(pa.compute.not_equal(self.boxes.table["kind"], "nothing"), bool)
        return np.unique(self._ids[drawn[self._order]], return_counts=True)

    def _rows(self, id_: str) -> Boxes:
        assert self.boxes is not None
        number = np.uint64(int(id_, 16))
        low, high = np.searchsorted(self._ids, number), np.searchsorted(self._ids, number, "right")
        return Boxes(self.boxes.table.take(pa.array(self._order[low:high])))


def one_opinion(boxes: Boxes, method: Method) -> Boxes:
    """The boxes as they are where one reader drew them, else what the readers agree on."""
    return boxes if len(boxes.readers) < 2 else merge_readers(boxes, method)


def count_misses(truth: Boxes, found: Boxes, iou: float, score: float) -> dict[str, dict[str, int]]:
    """Images with a box that the other side has not: how many of the model's, how many missed.

    Boxes are matched as COCO does: by label, the highest score first, each with the free box of
    the truth that it overlaps most, from an IoU of `iou` on; below `score` they do not count.
    """
    labels = tuple(dict.fromkeys([*truth.labels, *found.labels]))
    sides = [_read_side(truth, labels, 0.0), _read_side(found, labels, score)]
    ids = np.unique(np.concatenate([image for image, *_ in sides]))
    expected, seen = (_to_side(np.searchsorted(ids, image), *rest) for image, *rest in sides)
    cases = Cases(labels, np.arange(len(ids)), seen, expected)
    pairs = pair_boxes(cases)
    hit = match_free(pairs, cases, [iou], at_threshold=True, most=None)[:, 0]
    wrong = np.bincount(seen.image[~hit], minlength=len(ids))
    missed = np.bincount(expected.image, minlength=len(ids))
    missed -= np.bincount(seen.image[hit], minlength=len(ids))
    at = np.flatnonzero((wrong > 0) | (missed > 0))
    return {to_id(ids[i]): {"fp": int(wrong[i]), "fn": int(missed[i])} for i in at}


def _read_side(boxes: Boxes, labels: tuple[str, ...], score: float) -> tuple[Any, ...]:
    """Image, label, corners and score of the boxes that count."""
    table = boxes.table
    corners = boxes.corners
    scores = table["score"].fill_null(1.0).to_numpy().astype(float)
    kept = np.asarray(pa.compute.equal(table["kind"], "box"), bool)
    kept &= np.isfinite(corners).all(axis=1) & (scores >= score)
    kept &= np.asarray(table["label"].is_valid(), bool)
    label = pa.compute.index_in(table["label"], value_set=pa.array(labels, pa.string()))
    number = np.asarray(label.fill_null(0)).astype(np.int64)
    return to_numbers(table["image"])[kept], number[kept], corners[kept], scores[kept]


def _to_side(image: Any, label: Any, box: Any, score: Any) -> Side:
    order = np.lexsort((*box.T[::-1], -score, label, image))
    return Side(image[order], label[order], box[order], score[order])

"""Boxes by image: what readers drew, what they agree on, what a model found."""

from __future__ import annotations

from functools import cached_property
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from wetread.boxes import Boxes
from wetread.boxes.consensus import Method, have_corners, merge_readers
from wetread.boxes.table import CORNERS
from wetread.evaluation.cases import Cases, Side
from wetread.evaluation.matching import match_free, pair_boxes
from wetread.viewer.ids import Ids, to_id, to_number, to_numbers

_SHOWN = ("label", "reader", *CORNERS, "score", "kind")


class Marks:
    """The boxes of one side that are on an image of the index; there may be none."""

    def __init__(self, boxes: Boxes | None) -> None:
        self.given = boxes is not None
        boxes = Boxes.from_columns({"image": []}) if boxes is None else boxes
        rows = boxes.table.filter(boxes.table["image"].is_valid())
        ids = to_numbers(rows["image"])
        order = np.argsort(ids, kind="stable")
        self._ids: Ids = ids[order]
        self.boxes = Boxes(rows.take(pa.array(order)))

    def on(self, id_: str, frame: int | None = None) -> list[dict[str, Any]]:
        """The boxes and points on an image; with a frame, those of all frames or of that one."""
        return [
            {name: row[name] for name in _SHOWN}
            for row in self._rows(id_).table.to_pylist()
            if row["kind"] != "nothing"
            and None not in (row["x0"], row["y0"])
            and (frame is None or row["frame"] in (None, frame))
        ]

    def merged(self, id_: str, frame: int, method: Method) -> list[dict[str, Any]] | None:
        """What the readers of an image agree on; None where fewer than two read it."""
        rows = _placed(self._rows(id_))
        if len(rows.table["reader"].fill_null("").unique()) < 2:
            return None
        return Marks(merge_readers(rows, method)).on(id_, frame)

    def found_nothing(self, id_: str) -> list[str]:
        """The readers of an image who drew nothing."""
        rows = self._rows(id_).table.to_pylist()
        return sorted({r["reader"] for r in rows if r["kind"] == "nothing" and r["reader"]})

    def count(self, ids: list[str]) -> list[int]:
        """How many boxes each of some images has."""
        known, counts = self._counts
        if not len(known):
            return [0] * len(ids)
        numbers = np.array([to_number(id_) for id_ in ids], np.uint64)
        at = np.minimum(np.searchsorted(known, numbers), len(known) - 1)
        return [int(n) for n in np.where(known[at] == numbers, counts[at], 0)]

    @cached_property
    def _counts(self) -> tuple[Ids, NDArray[np.int64]]:
        drawn = np.asarray(pc.not_equal(self.boxes.table["kind"], "nothing"), bool)
        return np.unique(self._ids[drawn], return_counts=True)

    def opinion(self, method: Method) -> Boxes:
        """What readers agree on; where one alone read an image, what is drawn there."""
        table = self.boxes.table
        names = table["reader"].fill_null("").combine_chunks().dictionary_encode()
        each = np.unique(np.stack([self._ids, np.asarray(names.indices).astype(np.uint64)]), axis=1)
        read, readers = np.unique(each[0], return_counts=True)
        several = np.isin(self._ids, read[readers > 1])
        if not several.any():
            return self.boxes
        merged = merge_readers(_placed(self.boxes.select(several)), method)
        alone = self.boxes.select(~several)
        return Boxes(pa.concat_tables([alone.table, merged.table.cast(alone.table.schema)]))

    def _rows(self, id_: str) -> Boxes:
        number = to_number(id_)
        low, high = np.searchsorted(self._ids, number), np.searchsorted(self._ids, number, "right")
        return Boxes(self.boxes.table.slice(low, high - low))


def _placed(boxes: Boxes) -> Boxes:
    return boxes.select(have_corners(boxes))


def count_misses(truth: Boxes, found: Boxes, iou: float, score: float) -> dict[str, dict[str, int]]:
    """Images with a box that the other side has not: the model's are `fp`, those missed `fn`.

    Boxes are matched as COCO does: by frame and label, the highest score first, each with the free
    box of the truth that it overlaps most, from an IoU of `iou` on; boxes below `score` do not
    count. A box of all frames is taken for one of the first.
    """
    labels = tuple(dict.fromkeys([*truth.labels, *found.labels]))
    sides = [_read_side(truth, labels, -np.inf), _read_side(found, labels, score)]
    frames = np.concatenate([frame for _, frame, *_ in sides])
    ids, image = np.unique(np.concatenate([image for image, *_ in sides]), return_inverse=True)
    unit = image * (1 + frames.max(initial=0)) + frames
    split = len(sides[0][0])
    expected, seen = (
        _to_side(mine, *side[2:])
        for mine, side in zip((unit[:split], unit[split:]), sides, strict=True)
    )
    cases = Cases(labels, np.zeros(0, np.int64), seen, expected)
    hit = match_free(pair_boxes(cases), cases, [iou], at_threshold=True, most=None)[:, 0]
    step = 1 + frames.max(initial=0)

    def count(units: NDArray[np.int64]) -> NDArray[np.int64]:
        return np.bincount(units // step, minlength=len(ids))

    wrong = count(seen.image[~hit])
    missed = count(expected.image) - count(seen.image[hit])
    at = np.flatnonzero((wrong > 0) | (missed > 0))
    return {to_id(ids[i]): {"fp": int(wrong[i]), "fn": int(missed[i])} for i in at}


def _read_side(boxes: Boxes, labels: tuple[str, ...], score: float) -> tuple[Any, ...]:
    """Image, frame, label, corners and score of the boxes that count."""
    table, corners = boxes.table, boxes.corners
    scores = table["score"].fill_null(1.0).to_numpy().astype(float)
    label = pc.index_in(table["label"], value_set=pa.array(labels, pa.string()), skip_nulls=True)
    kept = np.asarray(pc.equal(table["kind"], "box"), bool) & np.asarray(label.is_valid(), bool)
    kept &= np.isfinite(corners).all(axis=1) & (scores >= score)
    numbers = (np.asarray(c.fill_null(0)).astype(np.int64) for c in (table["frame"], label))
    columns = (to_numbers(table["image"]), *numbers, corners, scores)
    return tuple(column[kept] for column in columns)


def _to_side(image: Any, label: Any, box: Any, score: Any) -> Side:
    order = np.lexsort((*box.T[::-1], -score, label, image))
    return Side(image[order], label[order], box[order], score[order])

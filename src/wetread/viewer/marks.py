"""Boxes by image, the consensus of their readers, and false positives and negatives."""

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


class BoxesByImage:
    """Boxes of the images of an index, sorted by image id; `available` is False without any."""

    def __init__(self, boxes: Boxes | None) -> None:
        self.available = boxes is not None
        boxes = Boxes.from_columns({"image": []}) if boxes is None else boxes
        rows = boxes.table.filter(boxes.table["image"].is_valid())
        ids = to_numbers(rows["image"])
        order = np.argsort(ids, kind="stable")
        self._ids: Ids = ids[order]
        self.boxes = Boxes(rows.take(pa.array(order)))

    def on(self, id_: str, frame: int | None = None) -> list[dict[str, Any]]:
        """Boxes and points of an image; with a frame, those of that frame or of all frames."""
        return [
            {name: row[name] for name in _SHOWN}
            for row in self._rows(id_).table.to_pylist()
            if row["kind"] != "nothing"
            and None not in (row["x0"], row["y0"])
            and (frame is None or row["frame"] in (None, frame))
        ]

    def consensus(self, id_: str, frame: int, method: Method) -> list[dict[str, Any]] | None:
        """Consensus of the readers of an image; None for fewer than two readers."""
        rows = _located(self._rows(id_))
        if len(rows.table["reader"].fill_null("").unique()) < 2:
            return None
        return BoxesByImage(merge_readers(rows, method)).on(id_, frame)

    def negative_readers(self, id_: str) -> list[str]:
        """Readers of an image who marked it as without findings."""
        rows = self._rows(id_).table.to_pylist()
        return sorted({r["reader"] for r in rows if r["kind"] == "nothing" and r["reader"]})

    def count(self, ids: list[str]) -> list[int]:
        """Number of boxes of each image."""
        known, counts = self._counts
        if not len(known):
            return [0] * len(ids)
        numbers = np.array([to_number(id_) for id_ in ids], np.uint64)
        at = np.minimum(np.searchsorted(known, numbers), len(known) - 1)
        return [int(n) for n in np.where(known[at] == numbers, counts[at], 0)]

    @cached_property
    def _counts(self) -> tuple[Ids, NDArray[np.int64]]:
        positive = np.asarray(pc.not_equal(self.boxes.table["kind"], "nothing"), bool)
        return np.unique(self._ids[positive], return_counts=True)

    def ground_truth(self, method: Method) -> Boxes:
        """Consensus of each image with several readers; the boxes as drawn of all others."""
        table = self.boxes.table
        names = table["reader"].fill_null("").combine_chunks().dictionary_encode()
        readers = np.asarray(names.indices).astype(np.uint64)
        pairs = np.unique(np.stack([self._ids, readers]), axis=1)
        images, counts = np.unique(pairs[0], return_counts=True)
        several = np.isin(self._ids, images[counts > 1])
        if not several.any():
            return self.boxes
        merged = merge_readers(_located(self.boxes.select(several)), method)
        single = self.boxes.select(~several)
        return Boxes(pa.concat_tables([single.table, merged.table.cast(single.table.schema)]))

    def _rows(self, id_: str) -> Boxes:
        number = to_number(id_)
        low, high = np.searchsorted(self._ids, number), np.searchsorted(self._ids, number, "right")
        return Boxes(self.boxes.table.slice(low, high - low))


def _located(boxes: Boxes) -> Boxes:
    """Boxes that have coordinates."""
    return boxes.select(have_corners(boxes))


def count_misses(
    truth: Boxes, predictions: Boxes, iou: float, score: float
) -> dict[str, dict[str, int]]:
    """False positives (`fp`) and false negatives (`fn`) of the images that have any.

    Matching as in COCO: per frame and label, in order of descending score, each prediction takes
    the free ground-truth box with the highest IoU of at least `iou`; predictions below `score` are
    ignored. A box of all frames counts as one of the first frame.
    """
    labels = tuple(dict.fromkeys([*truth.labels, *predictions.labels]))
    sides = [_read_side(truth, labels, -np.inf), _read_side(predictions, labels, score)]
    frames = np.concatenate([frame for _, frame, *_ in sides])
    ids, image = np.unique(np.concatenate([image for image, *_ in sides]), return_inverse=True)
    unit = image * (1 + frames.max(initial=0)) + frames
    split = len(sides[0][0])
    expected, predicted = (
        _to_side(units, *side[2:])
        for units, side in zip((unit[:split], unit[split:]), sides, strict=True)
    )
    cases = Cases(labels, np.zeros(0, np.int64), predicted, expected)
    judged = match_free(pair_boxes(cases), cases, [iou], at_threshold=True, most=None)
    hit, counted = judged.hit[:, 0], judged.counted[:, 0]
    step = 1 + frames.max(initial=0)

    def count(units: NDArray[np.int64]) -> NDArray[np.int64]:
        return np.bincount(units // step, minlength=len(ids))

    fp = count(predicted.image[counted & ~hit])
    fn = count(expected.image[~expected.ignore]) - count(predicted.image[hit])
    return {
        to_id(ids[i]): {"fp": int(fp[i]), "fn": int(fn[i])} for i in np.flatnonzero(fp + fn > 0)
    }


def _read_side(boxes: Boxes, labels: tuple[str, ...], score: float) -> tuple[Any, ...]:
    """Image, frame, label, corners, score and `ignore` of the boxes to be matched."""
    table, corners = boxes.table, boxes.corners
    scores = table["score"].fill_null(1.0).to_numpy().astype(float)
    label = pc.index_in(table["label"], value_set=pa.array(labels, pa.string()), skip_nulls=True)
    valid = np.asarray(pc.equal(table["kind"], "box"), bool) & np.asarray(label.is_valid(), bool)
    valid &= np.isfinite(corners).all(axis=1) & (scores >= score)
    numbers = (np.asarray(c.fill_null(0)).astype(np.int64) for c in (table["frame"], label))
    ignore = np.asarray(table["ignore"].combine_chunks().to_numpy(zero_copy_only=False), bool)
    columns = (to_numbers(table["image"]), *numbers, corners, scores, ignore)
    return tuple(column[valid] for column in columns)


def _to_side(image: Any, label: Any, box: Any, score: Any, ignore: Any) -> Side:
    order = np.lexsort((*box.T[::-1], -score, label, image))
    return Side(image[order], label[order], box[order], score[order], ignore[order])

"""Boxes by image, the consensus of their readers, and false positives and negatives."""

from __future__ import annotations

import math
from functools import cached_property
from typing import Any, NamedTuple

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from wetread.boxes import Boxes
from wetread.boxes.consensus import Method, have_corners, merge_readers
from wetread.boxes.iou import find_overlaps
from wetread.boxes.table import CORNERS
from wetread.evaluation.bootstrap import Flags, Floats, Ints
from wetread.evaluation.cases import Cases, Side
from wetread.evaluation.matching import match_free, pair_boxes
from wetread.viewer.ids import Ids, to_id, to_number, to_numbers
from wetread.viewer.memo import memoize
from wetread.viewer.orders import distinct

_SHOWN = ("label", "reader", *CORNERS, "score", "kind")


class BoxesByImage:
    """Boxes of the images of an index, sorted by image id; `available` is False without any."""

    def __init__(self, boxes: Boxes | None) -> None:
        self.available = boxes is not None
        boxes = Boxes.from_columns({"image": []}) if boxes is None else boxes
        rows = boxes.table.filter(boxes.table["image"].is_valid())
        ids = to_numbers(rows["image"])
        order = np.argsort(ids, kind="stable")
        self.ids: Ids = ids[order]
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
    def scores(self) -> NDArray[np.float64]:
        """Score of each box; 1 without one."""
        scores: NDArray[np.float64] = self.boxes.table["score"].fill_null(1.0).to_numpy()
        return scores

    @cached_property
    def positive(self) -> Flags:
        """True for boxes and points, False for readings without a finding."""
        return np.asarray(pc.not_equal(self.boxes.table["kind"], "nothing"), bool)

    @cached_property
    def _counts(self) -> tuple[Ids, NDArray[np.int64]]:
        return np.unique(self.ids[self.positive], return_counts=True)

    def ground_truth(self, method: Method) -> Boxes:
        """Consensus of each image with several readers; the boxes as drawn of all others."""
        table = self.boxes.table
        names = table["reader"].fill_null("").combine_chunks().dictionary_encode()
        readers = np.asarray(names.indices).astype(np.uint64)
        pairs = np.unique(np.stack([self.ids, readers]), axis=1)
        images, counts = np.unique(pairs[0], return_counts=True)
        several = np.isin(self.ids, images[counts > 1])
        if not several.any():
            return self.boxes
        merged = merge_readers(_located(self.boxes.select(several)), method)
        single = self.boxes.select(~several)
        return Boxes(pa.concat_tables([single.table, merged.table.cast(single.table.schema)]))

    def _rows(self, id_: str) -> Boxes:
        number = to_number(id_)
        low, high = np.searchsorted(self.ids, number), np.searchsorted(self.ids, number, "right")
        return Boxes(self.boxes.table.slice(low, high - low))


def _located(boxes: Boxes) -> Boxes:
    """Boxes that have coordinates."""
    return boxes.select(have_corners(boxes))


class Marks:
    """Boxes of the readers and of the model, and their matching; thread-safe."""

    def __init__(self, truth: Boxes | None, predictions: Boxes | None, method: Method) -> None:
        self.truth, self.predictions = BoxesByImage(truth), BoxesByImage(predictions)
        self.method = method
        self.ground_truth = memoize(self._merge)
        self.disagreement = memoize(lambda iou: disagreement(self.truth, iou), 4)
        self.match = memoize(self._match_all, 4)

    @property
    def judging(self) -> bool:
        """True if there are predictions and ground truth."""
        return self.truth.available and self.predictions.available

    @property
    def columns(self) -> list[str]:
        """Columns of the boxes: label, reader, score, outcome, as far as there are any."""
        some = self.truth.available or self.predictions.available
        known = {
            "label": some,
            "reader": bool(self.truth.boxes.readers),
            "score": self.predictions.available,
            "outcome": self.judging,
        }
        return [name for name, there in known.items() if there]

    @property
    def image_columns(self) -> list[str]:
        """Columns of the images: boxes, disagreement, missed, false_positive, likewise."""
        known = {
            "boxes": self.truth.available,
            "disagreement": len(self.truth.boxes.readers) > 1,
            "missed": self.judging,
            "false_positive": self.judging,
        }
        return [name for name, there in known.items() if there]

    def _merge(self) -> BoxesByImage:
        return BoxesByImage(self.truth.ground_truth(self.method))

    def _match_all(self, iou: float) -> Matched:
        return match(self.ground_truth().boxes, self.predictions.boxes, iou)

    def misses(self, iou: float, score: float) -> dict[str, dict[str, int]]:
        """False positives and false negatives by image; see `count_misses`."""
        return count_misses(self.ground_truth(), self.predictions, self.match(iou).above(score))

    @cached_property
    def start(self) -> dict[str, Any]:
        """Minimum score at which predictions are shown first, and the reason.

        The score of the best F1 at an IoU of 0.5; without ground truth, or if no prediction is
        right, the score that leaves ten predictions per image on average.
        """
        if self.judging:
            best = best_score(self.match(0.5))
            if best is not None:
                return {"score": _floor(best[0]), "f1": best[1]}
        return {"score": _floor(tenth_score(self.predictions)), "f1": None}


def _floor(score: float) -> float:
    """Score rounded down to the steps of the slider."""
    return max(0.0, math.floor(1000 * score) / 1000)


class Matched(NamedTuple):
    """Predictions matched to ground truth, by image, frame and label."""

    predicted: Ints
    """(n,): row number of each prediction in its table."""
    score: Floats
    """(n,): its score."""
    hit: Flags
    """(n,): true positives."""
    counted: Flags
    """(n,): False for boxes that are neither right nor wrong."""
    expected: Ints
    """(m,): row number of each ground-truth box."""
    found: Floats
    """(m,): score of the true positive that finds it, and above which it is missed; NaN for none.
    The boxes of an image, frame and label count as found one after the other."""

    def above(self, score: float) -> Matched:
        """Matches of the predictions of at least `score`, which do not depend on those below."""
        shown = self.score >= score
        return Matched(
            self.predicted[shown],
            self.score[shown],
            self.hit[shown],
            self.counted[shown],
            self.expected,
            np.where(self.found >= score, self.found, np.nan),
        )


def match(truth: Boxes, predictions: Boxes, iou: float) -> Matched:
    """Match predictions to ground truth, as in COCO.

    Per frame and label, in order of descending score, each prediction takes the free ground-truth
    box with the highest IoU of at least `iou`. A box of all frames counts as one of the first.
    """
    labels = tuple(dict.fromkeys([*truth.labels, *predictions.labels]))
    sides = [_read_side(side, labels) for side in (truth, predictions)]
    frames = np.concatenate([side.frame for side in sides])
    _, image = np.unique(np.concatenate([side.image for side in sides]), return_inverse=True)
    unit = image * (1 + frames.max(initial=0)) + frames
    units = np.split(unit, [len(sides[0].frame)])
    expected, predicted = map(_to_side, units, sides)
    cases = Cases(labels, np.zeros(0, np.int64), predicted.side, expected.side)
    judged = match_free(pair_boxes(cases), cases, [iou], at_threshold=True, most=None)
    hit, counted = judged.hit[:, 0], judged.counted[:, 0]

    def cells(side: Side) -> Ints:
        return side.image * len(labels) + side.label

    real = ~expected.side.ignore
    at, scores = cells(expected.side)[real], predicted.side.score
    own = cells(predicted.side)[hit]  # by descending score in each cell
    turn = np.arange(len(own)) - np.searchsorted(own, own)
    found = np.full(len(at), np.nan)
    found[np.searchsorted(at, own) + turn] = scores[hit]
    return Matched(predicted.rows, scores, hit, counted, expected.rows[real], found)


def count_misses(
    truth: BoxesByImage, predictions: BoxesByImage, matched: Matched
) -> dict[str, dict[str, int]]:
    """False positives (`fp`) and false negatives (`fn`) of the images that have any."""
    wrong = predictions.ids[matched.predicted[matched.counted & ~matched.hit]]
    missed = truth.ids[matched.expected[np.isnan(matched.found)]]
    ids, at = np.unique(np.concatenate([wrong, missed]), return_inverse=True)
    fp = np.bincount(at[: len(wrong)], minlength=len(ids))
    fn = np.bincount(at[len(wrong) :], minlength=len(ids))
    return {to_id(ids[i]): {"fp": int(fp[i]), "fn": int(fn[i])} for i in range(len(ids))}


def best_score(matched: Matched) -> tuple[float, float] | None:
    """Lowest score to show for the best F1, and that F1; None if no prediction is right."""
    scores, hit = matched.score[matched.counted], matched.hit[matched.counted]
    total = len(matched.expected)
    if not hit.any():
        return None
    order = np.argsort(-scores, kind="stable")
    scores, right = scores[order], np.cumsum(hit[order])
    f1 = 2 * right / (np.arange(1, len(right) + 1) + total)
    f1[:-1][scores[:-1] == scores[1:]] = 0.0  # equal scores are shown together
    best = int(np.argmax(f1))
    return float(scores[best]), float(f1[best])


def tenth_score(predictions: BoxesByImage) -> float:
    """Score above which images with predictions have ten on average."""
    scores = np.sort(predictions.boxes.table["score"].fill_null(1.0).to_numpy())[::-1]
    wanted = 10 * len(np.unique(predictions.ids))
    return float(scores[min(wanted, len(scores)) - 1]) if len(scores) else 0.0


def disagreement(boxes: BoxesByImage, iou: float) -> tuple[Ids, NDArray[np.float64]]:
    """Disagreement of the readers of an image: 0 for the same boxes, 1 for no box in common.

    The share of (box, other reader of the image) pairs in which that reader has no box of the same
    label and frame with an IoU of at least `iou`.

    Returns:
        Ids of the images with two or more readers, and their disagreement.
    """
    table = boxes.boxes.table
    names = table["reader"].fill_null("").combine_chunks().dictionary_encode()
    readers = np.asarray(names.indices).astype(np.int64)
    images, image = np.unique(boxes.ids, return_inverse=True)
    several = len(names.dictionary)
    own = distinct(image * several + readers)
    count = np.bincount(own // several, minlength=len(images))
    side = _read_side(boxes.boxes, boxes.boxes.labels)
    at, who = image[side.rows], readers[side.rows]
    unit = at * (1 + side.frame.max(initial=0)) + side.frame
    cell = unit * len(boxes.boxes.labels) + side.label
    pairs = find_overlaps(side.box, side.box, cell, cell, 0.0)
    near = (pairs.iou >= iou) & (who[pairs.first] != who[pairs.second])
    agreed = distinct(pairs.first[near] * several + who[pairs.second[near]]) // several
    wanted = np.bincount(at, count[at] - 1, len(images))
    reached = np.bincount(at[agreed], minlength=len(images))
    share = np.divide(reached, wanted, out=np.ones(len(images)), where=wanted > 0)
    return images[count > 1], 1 - share[count > 1]


class _Rows(NamedTuple):
    """Boxes to be matched: row numbers in their table, and their columns."""

    rows: Ints
    image: Ids
    frame: Ints
    label: Ints
    box: NDArray[np.float64]
    score: NDArray[np.float64]
    ignore: Flags


def _read_side(boxes: Boxes, labels: tuple[str, ...]) -> _Rows:
    table, corners = boxes.table, boxes.corners
    scores = table["score"].fill_null(1.0).to_numpy().astype(float)
    label = pc.index_in(table["label"], value_set=pa.array(labels, pa.string()), skip_nulls=True)
    valid = np.asarray(pc.equal(table["kind"], "box"), bool) & np.asarray(label.is_valid(), bool)
    valid &= np.isfinite(corners).all(axis=1)
    numbers = (np.asarray(c.fill_null(0)).astype(np.int64) for c in (table["frame"], label))
    ignore = np.asarray(table["ignore"].combine_chunks().to_numpy(zero_copy_only=False), bool)
    rows = np.arange(len(boxes))
    columns = (rows, to_numbers(table["image"]), *numbers, corners, scores, ignore)
    return _Rows(*(column[valid] for column in columns))


class _Sorted(NamedTuple):
    """A side of a matching, and the row number of each of its boxes."""

    rows: Ints
    side: Side


def _to_side(unit: Ints, rows: _Rows) -> _Sorted:
    order = np.lexsort((*rows.box.T[::-1], -rows.score, rows.label, unit))
    label, score, ignore = rows.label[order], rows.score[order], rows.ignore[order]
    return _Sorted(rows.rows[order], Side(unit[order], label, rows.box[order], score, ignore))

"""Match predicted to ground-truth boxes, for all images at once."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np

from wetread.boxes.iou import find_overlaps
from wetread.evaluation.bootstrap import Flags, Floats, Ints
from wetread.evaluation.cases import Cases


@dataclass(frozen=True)
class Pairs:
    """Pairs of overlapping predicted and ground-truth boxes of one image and label."""

    predicted: Ints
    """(pairs,): index of the predicted box."""
    truth: Ints
    """(pairs,): index of the ground-truth box."""
    iou: Floats
    """(pairs,): intersection over union."""

    def take(self, indices: Ints | Flags) -> Pairs:
        """The pairs at some indices, in that order."""
        return Pairs(self.predicted[indices], self.truth[indices], self.iou[indices])


class Judged(NamedTuple):
    """Predicted boxes as right, wrong, or neither, for each of m matchings."""

    hit: Flags
    """(predictions, m): true positives."""
    counted: Flags
    """(predictions, m): False for boxes that are neither right nor wrong."""

    def first(self) -> Judged:
        """The first matching alone."""
        return Judged(self.hit[:, :1], self.counted[:, :1])


def pair_boxes(cases: Cases) -> Pairs:
    """Pairs of overlapping boxes, sorted by predicted box."""
    predicted, truth = (
        side.image * len(cases.labels) + side.label for side in (cases.predicted, cases.truth)
    )
    return Pairs(*find_overlaps(cases.predicted.box, cases.truth.box, predicted, truth))


def match_largest(pairs: Pairs) -> Pairs:
    """Pair of the largest IoU for each predicted box."""
    start = np.unique(pairs.predicted, return_index=True)[1]  # sorted by predicted, then truth
    count = np.diff(start, append=len(pairs.predicted))
    largest = np.maximum.reduceat(pairs.iou, start) if len(start) else pairs.iou
    best = pairs.take(pairs.iou == np.repeat(largest, count))
    return best.take(np.unique(best.predicted, return_index=True)[1])


def judge_largest(pairs: Pairs, cases: Cases, iou: float) -> Judged:
    """Matching of PASCAL VOC: each box belongs to the ground-truth box of the largest IoU.

    Above the threshold, the first box (by falling score) of a ground-truth box is a hit; boxes of
    one to ignore are neither right nor wrong.
    """
    best = match_largest(pairs)
    best = best.take(best.iou > iou)
    ignored = cases.truth.ignore[best.truth]
    shape = len(cases.predicted), 1
    hit, counted = np.zeros(shape, bool), np.ones(shape, bool)
    counted[best.predicted[ignored]] = False
    best = best.take(~ignored)  # by falling score for each ground-truth box
    hit[best.predicted[np.unique(best.truth, return_index=True)[1]]] = True
    return Judged(hit, counted)


def match_free(
    pairs: Pairs, cases: Cases, thresholds: Sequence[float], at_threshold: bool, most: int | None
) -> Judged:
    """Greedy matching: by falling score, each box takes the free ground-truth box of largest IoU.

    A box without one is neither right nor wrong if it is on a ground-truth box to ignore: by the
    IoU, or, as COCO has it for crowds, by the share of its area inside (`at_threshold`).

    Args:
        pairs: overlapping boxes.
        cases: predictions and ground truth.
        thresholds: IoU thresholds, each with a matching of its own.
        at_threshold: True accepts an IoU equal to the threshold.
        most: maximum number of boxes per image and label, by score (default: all).

    Returns:
        One matching per threshold.
    """
    limits = np.asarray(thresholds)
    hit = np.zeros((len(cases.predicted), len(limits)), bool)
    taken = np.zeros((len(cases.truth), len(limits)), bool)
    rank = rank_in_cell(cases)[pairs.predicted]
    counted = _is_counted(pairs.take(rank < (most or np.inf)), cases, limits, at_threshold)
    real = ~cases.truth.ignore[pairs.truth]
    near = real & (pairs.iou >= limits.min()) & (rank < (most or np.inf))
    rank, pairs = rank[near], pairs.take(near)
    order = np.lexsort((pairs.truth, -pairs.iou, pairs.predicted, rank))
    turns = np.split(order, np.flatnonzero(np.diff(rank[order])) + 1)
    for turn in turns:  # the best box of every image and label, then the second, ...
        predicted, truth, iou = pairs.predicted[turn], pairs.truth[turn], pairs.iou[turn, None]
        fits = ((iou >= limits) if at_threshold else (iou > limits)) & ~taken[truth]
        before: Ints = np.cumsum(fits, axis=0) - fits
        start = np.searchsorted(predicted, predicted)
        chosen, threshold = np.nonzero(fits & (before == before[start]))
        taken[truth[chosen], threshold] = True
        hit[predicted[chosen], threshold] = True
    return Judged(hit, counted | hit)


def _is_counted(pairs: Pairs, cases: Cases, limits: Floats, crowds: bool) -> Flags:
    """Boolean mask (predictions, limits): False for boxes on ground truth to ignore."""
    counted = np.ones((len(cases.predicted), len(limits)), bool)
    pairs = pairs.take(cases.truth.ignore[pairs.truth])
    if len(pairs.iou):
        share = pairs.iou
        if crowds:
            box, other = cases.predicted.box[pairs.predicted], cases.truth.box[pairs.truth]
            size = np.minimum(box[:, 2:], other[:, 2:]) - np.maximum(box[:, :2], other[:, :2])
            share = size.prod(axis=1) / (box[:, 2:] - box[:, :2]).prod(axis=1)
        on = share[:, None] >= limits if crowds else share[:, None] > limits
        number, threshold = np.nonzero(on)
        counted[pairs.predicted[number], threshold] = False
    return counted


def rank_in_cell(cases: Cases) -> Ints:
    """Rank of each predicted box among those of its image and label, from 0 for the best."""
    cell = cases.predicted.image * len(cases.labels) + cases.predicted.label
    return np.arange(len(cell)) - np.searchsorted(cell, cell)

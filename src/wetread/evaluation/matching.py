"""Match predicted to ground-truth boxes, for all images at once."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

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


def match_free(
    pairs: Pairs, cases: Cases, thresholds: Sequence[float], at_threshold: bool, most: int | None
) -> Flags:
    """Greedy matching: by falling score, each box takes the free ground-truth box of largest IoU.

    Args:
        pairs: overlapping boxes.
        cases: predictions and ground truth.
        thresholds: IoU thresholds, each with a matching of its own.
        at_threshold: True accepts an IoU equal to the threshold.
        most: maximum number of boxes per image and label, by score (default: all).

    Returns:
        (predictions, thresholds): True for matched boxes.
    """
    limits = np.asarray(thresholds)
    hit = np.zeros((len(cases.predicted), len(limits)), bool)
    taken = np.zeros((len(cases.truth), len(limits)), bool)
    rank = rank_in_cell(cases)[pairs.predicted]
    near = (pairs.iou >= limits.min()) & (rank < (most or np.inf))
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
    return hit


def rank_in_cell(cases: Cases) -> Ints:
    """Rank of each predicted box among those of its image and label, from 0 for the best."""
    cell = cases.predicted.image * len(cases.labels) + cases.predicted.label
    return np.arange(len(cell)) - np.searchsorted(cell, cell)

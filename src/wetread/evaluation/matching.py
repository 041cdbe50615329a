"""Which box of the predictions finds which box of the truth, for all images at once."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from wetread.boxes.iou import find_overlaps
from wetread.evaluation.bootstrap import Flags, Floats, Ints
from wetread.evaluation.cases import Cases


@dataclass(frozen=True)
class Pairs:
    """Boxes of the predictions and of the truth that overlap: of one image and label."""

    found: Ints
    truth: Ints
    iou: Floats

    def take(self, which: Ints | Flags) -> Pairs:
        """Some of them, in that order."""
        return Pairs(self.found[which], self.truth[which], self.iou[which])


def pair_boxes(cases: Cases) -> Pairs:
    """The pairs, by place among the predictions."""
    found, truth = (
        side.image * len(cases.labels) + side.label for side in (cases.found, cases.truth)
    )
    return Pairs(*find_overlaps(cases.found.box, cases.truth.box, found, truth))


def match_largest(pairs: Pairs) -> Pairs:
    """For each box of the predictions the pair with the truth box that it overlaps most."""
    start = np.unique(pairs.found, return_index=True)[1]  # pairs are sorted by found, then truth
    count = np.diff(start, append=len(pairs.found))
    largest = np.maximum.reduceat(pairs.iou, start) if len(start) else pairs.iou
    best = pairs.take(pairs.iou == np.repeat(largest, count))
    return best.take(np.unique(best.found, return_index=True)[1])


def match_free(
    pairs: Pairs, cases: Cases, thresholds: Sequence[float], at_threshold: bool, most: int | None
) -> Flags:
    """In the order of their scores, each box takes the truth box that it overlaps most and is free.

    Args:
        pairs: all pairs.
        cases: where they come from.
        thresholds: of the IoU; each is a matching of its own.
        at_threshold: whether an IoU equal to the threshold is enough.
        most: how many boxes of an image and a label count, the best first; None: all.

    Returns:
        (predictions, thresholds): whether the box found one.
    """
    limits = np.asarray(thresholds)
    hit = np.zeros((len(cases.found), len(limits)), bool)
    taken = np.zeros((len(cases.truth), len(limits)), bool)
    rank = rank_in_cell(cases)[pairs.found]
    near = (pairs.iou >= limits.min()) & (rank < (most or np.inf))
    rank, pairs = rank[near], pairs.take(near)
    order = np.lexsort((pairs.truth, -pairs.iou, pairs.found, rank))
    turns = np.split(order, np.flatnonzero(np.diff(rank[order])) + 1)
    for turn in turns:  # the best box of every image and label, then the second, ...
        found, truth, iou = pairs.found[turn], pairs.truth[turn], pairs.iou[turn, None]
        fits = ((iou >= limits) if at_threshold else (iou > limits)) & ~taken[truth]
        before: Ints = np.cumsum(fits, axis=0) - fits
        start = np.searchsorted(found, found)
        chosen, threshold = np.nonzero(fits & (before == before[start]))
        taken[truth[chosen], threshold] = True
        hit[found[chosen], threshold] = True
    return hit


def rank_in_cell(cases: Cases) -> Ints:
    """The place of each box of the predictions among those of its image and label, best first."""
    cell = cases.found.image * len(cases.labels) + cases.found.label
    return np.arange(len(cell)) - np.searchsorted(cell, cell)

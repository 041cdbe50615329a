"""Average precision as the PASCAL VOC 2010 development kit defines it, at any IoU."""

from __future__ import annotations

import numpy as np

from wetread.evaluation.bootstrap import Flags, Floats
from wetread.evaluation.cases import Cases, Judgement
from wetread.evaluation.curves import Curve, draw_curves, precisions
from wetread.evaluation.matching import Pairs, match_largest, pair_boxes


def judge_voc(cases: Cases, iou: float) -> Judgement:
    """The area under the curve of precision, made monotone, over recall.

    A box stands for the truth box that it overlaps most, even if a box of higher score has taken
    that: then it is a false positive. Their IoU must be over the threshold.

    Args:
        cases: what is judged.
        iou: the threshold.
    """
    hit = first_over(match_largest(pair_boxes(cases)), len(cases.found), iou)
    curves = draw_curves(cases, hit[:, None])

    def score(weights: Floats) -> Floats:
        return np.array([_area(curve, weights) for curve in curves])

    return Judgement("ap", score)


def first_over(best: Pairs, count: int, iou: float) -> Flags:
    """(count) which boxes are the first to find their truth box, with more than this IoU."""
    hits = np.flatnonzero(best.iou > iou)  # by falling score within a truth box
    _, first = np.unique(best.truth[hits], return_index=True)
    hit = np.zeros(count, bool)
    hit[best.found[hits[first]]] = True
    return hit


def _area(curve: Curve, weights: Floats) -> float:
    hits, boxes, total = curve.count(weights)
    if not total:
        return np.nan
    steps = np.diff(hits, axis=0, prepend=0.0)
    return float((steps * precisions(hits, boxes)).sum() / total)

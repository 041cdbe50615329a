"""Average precision as the PASCAL VOC 2010 development kit defines it, at any IoU."""

from __future__ import annotations

import numpy as np

from wetread.evaluation.bootstrap import Floats
from wetread.evaluation.cases import Cases, Curve, Scores
from wetread.evaluation.curves import draw_curves, precisions
from wetread.evaluation.matching import judge_largest, pair_boxes


def score_voc(cases: Cases, iou: float) -> Scores:
    """Area under the interpolated precision-recall curve.

    A predicted box matches the ground-truth box of the largest IoU, even if a box of higher score
    has matched that: then it is a false positive. The IoU must be above the threshold. Boxes of a
    ground-truth box to ignore (`difficult`) are neither right nor wrong.

    Args:
        cases: predictions and ground truth.
        iou: IoU threshold.
    """
    curves = draw_curves(cases, judge_largest(pair_boxes(cases), cases, iou))

    def score(weights: Floats) -> Floats:
        return np.array([_area(curve, weights) for curve in curves])

    return Scores("ap", score, curves=curves)


def _area(curve: Curve, weights: Floats) -> float:
    hits, boxes, total = curve.count(weights)
    if not total:
        return np.nan
    steps = np.diff(hits, axis=0, prepend=0.0)
    return float((steps * precisions(hits, boxes)).sum() / total)

"""Precision-recall curves: hits and boxes by falling score threshold."""

from __future__ import annotations

import numpy as np

from wetread.evaluation.bootstrap import Flags, Floats
from wetread.evaluation.cases import Cases, Curve
from wetread.evaluation.matching import Judged


def draw_curves(cases: Cases, judged: Judged, used: Flags | None = None) -> list[Curve]:
    """Curve of every label.

    Args:
        cases: predictions and ground truth.
        judged: predicted boxes as right, wrong or neither.
        used: (predictions,): boxes that are not left out (default: all).
    """
    curves = []
    if judged.counted.all():
        judged = judged._replace(counted=judged.counted[:, :1])
    for boxes, truth in zip(
        cases.of_label(cases.predicted), cases.of_label(cases.truth), strict=True
    ):
        if used is not None:
            boxes = boxes[used[boxes]]
        boxes = boxes[np.argsort(-cases.predicted.score[boxes], kind="stable")]
        image, score = cases.predicted.image[boxes], cases.predicted.score[boxes]
        expected = cases.truth.image[truth[~cases.truth.ignore[truth]]]
        hit, counted = (one[boxes].astype(float) for one in judged)
        curves.append(Curve(image, score, hit, expected, counted))
    return curves


def precisions(hits: Floats, boxes: Floats) -> Floats:
    """Interpolated precision (k, m): the maximum at this or a higher recall."""
    precision = np.divide(hits, boxes, out=np.zeros_like(hits), where=boxes > 0)
    return np.maximum.accumulate(precision[::-1], axis=0)[::-1]

"""Precision-recall curves: hits and boxes by falling score threshold."""

from __future__ import annotations

import numpy as np

from wetread.evaluation.bootstrap import Flags, Floats
from wetread.evaluation.cases import Cases, Curve


def draw_curves(cases: Cases, hit: Flags, counted: Flags | None = None) -> list[Curve]:
    """Curve of every label.

    Args:
        cases: predictions and ground truth.
        hit: (predictions, m): true positives, for each of m matchings.
        counted: (predictions,): boxes that count (default: all).
    """
    curves = []
    for boxes, truth in zip(
        cases.of_label(cases.predicted), cases.of_label(cases.truth), strict=True
    ):
        if counted is not None:
            boxes = boxes[counted[boxes]]
        boxes = boxes[np.argsort(-cases.predicted.score[boxes], kind="stable")]
        image, score = cases.predicted.image[boxes], cases.predicted.score[boxes]
        curves.append(Curve(image, score, hit[boxes].astype(float), cases.truth.image[truth]))
    return curves


def precisions(hits: Floats, boxes: Floats) -> Floats:
    """Interpolated precision (k, m): the maximum at this or a higher recall."""
    precision = np.divide(hits, boxes[:, None], out=np.zeros_like(hits), where=boxes[:, None] > 0)
    return np.maximum.accumulate(precision[::-1], axis=0)[::-1]

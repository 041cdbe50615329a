"""Precision-recall curves: hits and boxes by falling score threshold."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from wetread.evaluation.bootstrap import Flags, Floats, Ints
from wetread.evaluation.cases import Cases


@dataclass(frozen=True)
class Curve:
    """Predicted boxes of one label by falling score.

    Boxes of equal score enter together, as at any threshold, so a curve depends neither on the
    order of rows nor on the names of images.
    """

    image: Ints
    """(n,): image of each box."""
    hit: Floats
    """(n, m): 1 if the box is a true positive, for each of m matchings."""
    ends: Ints
    """(k,): last box of every score."""
    truth: Ints
    """(t,): image of every ground-truth box."""

    def count(self, weights: Floats) -> tuple[Floats, Floats, float]:
        """Weighted hits (k, m) and boxes (k,) down to every score, and ground-truth boxes.

        Args:
            weights: (images,): weight of each image.
        """
        weight = weights[self.image]
        hits = np.cumsum(weight[:, None] * self.hit, axis=0)[self.ends]
        return hits, np.cumsum(weight)[self.ends], float(weights[self.truth].sum())


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
        ends = np.flatnonzero(np.diff(cases.predicted.score[boxes], append=-np.inf))
        image, expected = cases.predicted.image[boxes], cases.truth.image[truth]
        curves.append(Curve(image, hit[boxes].astype(float), ends, expected))
    return curves


def precisions(hits: Floats, boxes: Floats) -> Floats:
    """Interpolated precision (k, m): the maximum at this or a higher recall."""
    precision = np.divide(hits, boxes[:, None], out=np.zeros_like(hits), where=boxes[:, None] > 0)
    return np.maximum.accumulate(precision[::-1], axis=0)[::-1]

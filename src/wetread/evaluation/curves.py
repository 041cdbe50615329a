"""Precision-recall curves: hits and boxes by falling score threshold."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from wetread.evaluation.bootstrap import Flags, Floats, Ints
from wetread.evaluation.cases import Cases
from wetread.evaluation.matching import Judged


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
    counted: Floats
    """(n, m), or (n, 1) if the same for all: 0 if the box is neither right nor wrong."""
    ends: Ints
    """(k,): last box of every score."""
    truth: Ints
    """(t,): image of every ground-truth box that is a target."""

    def count(self, weights: Floats) -> tuple[Floats, Floats, float]:
        """Weighted hits (k, m) and boxes (k, m or 1) down to every score, and ground-truth boxes.

        Args:
            weights: (images,): weight of each image.
        """
        weight = weights[self.image][:, None]
        hits, boxes = (
            np.cumsum(weight * one, axis=0)[self.ends] for one in (self.hit, self.counted)
        )
        return hits, boxes, float(weights[self.truth].sum())


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
        ends = np.flatnonzero(np.diff(cases.predicted.score[boxes], append=-np.inf))
        image = cases.predicted.image[boxes]
        expected = cases.truth.image[truth[~cases.truth.ignore[truth]]]
        hit, counted = (one[boxes].astype(float) for one in judged)
        curves.append(Curve(image, hit, counted, ends, expected))
    return curves


def precisions(hits: Floats, boxes: Floats) -> Floats:
    """Interpolated precision (k, m): the maximum at this or a higher recall."""
    precision = np.divide(hits, boxes, out=np.zeros_like(hits), where=boxes > 0)
    return np.maximum.accumulate(precision[::-1], axis=0)[::-1]

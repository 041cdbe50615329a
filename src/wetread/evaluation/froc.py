"""Sensitivity by false positives per image (FROC), and its mean, the CPM of LUNA16."""

from __future__ import annotations

import numpy as np

from wetread.evaluation.bootstrap import Floats
from wetread.evaluation.cases import Cases, Curve, Scores
from wetread.evaluation.curves import draw_curves
from wetread.evaluation.matching import judge_largest, match_largest, pair_boxes

RATES = (0.125, 0.25, 0.5, 1.0, 2.0, 4.0, 8.0)
"""False positives per image."""


def score_froc(cases: Cases, iou: float) -> Scores:
    """Mean sensitivity at 1/8, 1/4, 1/2, 1, 2, 4 and 8 false positives per image, for each label.

    A predicted box matches the ground-truth box of the largest IoU, if that is at least the
    threshold. The best match is a hit; further ones are neither hits nor false positives (Setio et
    al. 2017, Medical Image Analysis 42). The curve is interpolated linearly.

    Args:
        cases: predictions and ground truth.
        iou: IoU threshold.
    """
    pairs = pair_boxes(cases)
    over = np.nextafter(iou, 0)  # at least `iou` is above the float before it; at 0 any overlap
    best = match_largest(pairs)
    judged = judge_largest(pairs, cases, over)
    used = np.ones(len(cases.predicted), bool)
    used[best.predicted[best.iou > over]] = False
    curves = draw_curves(cases, judged, used | judged.hit[:, 0])

    def read(weights: Floats) -> Floats:
        return np.array([_read(curve, weights) for curve in curves]).reshape(-1, len(RATES))

    def score(weights: Floats) -> Floats:
        return np.asarray(read(weights).mean(axis=1))

    whole = read(np.ones(cases.images))
    columns = {f"at {rate:g}": whole[:, number] for number, rate in enumerate(RATES)}
    return Scores("cpm", score, columns, curves)


def _read(curve: Curve, weights: Floats) -> Floats:
    """Sensitivity at every rate."""
    hits, boxes, total = curve.count(weights)
    if not total:
        return np.full(len(RATES), np.nan)
    false = (boxes - hits)[:, 0] / weights.sum()
    return np.asarray(np.interp(RATES, np.append(0.0, false), np.append(0.0, hits[:, 0] / total)))

"""Score of the RSNA Pneumonia Detection Challenge (2018)."""

from __future__ import annotations

import numpy as np

from wetread.evaluation.bootstrap import Floats, Ints, mean
from wetread.evaluation.cases import Cases, Scores
from wetread.evaluation.curves import draw_curves
from wetread.evaluation.matching import match_free, pair_boxes

THRESHOLDS = (0.4, 0.45, 0.5, 0.55, 0.6, 0.65, 0.7, 0.75)


def score_pneumonia(cases: Cases) -> Scores:
    """Mean over images of the mean over IoUs of TP / (TP + FP + FN).

    Boxes are matched by falling score, each with the free ground-truth box of the largest IoU
    above the threshold; scores have no other effect. An image without ground truth scores 0 with
    any box, and does not count without one (the text of the challenge leaves this open; the kernel
    that everyone used does it so). Ground truth to ignore, and predictions on it, do not
    count. Each label is scored separately.
    """
    judged = match_free(pair_boxes(cases), cases, THRESHOLDS, at_threshold=False, most=None)
    shape = (cases.images, len(cases.labels))

    def count(image: Ints, label: Ints, weights: Floats | None = None) -> Floats:
        cell = image * shape[1] + label
        counts = np.bincount(cell, weights, minlength=shape[0] * shape[1])
        return counts.reshape(shape).astype(float)

    predicted, truth = cases.predicted, cases.truth
    expected = count(truth.image, truth.label, (~truth.ignore).astype(float))
    scores = []
    for hit, counted in zip(judged.hit.T, judged.counted.T, strict=True):
        hits, boxes = (
            count(predicted.image, predicted.label, one.astype(float)) for one in (hit, counted)
        )
        union = boxes + expected - hits
        scores.append(np.divide(hits, union, out=np.full(shape, np.nan), where=union > 0))
    image_score = mean(np.stack(scores, axis=-1)) if shape[1] else np.zeros(shape)
    counted = ~np.isnan(image_score)

    def score(weights: Floats) -> Floats:
        total = np.where(weights @ expected > 0, weights @ counted, np.nan)
        return np.asarray(weights @ np.where(counted, image_score, 0.0) / total)

    curves = draw_curves(cases, judged.first())
    return Scores("score", score, {"images": counted.sum(axis=0)}, curves)

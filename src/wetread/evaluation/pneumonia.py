"""The score of the RSNA Pneumonia Detection Challenge (2018)."""

from __future__ import annotations

import numpy as np

from wetread.evaluation.bootstrap import Floats, Ints, mean
from wetread.evaluation.cases import Cases, Judgement
from wetread.evaluation.matching import match_free, pair_boxes

THRESHOLDS = (0.4, 0.45, 0.5, 0.55, 0.6, 0.65, 0.7, 0.75)


def judge_pneumonia(cases: Cases) -> Judgement:
    """The mean over images of the mean over IoUs of TP / (TP + FP + FN).

    Boxes are matched in the order of their scores, each with the free truth box that it overlaps
    most, with an IoU over the threshold; the scores have no other weight. An image without truth
    scores 0 with any box; without one it does not count (the challenge's text leaves this open;
    so does it the kernel that everyone used). With several labels each is scored on its own.
    """
    hit = match_free(pair_boxes(cases), cases, THRESHOLDS, at_threshold=False, most=None)
    shape = (cases.images, len(cases.labels))

    def count(image: Ints, label: Ints, weights: Floats | None = None) -> Floats:
        cell = image * shape[1] + label
        counts = np.bincount(cell, weights, minlength=shape[0] * shape[1])
        return counts.reshape(shape).astype(float)

    found, truth = cases.found, cases.truth
    expected = count(truth.image, truth.label)
    either = count(found.image, found.label) + expected
    scores = []
    for column in hit.T:
        hits = count(found.image, found.label, column.astype(float))
        union = either - hits
        scores.append(np.divide(hits, union, out=np.full(shape, np.nan), where=union > 0))
    image_score = mean(np.stack(scores, axis=-1)) if shape[1] else np.zeros(shape)
    counted = ~np.isnan(image_score)

    def score(weights: Floats) -> Floats:
        total = np.where(weights @ expected > 0, weights @ counted, np.nan)
        return np.asarray(weights @ np.where(counted, image_score, 0.0) / total)

    return Judgement("score", score, {"images": counted.sum(axis=0)})

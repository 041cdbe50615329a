"""RSNA's score, image by image, as the challenge describes it."""

from __future__ import annotations

import numpy as np
import pytest

from wetread.boxes.collection import Boxes
from wetread.boxes.iou import overlap_pairs
from wetread.evaluation import evaluate
from wetread.testing.boxes import make_boxes


def image_score(found, scores, truth):
    """Mean over thresholds of TP / (TP + FP + FN); None without any box."""
    if not len(found) and not len(truth):
        return None
    values = []
    for threshold in (0.4, 0.45, 0.5, 0.55, 0.6, 0.65, 0.7, 0.75):
        free, hits = set(range(len(truth))), 0
        for box in found[np.argsort(-scores)]:
            near = {i: overlap_pairs(box, truth[i]) for i in free}
            best = max(near, key=near.get, default=None)
            if best is not None and near[best] > threshold:
                free.remove(best)
                hits += 1
        values.append(hits / (len(found) + len(truth) - hits))
    return np.mean(values)


@pytest.mark.parametrize("sparse", [True, False])
def test_score_is_the_mean_over_images_and_thresholds(sparse):
    found, truth = make_boxes(60, 4, labels=1, seed=9, sparse=sparse)
    result = evaluate(found, truth, "rsna-pneumonia", resamples=0)
    keys = [np.array(side.table["key"].to_pylist()) for side in (found, truth)]
    scores = found.table["score"].to_numpy()
    expected = [
        image_score(found.corners[keys[0] == key], scores[keys[0] == key], truth.corners[mine])
        for key in sorted(set(keys[1]))
        for mine in [keys[1] == key]
    ]
    assert result.value == pytest.approx(np.mean(expected), abs=1e-12)


def test_images_without_truth():
    place = {"x0": [0, None, None], "y0": [0, None, None], "x1": [9, None, None]}
    kinds = {"key": ["a", "b", "c"], "kind": ["box", "nothing", "nothing"]}
    truth = Boxes.from_columns(
        {**kinds, **place, "y1": [9, None, None], "label": ["o", None, None]}
    )
    box = {"x0": [0, 0], "y0": [0, 0], "x1": [9, 9], "y1": [9, 9], "label": ["o", "o"]}
    found = Boxes.from_columns({**box, "key": ["a", "b"], "score": [0.9, 0.1]})
    result = evaluate(found, truth, "rsna-pneumonia", resamples=0)
    assert result.value == 0.5
    assert result.per_label["images"]["o"] == 2

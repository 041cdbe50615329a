"""COCO against pycocotools; our own curves, used for the interval, against both."""

from __future__ import annotations

import contextlib
import io
import sys

import numpy as np
import pytest

from wetread.errors import MissingExtraError
from wetread.evaluation import evaluate
from wetread.evaluation.cases import read_cases
from wetread.evaluation.coco import score_coco
from wetread.testing.boxes import make_boxes


def pycocotools_stats(found, truth):
    from pycocotools.coco import COCO
    from pycocotools.cocoeval import COCOeval

    def boxes(side):
        for number, row in enumerate(side.table.to_pylist(), start=1):
            width, height = row["x1"] - row["x0"], row["y1"] - row["y0"]
            yield {
                "id": number,
                "image_id": int(row["key"], 16),
                "category_id": side.labels.index(row["label"]),
                "bbox": [row["x0"], row["y0"], width, height],
                "area": width * height,
                "iscrowd": int(row["ignore"]),
                "score": row["score"],
            }

    with contextlib.redirect_stdout(io.StringIO()):
        gt = COCO()
        gt.dataset = {
            "images": [{"id": int(key, 16)} for key in set(truth.images.to_pylist())],
            "categories": [{"id": i} for i in range(len(truth.labels))],
            "annotations": list(boxes(truth)),
        }
        gt.createIndex()
        judge = COCOeval(gt, gt.loadRes(list(boxes(found))), "bbox")
        judge.evaluate()
        judge.accumulate()
        judge.summarize()
    return judge.stats


@pytest.mark.parametrize("crowds", [0, 0.3])
@pytest.mark.parametrize("sparse", [True, False])
@pytest.mark.parametrize("decimals", [16, 1])  # 1: with ties
def test_coco_equals_pycocotools(sparse, crowds, decimals):
    found, truth = make_boxes(80, 12, labels=3, seed=2, sparse=sparse)
    found = found.replace({"score": np.round(found.table["score"].to_numpy(), decimals)})
    order = ["key", "label", "x0", "y0", "x1", "y1"]  # of boxes of equal score
    found = type(found)(found.table.sort_by([(name, "ascending") for name in order]))
    marks = np.random.default_rng(1).random(len(truth)) < crowds
    truth = truth.replace({"ignore": marks.tolist()})
    stats = pycocotools_stats(found, truth)
    result = evaluate(found, truth, "coco", resamples=0)
    assert result.map == pytest.approx(stats[0], abs=1e-6)
    assert result.per_label["ap50"].mean() == pytest.approx(stats[1], abs=1e-6)
    assert result.per_label["ap75"].mean() == pytest.approx(stats[2], abs=1e-6)
    assert result.details["AP_small"] == pytest.approx(stats[3], abs=1e-6)
    own = score_coco(read_cases(found, truth)).score(np.full(80, 2.0))
    np.testing.assert_allclose(own, result.per_label["ap"], atol=1e-9)


def test_at_most_100_boxes_per_image():
    found, truth = make_boxes(2, 150, labels=1, seed=4, sparse=False)
    result = evaluate(found, truth, "coco", resamples=0)
    assert result.map == pytest.approx(pycocotools_stats(found, truth)[0], abs=1e-6)
    own = score_coco(read_cases(found, truth)).score(np.full(2, 2.0))
    np.testing.assert_allclose(own, result.per_label["ap"], atol=1e-9)


def test_score_without_predictions_is_0():
    found, truth = make_boxes(5, 2, labels=2)
    none = found.select(np.zeros(len(found), bool))
    result = evaluate(none, truth, "coco", resamples=10)
    assert (result.map, result.interval, result.resamples) == (0.0, None, 10)
    assert result.notes[-1] == "no confidence interval: every resample has the same score"
    assert result.per_label[["low", "high"]].isna().all(axis=None)


def test_missing_extra(monkeypatch):
    monkeypatch.setitem(sys.modules, "faster_coco_eval", None)
    with pytest.raises(MissingExtraError, match=r"pip install '\.\[metrics\]'"):
        evaluate(*make_boxes(3, 2), "coco")

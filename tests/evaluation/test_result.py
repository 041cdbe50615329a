"""Result of an evaluation, and names of metrics."""

from __future__ import annotations

import json

import numpy as np
import pytest

from wetread.errors import UnknownNameError, UsageError
from wetread.evaluation import evaluate
from wetread.testing.boxes import make_boxes


@pytest.mark.parametrize(
    "metric",
    [
        "voc2010@0.5",
        "vinbigdata",
        "siim-covid",
        "rsna-pneumonia",
        "coco",
        "froc",
        "froc@0.2",
        "classification",
        "classification@0.3",
    ],
)
def test_every_metric_has_an_interval_and_becomes_json(metric):
    found, truth = make_boxes(20, 3, labels=2, seed=1)
    result = evaluate(found, truth, metric, resamples=30)
    told = json.loads(json.dumps(result.to_dict(), allow_nan=False))
    assert told["metric"] == metric
    assert told["value"] == result.value == result.map
    assert told["interval"][0] <= told["value"] <= told["interval"][1]
    assert (told["images"], told["patients"], told["resamples"]) == (20, 20, 30)
    assert [row["label"] for row in told["per_label"]][:2] == ["label 0", "label 1"]
    assert {"truth", "predictions", "low", "high"} <= set(told["per_label"][0])


def test_label_without_truth_is_null_and_not_in_the_mean():
    found, truth = make_boxes(20, 3, labels=3, seed=1)
    known = truth.select(np.array(truth.table["label"].to_pylist()) != "label 2")
    keys = set(known.table["key"].to_pylist())
    found = found.select(np.array([key in keys for key in found.table["key"].to_pylist()]))
    result = evaluate(found, known, "voc2010@0.4", resamples=20)
    assert result.to_dict()["per_label"][2]["ap"] is None
    assert result.value == pytest.approx(result.per_label["ap"][:2].mean())


def test_no_value_without_truth():
    found, truth = make_boxes(4, 1, labels=1)
    nothing = truth.replace({"kind": ["nothing"] * 4, "label": [None] * 4})
    result = evaluate(found, nothing, "voc2010@0.4")
    assert (result.value, result.interval) == (None, None)
    assert "no score" in str(result)
    assert any("no confidence interval" in note for note in result.notes)


def test_repr_has_sample_sizes():
    found, truth = make_boxes(20, 3, labels=2, seed=1)
    result = evaluate(found, truth, "voc2010@0.4", resamples=10)
    assert "20 images of 20 groups" in repr(result)
    assert "label 1" in repr(result)
    assert "<td>label 1</td>" in result._repr_html_()


def test_repr_fits_a_screen():
    result = evaluate(*make_boxes(20, 3, labels=2, seed=1), "classification", resamples=10)
    lines = str(result).splitlines()
    assert max(map(len, lines)) < 120
    assert lines[-3].split() == ["label", "auc", "low", "high", "truth", "predictions", *SHARES]
    assert {"auc_low", "ppv_high"} <= set(result.per_label)


SHARES = ["sensitivity", "specificity", "ppv", "npv", "accuracy"]


def test_boxes_may_be_in_files(tmp_path):
    found, truth = make_boxes(5, 2, labels=2)
    for name, boxes in (("found.parquet", found), ("truth.parquet", truth)):
        boxes.save(tmp_path / name)
    one = evaluate(tmp_path / "found.parquet", str(tmp_path / "truth.parquet"), resamples=0)
    assert one.value == evaluate(found, truth, resamples=0).value


@pytest.mark.parametrize("name", ["voc", "voc2010", "vinbigdata@0.5", "COCO", ""])
def test_unknown_metric_lists_the_known_ones(name):
    with pytest.raises(UnknownNameError, match="unknown metric"):
        evaluate(*make_boxes(3, 1), name)


@pytest.mark.parametrize("name", ["voc2010@x", "froc@1.5", "voc2010@", "classification@-1"])
def test_number_after_the_at_sign(name):
    with pytest.raises(UsageError, match="must be from 0"):
        evaluate(*make_boxes(3, 1), name)


def test_negative_resamples_are_an_error():
    with pytest.raises(UsageError, match="resamples"):
        evaluate(*make_boxes(3, 1), resamples=-1)

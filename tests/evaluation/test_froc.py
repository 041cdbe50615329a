"""FROC against a brute force over all thresholds."""

from __future__ import annotations

import numpy as np
import pytest

from wetread.boxes.collection import Boxes
from wetread.boxes.iou import overlap_pairs
from wetread.evaluation import evaluate
from wetread.evaluation.froc import RATES
from wetread.testing.boxes import make_boxes


def operating_points(found, truth, iou, images):
    """(false positives per image, sensitivity) of one label at every threshold."""
    pairs = overlap_pairs(found.corners[:, None], truth.corners)
    keys = [np.array(side.table["key"].to_pylist()) for side in (found, truth)]
    pairs[keys[0][:, None] != keys[1]] = -1.0
    nearest, hits = pairs.argmax(axis=1), pairs.max(axis=1) >= iou
    score = found.table["score"].to_numpy()
    for threshold in [np.inf, *sorted(score, reverse=True)]:
        shown = score >= threshold
        yield (
            (shown & ~hits).sum() / images,
            len(set(nearest[shown & hits])) / len(truth),
        )


@pytest.mark.parametrize("sparse", [True, False])
@pytest.mark.parametrize("iou", [0.2, 0.4])
def test_froc_equals_brute_force(sparse, iou):
    found, truth = make_boxes(50, 8, labels=2, seed=7, sparse=sparse)
    result = evaluate(found, truth, f"froc@{iou}", resamples=0)
    for label in truth.labels:
        sides = [s.select(np.array(s.table["label"].to_pylist()) == label) for s in (found, truth)]
        false, sensitivity = np.array(list(operating_points(*sides, iou, images=50))).T
        expected = np.interp(RATES, false, sensitivity)
        row = result.per_label.loc[label]
        assert [row[f"at {rate:g}"] for rate in RATES] == pytest.approx(expected, abs=1e-12)
        assert row["cpm"] == pytest.approx(expected.mean(), abs=1e-12)
    assert result.value == pytest.approx(result.per_label["cpm"].mean())


def test_false_positives_on_normal_images_count():
    _, truth = make_boxes(4, 1, labels=1, seed=0)
    one = truth.table.slice(0, 1)
    nothing = truth.table.slice(1).to_pandas().assign(label=None, kind="nothing")
    both = type(truth).from_columns(
        {
            name: [*one[name].to_pylist(), *nothing[name].astype(object).tolist()]
            for name in ("key", "label", "kind", "x0", "y0", "x1", "y1")
        }
    )
    everywhere = truth.replace({"score": [0.5, 0.9, 0.8, 0.7]})
    row = evaluate(everywhere, both, "froc", resamples=0).per_label.iloc[0]
    assert (row["at 0.5"], row["at 1"]) == (0.0, 1.0)
    assert row["predictions"] == 4


def test_iou_0_requires_an_overlap():
    here = {"key": ["a"], "label": ["n"], "x0": [0], "y0": [0], "x1": [10], "y1": [10]}
    found = {name: values * 2 for name, values in here.items()}
    found |= {"x0": [9, 10], "x1": [19, 20], "score": [0.1, 0.9]}
    row = evaluate(Boxes.from_columns(found), Boxes.from_columns(here), "froc@0", resamples=0)
    assert row.per_label.iloc[0][["at 0.5", "at 1"]].tolist() == [0.0, 1.0]

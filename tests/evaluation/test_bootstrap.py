"""Bootstrap by patient, and Wilson intervals."""

from __future__ import annotations

import numpy as np
import pytest
from scipy.stats import binomtest

from wetread.boxes.collection import Boxes
from wetread.evaluation import METRICS, evaluate
from wetread.evaluation.bootstrap import percentile_interval, resample, wilson
from wetread.evaluation.cases import read_cases
from wetread.testing.boxes import make_boxes


@pytest.mark.parametrize(("hits", "trials"), [(0, 5), (5, 5), (1, 200), (37, 81)])
def test_wilson_equals_scipy(hits, trials):
    expected = binomtest(hits, trials).proportion_ci(method="wilson")
    assert wilson(hits, trials) == pytest.approx((expected.low, expected.high), abs=1e-12)


def test_wilson_without_cases_is_nan():
    assert np.isnan(wilson(0, 0)).all()


def repeat(boxes, times):
    """Repeat every image as often as given, copies under new names."""
    rows = [
        {**row, "key": f"{row['key']} {copy}"}
        for row in boxes.table.to_pylist()
        for copy in range(times[row["key"]])
    ]
    columns = {name: [row[name] for row in rows] for name in boxes.table.column_names}
    return Boxes.from_columns(columns, boxes.classes)


@pytest.mark.parametrize("metric", sorted(set(METRICS) - {"coco"}))
def test_weights_equal_copies_of_images(metric):
    found, truth = make_boxes(25, 4, labels=2, seed=13, sparse=False)
    keys = sorted(set(truth.table["key"].to_pylist()))
    times = dict(zip(keys, np.random.default_rng(0).integers(1, 4, len(keys)), strict=True))
    how, number = METRICS[metric], METRICS[metric].number or 0.4

    def score(*sides):
        return how.score(read_cases(*sides, nothing=None), number, None)

    weighted = score(found, truth).score(np.array([times[key] for key in keys], float))
    copied = score(repeat(found, times), repeat(truth, times)).score(np.ones(sum(times.values())))
    np.testing.assert_allclose(weighted, copied, atol=1e-12)


def test_images_of_a_patient_are_resampled_together():
    group = np.array([0, 0, 0, 1, 1, 2])
    drawn = resample(lambda weights: weights, group, 200, seed=1)
    assert (drawn[:, 0] == drawn[:, 1]).all()
    assert (drawn[:, 3] == drawn[:, 4]).all()
    assert (drawn[:, [0, 3, 5]].sum(axis=1) == 3).all()
    assert set(np.unique(drawn)) == {0.0, 1.0, 2.0, 3.0}


def test_interval_of_a_mean_agrees_with_its_standard_error():
    values = np.random.default_rng(2).normal(5, 1, 400)
    drawn = resample(lambda w: np.array([w @ values / w.sum()]), np.arange(400), 2000, seed=0)
    low, high = percentile_interval(drawn)
    half = 1.96 * values.std(ddof=1) / np.sqrt(400)
    assert (low[0], high[0]) == pytest.approx(
        (values.mean() - half, values.mean() + half), abs=0.01
    )


def test_intervals_by_patient_are_wider_and_reproducible():
    found, truth = make_boxes(60, 3, labels=1, seed=4)
    few = {key: str(int(key, 16) // 10) for key in truth.table["key"].to_pylist()}
    grouped = truth.replace({"group": [few[key] for key in truth.table["key"].to_pylist()]})
    alone, together, again = (
        evaluate(found, side, "voc2010@0.4", resamples=200, seed=3)
        for side in (truth, grouped, grouped)
    )
    assert (alone.patients, together.patients, together.images) == (60, 6, 60)
    assert together.interval == again.interval != alone.interval
    assert together.interval[0] < together.value < together.interval[1]
    assert any("counts as one patient" in note for note in alone.notes)
    row = together.per_label.iloc[0]
    assert (row["low"], row["high"]) == pytest.approx(together.interval)

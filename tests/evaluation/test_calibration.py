"""Calibration error, reliability and temperature, against scikit-learn, netcal and SciPy."""

from __future__ import annotations

import json

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from wetread.boxes.collection import Boxes
from wetread.evaluation import evaluate
from wetread.evaluation.calibration import (
    ALL,
    BINS,
    bin_scores,
    fit_temperature,
    measure_calibration,
    scale_scores,
)
from wetread.evaluation.cases import Curve, Scores
from wetread.testing.boxes import make_boxes, make_classified

PROBABILITIES = st.floats(0, 1) | st.integers(0, 20).map(lambda n: n / 20)


def scores_of(score: np.ndarray, hit: np.ndarray) -> Scores:
    """Predictions of one label, each on an image of its own."""
    order = np.argsort(-score, kind="stable")
    return Scores("auc", lambda weights: weights[:1], curves=[
        Curve(order, score[order], hit[order, None].astype(float), np.flatnonzero(hit))
    ])  # fmt: skip


def test_the_error_is_that_of_netcal() -> None:
    """`ECE(10).measure(score, positive)` of netcal 1.4.0 on `make_classified(120)`.

    Its bins include their lower edge, ours the upper one; no score here is on an edge.
    """
    found, truth = make_classified(120)
    calibration = evaluate(found, truth, "classification", resamples=50).calibration
    row = calibration.table.loc["ill"]
    assert row["ece"] == pytest.approx(0.14814049586776856, abs=1e-12)
    assert row["low"] < row["ece"] < row["high"]
    assert calibration.table.loc[ALL].equals(row)


@given(st.lists(st.tuples(PROBABILITIES, st.booleans()), min_size=1, max_size=60))
def test_bins_are_those_of_scikit_learn(rows: list[tuple[float, bool]]) -> None:
    from sklearn.calibration import calibration_curve

    score, hit = (np.array(column) for column in zip(*rows, strict=True))
    if hit.all() or not hit.any():  # calibration_curve wants two classes
        score, hit = np.append(score, [0.5, 0.5]), np.append(hit, [True, False])
    share, mean = calibration_curve(hit, score, n_bins=BINS)
    count = len(score)
    measured = measure_calibration(("a",), scores_of(score, hit), np.arange(count), 0, 0)
    bins = measured.bins[measured.bins["label"] == "a"]
    assert bins["share"].tolist() == pytest.approx(share, abs=1e-12)
    assert bins["mean_score"].tolist() == pytest.approx(mean, abs=1e-12)
    error = np.sum(
        np.abs(share - mean) * np.bincount(bin_scores(score))[np.unique(bin_scores(score))]
    )
    assert measured.table.loc["a", "ece"] == pytest.approx(error / count, abs=1e-12)


@pytest.mark.parametrize("metric", ["voc2010@0.4", "froc", "coco", "rsna-pneumonia"])
def test_boxes_are_calibrated_by_their_precision(metric: str) -> None:
    found, truth = make_boxes(60, 4, labels=3, seed=2)
    result = evaluate(found, truth, metric, resamples=50)
    table, bins = result.calibration.table, result.calibration.bins
    assert list(table.index) == ["label 0", "label 1", "label 2", ALL]
    counted = bins.groupby("label", sort=False)["predictions"].sum()
    assert counted.to_dict() == table["predictions"].to_dict()
    assert table.loc[ALL, "predictions"] == table["predictions"][:3].sum() <= len(found)
    known = bins.dropna()
    assert len(known) > len(bins) / 2
    assert ((known["low"] <= known["share"]) & (known["share"] <= known["high"])).all()
    assert "calibration error (ECE)" in str(result)
    told = json.loads(json.dumps(result.to_dict(), allow_nan=False))
    assert told["calibration"][3]["ece"] == table.loc[ALL, "ece"]
    assert len(told["reliability"]) == len(bins)
    if metric == "voc2010@0.4":
        value = np.average(table["share"][:3], weights=table["predictions"][:3])
        assert table.loc[ALL, "share"] == pytest.approx(value)
        assert set(table.loc[table.index[:3], "predictions"]) == set(
            np.unique(found.table["label"].to_pylist(), return_counts=True)[1]
        )


def test_intervals_are_by_patient() -> None:
    found, truth = make_classified(120)
    patients = truth.replace({"group": [f"p{number // 12}" for number in range(120)]})
    alone, grouped = (
        evaluate(found, side, "classification", resamples=300).calibration.table.loc["ill"]
        for side in (truth, patients)
    )
    assert alone["ece"] == grouped["ece"]
    assert (alone["low"], alone["high"]) != (grouped["low"], grouped["high"])


def test_scores_that_are_no_probabilities_have_no_calibration() -> None:
    found, truth = make_classified(20)
    large = found.replace({"score": found.table["score"].to_numpy() * 3})
    result = evaluate(large, truth, "classification", resamples=10)
    assert result.calibration is None
    assert result.to_dict()["calibration"] is None
    none = Boxes.from_columns({"key": ["000"], "kind": ["nothing"], "score": [0.5]})
    boxes = truth.replace({"kind": ["nothing"] * 20, "label": [None] * 20})
    assert evaluate(none, boxes, "froc", resamples=0).calibration is None


def test_many_labels_are_resampled_in_blocks() -> None:
    found, truth = make_boxes(60, 6, labels=20, seed=2)
    table = evaluate(found, truth, "voc2010@0.4", resamples=20).calibration.table
    assert list(table.index) == [*(f"label {number}" for number in range(20)), ALL]
    assert table["low"].notna().all()


@given(
    st.lists(st.tuples(st.floats(0.01, 0.99), st.booleans()), min_size=8, max_size=60),
)
def test_the_temperature_has_the_least_loss(rows: list[tuple[float, bool]]) -> None:
    from sklearn.metrics import log_loss

    score, hit = (np.array(column) for column in zip(*rows, strict=True))
    temperature = fit_temperature(scores_of(score, hit))
    if hit.all() or not hit.any():
        assert temperature is None
        return
    losses = [
        log_loss(hit, scale_scores(score, one))
        for one in (temperature, *(temperature * f for f in (0.5, 0.9, 1.1, 2)), 1.0)
        if 0.0099 <= one <= 100.1
    ]
    assert losses[0] <= min(losses) + 1e-9


def test_the_temperature_is_the_slope_of_logistic_regression() -> None:
    from sklearn.linear_model import LogisticRegression

    random = np.random.default_rng(0)
    logit = random.normal(0, 2, 4000)
    hit = random.random(4000) < 1 / (1 + np.exp(-logit / 2.5))
    score = 1 / (1 + np.exp(-logit))
    temperature = fit_temperature(scores_of(score, hit))
    regression = LogisticRegression(C=np.inf, fit_intercept=False, tol=1e-12, max_iter=1000)
    slope = regression.fit(logit[:, None], hit).coef_[0, 0]
    assert temperature == pytest.approx(1 / slope, rel=1e-6)
    assert temperature == pytest.approx(2.5, rel=0.1)
    before, after = (
        measure_calibration(("a",), scores_of(one, hit), np.arange(4000), 0, 0).table.loc[
            "a", "ece"
        ]
        for one in (score, scale_scores(score, temperature))
    )
    assert after < before / 3


@given(st.floats(1e-6, 1 - 1e-6), st.floats(0.05, 20))
def test_scaling_keeps_the_range_and_the_complement(score: float, temperature: float) -> None:
    scaled = scale_scores([0.0, score, 1 - score, 0.5, 1.0], temperature)
    assert ((scaled >= 0) & (scaled <= 1)).all()
    assert (scaled[0], scaled[3], scaled[4]) == (0, 0.5, 1)
    assert scaled[1] + scaled[2] == pytest.approx(1, abs=1e-6)
    assert scale_scores(score, 1.0) == pytest.approx(score, abs=1e-9)

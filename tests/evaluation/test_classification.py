"""AUC with DeLong's interval, and rates at a threshold, against scikit-learn and SciPy."""

from __future__ import annotations

import numpy as np
import pytest

from wetread.boxes.collection import Boxes
from wetread.errors import UsageError
from wetread.evaluation import evaluate
from wetread.evaluation.classification import adjust, delong
from wetread.testing.boxes import make_boxes


def test_delong_gives_the_published_interval():
    """Ratings of 109 CT images, Hanley & McNeil 1982 (Radiology 143: 29-36), table I.

    Their area, and the interval that Stata's manual gives with DeLong's error (entry `roctab`,
    example 1: .8932, .83295 to .95339; https://www.stata.com/manuals/rroctab.pdf).
    """
    normal, ill = [33, 6, 6, 11, 2], [3, 2, 2, 11, 33]
    ratings = np.concatenate([np.repeat(np.arange(5.0), counts) for counts in (normal, ill)])
    positive = np.repeat([False, True], [sum(normal), sum(ill)])
    assert delong(ratings, positive) == pytest.approx((0.8932, 0.83295, 0.95339), abs=5e-5)


def per_image(found, truth):
    """(images, labels): the best score, -1 without a box, and True if the truth has one."""
    keys = sorted(set(truth.table["key"].to_pylist()))
    scores = np.full((len(keys), len(truth.labels)), -1.0)
    positive = np.zeros(scores.shape, bool)
    for row in found.table.to_pylist():
        place = keys.index(row["key"]), truth.labels.index(row["label"])
        scores[place] = max(scores[place], row["score"])
    for row in truth.table.to_pylist():
        positive[keys.index(row["key"]), truth.labels.index(row["label"])] = True
    return scores, positive


def test_auc_equals_scikit_learn():
    from sklearn.metrics import roc_auc_score

    found, truth = make_boxes(80, 4, labels=6, seed=11)
    scores, positive = per_image(found, truth)
    result = evaluate(found, truth, "classification", resamples=0)
    expected = [roc_auc_score(positive[:, i], scores[:, i]) for i in range(6)]
    assert result.per_label["auc"].to_numpy() == pytest.approx(expected, abs=1e-12)
    assert result.value == pytest.approx(np.mean(expected), abs=1e-12)
    area, low, high = delong(scores[:, 2], positive[:, 2])
    assert area == pytest.approx(expected[2])
    row = result.per_label.iloc[2]
    assert (row["auc_low"], row["auc_high"]) == (low, high)


def test_rates_at_a_threshold_and_their_intervals():
    from scipy.stats import binomtest
    from sklearn.metrics import confusion_matrix

    found, truth = make_boxes(80, 4, labels=6, seed=11)
    scores, positive = per_image(found, truth)
    table = evaluate(found, truth, "classification@0.6", resamples=0, prevalence=0.1).per_label
    for i in range(6):
        tn, fp, fn, tp = confusion_matrix(positive[:, i], scores[:, i] >= 0.6).ravel()
        row = table.iloc[i]
        for name, hits, trials in (
            ("sensitivity", tp, tp + fn),
            ("specificity", tn, tn + fp),
            ("ppv", tp, tp + fp),
            ("npv", tn, tn + fn),
            ("accuracy", tp + tn, 80),
        ):
            interval = binomtest(int(hits), int(trials)).proportion_ci(method="wilson")
            expected = (hits / trials, interval.low, interval.high)
            assert (row[name], row[f"{name}_low"], row[f"{name}_high"]) == pytest.approx(expected)
        se, sp = row["sensitivity"], row["specificity"]
        assert row["ppv_adjusted"] == pytest.approx(se * 0.1 / (se * 0.1 + (1 - sp) * 0.9))
        assert row["npv_adjusted"] == pytest.approx(sp * 0.9 / (sp * 0.9 + (1 - se) * 0.1))
        assert row["accuracy_adjusted"] == pytest.approx(se * 0.1 + sp * 0.9)


def test_prevalence_of_the_images_changes_nothing():
    tp, fn, fp, tn = 40, 10, 20, 130
    adjusted = adjust(np.array(tp / 50), np.array(tn / 150), 50 / 200)
    assert adjusted["ppv_adjusted"] == pytest.approx(tp / (tp + fp))
    assert adjusted["npv_adjusted"] == pytest.approx(tn / (tn + fn))
    assert adjusted["accuracy_adjusted"] == pytest.approx((tp + tn) / 200)


def test_points_and_the_probability_of_nothing_count():
    truth = Boxes.from_columns(
        {
            "key": ["a", "b", "c", "d"],
            "label": ["n", "n", None, None],
            "kind": ["point", "point", "nothing", "nothing"],
        }
    )
    found = Boxes.from_columns(
        {
            "key": ["a", "b", "c", "a", "b", "c", "d"],
            "label": ["n", "n", "n", None, None, None, None],
            "kind": ["point"] * 3 + ["nothing"] * 4,
            "score": [0.9, 0.2, 0.3, 0.1, 0.6, 0.5, 0.7],
        }
    )
    areas = evaluate(found, truth, "classification", resamples=0).per_label["auc"]
    assert areas.to_dict() == {"n": 0.75, "No finding": 0.75}
    with pytest.raises(UsageError, match="points, which have no area"):
        evaluate(found, truth, "froc")


def test_invalid_prevalence():
    found, truth = make_boxes(3, 2)
    with pytest.raises(UsageError, match="between 0 and 1"):
        evaluate(found, truth, "classification", prevalence=1.5)
    with pytest.raises(UsageError, match='metric="classification"'):
        evaluate(found, truth, "froc", prevalence=0.5)


def test_scores_above_1_are_noted():
    found, truth = make_boxes(30, 2, labels=2, seed=3)
    percent = found.replace({"score": 100 * found.table["score"].to_numpy()})
    notes = evaluate(percent, truth, "classification@0.5", resamples=0).notes
    assert notes[-1].endswith("not 0 to 1: no calibration error; check the threshold 0.5")
    assert evaluate(percent, truth, "froc", resamples=0).notes[-1].endswith("calibration error")
    assert "scores" not in str(evaluate(found, truth, "classification", resamples=0).notes)


def test_an_interval_without_width_is_null():
    truth = make_boxes(20, 2, labels=2, seed=3)[1]
    result = evaluate(truth.replace({"score": np.ones(len(truth))}), truth, "classification")
    bounds = ["auc_low", "auc_high", "low", "high"]
    assert (result.value, result.interval) == (1, None)
    assert result.per_label[bounds].isna().all(axis=None)
    assert result.per_label["sensitivity_low"].between(0.5, 0.99).all()  # Wilson's

"""Thresholds chosen on one part and applied to another, against scikit-learn and fairlearn."""

from __future__ import annotations

import numpy as np
import pytest

from wetread.boxes.collection import Boxes
from wetread.errors import UsageError
from wetread.evaluation import evaluate
from wetread.testing.boxes import make_boxes, make_classified, make_index


def split(found: Boxes, truth: Boxes, parts: tuple[str, ...] = ("valid", "test")):
    """Both sides, with parts by turns."""
    keys = sorted(set(truth.table["key"].to_pylist()))
    part = {key: parts[number % len(parts)] for number, key in enumerate(keys)}
    return found, truth.replace({"part": [part[key] for key in truth.table["key"].to_pylist()]})


def arrays(found: Boxes, truth: Boxes, part: str) -> tuple[np.ndarray, np.ndarray]:
    """Ground truth and scores of the images of a part of `make_classified`."""
    chosen = np.array([one == part for one in truth.table["part"].to_pylist()])
    positive = np.array([kind == "point" for kind in truth.table["kind"].to_pylist()])
    return positive[chosen], found.table["score"].to_numpy()[chosen]


@pytest.mark.parametrize("wanted", [0.3, 0.7, 0.9, 1.0])
def test_the_threshold_of_a_sensitivity_is_that_of_the_roc_curve(wanted: float) -> None:
    from sklearn.metrics import confusion_matrix, roc_curve

    found, truth = split(*make_classified(121))
    result = evaluate(
        found, truth, "classification", sensitivity=wanted, threshold_from="valid", resamples=0
    )
    positive, score = arrays(found, truth, "valid")
    _, rate, thresholds = roc_curve(positive, score, drop_intermediate=False)
    expected = thresholds[np.flatnonzero(rate >= wanted)[0]]
    points = result.operating_points
    assert points["part"].tolist() == ["valid", "test"]
    assert points["threshold"].tolist() == [expected, expected]
    for row, part in zip(points.to_dict("records"), ("valid", "test"), strict=True):
        positive, score = arrays(found, truth, part)
        tn, fp, fn, tp = confusion_matrix(positive, score >= expected).ravel()
        assert row["images"] == row["patients"] == len(score)
        assert row["sensitivity"] == pytest.approx(tp / (tp + fn), abs=1e-12)
        assert row["specificity"] == pytest.approx(tn / (tn + fp), abs=1e-12)
        precision = tp / (tp + fp) if tp + fp else np.nan
        assert row["precision"] == pytest.approx(precision, abs=1e-12, nan_ok=True)
        assert row["false_positives"] == pytest.approx(fp / len(score), abs=1e-12)
    assert result.images == len(score)  # the part with the thresholds is not scored


@pytest.mark.parametrize("metric", ["froc@0.3", "voc2010@0.4", "coco", "rsna-pneumonia"])
@pytest.mark.parametrize("most", [0.25, 1.0])
def test_false_positives_per_image_stay_below_the_goal(metric: str, most: float) -> None:
    found, truth = split(*make_boxes(60, 4, labels=2, seed=3))
    points = evaluate(
        found, truth, metric, false_positives=most, threshold_from="valid", resamples=20
    ).operating_points
    chosen = points[points["part"] == "valid"]
    assert (chosen["false_positives"] <= most).all()
    assert "specificity" not in points
    scores = np.array(found.table["score"].to_pylist())
    labels = np.array(found.table["label"].to_pylist())
    for row in chosen.to_dict("records"):
        below = scores[(labels == row["label"]) & (scores < row["threshold"])]
        if len(below) and metric == "voc2010@0.4":  # one more box of "valid" would exceed it
            assert row["false_positives"] > most - 1.5 / 30


def test_the_froc_curve_has_the_same_point() -> None:
    found, truth = split(*make_boxes(60, 4, labels=1, seed=3))
    point = evaluate(
        found, truth, "froc", false_positives=0.5, threshold_from="valid", resamples=0
    ).operating_points.iloc[0]
    valid = [
        boxes.select(np.isin(boxes.table["key"].to_pylist(), _keys(truth, "valid")))
        for boxes in (found, truth)
    ]
    label = evaluate(*valid, "froc", resamples=0).per_label.iloc[0]
    # The curve is interpolated between its points.
    assert label["at 0.25"] <= point["sensitivity"] <= label["at 0.5"] + 1e-12


def _keys(truth: Boxes, part: str) -> list[str]:
    rows = zip(truth.table["key"].to_pylist(), truth.table["part"].to_pylist(), strict=True)
    return [key for key, one in rows if one == part]


def test_rates_by_group_are_those_of_fairlearn() -> None:
    """MetricFrame(metrics=recall_score, ...) of fairlearn 0.15.0 at the threshold 0.5.

    On `make_classified(120)`, by ["F", "M", "O"][number * 11 % 3]; 61 / 121 is the lowest score
    from .5 on, and one more image with this score, in another part, makes it the threshold.
    """
    found, truth = make_classified(120)
    sex = [["F", "M", "O"][number * 11 % 3] for number in range(120)]
    keys = truth.table["key"].to_pylist()
    truth = Boxes.from_columns(
        {
            "key": [*keys, "v1"],
            "label": [*truth.table["label"].to_pylist(), "ill"],
            "kind": [*truth.table["kind"].to_pylist(), "point"],
            "part": ["test"] * 120 + ["valid"],
        }
    )
    found = Boxes.from_columns(
        {
            "key": [*keys, "v1"],
            "label": ["ill"] * 121,
            "kind": ["point"] * 121,
            "score": [*found.table["score"].to_pylist(), 61 / 121],
        }
    )
    index = make_index([*keys, "v1"], {"PatientSex": [*sex, "M"]})
    points = evaluate(
        found, truth, "classification", by="PatientSex", index=index, sensitivity=1.0,
        threshold_from="valid", resamples=0,
    ).operating_points  # fmt: skip
    groups = points[points["by"] == "PatientSex"].set_index("group")
    assert groups["sensitivity"].to_dict() == pytest.approx(
        {"F": 0.6875, "M": 0.6875, "O": 0.5}, abs=1e-12
    )
    assert groups["specificity"].to_dict() == pytest.approx(
        {"F": 0.5, "M": 0.7083333333333334, "O": 0.6666666666666666}, abs=1e-12
    )


def test_intervals_are_by_patient_and_have_a_width() -> None:
    from scipy.stats import binomtest

    n = 200
    keys = [f"{number:03d}" for number in range(n)]
    truth = Boxes.from_columns(
        {
            "key": keys,
            "label": ["ill"] * n,
            "kind": ["point"] * n,
            "part": ["valid", "test"] * (n // 2),
            "group": [f"p{number // 10}" for number in range(n)],
        }
    )
    score = [0.9 if number // 20 % 2 or number % 4 == 0 else 0.4 for number in range(n)]
    point = {"label": ["ill"] * n, "kind": ["point"] * n, "score": score}
    found = Boxes.from_columns({"key": keys, **point})
    goal = {"sensitivity": 0.7, "threshold_from": "valid", "resamples": 500}
    grouped = evaluate(found, truth, "classification", **goal).operating_points.iloc[1]
    alone = truth.replace({"group": keys})
    alone = evaluate(found, alone, "classification", **goal).operating_points.iloc[1]
    widths = [row["sensitivity_high"] - row["sensitivity_low"] for row in (grouped, alone)]
    assert widths[0] > 1.5 * widths[1]
    certain = found.replace({"score": [0.9] * n})
    row = evaluate(certain, truth, "classification", **goal).operating_points.iloc[1]
    wilson = binomtest(20, 20).proportion_ci(method="wilson")  # 20 patients, not 100 images
    assert (row["sensitivity"], row["patients"]) == (1, 20)
    assert row["sensitivity_low"] == pytest.approx(wilson.low)
    assert row["sensitivity_high"] == pytest.approx(1)


def test_a_goal_that_cannot_be_reached_has_no_threshold() -> None:
    found, truth = split(*make_boxes(40, 3, labels=2, seed=3))
    labels = np.array(found.table["label"].to_pylist())
    none = evaluate(
        found.select(labels != "label 1"), truth, "froc", sensitivity=0.99,
        threshold_from="valid", resamples=10,
    ).operating_points  # fmt: skip
    assert none["status"].tolist() == ["no threshold"] * 4
    assert none.loc[:, "threshold":].isna().all(axis=None)
    few = evaluate(
        found, truth, "froc", false_positives=0.0, threshold_from="valid", resamples=10
    ).operating_points
    assert (few.query("part == 'valid' and status == 'ok'")["false_positives"] == 0).all()


def test_several_other_parts_are_one() -> None:
    found, truth = split(*make_classified(60), ("valid", "a", "b"))
    points = evaluate(
        found, truth, "classification", sensitivity=0.5, threshold_from="valid", resamples=0
    ).operating_points
    assert points["part"].tolist() == ["valid", "a, b"]


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"sensitivity": 0.9}, "needs threshold_from"),
        ({"threshold_from": "valid"}, "needs threshold_from"),
        ({"sensitivity": 0.9, "false_positives": 1, "threshold_from": "valid"}, "not both"),
        ({"sensitivity": 1.1, "threshold_from": "valid"}, "at most 1"),
        ({"false_positives": -1, "threshold_from": "valid"}, "0 or more"),
        ({"false_positives": float("nan"), "threshold_from": "valid"}, "0 or more"),
        ({"sensitivity": 0.9, "threshold_from": "train"}, "are of: test, valid"),
    ],
)
def test_wrong_goals_are_errors(options: dict[str, object], message: str) -> None:
    with pytest.raises(UsageError, match=message):
        evaluate(*split(*make_classified(20)), "classification", **options)


def test_images_without_parts_have_no_threshold() -> None:
    with pytest.raises(UsageError, match="are of: no part; split the index and give it"):
        evaluate(*make_classified(20), "classification", sensitivity=0.9, threshold_from="valid")

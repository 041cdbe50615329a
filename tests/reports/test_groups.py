"""Section of the subgroups and the calibration."""

from __future__ import annotations

import numpy as np
import pytest

import wetread as wr
from wetread.boxes.table import CORNERS
from wetread.reports.build import build
from wetread.reports.sections import groups
from wetread.testing.boxes import make_boxes, make_classified, make_index


def test_scores_by_subgroup_as_evaluate() -> None:
    found, truth = make_boxes(60, 3, labels=2, seed=1)
    keys = sorted(set(truth.table["key"].to_pylist()))
    sex = ["F" if number % 3 else "M" for number in range(60)]
    vendor = ["A" if number else "B" for number in range(60)]
    index = make_index(keys, {"PatientSex": sex, "Manufacturer": vendor, "Modality": ["DX"] * 60})
    report = build(index, truth, found, workers=1)
    section = report.data["sections"]["groups"]
    result = wr.evaluate(found, truth, "voc2010@0.4", by="PatientSex", index=index, resamples=0)
    rows = [row for row in section["groups"]["rows"] if row["by"] == "PatientSex"]
    assert [row["value"] for row in rows] == result.groups["value"].tolist()
    assert {row["by"] for row in section["groups"]["rows"]} == {"PatientSex", "Manufacturer"}
    assert section["groups"]["value"] == result.value
    assert section["calibration"]["expected_error"] == pytest.approx(
        result.calibration.table["ece"].iloc[-1]
    )
    assert "Forest plot of the scores by subgroup" in report.html
    assert "fewer than 10 patients" in report.html
    none = build(index, truth, workers=1)
    assert none.data["sections"]["groups"] == {}
    assert "Scores by subgroup need labels" in none.html


def test_labels_of_images_are_classified() -> None:
    found, truth = make_classified(60)
    keys = truth.table["key"].to_pylist()
    index = make_index(keys, {"PatientSex": ["F", "M"] * 30, "Modality": ["DX"] * 60})
    whole = {name: [end] * 60 for name, end in zip(CORNERS, (0.0, 0.0, 9.0, 9.0), strict=True)}
    expected = wr.evaluate(found, truth, "classification", resamples=0)
    kinds = truth.table["kind"].to_pylist()
    boxed = truth.replace(
        {"kind": ["box" if kind == "point" else kind for kind in kinds]}
        | {name: [3.0 + i] * 60 for i, name in enumerate(CORNERS)}
    )
    for labels in (truth, boxed):
        found = found.replace({"kind": ["box"] * 60, **whole})
        section = build(index, labels, found, workers=1).data["sections"]["groups"]
        assert section["groups"]["metric"] == "classification"
        assert section["groups"]["value"] == expected.value
        ece = expected.calibration.table["ece"].iloc[-1]
        assert section["calibration"]["expected_error"] == pytest.approx(ece)


def test_a_large_difference_is_significant(monkeypatch: pytest.MonkeyPatch) -> None:
    """Nobody is found in F; after adjustment for 20 comparisons, 100 shuffles could not tell."""
    found, truth = make_boxes(200, 2, labels=1, seed=1)
    keys = sorted(set(truth.table["key"].to_pylist()))
    sex = {key: "F" if number % 2 else "M" for number, key in enumerate(keys)}
    found = found.select(np.array([sex[key] == "M" for key in found.table["key"].to_pylist()]))
    vendor = [f"vendor {number % 18:02}" for number in range(200)]
    index = make_index(keys, {"PatientSex": [*sex.values()], "Manufacturer": vendor})
    report = build(index, truth, found, workers=1)
    rows = report.data["sections"]["groups"]["groups"]["rows"]
    assert [row["p_holm"] for row in rows if row["by"] == "PatientSex"] == [19 / 1001] * 2
    assert "too few" not in report.html
    monkeypatch.setattr(groups, "BUDGET", 1)
    assert (
        "100 resamples are too few: no p_holm can be below 0.19"
        in build(index, truth, found, workers=1).html
    )


def test_predictions_on_training_images_have_no_subgroups() -> None:
    found, truth = make_boxes(20, 2, labels=1)
    keys = sorted(set(truth.table["key"].to_pylist()))
    index = make_index(keys, {"PatientSex": ["F", "M"] * 10})
    train = truth.replace({"part": ["train"] * len(truth)})
    assert build(index, train, found, workers=1).data["sections"]["groups"] == {}

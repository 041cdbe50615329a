"""Scores by subgroup, against fairlearn, statsmodels, and evaluation of the images of a group."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest

from wetread.boxes.collection import Boxes
from wetread.errors import QueryError, UsageError
from wetread.evaluation import evaluate
from wetread.evaluation.subgroups import (
    MIN_PATIENTS,
    TOO_SMALL,
    Grouping,
    _shuffle,
    adjust_holm,
    group_values,
    score_groups,
)
from wetread.table.rows import IndexRows
from wetread.testing.boxes import make_boxes, make_classified, make_index

METRICS = ["voc2010@0.4", "vinbigdata", "siim-covid", "rsna-pneumonia", "coco", "froc"]


def classified(n: int = 120) -> tuple[Boxes, Boxes, IndexRows]:
    """Predictions and ground truth of `make_classified`, and their index."""
    found, truth = make_classified(n)
    i = np.arange(n)
    sex = np.array(["F", "M", "O"])[(i * 11) % 3]
    return found, truth, make_index(truth.table["key"].to_pylist(), {"PatientSex": sex, "Rows": i})


def test_areas_by_group_are_those_of_fairlearn() -> None:
    """MetricFrame(metrics=roc_auc_score, ...).by_group of fairlearn 0.15.0 on `classified`."""
    found, truth, index = classified()
    groups = evaluate(
        found, truth, "classification", by="PatientSex", index=index, resamples=20
    ).groups
    expected = {"F": 0.5924479166666666, "M": 0.8333333333333333, "O": 0.5651041666666667}
    assert dict(zip(groups["group"], groups["value"], strict=True)) == pytest.approx(
        expected, abs=1e-12
    )
    assert groups["images"].tolist() == [40, 40, 40]
    assert (groups["low"] < groups["value"]).all()
    assert (groups["value"] < groups["high"]).all()


def test_adjusted_p_is_that_of_statsmodels() -> None:
    """multipletests(p, method="holm") of statsmodels 0.15.0."""
    p = [0.01, 0.04, 0.03, 0.005, 0.2, 0.04, 0.9]
    expected = [0.06, 0.16, 0.15, 0.035, 0.4, 0.16, 0.9]
    assert adjust_holm(p) == pytest.approx(expected, abs=1e-12)
    with_unknown = adjust_holm([np.nan, *p])
    assert np.isnan(with_unknown[0])
    assert with_unknown[1:] == pytest.approx(expected, abs=1e-12)


@pytest.mark.parametrize("metric", [*METRICS, "classification"])
def test_a_group_scores_as_its_images_alone(metric: str) -> None:
    found, truth = make_boxes(40, 3, labels=2, seed=5)
    found = found.replace({"score": np.round(found.table["score"].to_numpy(), 1)})  # with ties
    keys = sorted(set(truth.table["key"].to_pylist()))
    vendor = ["A" if n % 3 else "B" for n in range(40)]
    index = make_index(keys, {"Manufacturer": vendor})
    groups = evaluate(found, truth, metric, by=["Manufacturer"], index=index, resamples=0).groups
    of_key = dict(zip(keys, vendor, strict=True))
    for name, value in zip(groups["group"], groups["value"], strict=True):
        sides = (
            boxes.select(np.array([of_key[key] == name for key in boxes.table["key"].to_pylist()]))
            for boxes in (found, truth)
        )
        assert value == pytest.approx(evaluate(*sides, metric, resamples=0).value, abs=1e-12)
    assert groups["difference"].tolist() == pytest.approx(
        [groups["value"][0] - groups["value"][1], groups["value"][1] - groups["value"][0]]
    )
    assert groups[["low", "high", "p", "p_holm"]].isna().all(axis=None)


def test_small_groups_have_no_score_and_unknown_is_a_group() -> None:
    found, truth, index = classified()
    rows = np.arange(120)
    patients = [f"p{min(row, 105) if row < 115 else row}" for row in rows]
    vendor = np.where(rows < 50, "A", np.where(rows < 100, "", np.where(rows < 119, "C", "B")))
    index = make_index(
        index.rows["id"].to_pylist(),
        {"Manufacturer": [text or None for text in vendor.tolist()], "PatientID": patients},
    )
    result = evaluate(found, truth, "classification", by="Manufacturer", index=index, resamples=20)
    groups = result.groups.set_index("group")
    assert list(groups.index) == ["A", "B", "C", "unknown"]
    assert groups["patients"].tolist() == [50, 1, 10, 50]
    assert groups.loc["B", "status"] == TOO_SMALL == f"fewer than {MIN_PATIENTS} patients"
    assert groups.loc["B", "value":].isna().all()
    assert (groups.drop("B")["status"] == "ok").all()
    assert TOO_SMALL in str(result)
    assert TOO_SMALL in result._repr_html_()
    told = json.loads(json.dumps(result.to_dict(), allow_nan=False))["groups"]
    assert told[1]["value"] is None
    assert told[0]["value"] == groups.loc["A", "value"]


def test_a_group_is_any_expression() -> None:
    found, truth, index = classified()
    by = ["Rows > 59", "Rows", "Rows:30, 90.5", "PatientSex || Rows % 2", "Rows // 60"]
    groups = evaluate(found, truth, "classification", by=by, index=index, resamples=0).groups
    names = {key: list(rows["group"]) for key, rows in groups.groupby("by")}
    assert names == {
        "Rows > 59": ["false", "true"],
        "Rows": ["below 29.75", "29.75 to below 59.5", "59.5 to below 89.25", "89.25 and above"],
        "Rows:30, 90.5": ["below 30", "30 to below 90.5", "90.5 and above"],
        "PatientSex || Rows % 2": ["F0", "F1", "M0", "M1", "O0", "O1"],
        "Rows // 60": ["0", "1"],
    }
    counts = groups.set_index(["by", "group"])["images"]
    assert counts["Rows:30, 90.5"].tolist() == [30, 61, 29]


def test_decades_of_age() -> None:
    found, truth, index = classified()
    age = [None, *np.linspace(0, 69.9, 119).tolist()]
    index = make_index(index.rows["id"].to_pylist(), {"patient_age_years": age})
    result = evaluate(
        found, truth, "classification", by="patient_age_decade", index=index, resamples=0
    )
    names = [f"{n} to {n + 9} years" for n in range(0, 70, 10)]
    assert result.groups["group"].tolist() == [*names, "unknown"]


@pytest.mark.parametrize(
    ("values", "names"),
    [
        ([[1, 2], None, [1]], ["1", "1\\2", "unknown"]),
        (["R10", "R2", " ", "unknown"], ["R2", "R10", "unknown"]),
        ([10, 9, None], ["9", "10", "unknown"]),
        ([0.5, float("nan"), -1.0], ["-1", "0.5", "unknown"]),
        ([True, None, False], ["false", "true", "unknown"]),
        ([None, None], ["unknown"]),
    ],
)
def test_names_of_groups(values: list[object], names: list[str]) -> None:
    found, number = group_values(pa.chunked_array([pa.array(values)]))
    assert list(found) == names
    assert len(number) == len(values)


def test_bins_of_equal_numbers() -> None:
    names, number = group_values(pa.chunked_array([[5.0] * 90 + list(range(6, 17))]))
    assert names == ("5 and above",)
    assert set(number.tolist()) == {0}


def test_wrong_usage_says_what_to_do(tmp_path: Path) -> None:
    found, truth, index = classified()
    with pytest.raises(UsageError, match="give index=index"):
        evaluate(found, truth, "classification", by="PatientSex")
    with pytest.raises(QueryError, match="unknown column 'PatientSx'; did you mean PatientSex"):
        evaluate(found, truth, "classification", by="PatientSx", index=index)
    with pytest.raises(QueryError, match="expected one SQL expression"):
        evaluate(found, truth, "classification", by="1) UNION ALL SELECT (2", index=index)
    with pytest.raises(UsageError, match="rising numbers"):
        evaluate(found, truth, "classification", by="Rows:9,3", index=index)


def test_images_that_are_not_in_the_index_are_unknown() -> None:
    found, truth, index = classified()
    some = make_index(index.rows["id"].to_pylist()[:60], {"Manufacturer": ["A"] * 60})
    result = evaluate(found, truth, "classification", by="Manufacturer", index=some, resamples=0)
    assert result.groups["group"].tolist() == ["A", "unknown"]
    assert "60 images are not in the index" in " ".join(result.notes)


def test_boxes_remember_their_index(small_folder: Path, tmp_path: Path) -> None:
    import wetread as wr

    index = wr.scan(small_folder, tmp_path / "to", workers=0, progress=False)
    names = ["CT_small", "MR_small"]
    boxes = Boxes.from_columns(
        {"key": names, "label": ["a", "a"], "kind": ["point"] * 2, "score": [0.5, 0.4]}
    ).join(index)
    boxes.save(tmp_path / "boxes.parquet")
    assert Boxes.open(tmp_path / "boxes.parquet").index == str(tmp_path / "to")
    assert boxes.join(wr.scan(small_folder, workers=0, progress=False).where("true")).index
    result = evaluate(
        tmp_path / "boxes.parquet", boxes, "classification", by="Modality", resamples=0
    )
    assert result.groups["group"].tolist() == ["CT", "MR"]


def test_without_images_there_are_no_groups() -> None:
    found, truth, index = classified()
    nothing = np.zeros(120, bool)
    result = evaluate(
        found.select(nothing), truth.select(nothing), "classification", by="PatientSex", index=index
    )
    assert len(result.groups) == 0
    assert "By subgroup" in str(result)


def mean_score(values: np.ndarray):
    return lambda weights: np.array([weights @ values / weights.sum() if weights.any() else np.nan])


def test_the_p_value_is_uniform_if_groups_do_not_differ() -> None:
    random = np.random.default_rng(3)
    p = []
    for number in range(200):
        patients = np.repeat(np.arange(24), 2)
        effect = random.normal(size=24)[patients]  # images of a patient are alike
        group = Grouping("g", ("a", "b"), random.permutation(np.repeat([0, 1], 12))[patients])
        table, _ = score_groups(mean_score(effect), patients, [group], 99, seed=number)
        assert table["p"][0] == table["p"][1] == table["p_holm"][0]  # one comparison
        p.append(table["p"][0])
    assert np.mean(np.array(p) <= 0.05) < 0.1
    assert np.mean(p) == pytest.approx(0.5, abs=0.08)


def test_a_difference_within_patients_is_found() -> None:
    """Two images per patient, one per view: patients differ more than views."""
    random = np.random.default_rng(0)
    patients = np.repeat(np.arange(30), 2)
    view = np.tile([0, 1], 30)
    values = random.normal(size=30)[patients] + 0.3 * view + random.normal(0, 0.1, 60)
    table, _ = score_groups(
        mean_score(values), patients, [Grouping("v", ("AP", "PA"), view)], 199, seed=0
    )
    assert table["p"][0] == 1 / 200
    assert table["difference_low"][1] > 0


def test_a_group_without_an_error_has_no_interval_and_is_not_significant() -> None:
    values = np.ones(200)
    values[12::20] = 0.0  # 5 % errors, none in the first 12 patients
    number = (np.arange(200) >= 12).astype(np.int64)
    grouping = Grouping("g", ("few", "others"), number)
    table, _ = score_groups(mean_score(values), np.arange(200), [grouping], 500, seed=0)
    assert table["value"][0] == 1
    assert np.isnan([table["low"][0], table["high"][0]]).all()
    assert table["p"][0] > 0.2


def test_frames_belong_to_the_group_of_their_image() -> None:
    keys = [f"{number:02d}" for number in range(20)]
    frames = {"key": keys * 2, "frame": [0] * 20 + [1] * 20}
    point = {"label": ["a"] * 40, "kind": ["point"] * 40, "score": np.linspace(0, 1, 40)}
    boxes = Boxes.from_columns({**frames, **point})
    index = make_index(keys, {"Manufacturer": ["A", "B"] * 10})
    result = evaluate(
        boxes, boxes, "classification", by=["Manufacturer"] * 2, index=index, resamples=0
    )
    assert result.groups["images"].tolist() == [20, 20]  # frames; each expression once
    assert result.groups["patients"].tolist() == [10, 10]


def test_the_p_value_is_that_of_scipy() -> None:
    from scipy.stats import permutation_test

    random = np.random.default_rng(8)
    values = random.normal(size=60)
    values[:20] += 0.5
    number = (np.arange(60) >= 20).astype(np.int64)
    table, _ = score_groups(
        mean_score(values), np.arange(60), [Grouping("g", ("a", "b"), number)], 4000, seed=0
    )
    expected = permutation_test(
        (values[:20], values[20:]),
        lambda a, b: abs(a.mean() - b.mean()),
        permutation_type="independent",
        alternative="greater",
        n_resamples=4000,
        rng=1,
    ).pvalue
    assert table["p"][0] == pytest.approx(expected, abs=0.03)


def test_too_few_resamples_for_the_number_of_comparisons_are_a_note() -> None:
    """With 19 shuffles p is at least 1 / 20; two groups of an expression are one comparison."""
    found, truth = make_boxes(60, 1, labels=1, seed=1)
    keys = sorted(set(truth.table["key"].to_pylist()))
    values = {"Manufacturer": ["AB"[n % 2] for n in range(60)], "Rows": [n % 3 for n in range(60)]}
    index = make_index(keys, values)
    for by, resamples, notes in (
        ("Manufacturer", 19, ()),
        ("Manufacturer", 18, ("18 resamples are too few: no p_holm can be below 0.053",)),
        ("Rows", 49, ("49 resamples are too few: no p_holm can be below 0.06",)),
        ("Rows", 0, ()),
    ):
        result = evaluate(found, truth, "froc", by=by, index=index, resamples=resamples)
        assert tuple(note for note in result.notes if "too few" in note) == notes


def test_a_shuffle_keeps_patients_together() -> None:
    random = np.random.default_rng(0)
    group = np.sort(random.integers(40, size=200))
    group = np.unique(group, return_inverse=True)[1]
    pure = random.integers(3, size=group.max() + 1)
    number = np.where(group % 4 == 0, random.integers(3, size=200), pure[group])
    shuffles = list(_shuffle(number, group, 50, seed=0))
    for shuffled in shuffles:
        for patient in range(group.max() + 1):
            before, after = number[group == patient], shuffled[group == patient]
            if len(set(before)) > 1:
                assert sorted(before) == sorted(after)
            else:
                assert len(set(after)) == 1
    assert len({one.tobytes() for one in shuffles}) == 50

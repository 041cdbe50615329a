"""Labels that columns of the index predict, against scikit-learn."""

from __future__ import annotations

import warnings
from collections.abc import Sequence
from typing import Any

import numpy as np
import pytest

import wetread as wr
from wetread.boxes.collection import Boxes
from wetread.errors import QueryError, UsageError
from wetread.evaluation.shortcuts import _deal_patients, _FoldArea, _score_images
from wetread.table.rows import IndexRows
from wetread.testing.boxes import make_index

pytestmark = pytest.mark.filterwarnings("error")


def data(
    n: int = 400, per_patient: int = 2, seed: int = 0, **columns: Sequence[Any]
) -> tuple[IndexRows, Boxes, np.ndarray]:
    """Index, truth and presence of "ill": half of the images of vendor A, a tenth of B's."""
    random = np.random.default_rng(seed)
    patient = np.arange(n) // per_patient
    vendor = random.choice(["A", "B"], n)
    ill = (random.random(n) < np.where(vendor == "A", 0.5, 0.1))[patient]
    vendor = vendor[patient]
    keys = [f"{number:04d}" for number in range(n)]
    known = {
        "PatientID": [f"p{number}" for number in patient],
        "Manufacturer": vendor,
        "PatientSex": random.choice(["F", "M"], n),
        "px_mean": random.normal(size=n) + 2 * ill,
        "Modality": ["DX"] * n,
    }
    truth = Boxes.from_columns(
        {
            "key": keys,
            "label": np.where(ill, "ill", None).tolist(),
            "kind": np.where(ill, "point", "nothing").tolist(),
        }
    )
    return make_index(keys, {**known, **columns}), truth, ill


def predict(truth: Boxes, score: np.ndarray) -> Boxes:
    n = len(truth)
    point = {"label": ["ill"] * n, "kind": ["point"] * n, "score": score}
    return Boxes.from_columns({"key": truth.table["key"].to_pylist(), **point})


def test_columns_are_ranked_and_a_shortcut_is_found() -> None:
    index, truth, _ = data()
    table = wr.shortcuts(index, truth, resamples=100, progress=False)
    assert list(table.columns) == [
        "label", "source", "column", "images", "positives", "status", "auc", "low", "high",
    ]  # fmt: skip
    assert table["auc"].is_monotonic_decreasing
    rows = table.set_index("column")
    assert set(rows.index) == {"Manufacturer", "PatientSex", "all 2 columns", "px_mean"}
    assert rows["source"].to_dict()["px_mean"] == "image quality"
    assert rows.loc["Manufacturer", "low"] > 0.6
    assert rows.loc["px_mean", "low"] > 0.8
    assert rows.loc["PatientSex", "low"] < 0.5 < rows.loc["PatientSex", "high"]
    assert (rows["low"] < rows["auc"]).all()
    assert (rows["auc"] < rows["high"]).all()


def test_the_scores_are_out_of_fold_rates() -> None:
    """Naive Bayes of scikit-learn on the other folds, with the same prior, orders images alike."""
    from sklearn.metrics import roc_auc_score

    random = np.random.default_rng(1)
    group = np.arange(300) // 3
    code = random.integers(5, size=300)
    positive = random.random(300) < 0.1 + 0.15 * code
    fold = _deal_patients(positive, group, seed=0)
    assert all(len(set(fold[group == one])) == 1 for one in range(100))  # patients stay together
    ill = np.array([positive[group == one].any() for one in range(100)])
    for side in (ill, ~ill):
        counts = np.bincount(fold[::3][side], minlength=5)
        assert counts.max() - counts.min() <= 1
    score = _score_images(code, positive, fold)
    wins = pairs = 0.0
    for one in range(5):
        test = fold == one
        rates = {value: positive[~test & (code == value)].mean() for value in range(5)}
        order = [np.mean(score[test & (code == value)]) for value in sorted(rates, key=rates.get)]
        assert order == sorted(order)
        here = positive[test].sum() * (~positive[test]).sum()
        wins += here * roc_auc_score(positive[test], score[test])
        pairs += here
    area = _FoldArea(score, positive, fold)
    assert area(np.ones(300))[0] == pytest.approx(wins / pairs, abs=1e-12)


def test_a_column_without_information_is_at_one_half() -> None:
    """Pooled out-of-fold rates would be below it: a fold with more positives has a lower rate."""
    areas = []
    for seed in range(30):
        index, truth, _ = data(120, 1, seed, ViewPosition=["AP"] * 120)
        table = wr.shortcuts(
            index, truth, columns=["PatientSex"], resamples=0, seed=seed, progress=False
        )
        areas.append(table["auc"][0])
        assert table["low"].isna().all()
    assert np.mean(areas) == pytest.approx(0.5, abs=0.025)


def test_a_patient_is_in_one_fold() -> None:
    """A column that names the patient predicts nothing about other patients."""
    index, truth, _ = data(400, 4)
    table = wr.shortcuts(index, truth, columns=["PatientID"], resamples=50, progress=False)
    assert table["auc"][0] == 0.5
    assert table["source"].tolist() == ["given"]


def test_absence_is_a_value() -> None:
    _, _, ill = data()
    index, truth, ill = data(KVP=np.where(data()[2], np.nan, 100.0))
    table = wr.shortcuts(index, truth, columns="KVP", resamples=0, progress=False)
    assert table["auc"][0] == 1
    assert ill.any()


def test_the_joint_score_is_better_than_its_parts() -> None:
    random = np.random.default_rng(4)
    n = 1000
    ill = random.random(n) < 0.5
    keys = [f"{number:04d}" for number in range(n)]
    columns = {f"c{i}": np.where(random.random(n) < 0.7, ill, ~ill) for i in range(4)}
    truth = Boxes.from_columns(
        {"key": keys, "label": ["ill" if one else None for one in ill],
         "kind": ["point" if one else "nothing" for one in ill]}
    )  # fmt: skip
    table = wr.shortcuts(
        make_index(keys, columns), truth, columns=list(columns), resamples=0, progress=False
    )
    assert table["column"][0] == "all 4 columns"
    assert table["auc"][0] > table["auc"][1] + 0.05


def test_a_column_near_the_model_is_reported() -> None:
    index, truth, ill = data()
    random = np.random.default_rng(2)
    good = predict(truth, ill + random.normal(0, 0.2, 400))
    weak = predict(truth, ill + random.normal(0, 1.5, 400))
    options = {"columns": ["Manufacturer", "PatientSex"], "resamples": 100, "progress": False}
    table = wr.shortcuts(index, truth, good, **options)
    assert not table["near"].any()
    model = wr.evaluate(good, truth, "classification", resamples=0).value
    assert table["model_auc"].tolist() == pytest.approx([model] * 3)
    with pytest.warns(UserWarning, match=r"ill: .* may have learned a shortcut"):
        table = wr.shortcuts(index, truth, weak, **options)
    assert table.set_index("column")["near"].to_dict()["Manufacturer"]
    assert not table.set_index("column")["near"].to_dict()["PatientSex"]


def test_labels_with_few_patients_have_no_area() -> None:
    index, truth, _ = data()
    some = np.where(np.arange(400) < 6, "rare", truth.table["label"].to_numpy(zero_copy_only=False))
    kinds = np.where(np.arange(400) < 6, "point", truth.table["kind"].to_pylist()).tolist()
    rare = Boxes.from_columns(
        {"key": truth.table["key"].to_pylist(), "label": some.tolist(), "kind": kinds}
    )
    table = wr.shortcuts(index, rare, columns=["PatientSex"], resamples=10, progress=False)
    status = dict(zip(table["label"], table["status"], strict=True))
    assert status == {"ill": "ok", "rare": "fewer than 10 patients"}
    assert np.isnan(table["auc"][1])


def test_what_is_not_in_the_index_is_left_out() -> None:
    index, truth, _ = data()
    keys = index.rows["id"].to_pylist()[:300]
    part = make_index(keys, {"Manufacturer": index.rows["Manufacturer"].to_pylist()[:300]})
    with pytest.warns(UserWarning, match="100 images of the ground truth are not in the index"):
        table = wr.shortcuts(part, truth, resamples=0, progress=False)
    assert table["images"].tolist() == [300]


def test_wrong_usage_says_what_to_do() -> None:
    index, truth, _ = data()
    with pytest.raises(QueryError, match="unknown column 'Vendor'"):
        wr.shortcuts(index, truth, columns=["Vendor"], progress=False)
    keys = index.rows["id"].to_pylist()
    with pytest.raises(UsageError, match="the same on all images"):
        wr.shortcuts(make_index(keys, {"Modality": ["DX"] * 400}), truth, progress=False)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        two = truth.replace({"reader": ["a", "b"] * 200, "key": ["0001"] * 400})
        with pytest.raises(UsageError, match="readers"):
            wr.shortcuts(index, two, progress=False)


def test_training_images_count_without_predictions() -> None:
    index, truth, ill = data()
    truth = truth.replace({"part": np.where(np.arange(400) < 200, "train", "test").tolist()})
    options = {"columns": ["Manufacturer"], "resamples": 0, "progress": False}
    assert wr.shortcuts(index, truth, **options)["images"].tolist() == [400]
    test = predict(truth, ill + np.random.default_rng(0).normal(0, 0.3, 400))
    with pytest.raises(UsageError, match="train"):
        wr.shortcuts(index, truth, test, **options)
    test = test.select(np.arange(400) >= 200)
    assert wr.shortcuts(index, truth, test, **options)["images"].tolist() == [200]


def test_hashes_of_pixels_are_not_image_quality() -> None:
    index, truth, _ = data(px_xxh3=[f"{n:032x}" for n in range(400)])
    table = wr.shortcuts(index, truth, resamples=0, progress=False)
    assert "px_xxh3" not in table["column"].tolist()


def test_images_whose_boxes_are_to_be_ignored_are_left_out() -> None:
    index, truth, ill = data()
    marked = ill & (np.arange(len(ill)) % 8 < 4)
    found = wr.shortcuts(
        index, truth.replace({"ignore": marked.tolist()}), resamples=0, progress=False
    )
    others = truth.select(~marked)
    expected = wr.shortcuts(index, others, resamples=0, progress=False)
    assert found["images"].tolist() == expected["images"].tolist()
    assert found["positives"].tolist() == expected["positives"].tolist()

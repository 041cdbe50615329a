"""`wetread evaluate`."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
from click.testing import CliRunner, Result

import wetread as wr
from wetread.boxes.collection import Boxes
from wetread.cli import main
from wetread.evaluation import evaluate
from wetread.testing.boxes import make_boxes


@pytest.fixture
def files(tmp_path: Path) -> tuple[str, str]:
    """Predictions and a ground truth that includes training images."""
    found, truth = make_boxes(20, 3, labels=2, seed=1)
    part = np.where(
        np.array([int(k, 16) for k in truth.table["key"].to_pylist()]) < 5, "train", "v"
    )
    truth.replace({"part": part}).save(tmp_path / "truth.parquet")
    found.save(tmp_path / "found.parquet")
    return str(tmp_path / "found.parquet"), str(tmp_path / "truth.parquet")


def run(*arguments: str) -> Result:
    return CliRunner().invoke(main, ["evaluate", *arguments])


def test_json_equals_the_python_result(files: tuple[str, str]) -> None:
    options = ["--metric", "voc2010@0.5", "--resamples", "20", "--seed", "3", "--allow-train"]
    done = run(*files, *options, "--json")
    assert done.exit_code == 0
    expected = evaluate(*files, "voc2010@0.5", resamples=20, seed=3, allow_train=True)
    assert json.loads(done.stdout) == expected.to_dict()


def test_text_has_score_interval_and_labels(files: tuple[str, str]) -> None:
    done = run(*files, "--metric", "froc", "--resamples", "20", "--allow-train")
    assert done.stdout.startswith("froc: 0.")
    assert "20 images of 20 groups" in done.stdout
    assert "label 1" in done.stdout


def test_training_images_are_an_error(files: tuple[str, str]) -> None:
    done = run(*files)
    assert done.exit_code == 2
    assert '5 images with predictions are of the part "train"' in done.stderr
    assert "pass --allow-train" in done.stderr  # the command's own word, not Python's


def test_prevalence_requires_classification(files: tuple[str, str]) -> None:
    options = ["--allow-train", "--resamples", "0", "--prevalence", "0.1"]
    done = run(*files, *options, "--metric", "classification@0.3", "--json")
    assert json.loads(done.stdout)["details"] == {"threshold": 0.3, "prevalence": 0.1}
    done = run(*files, *options)
    assert (done.exit_code, "classification" in done.stderr) == (2, True)


def test_unknown_metric_lists_the_known_ones(files: tuple[str, str]) -> None:
    done = run(*files, "--metric", "voc2012")
    assert done.exit_code == 2
    assert "voc2010@0.4" in done.stderr


def test_missing_file_is_wrong_usage(files: tuple[str, str]) -> None:
    assert run(files[0], "none.csv").exit_code == 2


def test_subgroups_of_joined_boxes_need_no_index(
    tmp_path: Path, small_folder: Path, files: tuple[str, str]
) -> None:
    index = wr.scan(small_folder, tmp_path / "to", workers=0, progress=False)
    points = {"label": ["a", "a"], "kind": ["point"] * 2, "score": [0.9, 0.2]}
    boxes = Boxes.from_columns({"key": ["CT_small", "MR_small"], **points})
    boxes.save(tmp_path / "truth.parquet")
    boxes.join(index).save(tmp_path / "found.parquet")
    paths = [str(tmp_path / name) for name in ("found.parquet", "truth.parquet")]
    options = ["--metric", "classification", "--by", "Modality", "--by", "Rows > 100"]
    done = run(*paths, *options)
    assert "fewer than 10 patients" in done.stdout
    groups = json.loads(run(*paths, *options, "--json").stdout)["groups"]
    assert [(row["by"], row["group"], row["images"]) for row in groups] == [
        ("Modality", "CT", 1),
        ("Modality", "MR", 1),
        ("Rows > 100", "false", 1),
        ("Rows > 100", "true", 1),
    ]
    done = run(paths[1], paths[1], *options)
    assert (done.exit_code, "--index INDEX" in done.stderr) == (2, True)
    assert run(paths[1], paths[1], *options, "--index", str(tmp_path / "to")).exit_code == 0


def test_an_operating_point_is_chosen_on_one_part(files: tuple[str, str]) -> None:
    options = ["--metric", "froc", "--resamples", "20", "--allow-train", "--sensitivity", "0.5"]
    done = run(*files, *options, "--threshold-from", "v")
    assert "Operating points" in done.stdout
    done = run(*files, *options, "--threshold-from", "v", "--json")
    points = json.loads(done.stdout)["operating_points"]
    assert [(row["part"], row["label"]) for row in points] == [
        *(("v", "label 0"), ("v", "label 1")),
        *(("train", "label 0"), ("train", "label 1")),
    ]
    assert all(row["sensitivity"] >= 0.5 for row in points[:2])
    done = run(*files, *options)
    assert (done.exit_code, "--threshold-from" in done.stderr) == (2, True)
    done = run(*files, *options, "--threshold-from", "nowhere")
    assert (done.exit_code, "the evaluated images are of: train, v" in done.stderr) == (2, True)

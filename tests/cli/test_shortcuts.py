"""`wetread shortcuts`."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
from click.testing import CliRunner, Result

import wetread as wr
from wetread.boxes.collection import Boxes
from wetread.cli import main


@pytest.fixture
def index(small_folder: Path, tmp_path: Path) -> str:
    wr.scan(small_folder, tmp_path / "to", workers=0, progress=False)
    names = ["CT_small", "MR_small", "JPEG2000"]
    points = {"label": ["a", "b", None], "kind": ["point", "point", "nothing"]}
    boxes = Boxes.from_columns({"key": names, **points, "score": [0.5] * 3})
    boxes.save(tmp_path / "boxes.parquet")
    return str(tmp_path / "to")


def run(*arguments: str) -> Result:
    return CliRunner().invoke(main, ["shortcuts", *arguments])


def test_it_prints_a_table_or_json(index: str, tmp_path: Path) -> None:
    boxes = ["--boxes", str(tmp_path / "boxes.parquet")]
    done = run(index, *boxes, "--resamples", "10", "-q")
    assert done.exit_code == 0
    assert "AUC (95 % CI)" in done.stdout
    assert "fewer than 10 patients" in done.stdout
    assert "`wetread measure` adds columns of image quality" in done.stdout
    done = run(index, *boxes, "--column", "Modality", "--column", "Rows > 100", "-q", "--json")
    rows = json.loads(done.stdout)
    assert {row["column"] for row in rows} == {"Modality", "Rows > 100", "all 2 columns"}
    assert rows[0]["auc"] is None
    done = run(index, *boxes, "--predictions", boxes[1], "--column", "Modality", "-q", "--json")
    assert json.loads(done.stdout)[0]["model_auc"] == 1.0
    assert not np.any([row["near"] for row in json.loads(done.stdout)])


def test_labels_are_needed(index: str) -> None:
    done = run(index)
    assert (done.exit_code, "give --boxes FILE" in done.stderr) == (2, True)

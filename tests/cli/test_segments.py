from __future__ import annotations

import json
from pathlib import Path

import nibabel
import numpy as np
import pydicom.data
import pytest
from click.testing import CliRunner

import wetread as wr
from wetread.cli import main


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """An index of CT and MR, and two masks of one volume, the second shifted by half a voxel."""
    files = Path(pydicom.data.__file__).parent / "test_files" / "dicomdirtests"
    index = wr.scan(files, tmp_path / "index", progress=False)
    volume = index.series.where("volumes > 0")[0].volume
    volume.save(tmp_path / "image.nii")
    affine = nibabel.load(tmp_path / "image.nii").affine
    (tmp_path / "labels").mkdir()
    for number, name in enumerate(("R1", "R2", "R3")):
        labels = np.zeros(volume.shape, np.uint8)
        labels[1:4, 4:10, 5 + number : 12] = 1
        moved = affine.copy()
        moved[0, 3] += 0.5 * volume.spacing[2] * (name == "R3")
        path = tmp_path / "labels" / name / "a.nii"
        path.parent.mkdir()
        nibabel.save(nibabel.Nifti1Image(labels.T, moved), path)
    (tmp_path / "labels" / "dataset.json").write_text('{"labels": {"nodule": 1}}')
    return tmp_path


def run(*arguments: object, code: int = 0) -> str:
    result = CliRunner().invoke(main, ["segments", *map(str, arguments)])
    assert result.exit_code == code, result.output
    return result.output


def test_the_table(folder: Path) -> None:
    text = run(folder / "labels", "--images", folder / "index", "-q")
    assert "GRID_SHIFTED" in text
    assert "nodule" in text
    rows = json.loads(run(folder / "labels", "--images", folder / "index", "--json", "-q"))
    assert [row["aligned"] for row in rows] == [True, True, False]
    some = run(folder / "labels", "--images", folder / "index", "--where", "aligned", "--json")
    assert len(json.loads(some)) == 2


def test_problems(folder: Path) -> None:
    options = (folder / "labels", "--images", folder / "index", "--problems", "-q")
    assert "displaced by 0.5 columns" in run(*options)
    assert [row["code"] for row in json.loads(run(*options, "--json"))] == ["GRID_SHIFTED"]
    assert "No problems in 1 segment." in run(folder / "labels" / "R1", "--problems")


def test_agreement(folder: Path) -> None:
    options = (folder / "labels", "--images", folder / "index", "--agreement", "-q")
    assert "hd95_mm" in run(*options)
    (row,) = json.loads(run(*options, "--json"))
    assert row["dice"] == pytest.approx(2 * 6 / (7 + 6))
    assert {row["reader_a"], row["reader_b"]} == {"R1", "R2"}
    one = run(folder / "labels" / "R1", "--images", folder / "index", "--agreement")
    assert "No two segments" in one


def test_masks_are_written(folder: Path) -> None:
    arguments = (folder / "labels", "--images", folder / "index", "-q", "-o")
    assert "2 of 3 segments written" in run(*arguments, folder / "out")
    assert len(list((folder / "out").glob("*.nii.gz"))) == 2
    text = run(*arguments, folder / "nn", "--to", "nnunet", "--where", "reader = 'R1'")
    assert "1 of 1 segment written" in text
    assert (folder / "nn" / "dataset.json").exists()


def test_usage(folder: Path) -> None:
    text = run(folder / "labels", "--accept", "GRID_SHIFTED", code=2)
    assert "FRAME_OF_REFERENCE_DIFFERS" in text
    assert "no such file" in run(folder / "absent", code=2)
    assert "images" in run(folder / "labels", "-o", folder / "out", code=2)

"""`wetread demo`."""

from __future__ import annotations

import re
import subprocess
import sys
import tempfile
from pathlib import Path

import numpy as np
import pytest
from click.testing import CliRunner
from PIL import Image as Pillow

from wetread.cli import main


@pytest.fixture(scope="module")
def shown(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, str]:
    """Folder of a finished demo, and its output."""
    folder = tmp_path_factory.mktemp("demo")
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(folder)
        patch.setattr(tempfile, "tempdir", str(folder))
        done = CliRunner().invoke(main, ["demo"], catch_exceptions=False)
    assert (done.exit_code, done.stderr) == (0, "")
    return folder, done.stdout


def test_demo_shows_a_radiograph_and_problems(shown: tuple[Path, str]) -> None:
    folder, output = shown
    for part in (
        "CompressedSamples^RG1",
        "(0028,0004) Photometric Interpretation          CS: 'MONOCHROME1'",
        "TRUNCATED",
        "JPEG 2000",
        "slice_spacing_mm",
        "ORIENTATION_MIXED",
        "<Volume: CT 'SmartScore - Gated 0.5 sec', 5 x 16 x 16, 2.5 x 0.488 x 0.488 mm>",
        "is not a volume: SPACING_UNEVEN: ",
        "Written to volume.png: axial, coronal, sagittal",
        "wetread scan FOLDER -o train.index",
        "Written to xray.png: window 15000/30000",
    ):
        assert part in output
    with Pillow.open(folder / "xray.png") as picture:
        assert (picture.mode, picture.size) == ("L", (964, 1024))


def test_demo_of_boxes_consensus_and_split(shown: tuple[Path, str]) -> None:
    folder, output = shown
    assert "synthetic radiographs (phantoms) in the form of VinBigData" in output
    assert "Written to readers.png" in output
    for label in ("Cardiomegaly", "Lung Opacity", "Nodule/Mass", "Pleural effusion"):
        line = re.search(rf"│ {label} .*", output)
        assert line
        kappa, matched, overlap = map(float, re.findall(r"\d+\.\d+", line[0]))
        assert 0.3 < kappa <= 1
        assert 0.4 < matched <= 1
        assert 0.6 < overlap < 1
    count, kept = map(int, re.findall(r"(\d+) boxes of the readers become (\d+)", output)[0])
    assert 2 * kept < count + 0.2 * count
    train, valid = (int(n) for n in re.findall(r"│ (?:train|valid) +│ +(\d+)", output))
    assert (train + valid, valid) == (60, pytest.approx(12, abs=2))
    assert "split by image: PatientID and StudyInstanceUID are absent" in output
    with Pillow.open(folder / "readers.png") as picture:
        coloured = np.ptp(np.asarray(picture.convert("RGB")).astype(int), axis=2) > 60
        assert 0.002 < coloured.mean() < 0.1  # the boxes; the film is grey
    assert sorted(path.name for path in folder.iterdir()) == [
        "readers.png",
        "volume.png",
        "xray.png",
    ]


def test_missing_extra_names_the_pip_command(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "data_store", None)
    done = CliRunner().invoke(main, ["demo"])
    assert done.exit_code == 1
    assert "pip install '.[demo]' in the clone of wetread" in done.stderr


def test_demo_needs_one_extra_and_overwrites_no_files(tmp_path: Path) -> None:
    """Runs also without the packages of all other extras."""
    for name in ("xray.png", "readers.png", "volume.png"):
        (tmp_path / name).write_text("mine")
    code = """
import sys
extras = ("torch", "torchvision", "sklearn", "scipy", "faster_coco_eval", "fastai", "highdicom",
          "distributed", "obstore", "jupyter_server_proxy")
sys.modules.update(dict.fromkeys(extras))
from wetread.cli import main
main(["demo"])
"""
    done = subprocess.run(
        [sys.executable, "-c", code], cwd=tmp_path, capture_output=True, text=True
    )
    assert (done.returncode, done.stderr) == (0, "")
    for name in ("xray.png", "readers.png", "volume.png"):
        assert f"{name} exists and is not replaced." in done.stdout
        assert (tmp_path / name).read_text() == "mine"

"""`wetread mosaic`."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from click.testing import CliRunner, Result
from PIL import Image as Pillow

from wetread.cli import main
from wetread.index import scan


@pytest.fixture
def folder(small_folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    scan(small_folder, tmp_path / "train.index", workers=0)
    monkeypatch.chdir(tmp_path)
    return small_folder


def mosaic(*arguments: str) -> Result:
    return CliRunner().invoke(main, ["mosaic", "train.index", *arguments])


def test_image_file(folder: Path) -> None:
    options = ["-n", "2", "--columns", "path", "--columns", "Modality", "--where", "Rows < 200"]
    done = mosaic("-o", "m.png", *options)
    assert (done.exit_code, done.stdout, done.stderr) == (0, "", "m.png\n")
    made = scan(folder, workers=0).where("Rows < 200").mosaic(2, ["path", "Modality"])
    assert np.array_equal(np.asarray(Pillow.open("m.png")), np.asarray(made))


@pytest.mark.usefixtures("folder")
@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ([], "stdout is not a terminal"),
        (["-o", "m.png", "--columns", "pth"], "did you mean path?"),
        (["-o", "m.png", "--where", "Rows >"], "not SQL"),
        (["-o", "m.png", "--where", "Modality = 'XX'"], "no row meets the condition"),
        (["-o", "m.png", "-n", "0"], "n must be between 1 and"),
        (["-o", "m.bmp2"], "unknown suffix"),
    ],
)
def test_wrong_usage(arguments: list[str], message: str) -> None:
    done = mosaic(*arguments)
    assert done.exit_code == 2
    assert message in done.stderr

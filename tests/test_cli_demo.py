"""`wetread demo`."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest
from click.testing import CliRunner
from PIL import Image as Pillow

from wetread.cli import main


def test_demo_shows_the_chest_film_and_the_findings(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    done = CliRunner().invoke(main, ["demo"], catch_exceptions=False)
    assert done.exit_code == 0
    for said in (
        "CompressedSamples^RG1",
        "(0028,0004) Photometric Interpretation          CS: 'MONOCHROME1'",
        "TRUNCATED",
        "JPEG 2000",
        "wetread scan FOLDER -o train.index",
    ):
        assert said in done.stdout
    assert "Drawn in xray.png, as a radiologist sees it: window 15000/30000" in done.stdout
    with Pillow.open("xray.png") as picture:
        assert (picture.mode, picture.size) == ("L", (964, 1024))


def test_a_file_of_that_name_is_left_as_it_is(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    Path("xray.png").write_text("mine")
    done = CliRunner().invoke(main, ["demo"], catch_exceptions=False)
    assert "xray.png is there already" in done.stdout
    assert Path("xray.png").read_text() == "mine"


def test_without_the_extra_it_says_the_pip_line(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "data_store", None)
    done = CliRunner().invoke(main, ["demo"])
    assert done.exit_code == 1
    assert "pip install 'wetread[demo]'" in done.stderr

"""`wetread demo`."""

from __future__ import annotations

import sys

import pytest
from click.testing import CliRunner

from wetread.cli import main


def test_demo_shows_the_chest_film_and_the_findings() -> None:
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


def test_without_the_extra_it_says_the_pip_line(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "data_store", None)
    done = CliRunner().invoke(main, ["demo"])
    assert done.exit_code == 1
    assert "pip install 'wetread[demo]'" in done.stderr

from __future__ import annotations

import json
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

import wetread as wr
from wetread.cli import main


@pytest.fixture
def kept(small_folder: Path, tmp_path: Path) -> str:
    wr.scan(small_folder, tmp_path / "train.index", progress=False)
    return str(tmp_path / "train.index")


def run(*arguments: str) -> Result:
    return CliRunner().invoke(main, ["export", *arguments])


def test_files_and_failures(kept: str, tmp_path: Path) -> None:
    result = run(kept, "-o", str(tmp_path / "png"), "--workers", "1", "-q")
    assert result.exit_code == 0, result.output
    assert "3 files in" in result.output
    assert (
        "not written: failed: MR_truncated.dcm frame 0: UNDECODABLE: frame 0 is truncated"
        in result.output
    )
    assert len(list((tmp_path / "png").glob("*.png"))) == 3


def test_display_format_and_json(kept: str, tmp_path: Path) -> None:
    result = run(
        *(kept, "-o", str(tmp_path / "jpg"), "--format", "jpg", "--window", "40/400", "-q"),
        *("--size", "64", "--where", "Modality = 'CT'", "--json"),
    )
    assert result.exit_code == 0, result.output
    (line,) = json.loads(result.stdout)
    assert (line["path"], line["columns"], line["window"]) == ("CT_small.dcm", 64, "40/400")


def test_fail_on(kept: str, tmp_path: Path) -> None:
    assert run(kept, "-o", str(tmp_path / "x"), "-q", "--fail-on", "any").exit_code == 3


def test_wrong_usage(kept: str, tmp_path: Path) -> None:
    to = str(tmp_path / "x")
    assert run(kept, "-o", to, "--window", "lung").exit_code == 2
    assert "did you mean png8" in run(kept, "-o", to, "--format", "png9").output
    assert run(kept, "-o", to, "--where", "Nothing = 1").exit_code == 2
    assert run(kept).exit_code == 2

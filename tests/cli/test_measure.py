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
    return CliRunner().invoke(main, ["measure", *arguments])


def test_counts_and_next_command(kept: str) -> None:
    result = run(kept, "--workers", "1", "-q")
    assert result.exit_code == 0, result.output
    assert "4 images: 3 ok, 1 failed" in result.output
    assert "1  UNDECODABLE" in result.output
    assert "px_mean" in wr.Index.open(kept).columns


def test_json_and_fail_on(kept: str) -> None:
    result = run(kept, "--json", "--size", "64", "-q", "--fail-on", "undecodable")
    assert result.exit_code == 3
    output = json.loads(result.stdout)
    assert output["images"] == 4
    assert output["px_status"] == {"ok": 3, "failed": 1}
    assert output["problems"]["UNDECODABLE"] == 1


def test_wrong_usage(tmp_path: Path, kept: str) -> None:
    assert run(str(tmp_path / "nothing")).exit_code == 2
    assert run(kept, "--workers", "0").exit_code == 2


def test_stopped(kept: str, monkeypatch: pytest.MonkeyPatch) -> None:
    def stop(*arguments: object, **named: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr("wetread.measure.columns.measure_images", stop)
    result = run(kept)
    assert result.exit_code == 1
    assert "run the same command again to resume" in result.output

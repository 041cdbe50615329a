from __future__ import annotations

import json
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

import wetread as wr
from wetread.cache.cache import Cache
from wetread.cli import main


@pytest.fixture
def kept(small_folder: Path, tmp_path: Path) -> str:
    wr.scan(small_folder, tmp_path / "train.index", progress=False)
    return str(tmp_path / "train.index")


def run(*arguments: str) -> Result:
    return CliRunner().invoke(main, ["prepare", *arguments])


def test_images_and_failures(kept: str, tmp_path: Path) -> None:
    to = str(tmp_path / "train.cache")
    result = run(kept, "-o", to, "--size", "64", "--workers", "1", "--verify")
    assert result.exit_code == 0, result.output
    assert "4 of 4 images take" in result.stderr
    assert f"3 images of at most 64 x 64 pixels in {to}" in result.stdout
    assert "left out: failed: MR_truncated.dcm frame 0: UNDECODABLE: " in result.stdout
    assert len(Cache.open(to)) == 3


def test_json_and_fail_on(kept: str, tmp_path: Path) -> None:
    to = str(tmp_path / "train.cache")
    result = run(kept, "-o", to, "--json", "-q", "--size", "32", "--fail-on", "undecodable")
    assert result.exit_code == 3
    assert "images take" not in result.stderr
    output = json.loads(result.stdout)
    assert (output["pictures"], output["size"]) == (3, 32)
    assert [line["path"] for line in output["left_out"]] == ["MR_truncated.dcm"]


def test_wrong_usage(kept: str, tmp_path: Path) -> None:
    to = str(tmp_path / "train.cache")
    assert run(str(tmp_path / "nothing"), "-o", to).exit_code == 2
    assert run(kept).exit_code == 2
    assert run(kept, "-o", to, "-q", "--size", "32").exit_code == 0
    other = run(kept, "-o", to, "-q", "--size", "48")
    assert other.exit_code == 2
    assert "of size 32, not 48" in other.output
    assert run(kept, "-o", kept).exit_code == 1  # an index is no cache


def test_stopped(kept: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def stop(*arguments: object, **named: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr("wetread.cache.prepare.prepare", stop)
    result = run(kept, "-o", str(tmp_path / "c"))
    assert result.exit_code == 1
    assert "run the same command again to resume" in result.output

"""`wetread findings`."""

from __future__ import annotations

import json
from pathlib import Path

import pyarrow as pa
import pytest
from click.testing import CliRunner, Result

from wetread.cli import main
from wetread.cli.findings import print_findings


@pytest.fixture
def index(small_folder: Path, tmp_path: Path) -> str:
    folder = str(tmp_path / "train.index")
    CliRunner().invoke(main, ["scan", str(small_folder), "-o", folder], catch_exceptions=False)
    return folder


def ask(index: str, *options: str) -> Result:
    return CliRunner().invoke(main, ["findings", index, *options], catch_exceptions=False)


def test_a_line_per_finding(index: str) -> None:
    lines = ask(index, "--code", "truncated").stdout.splitlines()
    assert len(lines) == 1
    assert lines[0].split()[:4] == ["error", "TRUNCATED", "MR_truncated.dcm", "(7fe0,0010)"]


def test_json(index: str) -> None:
    rows = json.loads(ask(index, "--json").stdout)
    assert {"NOT_DICOM", "TRUNCATED"} <= {row["code"] for row in rows}
    assert set(rows[0]) >= {"path", "member", "code", "severity", "tag", "offset", "text"}


def test_fail_on(index: str) -> None:
    assert ask(index, "--fail-on", "BOMB").exit_code == 0
    assert ask(index, "--fail-on", "BOMB", "--fail-on", "truncated").exit_code == 3
    # what is not asked for cannot fail
    assert ask(index, "--code", "NOT_DICOM", "--fail-on", "TRUNCATED").exit_code == 0


def test_a_file_name_does_not_steer_the_terminal(capsys: pytest.CaptureFixture[str]) -> None:
    row = {"severity": "error", "code": "TRUNCATED", "tag": None, "text": "cut", "member": "a\nb"}
    print_findings(pa.Table.from_pylist([{**row, "path": "\x1b[2J"}]))
    assert capsys.readouterr().out == "error    TRUNCATED  \\x1b[2J a\\nb  cut\n"

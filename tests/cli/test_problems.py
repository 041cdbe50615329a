"""`wetread problems`."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from pathlib import Path

import pyarrow as pa
import pytest
from click.testing import CliRunner, Result

from wetread.cli import main
from wetread.cli.problems import print_problems
from wetread.testing import dicom_file, picture

Real = Callable[[str], Path]


@pytest.fixture
def index(small_folder: Path, tmp_path: Path) -> str:
    folder = str(tmp_path / "train.index")
    CliRunner().invoke(main, ["scan", str(small_folder), "-o", folder], catch_exceptions=False)
    return folder


def ask(index: str, *options: str) -> Result:
    return CliRunner().invoke(main, ["problems", index, *options], catch_exceptions=False)


def test_one_line_per_problem(index: str) -> None:
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


def test_control_characters_in_file_names_are_escaped(capsys: pytest.CaptureFixture[str]) -> None:
    row = {"severity": "error", "code": "TRUNCATED", "tag": None, "text": "cut", "member": "a\nb"}
    print_problems(pa.Table.from_pylist([{**row, "path": "\x1b[2J"}]))
    assert capsys.readouterr().out == "error    TRUNCATED  \\x1b[2J a\\nb  cut\n"


def test_index_without_problems(index: str, tmp_path: Path) -> None:
    assert ask(index, "--code", "BOMB").stdout.startswith("No BOMB in ")
    (tmp_path / "clean").mkdir()
    (tmp_path / "clean" / "1.dcm").write_bytes(dicom_file(picture()))
    clean = str(tmp_path / "clean.index")
    done = CliRunner().invoke(main, ["scan", str(tmp_path / "clean"), "-o", clean])
    assert "No problems." in done.stdout
    assert ask(clean).stdout == "No problems in 1 file.\n"
    assert json.loads(ask(clean, "--json").stdout) == []


def test_objects_without_images_are_listed(real_file: Real, tmp_path: Path) -> None:
    for name in ("rtplan.dcm", "reportsi.dcm"):
        shutil.copy(real_file(name), tmp_path / name)
    (tmp_path / "notes.txt").write_text("text")
    plans = str(tmp_path / "plans.index")
    run = CliRunner().invoke
    assert run(main, ["scan", *map(str, tmp_path.iterdir()), "-o", plans]).exit_code == 0
    line = "3 files without pixels: Basic Text SR Storage 1, RT Plan Storage 1, not_dicom 1"
    for command in (["measure", plans], ["export", plans, "-o", str(tmp_path / "png")]):
        done = run(main, command)
        assert (done.exit_code, line in done.stdout) == (0, True)
    done = run(main, ["mosaic", plans, "-o", str(tmp_path / "m.png")])
    assert (done.exit_code, line in done.stderr) == (2, True)

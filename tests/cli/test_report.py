"""`wetread report`."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from wetread.cli import main


def report(*arguments: str) -> Result:
    return CliRunner().invoke(main, ["report", *arguments, "--quiet", "--workers", "1"])


def test_report_with_boxes_and_predictions(
    reported: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    index = str(reported / "train.index")
    sides = ["--boxes", str(reported / "train.csv")]
    sides += ["--predictions", str(reported / "found.parquet")]
    done = report(index, *sides, "--split", "-o", "r.html", "--json")
    assert done.exit_code == 0, done.output
    output = json.loads(done.stdout)
    assert output["schema"] == "wetread.report/2"
    assert output["provenance"]["labels"] == "train.csv"
    assert output["provenance"]["predictions"] == "found.parquet"
    assert output["sections"]["split"]["column"] == "part"
    assert Path("r.html").stat().st_size < 2_000_000
    page = Path("r.html").read_text()
    assert "--metric voc2010@0.4" in page


def test_report_of_an_index(
    reported: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    empty = report(str(reported / "train.index"), "--split", "fold")
    assert (empty.exit_code, "no image has a 'fold'" in empty.output) == (2, True)
    done = report(str(reported / "train.index"), "--split", "part", "--show-phi")
    assert done.exit_code == 0
    assert done.stdout.endswith(" kB in report.html\n")
    assert "Values of patients are shown in this report." in Path("report.html").read_text()


@pytest.mark.parametrize(
    ("arguments", "code", "message"),
    [
        (["nothing.index"], 2, "nothing.index"),
        (["train.index", "--split", "prt"], 2, "did you mean part?"),
        (["train.index", "--boxes", "none.csv"], 2, "no such file or folder"),
        (["train.index", "-o", "no/report.html"], 2, "folder 'no' does not exist"),
    ],
)
def test_wrong_usage(
    reported: Path, monkeypatch: pytest.MonkeyPatch, arguments: list[str], code: int, message: str
) -> None:
    monkeypatch.chdir(reported)
    done = report(*arguments)
    assert done.exit_code == code
    assert message in done.output

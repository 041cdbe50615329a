from __future__ import annotations

import json
from pathlib import Path

import pydicom.data
import pytest
from click.testing import CliRunner

from wetread.cli import main
from wetread.testing.series import stack, write


@pytest.fixture
def index(tmp_path: Path) -> str:
    files = Path(pydicom.data.__file__).parent / "test_files" / "dicomdirtests"
    run("scan", str(files), "-o", str(tmp_path / "to"), "-q")
    return str(tmp_path / "to")


def run(*arguments: str) -> str:
    result = CliRunner().invoke(main, arguments, catch_exceptions=False)
    assert result.exit_code == 0, result.output
    return result.output


def test_the_table(index: str) -> None:
    text = run("series", index)
    assert "slice_spacing_mm" in text
    assert "ORIENTATION_MIXED" in text


def test_spacings_are_rounded_for_the_eye(tmp_path: Path) -> None:
    write(tmp_path / "in", stack(3, step=0.6000047))
    run("scan", str(tmp_path / "in"), "-o", str(tmp_path / "to"), "-q")
    assert "│ 0.6 │" in " ".join(run("series", str(tmp_path / "to")).split())


def test_json_and_where(index: str) -> None:
    rows = json.loads(run("series", index, "--json", "--where", "Modality = 'MR'"))
    assert {row["Modality"] for row in rows} == {"MR"}
    assert {"series_id", "files", "volumes", "problems"} <= set(rows[0])


def test_problems(index: str) -> None:
    text = run("series", index, "--problems")
    assert "ORIENTATION_MIXED" in text
    rows = json.loads(run("series", index, "--problems", "--json"))
    assert {"series_id", "code", "path", "text"} <= set(rows[0])
    none = run("series", index, "--problems", "--where", "false")
    assert none == "No problems in 0 series.\n"


def test_a_bad_condition_is_a_usage_error(index: str) -> None:
    result = CliRunner().invoke(main, ["series", index, "--where", "modality = CT"])
    assert result.exit_code == 2
    assert "text takes single quotes" in result.output


def test_query_knows_the_tables(index: str) -> None:
    text = run("query", index, "SELECT count(*) AS n FROM slices WHERE stack_index >= 0", "--json")
    assert json.loads(text)[0]["n"] > 20

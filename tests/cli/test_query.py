"""`wetread query`."""

from __future__ import annotations

import json
import re
import shlex
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from wetread.cli import main
from wetread.testing import radiograph_file


@pytest.fixture
def index(small_folder: Path, tmp_path: Path) -> str:
    folder = str(tmp_path / "train.index")
    CliRunner().invoke(main, ["scan", str(small_folder), "-o", folder], catch_exceptions=False)
    return folder


def ask(index: str, sql: str, *options: str) -> Result:
    return CliRunner().invoke(main, ["query", index, sql, *options])


def test_table_output(index: str) -> None:
    printed = ask(index, "SELECT Modality, Rows FROM index WHERE path = 'CT_small.dcm'").stdout
    assert [line.split() for line in printed.splitlines() if "CT" in line] == [
        ["│", "CT", "│", "128", "│"]
    ]


def test_json(index: str) -> None:
    sql = "SELECT path, StudyDate, PixelSpacing FROM index WHERE path = 'CT_small.dcm'"
    assert json.loads(ask(index, sql, "--json").stdout) == [
        {"path": "CT_small.dcm", "StudyDate": "2004-01-19", "PixelSpacing": [0.661468, 0.661468]}
    ]


def test_boxes(index: str, tmp_path: Path) -> None:
    labels = tmp_path / "labels.csv"
    labels.write_text("image,label,x,y,w,h\nCT_small,Mass,1,2,3,4\n")
    sql = "SELECT path, label FROM boxes JOIN index USING (id)"
    rows = json.loads(ask(index, sql, "--boxes", str(labels), "--json").stdout)
    assert rows == [{"path": "CT_small.dcm", "label": "Mass"}]
    assert "and boxes with --boxes FILE" in ask(index, sql).output


@pytest.mark.parametrize(
    ("sql", "message"),
    [
        ("SELECT Modalty FROM index", "did you mean Modality?"),
        ("SELECT 1; SELECT 2", "one SELECT statement"),
        ("DROP TABLE index", "only SELECT"),
        ("SELECT * FROM 'train/CT_small.dcm'", "Error: "),
        ("SELEC", "Error: "),
    ],
)
def test_invalid_statements(index: str, sql: str, message: str) -> None:
    done = ask(index, sql)
    assert done.exit_code == 2
    assert message in done.stderr


def test_example_queries_have_values_in_vinbigdata(tmp_path: Path) -> None:
    """Files of VinBigData have eleven elements, and no Modality."""
    for number in range(3):
        (tmp_path / f"{number}.dicom").write_bytes(radiograph_file(number))
    index = str(tmp_path / "train.index")
    done = CliRunner().invoke(main, ["scan", str(tmp_path), "-o", index])
    readme = Path(__file__).parents[1].parent.joinpath("README.md").read_text()
    first = re.search(r"wetread query \S+ (\".*?\")", readme)
    assert first is not None
    for sql in (shlex.split(done.stdout.splitlines()[-1])[-1], shlex.split(first[1])[0]):
        rows = json.loads(ask(index, sql, "--json").stdout)
        assert rows
        assert all(value is not None for row in rows for value in row.values())

"""`wetread submit`."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

import wetread as wr
from wetread.cli import main
from wetread.testing.dicom import dicom_file, picture


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """test.index of two images of 8 x 8, and found.parquet with a box on the first."""
    monkeypatch.chdir(tmp_path)
    Path("test").mkdir()
    for number in (1, 2):
        Path(f"test/{number}.dcm").write_bytes(dicom_file(picture(number)))
    wr.scan("test", to="test.index", progress=False)
    box = {"key": ["1"], "x0": [1], "y0": [2], "x1": [7], "y1": [8], "score": [0.5]}
    wr.Boxes.from_columns({**box, "label": ["Lung Opacity"]}).save("found.parquet")
    return tmp_path


def run(*arguments: str) -> Result:
    return CliRunner().invoke(main, ["submit", "found.parquet", "-o", "s.csv", *arguments])


@pytest.mark.parametrize(
    ("form", "lines"),
    [
        ("vinbigdata", ["1,7 0.5 1 2 7 8", "2,14 1 0 0 1 1"]),
        ("rsna-pneumonia", ["1,0.5 1 2 6 6", "2,"]),
        ("siim-covid", ["1_image,opacity 0.5 1 2 7 8", "2_image,none 1 0 0 1 1"]),
    ],
)
def test_every_image_of_the_index_has_a_row(folder: Path, form: str, lines: list[str]) -> None:
    done = run("--format", form, "--images", "test.index")
    assert (done.exit_code, done.stderr) == (0, "")
    written = (folder / "s.csv").read_text().splitlines()
    assert written[1:3] == lines
    lines = done.stdout.splitlines()
    low = 0 if form == "rsna-pneumonia" else 1
    middle = (low + 1) / 2
    assert lines[0] == f"{len(written) - 1} rows in s.csv"
    assert lines[1] == f"entries per image: {low} to 1, median {middle:g}"
    assert (form == "vinbigdata") == any("wetread predict --filter RUN" in line for line in lines)


def test_default_images_are_those_with_predictions(folder: Path) -> None:
    done = run("--json")
    expected = {"file": "s.csv", "format": "vinbigdata", "rows": 1}
    entries = {"entries_per_image": {"min": 1.0, "median": 1.0, "max": 1.0}}
    assert json.loads(done.stdout) == expected | entries
    assert (folder / "s.csv").read_text() == "image_id,PredictionString\n1,7 0.5 1 2 7 8\n"


def test_invalid_predictions_are_wrong_usage_and_write_nothing(folder: Path) -> None:
    found = wr.read_boxes("found.parquet")
    found.replace({"x1": [9.0]}).save("found.parquet")
    done = run("--images", "test.index")
    assert done.exit_code == 2
    assert "outside their image (1)" in done.stderr
    assert not Path("s.csv").exists()
    assert run("--format", "vindr").exit_code == 2


def test_entries_are_counted(folder: Path) -> None:
    one = wr.read_boxes("found.parquet")
    columns = {name: one.table[name].to_pylist() for name in one.table.column_names}
    many = {name: value * 5 for name, value in columns.items()}
    many["score"] = [0.9, 0.8, 0.7, 0.6, 0.5]
    many["kind"] = ["box"] * 4 + ["nothing"]
    for name in ("label", "x0", "y0", "x1", "y1"):
        many[name][4] = None
    wr.Boxes.from_columns(many).save("found.parquet")
    lines = run("--images", "test.index").stdout.splitlines()
    assert lines == ["2 rows in s.csv", "entries per image: 1 to 5, median 3"]

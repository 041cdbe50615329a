from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

import wetread as wr
from wetread.cli import main


@pytest.fixture(autouse=True)
def folder(
    make_index: Callable[..., wr.Index], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Current folder: an index of ten patients with two images each, and labels.csv."""
    pictures = {
        f"{p}-{n}.dcm": {"PatientID": f"Secret{p}", "PatientAge": f"03{n}Y"}
        for p in range(10)
        for n in (0, 1)
    }
    make_index(pictures, tmp_path / "pictures.index")
    rows = [f"{p}-0,{10 * p},0,5,5,1" for p in range(5)] + [f"{p}-1,,,,,0" for p in range(10)]
    text = "\n".join(["patientId,x,y,width,height,Target", *rows])
    (tmp_path / "labels.csv").write_text(text)
    monkeypatch.chdir(tmp_path)


def run(*arguments: str) -> Result:
    return CliRunner().invoke(main, ["split", "pictures.index", *arguments])


def test_parts_become_columns() -> None:
    result = run("--boxes", "labels.csv", "--json")
    assert result.exit_code == 0, result.output
    assert json.loads(result.stdout) == {
        "parts": {
            "train": {
                "images": 16,
                "groups": 8,
                "labels": {"Lung Opacity": 4, "nothing found": 8},
            },
            "valid": {
                "images": 4,
                "groups": 2,
                "labels": {"Lung Opacity": 1, "nothing found": 2},
            },
        },
        "by": "PatientID",
        "why": "every image has one",
        "seed": 0,
    }
    counts = wr.Index.open("pictures.index").query("SELECT part, count(*) FROM index GROUP BY ALL")
    assert dict(counts.itertuples(index=False)) == {"train": 16, "valid": 4}


def test_text_output() -> None:
    lines = run("--parts", "a=.5,b=.3,c=.2", "--seed", "7").output
    assert "│ a       │     10 │      5 │" in lines
    assert lines.endswith("split by PatientID, seed 7; stored in pictures.index\n")
    assert "fold" in run("--folds", "5", "--boxes", "labels.csv").output


def test_folds_and_by() -> None:
    output = json.loads(run("--folds", "2", "--by", "PatientAge", "--json").stdout)
    assert output["by"] == "PatientAge"
    assert {name: part["groups"] for name, part in output["parts"].items()} == {"0": 1, "1": 1}


def test_check_lists_leaks_without_patient_names() -> None:
    assert run("--folds", "2").exit_code == 0
    result = run("--check", "--fail-on", "any")
    assert result.exit_code == 0, result.output
    assert result.output == "No patient and no duplicate image is in two parts.\n"
    run("--folds", "2", "--by", "PatientAge")
    result = run("--check", "--fail-on", "LEAK_GROUP")
    assert result.exit_code == 3
    assert result.output.splitlines()[:2] == [
        "   1  LEAK_GROUP   0  0-0.dcm",
        "   1  LEAK_GROUP   1  0-1.dcm",
    ]
    assert "Secret" not in result.output
    rows = json.loads(run("--check", "--json").stdout)
    assert len(rows) == 20
    assert list(rows[0]) == ["leak", "code", "part", "id", "path"]
    assert run("--check", "--by", "PatientAge").output.startswith("No patient")


def test_warning_without_patients(tmp_path: Path, make_index: Callable[..., wr.Index]) -> None:
    pictures = {f"{p}-{n}.dcm": {"PatientID": None} for p in range(10) for n in (0, 1)}
    make_index(pictures, tmp_path / "pictures.index")
    result = run()
    assert "Warning: split by StudyInstanceUID: PatientID is absent or blank" in result.stderr
    assert "split by StudyInstanceUID, seed 0; stored in" in result.stdout


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("--parts", "train"), "give NAME=SHARE"),
        (("--parts", "a=x,b=.5"), "give NAME=SHARE"),
        (("--parts", "a=.5,a=.5"), "a name is given twice"),
        (("--parts", "a=.5,b=.6"), "add up to 1"),
        (("--parts", "a=.5,b=.5", "--folds", "2"), "parts or folds, not both"),
        (("--folds", "1"), "--folds"),
        (("--by", "PatientId"), "did you mean PatientID"),
        (("--check",), "the index has no split"),
        (("--check", "--folds", "2"), "remove --boxes"),
        (("--fail-on", "any"), "--fail-on needs --check"),
        (("--boxes", "none.csv"), "no such file"),
    ],
)
def test_wrong_usage(arguments: tuple[str, ...], message: str) -> None:
    result = run(*arguments)
    assert result.exit_code == 2, result.output
    assert message in result.output.replace("\n", " ")

"""Text of files: no formula injection in CSV, no escape sequences in a terminal."""

from __future__ import annotations

import csv
import io
import os
import zipfile
from pathlib import Path

import pandas as pd
import pytest
from click.testing import CliRunner

import wetread as wr
from wetread.cli import main
from wetread.common.text import guard_cell, unguard_cell
from wetread.testing.dicom import dicom_file, element, picture

FORMULAS = ["=1+1", "+1+1", "-1+1", "@SUM(A1)", "\t=1", "\r=1", "\n=1", "＝1+1", "-", "=", "'=1"]
PLAIN = ["", "a=b", "-5", "+1.5e-3", "-.5", "-inf", "nan", "1", " =1", "'a'", "'", "14 1 0 0 1 1"]
ESCAPE = "\x1b[31m\x1b]0;x\x07\x9b2J\r\u202e"


def test_formulas_are_guarded_and_numbers_are_not() -> None:
    for text in FORMULAS:
        assert guard_cell(text) == f"'{text}"
        assert unguard_cell(guard_cell(text)) == text
    for text in PLAIN:
        assert guard_cell(text) == text == unguard_cell(text)


def make_images(folder: Path, *names: str) -> Path:
    folder.mkdir()
    for number, name in enumerate(names):
        data = dicom_file([element("PatientID", f"P{number}"), *picture(number, 8 + number)])
        (folder / name).write_bytes(data)
    return folder


def cells(path: Path) -> list[str]:
    rows = csv.reader(io.StringIO(path.read_bytes().decode(), newline=""))
    return [cell for row in rows for cell in row]


def is_formula(cell: str) -> bool:
    return cell[:1] in tuple("=+-@\t\r") and not cell.removeprefix("-").replace(".", "").isdigit()


def test_a_manifest_has_no_formulas(tmp_path: Path) -> None:
    names = ["=cmd|' C'!A0.dcm", "@x.dcm", "-1+1.dcm"]
    index = wr.scan(make_images(tmp_path / "in", *names), workers=0, progress=False)
    table = index.export(tmp_path / "out", workers=1, progress=False)
    assert sorted(table["path"]) == sorted(names)  # in Python as they are
    manifest = tmp_path / "out" / "manifest.csv"
    assert not any(map(is_formula, cells(manifest)))
    again = pd.read_csv(manifest)
    assert sorted(map(unguard_cell, again["path"])) == sorted(names)
    assert again["intercept"].dtype.kind in "if"


def test_a_submission_has_no_formulas_and_is_read_back(tmp_path: Path) -> None:
    index = wr.scan(make_images(tmp_path / "in", "=1+1.dcm", "abc.dcm"), workers=0, progress=False)
    box = {"image_id": "=1+1", "PredictionString": "0 0.5 1 2 3 4"}
    pd.DataFrame([box]).to_csv(tmp_path / "found.csv", index=False)
    found = wr.read_boxes(tmp_path / "found.csv", images=index)
    frame = wr.submit(found, tmp_path / "submission.csv", "vinbigdata", images=index)
    assert list(frame["image_id"]) == ["=1+1", "abc"]
    lines = (tmp_path / "submission.csv").read_text().splitlines()
    assert lines == [
        "image_id,PredictionString",
        "'=1+1,0 0.5 1 2 3 4",
        "abc,14 1 0 0 1 1",
    ]
    again = wr.read_boxes(tmp_path / "submission.csv", images=index)
    assert again.table["image"].to_pylist() == index.table["id"].to_pylist()


@pytest.mark.skipif(os.name == "nt", reason="no such names there")
def test_no_command_prints_escape_sequences_of_files(tmp_path: Path) -> None:
    name = f"a{ESCAPE}[red]b[bold]"
    folder = make_images(tmp_path / "in", f"{name}.dcm")
    value = name.replace("\u202e", "")  # DICOM's default repertoire, and what it does not allow
    evil = [element("Modality", value), element("PatientName", value), element("PatientID", value)]
    (folder / f"cut{name}").write_bytes(dicom_file([*evil, *picture(1)])[:-9])
    (folder / f"text{name}").write_text(name)
    with zipfile.ZipFile(folder / "x.zip", "w") as archive:
        archive.writestr(f"{name}.dcm", dicom_file([*evil, *picture(2)])[:-9])
    labels = tmp_path / f"l{name}.csv"
    columns = "image_id,class_name,class_id,rad_id,x_min,y_min,x_max,y_max"
    labels.write_text(f"{columns}\n{name},{name},0,{name},1,1,99,99\n", newline="")
    to = tmp_path / f"to{name}"
    for command in (
        ["scan", folder, "-o", to],
        ["scan", folder, "-o", to, "--json"],
        ["scan", folder / f"text{name}", "-o", to],
        ["scan", folder / f"no{name}"],
        ["problems", to],
        ["problems", to, "--json"],
        ["query", to, "SELECT path, member, PatientID, Modality, problems FROM index"],
        ["query", to, "SELECT path, PatientID FROM index", "--json"],
        ["query", to, f"SELECT {name}"],
        ["header", folder / f"cut{name}"],
        ["header", folder / f"cut{name}", "PatientID", "--json"],
        ["header", folder / f"text{name}"],
        ["show", folder / f"{name}.dcm", "-o", tmp_path / "x.png"],
        ["show", folder / f"cut{name}", "-o", tmp_path / "x.png"],
        ["export", to, "-o", tmp_path / "out", "-q", "--workers", "1"],
        ["prepare", to, "-o", tmp_path / f"cache{name}", "--workers", "1"],
        ["series", to, "--problems"],
        ["mosaic", to, "-o", tmp_path / "x.png"],
        ["report", to, "-o", tmp_path / f"{name}.html", "--workers", "1"],
        ["boxes", labels, "--images", to, "--check"],
        ["boxes", labels, "--check", "--json"],
        ["split", to, "--by", "PatientID"],
        ["view", tmp_path / f"no{name}"],
    ):
        done = CliRunner().invoke(main, [str(argument) for argument in command], color=True)
        output = done.output.replace("\x1b[31m", "", done.output.count("\x1b[31merror"))
        output = output.replace("\x1b[0m", "").replace("\x1b[33m", "").replace("\x1b[34m", "")
        assert all(c.isprintable() or c == "\n" for c in output), (command[0], ascii(output))
        assert done.exception is None or isinstance(done.exception, SystemExit), command[0]

"""`wetread header`."""

from __future__ import annotations

import json
from pathlib import Path

import pydicom
import pytest
from click.testing import CliRunner, Result

from wetread.cli import main


def ask(file: Path, *arguments: str) -> Result:
    return CliRunner().invoke(main, ["header", str(file), *arguments])


def test_output_equals_pydicom(small_folder: Path) -> None:
    file = small_folder / "CT_small.dcm"
    expected = pydicom.dcmread(file)
    del expected.PixelData
    assert ask(file).stdout == f"{expected}\n"


def test_chosen_elements(small_folder: Path) -> None:
    done = ask(small_folder / "CT_small.dcm", "Rows", "TransferSyntaxUID", "WindowCenter")
    assert done.stdout.splitlines() == [
        "(0028,0010) Rows                                US: 128",
        "(0002,0010) Transfer Syntax UID                 UI: Explicit VR Little Endian",
        "WindowCenter is not in this file",
    ]


def test_json(small_folder: Path) -> None:
    names = ("Rows", "PixelSpacing", "PatientName", "WindowCenter")
    assert json.loads(ask(small_folder / "CT_small.dcm", *names, "--json").stdout) == {
        "Rows": 128,
        "PixelSpacing": [0.661468, 0.661468],
        "PatientName": "CompressedSamples^CT1",
        "WindowCenter": None,
    }


def test_json_of_all(small_folder: Path) -> None:
    plan = json.loads(ask(small_folder / "rtplan.dcm", "--json").stdout)
    assert plan["TransferSyntaxUID"] == "1.2.840.10008.1.2"
    assert plan["BeamSequence"][0]["BeamNumber"] == 1


def test_problems_go_to_stderr(small_folder: Path) -> None:
    done = ask(small_folder / "MR_truncated.dcm")
    assert done.exit_code == 0
    assert done.stderr.startswith("TRUNCATED: have ")


@pytest.mark.parametrize(
    ("name", "arguments", "code", "message"),
    [
        ("README.txt", [], 1, "has no header"),
        ("CT_small.dcm", ["Row"], 2, "did you mean Rows"),
        ("", [], 2, "holds 6 files"),
    ],
)
def test_files_without_a_header(
    small_folder: Path, name: str, arguments: list[str], code: int, message: str
) -> None:
    done = ask(small_folder / name, *arguments)
    assert done.exit_code == code
    assert message in done.stderr


def test_every_real_file_is_printed_or_an_error(real_files: list[Path]) -> None:
    codes = {file: ask(file, "--json").exit_code for file in real_files[::7]}
    assert set(codes.values()) <= {0, 1}
    assert list(codes.values()).count(0) > 30

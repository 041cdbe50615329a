"""The last resort: an exception that no code expected costs one row."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest

import wetread as wr
from wetread.errors import UsageError
from wetread.headers import columns, reading, rows, texts, walks
from wetread.headers.row_problems import RowProblems
from wetread.settings import Settings
from wetread.testing.dicom import DEFLATED, Element, dicom_file, element, picture

BAD = "bad.dcm"
STAGES = [
    (reading, "walk_block"),
    (walks, "Walk"),
    (walks, "_Inflated"),
    (reading, "swap_values"),
    (reading, "build_columns"),
    (columns, "ColumnBuilder"),
    (columns, "decode_values"),
    (columns, "Layout"),
    (columns, "parse_again"),
    (columns, "parse_times"),
    (texts, "_decode_short"),
    (rows, "of_rows"),
    (rows, "describe_private"),
    (rows, "write_sequences"),
    (rows, "read_syntaxes"),
    (reading, "assemble"),
    (rows, "identify"),
    (rows, "check_extent"),
    (rows, "find_decodable"),
    (RowProblems, "statuses"),
]


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Ten good files and one that the injected exception is for."""
    folder = tmp_path / "files"
    folder.mkdir()
    for n in range(10):
        (folder / f"{n}.dcm").write_bytes(dicom_file(picture(n)))
    odd = [
        element("SpecificCharacterSet", "ISO_IR 100"),
        element("ProcedureCodeSequence", [[element("CodeValue", "1")]]),
        Element(0x00090010, "LO", "MAKER"),
        element("StudyTime", "101530"),
        element("PatientName", b"M\xfcller"),
        element("PatientWeight", "70.123456789012345678"),
        *picture(99)[7:],
    ]
    odd.sort(key=lambda e: e.tag)
    (folder / BAD).write_bytes(dicom_file(odd, DEFLATED))
    return folder


@pytest.mark.parametrize(("room", "stage"), STAGES, ids=lambda value: str(value))
def test_an_exception_at_any_stage_is_one_crashed_row(
    room: Any, stage: str, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    original: Callable[..., Any] = getattr(room, stage)
    current: list[bytes] = []

    def read_block(root: str, sources: pa.Table, *more: Any) -> pa.Table:
        current[:] = sources.column("path").to_pylist()
        return read_original(root, sources, *more)

    def fail(*arguments: Any, **options: Any) -> Any:
        if BAD.encode() in current:
            raise RuntimeError("injected")
        return original(*arguments, **options)

    monkeypatch.setattr(room, stage, fail)
    read_original = reading._read_block
    monkeypatch.setattr(reading, "_read_block", read_block)
    index = wr.scan(folder, progress=False, private=True, sequences=True)
    found = index.table.select(["path", "id", "read_status", "problems"]).to_pylist()
    status = {row["path"]: row["read_status"] for row in found}
    assert status.pop(BAD) == "crashed"
    assert set(status.values()) == {"ok"}
    assert len(index) == 11
    (problem,) = next(row["problems"] for row in found if row["path"] == BAD)
    assert problem["code"] == "CRASHED"
    assert problem["text"].startswith("RuntimeError in test_failures.py, line ")
    assert problem["text"].endswith(": injected")


def test_what_concerns_the_root_is_raised(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(*_: Any, **__: Any) -> None:
        raise UsageError("no such bucket")

    monkeypatch.setattr(reading, "walk_block", fail)
    with pytest.raises(UsageError, match="bucket"):
        wr.scan(folder, progress=False, settings=Settings())

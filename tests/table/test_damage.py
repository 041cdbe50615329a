"""Damage of an index folder: the same table, or an error that names the file and a remedy."""

from __future__ import annotations

import random
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pyarrow as pa
import pytest

import wetread as wr
from wetread.errors import IndexFormatError
from wetread.sources.find import INDEX_MARKER
from wetread.testing.dicom import dicom_file, picture


@pytest.fixture(scope="module")
def scanned(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, pa.Table]:
    """An index with measurements, and its table."""
    top = tmp_path_factory.mktemp("damage")
    (top / "in").mkdir()
    for number in range(3):
        (top / "in" / f"{number}.dcm").write_bytes(dicom_file(picture(number)))
    index = wr.scan(top / "in", top / "index", workers=0).measure(workers=1, progress=False)
    return top / "index", index.table


@pytest.fixture
def index(scanned: tuple[Path, pa.Table], tmp_path: Path) -> Path:
    return Path(shutil.copytree(scanned[0], tmp_path / "index"))


def files(folder: Path, *, counting: bool) -> list[Path]:
    """Files of an index; `counting`: those that its table is read from."""
    paths = sorted(path for path in folder.rglob("*") if path.is_file())
    return [p for p in paths if "measured" not in p.parts] if counting else paths


def check(folder: Path, table: pa.Table, path: Path) -> bool:
    """True if the damage was reported; otherwise the table must be the same."""
    try:
        again = wr.Index.open(folder).table
    except IndexFormatError as error:
        message = str(error)
    else:
        assert again.equals(table)
        return False
    assert path.name in message
    assert "scan" in message
    return True


def test_every_flipped_bit(index: Path, scanned: tuple[Path, pa.Table]) -> None:
    draw = random.Random(0)
    for path in files(index, counting=True):
        whole = path.read_bytes()
        for _ in range(60):
            data, at = bytearray(whole), draw.randrange(8 * len(whole))
            data[at // 8] ^= 1 << at % 8
            path.write_bytes(data)
            reported = check(index, scanned[1], path)
            assert reported or path.suffix == ".json"  # spaces between the values
        path.write_bytes(whole)


def damages(path: Path) -> Iterator[str]:
    whole = path.read_bytes()
    for kind, data in {
        "cut": whole[: len(whole) // 2],
        "a byte less": whole[:-1],
        "empty": b"",
        "longer": whole + b"\0",
        "zeros": bytes(len(whole)),
        "not UTF-8": b"\xff" * 9,
        "a list": b"[1]",
        "null": b"null",
        "a number": b"3",
        "deep": b"[" * 100_000,
    }.items():
        path.write_bytes(data)
        yield kind
    path.unlink()
    yield "missing"
    path.mkdir()
    yield "a folder"
    path.rmdir()
    path.write_bytes(whole)


def test_every_damaged_file(index: Path, scanned: tuple[Path, pa.Table]) -> None:
    for path in files(index, counting=True):
        for kind in damages(path):
            if kind == "missing" and path.parent.name == "commits":
                with pytest.raises(IndexFormatError, match="the same scan again"):
                    wr.Index.open(index)
            else:
                assert check(index, scanned[1], path), (path, kind)
    assert not check(index, scanned[1], index)


def test_a_file_of_another_index(
    index: Path, scanned: tuple[Path, pa.Table], tmp_path: Path
) -> None:
    (tmp_path / "more").mkdir()
    for number in range(5, 8):
        (tmp_path / "more" / f"{number}.dcm").write_bytes(dicom_file(picture(number)))
    wr.scan(tmp_path / "more", tmp_path / "other", workers=0)
    [part], [other] = ((tmp_path / name / "parts").iterdir() for name in ("index", "other"))
    part.write_bytes(other.read_bytes())
    assert check(index, scanned[1], part)


def test_folders_that_are_files(index: Path, scanned: tuple[Path, pa.Table]) -> None:
    for name in ("commits", "parts"):
        shutil.move(index / name, index / "away")
        (index / name).write_bytes(b"")
        assert check(index, scanned[1], index / name)
        (index / name).unlink()
        shutil.move(index / "away", index / name)


def test_foreign_files_do_not_count(index: Path, scanned: tuple[Path, pa.Table]) -> None:
    (index / "commits" / "generation-notes.json").write_bytes(b"?")
    (index / "parts" / "x.parquet").write_bytes(b"?")
    assert not check(index, scanned[1], index)


def test_a_scan_repairs_a_damaged_part(index: Path, scanned: tuple[Path, pa.Table]) -> None:
    [part] = (index / "parts").iterdir()
    part.write_bytes(part.read_bytes()[:-9])
    with pytest.warns(UserWarning, match="its 3 files are read again"):
        again = wr.scan(scanned[0].parent / "in", index, workers=0)
    assert again.table.equals(scanned[1].select(again.columns))


def test_measurements_are_checked(index: Path) -> None:
    for path in files(index / "measured", counting=False):
        whole = path.read_bytes()
        for data in (b"", whole[:40], whole.replace(b"2", b"3", 1)):
            path.write_bytes(data)
            with pytest.raises(IndexFormatError, match=r"measured"):
                wr.Index.open(index).measure(workers=1, progress=False)
        path.write_bytes(whole)


def test_the_command_line_reports_damage_in_one_line(index: Path) -> None:
    (index / INDEX_MARKER).write_bytes(b"[]")
    command = [sys.executable, "-m", "wetread", "query", str(index), "SELECT 1"]
    done = subprocess.run(command, capture_output=True, text=True)
    assert done.returncode == 1
    assert done.stderr.startswith(f"Error: {index / INDEX_MARKER} is damaged")
    assert "Traceback" not in done.stderr

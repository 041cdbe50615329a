"""Files that were moved after the scan."""

from __future__ import annotations

from pathlib import Path

import pytest
from click.testing import CliRunner

import wetread as wr
from wetread.cache.prepare import prepare
from wetread.cli import main
from wetread.errors import NotFoundError
from wetread.reports.build import report
from wetread.testing.dicom import dicom_file, element, picture


@pytest.fixture
def moved(tmp_path: Path) -> Path:
    """The folder with an index `to` and its files in `new`, not in `old`."""
    (tmp_path / "old").mkdir()
    for number in range(4):
        data = dicom_file([element("PatientID", f"P{number}"), *picture(number, 8 + number)])
        (tmp_path / "old" / f"{number}.dcm").write_bytes(data)
    wr.scan(tmp_path / "old", tmp_path / "to", workers=0)
    (tmp_path / "old").rename(tmp_path / "new")
    return tmp_path


def run(*arguments: object) -> tuple[int, str]:
    done = CliRunner().invoke(main, [*map(str, arguments)])
    return done.exit_code, done.output


@pytest.mark.parametrize("exists", [False, True])
def test_every_command_reports_it_once_and_takes_the_new_folder(moved: Path, exists: bool) -> None:
    if exists:
        (moved / "old").mkdir()
        (moved / "old" / "other.dcm").write_bytes(b"")
    to = moved / "to"
    for command in (
        ["mosaic", to, "-o", moved / "m.png"],
        ["export", to, "-o", moved / "out", "-q", "--workers", 1],
        ["measure", to, "-q", "--workers", 1],
        ["prepare", to, "-o", moved / "cache", "-q", "--workers", 1],
        ["report", to, "-o", moved / "r.html", "-q", "--workers", 1],
        ["split", to],
    ):
        code, output = run(*command)
        assert code == 2, output
        assert output.count("none of the 4 files of the index is in") == 1
        assert output.endswith("if they were moved, open the index with --root FOLDER\n")
        assert run(*command, "--root", moved / "new")[0] == 0
    code, output = run("view", to, "--no-browser")
    assert (code, "--root FOLDER" in output) == (2, True)


def test_the_same_in_python(moved: Path) -> None:
    index = wr.Index.open(moved / "to")
    for use in (
        lambda: index.mosaic(4),
        lambda: index.measure(progress=False),
        lambda: index.export(moved / "out", progress=False),
        lambda: prepare(index, moved / "cache", progress=False),
        lambda: report(index, to=moved / "r.html", progress=False),
        lambda: wr.split(index),
        lambda: wr.view(index),
        lambda: index[:2].mosaic(2),
    ):
        with pytest.raises(NotFoundError, match=r"old"):
            use()
    index = wr.Index.open(moved / "to", root=moved / "new")
    assert index.root == str(moved / "new")
    assert index[0].pixels().shape == (8, 8)
    measured = index.measure(workers=1, progress=False)
    assert measured.table["px_status"].to_pylist() == ["ok"] * 4
    assert measured.root == wr.split(measured).root == index.root


def test_one_existing_file_is_enough(moved: Path) -> None:
    (moved / "old").mkdir()
    (moved / "new" / "3.dcm").rename(moved / "old" / "3.dcm")
    measured = wr.Index.open(moved / "to").measure(workers=1, progress=False)
    assert measured.table["px_status"].to_pylist() == ["no_access"] * 3 + ["ok"]

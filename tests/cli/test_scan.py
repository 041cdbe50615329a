"""`wetread scan`."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from click.testing import CliRunner
from pydicom.data import get_testdata_file

from wetread.cli import main


def test_summary(small_folder: Path) -> None:
    printed = CliRunner().invoke(main, ["scan", str(small_folder)], catch_exceptions=False).stdout
    assert "6 files, 6 read" in printed
    for word in ("not_dicom", "partial", "JPEG 2000", "RTPLAN", "TRUNCATED", "error"):
        assert word in printed


def test_json_is_the_summary(small_folder: Path) -> None:
    done = CliRunner().invoke(main, ["scan", str(small_folder), "--json"], catch_exceptions=False)
    summary = json.loads(done.stdout)
    assert summary["files"] == 6
    assert summary["read_status"] == {"ok": 4, "not_dicom": 1, "partial": 1}
    assert summary["problems"]["TRUNCATED"] == 1


def test_second_scan_reads_no_files(small_folder: Path, tmp_path: Path) -> None:
    arguments = ["scan", str(small_folder), "-o", str(tmp_path / "an index")]
    first = CliRunner().invoke(main, arguments, catch_exceptions=False)
    second = CliRunner().invoke(main, arguments, catch_exceptions=False)
    assert "6 read" in first.stdout
    assert "none of them new or changed" in second.stdout
    assert f"wetread query '{tmp_path}/an index'" in second.stdout


def test_several_arguments(small_folder: Path) -> None:
    files = [str(small_folder / name) for name in ("CT_small.dcm", "README.txt")]
    done = CliRunner().invoke(main, ["scan", *files, "--json"], catch_exceptions=False)
    assert json.loads(done.stdout)["files"] == 2


def test_options_private_and_sequences(small_folder: Path, tmp_path: Path) -> None:
    index = str(tmp_path / "index")
    options = ["--private", "--sequences", "--workers", "0", "-o", index]
    CliRunner().invoke(main, ["scan", str(small_folder), *options], catch_exceptions=False)
    sql = "SELECT count(private) AS p, count(sequences) AS s FROM index"
    done = CliRunner().invoke(main, ["query", index, sql, "--json"], catch_exceptions=False)
    assert all(count > 0 for count in json.loads(done.stdout)[0].values())


@pytest.mark.parametrize(("code", "exit_code"), [("truncated", 3), ("any", 3), ("BOMB", 0)])
def test_fail_on(small_folder: Path, code: str, exit_code: int) -> None:
    done = CliRunner().invoke(main, ["scan", str(small_folder), "--fail-on", code])
    assert done.exit_code == exit_code
    assert "6 files" in done.stdout  # the summary comes all the same


def test_an_empty_folder_warns(tmp_path: Path) -> None:
    done = CliRunner().invoke(main, ["scan", str(tmp_path)], catch_exceptions=False)
    assert done.exit_code == 0
    assert done.stdout == "0 files\n"
    assert done.stderr.startswith("Warning: no files in ")


def test_interrupted(small_folder: Path, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    def interrupt(*_: object, **__: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr("wetread.scan", interrupt, raising=False)
    done = CliRunner().invoke(main, ["scan", str(small_folder), "-o", str(tmp_path / "index")])
    assert done.exit_code == 1
    assert "run the same command again to resume" in done.stderr


def test_fewer_files_than_before_are_reported(small_folder: Path, tmp_path: Path) -> None:
    index = str(tmp_path / "index")
    CliRunner().invoke(main, ["scan", str(small_folder), "-o", index], catch_exceptions=False)
    one = ["scan", str(small_folder / "CT_small.dcm"), "-o", index]
    refused = CliRunner().invoke(main, one, catch_exceptions=False)
    assert refused.exit_code == 2
    assert "--replace" in refused.stderr
    done = CliRunner().invoke(main, [*one, "--replace"], catch_exceptions=False)
    assert "1 file, 6 before, none of them new or changed" in done.stdout


def test_invalid_transfer_syntax_is_counted_without_a_name(tmp_path: Path) -> None:
    (tmp_path / "train").mkdir()
    data = Path(get_testdata_file("CT_small.dcm")).read_bytes()  # type: ignore[arg-type]
    odd = data.replace(b"1.2.840.10008.1.2.1\0", b"999.888.777.INVALID\0", 1)
    (tmp_path / "train" / "odd.dcm").write_bytes(odd)
    done = CliRunner().invoke(main, ["scan", str(tmp_path / "train"), "-q"], catch_exceptions=False)
    assert "999.888.777.INVALID" in done.stdout
    assert "TSUID_UNKNOWN" in done.stdout
    assert done.stderr == ""


def test_file_without_permission_is_not_wrong_usage(
    small_folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("os.access", lambda *_, **__: False)  # as click asks, also for root
    files = [str(small_folder / name) for name in ("CT_small.dcm", "README.txt")]
    done = CliRunner().invoke(main, ["scan", *files], catch_exceptions=False)
    assert done.exit_code == 0
    assert "2 files, 2 read" in done.stdout

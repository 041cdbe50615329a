"""Distributed scan: merged shards equal one scan."""

from __future__ import annotations

from pathlib import Path

import pyarrow.compute as pc
import pytest
from click.testing import CliRunner

import wetread as wr
from wetread.cli import main
from wetread.errors import NotFoundError, UsageError
from wetread.table.jobs import Shard
from wetread.testing.dicom import dicom_file, picture


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    for n in range(40):
        path = tmp_path / "train" / str(n % 3) / f"{n}.dcm"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(dicom_file(picture(n)) if n % 5 else b"no DICOM")
    return tmp_path / "train"


def scan_shards(folder: Path, to: Path, *numbers: int, of: int = 4, **options: bool) -> None:
    for number in numbers:
        wr.scan(folder, to, shard=f"{number}/{of}", progress=False, workers=0, **options)


def test_merged_shards_are_the_whole_scan(folder: Path, tmp_path: Path) -> None:
    scan_shards(folder, tmp_path / "x.index", 2, 0, 3, 1)
    merged = wr.merge(tmp_path / "x.index")
    whole = wr.scan(folder, progress=False)
    assert merged.table.equals(whole.table)
    assert merged.scan["shards"] == 4
    again = wr.scan(folder, tmp_path / "x.index", progress=False)  # goes on from the merged one
    assert again.scan["read"] == 0
    (folder / "new.dcm").write_bytes(dicom_file(picture(99)))
    scan_shards(folder, tmp_path / "x.index", 0, 1, 2, 3)
    assert wr.merge(tmp_path / "x.index").table.equals(wr.scan(folder, progress=False).table)


def test_a_merge_keeps_added_columns_as_a_rescan_does(folder: Path, tmp_path: Path) -> None:
    """Added columns stay for unchanged files; the others are measured and split again."""
    indexes, cut = [tmp_path / "merged.index", tmp_path / "plain.index"], folder / "0" / "3.dcm"
    cut.write_bytes(dicom_file(picture(3))[:-9])

    def read_both() -> list[wr.Index]:
        scan_shards(folder, indexes[0], 0, 1, 2, 3)
        plain = wr.scan(folder, indexes[1], progress=False, workers=0)
        return [wr.merge(indexes[0]), plain]

    for index in read_both():
        wr.split(index.measure(workers=1, progress=False))
    merged, plain = read_both()
    assert merged.table["part"].null_count == 8
    assert merged.table.equals(plain.table)
    cut.write_bytes(dicom_file(picture(3)))
    (folder / "1" / "1.dcm").unlink()
    (folder / "new.dcm").write_bytes(dicom_file(picture(99)))
    merged, plain = read_both()
    assert merged.table.filter(pc.is_valid(merged.table["px_status"])).num_rows == 30
    assert merged.table.equals(plain.table)
    for part in (indexes[0] / "parts").iterdir():
        part.write_bytes(b"damaged")
    with pytest.warns(UserWarning, match="is damaged"):
        assert len(wr.merge(indexes[0])) == 40
    scan_shards(folder, indexes[0], *range(4), private=True)
    assert "part" not in wr.merge(indexes[0]).columns


def test_more_shards_than_files(folder: Path, tmp_path: Path) -> None:
    for path in sorted(folder.rglob("*.dcm"))[10:]:
        path.unlink()
    for _ in range(2):  # again, over what is there
        scan_shards(folder, tmp_path / "x.index", *range(64), of=64)
        merged = wr.merge(tmp_path / "x.index")
        assert merged.table.equals(wr.scan(folder, progress=False).table)
        assert len(merged) == 10


def test_missing_shards_are_named(folder: Path, tmp_path: Path) -> None:
    to = tmp_path / "x.index"
    with pytest.raises(NotFoundError, match="no shards"):
        wr.merge(to)
    scan_shards(folder, to, 0, 2)
    with pytest.raises(UsageError, match="2 of 4 shards are missing or unfinished: 1, 3"):
        wr.merge(to)
    scan_shards(folder, to, 1, private=True)
    scan_shards(folder, to, 3)
    with pytest.raises(UsageError, match="differ in their files or scan options"):
        wr.merge(to)
    scan_shards(folder, to, 0, of=2)
    with pytest.raises(UsageError, match="shards of 2 and of 4"):
        wr.merge(to)


def test_an_interrupted_shard_is_missing(
    folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from wetread.table import scan

    scan_shards(folder, tmp_path / "x.index", 0, of=2)

    def stop(*_: object) -> None:
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(scan, "commit_generation", stop)
        with pytest.raises(KeyboardInterrupt):
            scan_shards(folder, tmp_path / "x.index", 1, of=2)
    with pytest.raises(UsageError, match="1 of 2 shards are missing or unfinished: 1"):
        wr.merge(tmp_path / "x.index")
    scan_shards(folder, tmp_path / "x.index", 1, of=2)
    assert len(wr.merge(tmp_path / "x.index")) == 40


@pytest.mark.parametrize("text", ["4/4", "1", "-1/4", "a/b", "1/0", ""])
def test_invalid_shards(text: str) -> None:
    with pytest.raises(UsageError, match="write K/N"):
        Shard.parse(text)


def test_on_the_command_line(folder: Path, tmp_path: Path) -> None:
    runner, to = CliRunner(), str(tmp_path / "x.index")
    first = runner.invoke(main, ["scan", str(folder), "-o", to, "--shard", "0/2", "-q"])
    assert f"wetread merge {to}" in first.output
    refused = runner.invoke(main, ["merge", to])
    assert refused.exit_code == 2
    assert "missing or unfinished: 1" in refused.output
    runner.invoke(main, ["scan", str(folder), "-o", to, "--shard", "1/2", "-q"])
    merged = runner.invoke(main, ["merge", to, "--json", "--fail-on", "NOT_DICOM"])
    assert merged.exit_code == 3, merged.output
    assert '"files": 40' in merged.output

"""Pixel statistics as columns: correct, resumable, isolated from crashes."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import sys
import time
import zipfile
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

import wetread as wr
from wetread.errors import UsageError
from wetread.index import Index
from wetread.measure import columns
from wetread.measure.columns import SCHEMA, measure_images
from wetread.measure.statistics import COLUMNS
from wetread.settings import Settings
from wetread.table.extra_columns import read_extra, write_extra
from wetread.table.parts import Options
from wetread.testing import pixel_case, pixel_seeds

Watch = Callable[[], list[str]]
EIGHT = ("CT_small", "MR_small", "JPEG2000", "693_J2KI", "MR_small_RLE", "SC_rgb", "US1_J2KR")


@pytest.fixture
def folder(tmp_path: Path, real_files: list[Path]) -> Path:
    """Real images in several transfer syntaxes, a plan and a text."""
    names = {f"{name}.dcm" for name in (*EIGHT, "rtplan", "emri_small_jpeg_2k_lossless")}
    (train := tmp_path / "train").mkdir()
    for path in real_files:
        if path.name in names:
            shutil.copy(path, train / path.name)
    (train / "README.txt").write_text("no DICOM")
    return train


def test_columns_in_memory_and_on_disk(folder: Path, tmp_path: Path) -> None:
    index = wr.scan(folder, progress=False).measure(workers=1, progress=False)
    wr.scan(folder, to=tmp_path / "i", progress=False).measure(workers=2, progress=False)
    again = Index.open(tmp_path / "i")
    assert again.table.equals(index.table)
    assert again.schema.equals(index.schema)
    assert {*SCHEMA.names} <= {*index.columns}
    assert {*COLUMNS} < {*SCHEMA.names}
    for image in again:
        row = image.row
        if row["pixel_length"] is None:
            assert row["px_status"] is None
            assert row["px_problems"] is None
            continue
        assert row["px_status"] == "ok", row["px_problems"]
        values = np.stack([image.values(frame) for frame in range(image.frames)])
        assert row["px_max"] == pytest.approx(values.max())
        assert row["raw_mean"] == pytest.approx(
            np.mean([image.pixels(frame) for frame in range(image.frames)])
        )
    found = again.query("SELECT px_xxh3, count(*) AS n FROM index GROUP BY ALL HAVING n > 1")
    assert len(found.dropna()) == 1  # MR_small and its RLE twin
    assert len(again.where("px_mean > 100")) > 2
    assert again.to_pandas()["px_scale"].dropna().unique().tolist() == [1]


def test_with_a_size_files_are_measured_at_their_lower_resolutions(folder: Path) -> None:
    index = wr.scan(folder, progress=False).where("path LIKE '%J2K%' OR path LIKE 'CT%'")
    whole, small = (index.measure(size, 1, False).to_pandas() for size in (None, 64))
    assert small["px_scale"].max() >= 4
    assert whole["px_scale"].max() == 1
    assert small["px_mean"].to_list() == pytest.approx(whole["px_mean"].to_list(), rel=0.05)


def test_only_changed_files_are_measured_again(
    folder: Path, tmp_path: Path, watch_decoding: Watch
) -> None:
    to = tmp_path / "i"
    paths = watch_decoding()
    index = wr.scan(folder, to, progress=False)
    part = index.where("path LIKE 'CT%'").measure(workers=1, progress=False)
    assert paths == ["CT_small.dcm"]
    assert part.to_pandas()["px_status"].to_list() == ["ok"]
    assert index.measure(workers=1, progress=False).schema == part.schema
    assert len(paths) == len(set(paths))
    before = Index.open(to).table
    shutil.copy(folder / "MR_small.dcm", folder / "new.dcm")
    os.utime(folder / "CT_small.dcm", ns=(1, 1))
    rescanned = wr.scan(folder, to, progress=False)
    gone = rescanned.query("SELECT path FROM index WHERE px_status IS NULL AND Rows > 0")
    assert gone["path"].to_list() == ["CT_small.dcm", "new.dcm"]
    paths.clear()
    after = rescanned.measure(workers=1, progress=False)
    assert paths == ["CT_small.dcm", "new.dcm"]
    assert after.where("path <> 'new.dcm'").table["px_mean"].equals(before["px_mean"])
    paths.clear()
    wr.scan(folder, to, private=True, progress=False).measure(workers=1, progress=False)
    assert not paths
    Index.open(to).measure(256, workers=1, progress=False)
    assert len(paths) == len(Index.open(to).images)


def test_a_file_that_lost_its_pixels_loses_their_statistics(folder: Path, tmp_path: Path) -> None:
    wr.scan(folder, tmp_path / "i", progress=False).measure(workers=1, progress=False)
    (folder / "CT_small.dcm").write_text("replaced")
    index = wr.scan(folder, tmp_path / "i", progress=False).measure(workers=1, progress=False)
    (row,) = index.where("path = 'CT_small.dcm'").table.to_pylist()
    assert row["read_status"] == "not_dicom"
    assert not [name for name in SCHEMA.names if row[name] is not None]


def test_columns_of_an_earlier_version_are_measured_again(
    folder: Path, tmp_path: Path, watch_decoding: Watch
) -> None:
    to = tmp_path / "i"
    index = wr.scan(folder / "CT_small.dcm", to, progress=False).measure(workers=1, progress=False)
    rows = read_extra(to / "measured")
    assert rows is not None
    write_extra(to / "measured", rows.drop_columns(["px_xxh3"]), Options(index.root))
    paths = watch_decoding()
    again = index.measure(workers=1, progress=False)
    assert paths == ["CT_small.dcm"]
    assert again.table.equals(index.table)


def test_resume_after_kill(folder: Path, tmp_path: Path, watch_decoding: Watch) -> None:
    for n in range(30):
        shutil.copy(folder / "CT_small.dcm", folder / f"{n}.dcm")
    to = tmp_path / "i"
    wr.scan(folder, to, progress=False)
    script = (
        "import sys\nfrom wetread.index import Index\nfrom wetread.measure.columns import *\n"
        f"content = Index.open({str(to)!r})\n"
        "measure_images(content, workers=1, settings=Settings(part_seconds=0))\n"
    )
    environment = {**os.environ, "PYTHONPATH": str(Path(wr.__path__[0]).parent)}
    with subprocess.Popen([sys.executable, "-c", script], env=environment) as process:
        commits = to / "measured" / "commits"
        while not list(commits.glob("[0-9]*.json")):
            assert process.poll() is None
            time.sleep(0.005)
        process.send_signal(signal.SIGKILL)
    paths = watch_decoding()
    index = Index.open(to).measure(workers=1, progress=False)
    assert len(paths) < len(index.images)
    assert index.where("Rows > 0").table["px_status"].unique().to_pylist() == ["ok"]
    alone = wr.scan(folder, progress=False).measure(workers=1, progress=False)
    assert index.table.equals(alone.table)


def test_crashing_decoders_lose_one_row_each(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    words = ("crash", "hang", "panic", "greedy")
    for word in words:
        shutil.copy(folder / "CT_small.dcm", folder / f"{word}.dcm")
    monkeypatch.setattr(columns, "FUNCTION", "wetread.testing.decoders:measure_badly")
    content = wr.scan(folder, progress=False)
    settings = Settings(decode_seconds=5)
    index = measure_images(content, workers=1, progress=False, settings=settings)
    rows = index.to_pandas().set_index("path")
    found = {w: (rows["px_status"][f"{w}.dcm"], rows["px_problems"][f"{w}.dcm"]) for w in words}
    assert {w: (status, notes[0]["code"]) for w, (status, notes) in found.items()} == {
        "crash": ("crashed", "CRASHED"),
        "hang": ("timeout", "TIMEOUT"),
        "panic": ("failed", "UNDECODABLE"),
        "greedy": ("refused", "BOMB"),
    }
    assert rows["px_status"].value_counts()["ok"] == len(index.images) - 4
    assert (rows["read_status"][[f"{w}.dcm" for w in words]] == "ok").all()
    assert set(index.problems("CRASHED")["path"]) == {"crash.dcm"}


def test_a_deleted_file(folder: Path) -> None:
    paths = [folder / "CT_small.dcm", folder / "MR_small.dcm"]
    index = wr.scan(paths, progress=False)
    paths[0].unlink()
    row = index.measure(progress=False)[0].row
    assert (row["px_status"], row["px_problems"][0]["code"]) == ("no_access", "NO_ACCESS")
    assert row["px_mean"] is None


def test_unreadable_files_are_retried(folder: Path, tmp_path: Path) -> None:
    with zipfile.ZipFile(folder / "all.zip", "w") as archive:
        archive.write(folder / "MR_small.dcm", "MR_small.dcm")
    wr.scan(folder, to=tmp_path / "index", progress=False)
    names = ("CT_small.dcm", "all.zip")
    for name in names:
        (folder / name).rename(tmp_path / name)
    (folder / "CT_small.dcm").mkdir()
    (folder / "all.zip").write_bytes(b"PK\x05\x06 damaged")
    index = wr.Index.open(tmp_path / "index").measure(progress=False)
    lost = index.where("px_status = 'no_access'")
    found = lost.query("SELECT path, px_problems[1].code FROM index")
    assert sorted(found.itertuples(index=False, name=None)) == [
        ("CT_small.dcm", "NO_ACCESS"),
        ("all.zip", "BAD_ARCHIVE"),
    ]
    (folder / "CT_small.dcm").rmdir()
    for name in names:
        (tmp_path / name).replace(folder / name)
    again = wr.Index.open(tmp_path / "index").measure(progress=False)
    assert not len(again.where("px_status = 'no_access'"))


def test_only_files_beyond_a_limit_are_refused(folder: Path, tmp_path: Path) -> None:
    data = (folder / "CT_small.dcm").read_bytes()
    swapped = b"1.2.840.10008.1.2.2\0"
    (path := tmp_path / "MemoryError.dcm").write_bytes(
        data.replace(b"1.2.840.10008.1.2.1\0", swapped, 1)
    )
    index = wr.scan(path, progress=False).measure(progress=False)
    assert index.table["px_status"].to_pylist() == ["failed"]
    assert index[0].row["px_problems"][0]["code"] == "UNDECODABLE"
    limits = Settings(frame_bytes=1000)
    index = wr.scan(folder / "CT_small.dcm", progress=False)
    row = measure_images(index, progress=False, settings=limits)[0].row
    assert (row["px_status"], row["px_problems"][0]["code"]) == ("refused", "BOMB")


def test_undecodable_frames_are_left_out(folder: Path) -> None:
    data = bytearray((folder / "emri_small_jpeg_2k_lossless.dcm").read_bytes())
    second = data.index(b"\xff\x4f\xff\x51", data.index(b"\xff\x4f\xff\x51") + 4)
    data[second : second + 4] = bytes(4)
    (folder / "bad.dcm").write_bytes(data)
    row = wr.scan(folder / "bad.dcm", progress=False).measure(progress=False)[0].row
    assert row["px_status"] == "partial"
    assert row["px_problems"][0]["code"] == "UNDECODABLE"
    assert row["px_mean"] > 0


def test_bad_usage(folder: Path) -> None:
    index = wr.scan(folder, progress=False)
    with pytest.raises(UsageError, match="size must be at least 1"):
        index.measure(0)
    with pytest.raises(UsageError, match="workers must be at least 1"):
        index.measure(workers=0)


def test_an_index_without_images(folder: Path, tmp_path: Path) -> None:
    wr.scan(folder / "README.txt", tmp_path / "i", progress=False).measure(progress=False)
    assert Index.open(tmp_path / "i").measure(progress=False).to_pandas()["px_mean"].isna().all()


def test_mutants_over_every_decoder(tmp_path: Path) -> None:
    """A sample of `bench/pixel_mutants.py`: a status for each, and this process lives."""
    seeds = pixel_seeds()
    assert all(seeds.values())
    for number in range(300):
        (tmp_path / f"{number:06}.dcm").write_bytes(pixel_case(number, seeds)[1])
    index = wr.scan(tmp_path, workers=0, progress=False).measure(progress=False)
    rows = index.to_pandas()
    assert len(rows) == 300
    assert (rows["px_status"].notna() | rows["pixel_length"].isna()).all()
    assert set(rows["px_status"].dropna()) >= {"ok", "failed", "partial"}
    assert pixel_case(7, seeds) == pixel_case(7, seeds)


def test_damage_that_crashed_a_lossless_jpeg_decoder(tmp_path: Path) -> None:
    """Found by `bench/pixel_mutants.py`: another decoder read beyond these streams and died."""
    seeds = pixel_seeds()
    for number in (1307, 9851, 9915, 11483, 13315, 13715):
        kind, data = pixel_case(number, seeds)
        assert kind == "jpeg-lossless"
        (tmp_path / f"{number}.dcm").write_bytes(data)
    index = wr.scan(tmp_path, workers=0, progress=False).measure(workers=1, progress=False)
    assert set(index.table["px_status"].to_pylist()) <= {"ok", "failed"}

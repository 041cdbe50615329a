"""Limits, permissions and killed writes."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import psutil
import pytest

import wetread as wr
from wetread.settings import KIB, Settings
from wetread.testing import Element, damages, dicom_file, element, killed_write, picture
from wetread.testing.dicom import DEFLATED, changed

DAMAGES = {d.name: d for d in damages()}


@pytest.mark.parametrize("window", [64, 8 * KIB])
def test_a_header_over_the_limit_of_bytes_is_read_up_to_there(window: int, tmp_path: Path) -> None:
    items = element("PerFrameFunctionalGroupsSequence", [[element("CodeValue", "A")]] * 20_000)
    huge = dicom_file([*picture()[:-1], items, picture()[-1]], undefined=True)
    (tmp_path / "huge.dcm").write_bytes(huge)
    settings = Settings(header_bytes=64 * KIB, windows=(window, window))
    [row] = wr.scan(tmp_path, workers=0, progress=False, settings=settings).table.to_pylist()
    assert row["read_status"] == "partial"
    assert "HEADER_BUDGET" in {f["code"] for f in row["problems"]}
    assert row["Rows"] == 8


def test_a_header_over_the_limit_of_elements_is_read_up_to_there(tmp_path: Path) -> None:
    items = element("PerFrameFunctionalGroupsSequence", [[element("CodeValue", "A")]] * 2000)
    huge = dicom_file([*picture()[:-1], items, picture()[-1]], undefined=True)
    (tmp_path / "long.dcm").write_bytes(huge)
    settings = Settings(header_elements=1000)
    [row] = wr.scan(tmp_path, workers=0, progress=False, settings=settings).table.to_pylist()
    assert row["read_status"] == "partial"
    assert "ELEMENT_LIMIT" in {f["code"] for f in row["problems"]}


@pytest.mark.parametrize("over", ["items", "bytes"])
def test_a_value_over_the_limit_is_null(over: str, tmp_path: Path) -> None:
    raw = b"1\\" * 70 if over == "items" else b"1" * 150
    (tmp_path / "long.dcm").write_bytes(
        dicom_file(changed(picture(), element("WindowCenter", raw)))
    )
    settings = Settings(value_items=64, value_bytes=141)
    [row] = wr.scan(tmp_path, progress=False, settings=settings).table.to_pylist()
    assert row["WindowCenter"] is None
    assert row["Rows"] == 8
    assert "VALUE_LIMIT" in {f["code"] for f in row["problems"]}
    assert row["invalid"] == [{"keyword": "WindowCenter", "raw": raw}]


def test_too_many_tags_of_one_file_leave_other_files_their_columns(tmp_path: Path) -> None:
    """Columns of a block have 16-bit numbers; an overflow once ended the scan."""
    for group in (0x0006, 0x000A, 0x000C):
        made_up = (Element(group << 16 | number, "LO") for number in range(1, 22_001))
        path = tmp_path / f"many {group}"
        path.write_bytes(dicom_file(changed(picture(1), *made_up)))
    rare = dicom_file(changed(picture(2), Element(0x000AFFFE, "LO", "rare")))
    (tmp_path / "rare").write_bytes(rare)
    rows = wr.scan(tmp_path, workers=0, progress=False).table.select(
        ["read_status", "PatientName", "Rows", "x_000a_fffe"]
    )
    many = ("partial", "Doe^Jane", 8, None)
    assert [tuple(row.values()) for row in rows.to_pylist()] == [
        *[many] * 3,
        ("ok", "Doe^Jane", 8, "rare"),
    ]


READ = """
import json, os, resource, sys, time, wetread as wr
wr.scan(sys.argv[1], workers=0, progress=False)  # imports what it needs
if len(sys.argv) == 4:
    os.setuid(int(sys.argv[3]))
before, begun = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss, time.process_time()
rows = wr.scan(sys.argv[2], workers=0, progress=False).table.to_pylist()
seconds = time.process_time() - begun
grown = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before
status = {row["path"]: row["read_status"] for row in rows}
codes = {row["path"]: [f["code"] for f in row["problems"]] for row in rows}
print(json.dumps([grown / 1024, seconds, status, codes]))
"""


@pytest.mark.parametrize(
    "name", ["bombs", "pixel_bombs", "too_deep", "length_too_long", "pixels_over_4_gib"]
)
def test_bombs_take_little_memory_and_time(name: str, tmp_path: Path) -> None:
    (tmp_path / "good").mkdir()
    (tmp_path / "good" / "1.dcm").write_bytes(dicom_file(picture()))
    expected = DAMAGES[name].make(tmp_path / "bad")
    grown, seconds, _, _ = read_in_child(tmp_path / "good", tmp_path / "bad")
    assert grown <= 100, f"{grown:.0f} MB"
    assert seconds <= 5 * len(expected)


MEASURE = """
import json, os, resource, sys, wetread as wr
def measure(index):
    return index.measure(workers=1, progress=False).table.to_pylist()
def cpu():
    return sum(os.times()[:4])  # with the workers that have ended
def peak(who):
    return resource.getrusage(who).ru_maxrss / 1024
measure(wr.scan(sys.argv[1], workers=0, progress=False))
index = wr.scan(sys.argv[2], workers=0, progress=False)
before, begun = peak(resource.RUSAGE_CHILDREN), cpu()
rows = measure(index)
seconds, grown = cpu() - begun, peak(resource.RUSAGE_CHILDREN) - before
before = peak(resource.RUSAGE_SELF)
syntaxes = {image.path: image.header.file_meta.TransferSyntaxUID for image in index}
opened = peak(resource.RUSAGE_SELF) - before
status = {row["path"]: row["px_status"] for row in rows}
print(json.dumps([status, grown, seconds, opened, syntaxes]))
"""


def test_pixel_bombs_are_refused_when_decoded(tmp_path: Path) -> None:
    """Found by `bench/bombs.py`: endless frames, headers inflated whole, 5 GB read."""
    (tmp_path / "good.dcm").write_bytes(dicom_file(picture()))
    names = ("pixel_bombs", "pixels_over_4_gib")
    expected = [e for name in names for e in DAMAGES[name].make(tmp_path / "bad")]
    command = [sys.executable, "-c", MEASURE, str(tmp_path / "good.dcm"), str(tmp_path / "bad")]
    environment = {**os.environ, "PYTHONPATH": str(Path(wr.__file__).parents[1])}
    done = subprocess.run(command, capture_output=True, text=True, timeout=300, env=environment)
    assert done.returncode == 0, done.stderr
    status, grown, seconds, opened, syntaxes = json.loads(done.stdout)
    assert status.pop("deflated_frame.dcm") == "ok"  # no more of it is inflated than a frame takes
    for name in ("frames.dcm", "rle_frames.dcm"):
        assert status.pop(name) == "partial"  # the first of 2,147,483,647 frames is there
    assert status.pop("rle_in_stream.dcm") == "ok"  # no more is unpacked than the frame takes
    assert set(status.values()) == {"refused", "failed"}
    for name in ("deflated_pixels", "jpeg2000_in_both", "size", "wrapped"):
        assert status[f"{name}.dcm"] == "refused", name
    assert grown <= 100, f"{grown:.0f} MB to measure"
    assert opened <= 100, f"{opened:.0f} MB for the headers"
    assert seconds <= 5 * len(expected)
    assert syntaxes["deflated_pixels.dcm"] == DEFLATED


def read_in_child(good: Path, bad: Path, *user: int) -> tuple[float, float, dict, dict]:
    """Peak growth in MB, CPU seconds, status and codes by path, of a scan in a separate process.

    The scan of `good` is a warm-up; `bad` is read as `user`, if given.
    """
    command = [sys.executable, "-c", READ, str(good), str(bad), *map(str, user)]
    environment = {**os.environ, "PYTHONPATH": str(Path(wr.__file__).parents[1])}
    done = subprocess.run(command, capture_output=True, text=True, timeout=240, env=environment)
    assert done.returncode == 0, done.stderr
    return tuple(json.loads(done.stdout))


def test_unreadable_files_and_pipes_are_rows(tmp_path: Path) -> None:
    """Class 34; as root, in a process of user `nobody`, to whom permissions apply.

    Opening a pipe without a writer would block forever.
    """
    nobody = [65534] if os.geteuid() == 0 else []
    good = tmp_path / "good"
    good.mkdir()
    (good / "1.dcm").write_bytes(dicom_file(picture()))
    expected = DAMAGES["no_permission"].make(tmp_path / "bad")
    for folder in (tmp_path, *list(tmp_path.parents)[:3]):  # readable by other users
        folder.chmod(folder.stat().st_mode | 0o055)
    try:
        _, _, status, codes = read_in_child(good, tmp_path / "bad", *nobody)
    finally:
        (tmp_path / "bad" / "folder").chmod(0o700)
    assert status == {e.path: e.status for e in expected}
    assert codes == {e.path: list(e.codes) for e in expected}


def test_leftovers_of_a_killed_write_are_not_read(tmp_path: Path) -> None:
    """Class 38."""
    data, to = tmp_path / "data", tmp_path / "train.index"
    data.mkdir()
    for number in range(4):
        (data / f"{number}.dcm").write_bytes(dicom_file(picture(number)))
    table = wr.scan(data, to, workers=0, progress=False).table
    left = killed_write(to)
    assert wr.Index.open(to).table.equals(table)
    (data / "4.dcm").write_bytes(dicom_file(picture(4)))
    assert len(wr.scan(data, to, workers=0, progress=False)) == 5
    assert len(wr.Index.open(to)) == 5
    assert all(not path.exists() or path.stat().st_size for path in left)


def test_no_file_stays_open(tmp_path: Path) -> None:
    for name in ("truncated", "archives", "too_deep", "no_preamble", "not_dicom"):
        DAMAGES[name].make(tmp_path / name)
    process = psutil.Process()
    wr.scan(tmp_path, workers=0, progress=False)
    before = process.num_fds()
    for _ in range(5):
        wr.scan(tmp_path, workers=0, progress=False)
    assert process.num_fds() <= before

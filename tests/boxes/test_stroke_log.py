"""Logs of strokes: durability, locks, torn lines, full disks, size."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from wetread.boxes.stroke_log import StrokeLog, log_name, read_log
from wetread.boxes.strokes import Stroke, parse_stroke
from wetread.errors import StorageError, UsageError
from wetread.testing.strokes import IMAGE, make_stroke

FACTS = {"time": "2026-11-29T09:00:00Z", "key": "a.dcm", "file_size": 10, "file_hash": "00"}


def box(**values: Any) -> Stroke:
    return parse_stroke(make_stroke(**values))


def test_strokes_are_read_again(tmp_path: Path) -> None:
    first = box()
    with StrokeLog(tmp_path, "Ann Müller") as log:
        assert log.append(first, FACTS).revision == 1
        log.append(box(item=first.item, base=1, label="Ödem"), FACTS)
        path = log.path
    assert path.parent == tmp_path
    reader, lines = read_log(path)
    assert reader == "Ann Müller"
    assert [(line.stroke.label, line.facts["key"]) for line in lines] == [
        ("Nodule/Mass", "a.dcm"),
        ("Ödem", "a.dcm"),
    ]
    with StrokeLog(tmp_path, "Ann Müller") as log:
        assert [stroke.label for stroke in log.replay.marks(IMAGE)] == ["Ödem"]
        assert log.append(first, FACTS).revision == 1  # sent again after a restart
    assert len(path.read_bytes().splitlines()) == 3


def test_a_stroke_is_synced_before_its_outcome(tmp_path: Path) -> None:
    """The file has the whole line when it is synced, and nothing is applied before."""
    seen: list[tuple[bytes, int]] = []

    def sync(file: int) -> None:
        os.fsync(file)
        path = tmp_path / log_name("R1")
        seen.append((path.read_bytes(), len(log.replay.outcomes) if seen else 0))

    log = StrokeLog(tmp_path, "R1", sync)
    with log:
        stroke = box()
        log.append(stroke, FACTS)
        log.append(stroke, FACTS)
    assert len(seen) == 2  # the head, and one stroke
    data, applied = seen[1]
    assert json.loads(data.splitlines()[1])["stroke"]["uuid"] == stroke.uuid
    assert data.endswith(b"\n")
    assert applied == 0


def test_an_error_of_the_disk_saves_nothing(tmp_path: Path) -> None:
    def fail(file: int) -> None:
        raise OSError(5, "Input/output error")

    with StrokeLog(tmp_path, "R1") as log:
        log.append(box(), FACTS)
        before = log.path.read_bytes()
        log._sync = fail
        stroke = box()
        with pytest.raises(StorageError, match="Input/output error; not saved"):
            log.append(stroke, FACTS)
        assert log.path.read_bytes() == before
        assert stroke.uuid not in log.replay.outcomes
        log._sync = os.fsync
        assert log.append(stroke, FACTS).status == "saved"


def test_full_disk(tmp_path: Path) -> None:
    """The system's limit on file sizes: a line that does not fit is not there in part."""
    script = """
import json, resource, sys
from pathlib import Path
from wetread.boxes.stroke_log import StrokeLog
from wetread.boxes.strokes import parse_stroke
from wetread.errors import StorageError
resource.setrlimit(resource.RLIMIT_FSIZE, (2000, 2000))
saved = 0
with StrokeLog(Path(sys.argv[1]), "R1") as log:
    try:
        for data in json.load(sys.stdin):
            log.append(parse_stroke(data), {"key": "a.dcm"})
            saved += 1
    except StorageError as error:
        assert "File too large; not saved" in str(error), error
    assert len(log.replay.outcomes) == saved
print(saved)
"""
    strokes = [make_stroke() for _ in range(20)]
    command = [sys.executable, "-c", script, str(tmp_path)]
    done = subprocess.run(command, input=json.dumps(strokes), capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    saved = int(done.stdout)
    assert 2 < saved < 20
    _, lines = read_log(tmp_path / log_name("R1"))
    assert [line.stroke for line in lines] == list(map(parse_stroke, strokes[:saved]))


def test_one_writer_per_log(tmp_path: Path) -> None:
    with StrokeLog(tmp_path, "R1"):
        with pytest.raises(StorageError, match="another viewer writes the boxes of reader 'R1'"):
            StrokeLog(tmp_path, "R1")
        with StrokeLog(tmp_path, "R2"), StrokeLog(tmp_path, "r1"):
            pass
    StrokeLog(tmp_path, "R1").close()


@pytest.mark.parametrize("torn", [b"{", b'{"stroke":{"uuid"', b"\0\0\0"])
def test_a_torn_last_line_is_cut_off(tmp_path: Path, torn: bytes) -> None:
    with StrokeLog(tmp_path, "R1") as log:
        first = box()
        log.append(first, FACTS)
    with open(log.path, "ab") as file:
        file.write(torn)
    assert len(list(read_log(log.path)[1])) == 1
    with StrokeLog(tmp_path, "R1") as log:
        second = box()
        log.append(second, FACTS)
    assert [line.stroke for line in read_log(log.path)[1]] == [first, second]


def test_a_torn_head_is_written_again(tmp_path: Path) -> None:
    (tmp_path / log_name("R1")).write_bytes(b'{"format":"wet')
    with StrokeLog(tmp_path, "R1") as log:
        log.append(box(), FACTS)
    assert read_log(log.path)[0] == "R1"


def test_damage_is_refused(tmp_path: Path) -> None:
    with StrokeLog(tmp_path, "R1") as log:
        log.append(box(), FACTS)
    good = log.path.read_bytes()
    log.path.write_bytes(good.replace(b'"op"', b'"oq"') + good.splitlines(True)[1])
    with pytest.raises(UsageError, match="line 2 is damaged"):
        list(read_log(log.path)[1])
    with pytest.raises(UsageError, match="line 2 is damaged"):
        StrokeLog(tmp_path, "R1")
    log.path.write_bytes(good.replace(b'"version":1', b'"version":2'))
    with pytest.raises(UsageError, match="update wetread"):
        read_log(log.path)
    log.path.write_bytes(b"image_id,x_min\n")
    with pytest.raises(UsageError, match="not a log"):
        read_log(log.path)


def test_100_000_strokes(tmp_path: Path) -> None:
    with StrokeLog(tmp_path, "R1") as log:
        pass
    some = make_stroke(image="IMAGE", uuid="UUID", item="UUID")
    line = json.dumps({**FACTS, "stroke": some}) + "\n"
    with open(log.path, "a") as file:
        for number in range(100_000):
            own = line.replace("UUID", f"{number:08x}-0000-0000-0000-000000000000")
            file.write(own.replace("IMAGE", f"{number % 20_000:016x}"))
    with StrokeLog(tmp_path, "R1") as log:
        assert len(log.replay.outcomes) == 100_000
        assert len(log.replay.read) == 20_000

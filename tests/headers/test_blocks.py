"""Reading the first bytes of many files: where opening waits, the waits overlap."""

from __future__ import annotations

import os
import threading
import time
from pathlib import Path

import pytest

import wetread as wr
from wetread.headers import blocks
from wetread.testing.dicom import dicom_file, picture


@pytest.mark.parametrize("with_a_pipe", [False, True])
def test_slow_opens_overlap_also_beside_a_source_that_is_not_opened(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, with_a_pipe: bool
) -> None:
    for n in range(60):
        (tmp_path / f"{n:03}.dcm").write_bytes(dicom_file(picture(n)))
    if with_a_pipe:
        os.mkfifo(tmp_path / "pipe")
    lock, waiting, most = threading.Lock(), 0, 0

    def slow_open(*args: object) -> int:
        nonlocal waiting, most
        with lock:
            waiting += 1
            most = max(most, waiting)
        time.sleep(0.005)
        with lock:
            waiting -= 1
        return real_open(*args)  # type: ignore[arg-type]

    real_open = os.open
    monkeypatch.setattr(blocks.os, "open", slow_open)
    index = wr.scan(tmp_path, workers=0, progress=False)
    assert most > 4
    statuses = index.table["read_status"].to_pylist()
    assert statuses.count("ok") == 60
    assert len(statuses) == 60 + with_a_pipe

"""Reading the first bytes of many files: where opening waits, the waits overlap."""

from __future__ import annotations

import os
import threading
from pathlib import Path
from typing import Any

import pytest

import wetread as wr
from wetread.headers import reading
from wetread.settings import Settings
from wetread.testing.dicom import dicom_file, picture


@pytest.mark.parametrize("with_a_pipe", [False, True])
def test_slow_opens_overlap_also_beside_a_source_that_is_not_opened(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, with_a_pipe: bool
) -> None:
    for n in range(60):
        (tmp_path / f"{n:03}.dcm").write_bytes(dicom_file(picture(n)))
    if with_a_pipe:
        os.mkfifo(tmp_path / "pipe")
    expected = wr.scan(tmp_path, workers=0, progress=False).table
    threads, walk = set(), reading.walk_block

    def walk_block(*arguments: Any, **options: Any) -> Any:
        threads.add(threading.get_ident())
        return walk(*arguments, **options)

    monkeypatch.setattr(reading, "walk_block", walk_block)
    settings = Settings(slow_open_seconds=0.0)
    found = wr.scan(tmp_path, workers=0, progress=False, settings=settings).table
    assert found == expected
    assert len(threads) > 1
    assert found["read_status"].to_pylist().count("ok") == 60

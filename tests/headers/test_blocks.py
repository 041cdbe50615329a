"""Reading the first bytes of many files: where opening waits, the waits overlap."""

from __future__ import annotations

import errno
import os
import threading
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import wetread as wr
from wetread.headers import blocks
from wetread.headers.core.constants import R_ERROR
from wetread.settings import MIB, Settings
from wetread.testing.dicom import dicom_file, picture
from wetread.testing.pixel_files import CODECS, even, pixel_file


@pytest.mark.parametrize("with_a_pipe", [False, True])
@pytest.mark.parametrize("block_bytes", [1, 100_000, 64 * MIB])
def test_slow_opens_overlap_also_beside_a_source_that_is_not_opened(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, with_a_pipe: bool, block_bytes: int
) -> None:
    for n in range(100):
        (tmp_path / f"{n:03}.dcm").write_bytes(dicom_file(picture(n)))
    syntax, encode = CODECS["jpeg-ls"]
    values = np.zeros((16, 24), "u1")
    streams = [b"", even(encode(values)), even(encode(values))]
    (tmp_path / "050 undeclared.dcm").write_bytes(pixel_file(values, streams, syntax))
    if with_a_pipe:
        os.mkfifo(tmp_path / "pipe")
    expected = wr.scan(tmp_path, workers=0, progress=False).table
    threads, walk = set(), blocks.walk_files

    def walk_files(*arguments: Any, **options: Any) -> Any:
        threads.add(threading.get_ident())
        return walk(*arguments, **options)

    monkeypatch.setattr(blocks, "walk_files", walk_files)
    settings = Settings(slow_open_seconds=0.0, block_bytes=block_bytes)
    found = wr.scan(tmp_path, workers=0, progress=False, settings=settings).table
    assert found == expected
    assert block_bytes == 1 or len(threads) > 1
    assert found["read_status"].to_pylist().count("ok") == 101
    assert "FRAMES_UNDECLARED" in str(found["problems"].to_pylist())


@pytest.mark.parametrize("slow_open_seconds", [0.0, 1.0])
def test_a_file_read_again_has_its_elements_once(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, slow_open_seconds: float
) -> None:
    """A transient error after the first elements of the files 3 and 20."""
    for n in range(30):
        (tmp_path / f"{n:03}.dcm").write_bytes(dicom_file(picture(n)))
    expected = wr.scan(tmp_path, workers=0, progress=False).table
    walk, failed = blocks.walk_files, {b"/003.dcm": 1, b"/020.dcm": 1}

    def walk_files(names: Any, *arguments: Any, **options: Any) -> Any:
        walked = walk(names, *arguments, **options)
        for i in range(walked.rows.shape[1]):
            if failed.pop(names[i].as_py()[-9:-1], 0):
                walked.rows[R_ERROR, i] = errno.EIO
                walked.problems[i] = "NO_ACCESS", "Input/output error"
        return walked

    monkeypatch.setattr(blocks, "walk_files", walk_files)
    settings = Settings(slow_open_seconds=slow_open_seconds)
    assert wr.scan(tmp_path, workers=0, progress=False, settings=settings).table == expected
    assert not failed

"""Size and time of change of many files, against os.stat."""

from __future__ import annotations

import os
from pathlib import Path

import numpy as np
import pytest

from wetread.sources.folders import stat_files


@pytest.fixture
def folder(tmp_path: Path) -> int:
    for number in range(5):
        (tmp_path / f"{number}.dcm").write_bytes(bytes(number))
    return os.open(tmp_path, os.O_RDONLY)


def test_sizes_and_times_are_those_of_os_stat(folder: int) -> None:
    names = [f"{number}.dcm" for number in range(5)]
    sizes, times = np.empty((2, 5), np.int64)
    assert stat_files(folder, b"".join(f"{n}\0".encode() for n in names), sizes, times) == 5
    expected = [os.stat(name, dir_fd=folder) for name in names]
    assert sizes.tolist() == [one.st_size for one in expected]
    assert times.tolist() == [one.st_mtime_ns for one in expected]


def test_a_missing_file_ends_the_reading(folder: int) -> None:
    sizes, times = np.empty((2, 3), np.int64)
    assert stat_files(folder, b"0.dcm\0absent\0001.dcm\0", sizes, times) == 1


def test_a_name_without_its_end_is_refused(folder: int) -> None:
    sizes, times = np.empty((2, 1), np.int64)
    with pytest.raises(ValueError, match="a name without a zero"):
        stat_files(folder, b"0.dcm", sizes, times)

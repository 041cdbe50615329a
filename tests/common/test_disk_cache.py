"""DiskCache stays below its limit, returns content bytes or None, and never raises."""

from __future__ import annotations

import errno
import os
import subprocess
import sys
from pathlib import Path

import pytest

from wetread.common.disk_cache import DiskCache, cache_folder


def size_of(folder: Path) -> int:
    return sum(path.stat().st_size for path in folder.rglob("*") if path.is_file())


def test_least_recently_used_entries_are_evicted_first(tmp_path: Path) -> None:
    cache = DiskCache(tmp_path, 10_000)
    for n in range(9):
        cache.put(f"{n}", bytes([n]) * 1000)
        for path in tmp_path.rglob("*"):  # older than the next entries
            if path.is_file():
                os.utime(path, ns=(path.stat().st_atime_ns, path.stat().st_mtime_ns - 10**10))
    assert cache.get("0") == bytes(1000)
    cache.put("more", b"x" * 4000)
    assert size_of(tmp_path) <= 10_000
    assert cache.get("0") == bytes(1000)
    assert cache.get("more") == b"x" * 4000
    assert cache.get("1") is None


def test_damaged_and_too_large_entries_are_missing(tmp_path: Path) -> None:
    cache = DiskCache(tmp_path, 10_000)
    cache.put("a", b"bytes")
    (path,) = (path for path in tmp_path.rglob("*") if path.is_file())
    content = path.read_bytes()
    for damaged in (content[:-1], content[:-1] + b"!", b""):
        path.write_bytes(damaged)
        assert cache.get("a") is None
    path.write_bytes(content)
    assert cache.get("a") == b"bytes"
    cache.put("b", bytes(10_001))
    assert cache.get("b") is None
    off = DiskCache(tmp_path, 0)
    off.put("c", b"bytes")
    assert off.get("a") is off.get("c") is None


def test_full_disk_is_no_error_and_leaves_no_files(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(*_: object) -> None:
        raise OSError(errno.ENOSPC, "no space left")

    cache = DiskCache(tmp_path, 10_000)
    with monkeypatch.context() as patch:
        patch.setattr(os, "replace", full)
        cache.put("a", b"bytes")
    assert cache.get("a") is None
    assert size_of(tmp_path) == 0
    (tmp_path / "file").touch()
    nowhere = DiskCache(tmp_path / "file", 10_000)
    nowhere.put("a", b"bytes")
    assert nowhere.get("a") is None
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "file"))
    assert cache_folder("objects") is None


def test_several_processes_at_once(tmp_path: Path) -> None:
    """Four processes write, read and sweep one folder; each key returns only its own bytes."""
    program = f"""
import random, sys
from pathlib import Path
from wetread.common.disk_cache import DiskCache
cache = DiskCache(Path({str(tmp_path)!r}), 100_000)
chance, hits = random.Random(int(sys.argv[1])), 0
for _ in range(400):
    n = chance.randrange(60)
    found = cache.get(str(n))
    assert found is None or found == bytes([n]) * 4000
    hits += found is not None
    if found is None:
        cache.put(str(n), bytes([n]) * 4000)
assert hits
"""
    paths = {**os.environ, "PYTHONPATH": str(Path(cache_folder.__code__.co_filename).parents[2])}
    command = [sys.executable, "-c", program]
    started = [subprocess.Popen([*command, str(n)], env=paths) for n in range(4)]
    assert [process.wait() for process in started] == [0] * 4
    assert size_of(tmp_path) <= 130_000

"""Disk cache: bytes by key in the user's cache folder, bounded in size."""

from __future__ import annotations

import contextlib
import functools
import hashlib
import os
import tempfile
from pathlib import Path

_DIGEST = 16
_SWEEPS = 20
"""The size of the cache is checked after every 1/20 of its limit that is written."""


def cache_folder(name: str) -> Path | None:
    """Folder below the user's cache folder (Linux: $XDG_CACHE_HOME or ~/.cache), or None.

    It holds bytes of patients' images: only the user may access it. None if it cannot be created.
    """
    from platformdirs import user_cache_path

    try:
        folder = user_cache_path("wetread", appauthor=False).expanduser() / name
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        folder.chmod(0o700)
    except (OSError, RuntimeError):
        return None
    return folder


class DiskCache:
    """Least-recently-used cache of bytes by key in a folder of about `limit` bytes.

    Several processes may use it at once. Errors of the disk are ignored: the data is not cached.
    File names are hashes of the keys and reveal neither patients nor paths.

    >>> import tempfile
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     cache = DiskCache(Path(folder), 1000)
    ...     cache.put("a", b"bytes")
    ...     cache.get("a"), cache.get("b")
    (b'bytes', None)
    """

    def __init__(self, folder: Path | None, limit: int) -> None:
        self._folder, self._limit = folder if limit > 0 else None, limit
        self._until_sweep = 0
        """Bytes that may be written before the size is checked."""

    def get(self, key: str) -> bytes | None:
        """Return the bytes of a key; None if they are missing or damaged."""
        if self._folder is None:
            return None
        path = self._path(self._folder, key)
        try:
            data = path.read_bytes()
            os.utime(path)
        except OSError:
            return None
        digest, content = data[:_DIGEST], data[_DIGEST:]
        return content if digest == _hash(content) else None

    def put(self, key: str, data: bytes) -> None:
        """Store bytes, unless the disk refuses them or they exceed the limit."""
        if self._folder is None or len(data) > self._limit:
            return
        path = self._path(self._folder, key)
        with contextlib.suppress(OSError):
            path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
            handle, temporary = tempfile.mkstemp(dir=path.parent)
            try:
                with os.fdopen(handle, "wb") as file:
                    file.write(_hash(data))
                    file.write(data)
                os.replace(temporary, path)
            except OSError:
                os.unlink(temporary)
        self._until_sweep -= len(data)
        if self._until_sweep < 0:
            self._sweep(self._folder)
            self._until_sweep = self._limit // _SWEEPS

    def _sweep(self, folder: Path) -> None:
        """If the cache exceeds its limit, evict the least recently used down to nine tenths."""
        files = []
        for path in folder.glob("*/*"):
            with contextlib.suppress(OSError):
                stat = path.stat()
                files.append((stat.st_mtime_ns, stat.st_size, path))
        total = sum(size for _, size, _ in files)
        if total <= self._limit:
            return
        for _, size, path in sorted(files):
            if total <= self._limit * 9 // 10:
                break
            with contextlib.suppress(OSError):
                path.unlink()
                total -= size

    @staticmethod
    def _path(folder: Path, key: str) -> Path:
        name = _hash(key.encode("utf-8", "surrogateescape")).hex()
        return folder / name[:2] / name


def _hash(data: bytes) -> bytes:
    return hashlib.blake2b(data, digest_size=_DIGEST).digest()


@functools.lru_cache(maxsize=8)
def disk_cache(folder: Path | None, limit: int) -> DiskCache:
    """The `DiskCache` of a folder, one per process."""
    return DiskCache(folder, limit)

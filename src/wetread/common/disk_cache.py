"""What is kept on this machine's disk from run to run, and can be had again if it is lost."""

from __future__ import annotations

import contextlib
import functools
import hashlib
import os
import tempfile
from pathlib import Path

_DIGEST = 16
_SHARE = 20
"""This share of the limit may be written between two looks at how much room all takes."""


def cache_folder(name: str) -> Path | None:
    """A folder below $XDG_CACHE_HOME or ~/.cache; None where none can be made.

    It holds bytes of patients' images: it is the user's alone.
    """
    try:
        home = os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache"
        folder = Path(home) / "wetread" / name
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        folder.chmod(0o700)
    except (OSError, RuntimeError):
        return None
    return folder


class DiskCache:
    """Bytes by key in a folder that stays below about `limit` bytes: the least used go first.

    Several processes may use it at once. What cannot be kept is not, and nobody is told: a full
    disk costs time alone. Nothing in it is named after a patient or a path: a name is a hash.

    >>> import tempfile
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     cache = DiskCache(Path(folder), 1000)
    ...     cache.put("a", b"bytes")
    ...     cache.get("a"), cache.get("b")
    (b'bytes', None)
    """

    def __init__(self, folder: Path | None, limit: int) -> None:
        self._folder, self._limit = folder if limit > 0 else None, limit
        self._room = 0

    def get(self, key: str) -> bytes | None:
        """The bytes, if they are there and whole."""
        if self._folder is None:
            return None
        path = self._path(self._folder, key)
        try:
            data = path.read_bytes()
            os.utime(path)
        except OSError:
            return None
        digest, kept = data[:_DIGEST], data[_DIGEST:]
        return kept if digest == _hash(kept) else None

    def put(self, key: str, data: bytes) -> None:
        """Keep bytes, if that is possible."""
        if self._folder is None or len(data) > self._limit:
            return
        path = self._path(self._folder, key)
        with contextlib.suppress(OSError):
            path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
            handle, beside = tempfile.mkstemp(dir=path.parent)
            try:
                with os.fdopen(handle, "wb") as file:
                    file.write(_hash(data))
                    file.write(data)
                os.replace(beside, path)
            except OSError:
                os.unlink(beside)
        self._room -= len(data)
        if self._room < 0:
            self._sweep(self._folder)
            self._room = self._limit // _SHARE

    def _sweep(self, folder: Path) -> None:
        """Removes the least used until nine tenths of the limit are left."""
        found = []
        for path in folder.glob("*/*"):
            with contextlib.suppress(OSError):
                state = path.stat()
                found.append((state.st_mtime_ns, state.st_size, path))
        total = sum(size for _, size, _ in found)
        if total <= self._limit:
            return
        for _, size, path in sorted(found):
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
    """The one of this process for a folder."""
    return DiskCache(folder, limit)

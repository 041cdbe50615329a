"""Thumbnails on disk, in the user's cache folder: made once for every file, size and window."""

from __future__ import annotations

import contextlib
import hashlib
import json
import os
import tempfile
from pathlib import Path
from typing import Any

VERSION = 2
"""Another one whenever thumbnails look different."""
_SWEEP = 200
"""Thumbnails written between two looks at how much room they take."""


class Thumbs:
    """A folder of JPEG files that stays below `limit` bytes; what cannot be kept is made again.

    Nothing in it is named after a patient or a path: a name is a hash.
    """

    def __init__(self, folder: Path | None, root: str, limit: int) -> None:
        self._folder, self._root, self._limit = folder, root, limit
        self._written = 0

    def key(self, row: dict[str, Any], frame: int, size: int, window: Any) -> str:
        """The name of a thumbnail: another one when the file changes."""
        said = [VERSION, self._root, row["path"], row["member"], row["file_size"], row["mtime_ns"]]
        text = json.dumps([*said, frame, size, window])
        return hashlib.blake2b(text.encode("utf-8", "surrogateescape"), digest_size=16).hexdigest()

    def get(self, key: str) -> bytes | None:
        """The thumbnail, if it is there."""
        if self._folder is None:
            return None
        path = self._path(key)
        try:
            data = path.read_bytes()
            os.utime(path)  # the least used go first
        except OSError:
            return None
        return data if data.startswith(b"\xff\xd8") and data.endswith(b"\xff\xd9") else None

    def put(self, key: str, data: bytes) -> None:
        """Keep a thumbnail, if that is possible."""
        if self._folder is None:
            return
        path = self._path(key)
        with contextlib.suppress(OSError):
            path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
            handle, beside = tempfile.mkstemp(dir=path.parent)
            with os.fdopen(handle, "wb") as file:
                file.write(data)
            os.replace(beside, path)
        self._written += 1
        if self._written % _SWEEP == 1:
            self.sweep()

    def sweep(self) -> None:
        """Remove the least used until nine tenths of the limit are left."""
        if self._folder is None:
            return
        found = []
        for path in self._folder.glob("*/*"):
            with contextlib.suppress(OSError):
                state = path.stat()
                found.append((state.st_mtime, state.st_size, path))
        total = sum(size for _, size, _ in found)
        if total <= self._limit:
            return
        for _, size, path in sorted(found):
            if total <= self._limit * 9 // 10:
                break
            with contextlib.suppress(OSError):
                path.unlink()
                total -= size

    def _path(self, key: str) -> Path:
        assert self._folder is not None
        return self._folder / key[:2] / key


def cache_folder() -> Path | None:
    """Where thumbnails are kept: below $XDG_CACHE_HOME or ~/.cache; None where there is no home.

    They are pictures of patients: the folder is the user's alone.
    """
    try:
        home = os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache"
        folder = Path(home) / "wetread" / "thumbs"
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        folder.chmod(0o700)
    except (OSError, RuntimeError):
        return None
    return folder

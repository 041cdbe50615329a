"""Thumbnails on disk, in the user's cache folder: made once for every file, size and window."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from wetread.common.disk_cache import DiskCache

VERSION = 2
"""Another one whenever thumbnails look different."""


class Thumbs(DiskCache):
    """JPEG files of the images below one folder."""

    def __init__(self, folder: Path | None, root: str, limit: int) -> None:
        super().__init__(folder, limit)
        self._root = root

    def key(self, row: dict[str, Any], frame: int, size: int, window: Any) -> str:
        """What a thumbnail is known by: something else when the file changes."""
        said = [VERSION, self._root, row["path"], row["member"], row["file_size"], row["mtime_ns"]]
        return json.dumps([*said, frame, size, window])

"""Disk cache of thumbnails, by file, frame, size and window."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from wetread.common.disk_cache import DiskCache

VERSION = 2
"""Incremented whenever the rendering of thumbnails changes."""


class ThumbnailCache(DiskCache):
    """Cache of the thumbnails of one data set, as JPEG."""

    def __init__(self, folder: Path | None, root: str, limit: int) -> None:
        super().__init__(folder, limit)
        self._root = root

    def key(self, row: dict[str, Any], frame: int, size: int, window: Any) -> str:
        """Cache key of a thumbnail; it changes when the file does."""
        file = [self._root, row["path"], row["member"], row["file_size"], row["mtime_ns"]]
        return json.dumps([VERSION, *file, frame, size, window])

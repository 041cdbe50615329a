"""Comparison of the bytes of pixel elements, without decoding."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from typing import Any

from wetread.settings import KIB
from wetread.sources.find import open_source, path_and_member

SOURCE_COLUMNS = (
    "path",
    "path_bytes",
    "member",
    "member_bytes",
    "file_size",
    "pixel_offset",
    "pixel_length",
    "Rows",
    "Columns",
)
"""Columns of the rows that these functions take."""
_SAMPLE = 4 * KIB


def describe_extent(row: Mapping[str, Any]) -> str:
    """Fingerprint of the image size and the length of the pixel element."""
    return f"{row['Rows']} {row['Columns']} {_bytes(row)}"


def _bytes(row: Mapping[str, Any]) -> int:
    length = int(row["pixel_length"])
    return int(row["file_size"] or 0) - (row["pixel_offset"] or 0) if length < 0 else length


def digest_pixels(root: str, row: Mapping[str, Any], *, sample: bool) -> str:
    """Hash of the pixel element, or of 4 KiB in its middle; "" if it cannot be read."""
    length = _bytes(row)
    start, count = (max(0, length // 2 - _SAMPLE // 2), _SAMPLE) if sample else (0, length)
    path, member = path_and_member(row)
    try:
        with open_source(root, path, member, size=row["file_size"]) as file:
            file.seek((row["pixel_offset"] or 0) + start)
            data = file.read(min(count, length - start))
    except OSError:
        return ""
    return f"{describe_extent(row)} {hashlib.blake2b(data, digest_size=16).hexdigest()}"

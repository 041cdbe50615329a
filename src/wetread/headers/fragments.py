"""Encapsulated frames that Number of Frames does not count, as far as a scan looks for them."""

from __future__ import annotations

from collections.abc import Callable
from typing import BinaryIO

import numpy as np

from wetread.headers.core.constants import (
    R_FRAGMENT,
    R_SIZE,
)
from wetread.headers.core.frames import count_starts
from wetread.headers.encodings import JXL_BARE, STREAM_STARTS
from wetread.headers.walks import (
    Int64s,
)
from wetread.sources.archives import ArchiveError

FEW = 16
"""Maximum Number of Frames for which a scan counts the fragments, with one read each."""
_ITEM = b"\xfe\xff\x00\xe0"
_SIZE_HEADER = 5
"""Bytes of a bare JPEG XL stream that are the same for all frames of a file."""


def in_many_fragments(offset: Int64s, rows: Int64s) -> Int64s:
    """Rows with several fragments, as far as the first bytes of the file show.

    `offset` is the start of encapsulated pixels, -1 for rows without any; `rows` that of the walk.
    """
    end = rows[R_FRAGMENT]
    many: Int64s = np.flatnonzero((offset >= 0) & (end >= 0) & (end + 16 < rows[R_SIZE]))
    return many


def count_frames(path: bytes, offset: int) -> int:
    """Number of fragments of a file, from `offset` on, that start a frame; 0 if unknown."""
    return count_starts(path, None, offset, _frame_start)


def count_frames_in(source: Callable[[], BinaryIO], offset: int) -> int:
    """Number of fragments of a member or an object that start a frame; see `count_frames`."""
    try:
        with source() as stream:
            file = getattr(stream, "raw", stream)  # 20 bytes, not a whole buffer

            def read(at: int) -> bytes:
                file.seek(at)
                head: bytes = file.read(20)
                return head

            return count_starts(b"", read, offset, _frame_start)
    except (OSError, ArchiveError):
        return 0


def is_encoded(head: bytes) -> bool:
    """True for the first 12 bytes of an item or of encoded pixels; too few for bare JPEG XL."""
    return head[:4] in (_ITEM, b"\xff\xfe\xe0\x00") or bool(
        not head.startswith(JXL_BARE) and _frame_start(head)
    )


def _frame_start(head: bytes) -> bytes:
    """Bytes with which every frame of a file starts, by the first; b"" for an unknown encoding."""
    for start in STREAM_STARTS:
        if head.startswith(start):
            return start
    if head.startswith(JXL_BARE):
        return head[:_SIZE_HEADER]
    if head[4:8] == b"\x40\0\0\0" and 1 <= int.from_bytes(head[:4], "little") <= 15:
        return head[:8]  # RLE: the number of segments, and where the first is
    return b""

"""Encapsulated frames that Number of Frames does not count, as far as a scan looks for them."""

from __future__ import annotations

from collections.abc import Callable
from typing import BinaryIO

import numpy as np
import numpy.typing as npt

from wetread.headers.encodings import JXL_BARE, STREAM_STARTS
from wetread.headers.walks import BASE, GOT, SIZE, Bytes, Int64s
from wetread.sources.archives import ArchiveError

FEW = 16
"""Frames announced up to which fragments are counted at the scan: each costs a read."""
_ITEM = b"\xfe\xff\x00\xe0"
_ITEM_WORD = int.from_bytes(_ITEM, "little")
_SIZE_HEADER = 5
"""Bytes of a bare JPEG XL stream that are the same for all frames of a file."""


def in_many_fragments(offset: Int64s, rows: Int64s, arena: Bytes) -> Int64s:
    """Rows whose first fragment, by the bytes in the window, does not end the pixels.

    `offset` is the start of encapsulated pixels, -1 for rows without any; `rows` that of the walk.
    """
    words = np.ndarray((arena.size - 3,), "<u4", arena, strides=(1,))  # at any byte
    index = np.flatnonzero((offset >= 0) & (offset + 16 <= rows[GOT]))
    at = offset[index]
    index, at = _pass_item(index, at, rows, words)  # the Basic Offset Table
    index, at = _pass_item(index, at, rows, words)
    left: Int64s = index[at + 16 < rows[SIZE, index]]
    return left


def _pass_item(
    index: Int64s, at: Int64s, rows: Int64s, words: npt.NDArray[np.uint32]
) -> tuple[Int64s, Int64s]:
    """The rows with an item at `at`, as far as the window goes, and the end of the item."""
    here = at + 8 <= rows[GOT, index]
    index, at = index[here], at[here]
    start = rows[BASE, index] + at
    item = words[start] == _ITEM_WORD
    return index[item], (at + 8 + words[start + 4])[item]


def count_frames(source: Callable[[], BinaryIO], offset: int) -> int:
    """Fragments from `offset` on that start a frame; 0 where that cannot be seen."""
    count, prefix, at = 0, b"", offset
    try:
        with source() as file:
            while True:
                file.seek(at)
                head = file.read(20)
                if not head.startswith(_ITEM):
                    return count
                length = int.from_bytes(head[4:8], "little")
                if at > offset and length:
                    prefix = prefix or _frame_start(head[8:])
                    if not prefix:
                        return 0
                    count += head.startswith(prefix, 8)
                at += 8 + length
    except (OSError, ArchiveError):
        return 0


def is_encoded(head: bytes) -> bool:
    """True for the first 12 bytes of an item or of encoded pixels; too few for bare JPEG XL."""
    return head[:4] in (_ITEM, b"\xff\xfe\xe0\x00") or bool(
        not head.startswith(JXL_BARE) and _frame_start(head)
    )


def _frame_start(head: bytes) -> bytes:
    """Bytes with which every frame of a file starts, by the first; b"" for an unknown encoding."""
    if start := next((s for s in STREAM_STARTS if head.startswith(s)), b""):
        return start
    if head.startswith(JXL_BARE):
        return head[:_SIZE_HEADER]
    if head[4:8] == b"\x40\0\0\0" and 1 <= int.from_bytes(head[:4], "little") <= 15:
        return head[:8]  # RLE: the number of segments, and where the first is
    return b""

"""The first read of what is no plain file: members of archives, objects of a bucket."""

from __future__ import annotations

import os

import numpy as np

from wetread.headers.blocks import SLACK, Bytes, Int64s, Peek, is_encapsulated
from wetread.settings import Settings
from wetread.sources.buckets import Bucket
from wetread.sources.find import open_source

_END = 8
"""Bytes at the end of encapsulated pixels that say whether they are whole."""


def peek_member(root: str, path: bytes, member: bytes, settings: Settings, window: int) -> Peek:
    """The first window of a member; ArchiveError if it cannot be read."""
    with open_source(root, path, member, settings) as stream:
        head = stream.read(window)
        size = stream.seek(0, os.SEEK_END)
        if size <= len(head):
            return Peek(head, size, head[-_END:])
        stream.seek(-_END, os.SEEK_END)
        return Peek(head, size, stream.read(_END))


def peek_object(bucket: Bucket, path: bytes, size: int, settings: Settings, window: int) -> Peek:
    """The first window of an object in one request, two where its end must be looked at.

    OSError if a request fails, or brings less than the listing promised.
    """
    key = path.decode()
    wanted = size if size <= settings.object_bytes else max(window, settings.object_window)
    got = bucket.read(key, 0, min(wanted, size))
    if len(got) < min(wanted, size):
        raise OSError(None, f"{len(got)} bytes came of {min(wanted, size)}")
    if len(got) == size:
        last = got[-_END:]
    else:
        last = bucket.read(key, size - _END, _END) if is_encapsulated(got) else b""
    return Peek(got[:window], size, last)


def read_object_windows(
    bucket: Bucket, paths: list[bytes], positions: list[int], sizes: list[int], window: int
) -> tuple[Bytes, Int64s]:
    """As `blocks.read_windows`, of objects; one that cannot be read any more gives no bytes."""
    data = np.empty(len(paths) * window + SLACK, np.uint8)
    got = np.zeros(len(paths), np.int64)

    def read(i: int, path: bytes, position: int, size: int) -> None:
        try:
            piece = bucket.read(path.decode(), position, min(window, size - position))
        except OSError:
            return
        data[i * window : i * window + len(piece)] = np.frombuffer(piece, np.uint8)
        got[i] = len(piece)

    for _ in bucket.pool.map(read, range(len(paths)), paths, positions, sizes):
        pass
    return data, got

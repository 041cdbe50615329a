"""A deflated file (PS3.5 A.5) as an uncompressed one, as far as it may grow."""

from __future__ import annotations

import zlib
from io import BytesIO
from typing import BinaryIO

from wetread.headers.encodings import DEFLATED_LE, EXPLICIT_LE, Encoding, parse_head
from wetread.settings import KIB

_PIECE = 4 * KIB
"""Deflated bytes taken at once: they give 4 MiB at most."""


def inflate(file: BinaryIO, limit: int) -> tuple[BinaryIO, bool]:
    """The file with its data set inflated, and whether that is all of it.

    It is cut where it is larger than `limit` by 4 MiB at most. A file that does not say that it
    is deflated comes back as it is, at its start.

    Raises:
        zlib.error: the deflated stream is damaged.
    """
    start, syntax = read_meta(file)
    file.seek(0)
    if syntax != DEFLATED_LE.encode():
        return file, True
    stated = EXPLICIT_LE.encode().ljust(len(syntax), b"\0")
    plain = BytesIO()
    plain.write(file.read(start).replace(syntax, stated))
    inflater = zlib.decompressobj(-15)
    while not inflater.eof and (piece := file.read(_PIECE)):
        plain.write(inflater.decompress(piece))
        if plain.tell() > limit:
            break
    complete = plain.tell() <= limit
    plain.seek(0)
    return plain, complete


def read_meta(file: BinaryIO) -> tuple[int, bytes]:
    """End of File Meta, and the transfer syntax that it states."""
    file.seek(128)
    at, syntax = 132 if file.read(4) == b"DICM" else 0, b""
    while True:
        file.seek(at)
        head = file.read(12)
        if len(head) < 8:
            return at, syntax
        tag, _, size, length = parse_head(head, Encoding())
        if tag >> 16 != 2:
            return at, syntax
        if tag == 0x00020010:
            file.seek(at + size)
            syntax = file.read(min(length, 64)).rstrip(b"\0 ")
        at += size + length

"""Inflate a deflated file (PS3.5 A.5), up to a limit."""

from __future__ import annotations

import zlib
from io import BytesIO
from struct import unpack_from
from typing import BinaryIO

from wetread.headers.encodings import DEFLATED_LE, EXPLICIT_LE
from wetread.headers.schema import LONG_FORM_VRS
from wetread.settings import KIB

_PIECE = 4 * KIB
"""Deflated bytes per step; they inflate to at most 4 MiB."""


def inflate(file: BinaryIO, limit: int) -> tuple[BinaryIO, bool]:
    """Inflate the data set of a file; return the file, and True if it is complete.

    The data set is truncated at most 4 MiB beyond `limit`. A file with another transfer syntax is
    returned unchanged, at its start.

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
        group, element = unpack_from("<HH", head)
        if group != 2:
            return at, syntax
        size, length = 8, unpack_from("<H", head, 6)[0]
        if head[4:6].decode("latin-1") in LONG_FORM_VRS:
            size, length = 12, unpack_from("<I", head, 8)[0] if len(head) == 12 else 0
        if element == 0x0010:
            file.seek(at + size)
            syntax = file.read(min(length, 64)).rstrip(b"\0 ")
        at += size + length

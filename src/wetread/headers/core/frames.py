# cython: language_level=3, boundscheck=True, wraparound=False, cdivision=True
# cython: initializedcheck=False
"""Fragments of encapsulated pixels that start a frame (PS3.5 A.4)."""

import cython

HEAD = cython.declare(cython.int, 20)
"""Bytes that are read of each fragment: 8 of the item, 12 of its content."""
MOST = cython.declare(cython.int, 65536)
"""Fragments at which counting ends."""
ITEM_WORD = cython.declare(cython.uint, 0xE000FFFE)


def count_starts(path: bytes, read, offset: cython.longlong, find_start):
    """Fragments behind the offset table at `offset` that start a frame; 0 for unknown encodings.

    `read(at)` gives 20 bytes; None: of the file `path`. `find_start` gives the bytes with which
    every frame starts from those of the first fragment, b"" if they are unknown.
    """
    head: cython.uchar[::1] = bytearray(HEAD)
    name: cython.const[cython.uchar][::1] = path + b"\0"
    file: cython.int = -1
    size: cython.longlong = 0
    mtime: cython.longlong = 0
    if read is None:
        with cython.nogil:
            file = wetread_open(
                -1, cython.address(name[0]), cython.address(size), cython.address(mtime)
            )
        if file < 0:
            return 0
    try:
        return count(file, read, offset, find_start, head)
    finally:
        if file >= 0:
            close(file)


def count(file: cython.int, read, offset: cython.longlong, find_start, head: cython.uchar[::1]):
    """Fragments that start a frame; see `count_starts`."""
    found: cython.int = 0
    i: cython.longlong
    got: cython.longlong
    length: cython.longlong
    at: cython.longlong = offset
    prefix: bytes = b""
    data: bytes
    for _ in range(MOST):
        if file >= 0:
            with cython.nogil:
                got = wetread_read(file, cython.address(head[0]), HEAD, at)
            if got < 0:
                return 0
        else:
            data = read(at)
            got = len(data)
            for i in range(min(got, HEAD)):
                head[i] = data[i]
        for i in range(got, HEAD):
            head[i] = 0
        if got < 4 or wetread_word(cython.address(head[0])) != ITEM_WORD:
            return found
        length = wetread_word(cython.address(head[4]))
        if at > offset and length:
            data = bytes(head[8 : max(got, 8)])
            prefix = prefix or find_start(data)
            if not prefix:
                return 0
            found += data.startswith(prefix)
        at += 8 + length
    return found

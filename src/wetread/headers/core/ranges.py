# cython: language_level=3, boundscheck=True, wraparound=False, cdivision=True
# cython: initializedcheck=False
"""Many ranges of bytes at once, compiled by Cython, without the GIL."""

import cython

if not cython.compiled:
    raise ImportError("wetread.headers.ranges is not compiled: run `pip install .`")


def trim(arena: cython.uchar[::1], start: cython.longlong[::1], length: cython.longlong[::1]):
    """Cut trailing spaces and NULs off every range, in place (PS3.5 6.2)."""
    i: cython.Py_ssize_t
    n: cython.longlong
    with cython.nogil:
        for i in range(start.shape[0]):
            n = length[i]
            while n > 0 and (arena[start[i] + n - 1] == 0x20 or arena[start[i] + n - 1] == 0):
                n -= 1
            length[i] = n


def copy(
    arena: cython.uchar[::1],
    start: cython.longlong[::1],
    length: cython.longlong[::1],
    out: cython.uchar[::1],
):
    """Copy ranges one after the other; whether a byte is not ASCII, or begins an escape."""
    i: cython.Py_ssize_t
    k: cython.longlong
    at: cython.longlong = 0
    first: cython.longlong
    byte: cython.uchar
    strange: cython.int = 0
    with cython.nogil:
        for i in range(start.shape[0]):
            first = start[i]
            for k in range(length[i]):
                byte = arena[first + k]
                out[at] = byte
                strange |= byte >= 0x80 or byte == 0x1B
                at += 1
    return strange != 0

# cython: language_level=3, boundscheck=True, wraparound=False, cdivision=True
# cython: initializedcheck=False
"""Ranges of the arena: trimmed, concatenated, swapped."""

import cython


def measure(arena: cython.uchar[::1], start: cython.longlong[::1], length: cython.longlong[::1]):
    """Cut trailing spaces and NULs off ranges, in place (PS3.5 6.2)."""
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
    data: cython.uchar[::1],
    bounds: cython.int[::1],
):
    """Concatenate ranges, with n + 1 bounds."""
    i: cython.Py_ssize_t
    k: cython.longlong
    at: cython.int = 0
    with cython.nogil:
        bounds[0] = 0
        for i in range(start.shape[0]):
            for k in range(start[i], start[i] + length[i]):
                data[at] = arena[k]
                at += 1
            bounds[i + 1] = at


def swap(
    arena: cython.uchar[::1],
    start: cython.longlong[::1],
    length: cython.longlong[::1],
    size: cython.uchar[::1],
):
    """Reverse the bytes of the numbers in ranges, in place; `size`: of one number, in bytes."""
    i: cython.Py_ssize_t
    k: cython.longlong
    first: cython.longlong
    last: cython.longlong
    byte: cython.uchar
    with cython.nogil:
        for i in range(start.shape[0]):
            for k in range(length[i] // size[i] if size[i] else 0):
                first = start[i] + k * size[i]
                last = first + size[i] - 1
                while first < last:
                    byte = arena[first]
                    arena[first], arena[last] = arena[last], byte
                    first += 1
                    last -= 1

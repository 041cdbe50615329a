# cython: language_level=3, boundscheck=True, wraparound=False, cdivision=True
# cython: initializedcheck=False
"""Numbers of columns, found by tag."""

import cython

PRIVATE = cython.declare(cython.uint, 0x10000)


def number_tags(
    tag: cython.uint[::1],
    depth: cython.uchar[::1],
    bits: cython.uchar[::1],
    slot_tag: cython.uint[::1],
    slot_code: cython.ushort[::1],
    codes: cython.ushort[::1],
    missed: cython.longlong[::1],
):
    """Number the columns of elements; return how many elements have a new tag.

    SKIPPED for elements without a column: nested, private or cut ones, and group lengths.
    """
    i: cython.Py_ssize_t
    slot: cython.uint
    count: cython.Py_ssize_t = 0
    with cython.nogil:
        for i in range(codes.shape[0]):
            if depth[i] or bits[i] & F_CLIPPED or tag[i] & PRIVATE or not tag[i] & 0xFFFF:
                codes[i] = SKIPPED
                continue
            slot = (tag[i] * cython.cast(cython.uint, 2654435769)) >> 16
            if slot_tag[slot] == tag[i]:
                codes[i] = slot_code[slot]
            else:
                missed[count] = i
                count += 1
    return count

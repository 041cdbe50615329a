# cython: language_level=3, boundscheck=True, wraparound=False, cdivision=True
# cython: initializedcheck=False
"""Sort elements by column, and choose the family by which each value is read."""

import cython

PRIVATE = cython.declare(cython.uint, 0x10000)
SILENT = cython.declare(cython.int, 0x4E55)  # UN, or no VR at all: the dictionary's counts


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


def sort_codes(
    codes: cython.ushort[::1], counts: cython.longlong[::1], order: cython.longlong[::1]
):
    """Sort elements by column, in a stable order; return how many have a column.

    `counts` are zeros, one per column and one more; they become the places of the columns.
    """
    i: cython.Py_ssize_t
    columns: cython.Py_ssize_t = counts.shape[0] - 1
    before: cython.longlong = 0
    here: cython.longlong
    with cython.nogil:
        for i in range(codes.shape[0]):
            if codes[i] < columns:
                counts[codes[i]] += 1
        for i in range(columns + 1):
            here = counts[i]
            counts[i] = before
            before += here
        for i in range(codes.shape[0]):
            if codes[i] < columns:
                order[counts[codes[i]]] = i
                counts[codes[i]] += 1
    return before


def has_repeats(codes: cython.ushort[::1], row: cython.int[::1]):
    """True if a row has an element twice; both are sorted by column."""
    i: cython.Py_ssize_t
    with cython.nogil:
        for i in range(1, codes.shape[0]):
            if codes[i] == codes[i - 1] and row[i] == row[i - 1]:
                with cython.gil:
                    return True
    return False


def settle_families(
    codes: cython.ushort[::1],
    vr: cython.ushort[::1],
    start: cython.longlong[::1],
    family_of: cython.uchar[::1],
    vr_of: cython.ushort[::1],
    unknown: cython.uchar[::1],
    stated: cython.uchar[::1],
    last_text: cython.int,
    first_length: cython.int,
    family: cython.uchar[::1],
    odd: cython.uchar[::1],
):
    """Family by which each value is read: that of its column, 255 if the bytes do not allow it.

    `odd` says why: 1 another family than the column's, 2 another VR, 4 an unknown element.
    `family` has the column's family already where the dictionary leaves a choice.
    """
    i: cython.Py_ssize_t
    code: cython.int
    vr_family: cython.int
    silent: cython.int
    agree: cython.int
    with cython.nogil:
        for i in range(codes.shape[0]):
            code = codes[i]
            if family[i] == 255:
                family[i] = family_of[code]
            silent = vr[i] == 0 or vr[i] == SILENT
            vr_family = stated[vr[i]]
            agree = (
                silent
                or family[i] == vr_family
                or (family[i] <= last_text and vr_family <= last_text)
            )
            agree = agree and (start[i] >= 0 or family[i] >= first_length)
            odd[i] = (not agree) | ((not silent and vr[i] != vr_of[code]) << 1) | unknown[code] << 2
            if odd[i] & 5:
                family[i] = 255

# cython: language_level=3, boundscheck=False, wraparound=False, cdivision=True
# cython: initializedcheck=False
"""Tables with one entry per bit pattern of 8 or 16 bits, compiled by Cython, without the GIL."""

import cython

if not cython.compiled:
    raise ImportError("wetread.common.tables is not compiled: run `pip install .`")

pattern = cython.fused_type(cython.uchar, cython.ushort)
entry = cython.fused_type(cython.uchar, cython.ushort, cython.uint, cython.ulonglong)


@cython.cfunc
def require(patterns: cython.const[pattern][::1], entries: cython.Py_ssize_t) -> cython.void:
    """Raise ValueError unless there is an entry per pattern; then no index is out of bounds."""
    least: cython.Py_ssize_t = 65536
    if pattern is cython.uchar:
        least = 256
    if entries < least:
        raise ValueError(f"{entries} entries for {least} patterns")


def count(patterns: cython.const[pattern][::1], table: cython.uint[::1]):
    """Add the number of times that each pattern occurs to its entry."""
    i: cython.Py_ssize_t
    a: pattern
    b: pattern
    c: pattern
    d: pattern
    require(patterns, table.shape[0])
    with cython.nogil:
        for i in range(0, patterns.shape[0] - 3, 4):
            a, b, c, d = patterns[i], patterns[i + 1], patterns[i + 2], patterns[i + 3]
            table[a] += 1
            table[b] += 1
            table[c] += 1
            table[d] += 1
        for i in range(patterns.shape[0] & ~3, patterns.shape[0]):
            table[patterns[i]] += 1


def look_up(table: entry[::1], patterns: cython.const[pattern][::1], out: entry[::1]):
    """Write the entry of each pattern to `out`."""
    i: cython.Py_ssize_t
    require(patterns, table.shape[0])
    with cython.nogil:
        for i in range(min(patterns.shape[0], out.shape[0])):
            out[i] = table[patterns[i]]

# cython: language_level=3, boundscheck=False, wraparound=False, cdivision=True
# cython: initializedcheck=False
"""Hashes of a header (XXH64) and of a path (BLAKE2b, RFC 7693).

Bounds are checked once per message: with a check per byte they take three times as long.
"""

import cython

X1 = cython.declare(cython.ulonglong, 0x9E3779B185EBCA87)
X2 = cython.declare(cython.ulonglong, 0xC2B2AE3D27D4EB4F)
X3 = cython.declare(cython.ulonglong, 0x165667B19E3779F9)
X4 = cython.declare(cython.ulonglong, 0x85EBCA77C2B2AE63)
X5 = cython.declare(cython.ulonglong, 0x27D4EB2F165667C5)


def turn(value, bits):
    """Bits rotated to the left."""
    return (value << bits) | (value >> (64 - bits))


def take(lane, word):
    """Lane of XXH64 after a word of 8 bytes."""
    return turn(lane + word * X2, 31) * X1


def hash_bytes(data, start, count):
    """The upper half of XXH64 of some bytes, with the seed 0."""
    at: cython.longlong = start
    end: cython.longlong = start + count
    a: cython.ulonglong = X1 + X2
    b: cython.ulonglong = X2
    c: cython.ulonglong = 0
    d: cython.ulonglong = 0 - X1
    h: cython.ulonglong = X5
    if start < 0 or count < 0 or end > data.shape[0]:
        with cython.gil:
            raise IndexError("bytes outside the memory")
    if count >= 32:
        while at + 32 <= end:
            a = take(a, wetread_long(cython.address(data[at])))
            b = take(b, wetread_long(cython.address(data[at + 8])))
            c = take(c, wetread_long(cython.address(data[at + 16])))
            d = take(d, wetread_long(cython.address(data[at + 24])))
            at += 32
        h = turn(a, 1) + turn(b, 7) + turn(c, 12) + turn(d, 18)
        h = (h ^ take(0, a)) * X1 + X4
        h = (h ^ take(0, b)) * X1 + X4
        h = (h ^ take(0, c)) * X1 + X4
        h = (h ^ take(0, d)) * X1 + X4
    h += count
    while at + 8 <= end:
        h = turn(h ^ take(0, wetread_long(cython.address(data[at]))), 27) * X1 + X4
        at += 8
    if at + 4 <= end:
        h = turn(h ^ wetread_word(cython.address(data[at])) * X1, 23) * X2 + X3
        at += 4
    while at < end:
        h = turn(h ^ data[at] * X5, 11) * X1
        at += 1
    h = (h ^ (h >> 33)) * X2
    h = (h ^ (h >> 29)) * X3
    return cython.cast(cython.uint, h >> 32)


class Blake2b:
    """BLAKE2b with a digest of 8 bytes."""

    def start(self):
        """Begin a message."""
        i: cython.int
        for i in range(8):
            self.h[i] = WETREAD_START[i]
        self.h[0] ^= 0x01010000 ^ 8  # without a key, 8 bytes
        self.filled, self.count = 0, 0
        return 0

    def add(self, data, first, last):
        """Add bytes to the message."""
        size: cython.longlong
        if first < 0 or first > last or last > data.shape[0]:
            with cython.gil:
                raise IndexError("bytes outside the memory")
        while first < last:
            if self.filled == 128:
                wetread_compress(self.h, self.block, self.count, 0)
                self.filled = 0
            size = min(last - first, 128 - self.filled)
            wetread_move(cython.address(self.block[self.filled]), cython.address(data[first]), size)
            self.filled += size
            self.count += size
            first += size
        return 0

    def end(self):
        """End the message; its hash is in `h`."""
        i: cython.int
        for i in range(self.filled, 128):
            self.block[i] = 0
        wetread_compress(self.h, self.block, self.count, 1)
        return 0


def write_ids(
    paths: cython.const[cython.uchar][::1],
    path_bounds: cython.const[cython.int][::1],
    members: cython.const[cython.uchar][::1],
    member_bounds: cython.const[cython.int][::1],
    out: cython.uchar[:, ::1],
):
    """BLAKE2b(path, NUL, member) of each source, as 16 hex digits; uint8[n, 16]."""
    i: cython.Py_ssize_t
    k: cython.int
    byte: cython.int
    zero: cython.const[cython.uchar][::1] = b"\0"
    blake: Blake2b = Blake2b()
    with cython.nogil:
        for i in range(out.shape[0]):
            blake.start()
            blake.add(paths, path_bounds[i], path_bounds[i + 1])
            blake.add(zero, 0, 1)
            blake.add(members, member_bounds[i], member_bounds[i + 1])
            blake.end()
            for k in range(16):
                byte = (blake.h[0] >> (8 * (k // 2) + (0 if k & 1 else 4))) & 15
                out[i, k] = 48 + byte if byte < 10 else 87 + byte

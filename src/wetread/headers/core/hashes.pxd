from wetread.headers.core.files cimport wetread_long, wetread_move, wetread_word


cdef extern from *:
    """
    #define WETREAD_TURN(x, n) ((x) >> (n) | (x) << (64 - (n)))
    #define WETREAD_MIX(a, b, c, d, x, y) \
        a += b + x; d = WETREAD_TURN(d ^ a, 32); c += d; b = WETREAD_TURN(b ^ c, 24); \
        a += b + y; d = WETREAD_TURN(d ^ a, 16); c += d; b = WETREAD_TURN(b ^ c, 63);
    #define WETREAD_ROUND(a, b, c, d, e, f, g, h, i, j, k, l, n, o, p, q) \
        WETREAD_MIX(v[0], v[4], v[8], v[12], m[a], m[b]) \
        WETREAD_MIX(v[1], v[5], v[9], v[13], m[c], m[d]) \
        WETREAD_MIX(v[2], v[6], v[10], v[14], m[e], m[f]) \
        WETREAD_MIX(v[3], v[7], v[11], v[15], m[g], m[h]) \
        WETREAD_MIX(v[0], v[5], v[10], v[15], m[i], m[j]) \
        WETREAD_MIX(v[1], v[6], v[11], v[12], m[k], m[l]) \
        WETREAD_MIX(v[2], v[7], v[8], v[13], m[n], m[o]) \
        WETREAD_MIX(v[3], v[4], v[9], v[14], m[p], m[q])

    /* Start of a hash (RFC 7693, 2.6). */
    static const unsigned long long WETREAD_START[8] = {
        0x6A09E667F3BCC908, 0xBB67AE8584CAA73B, 0x3C6EF372FE94F82B, 0xA54FF53A5F1D36F1,
        0x510E527FADE682D1, 0x9B05688C2B3E6C1F, 0x1F83D9ABFB41BD6B, 0x5BE0CD19137E2179,
    };

    /* Compress a block of 128 bytes, after `count` bytes with it (RFC 7693, 2.7 and 3.2). */
    static inline void wetread_compress(
        unsigned long long h[8], const unsigned char block[128], unsigned long long count, int last
    ) {
        unsigned long long v[16], m[16];
        int i;
        for (i = 0; i < 16; i++) m[i] = wetread_long(block + 8 * i);
        for (i = 0; i < 8; i++) { v[i] = h[i]; v[i + 8] = WETREAD_START[i]; }
        v[12] ^= count;
        if (last) v[14] = ~v[14];
        WETREAD_ROUND(0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15)
        WETREAD_ROUND(14, 10, 4, 8, 9, 15, 13, 6, 1, 12, 0, 2, 11, 7, 5, 3)
        WETREAD_ROUND(11, 8, 12, 0, 5, 2, 15, 13, 10, 14, 3, 6, 7, 1, 9, 4)
        WETREAD_ROUND(7, 9, 3, 1, 13, 12, 11, 14, 2, 6, 5, 10, 4, 0, 15, 8)
        WETREAD_ROUND(9, 0, 5, 7, 2, 4, 10, 15, 14, 1, 11, 12, 6, 8, 3, 13)
        WETREAD_ROUND(2, 12, 6, 10, 0, 11, 8, 3, 4, 13, 7, 5, 15, 14, 1, 9)
        WETREAD_ROUND(12, 5, 1, 15, 14, 13, 4, 10, 0, 7, 6, 3, 9, 2, 8, 11)
        WETREAD_ROUND(13, 11, 7, 14, 12, 1, 3, 9, 5, 0, 15, 4, 8, 6, 2, 10)
        WETREAD_ROUND(6, 15, 14, 9, 11, 3, 0, 8, 12, 2, 13, 7, 1, 4, 10, 5)
        WETREAD_ROUND(10, 2, 8, 4, 7, 6, 1, 5, 15, 11, 9, 14, 3, 12, 13, 0)
        WETREAD_ROUND(0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15)
        WETREAD_ROUND(14, 10, 4, 8, 9, 15, 13, 6, 1, 12, 0, 2, 11, 7, 5, 3)
        for (i = 0; i < 8; i++) h[i] ^= v[i] ^ v[i + 8];
    }
    """
    const unsigned long long *WETREAD_START
    void wetread_compress(unsigned long long *h, const unsigned char *block, unsigned long long count, int last) noexcept nogil

cdef unsigned long long turn(unsigned long long value, int bits) noexcept nogil
cdef unsigned long long take(unsigned long long lane, unsigned long long word) noexcept nogil
cdef unsigned int hash_bytes(unsigned char[::1] data, long long start, long long count) except? 0 nogil

cimport cython


@cython.final
cdef class Blake2b:
    cdef unsigned long long h[8]
    cdef unsigned char block[128]
    cdef int filled
    cdef unsigned long long count

    cdef int start(self) noexcept nogil
    cdef int add(self, const unsigned char[::1] data, long long first, long long last) except? -1 nogil
    cdef int end(self) noexcept nogil

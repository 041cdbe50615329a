from wetread.headers.core.files cimport wetread_long, wetread_word


cdef unsigned long long turn(unsigned long long value, int bits) noexcept nogil
cdef unsigned long long take(unsigned long long lane, unsigned long long word) noexcept nogil
cdef unsigned int hash_bytes(unsigned char[::1] data, long long start, long long count) except? 0 nogil

cimport cython


@cython.final
cdef class Blake2b:
    cdef unsigned long long h[8]
    cdef unsigned long long m[16]
    cdef unsigned long long v[16]
    cdef unsigned long long[::1] iv
    cdef unsigned char[:, ::1] order
    cdef unsigned char[::1] block
    cdef int filled
    cdef unsigned long long count

    cdef int start(self) except? -1 nogil
    cdef int add(self, const unsigned char[::1] data, long long first, long long last) except? -1 nogil
    cdef int compress(self, int last) except? -1 nogil
    cdef void mix(self, int a, int b, int c, int d, unsigned long long x, unsigned long long y) noexcept nogil

cimport cython

from wetread.headers.core.files cimport WETREAD_SOURCE, close, wetread_move, wetread_open, wetread_time
from wetread.headers.core.hashes cimport hash_bytes
from wetread.headers.core.constants cimport *
from wetread.headers.core.data cimport DataSet


@cython.final
cdef class Walk(DataSet):
    cdef const unsigned char[::1] names
    cdef long long[::1] name_at
    cdef int last_row
    cdef long long block_bytes
    cdef double slow_open
    cdef double waited
    cdef unsigned char[::1] pixel_head

    cdef int go(self) except? -1 nogil
    cdef int open(self) except? -1 nogil
    cdef int is_slow(self) except? -1 nogil
    cdef int close_row(self) except? -1 nogil
    cdef int note_fragment(self, long long offset) except? -1 nogil
    cdef int keep_values(self, long long offset) except? -1 nogil
    cdef int in_order(self) except? -1 nogil
    cdef int move(self, long long start, long long to, long long count) except? -1 nogil
    cdef int walk(self) except? -1 nogil

from wetread.headers.core.files cimport close, wetread_word, wetread_read
from wetread.headers.core.constants cimport *


cdef class Source:
    # bytes in memory
    cdef unsigned char[::1] arena
    cdef long long used
    cdef long long row_base
    cdef long long row_head
    cdef long long[::1] window_first
    cdef long long[::1] window_last
    cdef long long[::1] window_base
    cdef int windows
    cdef int current
    cdef long long need_from
    cdef long long need_to
    cdef int exact
    # limits
    cdef long long most_bytes
    cdef long long window
    cdef long long more
    # the file at hand
    cdef long long[:, ::1] rows
    cdef int row
    cdef int external
    cdef int file
    cdef int deflated
    cdef int phase
    cdef long long size
    cdef long long fetched

    cdef long long at(self, long long first, long long count) except? -1 nogil
    cdef int supply(self) except? -1 nogil
    cdef int note_window(self, long long got) except? -1 nogil
    cdef long long word(self, long long place, int big) except? -1 nogil
    cdef int half(self, long long place, int big) except? -1 nogil
    cdef int starts_with(self, long long place, int a, int b) except? -1 nogil
    cdef long long trimmed(self, long long place, long long length) except? -1 nogil

from wetread.headers.core.constants cimport *
from wetread.headers.core.record cimport Record


cdef class Meta(Record):
    cdef unsigned char[:, ::1] uids
    cdef unsigned char[::1] uid_bits
    cdef int implicit
    cdef int big
    cdef long long start
    cdef long long stated
    cdef long long stated_at

    cdef int find_meta(self) except? -1 nogil
    cdef int is_dicm(self, long long place) except? -1 nogil
    cdef int begin_meta(self, long long start) except? -1 nogil
    cdef int check_program(self, long long place) except? -1 nogil
    cdef int is_meta(self, long long place) except? -1 nogil
    cdef int step_meta(self) except? -1 nogil
    cdef int end_meta(self) except? -1 nogil
    cdef int stated_bits(self) except? -1 nogil
    cdef int settle(self) except? -1 nogil
    cdef int settle_undeflated(self) except? -1 nogil
    cdef int begin_top(self, int encoding) except? -1 nogil
    cdef int see_encoding(self, int said) except? -1 nogil
    cdef int probe(self, long long start) except? -1 nogil
    cdef int fits(self, long long start, int implicit, int big) except? -1 nogil
    cdef int plausible(self, int implicit) except? -1 nogil

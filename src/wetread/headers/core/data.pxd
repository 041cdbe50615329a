from wetread.headers.core.constants cimport *
from wetread.headers.core.sequences cimport Sequences


cdef class DataSet(Sequences):
    cdef int behind

    cdef int step_top(self) except? -1 nogil
    cdef int end_top(self, long long have) except? -1 nogil
    cdef int check_head(self, long long place, long long have) except? -1 nogil
    cdef int mend(self, long long place, long long have) except? -1 nogil
    cdef int is_wanted(self) except? -1 nogil
    cdef int is_full(self, long long kept) except? -1 nogil
    cdef int take_value(self, long long value) except? -1 nogil
    cdef long long values_in(self, long long place) except? -1 nogil
    cdef int limit_of(self, long long place) except? -1 nogil
    cdef int take_pixels(self, long long value) except? -1 nogil
    cdef int step_fragment(self) except? -1 nogil

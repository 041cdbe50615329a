cimport cython

from wetread.headers.core.constants cimport *
from wetread.headers.core.files cimport wetread_double, wetread_float, wetread_long, wetread_move, wetread_word
from wetread.headers.core.numbers cimport Numbers


@cython.final
cdef class ColumnBuilder(Numbers):
    # elements
    cdef int[::1] e_row
    cdef unsigned int[::1] e_tag
    cdef unsigned short[::1] e_vr
    cdef long long[::1] e_start
    cdef long long[::1] e_length
    # what is found about each
    cdef unsigned short[::1] code
    cdef unsigned char[::1] family
    cdef unsigned char[::1] odd
    cdef int[::1] copies
    cdef long long[::1] start
    cdef long long[::1] size
    # columns
    cdef unsigned char[::1] family_of
    cdef unsigned short[:, ::1] vrs
    cdef unsigned short[::1] usual_vr
    cdef unsigned char[::1] is_list
    cdef unsigned char[::1] is_dual
    cdef unsigned char[::1] is_unknown
    cdef unsigned char[::1] trim
    cdef unsigned char[::1] stated
    cdef unsigned char[::1] unit
    cdef long long[:, ::1] counts
    cdef long long parts  # of the text at hand, between backslashes
    cdef long long[:, ::1] places
    # Arrow buffers, as bytes and as numbers
    cdef unsigned char[::1] out
    cdef int[::1] out_int
    cdef long long[::1] out_long
    cdef double[::1] out_double

    cdef inline int settle_element(self, long long i, int signed_row) except? -1 nogil
    cdef inline int measure_element(self, long long i) except? -1 nogil
    cdef inline Py_ssize_t trimmed(self, long long first, long long end) except? -1 nogil
    cdef inline int scan_text(self, long long first, long long end) except? -1 nogil
    cdef inline int count_element(self, long long i) except? -1 nogil
    cdef inline int write_element(self, long long i) except? -1 nogil
    cdef int write_list(self, long long i, long long *at) except? -1 nogil
    cdef int write_part(self, long long i, long long *at, long long first, long long end) except? -1 nogil
    cdef inline int move_bounds(self, long long *at, long long row, int listed) except? -1 nogil
    cdef inline int end_part(self, long long *at) except? -1 nogil
    cdef inline int write_text(self, long long *at, long long first, long long end) except? -1 nogil
    cdef int write_tag(self, long long *at, long long first) except? -1 nogil
    cdef inline int write_number(self, long long *at, int family, long long first, long long place) except? -1 nogil
    cdef int parse(self, long long i, long long *at, long long first, long long end, long long place, int listed) except? -1 nogil
    cdef inline int fill(self, long long *at, long long place, int listed) except? -1 nogil

from wetread.headers.core.constants cimport *


cdef class Numbers:
    cdef const unsigned char[::1] arena
    cdef double[::1] powers
    cdef unsigned char[:, ::1] month_days
    cdef double[::1] years
    # the last number that was parsed
    cdef double real
    cdef long long whole
    cdef int minus

    cdef int parse_decimal(self, long long first, long long end) except? -1 nogil
    cdef long long skip_sign(self, long long first, long long end) except? -1 nogil
    cdef long long skip_digits(self, long long first, long long end) except? -1 nogil
    cdef int parse_power(self, long long first, long long end) except? -1 nogil
    cdef int parse_integer(self, long long first, long long end) except? -1 nogil
    cdef int parse_date(self, long long first, long long end) except? -1 nogil
    cdef int parse_day(self, int number) except? -1 nogil
    cdef int parse_time(self, long long first, long long end) except? -1 nogil
    cdef int parse_moment(self, long long first, long long end) except? -1 nogil
    cdef int parse_age(self, long long first, long long end) except? -1 nogil

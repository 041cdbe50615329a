cimport cython

from wetread.headers.core.files cimport WETREAD_SOURCE, close, wetread_open
from wetread.headers.core.constants cimport *
from wetread.headers.core.data cimport DataSet


@cython.final
cdef class Walk(DataSet):
    cdef unsigned char[::1] names
    cdef long long[::1] name_at
    cdef int last_row
    cdef long long block_bytes

    cdef int go(self) except? -1 nogil
    cdef int open(self) except? -1 nogil
    cdef int walk(self) except? -1 nogil

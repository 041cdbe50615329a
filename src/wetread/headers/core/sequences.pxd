from wetread.headers.core.constants cimport *
from wetread.headers.core.meta cimport Meta


cdef class Sequences(Meta):
    cdef unsigned int last
    # sequences and items that are open, the innermost at `depth`
    cdef long long[::1] f_end
    cdef unsigned char[::1] f_implicit
    cdef long long[::1] f_entry
    # the outermost one
    cdef int deep  # its elements are kept
    cdef long long outer_elements
    cdef long long outer_taken

    cdef int end_early(self) except? -1 nogil
    cdef int note_order(self) except? -1 nogil
    cdef int is_sequence(self) except? -1 nogil
    cdef int is_kept(self) except? -1 nogil
    cdef int enter(self, long long value, long long end, int implicit) except? -1 nogil
    cdef int open_outer(self, long long value) except? -1 nogil
    cdef int opaque(self) except? -1 nogil
    cdef int looks_implicit(self, long long value) except? -1 nogil
    cdef int search_delimiter(self) except? -1 nogil
    cdef int frame(self) except? -1 nogil
    cdef long long end_of_frame(self) except? -1 nogil
    cdef int push(self, long long end, int implicit) except? -1 nogil
    cdef int pop(self) except? -1 nogil
    cdef long long bound(self) except? -1 nogil
    cdef int step_nested(self) except? -1 nogil
    cdef int run_out(self, long long bound) except? -1 nogil
    cdef int give_up(self, long long bound) except? -1 nogil
    cdef int overruns(self, long long end, long long bound) except? -1 nogil
    cdef int pass_delimiter(self, long long bound) except? -1 nogil
    cdef int add_item(self, long long place, long long offset, long long length, int bits) except? -1 nogil
    cdef int keeps_items(self) except? -1 nogil
    cdef int take_nested(self, long long bound) except? -1 nogil

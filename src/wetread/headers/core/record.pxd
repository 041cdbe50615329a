from wetread.headers.core.constants cimport *
from wetread.headers.core.source cimport Source


cdef class Record(Source):
    # the standard
    cdef unsigned char[::1] form
    cdef unsigned char[::1] unit
    cdef unsigned int[::1] slot_tag
    cdef unsigned short[::1] slot_vr
    cdef unsigned char[::1] slot_bits
    cdef unsigned char[::1] kind_code
    # limits
    cdef long long most_elements
    cdef long long most_values
    cdef long long most_length
    cdef long long most_row
    cdef int most_problems
    cdef int whole
    # elements
    cdef int[::1] e_row
    cdef unsigned int[::1] e_tag
    cdef unsigned short[::1] e_vr
    cdef unsigned char[::1] e_depth
    cdef unsigned char[::1] e_bits
    cdef long long[::1] e_start
    cdef long long[::1] e_length
    cdef long long[::1] e_offset
    cdef long long count
    # problems
    cdef int[::1] p_row
    cdef unsigned char[::1] p_kind
    cdef long long[::1] p_tag
    cdef long long[::1] p_offset
    cdef long long[::1] p_a
    cdef long long[::1] p_b
    cdef long long p_count
    # the file at hand
    cdef long long taken
    cdef long long valued
    cdef long long elements
    cdef long long nested  # elements in sequences that are kept
    cdef long long first_element
    cdef long long first_problem
    cdef long long pos
    # the element at hand
    cdef unsigned int tag
    cdef int vr
    cdef long long head
    cdef long long length
    cdef int plain
    # the outermost open sequence
    cdef int depth
    cdef unsigned int outer_tag
    cdef long long outer_start
    cdef long long outer_entry

    cdef int find(self, int kind, long long tag, long long offset, long long a, long long b) except? -1 nogil
    cdef int add(self, long long base, long long offset, long long length, int bits) except? -1 nogil
    cdef int no_room(self) except? -1 nogil
    cdef int over_limit(self, long long count) except? -1 nogil
    cdef int end_early(self) except? -1 nogil
    cdef int close_outer(self, long long end, int complete) except? -1 nogil
    cdef int parse(self, long long place, long long have, int implicit, int big) except? -1 nogil
    cdef int has_vr(self, long long place) except? -1 nogil
    cdef int slot(self, unsigned int tag) except? -1 nogil
    cdef int slot_of(self, unsigned int tag) except? -1 nogil
    cdef int vr_of(self, unsigned int tag) except? -1 nogil
    cdef int is_vendor(self) except? -1 nogil
    cdef int bits_of(self, unsigned int tag) except? -1 nogil

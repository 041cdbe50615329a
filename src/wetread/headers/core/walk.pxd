cimport cython

from wetread.headers.core.constants cimport *
from wetread.headers.core.files cimport (
    WETREAD_SOURCE,
    close,
    wetread_move,
    wetread_open,
    wetread_read,
    wetread_time,
    wetread_word_in,
)
from wetread.headers.core.hashes cimport hash_bytes


@cython.final
cdef class Walk:
    # bytes in memory
    cdef unsigned char[::1] arena
    cdef unsigned char *bytes  # of the arena
    cdef long long room
    cdef long long used
    cdef long long row_base
    cdef long long row_head
    cdef long long head_size
    cdef long long[::1] window_first
    cdef long long[::1] window_last
    cdef long long[::1] window_base
    cdef int windows
    # the current window
    cdef long long view_first
    cdef long long view_last
    cdef long long view_base  # place of the file's first byte
    # bytes that are needed
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
    cdef long long counted  # position of the step that was counted last
    cdef long long tail  # end of the last value in the arena
    cdef int ascending  # values in the arena
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
    cdef unsigned char[:, ::1] uids
    cdef unsigned char[::1] uid_bits
    cdef int implicit
    cdef int big
    cdef long long start
    cdef long long stated
    cdef long long stated_at
    cdef unsigned int last
    # sequences and items that are open, the innermost at `depth`
    cdef long long[::1] f_end
    cdef unsigned char[::1] f_implicit
    cdef long long[::1] f_entry
    # the outermost one
    cdef int deep  # its elements are kept
    cdef long long outer_elements
    cdef long long outer_taken
    cdef int behind
    cdef const unsigned char[::1] names
    cdef long long[::1] name_at
    cdef int folder  # from which the names count
    cdef int last_row
    cdef long long block_bytes
    cdef double slow_open
    cdef double waited
    # encapsulated pixels
    cdef unsigned char[:, ::1] starts
    cdef unsigned char[::1] start_sizes
    cdef unsigned char[::1] frame_start
    cdef int frame_size
    cdef int fragments
    cdef int closed  # the file ends with their delimiter

    # source.py
    cdef inline Py_ssize_t at(self, long long first, long long count) except? -1 nogil
    cdef Py_ssize_t look_up(self, long long first, long long last) except? -1 nogil
    cdef int view(self, int i) except? -1 nogil
    cdef int drop_window(self) noexcept nogil
    cdef int forget(self) noexcept nogil
    cdef int supply(self) except? -1 nogil
    cdef int read_head(self) except? -1 nogil
    cdef int note_error(self, long long number) except? -1 nogil
    cdef int note_window(self, long long got) except? -1 nogil
    cdef inline long long word(self, long long place, int big) noexcept nogil
    cdef inline int half(self, long long place, int big) noexcept nogil
    cdef inline int starts_with(self, long long place, int a, int b) noexcept nogil
    cdef Py_ssize_t trimmed(self, long long place, long long length) except? -1 nogil

    # record.py
    cdef int find(self, int kind, long long tag, long long offset, long long a, long long b) except? -1 nogil
    cdef inline int add(self, long long base, long long offset, long long length, int bits) except? -1 nogil
    cdef inline int no_room(self) noexcept nogil
    cdef inline int over_limit(self, long long count) except? -1 nogil
    cdef int stop_at_limit(self) except? -1 nogil
    cdef int stop(self) except? -1 nogil
    cdef int end_early(self) except? -1 nogil
    cdef int close_outer(self, long long end, int complete) except? -1 nogil
    cdef inline int parse(self, long long place, long long have, int implicit, int big) except? -1 nogil
    cdef int has_vr(self, long long place) except? -1 nogil
    cdef int slot(self, unsigned int tag) except? -1 nogil
    cdef inline int slot_of(self, unsigned int tag) except? -1 nogil
    cdef int vr_of(self, unsigned int tag) except? -1 nogil
    cdef int is_vendor(self) except? -1 nogil
    cdef int bits_of(self, unsigned int tag) except? -1 nogil

    # meta.py
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

    # sequences.py
    cdef inline int note_order(self) except? -1 nogil
    cdef inline int is_sequence(self) except? -1 nogil
    cdef inline int is_kept(self) noexcept nogil
    cdef int enter(self, long long value, long long end, int implicit) except? -1 nogil
    cdef int open_outer(self, long long value) except? -1 nogil
    cdef int opaque(self) except? -1 nogil
    cdef int looks_implicit(self, long long value) except? -1 nogil
    cdef int search_delimiter(self) except? -1 nogil
    cdef inline int frame(self) noexcept nogil
    cdef inline Py_ssize_t end_of_frame(self) except? -1 nogil
    cdef inline int push(self, long long end, int implicit) except? -1 nogil
    cdef int pop(self) except? -1 nogil
    cdef inline Py_ssize_t bound(self) except? -1 nogil
    cdef inline int step_nested(self) except? -1 nogil
    cdef int run_out(self, long long bound) except? -1 nogil
    cdef int give_up(self, long long bound) except? -1 nogil
    cdef int overruns(self, long long end, long long bound) except? -1 nogil
    cdef int pass_delimiter(self, long long bound) except? -1 nogil
    cdef int add_item(self, long long place, long long offset, long long length, int bits) except? -1 nogil
    cdef int keeps_items(self) except? -1 nogil
    cdef inline int take_nested(self, long long bound) except? -1 nogil

    # data.py
    cdef inline int step_top(self) except? -1 nogil
    cdef int end_top(self, long long have) except? -1 nogil
    cdef inline int check_head(self, long long place, long long have) except? -1 nogil
    cdef int mend(self, long long place, long long have) except? -1 nogil
    cdef inline int is_wanted(self) except? -1 nogil
    cdef inline int is_full(self, long long kept) except? -1 nogil
    cdef inline int take_value(self, long long value) except? -1 nogil
    cdef Py_ssize_t values_in(self, long long place) except? -1 nogil
    cdef inline int limit_of(self, long long place) except? -1 nogil
    cdef int take_pixels(self, long long value) except? -1 nogil
    cdef int see_pixels(self, long long value) except? -1 nogil
    cdef int start_size(self, long long place, long long have) except? -1 nogil
    cdef int has_few_frames(self) except? -1 nogil
    cdef int step_fragment(self) except? -1 nogil
    cdef int end_fragments(self, int kind, long long have, long long need) except? -1 nogil
    cdef int count_frame(self, long long place, long long have) except? -1 nogil

    # walk.py
    cdef int go(self) except? -1 nogil
    cdef int open(self) except? -1 nogil
    cdef int is_slow(self) except? -1 nogil
    cdef int close_row(self) except? -1 nogil
    cdef int keep_values(self) except? -1 nogil
    cdef inline Py_ssize_t compact(self, long long to) except? -1 nogil
    cdef inline int move(self, long long start, long long to, long long count) except? -1 nogil
    cdef inline int walk(self) except? -1 nogil

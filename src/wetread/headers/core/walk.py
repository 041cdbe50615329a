# cython: language_level=3, boundscheck=True, wraparound=False, cdivision=True
# cython: initializedcheck=False
# joins: source record meta sequences data
"""The walk over the elements of files (PS3.5 chapter 7)."""

import cython

from wetread.headers.problems import NUMBER


def source():
    """Hash of the sources that were compiled."""
    return WETREAD_SOURCE.decode()


class Walk(DataSet):
    """Walk over the headers of many files, driven by `walks.py`."""

    def __init__(self, standard, limits, whole):
        self.form, self.unit = standard.form, standard.unit
        self.slot_tag, self.slot_vr = standard.slot_tag, standard.slot_vr
        self.slot_bits = standard.slot_bits
        self.uids, self.uid_bits = standard.uids, standard.uid_bits
        self.kind_code = standard.kind_code
        self.window_first, self.window_last = standard.longs(WINDOWS), standard.longs(WINDOWS)
        self.window_base = standard.longs(WINDOWS)
        self.f_end, self.f_entry = standard.longs(DEEPEST + 2), standard.longs(DEEPEST + 2)
        self.f_implicit = standard.bytes(DEEPEST + 2)
        self.most_bytes, self.most_elements = limits.header_bytes, limits.header_elements
        self.most_values, self.most_length = limits.value_items, limits.value_bytes
        self.most_row, self.most_problems = limits.row_bytes, limits.row_problems
        self.window, self.more = limits.windows
        self.block_bytes = limits.block_bytes
        self.slow_open = limits.slow_open_seconds
        self.starts, self.start_sizes = standard.starts, standard.start_sizes
        self.frame_start = standard.bytes(PIXEL_HEAD)
        self.whole = whole

    def begin(self, rows, names, name_at, folder, arena, used, external):
        """Set the rows to read, of the files `names` or supplied by the caller."""
        self.rows, self.names, self.name_at, self.folder = rows, names, name_at, folder
        self.used, self.external = used, external
        self.set_arena(arena)
        self.row, self.last_row, self.waited = 0, rows.shape[1], 0
        self.count = self.p_count = 0
        self.phase = P_OPEN

    def set_arena(self, arena):
        """Replace the arena by a larger one with the same bytes."""
        self.arena = arena
        self.bytes, self.room = cython.address(self.arena[0]), self.arena.shape[0]

    def set_table(self, e):
        """Replace the table of elements by a larger one."""
        self.e_row, self.e_tag, self.e_vr, self.e_depth = e.row, e.tag, e.vr, e.depth
        self.e_bits, self.e_start, self.e_length = e.bits, e.start, e.length
        self.e_offset = e.offset

    def set_problems(self, p):
        """Replace the table of problems by a larger one."""
        self.p_row, self.p_kind, self.p_tag = p.row, p.kind, p.tag
        self.p_offset, self.p_a, self.p_b = p.offset, p.a, p.b

    def run(self):
        """Continue; DONE for the rows before that of `state`, else what this row needs."""
        status: cython.int
        with cython.nogil:
            status = self.go()
        return status

    @property
    def state(self):
        """Row, bytes needed from and to, bytes used in the arena, elements and problems found."""
        return (
            self.row,
            self.need_from,
            self.need_to,
            self.used,
            self.count,
            self.p_count,
            self.size,
        )

    @property
    def slow(self):
        """True if the walk ended early because opening files is slow."""
        return self.row < self.last_row and self.is_slow() == 1

    @property
    def position(self):
        """Position in the file."""
        return self.pos

    def feed(self, data: bytes):
        """Supply bytes from `need_from` on; fewer at the end of the source."""
        i: cython.longlong
        n: cython.longlong = len(data)
        view: cython.const[cython.uchar][::1] = data
        for i in range(n):
            self.arena[self.used + i] = view[i]
        self.note_window(n)

    def fail(self):
        """End the row of a source that cannot be read any more."""
        self.phase = P_END

    def inflated(self, size):
        """Continue in the inflated data set of `size` bytes, which the caller supplies."""
        if self.file >= 0:
            self.read_head()
            close(self.file)
            self.file = -1
        self.external = 1 if self.external == 1 else 2
        self.size, self.fetched = size, 0
        self.forget()
        self.pos = self.start = 0
        self.rows[R_ENCODING, self.row] = DEFLATED
        self.phase = P_TOP

    def not_deflated(self):
        """Take a data set that is not deflated as stated, by its bytes."""
        self.deflated = 2
        self.phase = P_SETTLE

    def report(self, name, tag, offset, a, b):
        """Note a problem that was found outside."""
        self.find(NUMBER[name], tag, offset, a, b)

    def go(self):
        status: cython.int
        while self.row < self.last_row:
            status = OK
            if self.phase == P_OPEN:
                if self.row > 0 and self.used + ENTRY * self.count > self.block_bytes:
                    return DONE
                if self.is_slow():
                    return DONE
                status = self.open()
            if status == OK:
                status = self.walk()
            if status == NEED:
                status = self.supply()
            if status != OK:
                return status
            if self.phase == P_END:
                self.close_row()
        return DONE

    def open(self):
        """Start a row; its first window is needed."""
        size: cython.longlong = 0
        mtime: cython.longlong = 0
        if self.p_count + self.most_problems + 2 > self.p_row.shape[0]:
            return ROOM
        self.first_element, self.first_problem = self.count, self.p_count
        self.row_base, self.row_head = self.used, 0
        self.forget()
        self.counted = -1
        self.taken = self.fetched = self.elements = self.valued = self.nested = 0
        self.depth = self.behind = self.exact = 0
        self.ascending, self.tail = 1, self.used
        self.implicit = self.big = self.deflated = 0
        self.last = 0
        self.rows[R_SYNTAX, self.row] = -1
        self.rows[R_PIXEL_OFFSET, self.row] = self.rows[R_PIXEL_LENGTH, self.row] = -1
        self.phase = P_FIND
        if self.rows[R_ERROR, self.row] != 0:
            self.phase = P_END
            return OK
        if not self.external:
            if self.row < TIMED:
                self.waited -= wetread_time()
            self.file = wetread_open(
                self.folder,
                cython.address(self.names[self.name_at[self.row]]),
                cython.address(size),
                cython.address(mtime),
            )
            if self.row < TIMED:
                self.waited += wetread_time()
            if self.file < 0:
                self.rows[R_ERROR, self.row] = -self.file
                self.phase = P_END
                return OK
            self.rows[R_SIZE, self.row], self.rows[R_MTIME, self.row] = size, mtime
        self.size = self.rows[R_SIZE, self.row]
        self.head_size = min(HASHED, self.size)
        if self.size == 0:
            return OK
        self.need_from, self.need_to = 0, self.head_size if self.external else 1
        return NEED

    def is_slow(self):
        """True after the first files if their opening took longer than the limit."""
        return self.row == TIMED and not self.external and self.waited > TIMED * self.slow_open

    def close_row(self):
        """End a row: hash its first bytes, and keep only its values in the arena."""
        head: cython.longlong
        offset: cython.longlong = self.rows[R_PIXEL_OFFSET, self.row]
        if self.file >= 0:
            if offset < 0 or offset > self.row_head:
                self.read_head()
            close(self.file)
            self.file = -1
        if self.external == 2:
            self.external = 0
        self.phase = P_OPEN
        head = self.row_head if offset < 0 else min(self.row_head, offset)
        self.rows[R_HASH, self.row] = hash_bytes(self.arena, self.row_base, head)
        self.keep_values()
        self.row += 1
        return OK

    def keep_values(self):
        """Compact the values of the row, or keep the first bytes of what is not DICOM."""
        if self.count == self.first_element:
            self.rows[R_HEAD, self.row] = self.row_base
            self.used = self.row_base + min(self.row_head, NAMED)
        elif self.ascending:  # else values would be overwritten
            self.used = self.compact(self.row_base)
        return OK

    def compact(self, to):
        """Move the values together, with what is between close ones; return their end."""
        i: cython.longlong
        first: cython.longlong = to
        last: cython.longlong = to
        begin: cython.longlong
        text: cython.longlong = self.rows[R_TEXT, self.row]
        for i in range(self.first_element, self.count):
            if self.e_start[i] < 0:
                continue
            begin = self.e_start[i] - (8 if self.e_depth[i] & 1 else 0)  # the head of a fragment
            if begin > last + CLOSE:
                self.move(first, to, last - first)
                to += last - first
                first = begin
            last = self.e_start[i] + self.e_length[i]
            if self.e_start[i] == text:
                self.rows[R_TEXT, self.row] = text - first + to
            self.e_start[i] -= first - to
        self.move(first, to, last - first)
        return to + last - first

    def move(self, start, to, count):
        """Move bytes of the arena."""
        if count == 0 or start == to:
            return OK
        if start < to or to < 0 or start + count > self.arena.shape[0]:
            with cython.gil:
                raise IndexError("bytes outside the memory")
        wetread_move(cython.address(self.arena[to]), cython.address(self.arena[start]), count)
        return OK

    def walk(self):
        """Step until the file is done or bytes are needed."""
        status: cython.int = OK
        while status == OK and self.phase != P_END:
            if self.no_room():
                return ROOM
            if self.phase == P_TOP:
                status = self.step_top()
            elif self.phase == P_NESTED:
                status = self.step_nested()
            elif self.phase == P_META:
                status = self.step_meta()
            elif self.phase == P_FRAGMENTS:
                status = self.step_fragment()
            elif self.phase == P_FIND:
                status = self.find_meta()
            elif self.phase == P_SETTLE:
                status = self.settle()
            elif self.phase == P_SEARCH:
                status = self.search_delimiter()
            else:
                status = INFLATE
        return status

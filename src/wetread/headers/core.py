# cython: language_level=3, boundscheck=True, wraparound=False, cdivision=True
# cython: initializedcheck=False
"""The walk over the elements of files (PS3.5 chapter 7): every rule of the encoding, once.

Compiled by Cython, without the GIL. A file is a range of positions; of its bytes the walk holds
windows in an arena. A step that lacks bytes changes nothing and says which it needs, and is made
again when they are there. So a row is a function of the file's bytes, whatever the windows are.

A step reads one element. `phase` says by which rule: File Meta, the top level, inside a sequence,
after the pixels. Problems are kinds of `problems.py`, which has their texts.
"""

import cython

if not cython.compiled:
    raise ImportError(
        "wetread.headers.core is not compiled: run `pip install .` or `pip install -e .`"
    )

from wetread.headers.problems import NUMBER

OK = cython.declare(cython.int, 0)
NEED = cython.declare(cython.int, 1)
ROOM = cython.declare(cython.int, 2)
INFLATE = cython.declare(cython.int, 3)
DONE = cython.declare(cython.int, 4)
NONE = cython.declare(cython.int, 9)

K_EMPTY = cython.declare(cython.int, NUMBER["EMPTY"])
K_NOT_DICOM = cython.declare(cython.int, NUMBER["NOT_DICOM"])
K_BUDGET = cython.declare(cython.int, NUMBER["BUDGET"])
K_INFLATED_BUDGET = cython.declare(cython.int, NUMBER["INFLATED_BUDGET"])
K_ELEMENTS = cython.declare(cython.int, NUMBER["ELEMENTS"])
K_PROBLEMS = cython.declare(cython.int, NUMBER["PROBLEMS"])
K_PROGRAM = cython.declare(cython.int, NUMBER["PROGRAM"])
K_DICM_AT_0 = cython.declare(cython.int, NUMBER["DICM_AT_0"])
K_META_WITHOUT_DICM = cython.declare(cython.int, NUMBER["META_WITHOUT_DICM"])
K_DATA_SET_AT_0 = cython.declare(cython.int, NUMBER["DATA_SET_AT_0"])
K_DATA_SET_AT = cython.declare(cython.int, NUMBER["DATA_SET_AT"])
K_NO_META = cython.declare(cython.int, NUMBER["NO_META"])
K_META_LENGTH = cython.declare(cython.int, NUMBER["META_LENGTH"])
K_UNKNOWN_SYNTAX = cython.declare(cython.int, NUMBER["UNKNOWN_SYNTAX"])
K_UNKNOWN_READ_AS = cython.declare(cython.int, NUMBER["UNKNOWN_READ_AS"])
K_INFERRED = cython.declare(cython.int, NUMBER["INFERRED"])
K_READ_AS = cython.declare(cython.int, NUMBER["READ_AS"])
K_DAMAGED = cython.declare(cython.int, NUMBER["DAMAGED"])
K_NOT_DEFLATED = cython.declare(cython.int, NUMBER["NOT_DEFLATED"])
K_NO_VR = cython.declare(cython.int, NUMBER["NO_VR"])
K_NO_DATA_SET = cython.declare(cython.int, NUMBER["NO_DATA_SET"])
K_CUT_HEAD = cython.declare(cython.int, NUMBER["CUT_HEAD"])
K_CUT_VALUE = cython.declare(cython.int, NUMBER["CUT_VALUE"])
K_CLIPPED = cython.declare(cython.int, NUMBER["CLIPPED"])
K_ODD_LENGTH = cython.declare(cython.int, NUMBER["ODD_LENGTH"])
K_ORDER = cython.declare(cython.int, NUMBER["ORDER"])
K_BAD_VR = cython.declare(cython.int, NUMBER["BAD_VR"])
K_ZEROS = cython.declare(cython.int, NUMBER["ZEROS"])
K_NO_ELEMENT = cython.declare(cython.int, NUMBER["NO_ELEMENT"])
K_STRAY = cython.declare(cython.int, NUMBER["STRAY"])
K_LONG_VALUE = cython.declare(cython.int, NUMBER["LONG_VALUE"])
K_MANY_VALUES = cython.declare(cython.int, NUMBER["MANY_VALUES"])
K_UN_SEQUENCE = cython.declare(cython.int, NUMBER["UN_SEQUENCE"])
K_NO_ITEMS = cython.declare(cython.int, NUMBER["NO_ITEMS"])
K_UNDEFINED = cython.declare(cython.int, NUMBER["UNDEFINED"])
K_NO_ITEM_END = cython.declare(cython.int, NUMBER["NO_ITEM_END"])
K_NO_SEQUENCE_END = cython.declare(cython.int, NUMBER["NO_SEQUENCE_END"])
K_ODD_DELIMITER = cython.declare(cython.int, NUMBER["ODD_DELIMITER"])
K_END_INSIDE = cython.declare(cython.int, NUMBER["END_INSIDE"])
K_NO_END = cython.declare(cython.int, NUMBER["NO_END"])
K_CUT_SEQUENCE = cython.declare(cython.int, NUMBER["CUT_SEQUENCE"])
K_CLIPPED_INSIDE = cython.declare(cython.int, NUMBER["CLIPPED_INSIDE"])
K_BAD_VR_INSIDE = cython.declare(cython.int, NUMBER["BAD_VR_INSIDE"])
K_DEEP = cython.declare(cython.int, NUMBER["DEEP"])
K_INSIDE = cython.declare(cython.int, NUMBER["INSIDE"])
K_CUT_PIXELS = cython.declare(cython.int, NUMBER["CUT_PIXELS"])
K_CUT_FRAGMENTS = cython.declare(cython.int, NUMBER["CUT_FRAGMENTS"])
K_NO_FRAGMENTS_END = cython.declare(cython.int, NUMBER["NO_FRAGMENTS_END"])
K_NO_FRAGMENT = cython.declare(cython.int, NUMBER["NO_FRAGMENT"])

# phases of a file
P_OPEN = cython.declare(cython.int, 0)
P_FIND = cython.declare(cython.int, 1)
P_META = cython.declare(cython.int, 2)
P_SETTLE = cython.declare(cython.int, 3)
P_INFLATE = cython.declare(cython.int, 4)
P_TOP = cython.declare(cython.int, 5)
P_NESTED = cython.declare(cython.int, 6)
P_SEARCH = cython.declare(cython.int, 7)
P_FRAGMENTS = cython.declare(cython.int, 8)
P_END = cython.declare(cython.int, 9)

# columns of `rows`
R_SIZE = cython.declare(cython.int, 0)
R_MTIME = cython.declare(cython.int, 1)
R_BASE = cython.declare(cython.int, 2)
R_GOT = cython.declare(cython.int, 3)
R_ERROR = cython.declare(cython.int, 4)
R_ENCODING = cython.declare(cython.int, 5)
R_SYNTAX = cython.declare(cython.int, 6)
R_TEXT = cython.declare(cython.int, 7)
R_TEXT_LENGTH = cython.declare(cython.int, 8)
R_PIXEL_TAG = cython.declare(cython.int, 9)
R_PIXEL_OFFSET = cython.declare(cython.int, 10)
R_PIXEL_LENGTH = cython.declare(cython.int, 11)

# bits
IMPLICIT = cython.declare(cython.int, 1)
BIG = cython.declare(cython.int, 2)
DEFLATED = cython.declare(cython.int, 4)
ENCAPSULATED = cython.declare(cython.int, 8)
KNOWN = cython.declare(cython.int, 16)
OPAQUE = cython.declare(cython.int, 32)
F_CLIPPED = cython.declare(cython.int, 1)
F_UNDEFINED = cython.declare(cython.int, 2)
F_IMPLICIT = cython.declare(cython.int, 4)
F_KEPT = cython.declare(cython.int, 3)
D_BULK = cython.declare(cython.int, 1)
D_LISTED = cython.declare(cython.int, 2)
D_KNOWN = cython.declare(cython.int, 4)
D_REPEATED = cython.declare(cython.int, 8)

MACHO_32 = cython.declare(cython.longlong, 0xCEFAEDFE)
MACHO_64 = cython.declare(cython.longlong, 0xCFFAEDFE)
MACHO_FAT = cython.declare(cython.longlong, 0xCAFEBABE)
DELIMITER = cython.declare(cython.longlong, 0xFEFFDDE0)
UNDEFINED = cython.declare(cython.longlong, 0xFFFFFFFF)
NO_TAG = cython.declare(cython.uint, 0xFFFFFFFF)
ITEM = cython.declare(cython.uint, 0xFFFEE000)
ITEM_END = cython.declare(cython.uint, 0xFFFEE00D)
SEQUENCE_END = cython.declare(cython.uint, 0xFFFEE0DD)
VR_SQ = cython.declare(cython.int, 0x5153)
VR_UN = cython.declare(cython.int, 0x4E55)
DEEPEST = cython.declare(cython.int, 128)
SLACK = cython.declare(cython.longlong, 16)
WINDOWS = cython.declare(cython.int, 32)
HASHED = cython.declare(cython.longlong, 8192)
MOST_RAW = cython.declare(cython.longlong, 65536)


def source():
    """Hash of the source that was compiled."""
    return WETREAD_SOURCE.decode()


@cython.final
@cython.cclass
class Walk:
    """Walk over the headers of many files; `walks.py` drives it."""

    # the standard
    form: cython.uchar[::1]
    unit: cython.uchar[::1]
    slot_tag: cython.uint[::1]
    slot_vr: cython.ushort[::1]
    slot_bits: cython.uchar[::1]
    uids: cython.uchar[:, ::1]
    uid_bits: cython.uchar[::1]
    kind_code: cython.uchar[::1]
    # limits
    most_bytes: cython.longlong
    most_elements: cython.longlong
    most_values: cython.longlong
    most_length: cython.longlong
    most_problems: cython.int
    window: cython.longlong
    more: cython.longlong
    block_bytes: cython.longlong
    whole: cython.int
    # bytes in memory
    arena: cython.uchar[::1]
    used: cython.longlong
    window_first: cython.longlong[::1]
    window_last: cython.longlong[::1]
    window_base: cython.longlong[::1]
    windows: cython.int
    current: cython.int
    need_from: cython.longlong
    need_to: cython.longlong
    exact: cython.int
    # what comes out
    rows: cython.longlong[:, ::1]
    names: cython.uchar[::1]
    name_at: cython.longlong[::1]
    e_row: cython.int[::1]
    e_tag: cython.uint[::1]
    e_vr: cython.ushort[::1]
    e_depth: cython.uchar[::1]
    e_bits: cython.uchar[::1]
    e_start: cython.longlong[::1]
    e_length: cython.longlong[::1]
    e_offset: cython.longlong[::1]
    count: cython.longlong
    p_row: cython.int[::1]
    p_kind: cython.uchar[::1]
    p_tag: cython.longlong[::1]
    p_offset: cython.longlong[::1]
    p_a: cython.longlong[::1]
    p_b: cython.longlong[::1]
    p_count: cython.longlong
    # the file at hand
    row: cython.int
    last_row: cython.int
    external: cython.int
    file: cython.int
    size: cython.longlong
    taken: cython.longlong
    fetched: cython.longlong
    first_element: cython.longlong
    first_problem: cython.longlong
    phase: cython.int
    pos: cython.longlong
    implicit: cython.int
    big: cython.int
    deflated: cython.int
    last: cython.uint
    start: cython.longlong
    behind: cython.int
    elements: cython.longlong
    stated: cython.longlong
    stated_at: cython.longlong
    # the element at hand
    tag: cython.uint
    vr: cython.int
    head: cython.longlong
    length: cython.longlong
    plain: cython.int
    # sequences that are open
    depth: cython.int
    f_end: cython.longlong[::1]
    f_implicit: cython.uchar[::1]
    f_entry: cython.longlong[::1]
    outer_tag: cython.uint
    outer_start: cython.longlong
    outer_entry: cython.longlong

    def __cinit__(self):
        self.file = -1

    def __dealloc__(self):
        if self.file >= 0:
            wetread_close(self.file)

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
        self.most_problems = limits.row_problems
        self.window, self.more = limits.windows
        self.block_bytes = limits.block_bytes
        self.whole = whole

    # --- driven from Python -------------------------------------------------------------------

    def begin(self, rows, names, name_at, arena, used, external):
        """Rows to read: all of `rows`, of the files `names` or from outside."""
        self.rows, self.names, self.name_at = rows, names, name_at
        self.arena, self.used, self.external = arena, used, external
        self.row, self.last_row = 0, rows.shape[1]
        self.count = self.p_count = 0
        self.phase = P_OPEN

    def set_arena(self, arena):
        """A larger arena with the same bytes."""
        self.arena = arena

    def set_table(self, e):
        """Room for elements, with those found so far."""
        self.e_row, self.e_tag, self.e_vr, self.e_depth = e.row, e.tag, e.vr, e.depth
        self.e_bits, self.e_start, self.e_length = e.bits, e.start, e.length
        self.e_offset = e.offset

    def set_problems(self, p):
        """Room for problems, with those found so far."""
        self.p_row, self.p_kind, self.p_tag = p.row, p.kind, p.tag
        self.p_offset, self.p_a, self.p_b = p.offset, p.a, p.b

    def run(self):
        """Walk on. DONE: `at` rows are done; NEED, INFLATE: of row `at`; ROOM: see `room`."""
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
    def position(self):
        """Where the walk stands in its file."""
        return self.pos

    def feed(self, data: bytes):
        """Bytes from `need_from` on; fewer than were needed where the source ends."""
        i: cython.longlong
        n: cython.longlong = len(data)
        view: cython.const[cython.uchar][::1] = data
        for i in range(n):
            self.arena[self.used + i] = view[i]
        self.note_window(n)

    def fail(self):
        """The source cannot be read any more: its row ends here."""
        self.phase = P_END

    def inflated(self, size):
        """The data set has been inflated to `size` bytes, which come from outside now."""
        if self.file >= 0:
            wetread_close(self.file)
            self.file = -1
        self.external = 1 if self.external == 1 else 2
        self.size, self.windows, self.fetched = size, 0, 0
        self.pos = self.start = 0
        self.rows[R_ENCODING, self.row] = DEFLATED
        self.phase = P_TOP

    def not_deflated(self):
        """What should be deflated is not; taken as what it reads as, if as anything."""
        self.deflated = 2
        self.phase = P_SETTLE

    def report(self, name, tag, offset, a, b):
        """Note a problem that was found outside."""
        self.find(NUMBER[name], tag, offset, a, b)

    # --- bytes --------------------------------------------------------------------------------

    @cython.cfunc
    @cython.nogil
    @cython.exceptval(-1)
    def go(self) -> cython.int:
        status: cython.int
        while self.row < self.last_row:
            status = OK
            if self.phase == P_OPEN:
                if self.used > self.block_bytes and self.row > 0:
                    return DONE
                status = self.open()
            if status == OK:
                status = self.walk()
            if status == NEED:
                status = self.supply()
            if status != OK:
                return status
            if self.phase == P_END:
                if self.file >= 0:
                    wetread_close(self.file)
                    self.file = -1
                if self.external == 2:
                    self.external = 0
                self.phase = P_OPEN
                self.row += 1
        return DONE

    @cython.cfunc
    @cython.nogil
    @cython.exceptval(-1)
    def open(self) -> cython.int:
        """Start of a row: nothing is known; its first window is needed."""
        size: cython.longlong = 0
        mtime: cython.longlong = 0
        if self.p_count + self.most_problems + 2 > self.p_row.shape[0]:
            return ROOM
        self.first_element, self.first_problem = self.count, self.p_count
        self.windows = self.current = 0
        self.taken = self.fetched = self.elements = 0
        self.depth = self.behind = self.exact = 0
        self.implicit = self.big = self.deflated = 0
        self.last = 0
        self.rows[R_SYNTAX, self.row] = -1
        self.rows[R_PIXEL_OFFSET, self.row] = self.rows[R_PIXEL_LENGTH, self.row] = -1
        self.phase = P_FIND
        if self.rows[R_ERROR, self.row] != 0:
            self.phase = P_END
            return OK
        if not self.external:
            self.file = wetread_open(
                cython.address(self.names[self.name_at[self.row]]),
                cython.address(size),
                cython.address(mtime),
            )
            if self.file < 0:
                self.rows[R_ERROR, self.row] = -self.file
                self.phase = P_END
                return OK
            self.rows[R_SIZE, self.row], self.rows[R_MTIME, self.row] = size, mtime
        self.size = self.rows[R_SIZE, self.row]
        if self.size == 0:
            return OK
        self.need_from, self.need_to = 0, min(HASHED, self.size)
        return NEED

    @cython.cfunc
    @cython.nogil
    @cython.exceptval(-1)
    def at(self, first: cython.longlong, count: cython.longlong) -> cython.longlong:
        """Place in the arena of the bytes at a position; -2 where they are needed first.

        Bytes beyond the end of the source are not there; callers ask `self.size`.
        """
        last: cython.longlong = min(first + count, self.size)
        i: cython.int = self.current
        if i < self.windows and first >= self.window_first[i] and last <= self.window_last[i]:
            return self.window_base[i] + first - self.window_first[i]
        for i in range(min(self.windows, WINDOWS)):
            if first >= self.window_first[i] and last <= self.window_last[i]:
                self.current = i
                return self.window_base[i] + first - self.window_first[i]
        self.need_from, self.need_to = first, last
        return -2

    @cython.cfunc
    @cython.nogil
    @cython.exceptval(-1)
    def supply(self) -> cython.int:
        """Read the bytes that are needed and some more; or say who must."""
        want: cython.longlong = self.need_to - self.need_from
        got: cython.longlong
        if not self.exact and self.fetched < self.most_bytes:
            want = max(want, self.window if self.windows == 0 else self.more)
        want = min(want, self.size - self.need_from)
        self.need_to = self.need_from + want
        if self.used + want + SLACK > self.arena.shape[0]:
            return ROOM
        if self.external:
            return NEED
        got = wetread_read(self.file, cython.address(self.arena[self.used]), want, self.need_from)
        if got < 0:
            self.rows[R_ERROR, self.row] = -got
            self.phase = P_END
            return OK
        self.note_window(got)
        return OK

    @cython.cfunc
    @cython.nogil
    @cython.exceptval(-1)
    def note_window(self, got: cython.longlong) -> cython.int:
        i: cython.int = self.windows % WINDOWS
        if self.need_from + got < self.need_to:  # the source is shorter than it was
            self.size = self.need_from + got
        if self.need_from == 0 and self.windows == 0 and not self.deflated:
            self.rows[R_BASE, self.row] = self.used
            self.rows[R_GOT, self.row] = min(got, HASHED)
        self.window_first[i], self.window_base[i] = self.need_from, self.used
        self.window_last[i] = self.need_from + got
        if self.windows == 0 and not self.deflated:  # read for the hash of the header
            self.window_last[i] = max(min(got, self.window), self.size if got == self.size else 0)
        self.used += got
        self.fetched += got
        self.windows += 1
        if self.windows >= 2 * WINDOWS:
            self.windows -= WINDOWS
        self.current = i
        return OK

    @cython.cfunc
    @cython.nogil
    @cython.exceptval(-1)
    def end_early(self) -> cython.int:
        """The row ends in the middle; an open sequence keeps what was read of it."""
        if self.depth > 0:
            self.close_outer(self.pos, 0)
        self.phase = P_END
        return OK

    # --- what comes out -----------------------------------------------------------------------

    @cython.cfunc
    @cython.nogil
    @cython.exceptval(-1)
    def find(
        self,
        kind: cython.int,
        tag: cython.longlong,
        offset: cython.longlong,
        a: cython.longlong,
        b: cython.longlong,
    ) -> cython.int:
        """Note a problem, one code once per tag; of the order of tags the first alone."""
        i: cython.longlong
        code: cython.uchar = self.kind_code[kind]
        if self.p_count - self.first_problem > self.most_problems:
            return OK
        for i in range(self.first_problem, self.p_count):
            if self.kind_code[self.p_kind[i]] == code and (self.p_tag[i] == tag or kind == K_ORDER):
                return OK
        if self.p_count - self.first_problem == self.most_problems:
            kind, tag, offset, a, b = K_PROBLEMS, -1, -1, self.most_problems, 0
        i = self.p_count
        self.p_row[i], self.p_kind[i], self.p_tag[i] = self.row, kind, tag
        self.p_offset[i], self.p_a[i], self.p_b[i] = offset, a, b
        self.p_count += 1
        return OK

    @cython.cfunc
    @cython.nogil
    @cython.exceptval(-1)
    def add(
        self,
        base: cython.longlong,
        offset: cython.longlong,
        length: cython.longlong,
        bits: cython.int,
    ) -> cython.int:
        """Note the element at hand; its value lies at `base` in the arena, or nowhere (-1)."""
        i: cython.longlong = self.count
        if not self.whole and not bits & F_KEPT and (self.tag & 0x10000 or not self.tag & 0xFFFF):
            return OK  # private, or a group length: no column
        self.e_row[i], self.e_tag[i], self.e_vr[i] = self.row, self.tag, self.vr
        self.e_depth[i], self.e_bits[i] = min(self.depth, 255), bits
        self.e_start[i], self.e_length[i], self.e_offset[i] = base, length, offset
        self.count += 1
        return OK

    @cython.cfunc
    @cython.nogil
    @cython.exceptval(-1)
    def no_room(self) -> cython.int:
        return self.count + 4 > self.e_row.shape[0]

    @cython.cfunc
    @cython.nogil
    @cython.exceptval(-1)
    def over_limit(self, count: cython.longlong) -> cython.int:
        """Count a step and its bytes; whether there were too many. Then the row ends."""
        self.elements += 1
        self.taken += count
        if self.taken > self.most_bytes:
            self.find(K_INFLATED_BUDGET if self.deflated else K_BUDGET, -1, -1, self.most_bytes, 0)
        elif self.elements > self.most_elements:
            self.find(K_ELEMENTS, -1, -1, self.most_elements, 0)
        else:
            return 0
        self.end_early()
        return 1

    # --- the standard -------------------------------------------------------------------------

    @cython.cfunc
    @cython.nogil
    @cython.exceptval(-1)
    def slot(self, tag: cython.uint) -> cython.int:
        """Place of a tag in the dictionary; -2 where it is not in there."""
        group: cython.uint = tag >> 16
        i: cython.int = self.slot_of(tag)
        if i >= 0 or group & 1:
            return i
        if group >> 8 == 0x50 or group >> 8 == 0x60 or group >> 8 == 0x7F:  # repeating groups
            i = self.slot_of(tag - (tag & 0x00FF0000))
        elif group == 0x0020:  # and elements
            i = self.slot_of(tag - (tag & 0xFF))
        elif group == 0x0028:
            i = self.slot_of(tag - (tag & 0xF0))
        return i if i >= 0 and self.slot_bits[i] & D_REPEATED else -2

    @cython.cfunc
    @cython.nogil
    @cython.exceptval(-1)
    def slot_of(self, tag: cython.uint) -> cython.int:
        i: cython.uint = (tag * cython.cast(cython.uint, 2654435769)) >> 16
        while self.slot_tag[i] != NO_TAG:
            if self.slot_tag[i] == tag:
                return i
            i = (i + 1) & 0xFFFF
        return -2

    @cython.cfunc
    @cython.nogil
    @cython.exceptval(-1)
    def vr_of(self, tag: cython.uint) -> cython.int:
        """First value representation that the dictionary has; UN for unknown elements."""
        i: cython.int = self.slot(tag)
        return VR_UN if i < 0 else self.slot_vr[i]

    @cython.cfunc
    @cython.nogil
    @cython.exceptval(-1)
    def bits_of(self, tag: cython.uint) -> cython.int:
        i: cython.int = self.slot(tag)
        return D_BULK if i < 0 else self.slot_bits[i]

    @cython.cfunc
    @cython.nogil
    @cython.exceptval(-1)
    def has_vr(self, place: cython.longlong) -> cython.int:
        """Whether an explicit value representation stands in the head at a place."""
        return self.form[self.arena[place + 4] | (self.arena[place + 5] << 8)]

    @cython.cfunc
    @cython.nogil
    @cython.exceptval(-1)
    def word(self, place: cython.longlong, big: cython.int) -> cython.longlong:
        """Four bytes as a number."""
        a: cython.longlong = self.arena[place]
        b: cython.longlong = self.arena[place + 1]
        c: cython.longlong = self.arena[place + 2]
        d: cython.longlong = self.arena[place + 3]
        if big:
            return a << 24 | b << 16 | c << 8 | d
        return d << 24 | c << 16 | b << 8 | a

    @cython.cfunc
    @cython.nogil
    @cython.exceptval(-1)
    def half(self, place: cython.longlong, big: cython.int) -> cython.int:
        """Two bytes as a number."""
        a: cython.int = self.arena[place]
        b: cython.int = self.arena[place + 1]
        return a << 8 | b if big else b << 8 | a

    @cython.cfunc
    @cython.nogil
    @cython.exceptval(-1)
    def parse(
        self, place: cython.longlong, have: cython.longlong, implicit: cython.int, big: cython.int
    ) -> cython.int:
        """Head of an element, of which `have` bytes are there, at least 8 (PS3.5 7.1.2, 7.1.3).

        Sets tag, vr (0 where the file has none), length and the size of the head.
        """
        self.tag = (self.half(place, big) << 16) | self.half(place + 2, big)
        self.vr, self.head, self.plain = 0, 8, 1
        if implicit or self.tag >> 16 == 0xFFFE:
            self.length = self.word(place + 4, big)
            return OK
        self.plain = 0
        self.vr = self.arena[place + 4] | (self.arena[place + 5] << 8)
        if self.form[self.vr] == 2:
            self.head = 12
            self.length = self.word(place + 8, big) if have >= 12 else 0
        else:
            self.length = self.half(place + 6, big)
        return OK

    # --- one file -----------------------------------------------------------------------------

    @cython.cfunc
    @cython.nogil
    @cython.exceptval(-1)
    def walk(self) -> cython.int:
        """Steps until the file is done or bytes are needed."""
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

    @cython.cfunc
    @cython.nogil
    @cython.exceptval(-1)
    def starts_with(self, place: cython.longlong, a: cython.int, b: cython.int) -> cython.int:
        return self.arena[place] == a and self.arena[place + 1] == b

    @cython.cfunc
    @cython.nogil
    @cython.exceptval(-1)
    def is_dicm(self, place: cython.longlong) -> cython.int:
        return self.word(place, 1) == 0x4449434D

    @cython.cfunc
    @cython.nogil
    @cython.exceptval(-1)
    def begin_meta(self, start: cython.longlong) -> cython.int:
        self.start = self.pos = start
        self.stated = -1
        self.phase = P_META
        return OK

    @cython.cfunc
    @cython.nogil
    @cython.exceptval(-1)
    def find_meta(self) -> cython.int:
        """Start of the File Meta group (PS3.10 7.1), or of the data set where there is none."""
        have: cython.longlong = min(self.size, 144)
        place: cython.longlong
        seen: cython.int
        i: cython.int
        start: cython.longlong
        if have == 0:
            self.find(K_EMPTY, -1, 0, 0, 0)
            self.phase = P_END
            return OK
        place = self.at(0, 144)
        if place == -2:
            return NEED
        if have >= 132 and self.is_dicm(place + 128):
            self.check_program(place)
            if have >= 134 and self.starts_with(place + 132, 2, 0):
                return self.begin_meta(132)
            seen = self.probe(0)
            if seen == NEED:
                return NEED
            if seen == NONE:
                return self.begin_meta(132)
            place = self.at(0, 144)
        if have >= 4 and self.is_dicm(place):
            self.find(K_DICM_AT_0, -1, 0, 0, 0)
            return self.begin_meta(4)
        for i in range(3):
            start = 0 if i == 0 else (132 if i == 1 else 128)
            if have >= start + 8 and self.is_meta(place + start):
                self.find(K_META_WITHOUT_DICM, -1, start, start, 0)
                return self.begin_meta(start)
        for i in range(2):
            start = 128 * i
            seen = self.probe(start)
            if seen == NEED:
                return NEED
            if seen != NONE:
                self.find(K_DATA_SET_AT, -1, start, start, 0)
                if start == 0:
                    self.find(K_DATA_SET_AT_0, -1, 0, 0, 0)
                return self.begin_meta(start)
        self.find(K_NOT_DICOM, -1, 0, 0, 0)
        self.phase = P_END
        return OK

    @cython.cfunc
    @cython.nogil
    @cython.exceptval(-1)
    def check_program(self, place: cython.longlong) -> cython.int:
        """A program before the data set (CVE-2019-11687); a TIFF there is legal."""
        first: cython.longlong = self.word(place, 1)
        if (
            first >> 16 == 0x4D5A  # MZ
            or first >> 16 == 0x2321  # #!
            or first == 0x7F454C46  # ELF
            or first >> 8 == 0xFEEDFA
            or first == MACHO_32
            or first == MACHO_64
            or first == MACHO_FAT
        ):
            self.find(K_PROGRAM, -1, 0, first, 0)
        return OK

    @cython.cfunc
    @cython.nogil
    @cython.exceptval(-1)
    def is_meta(self, place: cython.longlong) -> cython.int:
        """Whether an element of the File Meta group is here: group 2 in UL, OB or UI."""
        vr: cython.int = self.arena[place + 4] << 8 | self.arena[place + 5]
        return self.starts_with(place, 2, 0) and (vr == 0x554C or vr == 0x4F42 or vr == 0x5549)

    @cython.cfunc
    @cython.nogil
    @cython.exceptval(-1)
    def step_meta(self) -> cython.int:
        """An element of the File Meta group, which is explicit little endian (PS3.10 7.1)."""
        have: cython.longlong = min(self.size - self.pos, 12)
        place: cython.longlong
        value: cython.longlong
        if have < 8:
            return self.end_meta()
        place = self.at(self.pos, 12)
        if place == -2:
            return NEED
        if not self.starts_with(place, 2, 0):
            return self.end_meta()
        self.parse(place, have, 0, 0)
        value = self.pos + self.head
        if self.form[self.vr] == 0 or self.head > have or value + self.length > self.size:
            return self.end_meta()
        if self.length > self.most_length:
            return self.end_meta()
        place = self.at(self.pos, self.head + self.length)
        if place == -2:
            return NEED
        place += self.head
        if self.tag == 0x00020000 and self.length == 4:
            self.stated_at = value
            self.stated = value + 4 + self.word(place, 0)
        elif self.tag == 0x00020010:
            self.rows[R_TEXT, self.row] = place
            self.rows[R_TEXT_LENGTH, self.row] = self.trimmed(place, self.length)
        if self.over_limit(self.length):
            return OK
        self.add(place, value, self.length, 0)
        self.pos = value + self.length
        return OK

    @cython.cfunc
    @cython.nogil
    @cython.exceptval(-1)
    def trimmed(self, place: cython.longlong, length: cython.longlong) -> cython.longlong:
        """Length without trailing blanks and NULs."""
        while length > 0 and (
            self.arena[place + length - 1] == 0x20 or self.arena[place + length - 1] == 0
        ):
            length -= 1
        return length

    @cython.cfunc
    @cython.nogil
    @cython.exceptval(-1)
    def end_meta(self) -> cython.int:
        if self.pos == self.start:
            self.find(K_NO_META, -1, self.start, 0, 0)
        elif self.stated >= 0 and self.stated != self.pos and self.pos < self.size:
            self.find(K_META_LENGTH, 0x00020000, self.stated_at, self.pos, self.stated)
        self.start = self.pos
        self.phase = P_SETTLE
        return OK

    # --- the encoding (PS3.5 annex A) -----------------------------------------------------------

    @cython.cfunc
    @cython.nogil
    @cython.exceptval(-1)
    def stated_bits(self) -> cython.int:
        """What the stated Transfer Syntax UID stands for; 0 for an unknown one."""
        place: cython.longlong = self.rows[R_TEXT, self.row]
        length: cython.longlong = self.rows[R_TEXT_LENGTH, self.row]
        i: cython.Py_ssize_t
        k: cython.longlong
        if length >= self.uids.shape[1]:
            return 0
        for i in range(self.uids.shape[0]):
            if self.uids[i, length] != 0:
                continue
            k = length
            while k > 0 and self.uids[i, k - 1] == self.arena[place + k - 1]:
                k -= 1
            if k == 0:
                return self.uid_bits[i] | KNOWN
        return 0

    @cython.cfunc
    @cython.nogil
    @cython.exceptval(-1)
    def settle(self) -> cython.int:
        """The encoding the bytes are in, with a problem where that is not what is stated."""
        stated: cython.int = self.rows[R_TEXT_LENGTH, self.row] > 0
        bits: cython.int = self.stated_bits() if stated else 0
        said: cython.int = bits & (IMPLICIT | BIG)
        seen: cython.int
        if bits & DEFLATED and self.deflated == 0:
            self.rows[R_SYNTAX, self.row] = -2
            self.deflated = 1
            self.phase = P_INFLATE
            return OK
        if self.deflated == 2:
            return self.settle_undeflated()
        if stated:
            self.rows[R_SYNTAX, self.row] = -2
            if not bits & KNOWN:
                self.find(K_UNKNOWN_SYNTAX, 0x00020010, -1, 0, 0)
        seen = said
        if self.size - self.pos >= 8:
            seen = self.see_encoding(said)
            if seen >= 16:
                return NEED
            if not stated:
                self.rows[R_SYNTAX, self.row] = seen
                self.find(K_INFERRED, 0x00020010, self.pos, seen, 0)
            elif seen != said:
                self.find(
                    K_READ_AS if bits & KNOWN else K_UNKNOWN_READ_AS, 0x00020010, self.pos, seen, 0
                )
                if (seen ^ said) & BIG:
                    self.rows[R_SYNTAX, self.row] = -1  # pixels are never swapped by a guess
                elif not bits & ENCAPSULATED:
                    self.rows[R_SYNTAX, self.row] = seen
        return self.begin_top(seen)

    @cython.cfunc
    @cython.nogil
    @cython.exceptval(-1)
    def settle_undeflated(self) -> cython.int:
        """What says that it is deflated and is not: as its bytes read, if as anything."""
        seen: cython.int = self.probe(self.pos)
        if seen == NEED:
            return NEED
        self.deflated = 0
        if seen == NONE:
            self.find(K_DAMAGED, -1, -1, 0, 0)
            self.find(K_NO_DATA_SET, -1, self.pos, 0, 0)
            self.phase = P_END
            return OK
        self.find(K_NOT_DEFLATED, 0x00020010, self.pos, 0, 0)
        self.rows[R_SYNTAX, self.row] = seen - 10
        return self.begin_top(seen - 10)

    @cython.cfunc
    @cython.nogil
    @cython.exceptval(-1)
    def begin_top(self, encoding: cython.int) -> cython.int:
        self.implicit, self.big = encoding & IMPLICIT, (encoding & BIG) >> 1
        self.rows[R_ENCODING, self.row] = encoding
        self.phase = P_TOP
        return OK

    @cython.cfunc
    @cython.nogil
    @cython.exceptval(-1)
    def see_encoding(self, said: cython.int) -> cython.int:
        """The stated encoding where the first element can be read so, else the one that fits.

        16 where bytes are needed.
        """
        place: cython.longlong = self.at(self.pos, 12)
        group: cython.int
        other: cython.int
        seen: cython.int
        if place == -2:
            return 16
        group = self.half(place, said & BIG)
        other = self.half(place, (said ^ BIG) & BIG)
        if 0 < group < 0x7FE1 and (self.has_vr(place) > 0) != (said & IMPLICIT):
            if group < 0x100 or other >= 0x100:
                return said
        seen = self.probe(self.pos)
        if seen == NEED:
            return 16
        return said if seen == NONE else seen - 10

    @cython.cfunc
    @cython.nogil
    @cython.exceptval(-1)
    def probe(self, start: cython.longlong) -> cython.int:
        """10 + the encoding in which the first three elements are in order and known; or NONE."""
        encoding: cython.int
        fits: cython.int
        for encoding in range(4):
            fits = self.fits(start, encoding & IMPLICIT, encoding & BIG)
            if fits == NEED:
                return NEED
            if fits == DONE:
                return 10 + encoding
        return NONE

    @cython.cfunc
    @cython.nogil
    @cython.exceptval(-1)
    def fits(self, start: cython.longlong, implicit: cython.int, big: cython.int) -> cython.int:
        """DONE where three elements, or fewer where the data set ends, read as this encoding."""
        pos: cython.longlong = start
        place: cython.longlong
        have: cython.longlong
        last: cython.uint = 0
        known: cython.int = 0
        i: cython.int
        for i in range(3):
            have = min(max(self.size - pos, 0), 12)
            if have == 0 and known:
                return DONE
            if have < 8:
                return NONE
            place = self.at(pos, 12)
            if place == -2:
                return NEED
            self.parse(place, have, implicit, big)
            if self.tag <= last or self.tag >> 16 > 0x7FE0 or not self.plausible(implicit):
                return NONE
            if self.length == UNDEFINED:
                return DONE if known else NONE
            pos += self.head + self.length
            if pos > self.size:
                return DONE if known >= 2 else NONE
            last = self.tag
            if self.bits_of(last) & D_LISTED or last & 0xFFFF == 0:
                known += 1
        return DONE if known >= 2 else NONE

    @cython.cfunc
    @cython.nogil
    @cython.exceptval(-1)
    def plausible(self, implicit: cython.int) -> cython.int:
        if implicit:
            return (
                self.bits_of(self.tag) & D_LISTED
                or self.tag & 0x1FFFF == 0
                or self.tag & 0x10000 != 0
            )
        return self.form[self.vr] > 0

    # --- the top level (PS3.5 7.1) --------------------------------------------------------------

    @cython.cfunc
    @cython.nogil
    @cython.exceptval(-1)
    def step_top(self) -> cython.int:
        """An element of the top level."""
        have: cython.longlong = min(self.size - self.pos, 12)
        place: cython.longlong
        status: cython.int
        value: cython.longlong
        if have < 8:
            return self.end_top(have)
        place = self.at(self.pos, 12)
        if place == -2:
            return NEED
        self.parse(place, have, self.implicit, self.big)
        status = self.check_head(place, have)
        if status != OK:
            return NEED if status == NEED else OK
        value = self.pos + self.head
        if self.head > have:
            self.find(K_CUT_HEAD, self.tag, self.pos, have, self.head)
            self.phase = P_END
        elif self.over_limit(8):
            return OK
        elif self.tag >> 16 == 0xFFFE:
            self.find(K_STRAY, self.tag, self.pos, 0, 0)
            self.pos = value
            if self.length != UNDEFINED and self.tag == ITEM:
                self.pos = value + self.length
        elif 0x7FE00008 <= self.tag <= 0x7FE00010:
            return self.take_pixels(value)
        elif self.length == UNDEFINED:
            return self.open_outer(value)
        else:
            return self.take_value(value)
        return OK

    @cython.cfunc
    @cython.nogil
    @cython.exceptval(-1)
    def end_top(self, have: cython.longlong) -> cython.int:
        """Fewer than 8 bytes are left: none, zeros, or a cut head."""
        place: cython.longlong
        i: cython.longlong
        if have <= 0 and self.pos == self.start and not self.behind:
            self.find(K_NO_DATA_SET, -1, self.pos, 0, 0)
        elif have > 0 and not self.behind:
            place = self.at(self.pos, have)
            if place == -2:
                return NEED
            for i in range(have):
                if self.arena[place + i] != 0 or self.big:
                    self.find(K_CUT_HEAD, -1, self.pos, have, 8)
                    break
            else:
                if self.pos == self.start:
                    self.find(K_NO_DATA_SET, -1, self.pos, 0, 0)
        self.phase = P_END
        return OK

    @cython.cfunc
    @cython.nogil
    @cython.exceptval(-1)
    def check_head(self, place: cython.longlong, have: cython.longlong) -> cython.int:
        """Mend a head without a VR of the standard; DONE where this is no element."""
        status: cython.int
        tag: cython.uint = self.tag
        if self.word(place, 0) == 0 and self.word(place + 4, 0) == 0:
            if self.last:
                if not self.behind:
                    self.find(K_ZEROS, -1, self.pos, 0, 0)
                self.phase = P_END
                return DONE
        if self.plain or self.form[self.vr] > 0:
            return OK
        status = self.mend(place, have)
        if status == NEED:
            return NEED
        if status == DONE:
            self.find(K_BAD_VR, tag, self.pos, 0, 0)
            return OK
        # no VR at all: one element in the implicit form, if that makes sense
        self.parse(place, have, 1, self.big)
        if (
            (self.bits_of(self.tag) & D_KNOWN or self.tag & 0x10000)
            and (self.length == UNDEFINED or self.pos + 8 + self.length <= self.size)
            and self.tag >= self.last
        ):
            self.find(K_NO_VR, self.tag, self.pos, 0, 0)
            return OK
        self.find(K_NO_ELEMENT, -1, self.pos, 0, 0)
        self.phase = P_END
        return DONE

    @cython.cfunc
    @cython.nogil
    @cython.exceptval(-1)
    def mend(self, place: cython.longlong, have: cython.longlong) -> cython.int:
        """An unknown VR is UN, in the form after which the next element reads.

        The form of the dictionary's VR is tried first. DONE where one does; sets the head.
        """
        i: cython.int
        long: cython.int
        length: cython.longlong
        after: cython.longlong
        next_place: cython.longlong
        next_tag: cython.uint
        if self.tag < self.last or have < 12:
            return NONE
        long = self.bits_of(self.tag) & D_KNOWN == 0 or self.form[self.vr_of(self.tag)] == 2
        for i in range(2):
            length = self.word(place + 8, self.big) if long else self.half(place + 6, self.big)
            after = self.pos + (12 if long else 8) + length
            if length != UNDEFINED and after <= self.size:
                if self.size - after >= 8:
                    next_place = self.at(after, 12)
                    if next_place == -2:
                        return NEED
                    next_tag = (self.half(next_place, self.big) << 16) | self.half(
                        next_place + 2, self.big
                    )
                if after == self.size or (
                    self.size - after >= 8 and next_tag > self.tag and self.has_vr(next_place)
                ):
                    self.vr, self.head, self.length = VR_UN, 12 if long else 8, length
                    return DONE
            long = not long
        return NONE

    @cython.cfunc
    @cython.nogil
    @cython.exceptval(-1)
    def note_order(self) -> cython.int:
        if self.tag < self.last:
            self.find(K_ORDER, self.tag, self.pos, 0, self.last)
        self.last = self.tag
        return OK

    @cython.cfunc
    @cython.nogil
    @cython.exceptval(-1)
    def is_wanted(self) -> cython.int:
        """Whether the bytes of the value are needed: of some only the length becomes a column."""
        vr: cython.int
        if self.whole:
            return 1
        if self.tag & 0x10000:
            return 0
        vr = self.vr if self.vr else self.vr_of(self.tag)
        return not (self.unit[vr] == 0 and self.bits_of(self.tag) & D_BULK)

    @cython.cfunc
    @cython.nogil
    @cython.exceptval(-1)
    def is_sequence(self) -> cython.int:
        """SQ, or UN or no VR where the dictionary says SQ."""
        return self.vr == VR_SQ or (
            (self.vr == 0 or self.vr == VR_UN) and self.vr_of(self.tag) == VR_SQ
        )

    @cython.cfunc
    @cython.nogil
    @cython.exceptval(-1)
    def take_value(self, value: cython.longlong) -> cython.int:
        """A value of defined length."""
        place: cython.longlong = -1
        have: cython.longlong = self.size - value
        bits: cython.int = F_IMPLICIT if self.plain else 0
        enter: cython.int = self.whole and self.length > 0 and self.is_sequence()
        cut: cython.int = self.length > have
        kept: cython.longlong = min(self.length, have)
        kind: cython.int = -1
        if cut or (self.length > self.most_length and not self.whole):
            kept = min(kept, MOST_RAW)
        if cut or (self.is_wanted() and not enter):
            if self.taken + kept > self.most_bytes:
                self.over_limit(kept)
                return OK
            place = self.at(value, kept)
            if place == -2:
                return NEED
            if not cut and not self.whole:
                kind = self.limit_of(place)
        if place >= 0:
            self.taken += kept
        self.note_order()
        if self.length & 1:
            self.find(K_ODD_LENGTH, self.tag, value, self.length, 0)
        if cut:
            self.find(K_CUT_VALUE, self.tag, value, have, self.length)
            self.find(K_CLIPPED, self.tag, value, have, self.length)
            self.phase = P_END
        elif kind >= 0:
            self.find(kind, self.tag, value, self.values_in(place), self.most_values)
            kept = min(kept, MOST_RAW)
        else:
            kept = self.length
        self.add(place, value, kept, bits | (F_CLIPPED if cut or kind >= 0 else 0))
        self.pos = value + self.length
        if enter and not cut:
            self.enter(value, self.pos, 1 if self.vr == VR_UN else self.plain)
        return OK

    @cython.cfunc
    @cython.nogil
    @cython.exceptval(-1)
    def values_in(self, place: cython.longlong) -> cython.longlong:
        """Number of values; of characters, the backslashes tell."""
        unit: cython.int = self.unit[self.vr if self.vr else self.vr_of(self.tag)]
        i: cython.longlong
        found: cython.longlong = 1
        if self.length > self.most_length:
            return self.length
        if unit != 1:
            return self.length // unit if unit else 0
        for i in range(place, place + self.length):
            if self.arena[i] == 0x5C:
                found += 1
        return found

    @cython.cfunc
    @cython.nogil
    @cython.exceptval(-1)
    def limit_of(self, place: cython.longlong) -> cython.int:
        """Kind of problem of a value that is over a limit; -1 for all others."""
        if self.length > self.most_length:
            return K_LONG_VALUE
        if self.length > self.most_values and self.values_in(place) > self.most_values:
            return K_MANY_VALUES
        return -1

    # --- sequences (PS3.5 7.5) ------------------------------------------------------------------
    # An odd depth stands between the items of a sequence, an even one in an item.

    @cython.cfunc
    @cython.nogil
    @cython.exceptval(-1)
    def enter(
        self, value: cython.longlong, end: cython.longlong, implicit: cython.int
    ) -> cython.int:
        """Go into the sequence of the element that was just added; `end` -2: its delimiter says."""
        self.outer_tag, self.outer_start = self.tag, value
        self.outer_entry = self.count - 1
        self.depth = 1
        self.f_end[1], self.f_implicit[1], self.f_entry[1] = end, implicit, self.outer_entry
        self.pos = value
        self.phase = P_NESTED
        return OK

    @cython.cfunc
    @cython.nogil
    @cython.exceptval(-1)
    def open_outer(self, value: cython.longlong) -> cython.int:
        """A value of undefined length on the top level: a sequence, whatever its VR says."""
        implicit: cython.int = self.plain
        if self.vr == VR_UN:
            implicit = self.looks_implicit(value)
            if implicit == NEED:
                return NEED
            if implicit != NONE:
                implicit -= 10
        self.note_order()
        if self.vr == VR_UN:
            self.find(K_UN_SEQUENCE, self.tag, value, 0, 0)
            if implicit == NONE:
                self.find(K_NO_ITEMS, -1, value, 0, 0)
        elif self.vr != VR_SQ and self.vr != 0:
            self.find(K_UNDEFINED, self.tag, value, self.vr, 0)
        if self.vr == 0:
            self.vr = VR_SQ
        self.add(-1, value, 0, F_UNDEFINED | (F_IMPLICIT if self.plain else 0))
        self.enter(value, -2, implicit | self.opaque())
        if implicit == NONE:
            self.phase = P_SEARCH
        return OK

    @cython.cfunc
    @cython.nogil
    @cython.exceptval(-1)
    def opaque(self) -> cython.int:
        """OPAQUE for items under a VR that has none: their bytes are fragments, not elements."""
        return 0 if self.vr == VR_SQ or self.vr == VR_UN or self.vr == 0 else OPAQUE

    @cython.cfunc
    @cython.nogil
    @cython.exceptval(-1)
    def looks_implicit(self, value: cython.longlong) -> cython.int:
        """Encoding of the items in UN: implicit (CP-246), or explicit as some write it.

        10 for explicit, 11 for implicit, NONE where no item is there.
        """
        place: cython.longlong = self.at(value, 16)
        tag: cython.uint
        if place == -2:
            return NEED
        if self.size - value < 8:
            return 11
        tag = (self.half(place, self.big) << 16) | self.half(place + 2, self.big)
        if tag == SEQUENCE_END:
            return 11
        if tag != ITEM:
            return NONE
        if self.size - value < 16:
            return 11
        return 10 if self.has_vr(place + 8) else 11

    @cython.cfunc
    @cython.nogil
    @cython.exceptval(-1)
    def search_delimiter(self) -> cython.int:
        """Bytes up to a sequence delimiter, in what holds no items."""
        place: cython.longlong
        i: cython.longlong
        have: cython.longlong = min(self.size - self.pos, 4096)
        if self.over_limit(have):
            return OK
        if have < 8:
            self.find(K_NO_END, -1, self.outer_start, 0, 0)
            return self.close_outer(self.size, 0)
        place = self.at(self.pos, have)
        if place == -2:
            return NEED
        for i in range(place, place + have - 7):
            if self.arena[i] == 0xFE and self.word(i, 1) == DELIMITER:
                if self.word(i + 4, 0) == 0:
                    return self.close_outer(self.pos + i - place + 8, 1)
        self.pos += have - 7
        return OK

    @cython.cfunc
    @cython.nogil
    @cython.exceptval(-1)
    def close_outer(self, end: cython.longlong, complete: cython.int) -> cython.int:
        """The outermost sequence ends; or the file does, in the middle of it."""
        i: cython.longlong = self.outer_entry
        self.e_length[i] = max(end, self.outer_start) - self.outer_start
        if not complete:
            self.e_bits[i] |= F_CLIPPED
        self.depth = 0
        self.pos = end
        self.phase = P_TOP if complete else P_END
        return OK

    @cython.cfunc
    @cython.nogil
    @cython.exceptval(-1)
    def frame(self) -> cython.int:
        """Place of the innermost open sequence or item that is kept."""
        return min(self.depth, DEEPEST)

    @cython.cfunc
    @cython.nogil
    @cython.exceptval(-1)
    def end_of_frame(self) -> cython.longlong:
        """Where the innermost sequence or item of defined length ends; -2 without one."""
        return -2 if self.depth > DEEPEST else self.f_end[self.depth]

    @cython.cfunc
    @cython.nogil
    @cython.exceptval(-1)
    def push(self, end: cython.longlong, implicit: cython.int) -> cython.int:
        """Open a sequence or an item."""
        self.depth += 1
        if self.depth <= DEEPEST:
            self.f_end[self.depth], self.f_implicit[self.depth] = end, implicit
            self.f_entry[self.depth] = self.count - 1
        else:
            self.find(K_DEEP, self.tag, self.pos, DEEPEST // 2, 0)
        return OK

    @cython.cfunc
    @cython.nogil
    @cython.exceptval(-1)
    def pop(self) -> cython.int:
        """Close a sequence or an item."""
        entry: cython.longlong
        if self.whole and 0 < self.depth <= DEEPEST:
            entry = self.f_entry[self.depth]
            self.e_length[entry] = self.pos - self.e_offset[entry]
        self.depth -= 1
        if self.depth == 0:
            self.close_outer(self.pos, 1)
        return OK

    @cython.cfunc
    @cython.nogil
    @cython.exceptval(-1)
    def bound(self) -> cython.longlong:
        """Position that nothing here may reach beyond: the nearest defined end, or the file's."""
        i: cython.int
        for i in range(self.frame(), 0, -1):
            if self.f_end[i] >= 0:
                return self.f_end[i]
        return self.size

    @cython.cfunc
    @cython.nogil
    @cython.exceptval(-1)
    def step_nested(self) -> cython.int:
        """An element inside a sequence, or a delimiter."""
        place: cython.longlong
        bound: cython.longlong = self.bound()
        have: cython.longlong = min(bound - self.pos, 12)
        implicit: cython.int = self.f_implicit[self.frame()] & IMPLICIT
        if self.end_of_frame() >= 0 and self.pos >= self.end_of_frame():
            return self.pop()
        if have < 8:
            return self.run_out(bound)
        place = self.at(self.pos, 12)
        if place == -2:
            return NEED
        self.parse(place, have, implicit, self.big)
        if self.over_limit(8):
            return OK
        if self.tag >> 16 == 0xFFFE:
            return self.pass_delimiter(bound)
        if self.depth & 1:
            if self.end_of_frame() >= 0:
                return self.give_up(bound)
            self.find(K_NO_SEQUENCE_END, self.tag, self.pos, 0, 0)
            return self.pop()
        if not self.plain and self.form[self.vr] == 0:
            self.find(K_BAD_VR_INSIDE, self.tag, self.pos, 0, 0)
            if have == 12 and self.half(place + 6, 0) == 0:
                self.head, self.length = 12, self.word(place + 8, self.big)
            self.vr = VR_UN
        if self.head > have:
            return self.run_out(bound)
        return self.take_nested(bound)

    @cython.cfunc
    @cython.nogil
    @cython.exceptval(-1)
    def run_out(self, bound: cython.longlong) -> cython.int:
        """No whole head is left: of a container, or of the file."""
        if bound < self.size:
            if self.pos < bound:
                return self.give_up(bound)
            self.pos = bound
            return self.pop()
        self.find(K_NO_END, -1, self.pos, 0, 0)
        self.find(K_END_INSIDE, -1, self.pos, 0, 0)
        return self.close_outer(self.size, 0)

    @cython.cfunc
    @cython.nogil
    @cython.exceptval(-1)
    def give_up(self, bound: cython.longlong) -> cython.int:
        """What is inside a container is no element: go on behind it, as its length says."""
        self.find(K_INSIDE, self.outer_tag, -1, 0, 0)
        while self.depth > 0 and self.end_of_frame() != bound:
            self.depth -= 1
        self.pos = bound
        return self.pop()

    @cython.cfunc
    @cython.nogil
    @cython.exceptval(-1)
    def overruns(self, end: cython.longlong, bound: cython.longlong) -> cython.int:
        """Whether what ends there is too long; then the rest of its container is left out."""
        if end <= bound:
            return 0
        if bound < self.size or self.f_end[1] >= 0:
            self.give_up(bound)
            return 1
        self.find(
            K_CUT_SEQUENCE,
            self.tag,
            self.outer_start,
            self.size - self.outer_start,
            end - self.outer_start,
        )
        self.find(K_CLIPPED_INSIDE, self.tag, end, 0, 0)
        self.close_outer(self.size, 0)
        return 1

    @cython.cfunc
    @cython.nogil
    @cython.exceptval(-1)
    def pass_delimiter(self, bound: cython.longlong) -> cython.int:
        """An item or a delimiter; missing ones are closed by what follows them."""
        after: cython.longlong = self.pos + 8
        place: cython.longlong
        defined: cython.int = self.end_of_frame() >= 0
        if not self.depth & 1 and not defined and self.tag != ITEM_END:
            if self.tag == ITEM or self.tag == SEQUENCE_END:
                self.find(K_NO_ITEM_END, self.tag, self.pos, 0, 0)
                self.depth -= 1
                defined = self.end_of_frame() >= 0
        if self.tag == ITEM and self.depth & 1:
            if self.length == UNDEFINED:
                self.add_item(-1, after, 0, F_UNDEFINED)
                self.pos = after
                return self.push(-2, self.f_implicit[self.frame()])
            if after + self.length > bound and (bound < self.size or self.f_end[1] >= 0):
                self.find(K_INSIDE, self.outer_tag, -1, 0, 0)
                self.length = bound - after
            if self.overruns(after + self.length, bound):
                return OK
            place = -1
            if self.whole and self.f_implicit[self.frame()] >= OPAQUE:
                place = self.at(self.pos, 8 + self.length)
                if place == -2:
                    return NEED
                place += 8
            self.add_item(place, after, self.length, 0)
            if self.whole and self.depth < DEEPEST and place < 0:
                self.push(after + self.length, self.f_implicit[self.frame()])
                self.pos = after
            else:
                self.pos = after + self.length
            return OK
        self.pos = after
        if not defined and (
            (self.tag == SEQUENCE_END and self.depth & 1)
            or (self.tag == ITEM_END and not self.depth & 1)
        ):
            return self.pop()
        self.find(K_ODD_DELIMITER, self.tag, after - 8, 0, 0)
        return OK

    @cython.cfunc
    @cython.nogil
    @cython.exceptval(-1)
    def add_item(
        self,
        place: cython.longlong,
        offset: cython.longlong,
        length: cython.longlong,
        bits: cython.int,
    ) -> cython.int:
        if self.whole:
            self.add(place, offset, length, bits)
        return OK

    @cython.cfunc
    @cython.nogil
    @cython.exceptval(-1)
    def take_nested(self, bound: cython.longlong) -> cython.int:
        """An element in an item."""
        value: cython.longlong = self.pos + self.head
        place: cython.longlong = -1
        bits: cython.int = F_IMPLICIT if self.plain else 0
        implicit: cython.int = self.plain
        enter: cython.int = self.length == UNDEFINED
        if enter and self.vr == VR_UN:
            implicit = self.looks_implicit(value)
            if implicit == NEED:
                return NEED
            implicit = implicit != 10
        if not enter and self.overruns(value + self.length, bound):
            return OK
        if self.whole and not enter:
            enter = self.is_sequence() and self.depth < DEEPEST and self.length > 0
            if enter:
                implicit = 1 if self.vr == VR_UN else self.plain
            else:
                if self.taken + self.length > self.most_bytes:
                    self.over_limit(self.length)
                    return OK
                place = self.at(value, self.length)
                if place == -2:
                    return NEED
                self.taken += self.length
        if self.whole:
            if self.length == UNDEFINED:
                bits |= F_UNDEFINED
                if self.vr == 0:
                    self.vr = VR_SQ
            self.add(place, value, 0 if self.length == UNDEFINED else self.length, bits)
        self.pos = value
        if enter:
            if self.length == UNDEFINED:
                return self.push(-2, implicit | self.opaque())
            return self.push(value + self.length, implicit)
        self.pos += self.length
        return OK

    # --- pixels (PS3.5 A.4) ---------------------------------------------------------------------

    @cython.cfunc
    @cython.nogil
    @cython.exceptval(-1)
    def take_pixels(self, value: cython.longlong) -> cython.int:
        """Pixel Data: its place; behind it, elements may follow."""
        place: cython.longlong = 0
        have: cython.longlong = self.size - value
        first: cython.int = self.rows[R_PIXEL_OFFSET, self.row] < 0
        if self.length == UNDEFINED and first:
            self.exact = 1
            place = self.at(self.size - 8, 8)
            if place == -2:
                return NEED
            self.exact = 0
        if first:
            self.rows[R_PIXEL_TAG, self.row] = self.tag
            self.rows[R_PIXEL_OFFSET, self.row] = value
            self.rows[R_PIXEL_LENGTH, self.row] = -1 if self.length == UNDEFINED else self.length
        self.note_order()
        self.behind = 1
        if self.length == UNDEFINED:
            self.pos = self.outer_start = value
            self.outer_tag = self.tag
            self.phase = P_FRAGMENTS
            if first and self.word(place, 1) == DELIMITER and self.word(place + 4, 1) == 0:
                self.phase = P_END
        elif self.length > have:
            self.find(K_CUT_PIXELS, self.tag, value, max(have, 0), self.length)
            self.phase = P_END
        else:
            self.pos = value + self.length
        return OK

    @cython.cfunc
    @cython.nogil
    @cython.exceptval(-1)
    def step_fragment(self) -> cython.int:
        """A fragment of encapsulated pixels whose file does not end with their delimiter."""
        start: cython.longlong = self.outer_start
        place: cython.longlong
        if self.size - self.pos < 8:
            self.find(K_NO_FRAGMENTS_END, self.outer_tag, start, self.size - start, self.pos)
            self.phase = P_END
            return OK
        self.exact = 1
        place = self.at(self.pos, 8)
        if place == -2:
            return NEED
        self.exact = 0
        self.parse(place, 8, 0, 0)
        if self.over_limit(8):
            return OK
        if self.tag == SEQUENCE_END:
            self.pos += 8
            self.phase = P_TOP
        elif self.tag != ITEM:
            self.find(K_NO_FRAGMENT, self.outer_tag, start, self.pos - start, self.pos)
            self.phase = P_END
        else:
            self.pos += 8 + self.length
            if self.pos > self.size:
                self.find(
                    K_CUT_FRAGMENTS,
                    self.outer_tag,
                    start,
                    self.size - start,
                    self.pos - start + 8,
                )
                self.phase = P_END
        return OK

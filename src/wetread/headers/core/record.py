# cython: language_level=3, boundscheck=True, wraparound=False, cdivision=True
# cython: initializedcheck=False
"""Elements and problems found in a file, and the data dictionary (PS3.6)."""

import cython

from wetread.headers.problems import NUMBER

K_BUDGET = cython.declare(cython.int, NUMBER["BUDGET"])
K_ELEMENTS = cython.declare(cython.int, NUMBER["ELEMENTS"])
K_INFLATED_BUDGET = cython.declare(cython.int, NUMBER["INFLATED_BUDGET"])
K_ORDER = cython.declare(cython.int, NUMBER["ORDER"])
K_PROBLEMS = cython.declare(cython.int, NUMBER["PROBLEMS"])


class Record(Source):
    """Elements and problems found in a file, and the data dictionary (PS3.6)."""

    def find(self, kind, tag, offset, a, b):
        """Note a problem, each code once per tag; only the first one about the order of tags."""
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

    def add(self, base, offset, length, bits):
        """Note the current element; its value is at `base` in the arena, -1 if it was not read."""
        i: cython.longlong = self.count
        if not self.tag & 0xFFFF and not self.whole and not bits & F_KEPT and self.depth == 0:
            return OK  # a group length: no column
        self.e_row[i], self.e_tag[i], self.e_vr[i] = self.row, self.tag, self.vr
        self.e_depth[i], self.e_bits[i] = min(self.depth, 255), bits
        self.e_start[i], self.e_length[i], self.e_offset[i] = base, length, offset
        self.count += 1
        if base >= 0:
            if base - (8 if self.depth & 1 else 0) < self.tail:
                self.ascending = 0
            self.tail = base + length
        self.nested += self.depth > 0
        return OK

    def no_room(self):
        return self.count + 4 > self.e_row.shape[0]

    def over_limit(self, count):
        """Count a step and its bytes, once; True if a limit is exceeded, which ends the row."""
        if self.pos != self.counted:
            self.counted = self.pos
            self.elements += 1
            self.taken += count
        if self.taken <= self.most_bytes and self.elements <= self.most_elements:
            return 0
        return self.stop_at_limit()

    def stop_at_limit(self):
        """End a row that exceeds a limit."""
        if self.taken > self.most_bytes:
            self.find(K_INFLATED_BUDGET if self.deflated else K_BUDGET, -1, -1, self.most_bytes, 0)
        else:
            self.find(K_ELEMENTS, -1, -1, self.most_elements, 0)
        self.end_early()
        return 1

    def stop(self):
        """End the row; an open sequence is kept as far as it was read."""
        if self.depth > 0:
            self.close_outer(self.pos, 0)
        self.phase = P_END
        return OK

    def close_outer(self, end, complete):
        """Close the outermost sequence, at its end or at the end of the file."""
        i: cython.longlong = self.outer_entry
        self.e_length[i] = max(end, self.outer_start) - self.outer_start
        if not complete:
            self.e_bits[i] |= F_CLIPPED
        self.depth = 0
        self.pos = end
        self.phase = P_TOP if complete else P_END
        return OK

    def parse(self, place, have, implicit, big):
        """Parse the head of an element, of `have` bytes, at least 8 (PS3.5 7.1.2, 7.1.3).

        Sets tag, vr (0 where the file has none), length and the size of the head.
        """
        word: cython.uint = self.word(place, big)
        self.tag = word if big else word << 16 | word >> 16
        self.vr, self.head, self.plain = 0, 8, 1
        if implicit or self.tag >> 16 == 0xFFFE:
            self.length = self.word(place + 4, big)
            return OK
        word = self.word(place + 4, 0)
        self.plain = 0
        self.vr = word & 0xFFFF
        if self.form[self.vr] == 2:
            self.head = 12
            self.length = self.word(place + 8, big) if have >= 12 else 0
        elif big:
            self.length = (word >> 8 & 0xFF00) | word >> 24
        else:
            self.length = word >> 16
        return OK

    def has_vr(self, place):
        """True if the head at a place has an explicit value representation."""
        return self.form[self.arena[place + 4] | (self.arena[place + 5] << 8)]

    def slot(self, tag):
        """Slot of a tag in the dictionary; -2 if it is unknown."""
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

    def slot_of(self, tag):
        i: cython.uint = (tag * cython.cast(cython.uint, 2654435769)) >> 16
        while self.slot_tag[i] != NO_TAG:
            if self.slot_tag[i] == tag:
                return i
            i = (i + 1) & 0xFFFF
        return -2

    def is_vendor(self):
        """True for a private element with a column, and for the creators of its group."""
        i: cython.int
        if not self.tag & 0xFF00:
            i = self.slot_of(self.tag - (self.tag & 0xFFFF))
        else:
            i = self.slot_of(self.tag - (self.tag & 0xFF00))
        return i >= 0 and self.slot_bits[i] & D_VENDOR != 0 and self.length <= self.most_length

    def vr_of(self, tag):
        """First value representation that the dictionary has; UN for unknown elements."""
        i: cython.int = self.slot(tag)
        return VR_UN if i < 0 else self.slot_vr[i]

    def bits_of(self, tag):
        i: cython.int = self.slot(tag)
        return D_BULK if i < 0 else self.slot_bits[i]

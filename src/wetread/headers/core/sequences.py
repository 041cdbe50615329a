# cython: language_level=3, boundscheck=True, wraparound=False, cdivision=True
# cython: initializedcheck=False
"""Sequences of items (PS3.5 7.5)."""

import cython

from wetread.headers.problems import NUMBER

K_BAD_VR_INSIDE = cython.declare(cython.int, NUMBER["BAD_VR_INSIDE"])
K_CLIPPED_INSIDE = cython.declare(cython.int, NUMBER["CLIPPED_INSIDE"])
K_CUT_SEQUENCE = cython.declare(cython.int, NUMBER["CUT_SEQUENCE"])
K_DEEP = cython.declare(cython.int, NUMBER["DEEP"])
K_END_INSIDE = cython.declare(cython.int, NUMBER["END_INSIDE"])
K_INSIDE = cython.declare(cython.int, NUMBER["INSIDE"])
K_NO_END = cython.declare(cython.int, NUMBER["NO_END"])
K_NO_ITEMS = cython.declare(cython.int, NUMBER["NO_ITEMS"])
K_NO_ITEM_END = cython.declare(cython.int, NUMBER["NO_ITEM_END"])
K_NO_SEQUENCE_END = cython.declare(cython.int, NUMBER["NO_SEQUENCE_END"])
K_ODD_DELIMITER = cython.declare(cython.int, NUMBER["ODD_DELIMITER"])
K_UNDEFINED = cython.declare(cython.int, NUMBER["UNDEFINED"])
K_UN_SEQUENCE = cython.declare(cython.int, NUMBER["UN_SEQUENCE"])


class Sequences(Meta):
    """Sequences of items (PS3.5 7.5)."""

    def end_early(self):
        """End the row early; of a sequence with a length, go on behind it."""
        if self.depth == 0 or self.whole or self.f_end[1] < 0:
            return self.stop()
        self.elements, self.taken = self.outer_elements, self.outer_taken
        self.close_outer(self.f_end[1], 1)
        self.e_bits[self.outer_entry] |= F_CLIPPED
        return OK

    def note_order(self):
        if self.tag < self.last:
            self.find(K_ORDER, self.tag, self.pos, 0, self.last)
        self.last = self.tag
        return OK

    def is_sequence(self):
        """True for SQ, and for UN or no VR if the dictionary has SQ."""
        return self.vr == VR_SQ or (
            (self.vr == 0 or self.vr == VR_UN) and self.vr_of(self.tag) == VR_SQ
        )

    def is_kept(self):
        """True if the content of the sequence is kept, such as that of functional groups."""
        return self.whole or self.tag == SHARED_GROUPS or self.tag == PER_FRAME_GROUPS

    def enter(self, value, end, implicit):
        """Enter the sequence of the element added last; `end` is -2 for an undefined length."""
        self.deep = self.is_kept()
        self.outer_elements, self.outer_taken = self.elements, self.taken
        self.outer_tag, self.outer_start = self.tag, value
        self.outer_entry = self.count - 1
        self.depth = 1
        self.f_end[1], self.f_implicit[1], self.f_entry[1] = end, implicit, self.outer_entry
        self.pos = value
        self.phase = P_NESTED
        return OK

    def open_outer(self, value):
        """Open a value of undefined length on the top level: a sequence, for any VR."""
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

    def opaque(self):
        """OPAQUE for items under a VR that has none: their bytes are fragments, not elements."""
        return 0 if self.vr == VR_SQ or self.vr == VR_UN or self.vr == 0 else OPAQUE

    def looks_implicit(self, value):
        """Encoding of the items in UN: implicit (CP-246), or explicit, which also occurs.

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

    def search_delimiter(self):
        """Skip to a sequence delimiter, in a value without items."""
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
            if self.view_first > self.outer_start:
                self.drop_window()  # nothing of it is kept
            return NEED
        for i in range(place, place + have - 7):
            if self.arena[i] == 0xFE and self.word(i, 1) == DELIMITER:
                if self.word(i + 4, 0) == 0:
                    return self.close_outer(self.pos + i - place + 8, 1)
        self.pos += have - 7
        return OK

    def frame(self):
        """Place of the innermost open sequence or item that is kept."""
        return min(self.depth, DEEPEST)

    def end_of_frame(self):
        """End of the innermost sequence or item of defined length; -2 without one."""
        return -2 if self.depth > DEEPEST else self.f_end[self.depth]

    def push(self, end, implicit):
        """Open a sequence or an item."""
        self.depth += 1
        if self.depth <= DEEPEST:
            self.f_end[self.depth], self.f_implicit[self.depth] = end, implicit
            self.f_entry[self.depth] = self.count - 1
        else:
            self.find(K_DEEP, self.tag, self.pos, DEEPEST // 2, 0)
        return OK

    def pop(self):
        """Close a sequence or an item."""
        entry: cython.longlong
        if self.deep and 0 < self.depth <= DEEPEST:
            entry = self.f_entry[self.depth]
            self.e_length[entry] = self.pos - self.e_offset[entry]
        self.depth -= 1
        if self.depth == 0:
            self.close_outer(self.pos, 1)
        return OK

    def bound(self):
        """Nearest defined end of an open sequence or item, or of the file."""
        i: cython.int
        for i in range(self.frame(), 0, -1):
            if self.f_end[i] >= 0:
                return self.f_end[i]
        return self.size

    def step_nested(self):
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

    def run_out(self, bound):
        """End a container, or the file, with less than a whole head left."""
        if bound < self.size:
            if self.pos < bound:
                return self.give_up(bound)
            self.pos = bound
            return self.pop()
        self.find(K_NO_END, -1, self.pos, 0, 0)
        self.find(K_END_INSIDE, -1, self.pos, 0, 0)
        return self.close_outer(self.size, 0)

    def give_up(self, bound):
        """Leave a container with bytes that are no element: go on behind it, by its length."""
        self.find(K_INSIDE, self.outer_tag, -1, 0, 0)
        while self.depth > 0 and self.end_of_frame() != bound:
            self.depth -= 1
        self.pos = bound
        return self.pop()

    def overruns(self, end, bound):
        """True if an end lies beyond the container; then the rest of the container is left out."""
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

    def pass_delimiter(self, bound):
        """An item or a delimiter; missing ones are closed by what follows them."""
        after: cython.longlong = self.pos + 8
        place: cython.longlong
        opaque: cython.int
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
            opaque = self.f_implicit[self.frame()] >= OPAQUE
            if self.whole and opaque:
                place = self.at(self.pos, 8 + self.length)
                if place == -2:
                    return NEED
                place += 8
            self.add_item(place, after, self.length, 0)
            if not opaque and self.keeps_items():
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

    def keeps_items(self):
        """True if the items of the innermost open sequence are entered by their length."""
        if not self.deep or self.depth >= DEEPEST:
            return 0
        if self.whole or self.depth == 1:
            return 1
        return self.bits_of(self.e_tag[self.f_entry[self.depth]]) & D_GROUP

    def add_item(self, place, offset, length, bits):
        if self.deep:
            self.add(place, offset, length, bits)
        return OK

    def take_nested(self, bound):
        """An element in an item."""
        value: cython.longlong = self.pos + self.head
        place: cython.longlong = -1
        bits: cython.int = F_IMPLICIT if self.plain else 0
        implicit: cython.int = self.plain
        enter: cython.int = self.length == UNDEFINED
        wanted: cython.int = self.whole or (self.deep and self.bits_of(self.tag) & D_GROUP != 0)
        if enter and self.vr == VR_UN:
            implicit = self.looks_implicit(value)
            if implicit == NEED:
                return NEED
            implicit = implicit != 10
        if not enter and self.overruns(value + self.length, bound):
            return OK
        if wanted and not enter:
            enter = self.is_sequence() and self.depth < DEEPEST and self.length > 0
            if enter:
                implicit = 1 if self.vr == VR_UN else self.plain
            elif self.whole or self.length <= self.most_values:
                if self.taken + self.length > self.most_bytes:
                    self.taken += self.length
                    self.stop_at_limit()
                    return OK
                place = self.at(value, self.length)
                if place == -2:
                    return NEED
                self.taken += self.length
        if wanted or (self.deep and enter):
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

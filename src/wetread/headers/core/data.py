# cython: language_level=3, boundscheck=True, wraparound=False, cdivision=True
# cython: initializedcheck=False
"""Elements of the top level (PS3.5 7.1) and pixels (PS3.5 A.4)."""

import cython

from wetread.headers.problems import NUMBER

K_BAD_VR = cython.declare(cython.int, NUMBER["BAD_VR"])
K_CLIPPED = cython.declare(cython.int, NUMBER["CLIPPED"])
K_CUT_FRAGMENTS = cython.declare(cython.int, NUMBER["CUT_FRAGMENTS"])
K_CUT_HEAD = cython.declare(cython.int, NUMBER["CUT_HEAD"])
K_CUT_PIXELS = cython.declare(cython.int, NUMBER["CUT_PIXELS"])
K_CUT_VALUE = cython.declare(cython.int, NUMBER["CUT_VALUE"])
K_FULL_BYTES = cython.declare(cython.int, NUMBER["FULL_BYTES"])
K_FULL_ELEMENTS = cython.declare(cython.int, NUMBER["FULL_ELEMENTS"])
K_LONG_VALUE = cython.declare(cython.int, NUMBER["LONG_VALUE"])
K_MANY_VALUES = cython.declare(cython.int, NUMBER["MANY_VALUES"])
K_NO_ELEMENT = cython.declare(cython.int, NUMBER["NO_ELEMENT"])
K_NO_FRAGMENT = cython.declare(cython.int, NUMBER["NO_FRAGMENT"])
K_NO_FRAGMENTS_END = cython.declare(cython.int, NUMBER["NO_FRAGMENTS_END"])
K_NO_VR = cython.declare(cython.int, NUMBER["NO_VR"])
K_ODD_LENGTH = cython.declare(cython.int, NUMBER["ODD_LENGTH"])
K_STRAY = cython.declare(cython.int, NUMBER["STRAY"])
K_ZEROS = cython.declare(cython.int, NUMBER["ZEROS"])


class DataSet(Sequences):
    """Elements of the top level (PS3.5 7.1) and pixels (PS3.5 A.4)."""

    def step_top(self):
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
            if self.is_full(0):
                self.phase = P_END
                return OK
            return self.open_outer(value)
        else:
            return self.take_value(value)
        return OK

    def end_top(self, have):
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

    def check_head(self, place, have):
        """Repair a head without a VR of the standard; DONE if it is not an element."""
        status: cython.int
        tag: cython.uint = self.tag
        if tag == 0 and self.word(place + 4, 0) == 0:
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

    def mend(self, place, have):
        """Read an unknown VR as UN, in the form after which the next element can be read.

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

    def is_wanted(self):
        """True if the bytes of the value are needed: of some only the length becomes a column."""
        vr: cython.int
        if self.whole:
            return 1
        if self.tag & 0x10000:
            return self.is_vendor()
        vr = self.vr if self.vr else self.vr_of(self.tag)
        return not (self.unit[vr] == 0 and self.bits_of(self.tag) & D_BULK)

    def take_value(self, value):
        """A value of defined length."""
        place: cython.longlong = -1
        have: cython.longlong = self.size - value
        bits: cython.int = F_IMPLICIT if self.plain else 0
        enter: cython.int = self.length > 0 and self.is_kept() and self.is_sequence()
        wanted: cython.int = self.is_wanted() and not enter
        cut: cython.int = self.length > have
        kept: cython.longlong = min(self.length, have)
        kind: cython.int = -2
        if cut or (self.length > self.most_length and not self.whole):
            kept = min(kept, MOST_RAW)
        elif self.is_full(kept if wanted else 0):
            self.note_order()
            self.pos = value + self.length
            return OK
        if cut or wanted:
            if self.taken + kept > self.most_bytes:
                self.taken += kept
                self.stop_at_limit()
                return OK
            place = self.at(value, kept)
            if place == -2:
                return NEED
            if not cut and not self.whole:
                kind = self.limit_of(place)
        if place >= 0:
            self.taken += kept
            self.valued += 0 if self.tag & 0x10000 else kept
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
        if cut or kind >= 0:
            self.add(place, value, kept, bits | F_CLIPPED)
        elif wanted or enter or not self.tag & 0x10000:  # else private, without a column
            self.add(place, value, kept, bits)
        self.pos = value + self.length
        if enter and not cut:
            self.enter(value, self.pos, 1 if self.vr == VR_UN else self.plain)
        return OK

    def is_full(self, kept):
        """True if the row has the most elements, or bytes of values; the others are left out.

        Short values, such as the size of the image, have room in any case.
        """
        if self.whole or self.tag & 0x10000:
            return 0
        if self.count - self.first_element - self.nested >= self.most_values:
            self.find(K_FULL_ELEMENTS, -1, self.pos, self.most_values, 0)
            return 1
        if kept > SHORT and self.valued + kept > self.most_row:
            self.find(K_FULL_BYTES, -1, self.pos, self.most_row, 0)
            return 1
        return 0

    def values_in(self, place):
        """Number of values; in text, the backslashes are counted."""
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

    def limit_of(self, place):
        """Kind of problem of a value that is over a limit; -2 for all others."""
        if self.length > self.most_length:
            return K_LONG_VALUE
        if self.length > self.most_values and self.values_in(place) > self.most_values:
            return K_MANY_VALUES
        return -2

    def take_pixels(self, value):
        """Pixel Data: note the position; elements may follow."""
        have: cython.longlong = self.size - value
        first: cython.int = self.rows[R_PIXEL_OFFSET, self.row] < 0
        self.closed = 0
        if first:
            if self.see_pixels(value) == NEED:
                return NEED
            self.rows[R_PIXEL_TAG, self.row] = self.tag
            self.rows[R_PIXEL_OFFSET, self.row] = value
            self.rows[R_PIXEL_LENGTH, self.row] = -1 if self.length == UNDEFINED else self.length
        self.note_order()
        self.behind = 1
        if self.length == UNDEFINED:
            self.pos = self.outer_start = value
            self.outer_tag = self.tag
            self.frame_size, self.fragments = -1, 0
            self.phase = P_FRAGMENTS
            if self.closed and not self.has_few_frames():
                self.phase = P_END
        elif self.length > have:
            self.find(K_CUT_PIXELS, self.tag, value, max(have, 0), self.length)
            self.phase = P_END
        else:
            self.pos = value + self.length
        return OK

    def see_pixels(self, value):
        """Note if the first bytes of pixels are encoded, and if the file ends with a delimiter."""
        place: cython.longlong
        have: cython.longlong = min(self.size - value, PIXEL_HEAD)
        if have > 0 and (self.deflated or value + have <= self.head_size):
            place = self.at(value, have)
            if place == -2:
                return NEED
            if have >= 4 and self.word(place, 1) in (ITEM, SWAPPED_ITEM):
                self.rows[R_ENCODED, self.row] = 1
            elif not self.starts_with(place, 0xFF, 0x0A):  # too few bytes for bare JPEG XL
                self.rows[R_ENCODED, self.row] = self.start_size(place, have) > 0
        if self.length == UNDEFINED:
            self.exact = 1
            place = self.at(self.size - 8, 8)
            if place == -2:
                return NEED
            self.exact = 0
            self.closed = self.word(place, 1) == DELIMITER and self.word(place + 4, 1) == 0
        return OK

    def start_size(self, place, have):
        """Number of bytes with which every frame starts, by those of the first; 0 if unknown."""
        i: cython.Py_ssize_t
        k: cython.Py_ssize_t
        for i in range(self.starts.shape[0]):
            k = 0
            while k < min(self.start_sizes[i], have) and self.arena[place + k] == self.starts[i, k]:
                k += 1
            if k == self.start_sizes[i]:
                return k
        if self.starts_with(place, 0xFF, 0x0A) and have >= 5:
            return 5  # a bare stream of JPEG XL, with the size of the image
        if have >= 8 and 1 <= self.word(place, 0) <= 15 and self.word(place + 4, 0) == 64:
            return 8  # RLE: the number of segments, and where the first one is
        return 0

    def has_few_frames(self):
        """True if the last Number of Frames is not above FEW."""
        i: cython.longlong
        k: cython.longlong
        frames: cython.longlong = 0
        for i in range(self.first_element, self.count):
            if self.e_tag[i] == NUMBER_OF_FRAMES and self.e_depth[i] == 0 and self.e_start[i] >= 0:
                frames = 0
                for k in range(self.e_start[i], self.e_start[i] + self.e_length[i]):
                    if 0x30 <= self.arena[k] <= 0x39 and frames <= FEW:
                        frames = frames * 10 + self.arena[k] - 0x30
        return frames <= FEW

    def step_fragment(self):
        """A fragment of encapsulated pixels."""
        start: cython.longlong = self.outer_start
        place: cython.longlong
        have: cython.longlong = min(self.size - self.pos, 8 + PIXEL_HEAD)
        if have < 8:
            return self.end_fragments(K_NO_FRAGMENTS_END, self.size - start, self.pos)
        self.exact = self.length > SHORT  # of short ones a window has many
        place = self.at(self.pos, have)
        if place == -2:
            return NEED
        self.exact = 0
        self.parse(place, 8, 0, 0)
        if self.over_limit(8):
            return OK
        if self.tag == SEQUENCE_END:
            self.pos += 8
            self.phase = P_END if self.closed else P_TOP
            return OK
        if self.tag != ITEM:
            return self.end_fragments(K_NO_FRAGMENT, self.pos - start, self.pos)
        self.count_frame(place + 8, have - 8)
        self.pos += 8 + self.length
        if self.pos > self.size:
            return self.end_fragments(K_CUT_FRAGMENTS, self.size - start, self.pos - start + 8)
        return OK

    def end_fragments(self, kind, have, need):
        """End a row whose fragments do not end with a delimiter."""
        if not self.closed:
            self.find(kind, self.outer_tag, self.outer_start, have, need)
        self.phase = P_END
        return OK

    def count_frame(self, place, have):
        """Count a fragment that starts as the first one behind the offset table does."""
        k: cython.longlong
        self.fragments += 1
        if self.closed and (self.frame_size == 0 or self.fragments > MOST_FRAGMENTS):
            self.phase = P_END
        if self.outer_start != self.rows[R_PIXEL_OFFSET, self.row]:
            return OK  # a second element with pixels
        if self.phase == P_END or self.fragments == 1 or self.length == 0:
            return OK
        if self.frame_size < 0:
            self.frame_size = self.start_size(place, have)
            for k in range(self.frame_size):
                self.frame_start[k] = self.arena[place + k]
        k = 0
        while k < min(self.frame_size, have) and self.arena[place + k] == self.frame_start[k]:
            k += 1
        if k == self.frame_size > 0:
            self.rows[R_FRAMES, self.row] += 1
        return OK

# cython: language_level=3, boundscheck=True, wraparound=False, cdivision=True
# cython: initializedcheck=False
"""File Meta group (PS3.10 7.1) and encoding of the data set (PS3.5 annex A)."""

import cython

from wetread.headers.problems import NUMBER

K_DAMAGED = cython.declare(cython.int, NUMBER["DAMAGED"])
K_DATA_SET_AT = cython.declare(cython.int, NUMBER["DATA_SET_AT"])
K_DATA_SET_AT_0 = cython.declare(cython.int, NUMBER["DATA_SET_AT_0"])
K_DICM_AT_0 = cython.declare(cython.int, NUMBER["DICM_AT_0"])
K_EMPTY = cython.declare(cython.int, NUMBER["EMPTY"])
K_INFERRED = cython.declare(cython.int, NUMBER["INFERRED"])
K_META_LENGTH = cython.declare(cython.int, NUMBER["META_LENGTH"])
K_META_WITHOUT_DICM = cython.declare(cython.int, NUMBER["META_WITHOUT_DICM"])
K_NOT_DEFLATED = cython.declare(cython.int, NUMBER["NOT_DEFLATED"])
K_NOT_DICOM = cython.declare(cython.int, NUMBER["NOT_DICOM"])
K_NO_DATA_SET = cython.declare(cython.int, NUMBER["NO_DATA_SET"])
K_NO_META = cython.declare(cython.int, NUMBER["NO_META"])
K_PROGRAM = cython.declare(cython.int, NUMBER["PROGRAM"])
K_READ_AS = cython.declare(cython.int, NUMBER["READ_AS"])
K_UNKNOWN_READ_AS = cython.declare(cython.int, NUMBER["UNKNOWN_READ_AS"])
K_UNKNOWN_SYNTAX = cython.declare(cython.int, NUMBER["UNKNOWN_SYNTAX"])


class Meta(Record):
    """File Meta group (PS3.10 7.1) and encoding of the data set (PS3.5 annex A)."""

    def find_meta(self):
        """Start of the File Meta group (PS3.10 7.1), or of the data set if there is none."""
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

    def is_dicm(self, place):
        return self.word(place, 1) == 0x4449434D

    def begin_meta(self, start):
        self.start = self.pos = start
        self.stated = -1
        self.phase = P_META
        return OK

    def check_program(self, place):
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

    def is_meta(self, place):
        """True for an element of the File Meta group: group 2 in UL, OB or UI."""
        vr: cython.int = self.arena[place + 4] << 8 | self.arena[place + 5]
        return self.starts_with(place, 2, 0) and (vr == 0x554C or vr == 0x4F42 or vr == 0x5549)

    def step_meta(self):
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

    def end_meta(self):
        if self.pos == self.start:
            self.find(K_NO_META, -1, self.start, 0, 0)
        elif self.stated >= 0 and self.stated != self.pos and self.pos < self.size:
            self.find(K_META_LENGTH, 0x00020000, self.stated_at, self.pos, self.stated)
        self.start = self.pos
        self.phase = P_SETTLE
        return OK

    def stated_bits(self):
        """Bits of the stated Transfer Syntax UID; 0 for an unknown one."""
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

    def settle(self):
        """Detect the encoding of the bytes; a problem if it is not the stated one."""
        stated: cython.int = self.rows[R_TEXT_LENGTH, self.row] > 0
        bits: cython.int = self.stated_bits() if stated else 0
        stated_encoding: cython.int = bits & (IMPLICIT | BIG)
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
        seen = stated_encoding
        if self.size - self.pos >= 8:
            seen = self.see_encoding(stated_encoding)
            if seen >= 16:
                return NEED
            if not stated:
                self.rows[R_SYNTAX, self.row] = seen
                self.find(K_INFERRED, 0x00020010, self.pos, seen, 0)
            elif seen != stated_encoding:
                self.find(
                    K_READ_AS if bits & KNOWN else K_UNKNOWN_READ_AS, 0x00020010, self.pos, seen, 0
                )
                if (seen ^ stated_encoding) & BIG:
                    self.rows[R_SYNTAX, self.row] = -1  # pixels are never swapped by a guess
                elif not bits & ENCAPSULATED:
                    self.rows[R_SYNTAX, self.row] = seen
        return self.begin_top(seen)

    def settle_undeflated(self):
        """Settle a data set that is not deflated as stated, by its bytes."""
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

    def begin_top(self, encoding):
        self.implicit, self.big = encoding & IMPLICIT, (encoding & BIG) >> 1
        self.rows[R_ENCODING, self.row] = encoding
        self.phase = P_TOP
        return OK

    def see_encoding(self, stated_encoding):
        """The stated encoding if the first element can be read in it, else the one that fits.

        16 where bytes are needed.
        """
        place: cython.longlong = self.at(self.pos, 12)
        group: cython.int
        other: cython.int
        seen: cython.int
        if place == -2:
            return 16
        group = self.half(place, stated_encoding & BIG)
        other = self.half(place, (stated_encoding ^ BIG) & BIG)
        if 0 < group < 0x7FE1 and (self.has_vr(place) > 0) != (stated_encoding & IMPLICIT):
            if group < 0x100 or other >= 0x100:
                return stated_encoding
        seen = self.probe(self.pos)
        if seen == NEED:
            return 16
        return stated_encoding if seen == NONE else seen - 10

    def probe(self, start):
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

    def fits(self, start, implicit, big):
        """DONE if three elements, or fewer at the end of the data set, fit an encoding."""
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

    def plausible(self, implicit):
        if implicit:
            return (
                self.bits_of(self.tag) & D_LISTED
                or self.tag & 0x1FFFF == 0
                or self.tag & 0x10000 != 0
            )
        return self.form[self.vr] > 0

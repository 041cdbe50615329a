# cython: language_level=3, boundscheck=True, wraparound=False, cdivision=True
# cython: initializedcheck=False
"""Columns of Arrow, written from elements in three passes: settle, measure, write."""

import cython

SILENT = cython.declare(cython.int, 0x4E55)  # UN, or no VR at all: the dictionary's counts
ONES = cython.declare(cython.ulonglong, 0x0101010101010101)
ONE = cython.declare(cython.ulonglong, 1)
LOW = cython.declare(cython.ulonglong, 0x7F7F7F7F7F7F7F7F)
BACKSLASHES = cython.declare(cython.ulonglong, 0x5C5C5C5C5C5C5C5C)
ESCAPES = cython.declare(cython.ulonglong, 0x1B1B1B1B1B1B1B1B)
PIXEL_REPRESENTATION = cython.declare(cython.uint, 0x00280103)


class ColumnBuilder(Numbers):
    """Buffers of all columns of a block (Arrow's columnar format), one element after the other.

    An element that is the last one of its column in its row has a value in the column.
    """

    def __init__(self, arena, elements, values, columns, families):
        Numbers.__init__(self, arena, families)
        self.e_row, self.e_tag, self.e_vr = elements.row, elements.tag, elements.vr
        self.e_start, self.e_length = elements.start, elements.length
        self.code, self.family, self.odd = values.code, values.family, values.odd
        self.copies, self.start, self.size = values.copies, values.start, values.size
        self.family_of, self.vrs, self.trim = columns.family, columns.vrs, columns.trim
        self.usual_vr = columns.usual_vr
        self.is_list, self.is_dual = columns.is_list, columns.dual
        self.is_unknown, self.stated, self.unit = columns.unknown, families.of_vr, families.unit

    # --- settle: the family by which each value is read

    def settle(self, signed: cython.uchar[::1], last: cython.longlong[::1]):
        """Settle the family of each element, NO_FAMILY if it has no place in a column.

        `signed`: zeros for the rows. `last`: -1 for every column.
        """
        i: cython.Py_ssize_t
        before: cython.longlong
        code: cython.int
        with cython.nogil:
            for i in range(self.code.shape[0]):
                if self.e_tag[i] == PIXEL_REPRESENTATION and self.e_length[i] == 2:
                    if self.code[i] < SKIPPED and self.e_start[i] >= 0:
                        signed[self.e_row[i]] = self.arena[self.e_start[i]] == 1
            for i in range(self.code.shape[0]):
                code = self.code[i]
                if code >= SKIPPED:
                    self.family[i] = NO_FAMILY
                    continue
                before = last[code]
                if before >= 0 and self.e_row[before] == self.e_row[i]:
                    self.family[before], self.odd[before] = NO_FAMILY, 0
                    self.code[before] = SKIPPED
                    self.copies[i] = self.copies[before] + 1
                    self.odd[i] = REPEATED
                last[code] = i
                if self.e_vr[i] == self.usual_vr[code] and self.e_start[i] >= 0:
                    self.family[i] = self.family_of[code]
                else:
                    self.settle_element(i, signed[self.e_row[i]])

    def settle_element(self, i, signed_row):
        """As in the dictionary where the bytes allow it (PS3.5 6.2.2, PS3.6)."""
        code: cython.int = self.code[i]
        family: cython.int = self.family_of[code]
        vr: cython.int = self.e_vr[i]
        stated: cython.int = self.stated[vr]
        silent: cython.int = vr == 0 or vr == SILENT
        agree: cython.int
        if self.is_dual[code] and (stated == SS or (silent and signed_row)):
            family = SS
        agree = silent or family == stated or (family <= DATE and stated <= DATE)
        if not agree or (self.e_start[i] < 0 and family < LENGTH):
            self.odd[i] |= OTHER_FAMILY
        if not silent and vr != self.vrs[0, code] and vr != self.vrs[1, code]:
            self.odd[i] |= OTHER_VR
        if self.is_unknown[code]:
            self.odd[i] |= UNKNOWN
        if self.odd[i] & (OTHER_FAMILY | UNKNOWN) or family == SEQUENCE:
            family = NO_FAMILY
        self.family[i] = family
        return OK

    # --- measure: the size of each value, and of all values of a column

    def measure(self, counts: cython.longlong[:, ::1]):
        """Measure values and columns; `counts`: zeros for every column."""
        i: cython.Py_ssize_t
        self.counts = counts
        with cython.nogil:
            for i in range(self.family.shape[0]):
                if self.family[i] != NO_FAMILY:
                    self.measure_element(i)

    def measure_element(self, i):
        """Size of a value, -1 for none; a binary value that is no number has no family."""
        family: cython.int = self.family[i]
        length: cython.longlong = self.e_length[i]
        first: cython.longlong = self.e_start[i]
        unit: cython.int = self.unit[family]
        self.start[i] = first
        if family <= DATE:
            length = self.trimmed(first, first + length) - first
            if not self.scan_text(first, first + length):
                self.odd[i] |= NOT_ASCII
        elif family != LENGTH:
            if length % unit or (length > unit and not self.is_list[self.code[i]]):
                self.odd[i] |= MISFIT
                self.family[i] = NO_FAMILY
                return OK
        self.size[i] = length if length else -1
        return self.count_element(i)

    def trimmed(self, first, end):
        """End without trailing spaces and NULs."""
        while end > first and (self.arena[end - 1] == 0x20 or self.arena[end - 1] == 0):
            end -= 1
        return end

    def scan_text(self, first, end):
        """True if all bytes are ASCII and none begins an escape sequence; count the parts."""
        at: cython.pointer(cython.const[cython.uchar])
        left: cython.longlong = end - first
        word: cython.ulonglong
        found: cython.ulonglong
        other: cython.ulonglong = 0
        parts: cython.longlong = 1
        self.parts = 1
        if first == end:
            return 1
        if self.arena[first] + self.arena[end + 7] < 0:  # outside: an IndexError
            return 0
        at = cython.address(self.arena[first])
        while left > 0:
            word = wetread_long(at)
            if left < 8:
                word &= (ONE << 8 * left) - 1
            found = word ^ ESCAPES
            other |= word | (found - ONES) & ~found
            found = word ^ BACKSLASHES
            found = ~((found & LOW) + LOW | found | LOW)  # the high bit of every backslash
            parts += (found >> 7) * ONES >> 56
            at += 8
            left -= 8
        self.parts = parts
        return other & ~LOW == 0

    def count_element(self, i):
        """Add the size of a value to that of its column; of a text, after `scan_text`."""
        code: cython.int = self.code[i]
        family: cython.int = self.family[i]
        parts: cython.longlong = 1
        self.counts[code, COUNTED] += 1
        if self.size[i] < 0:
            return OK
        if self.is_list[code]:
            parts = self.parts if family <= DATE else self.size[i] // self.unit[family]
        self.counts[code, BYTES] += TAG_CHARACTERS * parts if family == AT else self.size[i]
        self.counts[code, PARTS] += parts
        return OK

    def replace(
        self,
        index: cython.longlong[::1],
        arena: cython.const[cython.uchar][::1],
        start: cython.longlong[::1],
        size: cython.longlong[::1],
    ):
        """Take the bytes of texts from other places, in an arena that may be a new one."""
        k: cython.Py_ssize_t
        i: cython.longlong
        self.arena = arena
        for k in range(index.shape[0]):
            i = index[k]
            self.start[i], self.size[i] = start[k], size[k]
            self.scan_text(start[k], start[k] + max(size[k], 0))
            self.count_element(i)

    # --- write: the values, in the buffers of their columns; `at`: the places of the column

    def write(self, places: cython.longlong[:, ::1], out, rows: cython.int):
        """Write all values to `out`, zeros, where `places` has the buffers of each column."""
        i: cython.Py_ssize_t
        code: cython.int
        self.places, self.out = places, out.view("u1")
        self.out_int, self.out_long, self.out_double = out.view("i4"), out, out.view("f8")
        with cython.nogil:
            for i in range(self.family.shape[0]):
                if self.family[i] != NO_FAMILY and self.size[i] >= 0:
                    self.write_element(i)
            for code in range(self.places.shape[0]):
                if self.places[code, AT_BOUNDS] >= 0:
                    self.move_bounds(cython.address(self.places[code, 0]), rows, self.is_list[code])

    def write_element(self, i):
        code: cython.int = self.code[i]
        row: cython.longlong = self.e_row[i]
        family: cython.int = self.family[i]
        first: cython.longlong = self.start[i]
        end: cython.longlong = first + self.size[i]
        listed: cython.int = self.is_list[code]
        at: cython.pointer(cython.longlong) = cython.address(self.places[code, 0])
        if listed or family in (TEXT, AT):
            self.move_bounds(at, row, listed)
        elif family <= DATE:
            while first < end and self.arena[first] == 0x20:
                first += 1
            return self.parse(i, at, first, end, row, 0)
        self.fill(at, row, 0)
        if listed:
            return self.write_list(i, at)
        if family == AT:
            return self.write_tag(at, first)
        if family == LENGTH:
            self.out_long[(at[AT_DATA] >> 3) + row] = self.size[i]
            return OK
        if family != TEXT:
            return self.write_number(at, family, first, row)
        while self.trim[code] & TRIM_EQUALS and first < end and self.arena[end - 1] == 0x3D:
            end -= 1
        while self.trim[code] & TRIM_LEFT and first < end and self.arena[first] == 0x20:
            first += 1
        return self.write_text(at, first, end)

    def write_list(self, i, at):
        """Values of a list: between backslashes, or numbers of one size."""
        family: cython.int = self.family[i]
        k: cython.longlong
        first: cython.longlong = self.start[i]
        end: cython.longlong = first + self.size[i]
        if family <= DATE:
            for k in range(first, end):
                if self.arena[k] == 0x5C:
                    self.write_part(i, at, first, k)
                    first = k + 1
            return self.write_part(i, at, first, end)
        while first < end:
            if family == AT:
                self.write_tag(at, first)
            else:
                self.write_number(at, family, first, at[LISTED])
            self.end_part(at)
            first += self.unit[family]
        return OK

    def write_part(self, i, at, first, end):
        end = self.trimmed(first, end)
        if self.family[i] == TEXT:
            self.write_text(at, first, end)
        else:
            while first < end and self.arena[first] == 0x20:
                first += 1
            self.parse(i, at, first, end, at[LISTED], 1)
        return self.end_part(at)

    def end_part(self, at):
        at[LISTED] += 1
        if at[AT_LIST_BOUNDS] >= 0:
            self.out_int[(at[AT_LIST_BOUNDS] >> 2) + at[LISTED]] = at[USED]
        return OK

    def move_bounds(self, at, row, listed):
        """Begin the value of a row at the end of the values before it."""
        k: cython.longlong
        bounds: cython.longlong = at[AT_BOUNDS] >> 2
        place: cython.longlong = at[LISTED if listed else USED]
        for k in range(at[NEXT_ROW], row + 1):
            self.out_int[bounds + k] = place
        at[NEXT_ROW] = row + 1
        return OK

    def write_text(self, at, first, end):
        to: cython.longlong = at[AT_DATA] + at[USED]
        if first == end:
            return OK
        if self.arena[end - 1] + self.out[to + end - first - 1] < 0:  # outside: an IndexError
            return OK
        wetread_move(cython.address(self.out[to]), cython.address(self.arena[first]), end - first)
        at[USED] += end - first
        return OK

    def write_tag(self, at, first):
        """Write a tag as text: gggg,eeee."""
        k: cython.int
        digit: cython.int
        to: cython.longlong = at[AT_DATA] + at[USED]
        tag: cython.uint = (self.arena[first + 1] << 8 | self.arena[first]) << 16
        tag |= self.arena[first + 3] << 8 | self.arena[first + 2]
        for k in range(8):
            digit = tag >> (28 - 4 * k) & 15
            self.out[to + k + (k > 3)] = digit + (0x30 if digit < 10 else 0x57)
        self.out[to + 4] = 0x2C
        at[USED] += TAG_CHARACTERS
        return OK

    def write_number(self, at, family, first, place):
        data: cython.longlong = at[AT_DATA]
        raw: cython.pointer(cython.const[cython.uchar]) = cython.address(self.arena[first])
        if self.arena[first + self.unit[family] - 1] < 0:  # outside: an IndexError
            return OK
        if family == US:
            self.out_int[(data >> 2) + place] = raw[0] | raw[1] << 8
        elif family == SS:
            self.out_int[(data >> 2) + place] = cython.cast(cython.short, raw[0] | raw[1] << 8)
        elif family == UL:
            self.out_long[(data >> 3) + place] = wetread_word(raw)
        elif family == SL:
            self.out_long[(data >> 3) + place] = cython.cast(cython.int, wetread_word(raw))
        elif family == FL:
            self.out_double[(data >> 3) + place] = wetread_float(raw)
        elif family == FD:
            self.out_double[(data >> 3) + place] = wetread_double(raw)
        else:
            self.out_long[(data >> 3) + place] = wetread_long(raw)
        return OK

    def parse(self, i, at, first, end, place, listed):
        """Parse a number or a date; the caller reads NOT_PARSED ones again."""
        family: cython.int = self.family[i]
        data: cython.longlong = at[AT_DATA]
        state: cython.int
        if family == DECIMAL:
            state = self.parse_decimal(first, end)
        elif family == INTEGER:
            state = self.parse_integer(first, end)
        else:
            state = self.parse_date(first, end)
        if state == EMPTY:
            return OK
        if state == UNPARSED:
            self.odd[i] |= NOT_PARSED
            return OK
        if state == OLD_FORM:
            self.odd[i] |= OLD_DATE
        if family == DECIMAL:
            self.out_double[(data >> 3) + place] = self.real
        elif family == INTEGER:
            self.out_long[(data >> 3) + place] = self.whole
        else:
            self.out_int[(data >> 2) + place] = self.whole
        return self.fill(at, place, listed)

    def fill(self, at, place, listed):
        """Set the validity bit of a row, or of a value in the lists of a column."""
        valid: cython.longlong = at[AT_LIST_VALID if listed else AT_VALID]
        self.out[valid + (place >> 3)] |= 1 << (place & 7)
        at[LIST_FILLED if listed else FILLED] += 1
        return OK

# cython: language_level=3, boundscheck=True, wraparound=False, cdivision=True
# cython: initializedcheck=False
"""Numbers and dates written in characters (PS3.5 6.2), parsed in place."""

import cython

EXACT = cython.declare(cython.longlong, 9007199254740992)  # whole numbers a double holds: 2**53


class Numbers:
    """Numbers and dates in ranges of the arena: PARSED, EMPTY, UNPARSED or OLD_FORM."""

    def __init__(self, arena, families):
        self.arena, self.powers = arena, families.powers
        self.month_days, self.years = families.month_days, families.years

    def parse_texts(
        self,
        kind: cython.int,
        bounds: cython.const[cython.int][::1],
        values: cython.longlong[::1],
        reals: cython.double[::1],
        valid: cython.uchar[::1],
    ):
        """Parse TIMES or MOMENTS into `values`, or AGES into `reals`, of the same memory."""
        i: cython.Py_ssize_t
        with cython.nogil:
            for i in range(valid.shape[0]):
                self.whole, self.real = 0, 0
                if kind == AGES:
                    valid[i] = self.parse_age(bounds[i], bounds[i + 1]) == PARSED
                    reals[i] = self.real
                    continue
                if kind == TIMES:
                    valid[i] = self.parse_time(bounds[i], bounds[i + 1]) == PARSED
                else:
                    valid[i] = self.parse_moment(bounds[i], bounds[i + 1]) == PARSED
                values[i] = self.whole

    def parse_decimal(self, first, end):
        """Parse a decimal number (DS) into `real`.

        Parsed is what is exact: digits below 2**53 and a power of ten up to 22 (Clinger 1990).
        """
        k: cython.longlong
        after: cython.longlong
        digits: cython.int
        scale: cython.int = 0
        minus: cython.int
        if first == end:
            return EMPTY
        k = self.skip_sign(first, end)
        minus = self.minus
        self.whole = 0
        after = self.skip_digits(k, end)
        digits = after - k
        k = after
        if k < end and self.arena[k] == 0x2E:
            after = self.skip_digits(k + 1, end)
            scale = k + 1 - after
            digits -= scale
            k = after
        if k < end and digits and (self.arena[k] == 0x45 or self.arena[k] == 0x65):
            after = self.parse_power(k + 1, end)
            if after == NO_POWER:
                return UNPARSED
            scale += after
            k = end
        if k < end or not digits or self.whole >= EXACT or scale < -22 or scale > 22:
            return UNPARSED
        self.real = self.whole
        if scale < 0:
            self.real /= self.powers[-scale]
        else:
            self.real *= self.powers[scale]
        if minus:
            self.real = -self.real
        return PARSED

    def skip_sign(self, first, end):
        """End of a sign, if there is one; `minus` is true for that of a negative number."""
        self.minus = 0
        if first < end and (self.arena[first] == 0x2D or self.arena[first] == 0x2B):
            self.minus = self.arena[first] == 0x2D
            return first + 1
        return first

    def skip_digits(self, first, end):
        """End of the digits, which are appended to `whole` as long as it is exact."""
        k: cython.longlong = first
        while k < end and 0x30 <= self.arena[k] <= 0x39 and self.whole < EXACT:
            self.whole = self.whole * 10 + self.arena[k] - 0x30
            k += 1
        return k

    def parse_power(self, first, end):
        """Power of ten after the letter E; NO_POWER if there is none or it is too large."""
        k: cython.longlong = self.skip_sign(first, end)
        power: cython.int = 0
        if k == end:
            return NO_POWER
        while k < end:
            if self.arena[k] < 0x30 or self.arena[k] > 0x39 or power > 1000:
                return NO_POWER
            power = power * 10 + self.arena[k] - 0x30
            k += 1
        return -power if self.minus else power

    def parse_integer(self, first, end):
        """Parse a whole number (IS) of up to 18 digits into `whole`."""
        k: cython.longlong = self.skip_sign(first, end)
        if first == end:
            return EMPTY
        if k == end or end - k > 18:
            return UNPARSED
        self.whole = 0
        while k < end:
            if self.arena[k] < 0x30 or self.arena[k] > 0x39:
                return UNPARSED
            self.whole = self.whole * 10 + self.arena[k] - 0x30
            k += 1
        if self.minus:
            self.whole = -self.whole
        return PARSED

    def parse_date(self, first, end):
        """Parse a date (DA) into `whole`, in days since 1970; OLD_FORM for YYYY.MM.DD."""
        k: cython.longlong
        number: cython.int = 0
        dotted: cython.int
        if first == end:
            return EMPTY
        dotted = (
            end - first == 10 and self.arena[first + 4] == 0x2E and self.arena[first + 7] == 0x2E
        )
        if end - first != 8 and not dotted:
            return UNPARSED
        for k in range(first, end):
            if dotted and (k == first + 4 or k == first + 7):
                continue
            if self.arena[k] < 0x30 or self.arena[k] > 0x39:
                return UNPARSED
            number = number * 10 + self.arena[k] - 0x30
        if self.parse_day(number) != PARSED:
            return UNPARSED
        return OLD_FORM if dotted else PARSED

    def parse_day(self, number):
        """Parse a date that is written as the number YYYYMMDD."""
        year: cython.int = number // 10000
        month: cython.int = number // 100 % 100
        day: cython.int = number % 100
        leap: cython.int = year % 4 == 0 and (year % 100 != 0 or year % 400 == 0)
        if year < 1 or month < 1 or month > 12 or day < 1 or day > self.month_days[leap, month]:
            return UNPARSED
        year -= month <= 2  # the days of years that begin in March
        month = (month + 9) % 12
        self.whole = (
            year * 365 + year // 4 - year // 100 + year // 400
            + (month * 306 + 5) // 10 + day - 1 - 719468
        )  # fmt: skip
        return PARSED

    def parse_time(self, first, end):
        """Parse HH, HHMM, HHMMSS or HHMMSS.F to HHMMSS.FFFFFF into `whole`, in microseconds."""
        k: cython.longlong
        length: cython.longlong = end - first
        hour: cython.int
        minute: cython.int
        second: cython.int
        if length < 2 or length > 13 or (length < 8 and length & 1):
            return UNPARSED
        self.whole = 0
        for k in range(13):
            if k == 6 and length > 6:
                if self.arena[first + 6] != 0x2E:
                    return UNPARSED
            elif k >= length:
                self.whole *= 1 if k == 6 else 10
            elif self.arena[first + k] < 0x30 or self.arena[first + k] > 0x39:
                return UNPARSED
            else:
                self.whole = self.whole * 10 + self.arena[first + k] - 0x30
        hour = self.whole // cython.cast(cython.longlong, 10000000000)
        minute, second = self.whole // 100000000 % 100, self.whole // 1000000 % 100
        if hour > 23 or minute > 59 or second > 59:
            return UNPARSED
        self.whole = ((hour * 60 + minute) * 60 + second) * cython.cast(
            cython.longlong, 1000000
        ) + self.whole % 1000000
        return PARSED

    def parse_moment(self, first, end):
        """Parse a whole date, with a time or not, as written: its offset from UTC is left out."""
        days: cython.longlong
        if end - first >= 13 and (self.arena[end - 5] == 0x2B or self.arena[end - 5] == 0x2D):
            end -= 5
        if end - first < 8 or self.parse_date(first, first + 8) != PARSED:
            return UNPARSED
        days = self.whole
        self.whole = 0
        if end - first > 8 and self.parse_time(first + 8, end) != PARSED:
            return UNPARSED
        self.whole += days * cython.cast(cython.longlong, 86400000000)
        return PARSED

    def parse_age(self, first, end):
        """Parse one to three digits and D, W, M or Y into `real`, in years."""
        k: cython.longlong
        if end - first < 2 or end - first > 4 or self.years[self.arena[end - 1]] == 0:
            return UNPARSED
        self.whole = 0
        for k in range(first, end - 1):
            if self.arena[k] < 0x30 or self.arena[k] > 0x39:
                return UNPARSED
            self.whole = self.whole * 10 + self.arena[k] - 0x30
        self.real = self.whole * self.years[self.arena[end - 1]]
        return PARSED

# cython: language_level=3, boundscheck=True, wraparound=False, cdivision=True
# cython: initializedcheck=False
"""Values written in characters (PS3.5 6.2): gathered, split and parsed."""

import cython

TRIM_LEFT = cython.declare(cython.int, 1)
TRIM_EQUALS = cython.declare(cython.int, 2)
EXACT = cython.declare(cython.longlong, 9007199254740992)  # whole numbers a double holds: 2**53


def measure(arena: cython.uchar[::1], start: cython.longlong[::1], length: cython.longlong[::1]):
    """Cut trailing spaces and NULs off ranges, in place; return the number of bytes left."""
    i: cython.Py_ssize_t
    n: cython.longlong
    total: cython.longlong = 0
    with cython.nogil:
        for i in range(start.shape[0]):
            n = length[i]
            while n > 0 and (arena[start[i] + n - 1] == 0x20 or arena[start[i] + n - 1] == 0):
                n -= 1
            length[i] = n
            total += n
    return total


def copy(
    arena: cython.uchar[::1],
    start: cython.longlong[::1],
    length: cython.longlong[::1],
    flags: cython.uchar[::1],
    data: cython.uchar[::1],
    bounds: cython.int[::1],
    strange: cython.uchar[::1],
):
    """Concatenate ranges, with n + 1 bounds and flags of those not in ASCII.

    An escape is not ASCII either. `flags`: 1 leading spaces are left out, 2 trailing `=`.
    """
    i: cython.Py_ssize_t
    k: cython.longlong
    at: cython.longlong = 0
    first: cython.longlong
    last: cython.longlong
    byte: cython.uchar
    odd: cython.int
    found: cython.Py_ssize_t = 0
    with cython.nogil:
        bounds[0] = 0
        for i in range(start.shape[0]):
            first, last = start[i], start[i] + length[i]
            if flags[i] & TRIM_EQUALS:
                while last > first and arena[last - 1] == 0x3D:
                    last -= 1
            if flags[i] & TRIM_LEFT:
                while first < last and arena[first] == 0x20:
                    first += 1
            odd = 0
            for k in range(first, last):
                byte = arena[k]
                data[at] = byte
                odd |= byte >= 0x80 or byte == 0x1B
                at += 1
            strange[i] = odd
            found += odd
            bounds[i + 1] = at
    return found


def count_parts(data: cython.const[cython.uchar][::1], bounds: cython.const[cython.int][::1]):
    """Number of values separated by backslashes."""
    i: cython.longlong
    count: cython.longlong = bounds.shape[0] - 1
    with cython.nogil:
        for i in range(bounds[0], bounds[bounds.shape[0] - 1]):
            count += data[i] == 0x5C
    return count


def split(
    data: cython.const[cython.uchar][::1],
    bounds: cython.const[cython.int][::1],
    left: cython.int,
    out: cython.uchar[::1],
    parts: cython.int[::1],
    lists: cython.int[::1],
):
    """Parts between backslashes, without trailing spaces and NULs, and where each list begins.

    `left`: leading spaces are left out too.
    """
    i: cython.Py_ssize_t
    k: cython.int
    first: cython.int
    last: cython.int
    begin: cython.int
    count: cython.Py_ssize_t = 0
    at: cython.int = 0
    with cython.nogil:
        parts[0] = lists[0] = 0
        for i in range(bounds.shape[0] - 1):
            begin = bounds[i]
            for k in range(bounds[i], bounds[i + 1] + 1):
                if k < bounds[i + 1] and data[k] != 0x5C:
                    continue
                first, last = begin, k
                while last > first and (data[last - 1] == 0x20 or data[last - 1] == 0):
                    last -= 1
                while left and first < last and data[first] == 0x20:
                    first += 1
                while first < last:
                    out[at] = data[first]
                    at += 1
                    first += 1
                count += 1
                parts[count] = at
                begin = k + 1
            lists[i + 1] = count


def parse_decimals(
    data: cython.const[cython.uchar][::1],
    bounds: cython.const[cython.int][::1],
    powers: cython.double[::1],
    values: cython.double[::1],
    state: cython.uchar[::1],
):
    """Decimal numbers (DS); state 0 parsed, 1 empty, 2 not parsed here.

    Parsed is what is exact: digits below 2**53 and a power of ten up to 22 (Clinger 1990).
    """
    i: cython.Py_ssize_t
    k: cython.int
    end: cython.int
    digits: cython.longlong
    seen: cython.int
    scale: cython.int
    power: cython.int
    sign: cython.int
    minus: cython.int
    with cython.nogil:
        for i in range(values.shape[0]):
            k, end = bounds[i], bounds[i + 1]
            state[i] = 1 if k == end else 2
            values[i] = 0
            digits = seen = scale = power = minus = 0
            if k < end and (data[k] == 0x2D or data[k] == 0x2B):
                minus = data[k] == 0x2D
                k += 1
            while k < end and 0x30 <= data[k] <= 0x39 and digits < EXACT:
                digits = digits * 10 + data[k] - 0x30
                seen += 1
                k += 1
            if k < end and data[k] == 0x2E:
                k += 1
                while k < end and 0x30 <= data[k] <= 0x39 and digits < EXACT:
                    digits = digits * 10 + data[k] - 0x30
                    seen += 1
                    scale -= 1
                    k += 1
            if k < end and seen and (data[k] == 0x45 or data[k] == 0x65):
                k += 1
                sign = 1
                if k < end and (data[k] == 0x2D or data[k] == 0x2B):
                    sign = 1 if data[k] == 0x2B else -1
                    k += 1
                seen = 0
                while k < end and 0x30 <= data[k] <= 0x39 and power < 1000:
                    power = power * 10 + data[k] - 0x30
                    seen += 1
                    k += 1
                scale += sign * power
            if k < end or not seen or digits >= EXACT or scale < -22 or scale > 22:
                continue
            values[i] = digits
            if scale < 0:
                values[i] /= powers[-scale]
            else:
                values[i] *= powers[scale]
            if minus:
                values[i] = -values[i]
            state[i] = 0


def parse_integers(
    data: cython.const[cython.uchar][::1],
    bounds: cython.const[cython.int][::1],
    values: cython.longlong[::1],
    state: cython.uchar[::1],
):
    """Whole numbers (IS) of up to 18 digits; state 0 parsed, 1 empty, 2 not parsed here."""
    i: cython.Py_ssize_t
    k: cython.int
    end: cython.int
    value: cython.longlong
    minus: cython.int
    with cython.nogil:
        for i in range(values.shape[0]):
            k, end = bounds[i], bounds[i + 1]
            values[i] = value = minus = 0
            state[i] = 1 if k == end else 2
            if k < end and (data[k] == 0x2D or data[k] == 0x2B):
                minus = data[k] == 0x2D
                k += 1
            if k == end or end - k > 18:
                continue
            while k < end and 0x30 <= data[k] <= 0x39:
                value = value * 10 + data[k] - 0x30
                k += 1
            if k == end:
                values[i] = -value if minus else value
                state[i] = 0


def parse_dates(
    data: cython.const[cython.uchar][::1],
    bounds: cython.const[cython.int][::1],
    month_days: cython.uchar[:, ::1],
    values: cython.int[::1],
    state: cython.uchar[::1],
):
    """Days since 1970 of dates (DA); state 0 a date, 1 empty, 2 no date, 3 a date YYYY.MM.DD."""
    i: cython.Py_ssize_t
    k: cython.int
    first: cython.int
    count: cython.int
    year: cython.int
    month: cython.int
    day: cython.int
    leap: cython.int
    number: cython.int
    dotted: cython.int
    good: cython.int
    with cython.nogil:
        for i in range(values.shape[0]):
            first, count = bounds[i], bounds[i + 1] - bounds[i]
            values[i] = 0
            state[i] = 1 if count == 0 else 2
            dotted = count == 10 and data[first + 4] == 0x2E and data[first + 7] == 0x2E
            if count != 8 and not dotted:
                continue
            good, number = 1, 0
            for k in range(count):
                if dotted and (k == 4 or k == 7):
                    continue
                good = good and 0x30 <= data[first + k] <= 0x39
                number = number * 10 + data[first + k] - 0x30
            year, month, day = number // 10000, number // 100 % 100, number % 100
            if not good or year < 1 or month < 1 or month > 12 or day < 1:
                continue
            leap = year % 4 == 0 and (year % 100 != 0 or year % 400 == 0)
            if day > month_days[leap, month]:
                continue
            year -= month <= 2  # the days of years that begin in March
            month = (month + 9) % 12
            values[i] = (
                year * 365 + year // 4 - year // 100 + year // 400
                + (month * 306 + 5) // 10 + day - 1 - 719468
            )  # fmt: skip
            state[i] = 3 if dotted else 0


def spread_offsets(
    offsets: cython.const[cython.int][::1],
    rows: cython.int[::1],
    filled: cython.uchar[::1],
    bounds: cython.int[::1],
    valid: cython.uchar[::1],
):
    """Offsets and validity bits of n rows of which some have a value; both are zeros before."""
    i: cython.Py_ssize_t
    row: cython.int = 0
    with cython.nogil:
        bounds[0] = offsets[0]
        for i in range(rows.shape[0]):
            while row <= rows[i]:
                bounds[row] = offsets[i]
                row += 1
            if filled[i]:
                valid[rows[i] >> 3] |= 1 << (rows[i] & 7)
        while row < bounds.shape[0]:
            bounds[row] = offsets[rows.shape[0]]
            row += 1

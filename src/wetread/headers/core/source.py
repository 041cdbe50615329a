# cython: language_level=3, boundscheck=True, wraparound=False, cdivision=True
# cython: initializedcheck=False
"""Bytes of a file: windows in an arena, read on demand."""

import cython


class Source:
    """Bytes of a file: windows in an arena, read on demand."""

    def __cinit__(self):
        self.file = -1

    def __dealloc__(self):
        if self.file >= 0:
            close(self.file)

    def at(self, first, count):
        """Index in the arena of the bytes at a position; -2 if they must be read first.

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

    def supply(self):
        """Read the bytes that are needed and some more; NEED if the caller must supply them."""
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

    def note_window(self, got):
        i: cython.int = self.windows % WINDOWS
        if self.need_from + got < self.need_to:  # the source is shorter than it was
            self.size = self.need_from + got
        if self.need_from == 0 and self.windows == 0 and not self.deflated:
            self.row_head = min(got, HASHED)
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

    def word(self, place, big):
        """Four bytes as a number."""
        value: cython.uint
        if self.arena[place + 3] < 0:  # outside: an IndexError
            return 0
        value = wetread_word(cython.address(self.arena[place]))
        if big:
            value = value >> 24 | (value >> 8 & 0xFF00) | (value << 8 & 0xFF0000) | value << 24
        return value

    def half(self, place, big):
        """Two bytes as a number."""
        a: cython.int = self.arena[place]
        b: cython.int = self.arena[place + 1]
        return a << 8 | b if big else b << 8 | a

    def starts_with(self, place, a, b):
        return self.arena[place] == a and self.arena[place + 1] == b

    def trimmed(self, place, length):
        """Length without trailing blanks and NULs."""
        while length > 0 and (
            self.arena[place + length - 1] == 0x20 or self.arena[place + length - 1] == 0
        ):
            length -= 1
        return length

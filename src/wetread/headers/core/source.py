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
        if first >= self.view_first and last <= self.view_last:
            return self.view_base + first
        return self.look_up(first, last)

    def look_up(self, first, last):
        """Index in the arena of a range of positions, of any window; see `at`."""
        i: cython.int
        for i in range(min(self.windows, WINDOWS)):
            if first >= self.window_first[i] and last <= self.window_last[i]:
                self.view(i)
                return self.view_base + first
        self.need_from, self.need_to = first, last
        return -2

    def view(self, i):
        """Make a window the current one."""
        self.view_first, self.view_last = self.window_first[i], self.window_last[i]
        self.view_base = self.window_base[i] - self.window_first[i]
        return OK

    def forget(self):
        """Begin without a window."""
        self.windows = 0
        self.view_first, self.view_last = 0, -1
        return OK

    def drop_window(self):
        """Free the current window, if it is the last one and not the first of the file."""
        if self.windows > 1 and self.view_base + self.view_last == self.used:
            self.used = self.view_base + self.view_first
            self.windows -= 1
            self.view_first, self.view_last = 0, -1
        return OK

    def supply(self):
        """Read the bytes that are needed and some more; NEED if the caller must supply them."""
        want: cython.longlong = self.need_to - self.need_from
        got: cython.longlong
        if not self.exact and self.fetched < self.most_bytes:
            want = max(want, self.window if self.windows == 0 else min(self.fetched, self.more))
        want = min(want, self.size - self.need_from)
        self.need_to = self.need_from + want
        if self.used + max(want, HASHED) + SLACK > self.arena.shape[0]:
            return ROOM
        if self.external:
            return NEED
        if self.windows == 1 and not self.exact and self.row_head < self.head_size:
            return self.read_head()
        got = wetread_read(self.file, cython.address(self.arena[self.used]), want, self.need_from)
        if got < 0:
            return self.note_error(got)
        self.note_window(got)
        return OK

    def read_head(self):
        """Read on in the first window, up to the last byte of which the header's hash is."""
        want: cython.longlong = self.head_size - self.row_head
        got: cython.longlong
        if self.used + want > self.arena.shape[0]:  # `supply` has made room before the first read
            with cython.gil:
                raise IndexError("bytes outside the memory")
        got = wetread_read(self.file, cython.address(self.arena[self.used]), want, self.row_head)
        if got < 0:
            return self.note_error(got)
        self.used += got
        self.fetched += got
        self.row_head += got
        if got < want:
            self.size = self.head_size = self.row_head
        self.window_last[0] = self.row_head
        if self.row_head < self.size:
            self.window_last[0] = min(self.row_head, self.window + self.more)
        return self.view(0)

    def note_error(self, number):
        """End a row that cannot be read."""
        self.rows[R_ERROR, self.row] = -number
        self.phase = P_END
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
        return self.view(i)

    def word(self, place, big):
        """Four bytes as a number; 0 outside the arena."""
        value: cython.uint = wetread_word_in(self.bytes, self.room, place)
        if big:
            value = value >> 24 | (value >> 8 & 0xFF00) | (value << 8 & 0xFF0000) | value << 24
        return value

    def half(self, place, big):
        """Two bytes as a number; 0 at the end of the arena."""
        value: cython.int = wetread_word_in(self.bytes, self.room, place)
        return (value & 0xFF) << 8 | (value >> 8 & 0xFF) if big else value & 0xFFFF

    def starts_with(self, place, a, b):
        return self.half(place, 0) == a | b << 8

    def trimmed(self, place, length):
        """Length without trailing blanks and NULs."""
        while length > 0 and (
            self.arena[place + length - 1] == 0x20 or self.arena[place + length - 1] == 0
        ):
            length -= 1
        return length

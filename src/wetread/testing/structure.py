r"""Damage to the structure of a data set: heads, lengths and the order of elements, at every level.

>>> [span.value for span in find_spans(b"\x08\0\x60\0CS\2\0CR", 10)]
[8]
"""

from __future__ import annotations

import random
import re
import struct
from functools import lru_cache
from typing import NamedTuple

from wetread.headers.schema import FAMILY_OF_VR, LONG_FORM_VRS

LENGTHS = (
    0,
    1,
    2,
    3,
    0x7F,
    0xFFFE,
    0xFFFF,
    0x10000,
    0x20202020,
    0x7FFFFFF0,
    0xFFFFFFFE,
    0xFFFFFFFF,
)
"""Damaged lengths: empty, odd, spaces, larger than any file, undefined."""
VRS = tuple(sorted(FAMILY_OF_VR))
LONG_VRS = frozenset(vr.encode() for vr in LONG_FORM_VRS)
_IS_VR = re.compile("|".join(VRS).encode())
_ESCAPES = (b"\x1b$B", b"\x1b(B", b"\x1b$)C", b"\x1b-F", b"\x1b(J", b"\x1b$(D", b"\x1b)I")
_CHARSETS = (b"\\ISO 2022 IR 87", b"ISO 2022 IR 6\\ISO 2022 IR 149", b"GB18030", b"ISO_IR 192")
_MOST_SPANS = 2000
_GROUP_2 = b"\2\0"
_ITEM = (b"\xfe\xff\0\xe0", b"\xff\xfe\xe0\0")
_CHARSET = (b"\x08\0\x05\0", b"\0\x08\0\x05")


class Span(NamedTuple):
    """Position of an element or item: head, length field, value."""

    start: int
    length_at: int
    length_size: int
    value: int
    end: int
    """End of the value; equal to `value` if its length is undefined, or it is entered."""
    order: str

    @property
    def is_explicit(self) -> bool:
        """True if the head has a VR."""
        return self.length_at > self.start + 4

    def vr(self, data: bytearray) -> bytes:
        """VR in the head."""
        return bytes(data[self.start + 4 : self.start + 6]) if self.is_explicit else b""

    def whole_end(self, data: bytearray) -> int:
        """End of the element with its content, if its length is defined."""
        size = self.length_size
        value = data[self.length_at : self.length_at + size]
        length = int.from_bytes(value, "little" if self.order == "<" else "big")
        return self.end if length in (0xFFFF, 0xFFFFFFFF) else self.value + length

    def write_length(self, data: bytearray, length: int) -> None:
        """Overwrite the length field."""
        packed = struct.pack(f"{self.order}I", length & 0xFFFFFFFF)
        if self.length_size == 2:
            packed = struct.pack(f"{self.order}H", length & 0xFFFF)
        data[self.length_at : self.length_at + self.length_size] = packed


def find_spans(data: bytes | bytearray, end: int) -> list[Span]:
    """Elements, items and delimiters of all levels up to the pixels, as far as they can be read."""
    return _find_spans(bytes(data), end)


@lru_cache(maxsize=512)  # the same files are damaged again and again
def _find_spans(data: bytes, end: int) -> list[Span]:
    spans: list[Span] = []
    at = 132 if data[128:132] == b"DICM" else 0
    order = "<"
    while at + 8 <= end and len(spans) < _MOST_SPANS:
        if data[at : at + 2] != _GROUP_2 and data[at] == 0 and data[at + 1]:
            order = ">"
        group = struct.unpack_from(f"{order}H", data, at)[0]
        if group == 0xFFFE or not _IS_VR.match(data, at + 4):
            length_at, size = at + 4, 4
        elif data[at + 4 : at + 6] in LONG_VRS:
            length_at, size = at + 8, 4
        else:
            length_at, size = at + 6, 2
        value = length_at + size
        if group == 0x7FE0 or value > len(data):
            break
        length = int.from_bytes(data[length_at:value], "little" if order == "<" else "big")
        if group == 0xFFFE or length == 0xFFFFFFFF or data[value : value + 4] in _ITEM:
            length = 0  # entered
        if value + length > len(data):
            break
        spans.append(Span(at, length_at, size, value, value + length, order))
        at = value + length
    return spans


def swap_vrs(data: bytearray, rng: random.Random, end: int) -> None:
    """Exchange the VRs of two elements, or replace one by another of the standard."""
    spans = [span for span in find_spans(data, end) if span.is_explicit]
    if not spans:
        return
    one, other = rng.choice(spans), rng.choice(spans)
    new = rng.choice((other.vr(data), rng.choice(VRS).encode()))
    data[other.start + 4 : other.start + 6] = one.vr(data)
    data[one.start + 4 : one.start + 6] = new


def change_length(data: bytearray, rng: random.Random, end: int) -> None:
    """Change the length of an element or item of any level, often by a few bytes only."""
    spans = find_spans(data, end)
    if not spans:
        return
    span = rng.choice(spans)
    true = span.whole_end(data) - span.value
    near = true + rng.choice((-8, -4, -2, -1, 1, 2, 4, 8))
    far = rng.choice((rng.choice(LENGTHS), rng.randrange(1 << 16), len(data) - span.value))
    span.write_length(data, rng.choice((near, near, 2 * true, far)))


def cut_escape(data: bytearray, rng: random.Random, end: int) -> None:
    """Put an escape of ISO 2022, whole or cut, into a text; now and then change its charset."""
    spans = [s for s in find_spans(data, end) if s.end - s.value > 1]
    if not spans:
        return
    span = rng.choice(spans)
    charsets = [s for s in spans if data[s.start : s.start + 4] in _CHARSET]
    if charsets and rng.random() < 0.5:
        span, escape = charsets[0], rng.choice(_CHARSETS)
    else:
        escape = rng.choice(_ESCAPES)
        escape = escape[: rng.randrange(1, len(escape) + 1)]
    size = span.end - span.value
    at = span.value + rng.randrange(size)
    if rng.random() < 0.5:  # in place, at the end of the value or in its midst
        data[at : min(at + len(escape), span.end)] = escape[: span.end - at]
    else:
        data[at:at] = escape
        span.write_length(data, size + len(escape))


def duplicate(data: bytearray, rng: random.Random, end: int) -> None:
    """Copy an element, with its content, behind itself or in front of another one."""
    spans = find_spans(data, end)
    if not spans:
        return
    span = rng.choice(spans)
    copied = bytes(data[span.start : span.whole_end(data)][:4096])
    at = rng.choice((span.whole_end(data), rng.choice(spans).start))
    data[at:at] = copied * rng.choice((1, 1, 1, 3, 40))


def reorder(data: bytearray, rng: random.Random, end: int) -> None:
    """Exchange two elements of any level, or move one."""
    spans = find_spans(data, end)
    if len(spans) < 2:
        return
    one, other = sorted(rng.sample(spans, 2), key=lambda span: span.start)
    first, second = data[one.start : one.end], data[other.start : other.end]
    data[other.start : other.end] = first
    data[one.start : one.end] = second if rng.random() < 0.7 else b""


STRUCTURAL = (swap_vrs, change_length, change_length, cut_escape, duplicate, reorder)
"""Kinds of damage; lengths twice, as everything depends on them."""

"""Layout of a pixel element and encoding of its frames, detected from the bytes.

Items with a code-stream cannot be uncompressed pixels, whatever the Transfer Syntax UID, and a
value of exactly the uncompressed size, without items, cannot be compressed (PS3.5 A.4).
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from struct import unpack_from
from typing import Literal

from wetread.errors import DecodeError
from wetread.headers.encodings import (
    DEFLATED_FRAMES,
    ENCAPSULATED_RAW,
    EXPLICIT_BE,
    EXPLICIT_LE,
    GE_PRIVATE,
    JXL_BARE,
    KINDS,
    NATIVE,
    RLE,
)
from wetread.pixels.bits import Note
from wetread.pixels.form import Form
from wetread.pixels.streams import STARTS, Codec, read_stream

Layout = Literal["native", "items", "stream"]
"""Uncompressed frames, fragments in items, or one code-stream without items."""

HEAD = 64
"""Number of bytes needed to detect the start of a frame: the length of an RLE header."""
DELIMITERS = (b"\xfe\xff\xdd\xe0\0\0\0\0", b"\xff\xfe\xe0\xdd\0\0\0\0")
"""Ends of a value of undefined length, in both byte orders."""
_ORDERS = {b"\xfe\xff\x00\xe0": "<", b"\xff\xfe\xe0\x00": ">"}
_ENOUGH = 1 << 18
"""Maximum size in bytes of a code-stream header, with thumbnails and profiles."""
_SYNTAX_OF: dict[Codec, str] = {
    "jpeg": "1.2.840.10008.1.2.4.50",
    "jpeg-lossless": "1.2.840.10008.1.2.4.57",
    "jpeg-ls": "1.2.840.10008.1.2.4.81",
    "jpeg2000": "1.2.840.10008.1.2.4.91",
    "htj2k": "1.2.840.10008.1.2.4.203",
    "jpegxl": "1.2.840.10008.1.2.4.112",
}
"""Codec -> the most general transfer syntax of its streams."""


def detect_layout(
    form: Form, read: Callable[[int, int], bytes], length: int, undefined: bool
) -> tuple[Layout, Form, tuple[Note, ...]]:
    """Detect the layout and the transfer syntax of the `length` bytes of a pixel element.

    `read(at, count)` returns bytes of the element. A note TSUID_WRONG is added if the syntax
    differs from the one stated. Without evidence, the stated syntax is used.
    """
    first = read(0, 8 + HEAD)
    whole = not undefined and _has_uncompressed_length(form, length)
    native = form.syntax in NATIVE or not form.syntax
    order = item_order(first)
    if whole and native and not may_be_encoded(first):
        return "native", form, ()
    if order:
        at = 8 + int(unpack_from(f"{order}I", first, 4)[0])
        head = read(at, 8)
        size = int(unpack_from(f"{order}I", head, 4)[0]) if item_order(head) == order else 0
        found = _identify(form, read, at + 8, min(size, length - at - 8), strict=False)
        if found or not whole:
            return _with_syntax("items", form, found)
    elif found := _identify(form, read, 0, length, strict=whole, raw=False):
        return _with_syntax("stream", form, found)
    if whole and not native:
        return _with_syntax("native", form, EXPLICIT_LE)
    if undefined:
        ended = length >= 8 and read(length - 8, 8) in DELIMITERS
        if ended and _has_uncompressed_length(form, length - 8):
            return _with_syntax("native", form, EXPLICIT_LE)
        return "items", form, ()
    return ("native" if native else "items"), form, ()


def item_order(head: bytes) -> str:
    """Byte order, "<" or ">", of the item that starts here; "" if none.

    >>> item_order(bytes.fromhex("feff00e000000000"))
    '<'
    """
    return _ORDERS.get(head[:4], "") if len(head) >= 8 else ""


def may_be_encoded(first: bytes) -> bool:
    """True if a value that begins so may hold items or a code-stream.

    >>> may_be_encoded(bytes(72)), may_be_encoded(bytes.fromhex("ffd8ffe0"))
    (False, True)
    """
    return item_order(first) != "" or first.startswith(STARTS) or first[4:8] == b"\x40\0\0\0"


def count_native(form: Form, length: int) -> int | None:
    """Number of uncompressed frames, at least those stated, that fill `length` bytes.

    One byte of padding is allowed; None for any other length.
    """
    announced = form.frames or 1
    for frames in (announced, 8 * length // form.frame_bits):
        if frames >= announced and 0 <= length - -(-frames * form.frame_bits // 8) <= 1:
            return frames
    return None


def starts_frame(head: bytes, length: int, form: Form) -> bool:
    """Return True if a fragment of `length` bytes that begins with `head` starts a frame."""
    if form.syntax == RLE:
        return _is_rle(head, length, form)
    if head.startswith(JXL_BARE):  # two bytes, which may occur anywhere in a stream
        return _identify_stream(head, form, strict=True) != ""
    return head.startswith(STARTS) or (
        form.syntax == ENCAPSULATED_RAW and _has_frame_length(form, length)
    )


def _with_syntax(layout: Layout, form: Form, found: str) -> tuple[Layout, Form, tuple[Note, ...]]:
    """Return the form with the detected syntax; a wrong codec is noted on decoding."""
    stated, seen = KINDS.get(form.syntax or EXPLICIT_LE), KINDS.get(found)
    both_streams = {stated, seen}.isdisjoint({"native", "rle"})
    if stated is None or not found or both_streams:
        return layout, form, ()
    if stated == seen and (layout == "native") == (form.syntax in NATIVE):
        return layout, form, ()
    kind = "uncompressed pixels" if seen == "native" else f"pixels encoded as {seen}"
    note = ("TSUID_WRONG", f"{kind}, the transfer syntax stated is {form.syntax}")
    return layout, replace(form, syntax=found), (note,) if form.syntax else ()


def _identify(
    form: Form,
    read: Callable[[int, int], bytes],
    at: int,
    length: int,
    *,
    strict: bool,
    raw: bool = True,
) -> str:
    """Detect the transfer syntax of the frame in `length` bytes from `at`; "" if unknown.

    `strict`: accept only a stream of the stated size. `raw`: uncompressed values are possible.
    """
    head = read(at, min(length, HEAD))
    if _is_rle(head, length, form):
        return RLE
    exact = raw and _has_frame_length(form, length)
    if exact and form.syntax == ENCAPSULATED_RAW:
        return ENCAPSULATED_RAW
    if head.startswith(STARTS):
        strict = strict or head.startswith(JXL_BARE)
        if found := _identify_stream(read(at, min(length, _ENOUGH)), form, strict):
            return found
    swapped = form.syntax in (EXPLICIT_BE, GE_PRIVATE)  # the byte order is not guessed
    return ENCAPSULATED_RAW if exact and not swapped and form.syntax != DEFLATED_FRAMES else ""


def _identify_stream(data: bytes, form: Form, strict: bool) -> str:
    try:
        stream = read_stream(data)
    except DecodeError:
        return ""
    if strict and (stream.rows, stream.columns) != (form.rows, form.columns):
        return ""
    return _SYNTAX_OF[stream.codec]


def _is_rle(head: bytes, length: int, form: Form) -> bool:
    """Return True for an RLE header with one segment per byte plane (PS3.5 G.5)."""
    if len(head) < HEAD or form.allocated % 8:
        return False
    count, *offsets = unpack_from("<16I", head)
    used, unused = offsets[:count], offsets[count:]
    return (
        count == form.allocated // 8 * form.samples
        and used[0] == HEAD
        and used == sorted(set(used))
        and used[-1] < length
        and not any(unused)
    )


def _has_uncompressed_length(form: Form, length: int) -> bool:
    forms = (form, form.without_subsampling()) if form.subsampled else (form,)
    return any(count_native(one, length) for one in forms)


def _has_frame_length(form: Form, length: int) -> bool:
    return 0 <= length - -(-form.frame_bits // 8) <= 1

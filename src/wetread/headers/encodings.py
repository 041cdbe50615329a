"""Encoding of a data set: that of its Transfer Syntax, or that of its bytes."""

from __future__ import annotations

import struct
from collections.abc import Callable
from dataclasses import dataclass

from wetread.headers.dictionary import UIDS

UNDEFINED = 0xFFFFFFFF
"""Length of a value that ends with a delimiter (PS3.5 7.5)."""
IMPLICIT_LE = "1.2.840.10008.1.2"
EXPLICIT_LE = "1.2.840.10008.1.2.1"
DEFLATED_LE = "1.2.840.10008.1.2.1.99"
EXPLICIT_BE = "1.2.840.10008.1.2.2"
RLE = "1.2.840.10008.1.2.5"
GE_PRIVATE = "1.2.840.113619.5.2"
DEFLATED_FRAMES = "1.2.840.10008.1.2.8.1"
ENCAPSULATED_RAW = "1.2.840.10008.1.2.1.98"
JPIP_DEFLATED = ("1.2.840.10008.1.2.4.95", "1.2.840.10008.1.2.4.205")
JP2 = b"\x00\x00\x00\x0cjP  \r\n\x87\n"
JXL = b"\x00\x00\x00\x0cJXL \r\n\x87\n"
JXL_BARE = b"\xff\x0a"
SOC = b"\xff\x4f\xff\x51"
STREAM_STARTS = (b"\xff\xd8\xff", SOC, JP2, JXL)
"""First bytes of code-streams, except `JXL_BARE`, whose two bytes may occur anywhere."""
NATIVE = frozenset({IMPLICIT_LE, EXPLICIT_LE, DEFLATED_LE, EXPLICIT_BE, GE_PRIVATE})
"""Transfer syntaxes whose Pixel Data are not encapsulated; GE's has big-endian pixels."""

KINDS: dict[str, str] = {
    **dict.fromkeys(NATIVE, "native"),
    ENCAPSULATED_RAW: "native",
    DEFLATED_FRAMES: "native",
    RLE: "rle",
    **{f"1.2.840.10008.1.2.4.{n}": "jpeg" for n in range(50, 57)},
    **{f"1.2.840.10008.1.2.4.{n}": "jpeg-lossless" for n in (57, 58, 65, 66, 70)},
    **{f"1.2.840.10008.1.2.4.{n}": "jpeg" for n in (59, 60, 61, 62, 63, 64)},
    **{f"1.2.840.10008.1.2.4.{n}": "jpeg-ls" for n in (80, 81)},
    **{f"1.2.840.10008.1.2.4.{n}": "jpeg2000" for n in (90, 91, 92, 93)},
    **{f"1.2.840.10008.1.2.4.{n}": "htj2k" for n in (201, 202, 203)},
    **{f"1.2.840.10008.1.2.4.{n}": "jpegxl" for n in (110, 111, 112)},
}
"""Transfer Syntax UID -> encoding of its pixels; other code-streams are decoded as well."""

KNOWN_SYNTAXES = frozenset(
    {uid for uid, entry in UIDS.items() if entry[1] == "Transfer Syntax"}
    | {uid for uid in KINDS if uid.startswith("1.2.840.10008.")}  # newer ones than pydicom knows
)


@dataclass(frozen=True, slots=True)
class Encoding:
    """Encoding of the elements of a data set (PS3.5 7.1, annex A)."""

    implicit: bool = False
    big: bool = False
    deflated: bool = False


def encoding_of(syntax: str) -> Encoding:
    """Encoding of a Transfer Syntax UID; explicit little endian for unknown ones.

    >>> encoding_of("1.2.840.10008.1.2")
    Encoding(implicit=True, big=False, deflated=False)
    """
    return Encoding(
        implicit=syntax == IMPLICIT_LE,
        big=syntax == EXPLICIT_BE,
        deflated=syntax == DEFLATED_LE or syntax in JPIP_DEFLATED,
    )


def is_encapsulated(syntax: str) -> bool:
    """True if Pixel Data is in fragments (PS3.5 A.4)."""
    return syntax in KNOWN_SYNTAXES and syntax not in NATIVE


def is_decodable(syntax: str) -> bool:
    """True if the pixels of a transfer syntax can be decoded; video cannot.

    >>> is_decodable("1.2.840.10008.1.2.4.51"), is_decodable("1.2.840.10008.1.2.4.102")
    (True, False)
    """
    return syntax in KINDS or not syntax


def infer_compression(read: Callable[[int, int], bytes], offset: int) -> str | None:
    """Transfer syntax of the first fragment after `offset`, by its markers.

    `read` gives bytes from a position on.
    """
    table = read(offset, 8)
    if len(table) < 8 or table[:4] != b"\xfe\xff\x00\xe0":
        return None
    fragment = read(offset + 16 + struct.unpack_from("<I", table, 4)[0], 4096)
    if fragment.startswith((SOC, JP2)):
        return "1.2.840.10008.1.2.4.91"
    if fragment.startswith((JXL, JXL_BARE)):
        return "1.2.840.10008.1.2.4.112"
    if fragment[:2] == b"\xff\xd8":
        return _infer_jpeg(fragment)
    if len(fragment) >= 64:
        count, first = struct.unpack_from("<II", fragment)
        if 1 <= count <= 15 and first == 64:
            return RLE
    return None


_BY_MARKER = {
    0xC0: "1.2.840.10008.1.2.4.50",
    0xC1: "1.2.840.10008.1.2.4.51",
    0xC2: "1.2.840.10008.1.2.4.55",
    0xC3: "1.2.840.10008.1.2.4.57",
    0xF7: "1.2.840.10008.1.2.4.81",
}


def _infer_jpeg(stream: bytes) -> str | None:
    """JPEG process of a start-of-frame marker (ISO 10918-1 table B.1)."""
    pos = 2
    while pos + 4 <= len(stream) and stream[pos] == 0xFF:
        if (syntax := _BY_MARKER.get(stream[pos + 1])) is not None:
            return syntax
        pos += 2 + int.from_bytes(stream[pos + 2 : pos + 4], "big")
    return None

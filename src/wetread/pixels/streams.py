"""Headers of code-streams, read without decoding."""

from __future__ import annotations

from dataclasses import dataclass
from struct import error, unpack_from
from typing import Literal

from wetread.errors import DecodeError
from wetread.headers.encodings import JP2, JXL, JXL_BARE, SOC, STREAM_STARTS

Codec = Literal["jpeg", "jpeg-lossless", "jpeg-ls", "jpeg2000", "htj2k", "jpegxl"]
STARTS = (*STREAM_STARTS, JXL_BARE)
"""Magic bytes of all code-streams."""


@dataclass(frozen=True, slots=True)
class Stream:
    """Header of a code-stream."""

    codec: Codec
    rows: int
    columns: int
    samples: int
    precision: int
    """Bits per sample."""
    signed: bool = False
    levels: int = 0
    """Number of resolution levels of JPEG 2000 below the full one."""
    colour: Literal["", "RGB", "YBR"] = ""
    """For JPEG, the colour space of the samples; for other codecs "RGB" if the decoder always
    returns RGB. "" if it depends on the DICOM header."""
    start: int = 0
    """Offset of the code-stream in bytes; not 0 inside a JP2 file."""
    holds_jpeg: bool = False
    """A JPEG XL file that a JPEG file can be restored from."""


def read_stream(data: bytes) -> Stream:
    """Read the header of a code-stream; the codec is detected from its first bytes.

    Raises:
        DecodeError: unknown or damaged.

    >>> import numpy as np, imagecodecs
    >>> stream = read_stream(imagecodecs.jpegls_encode(np.zeros((4, 6), "u1")))
    >>> stream.codec, stream.rows, stream.columns, stream.precision
    ('jpeg-ls', 4, 6, 8)
    """
    try:
        if data[:2] == b"\xff\xd8":
            return _read_jpeg(data)
        if data[:4] == SOC:
            return _read_jpeg2000(data, 0)
        if data[:12] == JP2 and (start := data.find(SOC)) > 0:
            return _read_jpeg2000(data, start)
        if data[:12] == JXL or data[:2] == JXL_BARE:
            return _read_jpegxl(data)
    except (error, IndexError) as cut:
        raise DecodeError(f"the code-stream ends in its header ({len(data)} bytes)") from cut
    raise DecodeError(f"no code-stream of a known kind: it starts with {data[:8].hex(' ')}")


def _read_jpeg(data: bytes) -> Stream:
    """Walk the marker segments to the frame header (ISO 10918-1 B.2, ISO 14495-1 C.2)."""
    adobe, jfif, at = None, False, 2
    while True:
        if data[at] != 0xFF:
            raise DecodeError(f"no JPEG marker at byte {at}")
        marker = data[at + 1]
        if marker == 0xFF:  # a fill byte
            at += 1
            continue
        (length,) = unpack_from(">H", data, at + 2)
        if marker == 0xF7 or (0xC0 <= marker <= 0xCF and marker not in (0xC4, 0xC8, 0xCC)):
            break
        if marker == 0xE0 and data[at + 4 : at + 8] == b"JFIF":
            jfif = True
        if marker == 0xEE and data[at + 4 : at + 9] == b"Adobe":
            adobe = data[at + 15]
        if marker == 0xDA:
            raise DecodeError("a JPEG scan without a frame header")
        at += 2 + max(length, 2)
    precision, rows, columns, samples = unpack_from(">BHHB", data, at + 4)
    parts = [(data[i], data[i + 1]) for i in range(at + 10, at + 10 + 3 * samples, 3)]
    codec: Codec = "jpeg-ls" if marker == 0xF7 else "jpeg"
    if marker in (0xC3, 0xC7, 0xCB, 0xCF):
        codec = "jpeg-lossless"
    colour = _jpeg_colour(codec, adobe, jfif, parts) if samples == 3 else ""
    return Stream(codec, rows, columns, samples, precision, colour=colour)


def _jpeg_colour(
    codec: Codec, adobe: int | None, jfif: bool, parts: list[tuple[int, int]]
) -> Literal["", "RGB", "YBR"]:
    """Colour space from APP14, JFIF, component names or sampling; "" for lossless streams."""
    if codec != "jpeg":
        return ""
    if adobe is not None:
        return "YBR" if adobe == 1 else "RGB"
    if bytes(name for name, _ in parts) == b"RGB":
        return "RGB"
    if jfif or len({sampling for _, sampling in parts}) > 1:
        return "YBR"
    return ""


def _read_jpeg2000(data: bytes, start: int) -> Stream:
    """Read the SIZ, CAP and COD segments of the main header (ISO 15444-1 A.5, 15444-15 A.3)."""
    x1, y1, x0, y0 = unpack_from(">4I", data, start + 8)
    (samples,) = unpack_from(">H", data, start + 40)
    depth = data[start + 42]
    codec: Codec = "jpeg2000"
    levels, colour, at = 0, "", start + 2
    while data[at] == 0xFF and data[at + 1] != 0x90:
        marker = data[at + 1]
        if marker == 0x50:
            codec = "htj2k"
        if marker == 0x52:
            levels = data[at + 9]
            colour = "RGB" if data[at + 8] and samples == 3 else ""
        at += 2 + max(2, int(unpack_from(">H", data, at + 2)[0]))
    precision, signed = (depth & 127) + 1, depth > 127
    size = (y1 - y0, x1 - x0)
    return Stream(codec, *size, samples, precision, signed, levels, "RGB" if colour else "", start)


def _read_jpegxl(data: bytes) -> Stream:
    """Read size header and image metadata (ISO 18181-1 D.2, D.3); the decoder sets the depth."""
    start = data.find(b"jxlc") + 4 if data[:12] == JXL else 0
    if start == 3 and (start := data.find(b"jxlp") + 8) == 7:
        raise DecodeError("a JPEG XL file without a code-stream")
    bits = _Bits(data[start + 2 : start + 66])
    rows, ratio, columns = _read_size(bits)
    if ratio:
        columns = rows * ratio[0] // ratio[1]
    holds_jpeg = data[:12] == JXL and b"jbrd" in data
    colour: Literal["", "RGB"] = "RGB" if _is_xyb(bits) else ""
    return Stream("jpegxl", rows, columns, 0, 0, colour=colour, holds_jpeg=holds_jpeg)


class _Bits:
    """Bit fields of a JPEG XL header, lowest bit first; zeros beyond its end."""

    def __init__(self, data: bytes) -> None:
        self._bits, self._used = int.from_bytes(data, "little"), 0

    def take(self, count: int) -> int:
        """Return the next `count` bits as a number."""
        self._used += count
        return self._bits >> (self._used - count) & ((1 << count) - 1)

    def choose(self, *widths: int) -> int:
        """Return a U32: 2 bits select one of four widths."""
        return self.take(widths[self.take(2)])


def _read_size(bits: _Bits) -> tuple[int, tuple[int, int] | None, int]:
    """Read rows, and either the ratio of width to height or the columns."""

    def size(small: int) -> int:
        return (bits.take(5) + 1) * 8 if small else bits.choose(9, 13, 18, 30) + 1

    small = bits.take(1)
    rows = size(small)
    ratio = bits.take(3)
    # Ratios of width to height, by table of the standard.
    over = ((1, 1), (12, 10), (4, 3), (3, 2), (16, 9), (5, 4), (2, 1))
    return (rows, over[ratio - 1], 0) if ratio else (rows, None, size(small))


def _is_xyb(bits: _Bits) -> bool:
    """Read the XYB flag of ImageMetadata (ISO 18181-1 D.3); False with a preview or alpha."""
    if bits.take(1):
        return True  # all by default
    if bits.take(1):
        bits.take(3)  # orientation
        if bits.take(1):
            _read_size(bits)
        if bits.take(2):  # a preview, an animation
            return False
    is_float = bits.take(1)
    bits.choose(0, 0, 0, 6)  # bits per sample
    bits.take(4 * is_float + 1)  # exponent bits, 16-bit buffers
    return not bits.take(2) and bool(bits.take(1))  # extra channels, XYB

"""Decoders of code-streams to stored values, one per codec."""

from __future__ import annotations

import zlib
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any, TypeVar

import numpy as np

from wetread.errors import DecodeError, LimitError
from wetread.headers.encodings import DEFLATED_FRAMES, EXPLICIT_BE, KINDS
from wetread.pixels.bits import Note, Pixels, mask, to_stored
from wetread.pixels.colour import to_rgb
from wetread.pixels.form import COLOURS, Form
from wetread.pixels.streams import Stream, read_stream
from wetread.settings import Settings

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Frame:
    """Decoded frame."""

    values: Pixels
    """Stored values: (rows, columns), or RGB as (rows, columns, 3)."""
    bits: int
    """Bits per stored value."""
    photometric: str
    """Photometric interpretation of `values`: RGB for colour; PALETTE COLOR for indices."""
    conversion: str = ""
    """Colour conversion applied, e.g. "YBR_FULL to RGB"."""
    scale: int = 1
    """1 for full resolution, 2 for half, then 4, 8 ..."""
    notes: tuple[Note, ...] = ()
    shift: float = 0.0
    """Offset of a reduced frame: its edge coordinate u is x = u * scale - shift in full pixels. 0
    if each pixel is a block of full ones; (scale - 1) / 2 for JPEG 2000, whose filters are centred
    on the first pixel of a block."""


def decode(
    data: bytes | memoryview,
    form: Form,
    settings: Settings = Settings(),
) -> Frame:
    """Decode the bytes of one frame, as returned by `Frames.read`, to stored values.

    Values are masked to Bits Stored and sign-extended, in place if uncompressed `data` can be
    written to; colour is RGB. Never allocates more than the frame that the header states.

    Raises:
        DecodeError: any failure of the decoder (a Rust panic is a BaseException).
    """
    check_size(form, len(data), settings)
    kind = KINDS.get(form.syntax or "1.2.840.10008.1.2")
    if kind is None:
        raise DecodeError(f"pixels of transfer syntax {form.syntax} cannot be decoded")
    if kind in ("native", "rle"):
        raw = call_decoder(unpack_rle if kind == "rle" else unpack, data, form)
        return finish(raw, form, None)
    data, stream = open_stream(bytes(data), form)
    decoder = DECODERS[stream.codec]
    raw = call_decoder(decoder, data[stream.start :], form, stream)
    frame = finish(raw, form, stream)
    return replace(frame, notes=(*frame.notes, *_check_kind(data, stream, kind)))


def open_stream(data: bytes, form: Form) -> tuple[bytes, Stream]:
    """Read the header of a code-stream; a JPEG recompressed as JPEG XL is restored first.

    Raises:
        DecodeError: the size differs from that in the DICOM header.
    """
    stream = check_stream(read_stream(data), form)
    if stream.holds_jpeg:
        try:
            inner = call_decoder(_rebuild_jpeg, data, form)
            jpeg = check_stream(read_stream(inner), form)
        except DecodeError:  # its pixels may still decode
            return data, stream
        return inner, replace(jpeg, holds_jpeg=True)
    return data, stream


def _rebuild_jpeg(data: bytes, form: Form) -> bytes:
    """Restore the JPEG file that a JPEG XL file was made from (ISO 18181-2, 9.2)."""
    from imagecodecs import jpegxl_decode_jpeg

    limit = form.frame_bytes + 4 * len(data) + 65536  # libjxl expands markers of any length
    return bytes(jpegxl_decode_jpeg(data, numthreads=1, out=bytearray(limit)))


def _check_kind(data: bytes, stream: Stream, kind: str) -> list[Note]:
    notes = []
    codec = "jpegxl" if stream.holds_jpeg else stream.codec
    if codec != kind:
        notes.append(("TSUID_WRONG", f"a {codec} stream, {kind} stated"))
    # The other decoders reject a truncated stream; JPEG decoders fill it with grey.
    if stream.codec in ("jpeg", "jpeg-lossless") and b"\xff\xd9" not in data[-64:]:
        notes.append(("STREAM_CUT", f"no end marker in the {len(data):,} bytes of the stream"))
    return notes


def call_decoder(decoder: Callable[..., T], *args: Any) -> T:
    """Call a decoder and convert any error to a DecodeError."""
    try:
        return decoder(*args)
    except (KeyboardInterrupt, SystemExit, DecodeError):
        raise
    except BaseException as error:  # a Rust panic is not an Exception
        kind = LimitError if isinstance(error, MemoryError) else DecodeError
        raise kind(f"{type(error).__name__}: {str(error)[:200]}") from error


def check_size(form: Form, have: int, settings: Settings) -> None:
    """Raise LimitError for a frame above the limits, before memory is allocated."""
    need = form.frame_bytes
    if need > settings.frame_bytes:
        raise LimitError(f"refused: a frame of {need:,} bytes exceeds settings.frame_bytes")
    check_growth(need, have, settings)


def check_growth(need: int, have: int, settings: Settings) -> None:
    """Raise LimitError if `need` bytes cannot plausibly come from `have` compressed bytes."""
    if need > settings.free_bytes and need > settings.frame_ratio * have:
        raise LimitError(f"refused: {have:,} bytes would expand to {need:,}")


def check_stream(stream: Stream, form: Form) -> Stream:
    """Return the stream; raise DecodeError if its size differs from that in the header."""
    have, need = (stream.rows, stream.columns), (form.rows, form.columns)
    if have != need or stream.samples not in (0, form.samples):
        raise DecodeError(
            f"the code-stream holds {have[0]} x {have[1]} x {stream.samples or '?'}, "
            f"the header states {need[0]} x {need[1]} x {form.samples}"
        )
    return stream


def unpack(data: bytes | memoryview, form: Form) -> Pixels:
    """Convert uncompressed bytes to an array of words, before masking."""
    if form.syntax == DEFLATED_FRAMES:
        data = zlib.decompressobj(-15).decompress(data, -(-form.frame_bits // 8))
    need = form.frame_bits // form.allocated
    if not 0 <= len(data) - -(-form.frame_bits // 8) <= 1:
        raise DecodeError(f"{len(data):,} bytes for a frame of {-(-form.frame_bits // 8):,}")
    if form.allocated % 8 or form.allocated == 24:
        flat = _unpack_bits(data, need, form)
    else:
        flat = np.frombuffer(data, _file_type(form), need)
    if form.subsampled:
        return _expand_422(flat, form)
    if form.samples > 1 and form.planar:
        return flat.reshape(form.samples, form.rows, form.columns).transpose(1, 2, 0)
    shaped: Pixels = flat.reshape(form.shape)
    return shaped


def _file_type(form: Form) -> np.dtype[Any]:
    kind = form.dtype.kind if form.dtype.kind == "f" else "u"
    order = ">" if form.syntax == EXPLICIT_BE or form.syntax.endswith(".5.2") else "<"
    return np.dtype(f"{order}{kind}{form.allocated // 8}")


def _unpack_bits(data: bytes | memoryview, need: int, form: Form) -> Pixels:
    """Unpack values of 1, 12 or any number of bits, lowest bit first (PS3.5 8.1.1)."""
    bits = np.unpackbits(np.frombuffer(data, "u1"), count=need * form.allocated, bitorder="little")
    if form.allocated == 1:
        return bits
    target = np.dtype(f"u{form.dtype.itemsize}")
    weights = (1 << np.arange(form.allocated, dtype=np.uint64)).astype(target)
    flat: Pixels = (bits.reshape(need, form.allocated) * weights).sum(axis=1, dtype=target)
    return flat


def _expand_422(flat: Pixels, form: Form) -> Pixels:
    """Expand Y1 Y2 Cb Cr to one Y Cb Cr per pixel; both pixels of a pair share the chroma."""
    if form.columns % 2:
        raise DecodeError("YBR_FULL_422 with an odd number of columns")
    pairs = flat.reshape(form.rows, form.columns // 2, 4)
    out = np.empty((form.rows, form.columns // 2, 2, 3), flat.dtype)
    out[..., 0] = pairs[..., :2]
    out[..., 1:] = pairs[..., None, 2:]
    return out.reshape(form.rows, form.columns, 3)


def unpack_rle(data: bytes, form: Form) -> Pixels:
    """Decode RLE Lossless (PS3.5 G): one segment per byte plane, most significant first."""
    if form.allocated % 8:
        raise DecodeError(f"RLE with {form.allocated} bits allocated")
    if len(data) < 64:
        raise DecodeError(f"{len(data)} bytes are too few for an RLE header")
    width, size = form.allocated // 8, form.rows * form.columns
    count, *starts = np.frombuffer(data, "<u4", 16).tolist()
    if count != width * form.samples:
        raise DecodeError(f"{count} RLE segments for {form.samples} samples of {width} bytes")
    ends = [*starts[1:count], len(data)]
    planes = np.empty((form.samples, size, width), "u1")
    for number, (start, end) in enumerate(zip(starts[:count], ends, strict=True)):
        plane = _unpack_segment(data[start:end], size)
        planes[number // width, :, width - 1 - number % width] = np.frombuffer(plane, "u1")
    values = planes.view(f"<u{width}").reshape(form.samples, form.rows, form.columns)
    return values[0] if form.samples == 1 else values.transpose(1, 2, 0)


def _unpack_segment(segment: bytes, size: int) -> bytes:
    """Decode the first `size` bytes of a segment; the rest is padding."""
    from imagecodecs import PackbitsError, packbits_decode

    try:
        plane = packbits_decode(segment, out=bytearray(size))
        if len(plane) == size:
            return bytes(plane)
    except PackbitsError:  # longer than `size`, or invalid padding
        pass
    out, at = bytearray(), 0
    while len(out) < size and at < len(segment):
        head = segment[at]
        if head < 128:
            out += segment[at + 1 : at + 2 + head]
            at += 2 + head
        elif head > 128:
            out += segment[at + 1 : at + 2] * (257 - head)
            at += 2
        else:
            at += 1
    if len(out) < size:
        raise DecodeError(f"an RLE segment holds {len(out):,} of {size:,} bytes")
    return bytes(out[:size])


def _decode_jpeg(data: bytes, form: Form, stream: Stream) -> Pixels:
    # Also for lossless: ljpeg_decode of imagecodecs may read beyond a damaged stream.
    from imagecodecs import jpeg8_decode

    if form.samples != 3:
        return jpeg8_decode(data)
    colour = jpeg_colour(stream, form) if stream.codec == "jpeg" else "RGB"  # samples as stored
    return jpeg8_decode(data, colorspace=colour, outcolorspace="RGB")


def jpeg_colour(stream: Stream, form: Form) -> str:
    """Colour space of the samples of a lossy JPEG: from the stream, else from the tag."""
    decided = stream.colour or ("RGB" if form.photometric == "RGB" else "YBR")
    return "RGB" if decided == "RGB" else "YCBCR"


def _decode_jpegls(data: bytes, form: Form, stream: Stream) -> Pixels:
    from imagecodecs import jpegls_decode

    # Without an end marker, CharLS searches for one far beyond the data, for seconds.
    return jpegls_decode(data + b"\xff\xd9")


def _decode_jpeg2000(data: bytes, form: Form, stream: Stream) -> Pixels:
    # OpenJPEG also for HTJ2K: htj2k_decode returns uninitialised memory for damaged data.
    from imagecodecs import jpeg2k_decode

    return jpeg2k_decode(data)


def _decode_jpegxl(data: bytes, form: Form, stream: Stream) -> Pixels:
    from imagecodecs import jpegxl_decode

    return jpegxl_decode(data)


DECODERS: dict[str, Callable[[bytes, Form, Stream], Pixels]] = {
    "jpeg": _decode_jpeg,
    "jpeg-lossless": _decode_jpeg,
    "jpeg-ls": _decode_jpegls,
    "jpeg2000": _decode_jpeg2000,
    "htj2k": _decode_jpeg2000,
    "jpegxl": _decode_jpegxl,
}


def finish(raw: Pixels, form: Form, stream: Stream | None, scale: int = 1) -> Frame:
    """Convert the output of a decoder to stored values: mask, sign and colour."""
    if raw.ndim == 3 and raw.shape[2] == 1:
        raw = raw[..., 0]
    if raw.ndim != len(form.shape) or raw.shape[2:] != form.shape[2:]:
        raise DecodeError(f"the decoder returned {raw.shape}, the header states {form.shape}")
    if scale == 1 and raw.shape != form.shape:
        raise DecodeError(f"the decoder returned {raw.shape}, the header states {form.shape}")
    notes: list[Note] = []
    if form.dtype.kind == "f" and stream is None:
        return Frame(np.array(raw, form.dtype), form.stored, form.photometric, "", scale)
    if stream is None:
        values, bits = mask(raw, form), form.stored
    else:
        precision = stream.precision or 8 * raw.dtype.itemsize
        values, bits = to_stored(raw, form, precision, stream.signed, notes)
    if form.samples < 3 or form.photometric not in COLOURS:
        return Frame(values, bits, form.photometric, "", scale, tuple(notes))
    source, conversion = _read_colour(form, stream, notes)
    return Frame(to_rgb(values, source, bits), bits, "RGB", conversion, scale, tuple(notes))


def _read_colour(form: Form, stream: Stream | None, notes: list[Note]) -> tuple[str, str]:
    """Return the colour space of decoded samples, and the conversion to RGB.

    The output of the decoder takes precedence over the header (`COLOR_TAG` if they contradict):

    ===========================  ==========================================================
    uncompressed, RLE, JPEG-LS,  samples as stored, in the colour space of the tag; RGB if that
    lossless JPEG                is YBR_ICT, YBR_RCT or XYB, which no such samples are in
    JPEG                         RGB, converted as markers, component ids or else the tag say
    JPEG 2000, HTJ2K             RGB if the stream has a colour transform, else as stored
    JPEG XL                      RGB if the stream is XYB or was a JPEG, else as stored
    ===========================  ==========================================================
    """
    tag, codec = form.photometric, stream.codec if stream else ""
    was_jpeg = codec == "jpegxl" and (form.syntax.endswith(".4.111") or "_42" in tag)
    if stream and codec == "jpeg":
        ybr = jpeg_colour(stream, form) == "YCBCR"
        differs = ybr != (tag != "RGB")
    elif was_jpeg or (stream and stream.colour):
        ybr = tag != "RGB" or codec != "jpegxl"
        differs = codec != "jpegxl" and tag.startswith("YBR_FULL")
    elif tag in ("YBR_ICT", "YBR_RCT", "XYB"):
        ybr, differs = False, True
    else:
        return tag, "" if tag == "RGB" else f"{tag} to RGB"
    if differs:
        subject = "code-stream is" if stream else "samples are"
        space = "YBR" if ybr else "RGB"
        notes.append(("COLOR_TAG", f"the {subject} {space}, the header states {tag}"))
    name = tag if tag != "RGB" else "YBR_FULL"
    return "RGB", f"{name} to RGB" if ybr else ""

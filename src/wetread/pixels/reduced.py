"""Decoding at 1/2, 1/4, 1/8 ... of the resolution, if the code-stream supports it."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from io import BytesIO
from typing import Any

import numpy as np
from numpy.typing import NDArray

from wetread.errors import DecodeError
from wetread.headers.encodings import KINDS
from wetread.pixels.codecs import (
    Frame,
    call_decoder,
    check_size,
    decode,
    finish,
    jpeg_colour,
    open_stream,
)
from wetread.pixels.form import COLOURS, GREYS, Form
from wetread.pixels.streams import Stream
from wetread.settings import Settings

Pixels = NDArray[Any]


def decode_reduced(
    data: bytes | memoryview,
    form: Form,
    size: int,
    settings: Settings = Settings(),
) -> Frame:
    """Decode a frame at the smallest resolution whose longest side is at least `size` pixels.

    JPEG 2000, HTJ2K and 8-bit JPEG support lower resolutions; all else is decoded in full, with
    `scale` 1. So are palette indices, which cannot be averaged, values whose sign differs from that
    of the stream, and images whose padding values are bright.
    """
    kind = KINDS.get(form.syntax, "native")
    if kind in ("native", "rle") or form.photometric not in GREYS | COLOURS:
        return decode(data, form, settings)
    check_size(form, len(data), settings)
    inner, stream = open_stream(bytes(data), form)
    times = min(halvings(max(form.rows, form.columns), size), _levels(stream, form))
    if times == 0:
        return decode(data, form, settings)
    try:
        raw = call_decoder(DECODERS[stream.codec], inner[stream.start :], form, stream, times)
    except DecodeError:  # the full decoder may still succeed
        return decode(data, form, settings)
    scale = 1 << times
    shift = 0.0 if stream.codec == "jpeg" else (scale - 1) / 2
    return replace(finish(raw, form, stream, scale), shift=shift)


def count_levels(data: bytes, form: Form) -> int:
    """Number of halvings that the decoder supports for a frame; 0 if none."""
    kind = KINDS.get(form.syntax, "native")
    if kind in ("native", "rle") or form.photometric not in GREYS | COLOURS:
        return 0
    return _levels(open_stream(data, form)[1], form)


def halvings(longest: int, size: int) -> int:
    """Number of halvings that keep the longest side at or above `size`.

    >>> halvings(2952, 700)
    2
    """
    return max((n for n in range(16) if -(-longest >> n) >= size and longest >> n), default=0)


def _levels(stream: Stream, form: Form) -> int:
    """Number of halvings that the decoder supports for a stream.

    None if values are masked or sign-extended afterwards: the average of words on both sides of a
    wrap (0 and 65535 for 0 and -1) is wrong, as is one with overlay bits. Nor if padding is bright:
    its average with the image would be a white outline.
    """
    if form.bright_padding:
        return 0
    above = stream.precision > form.stored
    if form.signed > stream.signed or (above and (form.embedded or stream.signed)):
        return 0
    if stream.codec in ("jpeg2000", "htj2k") and (form.samples == 1 or stream.precision == 8):
        return stream.levels
    if stream.codec == "jpeg" and stream.precision == 8:
        return min(3, min(form.rows, form.columns).bit_length() - 1)
    return 0


def _decode_jpeg(data: bytes, form: Form, stream: Stream, halvings: int) -> Pixels:
    """Scaled inverse DCT of libjpeg, through Pillow's draft mode."""
    from PIL import JpegImagePlugin

    with JpegImagePlugin.JpegImageFile(BytesIO(data)) as image:
        # draft() takes the largest scale that fits; the size rounded down selects exactly one.
        image.draft(None, (form.columns >> halvings, form.rows >> halvings))
        if form.samples == 3:
            space = "YCbCr" if jpeg_colour(stream, form) == "YCBCR" else "RGB"
            image.tile = [tile._replace(args=("RGB", space)) for tile in image.tile]
        return np.asarray(image)


def _decode_jpeg2000(data: bytes, form: Form, stream: Stream, halvings: int) -> Pixels:
    """Lower resolutions of OpenJPEG through Pillow, with three corrections."""
    from PIL import Jpeg2KImagePlugin

    with Jpeg2KImagePlugin.Jpeg2KImageFile(BytesIO(data)) as image:
        # `image.reduce` rounds the reduced size half up, OpenJPEG always up: set the size here.
        image._size = (-(-form.columns >> halvings), -(-form.rows >> halvings))
        tile = image.tile[0]
        assert isinstance(tile.args, tuple)
        args = (tile.args[0], halvings, *tile.args[2:])
        image.tile = [tile._replace(extents=(0, 0, *image.size), args=args)]
        scaled = np.asarray(image)
    if form.samples == 3:
        return scaled
    # Pillow scales samples up to 8 or 16 bits, and converts signed to unsigned.
    spare = 8 * scaled.dtype.itemsize - stream.precision
    values = scaled >> max(0, spare)
    if not stream.signed:
        return values
    signed: Pixels = values.astype("i4") - (1 << stream.precision - 1)
    return signed.astype(f"i{scaled.dtype.itemsize}")


DECODERS: dict[str, Callable[[bytes, Form, Stream, int], Pixels]] = {
    "jpeg": _decode_jpeg,
    "jpeg2000": _decode_jpeg2000,
    "htj2k": _decode_jpeg2000,
}

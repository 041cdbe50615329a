"""Small files with pixels in any encoding and transfer syntax, for tests of decoding."""

from __future__ import annotations

import struct
from collections.abc import Callable
from typing import Any

import imagecodecs
import numpy as np

from wetread.testing.dicom import EXPLICIT, SEQUENCE_END, changed, dicom_file, element, picture

JPEG, LOSSLESS, JPEGLS, JPEG2000, HTJ2K, JXL, JXL_JPEG = (
    f"1.2.840.10008.1.2.4.{n}" for n in (50, 70, 80, 90, 201, 110, 111)
)
RLE, RAW = "1.2.840.10008.1.2.5", "1.2.840.10008.1.2.1.98"


def encode_rle(values: np.ndarray, more: bytes = b"") -> bytes:
    """Encode as RLE Lossless; `more` is appended to every segment."""
    big = np.atleast_3d(values).astype(values.dtype.newbyteorder(">"))
    planes = big.view("u1").reshape(*big.shape, values.dtype.itemsize)
    segments = [
        imagecodecs.packbits_encode(planes[:, :, sample, byte].tobytes()) + more
        for sample in range(big.shape[2])
        for byte in range(values.dtype.itemsize)
    ]
    segments = [segment + b"\0" * (len(segment) % 2) for segment in segments]
    starts = 64 + np.cumsum([0, *map(len, segments[:-1])])
    head = [len(segments), *starts, *[0] * (15 - len(segments))]
    return struct.pack("<16I", *head) + b"".join(segments)


def encode_jpeg(values: np.ndarray) -> bytes:
    """Encode as JPEG Baseline of quality 98."""
    return bytes(imagecodecs.jpeg8_encode(values, level=98))


Encode = Callable[[np.ndarray], bytes | bytearray]

CODECS: dict[str, tuple[str, Encode]] = {
    "jpeg": (JPEG, encode_jpeg),
    "jpeg-lossless": (LOSSLESS, imagecodecs.ljpeg_encode),
    "jpeg-ls": (JPEGLS, imagecodecs.jpegls_encode),
    "jpeg2000": (JPEG2000, lambda values: imagecodecs.jpeg2k_encode(values, codecformat="j2k")),
    "jp2": (JPEG2000, lambda values: imagecodecs.jpeg2k_encode(values, codecformat="jp2")),
    "htj2k": (HTJ2K, imagecodecs.htj2k_encode),
    "jpegxl": (JXL, lambda values: imagecodecs.jpegxl_encode(values, lossless=True)),
    "jpegxl-jpeg": (JXL_JPEG, lambda v: imagecodecs.jpegxl_encode_jpeg(encode_jpeg(v))),
    "rle": (RLE, encode_rle),
    "raw": (RAW, lambda values: values.tobytes()),
}
"""Transfer syntax and encoder of grey 8-bit images; JPEG values differ by up to 3."""


def even(data: bytes | bytearray) -> bytes:
    """Pad to even length."""
    return bytes(data) + b"\0" * (len(data) % 2)


def in_items(*fragments: bytes, table: bytes = b"") -> bytes:
    """Encapsulate an offset table and fragments, for an element of defined length."""
    items = (struct.pack("<HHI", 0xFFFE, 0xE000, len(item)) + item for item in (table, *fragments))
    return b"".join(items) + SEQUENCE_END


def pixel_file(like: np.ndarray, pixels: Any, syntax: str = EXPLICIT, **tags: Any) -> bytes:
    """File with a header for `like`; `pixels` are bytes, or a list: offset table and fragments.

    Elements by keyword replace others; None omits one.
    """
    bits = 8 * like.dtype.itemsize
    rows, columns, samples = (*like.shape, 1)[:3]
    form = {
        "SamplesPerPixel": samples,
        "PhotometricInterpretation": "RGB" if samples == 3 else "MONOCHROME2",
        "BitsAllocated": bits,
        "BitsStored": bits,
        "HighBit": bits - 1,
        "PixelRepresentation": int(like.dtype.kind == "i"),
        "WindowCenter": None,
        "WindowWidth": None,
        "RescaleSlope": None,
        "RescaleIntercept": None,
        **({"PlanarConfiguration": 0} if samples == 3 else {}),
        **tags,
    }
    elements = changed(
        picture(1, rows, columns),
        element("PixelData", pixels, vr="OB" if isinstance(pixels, list) or bits == 8 else "OW"),
        *(element(keyword, value) for keyword, value in form.items() if value is not None),
        without=[keyword for keyword, value in form.items() if value is None],
    )
    return dicom_file(elements, syntax)

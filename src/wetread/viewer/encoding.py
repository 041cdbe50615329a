"""Encoding of decoded frames for the browser: JPEG, or packed stored values."""

from __future__ import annotations

from io import BytesIO
from typing import Any

import numpy as np
from numpy.typing import NDArray

from wetread.display.pipeline import Pipeline
from wetread.pixels import Frame

Values = NDArray[Any]


def to_jpeg(picture: NDArray[np.uint8], quality: int = 85) -> bytes:
    """Encode a grey-scale or colour image as JPEG, without chroma subsampling."""
    from PIL import Image

    file = BytesIO()
    Image.fromarray(picture).save(file, "JPEG", quality=quality, subsampling=0)
    return file.getvalue()


def pack(values: Values) -> bytes:
    """Encode grey-scale pixels of 8 or 16 bits for good compression.

    Differences along each row, modulo 2^8 or 2^16, the first from 0;
    differences d >= 0 as 2d, d < 0 as -2d - 1 (zigzag); then all low bytes, then all high bytes.

    >>> list(pack(np.array([[10, 12, 11]], np.uint8)))
    [20, 4, 1]
    """
    bits = 8 * values.dtype.itemsize
    signed = np.ascontiguousarray(values).view(f"i{values.dtype.itemsize}")
    differences = signed.copy()
    differences[:, 1:] -= signed[:, :-1]
    zigzag = (differences << 1) ^ (differences >> bits - 1)
    if bits == 8:
        return zigzag.tobytes()
    words = zigzag.astype("<i2", copy=False).view("<u2")
    return (words & 0xFF).astype("u1").tobytes() + (words >> 8).astype("u1").tobytes()


def unpack(data: bytes, rows: int, columns: int, dtype: str) -> Values:
    """Inverse of `pack`; reference implementation for the browser."""
    size = np.dtype(dtype).itemsize
    planes = np.frombuffer(data, "u1").reshape(size, rows, columns).astype(f"u{size}")
    zigzag = planes[0] | planes[1] << 8 if size == 2 else planes[0]
    differences = (zigzag >> 1) ^ -(zigzag & 1)
    values: Values = np.cumsum(differences, axis=1, dtype=f"u{size}").view(dtype)
    return values


def compress(data: bytes, accepted: str) -> tuple[bytes, str]:
    """Compress data with the best encoding in `Accept-Encoding`; returns its name, "" for none.

    >>> compress(b"0" * 100, "gzip, deflate, br, zstd")[1]
    'zstd'
    """
    from imagecodecs import gzip_encode, zstd_encode

    entries = accepted.lower().split(",")
    names = {entry.partition(";")[0].strip() for entry in entries if not _is_zero(entry)}
    for name, encode in (("zstd", zstd_encode), ("gzip", gzip_encode)):
        if name in names:
            return bytes(encode(data, level=1)), name
    return data, ""


def _is_zero(entry: str) -> bool:
    """True for an encoding with q=0."""
    quality = entry.partition("q=")[2].strip()
    return bool(quality) and quality.strip("0.") == ""


def reduce(frame: Frame, pipeline: Pipeline, times: int) -> Frame:
    """Downscale a frame by the factor `times`, sizes rounded up.

    Each value is the mean of its block, or the padding value if the block contains padding.
    """
    from dataclasses import replace

    if times == 1:
        return frame
    values = frame.values
    rows, columns = values.shape[:2]
    edges = [(0, -rows % times), (0, -columns % times), (0, 0)][: values.ndim]
    blocks = np.pad(values, edges, mode="edge")
    is_integer = values.dtype.kind in "iu"
    sums = np.int32 if is_integer and values.dtype.itemsize <= 2 else np.float64
    offsets = (blocks[i::times, j::times] for i in range(times) for j in range(times))
    total = np.zeros((-(-rows // times), -(-columns // times), *values.shape[2:]), sums)
    for values_at_offset in offsets:
        total += values_at_offset
    mean = total / times**2
    small = (np.rint(mean) if is_integer else mean).astype(values.dtype)
    if values.ndim == 2 and pipeline.padding is not None:
        padding = pipeline.is_padding(blocks)
        padded = padding.reshape(total.shape[0], times, total.shape[1], times).any(axis=(1, 3))
        small[padded] = values[pipeline.is_padding(values)][:1]
    return replace(frame, values=small, scale=frame.scale * times)


__all__ = ["compress", "pack", "reduce", "to_jpeg", "unpack"]

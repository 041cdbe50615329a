"""Decoded frames as the browser wants them: JPEG, or stored values packed for the way."""

from __future__ import annotations

from io import BytesIO
from typing import Any

import numpy as np
from numpy.typing import NDArray

from wetread.display.pipeline import Pipeline
from wetread.pixels import Frame

Values = NDArray[Any]


def to_jpeg(picture: NDArray[np.uint8], quality: int = 85) -> bytes:
    """A picture, grey or colour, as JPEG without chroma subsampling."""
    from PIL import Image

    file = BytesIO()
    Image.fromarray(picture).save(file, "JPEG", quality=quality, subsampling=0)
    return file.getvalue()


def pack(values: Values) -> bytes:
    """Grey of 8 or 16 bits as it compresses best.

    Each row as differences from its left neighbour, modulo 2^8 or 2^16, the first value from 0;
    differences d >= 0 as 2d, d < 0 as -2d - 1 (zigzag); then all low bytes, then all high bytes.

    >>> list(pack(np.array([[10, 12, 11]], np.uint8)))
    [20, 4, 1]
    """
    bits = 8 * values.dtype.itemsize
    signed = np.ascontiguousarray(values).view(f"i{values.dtype.itemsize}")
    steps = signed.copy()
    steps[:, 1:] -= signed[:, :-1]
    folded = (steps << 1) ^ (steps >> bits - 1)
    if bits == 8:
        return folded.tobytes()
    words = folded.astype("<i2", copy=False).view("<u2")
    return (words & 0xFF).astype("u1").tobytes() + (words >> 8).astype("u1").tobytes()


def unpack(data: bytes, rows: int, columns: int, dtype: str) -> Values:
    """What `pack` packed; the reference for the browser's own."""
    size = np.dtype(dtype).itemsize
    planes = np.frombuffer(data, "u1").reshape(size, rows, columns).astype(f"u{size}")
    folded = planes[0] | planes[1] << 8 if size == 2 else planes[0]
    steps = (folded >> 1) ^ -(folded & 1)
    values: Values = np.cumsum(steps, axis=1, dtype=f"u{size}").view(dtype)
    return values


def compress(data: bytes, accepted: str) -> tuple[bytes, str]:
    """The data in the best encoding that `Accept-Encoding` has, and its name, or "" for none.

    >>> compress(b"0" * 100, "gzip, deflate, br, zstd")[1]
    'zstd'
    """
    from imagecodecs import gzip_encode, zstd_encode

    names = {part.partition(";")[0].strip().lower() for part in accepted.split(",")}
    refused = {p.partition(";")[0].strip() for p in accepted.lower().split(",") if _is_zero(p)}
    for name, encode in (("zstd", zstd_encode), ("gzip", gzip_encode)):
        if name in names - refused:
            return bytes(encode(data, level=1)), name
    return data, ""


def _is_zero(part: str) -> bool:
    quality = part.partition("q=")[2].strip()
    return bool(quality) and quality.strip("0.") == ""


def reduce(frame: Frame, chain: Pipeline, times: int) -> Frame:
    """A frame at 1/`times` of its resolution, sizes rounded up, for those that hold no smaller one.

    A grey value is the mean of its block, a padding value where padding is in it: a mean of both
    would be neither.
    """
    from dataclasses import replace

    if times == 1:
        return frame
    values = frame.values
    rows, columns = values.shape[:2]
    edges = [(0, -rows % times), (0, -columns % times), (0, 0)][: values.ndim]
    blocks = np.pad(values, edges, mode="edge")
    whole = values.dtype.kind in "iu"
    sums = np.int32 if whole and values.dtype.itemsize <= 2 else np.float64
    parts = (blocks[i::times, j::times] for i in range(times) for j in range(times))
    total = np.zeros((-(-rows // times), -(-columns // times), *values.shape[2:]), sums)
    for part in parts:
        total += part
    mean = total / times**2
    small = (np.rint(mean) if whole else mean).astype(values.dtype)
    if values.ndim == 2 and chain.padding is not None:
        pad = chain.is_padding(blocks)
        spoilt = pad.reshape(total.shape[0], times, total.shape[1], times).any(axis=(1, 3))
        small[spoilt] = values[chain.is_padding(values)][:1]
    return replace(frame, values=small, scale=frame.scale * times)


__all__ = ["compress", "pack", "reduce", "to_jpeg", "unpack"]

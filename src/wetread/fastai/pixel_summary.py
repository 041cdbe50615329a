"""Pixel statistics of fastai, computed in chunks to limit memory."""

from __future__ import annotations

import os
from collections.abc import Iterator
from functools import lru_cache
from typing import Any, cast

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray
from pydicom.dataset import Dataset

from wetread.display.pipeline import Pipeline, read_pipeline
from wetread.errors import DecodeError
from wetread.fastai.arrays import bounds_of
from wetread.headers.dataset import read_dataset
from wetread.headers.encodings import EXPLICIT_LE, IMPLICIT_LE
from wetread.imaging import all_values
from wetread.pixels import Frames, open_frames, read_frame
from wetread.pixels.bits import mask

Array = NDArray[Any]
STATISTICS = ("img_min", "img_max", "img_mean", "img_std", "img_pct_window")
LITTLE = (EXPLICIT_LE, IMPLICIT_LE)
_NEEDED = (
    "path",
    "path_bytes",
    "transfer_syntax",
    "pixel_offset",
    "pixel_length",
    "SamplesPerPixel",
    "PhotometricInterpretation",
    "PlanarConfiguration",
    "NumberOfFrames",
    "Rows",
    "Columns",
    "BitsAllocated",
    "BitsStored",
    "HighBit",
    "PixelRepresentation",
    "RescaleIntercept",
    "RescaleSlope",
)
CHUNK = 1 << 16
"""Values per chunk: they fit in the CPU cache, and the sum of 16-bit values in 32 bits."""


def summarise(frames: Frames, window: tuple[float, float]) -> dict[str, float]:
    """Compute `STATISTICS` of all frames: min, max, mean and standard deviation of stored values.

    The last one is the fraction of modality values inside `window` (width, level), without its
    ends.

    Raises:
        DecodeError: a frame cannot be decoded, or no pixel is finite.
    """
    count = inside = 0
    pivot: float | None = None
    sums: list[tuple[float, float]] = []
    ends: list[Any] = []
    for chunk, pipeline in _chunks(frames):
        if pivot is None:  # near the mean, so that squares of floats do not drown it
            pivot = float(chunk[0]) if chunk.dtype.itemsize > 2 else 0
        count += len(chunk)
        ends += [chunk.min(), chunk.max()]
        sums.append(_sums(chunk, pivot))
        inside += _count_inside(chunk, pipeline, *bounds_of(*window))
    if pivot is None:
        raise DecodeError("no pixel is finite")
    total, squares = (sum(one) for one in zip(*sums, strict=True))
    # For 16 bits these are Python integers, and the difference is exact.
    std = max(0, count * squares - total * total) ** 0.5 / count
    least, largest = min(ends).item(), max(ends).item()
    numbers = (least, largest, pivot + total / count, std, inside / count)
    return dict(zip(STATISTICS, numbers, strict=True))


def _chunks(frames: Frames) -> Iterator[tuple[Array, Pipeline]]:
    """Yield the finite stored values of all frames in chunks, each valid until the next."""
    for number in range(len(frames)):
        pipeline = read_pipeline(frames.header, number)
        for chunk in (
            _stream(frames, number) if _streams(frames, number) else _decode(frames, number)
        ):
            finite = chunk[np.isfinite(chunk)] if chunk.dtype.kind == "f" else chunk
            if len(finite):
                yield finite, pipeline


def _streams(frames: Frames, number: int) -> bool:
    """Return True if a frame can be read in chunks: complete, in bytes or little-endian words."""
    form = frames.form
    return (
        frames.is_native
        and form.syntax in LITTLE
        and form.allocated in (8, 16)
        and not form.subsampled
        and (number + 1) * form.frame_bytes <= frames.length
    )


def _stream(frames: Frames, number: int) -> Iterator[Array]:
    form = frames.form
    buffer = np.empty(min(CHUNK, form.values), form.dtype.newbyteorder("<"))
    memory = memoryview(cast(Any, buffer)).cast("B")
    frames.file.seek(frames.offset + number * form.frame_bytes)
    for start in range(0, form.values, CHUNK):
        count = min(CHUNK, form.values - start)
        size = count * form.dtype.itemsize
        if frames.file.readinto(memory[:size]) != size:  # type: ignore[attr-defined]
            raise DecodeError(f"frame {number} is truncated")
        values = buffer[:count]
        yield values if form.stored == form.allocated else mask(values, form)


def _decode(frames: Frames, number: int) -> Iterator[Array]:
    flat = read_frame(frames, number).values.ravel()
    for start in range(0, len(flat), CHUNK):
        yield flat[start : start + CHUNK]


def _sums(chunk: Array, pivot: float) -> tuple[float, float]:
    """Sum of differences to a pivot, and of their squares; exact for up to 16 bits."""
    if chunk.dtype.itemsize <= 2:
        wide = chunk.astype(np.float64)  # squares of 16 bits: 2^16 of them stay below 2^53
        return int(chunk.sum(dtype=f"{chunk.dtype.kind}4")), int(wide @ wide)
    above = chunk.astype(np.float64) - pivot
    return float(above.sum()), float(above @ above)


def _count_inside(chunk: Array, pipeline: Pipeline, low: float, high: float) -> int:
    pipeline.check_scale()
    if chunk.dtype.itemsize <= 2 and pipeline.modality_lut is None and pipeline.slope > 0:
        first, last = _bounds(chunk.dtype, pipeline.slope, pipeline.intercept, low, high)
        return int(np.count_nonzero((chunk >= first) & (chunk <= last))) if first <= last else 0
    scaled = pipeline.to_modality(chunk).astype(np.float32)
    return int(np.count_nonzero((scaled > low) & (scaled < high)))


@lru_cache(maxsize=1024)
def _bounds(
    dtype: np.dtype[Any], slope: float, intercept: float, low: float, high: float
) -> tuple[Any, Any]:
    """First and last stored value whose modality value is inside; first > last if none."""
    stored = all_values(dtype)
    scaled = Pipeline("", "", slope, intercept).to_modality(stored).astype(np.float32)
    inside = stored[(scaled > low) & (scaled < high)].astype(dtype)
    return (inside.min(), inside.max()) if len(inside) else (dtype.type(1), dtype.type(0))


# --- files, by rows of a scan -------------------------------------------------------------------


class _Row(dict[str, Any]):
    """Row of a scan, with the part of the pydicom interface that is needed here."""

    file_meta: dict[str, Any]


def list_pixels(rows: pa.Table) -> list[dict[str, Any]]:
    """Select the columns of `read_headers` that `summarise_file` needs."""
    selected: list[dict[str, Any]] = rows.select(_NEEDED).to_pylist()
    return selected


def summarise_file(row: dict[str, Any], window: tuple[float, float]) -> dict[str, float] | str:
    """Return the statistics of one file, or the name of the error."""
    if row["pixel_length"] is None:
        return "no pixels"
    try:
        with _open(row) as frames:
            return summarise(frames, window)
    except Exception as error:  # noqa: BLE001 - pydicom raises many types
        return type(error).__name__


def _open(row: dict[str, Any]) -> Frames:
    """Open the frames of a file; its header is parsed again only if the row is not sufficient."""
    path: bytes = row["path_bytes"] or row["path"].encode()
    name = os.fsdecode(b"/" + path)
    is_plain = row["transfer_syntax"] in LITTLE and (row["NumberOfFrames"] or 1) == 1
    # Without a rescale there may be a Modality LUT, or an invalid rescale: not in the row.
    if not is_plain or row["RescaleSlope"] is None or row["RescaleIntercept"] is None:
        return open_frames(name, read_dataset("/", path), row["pixel_offset"])
    header = _Row(row)
    header.file_meta = {"TransferSyntaxUID": row["transfer_syntax"]}
    return open_frames(name, cast(Dataset, header), row["pixel_offset"])

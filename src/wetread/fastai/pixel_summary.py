"""Five numbers of the pixels of a file, a piece at a time: no frame is held where none need be."""

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
PIECE = 1 << 16
"""Values looked at together: they stay in the cache, and the sum of 16-bit ones in 32 bits."""


def summarise(frames: Frames, window: tuple[float, float]) -> dict[str, float]:
    """Least, largest, mean and standard deviation of the stored values of all frames.

    And the share of the modality values that lie inside the window (width, level), without its
    ends. Raises DecodeError, also where no pixel is a finite number.
    """
    count = inside = 0
    pivot: float | None = None
    sums: list[tuple[float, float]] = []
    ends: list[Any] = []
    for piece, pipeline in _pieces(frames):
        if pivot is None:  # near the mean, so that squares of floats do not drown it
            pivot = float(piece[0]) if piece.dtype.itemsize > 2 else 0
        count += len(piece)
        ends += [piece.min(), piece.max()]
        sums.append(_sums(piece, pivot))
        inside += _count_inside(piece, pipeline, *bounds_of(*window))
    if pivot is None:
        raise DecodeError("no pixel is a finite number")
    total, squares = (sum(one) for one in zip(*sums, strict=True))
    # Of 16 bits these are whole numbers of any size, and the difference is exact.
    spread = max(0, count * squares - total * total) ** 0.5 / count
    least, largest = min(ends).item(), max(ends).item()
    numbers = (least, largest, pivot + total / count, spread, inside / count)
    return dict(zip(STATISTICS, numbers, strict=True))


def _pieces(frames: Frames) -> Iterator[tuple[Array, Pipeline]]:
    """The finite stored values of all frames, some at a time, each valid until the next."""
    for number in range(len(frames)):
        pipeline = read_pipeline(frames.header, number)
        for piece in _stream(frames, number) if _streams(frames, number) else _cut(frames, number):
            finite = piece[np.isfinite(piece)] if piece.dtype.kind == "f" else piece
            if len(finite):
                yield finite, pipeline


def _streams(frames: Frames, number: int) -> bool:
    """Whether a frame can be read a piece at a time: whole, in little-endian words or bytes."""
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
    buffer = np.empty(min(PIECE, form.values), form.dtype.newbyteorder("<"))
    memory = memoryview(cast(Any, buffer)).cast("B")
    frames.file.seek(frames.offset + number * form.frame_bytes)
    for start in range(0, form.values, PIECE):
        wanted = min(PIECE, form.values - start)
        size = wanted * form.dtype.itemsize
        if frames.file.readinto(memory[:size]) != size:  # type: ignore[attr-defined]
            raise DecodeError(f"frame {number} is cut")
        values = buffer[:wanted]
        yield values if form.stored == form.allocated else mask(values, form)


def _cut(frames: Frames, number: int) -> Iterator[Array]:
    flat = read_frame(frames, number).values.ravel()
    for start in range(0, len(flat), PIECE):
        yield flat[start : start + PIECE]


def _sums(piece: Array, pivot: float) -> tuple[float, float]:
    """The sum of what is above a pivot and of its squares; exact for 16 bits and fewer."""
    if piece.dtype.itemsize <= 2:
        wide = piece.astype(np.float64)  # squares of 16 bits: 2^16 of them stay below 2^53
        return int(piece.sum(dtype=f"{piece.dtype.kind}4")), int(wide @ wide)
    above = piece.astype(np.float64) - pivot
    return float(above.sum()), float(above @ above)


def _count_inside(piece: Array, pipeline: Pipeline, low: float, high: float) -> int:
    pipeline.check_scale()
    if piece.dtype.itemsize <= 2 and pipeline.modality_lut is None and pipeline.slope > 0:
        first, last = _bounds(piece.dtype, pipeline.slope, pipeline.intercept, low, high)
        return int(np.count_nonzero((piece >= first) & (piece <= last))) if first <= last else 0
    scaled = pipeline.to_modality(piece).astype(np.float32)
    return int(np.count_nonzero((scaled > low) & (scaled < high)))


@lru_cache(maxsize=1024)
def _bounds(
    dtype: np.dtype[Any], slope: float, intercept: float, low: float, high: float
) -> tuple[Any, Any]:
    """The first and last stored value whose modality value is inside; first > last for none."""
    stored = all_values(dtype)
    scaled = Pipeline("", "", slope, intercept).to_modality(stored).astype(np.float32)
    found = stored[(scaled > low) & (scaled < high)].astype(dtype)
    return (found.min(), found.max()) if len(found) else (dtype.type(1), dtype.type(0))


# --- of files, by their rows of a scan ----------------------------------------------------------


class _Row(dict[str, Any]):
    """A row of a scan, as far as Frames and read_pipeline ask a data set."""

    file_meta: dict[str, Any]


def list_pixels(rows: pa.Table) -> list[dict[str, Any]]:
    """What `summarise_file` needs to know of each row of `read_headers`, with the root "/"."""
    found: list[dict[str, Any]] = rows.select(_NEEDED).to_pylist()
    return found


def summarise_file(row: dict[str, Any], window: tuple[float, float]) -> dict[str, float] | str:
    """The five numbers of one file, or what went wrong: the name of the error, nothing more."""
    if row["pixel_length"] is None:
        return "no pixels"
    try:
        with _open(row) as frames:
            return summarise(frames, window)
    except Exception as error:  # noqa: BLE001 - pydicom raises many kinds; a file costs its row
        return type(error).__name__


def _open(row: dict[str, Any]) -> Frames:
    """The frames of a file; its header is parsed again only where the row does not say enough."""
    path: bytes = row["path_bytes"] or row["path"].encode()
    name = os.fsdecode(b"/" + path)
    is_plain = row["transfer_syntax"] in LITTLE and (row["NumberOfFrames"] or 1) == 1
    # Without a rescale there may be a Modality LUT, or one that does not parse: not in the row.
    if not is_plain or row["RescaleSlope"] is None or row["RescaleIntercept"] is None:
        return open_frames(name, read_dataset("/", path), row["pixel_offset"])
    header = _Row(row)
    header.file_meta = {"TransferSyntaxUID": row["transfer_syntax"]}
    return open_frames(name, cast(Dataset, header), row["pixel_offset"])

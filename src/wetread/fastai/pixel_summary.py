"""Pixel statistics of fastai, computed from histograms."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, cast

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray
from pydicom.dataset import Dataset

from wetread.display.pipeline import Pipeline, read_pipeline
from wetread.errors import DecodeError
from wetread.fastai.arrays import bounds_of
from wetread.headers.dataset import read_header
from wetread.headers.encodings import EXPLICIT_LE, IMPLICIT_LE
from wetread.imaging import histogram
from wetread.pixels import Frames, open_frames, read_frame
from wetread.settings import Settings

Array = NDArray[Any]
STATISTICS = ("img_min", "img_max", "img_mean", "img_std", "img_pct_window")
LITTLE = (EXPLICIT_LE, IMPLICIT_LE)
_NEEDED = (
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
_CHUNK = 1 << 16
"""Number of values of more than 16 bits per part: they fit in the CPU cache."""


def summarise(frames: Frames, window: tuple[float, float]) -> dict[str, float]:
    """Compute `STATISTICS` of all frames: min, max, mean and standard deviation of stored values.

    The last one is the fraction of modality values inside `window` (width, level), without its
    ends.

    Raises:
        DecodeError: a frame cannot be decoded, or no pixel is finite.
    """
    low, high = bounds_of(*window)
    number = inside = total = squares = 0
    pivot: float | None = None
    ends: list[Any] = []
    for values, counts, pipeline in _count_frames(frames):
        is_small = values.dtype.itemsize <= 2
        if pivot is None:  # near the mean, so that squares of floats do not drown it
            pivot = 0 if is_small else float(values[0])
        above = values.astype(np.int64 if is_small else np.float64) - pivot
        weighted = above * counts
        number += int(counts.sum())
        total += weighted.sum().item()
        squares += (weighted * above).sum().item()
        ends += [values.min().item(), values.max().item()]
        scaled = pipeline.to_modality(values).astype(np.float32)
        inside += int(counts[(scaled > low) & (scaled < high)].sum())
    if pivot is None:
        raise DecodeError("no pixel is finite")
    # For 16 bits these are Python integers, and the difference is exact.
    std = max(0, number * squares - total * total) ** 0.5 / number
    statistics = (min(ends), max(ends), pivot + total / number, std, inside / number)
    return dict(zip(STATISTICS, statistics, strict=True))


def _count_frames(frames: Frames) -> Iterator[tuple[Array, Array, Pipeline]]:
    """Yield finite stored values and their counts: the histogram, or parts of more than 16 bits."""
    for number in range(len(frames)):
        pipeline = read_pipeline(frames.header, number)
        stored = read_frame(frames, number).values
        if stored.dtype.kind in "iu" and stored.dtype.itemsize <= 2:
            yield *histogram(stored), pipeline
            continue
        flat = stored.ravel()
        for start in range(0, len(flat), _CHUNK):
            part = flat[start : start + _CHUNK]
            finite = part[np.isfinite(part)]
            if len(finite):
                yield finite, np.ones(len(finite), np.int64), pipeline


# --- files, by rows of a scan -------------------------------------------------------------------


class _Row(dict[str, Any]):
    """Row of a scan, with the part of the pydicom interface that is needed here."""

    file_meta: dict[str, Any]


def list_pixels(rows: pa.Table) -> list[dict[str, Any]]:
    """Select the columns of `read_headers` that `summarise_file` needs."""
    selected: list[dict[str, Any]] = rows.select(_NEEDED).to_pylist()
    return selected


def summarise_file(
    row: dict[str, Any], path: str, window: tuple[float, float]
) -> dict[str, float] | str:
    """Return the statistics of one file, or the name of the error."""
    if row["pixel_length"] is None:
        return "no pixels"
    try:
        with _open(row, path) as frames:
            return summarise(frames, window)
    except Exception as error:  # noqa: BLE001 - pydicom raises many types
        return type(error).__name__


def _open(row: dict[str, Any], path: str) -> Frames:
    """Open the frames of a file; its header is parsed again only if the row is not sufficient."""
    is_plain = row["transfer_syntax"] in LITTLE and (row["NumberOfFrames"] or 1) == 1
    # Without a rescale there may be a Modality LUT, or an invalid rescale: not in the row.
    if not is_plain or row["RescaleSlope"] is None or row["RescaleIntercept"] is None:
        with open(path, "rb") as file:
            return open_frames(path, read_header(file, Settings()), row["pixel_offset"])
    header = _Row(row)
    header.file_meta = {"TransferSyntaxUID": row["transfer_syntax"]}
    return open_frames(path, cast(Dataset, header), row["pixel_offset"])

"""Pixel statistics of an instance, computed from histograms of stored values."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import numpy as np
import xxhash
from numpy.typing import NDArray

from wetread.display.pipeline import Pipeline, Window
from wetread.display.render import percentiles
from wetread.imaging import histogram
from wetread.measure.image_quality import QUALITY_COLUMNS, quality_metrics
from wetread.pixels.codecs import Frame

Array = NDArray[Any]

COLUMNS: dict[str, str] = {
    "px_min": "minimum modality value, without padding",
    "px_max": "maximum modality value, without padding",
    "px_mean": "mean modality value, without padding",
    "px_std": "population standard deviation of modality values, without padding",
    "px_p01": "1st percentile of modality values, without padding",
    "px_p50": "median modality value, without padding",
    "px_p99": "99th percentile of modality values, without padding",
    "px_saturated_low": "fraction of pixels equal to px_min, without padding",
    "px_saturated_high": "fraction of pixels equal to px_max, without padding",
    "px_in_window": "fraction of pixels inside the first window of the file; null without one",
    "px_padding": "fraction of all pixels that are padding",
    "px_entropy": "Shannon entropy of the histogram of all stored values, in bits",
    "px_xxh3": "XXH3 hash (128 bits, 32 hex digits) of shape, type and stored values of all frames",
    **QUALITY_COLUMNS,
    "px_scale": "1 if measured at full resolution, 2 at half, then 4, 8 ...",
    "raw_min": "minimum stored value, with padding",
    "raw_max": "maximum stored value, with padding",
    "raw_mean": "mean stored value, with padding",
    "raw_std": "population standard deviation of stored values, with padding",
}
"""Columns that `measure` fills: numbers, except `HASHES`."""
HASHES = ("px_xxh3", "px_dhash")
"""Columns with hashes of the pixels, as text."""


def measure(frames: Iterable[tuple[Frame, Pipeline]]) -> dict[str, float | str | None]:
    """Compute the statistics of the frames of one instance, by name of COLUMNS.

    One frame is in memory at a time. Every sample of a colour image counts; palette images are
    measured by index. Values are None if there are no finite pixels; those of modality values also
    if a frame has none (`Pipeline.scale_error`).

    >>> from pydicom.dataset import Dataset
    >>> from wetread.display.pipeline import read_pipeline
    >>> header = Dataset()
    >>> header.RescaleSlope, header.RescaleIntercept = 2, -10
    >>> frame = Frame(np.array([[0, 5], [10, 15]], "u2"), 16, "MONOCHROME2")
    >>> row = measure([(frame, read_pipeline(header))])
    >>> row["px_min"], row["px_mean"], row["px_p50"], row["raw_mean"]
    (-10.0, 5.0, 5.0, 7.5)
    """
    digest = xxhash.xxh3_128()
    scale, inside, used, known = 1, None, 0, True
    raw: list[tuple[Array, Array]] = []
    modality: list[tuple[Array, Array]] = []
    quality: dict[str, Any] = {}
    for frame, pipeline in frames:
        quality = quality or quality_metrics(frame, pipeline)
        stored, counts = histogram(frame.values)
        raw.append((stored.astype(np.float64), counts))
        keep = ~pipeline.is_padding(stored)
        stored, counts = stored[keep], counts[keep]
        used += int(counts.sum())
        known = known and not pipeline.scale_error
        values = pipeline.to_modality(stored) if known else np.zeros(0)
        modality.append((values, counts[: len(values)]))
        scale = max(scale, frame.scale)
        inside = _count_inside(stored, counts, pipeline, inside)
        _hash(digest, frame.values)
    row: dict[str, float | str | None] = dict.fromkeys(COLUMNS)
    row |= {"px_xxh3": digest.hexdigest() if raw else None, "px_scale": scale if raw else None}
    row |= quality
    all_values, all_counts = _merge(raw)
    values, counts = _merge(modality)
    if len(all_values):
        row |= _moments("raw", all_values, all_counts)
        share = all_counts / all_counts.sum()
        row["px_entropy"] = float(-(share * np.log2(share)).sum()) + 0.0
        row["px_padding"] = 1 - used / float(all_counts.sum())
        row["px_in_window"] = inside / used if inside is not None and used else None
    if known and len(values):
        row |= _moments("px", values, counts)
        total = float(counts.sum())
        quantiles = percentiles(values, counts, (0.01, 0.5, 0.99))
        row |= dict(zip(("px_p01", "px_p50", "px_p99"), map(float, quantiles), strict=True))
        row["px_saturated_low"] = float(counts[0]) / total
        row["px_saturated_high"] = float(counts[-1]) / total
    return row


def _count_inside(
    stored: Array, counts: Array, pipeline: Pipeline, before: int | None
) -> int | None:
    """Add the number of values that the first window clips neither to black nor to white."""
    window = next((w for w in pipeline.views[:1] if isinstance(w, Window)), None)
    if window is None:
        return before
    inside = np.abs(pipeline.for_display.to_modality(stored) - window.center) <= window.width / 2
    return (before or 0) + int(counts[inside].sum())


def _merge(parts: list[tuple[Array, Array]]) -> tuple[Array, Array]:
    """Merge the histograms of several frames, values ascending."""
    if not parts:
        return np.zeros(0), np.zeros(0, np.int64)
    values = np.concatenate([part[0] for part in parts])
    counts = np.concatenate([part[1] for part in parts])
    if (np.diff(values) > 0).all():
        return values, counts
    distinct, inverse = np.unique(values, return_inverse=True)
    return distinct, np.bincount(inverse, counts, len(distinct)).astype(np.int64)


def _moments(name: str, values: Array, counts: Array) -> dict[str, float | str | None]:
    total = counts.sum()
    mean = float((values * counts).sum() / total)
    variance = float((counts * (values - mean) ** 2).sum() / total)
    ends = {f"{name}_min": float(values[0]), f"{name}_max": float(values[-1])}
    return {**ends, f"{name}_mean": mean, f"{name}_std": variance**0.5}


def _hash(digest: Any, values: Array) -> None:
    """Update a hash that depends on stored values, not on their transfer syntax."""
    little = np.ascontiguousarray(values, values.dtype.newbyteorder("<"))
    digest.update(f"{little.dtype.str}{little.shape}".encode())
    digest.update(little.data)

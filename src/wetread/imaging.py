"""Operations on image arrays: NumPy in, NumPy out.

Images are (rows, columns) arrays of any real type; results are float32 in 0..1 unless stated
otherwise. Windows are (center, width), as in DICOM.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from wetread.common import tables
from wetread.errors import UsageError

__all__ = [
    "blur_gaussian",
    "blur_uniform",
    "crop_resize",
    "fit",
    "freqhist_bins",
    "hist_scaled",
    "histogram",
    "mask_from_blur",
    "mask_to_box",
    "resize",
    "shrink",
    "to_channels",
    "windowed",
]
Array = NDArray[Any]
Floats = NDArray[np.float32]
_MOST = 1 << 31
"""Maximum number of values to count in 32 bits."""


def windowed(values: ArrayLike, window: tuple[float, float]) -> Floats:
    """Apply a linear window (center, width); results are in 0..1 (PS3.3 C.11.2.1.2.1).

    A width of 1 or less is a threshold at the center.

    >>> windowed([-160, 39.5, 240], (40, 400)).tolist()
    [0.0, 0.5, 1.0]
    """
    center, width = window
    x = np.asarray(values, np.float64)
    if width <= 1:
        return (x > center - 0.5).astype(np.float32)
    return np.clip((x - (center - 0.5)) / (width - 1) + 0.5, 0, 1).astype(np.float32)


def freqhist_bins(values: ArrayLike, n_bins: int = 100) -> Array:
    """Sorted bin edges with about equally many values per bin.

    The unique quantiles .001, (i + .5) / n_bins and .999 of the values.

    >>> freqhist_bins(np.arange(1000), 4).tolist()
    [1, 125, 375, 625, 875, 999]
    """
    if n_bins < 1:
        raise UsageError(f"n_bins must be at least 1, not {n_bins}")
    flat = np.sort(np.asarray(values), axis=None)
    quantiles = np.r_[0.001, (np.arange(n_bins) + 0.5) / n_bins, 0.999]
    return np.unique(flat[(len(flat) * quantiles + 0.5).astype(np.intp).clip(0, len(flat) - 1)])


def hist_scaled(values: ArrayLike, bins: ArrayLike | None = None) -> Floats:
    """Equalise the histogram: map values piecewise linearly from bin edges onto 0..1.

    `bins` are the edges, by default `freqhist_bins(values)`. A constant image becomes all 0.

    >>> hist_scaled([0, 1, 10, 1000], [0, 1, 10, 1000]).round(2)
    array([0.  , 0.33, 0.67, 1.  ], dtype=float32)
    """
    x = np.asarray(values)
    edges = np.asarray(freqhist_bins(x) if bins is None else bins, np.float64)
    if len(edges) < 2:
        return np.zeros(x.shape, np.float32)
    if x.dtype.kind in "iu" and x.dtype.itemsize <= 2 and x.size > 65536:
        domain = all_values(x.dtype)  # a table is faster than 3.6 million interpolations
        return look_up(_interpolate(domain, edges), x)
    return _interpolate(x, edges)


def _interpolate(x: Array, edges: Array) -> Floats:
    scaled: Floats = np.interp(x, edges, np.linspace(0, 1, len(edges))).astype(np.float32)
    return scaled


def all_values(dtype: np.dtype[Any]) -> NDArray[np.int64]:
    """All values of an integer type of up to 16 bits, in the order of their bit patterns."""
    patterns = np.arange(1 << 8 * dtype.itemsize, dtype=f"u{dtype.itemsize}")
    return patterns.view(dtype).astype(np.int64)


def look_up(table: Array, values: Array) -> Array:
    """Look up every value in a table that is in the order of `all_values`."""
    out = np.empty(values.shape, table.dtype)
    word = f"u{table.itemsize}"
    tables.look_up(table.view(word), _patterns(values), out.reshape(-1).view(word))
    return out


def histogram(values: Array) -> tuple[Array, NDArray[np.int64]]:
    """Distinct finite values, ascending, and their counts.

    Integers of up to 16 bits are counted in one pass; other types are sorted.

    >>> distinct, counts = histogram(np.array([[7, -2], [7, 7]], "i2"))
    >>> distinct.tolist(), counts.tolist()
    ([-2, 7], [1, 3])
    """
    if values.dtype.kind not in "iu" or values.dtype.itemsize > 2:
        finite = values[np.isfinite(values)] if values.dtype.kind == "f" else values
        distinct, counts = np.unique(finite, return_counts=True)
        return distinct, counts.astype(np.int64)
    patterns = _patterns(values)
    table: Array = np.zeros(1 << 8 * patterns.itemsize, np.uint32)
    tables.count(patterns[:_MOST], table)
    for start in range(_MOST, len(patterns), _MOST):
        part = np.zeros(len(table), np.uint32)
        tables.count(patterns[start : start + _MOST], part)
        table = table + part.astype(np.int64)
    least = int(np.iinfo(values.dtype).min)
    if least:
        table = np.roll(table, least)  # from the order of bit patterns to that of values
    used = np.flatnonzero(table != 0)
    return (used + least).astype(values.dtype.newbyteorder("=")), table[used].astype(np.int64)


def _patterns(values: Array) -> Array:
    """Integers of up to 16 bits as a flat array of bit patterns."""
    native = np.require(values, values.dtype.newbyteorder("="), ["C", "A"])
    return native.reshape(-1).view(f"u{native.itemsize}")


def blur_uniform(values: ArrayLike, size: int) -> Floats:
    """Mean over `size` x `size` pixels, edges repeated; same shape, float32."""
    x = np.asarray(values, np.float64)
    for axis in (-2, -1):
        x = _box(x, max(1, size), axis)
    return x.astype(np.float32)


def blur_gaussian(values: ArrayLike, sigma: float) -> Floats:
    """Gaussian blur of `sigma` pixels, as four box blurs (within 8 % of its peak); same shape.

    The run time does not depend on sigma. Edges are repeated.
    """
    x = np.asarray(values, np.float64)
    for axis in (-2, -1):
        for size in _box_sizes(sigma):
            x = _box(x, size, axis)
    return x.astype(np.float32)


def _box_sizes(sigma: float, passes: int = 4) -> list[int]:
    """Odd box sizes whose variances add up to sigma squared (Kovesi, DICTA 2010)."""
    ideal = np.sqrt(12 * sigma**2 / passes + 1)
    low = int(ideal) - 1 if int(ideal) % 2 == 0 else int(ideal)
    low = max(1, low)
    n = (12 * sigma**2 - passes * (low**2 + 4 * low + 3)) / (-4 * low - 4)
    return [low if i < round(n) else low + 2 for i in range(passes)]


def _box(x: NDArray[np.float64], size: int, axis: int) -> NDArray[np.float64]:
    """Running mean along an axis by one cumulative sum."""
    if size == 1:
        return x
    x = np.moveaxis(x, axis, -1)
    pad = [(0, 0)] * (x.ndim - 1) + [(size // 2 + 1, (size - 1) // 2)]
    total = np.cumsum(np.pad(x, pad, mode="edge"), axis=-1)
    mean: NDArray[np.float64] = (total[..., size:] - total[..., :-size]) / size
    return np.moveaxis(mean, -1, axis)


def mask_from_blur(
    values: ArrayLike,
    window: tuple[float, float],
    sigma: float = 0.3,
    threshold: float = 0.05,
    remove_max: bool = True,
) -> NDArray[np.bool_]:
    """Mask of the body: pixels that are bright once the image is windowed and blurred.

    `sigma` is a fraction of the width. With `remove_max`, pixels at the top of the window are dark.
    """
    bright = windowed(values, window)
    if remove_max:
        bright[bright == 1] = 0
    return blur_gaussian(bright, sigma * bright.shape[-1]) > threshold


def mask_to_box(mask: ArrayLike) -> tuple[int, int, int, int] | None:
    """Bounding box (x0, y0, x1, y1) of the true pixels, in edge coordinates; None for no pixels.

    `image[y0:y1, x0:x1]` is the content of the box.

    >>> mask_to_box([[0, 0, 0], [0, 1, 1]])
    (1, 1, 3, 2)
    """
    inside = np.asarray(mask, bool)
    rows, columns = np.flatnonzero(inside.any(axis=1)), np.flatnonzero(inside.any(axis=0))
    if not len(rows):
        return None
    return int(columns[0]), int(rows[0]), int(columns[-1]) + 1, int(rows[-1]) + 1


def crop_resize(
    values: ArrayLike, box: tuple[float, float, float, float], size: int | tuple[int, int]
) -> Array:
    """Crop to `box` (x0, y0, x1, y1) and resize to `size`: (rows, columns), or one int for both.

    Bilinear when enlarging, averaging when shrinking. Keeps the data type.
    """
    rows, columns = (size, size) if isinstance(size, int) else size
    return _resize(np.asarray(values), (rows, columns), box)


def resize(values: ArrayLike, size: tuple[int, int]) -> Array:
    """Resize to (rows, columns), as `crop_resize` without cropping."""
    return _resize(np.asarray(values), size, None)


def shrink(values: Array, longest: int) -> Array:
    """Shrink a grey or colour image to a longest side of at most `longest`; never enlarges.

    Each new pixel is the mean over its area. Keeps the data type.

    >>> shrink(np.array([[0, 2, 4, 6], [2, 4, 6, 8]], "u1"), 2)
    array([[2, 6]], dtype=uint8)
    """
    if longest < 1:
        raise UsageError(f"size must be at least 1, not {longest}")
    size = fit((values.shape[0], values.shape[1]), longest)
    return values if size == values.shape[:2] else _resize(values, size, None, average=True)


def fit(size: tuple[int, int], longest: int) -> tuple[int, int]:
    """Scale (rows, columns) to a longest side of at most `longest`; the shorter is at least 1.

    >>> fit((1955, 1841), 512), fit((100, 50), 512)
    ((512, 482), (100, 50))
    """
    scale = longest / max(size)
    if scale >= 1:
        return size
    return max(1, round(size[0] * scale)), max(1, round(size[1] * scale))


def _resize(
    values: Array,
    size: tuple[int, int],
    box: tuple[float, float, float, float] | None,
    average: bool = False,
) -> Array:
    """Resample with Pillow, in float32 except for the 8-bit types that it supports."""
    from PIL import Image

    if min(size) < 1:
        raise UsageError(f"cannot resize to {size[0]} x {size[1]} pixels")
    filter_ = Image.Resampling.BOX if average else Image.Resampling.BILINEAR
    target = (size[1], size[0])
    if values.dtype == np.uint8:
        return np.asarray(Image.fromarray(values).resize(target, filter_, box))
    if values.ndim == 3:
        return np.stack(
            [_resize(v, size, box, average) for v in np.moveaxis(values, -1, 0)], axis=-1
        )
    image = Image.fromarray(np.ascontiguousarray(values, np.float32))
    resized = np.asarray(image.resize(target, filter_, box))
    return np.rint(resized).astype(values.dtype) if values.dtype.kind in "iub" else resized


def to_channels(
    values: ArrayLike, windows: Sequence[tuple[float, float]], bins: ArrayLike | int | None = None
) -> Floats:
    """Stack channels (channels, rows, columns): one per window, and `hist_scaled` unless bins=0."""
    x = np.asarray(values)
    channels = [windowed(x, window) for window in windows]
    if not (isinstance(bins, int) and bins == 0):
        channels.append(hist_scaled(x, bins))
    if not channels:
        raise UsageError("no channels: pass at least one window, or a value of bins other than 0")
    return np.stack(channels)

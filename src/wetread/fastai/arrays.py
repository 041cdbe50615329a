"""Pixel functions of fastai on NumPy arrays; windows are (width, level), as in fastai.

Images have the shape (..., rows, columns). These functions reproduce the numbers of fastai;
`wetread.imaging` has the native ones.
"""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray
from PIL import Image

from wetread import imaging
from wetread.errors import UsageError

Array = NDArray[Any]
Floats = NDArray[np.float32]

dicom_windows = SimpleNamespace(
    brain=(80, 40),
    subdural=(254, 100),
    stroke=(8, 32),
    brain_bone=(2800, 600),
    brain_soft=(375, 40),
    lungs=(1500, -600),
    mediastinum=(350, 50),
    abdomen_soft=(400, 50),
    liver=(150, 30),
    spine_soft=(250, 50),
    spine_bone=(1800, 400),
)
"""CT windows in HU, as (width, level)."""


def array_freqhist_bins(arr: ArrayLike, n_bins: int = 100) -> Array:
    """Sorted break points with about equal numbers of values in between.

    >>> array_freqhist_bins(np.arange(1000), 4).tolist()
    [1, 125, 375, 625, 875, 999]
    """
    return imaging.freqhist_bins(arr, n_bins)


def tensor_freqhist_bins(values: ArrayLike, n_bins: int = 100) -> Array:
    """Same as `array_freqhist_bins`, with positions rounded down in float32, as for tensors."""
    quantiles = np.arange(n_bins, dtype="f4") / np.float32(n_bins) + np.float32(0.5 / n_bins)
    quantiles = np.r_[np.float32(0.001), quantiles, np.float32(0.999)]
    flat = np.sort(np.asarray(values), axis=None)
    return np.unique(flat[(np.float32(len(flat)) * quantiles).astype(np.intp)])


def hist_scaled(values: ArrayLike, breaks: ArrayLike | int | None = None) -> Floats:
    """Equalise values to 0..1 by histogram; `breaks` are break points, or their number."""
    if breaks is None or isinstance(breaks, int):
        breaks = tensor_freqhist_bins(values, 100 if breaks is None else breaks)
    return imaging.hist_scaled(values, breaks)


def bounds_of(width: float, level: float) -> tuple[float, float]:
    """Return the ends of a window, rounded as in fastai: an odd width loses 1."""
    return level - width // 2, level + width // 2


def windowed(values: ArrayLike, width: float, level: float) -> Floats:
    """Map values to 0..1 by a window; a width below 2 is a threshold.

    >>> windowed([0, 40, 80], 80, 40).tolist()
    [0.0, 0.5, 1.0]
    """
    low, high = bounds_of(width, level)
    x = np.asarray(values, np.float32)
    if low >= high:
        return (x > level).astype(np.float32)
    return ((np.clip(x, low, high) - low) / (high - low)).astype(np.float32)


def to_channels(
    values: ArrayLike,
    windows: Sequence[tuple[float, float]],
    bins: ArrayLike | int | None = None,
) -> Floats:
    """Stack channels on axis -3: one per window, and `hist_scaled` unless `bins` is 0."""
    channels = [windowed(values, *window) for window in windows]
    if not (isinstance(bins, int) and bins == 0):
        channels.append(hist_scaled(values, bins))
    if not channels:
        raise UsageError("no channel: give at least one window, or bins other than 0")
    return np.stack(channels, axis=-3)


def to_bytes(
    values: ArrayLike,
    windows: Sequence[tuple[float, float]],
    bins: ArrayLike | int | None = None,
) -> NDArray[np.uint8]:
    """Render one window as grey (rows, columns), two or three as RGB (rows, columns, 3).

    With two windows, blue is `hist_scaled`, or black if `bins` is 0. Without windows, grey is
    `hist_scaled`.
    """
    if len(windows) > 3:
        raise UsageError(f"{len(windows)} windows: a JPEG has at most three channels")
    channels = to_channels(values, windows, bins if len(windows) in (0, 2) else 0)
    if channels.ndim != 3:
        raise UsageError("only one grey frame can be saved as JPEG")
    pixels = (channels * 255).astype(np.uint8)
    if len(pixels) == 1:
        grey: NDArray[np.uint8] = pixels[0]
        return grey
    black = np.zeros_like(pixels[:1])
    rgb: NDArray[np.uint8] = np.concatenate([pixels, black])[:3]
    return np.moveaxis(rgb, 0, -1)


def to_uint16(values: ArrayLike, bins: ArrayLike | int | None = None) -> NDArray[np.uint16]:
    """Scale `hist_scaled` to 0..65535."""
    scaled: Array = np.minimum(hist_scaled(values, bins) * np.float32(65536), 65535)
    return scaled.astype(np.uint16)


def save_jpg(
    values: ArrayLike,
    path: str | os.PathLike[str],
    windows: Sequence[tuple[float, float]],
    bins: ArrayLike | int | None = None,
    quality: int = 90,
    invert: bool = False,
) -> None:
    """Save `to_bytes` as a JPEG file with the suffix .jpg."""
    pixels = to_bytes(values, windows, bins)
    image = Image.fromarray(255 - pixels if invert else pixels)
    image.save(Path(path).with_suffix(".jpg"), quality=quality)


def save_tif16(
    values: ArrayLike,
    path: str | os.PathLike[str],
    bins: ArrayLike | int | None = None,
    compress: bool = True,
    invert: bool = False,
) -> None:
    """Save `to_uint16` as a grey TIFF file with the suffix .tif."""
    pixels = to_uint16(values, bins)
    image = Image.fromarray(65535 - pixels if invert else pixels)
    image.save(Path(path).with_suffix(".tif"), compression="tiff_deflate" if compress else None)


def blur_gaussian(values: ArrayLike, sigma: float) -> Floats:
    """Gaussian blur of fastai, truncated at a quarter of sigma on each side, edges repeated.

    It is close to a box blur, and the identity for a sigma below 4; the defaults of
    `mask_from_blur` depend on it. `wetread.imaging.blur_gaussian` is a full Gaussian.
    """
    reach = int(sigma / 4)
    offsets = np.arange(-reach, reach + 1)
    kernel = np.exp(-(offsets**2) / (2 * float(sigma) ** 2)) if reach else np.ones(1)
    x = np.asarray(values, np.float64)
    for axis in (-2, -1):
        x = _convolve(x, kernel / kernel.sum(), axis)
    return x.astype(np.float32)


def _convolve(x: NDArray[np.float64], kernel: Array, axis: int) -> NDArray[np.float64]:
    """Convolve along one axis, edges repeated; by FFT, as kernels have hundreds of taps."""
    reach = len(kernel) // 2
    if not reach:
        return x
    pad = [(0, 0)] * x.ndim
    pad[axis] = (reach, reach)
    padded = np.moveaxis(np.pad(x, pad, mode="edge"), axis, -1)
    size = padded.shape[-1]
    mixed = np.fft.irfft(np.fft.rfft(padded) * np.fft.rfft(kernel, size), size)
    return np.moveaxis(mixed[..., 2 * reach :], -1, axis)


def mask_from_blur(
    values: ArrayLike,
    window: tuple[float, float],
    sigma: float = 0.3,
    thresh: float = 0.05,
    remove_max: bool = True,
) -> NDArray[np.bool_]:
    """Mask of bright areas after window and blur; `sigma` is a fraction of the width."""
    bright = windowed(values, *window)
    if remove_max:
        bright[bright == 1] = 0
    return blur_gaussian(bright, sigma * bright.shape[-1]) > thresh


def bounding_boxes(mask: ArrayLike) -> NDArray[np.int64]:
    """Bounding boxes of masks: [[r0, c0], [r1, c1]], last row and column included.

    The shape is (2, 2) for a mask (rows, columns) and (2, 2, n) for n masks. An empty mask gives
    the whole image.

    >>> bounding_boxes([[0, 0, 0], [0, 1, 1]]).tolist()
    [[1, 1], [1, 2]]
    """
    flags = np.asarray(mask).astype(bool)
    ends = [_ends(np.asarray(flags.any(axis=axis))) for axis in (-1, -2)]
    return np.stack(ends, axis=1)


def _ends(used: Array) -> NDArray[np.int64]:
    """First and last true index along the last axis, shape (2, ...)."""
    size = used.shape[-1]
    none = ~used.any(axis=-1)
    first, last = used.argmax(axis=-1), size - 1 - used[..., ::-1].argmax(axis=-1)
    return np.stack([np.where(none, 0, first), np.where(none, size - 1, last)])

"""What fastai computes on pixels, on NumPy arrays; windows are (width, level), as fastai has them.

Pictures are (..., rows, columns). Native counterparts are in `wetread.imaging`; here stand those
whose numbers are fastai's.
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
    """Sorted break points that hold about equally many values each.

    >>> array_freqhist_bins(np.arange(1000), 4).tolist()
    [1, 125, 375, 625, 875, 999]
    """
    return imaging.freqhist_bins(arr, n_bins)


def tensor_freqhist_bins(values: ArrayLike, n_bins: int = 100) -> Array:
    """As `array_freqhist_bins`, with the places rounded down in float32: fastai's Tensor method."""
    shares = np.arange(n_bins, dtype="f4") / np.float32(n_bins) + np.float32(0.5 / n_bins)
    shares = np.r_[np.float32(0.001), shares, np.float32(0.999)]
    flat = np.sort(np.asarray(values), axis=None)
    return np.unique(flat[(np.float32(len(flat)) * shares).astype(np.intp)])


def hist_scaled(values: ArrayLike, breaks: ArrayLike | int | None = None) -> Floats:
    """Values onto 0..1 so that all greys are used about equally; `breaks`, or how many of them."""
    if breaks is None or isinstance(breaks, int):
        breaks = tensor_freqhist_bins(values, 100 if breaks is None else breaks)
    return imaging.hist_scaled(values, breaks)


def bounds_of(width: float, level: float) -> tuple[float, float]:
    """The ends of a window as fastai rounds them: an odd width loses 1."""
    return level - width // 2, level + width // 2


def windowed(values: ArrayLike, width: float, level: float) -> Floats:
    """Values through a window onto 0..1; a width below 2 is a threshold.

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
    """(..., channels, rows, columns): one per window, and `hist_scaled` unless `bins` is 0."""
    channels = [windowed(values, *window) for window in windows]
    if not (isinstance(bins, int) and bins == 0):
        channels.append(hist_scaled(values, bins))
    if not channels:
        raise UsageError("no channel: give a window, or leave bins as it is")
    return np.stack(channels, axis=-3)


def to_bytes(
    values: ArrayLike,
    windows: Sequence[tuple[float, float]],
    bins: ArrayLike | int | None = None,
) -> NDArray[np.uint8]:
    """One window as grey (rows, columns), two or three as RGB (rows, columns, 3).

    The blue of two windows is `hist_scaled`, or black where `bins` is 0. Without a window the
    grey is `hist_scaled`.
    """
    if len(windows) > 3:
        raise UsageError(f"{len(windows)} windows: a JPEG has at most three channels")
    channels = to_channels(values, windows, bins if len(windows) in (0, 2) else 0)
    if channels.ndim != 3:
        raise UsageError("a JPEG holds one grey frame")
    pixels = (channels * 255).astype(np.uint8)
    if len(pixels) == 1:
        grey: NDArray[np.uint8] = pixels[0]
        return grey
    black = np.zeros_like(pixels[:1])
    rgb: NDArray[np.uint8] = np.concatenate([pixels, black])[:3]
    return np.moveaxis(rgb, 0, -1)


def to_uint16(values: ArrayLike, bins: ArrayLike | int | None = None) -> NDArray[np.uint16]:
    """`hist_scaled` x 65536, the brightest 65535."""
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
    """Fastai's Gaussian: cut off at a quarter of sigma on each side, edges repeated.

    It is nearly a box blur, and nothing below a sigma of 4; `mask_from_blur` is made for it.
    `wetread.imaging.blur_gaussian` is the whole Gaussian.
    """
    reach = int(sigma / 4)
    places = np.arange(-reach, reach + 1)
    kernel = np.exp(-(places**2) / (2 * float(sigma) ** 2)) if reach else np.ones(1)
    x = np.asarray(values, np.float64)
    for axis in (-2, -1):
        x = _convolve(x, kernel / kernel.sum(), axis)
    return x.astype(np.float32)


def _convolve(x: NDArray[np.float64], kernel: Array, axis: int) -> NDArray[np.float64]:
    """Along one axis, edges repeated; by Fourier transform, as kernels have hundreds of taps."""
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
    """Where the picture, windowed and blurred, is bright; `sigma` is a share of the width."""
    bright = windowed(values, *window)
    if remove_max:
        bright[bright == 1] = 0
    return blur_gaussian(bright, sigma * bright.shape[-1]) > thresh


def bounding_boxes(mask: ArrayLike) -> NDArray[np.int64]:
    """First and last row and column of what is true: [[r0, c0], [r1, c1]], the last ones included.

    Shape (2, 2) of a mask (rows, columns), (2, 2, n) of n of them. The whole picture where
    nothing is true.

    >>> bounding_boxes([[0, 0, 0], [0, 1, 1]]).tolist()
    [[1, 1], [1, 2]]
    """
    wet = np.asarray(mask).astype(bool)
    ends = [_ends(np.asarray(wet.any(axis=axis))) for axis in (-1, -2)]
    return np.stack(ends, axis=1)


def _ends(used: Array) -> NDArray[np.int64]:
    """First and last place along the last axis that is true: (2, ...)."""
    size = used.shape[-1]
    none = ~used.any(axis=-1)
    first, last = used.argmax(axis=-1), size - 1 - used[..., ::-1].argmax(axis=-1)
    return np.stack([np.where(none, 0, first), np.where(none, size - 1, last)])

"""Rasterise a cached frame into an item: resize, apply the window, augment."""

from __future__ import annotations

import math
from typing import Any, NamedTuple

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from wetread.cache.cache import WindowOption
from wetread.display.pipeline import Window
from wetread.errors import UnknownNameError, UsageError
from wetread.learn.augment import Change

Array = NDArray[Any]
Floats = NDArray[np.float32]
_NARROW = 1e-3
"""Minimum width of a window, in steps of a pixel: a window of width 0 is a threshold."""


class Placement(NamedTuple):
    """Affine transform from frame to item pixels: item = frame * (x, y) + (left, top)."""

    x: float
    """Negative for a horizontal flip."""
    y: float
    left: float
    top: float


GreyScales = NDArray[np.float64]
"""(n, 3): black, gain, sigmoid. (pixel - black) * gain is 0 for black and 1 for white."""


def grey_scales(rows: pa.Table, window: WindowOption) -> GreyScales:
    """Grey scale of each row of a cache; `window` as in `CacheDataset`.

    Raises:
        UnknownNameError: there is no such window.
        UsageError: not a valid window.
    """
    if isinstance(window, str) and window not in ("auto", "file"):
        raise UnknownNameError("window", window, ["auto", "file", "(center, width)"])
    fixed = None if isinstance(window, str) else _read_window(window)
    names = ("view", "auto_low", "auto_high", "scale", "offset", "invert", "photometric")
    columns = (rows[name].to_pylist() for name in names)
    scales = []
    for view, low, high, scale, offset, invert, photometric in zip(*columns, strict=True):
        sigmoid = False
        if photometric.startswith("MONOCHROME"):
            if fixed is not None:
                low, high = fixed
            elif window == "file" and view is not None:
                low, high = _ends(Window(**view))
                sigmoid = view["function"] == "SIGMOID"
        ends = ((low - offset) / scale, (high - offset) / scale)
        black, white = reversed(ends) if invert else ends
        step = white - black
        if abs(step) < _NARROW:
            step = math.copysign(_NARROW, -scale if invert else scale)
        scales.append((black, 1 / step, sigmoid))
    return np.array(scales, np.float64).reshape(-1, 3)


def _read_window(window: tuple[float, float]) -> tuple[float, float]:
    if len(window) != 2 or not np.isfinite(window).all() or window[1] <= 0:
        raise UsageError(f"window {window!r}: give (center, width) with a width above 0")
    return _ends(Window(float(window[0]), float(window[1])))


def _ends(window: Window) -> tuple[float, float]:
    """Values of black and white, as in `display.pipeline.Window`."""
    center, width = window.center, window.width
    if width <= 0:
        return center, center
    if window.function == "LINEAR" and width >= 1:
        center, width = center - 0.5, width - 1
    return center - width / 2, center + width / 2


def draw(
    pixels: NDArray[np.uint16], to: Placement, scale: GreyScales, out: Floats, change: Change
) -> None:
    """Draw a frame into `out`, (size, size) of zeros; partly covered pixels stay 0."""
    height, width = pixels.shape
    ratio, left, top = to.y, to.left, to.top
    if to.x < 0:
        pixels, left = pixels[:, ::-1], left - width * ratio
    x0, x1 = _covered(left, width * ratio, out.shape[1])
    y0, y1 = _covered(top, height * ratio, out.shape[0])
    if x0 >= x1 or y0 >= y1:
        return
    region = out[y0:y1, x0:x1]
    # Sums of blocks first, which is fast. A zoomed frame may lose a little detail, so
    # that all zooms near 1 have the same.
    times = max(1, int(1 / ratio + (1e-6 if change.zoom == 1 else 0.2)))
    values: Array = pixels if times == 1 else sum_blocks(pixels, times)
    step = ratio * times
    if step == 1 and left == x0 and top == y0:
        values = values[: y1 - y0, : x1 - x0]
    else:
        box = ((x0 - left) / step, (y0 - top) / step, (x1 - left) / step, (y1 - top) / step)
        values = _resize(values, region.shape, box)
    # One division for the mean of the blocks and the window.
    count = times * times
    black, gain, sigmoid = scale
    np.subtract(values, np.float32(black * count), out=region)
    region *= np.float32(gain / count)
    if sigmoid:
        with np.errstate(over="ignore"):  # far below the center the result is 0
            region[...] = 1 / (1 + np.exp(-4 * (region - np.float32(0.5))))
    np.clip(region, 0, 1, out=region)
    _augment(region, change)


def _covered(start: float, length: float, size: int) -> tuple[int, int]:
    """First fully covered pixel of an item, and the one after the last."""
    return max(0, math.ceil(start - 1e-6)), min(size, math.floor(start + length + 1e-6))


def sum_blocks(pixels: NDArray[np.uint16], times: int) -> Floats:
    """Sums of blocks of `times` x `times`; incomplete blocks at the bottom and right are dropped.

    >>> sum_blocks(np.array([[0, 2, 4], [2, 4, 6]], "u2"), 2).tolist()
    [[8.0]]
    """
    rows, columns = (side - side % times for side in pixels.shape)
    tall = pixels[0:rows:times].astype(np.float32)
    for row in range(1, times):
        tall += pixels[row:rows:times]
    total = tall[:, 0:columns:times].copy()
    for column in range(1, times):
        total += tall[:, column:columns:times]
    return total


def _resize(
    values: Array, shape: tuple[int, ...], box: tuple[float, float, float, float]
) -> Floats:
    from PIL import Image

    rows, columns = values.shape
    x0, y0, x1, y1 = max(0.0, box[0]), max(0.0, box[1]), min(columns, box[2]), min(rows, box[3])
    image = Image.fromarray(np.ascontiguousarray(values, np.float32))
    return np.asarray(
        image.resize((shape[1], shape[0]), Image.Resampling.BILINEAR, (x0, y0, x1, y1))
    )


def _augment(region: Floats, change: Change) -> None:
    """Apply contrast, brightness and noise in place."""
    if change.contrast != 1 or change.brightness:
        region *= np.float32(change.contrast)
        region += np.float32(0.5 - 0.5 * change.contrast + change.brightness)
    if change.noise:
        import torch

        generator = torch.Generator().manual_seed(change.noise_seed)
        region += torch.empty(region.shape).normal_(0, change.noise, generator=generator).numpy()
    if change != Change():
        np.clip(region, 0, 1, out=region)

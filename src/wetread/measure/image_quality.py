"""What a picture is like to look at, in numbers: alike others, inverted, bordered, blurred."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from wetread.display.pipeline import Pipeline
from wetread.display.render import apply, auto_window
from wetread.imaging import resize, shrink
from wetread.pixels.codecs import Frame

Grey = NDArray[np.uint8]
QUALITY_COLUMNS: dict[str, str] = {
    "px_dhash": "16 hex digits of a difference hash of the first frame: equal where two look alike",
    "px_corners": "mean grey of its corners less that of its middle, of 1; above 0 if inverted",
    "px_border": "share of it in rows and columns at its edges that have one grey",
    "px_sharpness": "variance of the Laplacian of its greys at 256 pixels, divided by 255 squared",
}
"""Columns of how the first frame looks under an automatic window; null for colour by palette."""
_SMALL, _SAMPLE = 256, 512
_ONE_GREY = 4
"""Grey levels between which a row or column counts as one grey."""


def quality_metrics(frame: Frame, pipeline: Pipeline) -> dict[str, Any]:
    """The columns QUALITY_COLUMNS of a frame.

    Pixels are sampled to at most 512 a side first, so that a large film costs little.

    >>> ramp = np.tile(np.arange(64, dtype="u2"), (64, 1))
    >>> look = quality_metrics(Frame(ramp, 16, "MONOCHROME2"), Pipeline("MONOCHROME2", "CR"))
    >>> look["px_dhash"], look["px_corners"] < 0.05
    ('ffffffffffffffff', True)
    """
    grey = _draw(frame, pipeline)
    if grey is None:
        return {}
    small = shrink(grey, _SMALL).astype(np.float64)
    return {
        "px_dhash": _hash(small),
        "px_corners": _corners(small) / 255,
        "px_border": _border(small),
        "px_sharpness": _sharpness(small) / 255**2,
    }


def _draw(frame: Frame, pipeline: Pipeline) -> Grey | None:
    """The frame as it is shown, sampled; padding is black."""
    step = -(-max(frame.values.shape[:2]) // _SAMPLE)
    values = frame.values[::step, ::step]
    if pipeline.palette is not None or not values.size:
        return None
    if values.ndim == 3:
        return np.asarray(values.mean(axis=2) / 2 ** max(0, frame.bits - 8), np.uint8)
    return apply(values, pipeline, auto_window(values, pipeline, frame.bits))


def _hash(grey: NDArray[np.float64]) -> str:
    """Whether each of 8 x 8 greys is darker than the one to its right (dHash)."""
    coarse = resize(grey.astype(np.float32), (8, 9))
    bits = np.packbits(coarse[:, 1:] > coarse[:, :-1])
    return bits.tobytes().hex()


def _corners(grey: NDArray[np.float64]) -> float:
    rows, columns = grey.shape
    y, x = -(-rows // 8), -(-columns // 8)
    ends = [part[:, side] for part in (grey[:y], grey[-y:]) for side in (slice(x), slice(-x, None))]
    middle = grey[rows // 4 : rows - rows // 4, columns // 4 : columns - columns // 4]
    return float(np.mean(ends) - middle.mean())


def _border(grey: NDArray[np.float64]) -> float:
    rows, columns = grey.shape
    high = rows - _count_flat(grey) - _count_flat(grey[::-1])
    wide = columns - _count_flat(grey.T) - _count_flat(grey.T[::-1])
    return float(1 - max(high, 0) / rows * max(wide, 0) / columns)


def _count_flat(lines: NDArray[np.float64]) -> int:
    """How many lines from the first on have one grey, the first one's."""
    flat = (np.ptp(lines, axis=1) <= _ONE_GREY) & (abs(lines[:, 0] - lines[0, 0]) <= _ONE_GREY)
    return len(flat) if flat.all() else int(flat.argmin())


def _sharpness(grey: NDArray[np.float64]) -> float:
    if min(grey.shape) < 3:
        return 0.0
    middle = grey[1:-1, 1:-1]
    around = grey[:-2, 1:-1] + grey[2:, 1:-1] + grey[1:-1, :-2] + grey[1:-1, 2:]
    return float((around - 4 * middle).var())

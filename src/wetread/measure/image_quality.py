"""Image-quality metrics: near-duplicate hash, inversion, borders, sharpness."""

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
    "px_dhash": "difference hash (dHash) of the first frame, 16 hex digits; equal for look-alikes",
    "px_corners": "mean grey (0 to 1) of the corners minus that of the center; above 0 if inverted",
    "px_border": "fraction of the frame in rows and columns of constant grey at its edges",
    "px_sharpness": "variance of the Laplacian at 256 pixels, grey 0 to 1; low if blurred",
}
"""Metrics of the first frame, rendered with the automatic window; null for palette colour."""
_SMALL, _SAMPLE = 256, 512
_ONE_GREY = 4
"""Maximum range of grey levels in a row or column of constant grey."""


def quality_metrics(frame: Frame, pipeline: Pipeline) -> dict[str, Any]:
    """Compute the metrics of a frame, by name of QUALITY_COLUMNS.

    Pixels are first subsampled to at most 512 per side, for speed.

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
    """Render a frame, subsampled; padding is black."""
    step = -(-max(frame.values.shape[:2]) // _SAMPLE)
    values = np.ascontiguousarray(frame.values[::step, ::step])
    if pipeline.palette is not None or not values.size:
        return None
    if values.ndim == 3:
        return np.asarray(values.mean(axis=2) / 2 ** max(0, frame.bits - 8), np.uint8)
    return apply(values, pipeline, auto_window(values, pipeline, frame.bits))


def _hash(grey: NDArray[np.float64]) -> str:
    """Difference hash: one bit per 8 x 8 greys, set if the grey to the right is brighter."""
    coarse = resize(grey.astype(np.float32), (8, 9))
    bits = np.packbits(coarse[:, 1:] > coarse[:, :-1])
    return bits.tobytes().hex()


def _corners(grey: NDArray[np.float64]) -> float:
    rows, columns = grey.shape
    y, x = -(-rows // 8), -(-columns // 8)
    corners = [edge[:, x_] for edge in (grey[:y], grey[-y:]) for x_ in (slice(x), slice(-x, None))]
    center = grey[rows // 4 : rows - rows // 4, columns // 4 : columns - columns // 4]
    return float(np.mean(corners) - center.mean())


def _border(grey: NDArray[np.float64]) -> float:
    rows, columns = grey.shape
    high = rows - _count_flat(grey) - _count_flat(grey[::-1])
    wide = columns - _count_flat(grey.T) - _count_flat(grey.T[::-1])
    return float(1 - max(high, 0) / rows * max(wide, 0) / columns)


def _count_flat(lines: NDArray[np.float64]) -> int:
    """Number of leading lines of constant grey, equal to the first one's."""
    flat = (np.ptp(lines, axis=1) <= _ONE_GREY) & (abs(lines[:, 0] - lines[0, 0]) <= _ONE_GREY)
    return len(flat) if flat.all() else int(flat.argmin())


def _sharpness(grey: NDArray[np.float64]) -> float:
    if min(grey.shape) < 3:
        return 0.0
    middle = grey[1:-1, 1:-1]
    around = grey[:-2, 1:-1] + grey[2:, 1:-1] + grey[1:-1, :-2] + grey[1:-1, 2:]
    return float((around - 4 * middle).var())

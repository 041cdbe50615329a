"""Encode a frame for the cache: 16 bits, reduced to the cache size, with its rescale factors."""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from wetread.display.pipeline import Pipeline, Window, read_pipeline
from wetread.display.render import auto_window, fit_frame, read_with_sample, render
from wetread.pixels import Frame, Frames
from wetread.settings import Settings

Array = NDArray[Any]
_TOP = 65535
_COLOUR = Window(127.5, 255.0, "LINEAR_EXACT", "auto")
"""Window of colour images: the identity."""


class Encoded(NamedTuple):
    """Values in 16 bits: value = offset + scale * pixel."""

    pixels: NDArray[np.uint16]
    scale: float
    offset: float


def encode_frame(
    frames: Frames, number: int, size: int, settings: Settings
) -> tuple[NDArray[np.uint16], dict[str, Any]]:
    """Encoded pixels of a frame, (height, width), and its row in the table of the cache.

    Values are those of display, as a rule after the Modality LUT, not clipped; colour is stored
    as luminance, 0 to 255. Padding and NaN get the darkest value of the frame.
    """
    frame, sample = read_with_sample(frames, number, size, settings=settings)
    chain = read_pipeline(frames.header, number)
    if not chain.measure_only:
        chain.check_scale()  # the values of a cache are compared with each other
    chain = chain.for_display
    view: Window | None = None
    if frame.values.ndim == 3 or chain.palette is not None:
        encoded, auto, invert = Encoded(_luminance(frame, chain), 1.0, 0.0), _COLOUR, False
    else:
        encoded, auto = _encode(frame.values, chain), auto_window(sample.values, chain, sample.bits)
        view, invert = next(iter(chain.windows), None), chain.invert
    rows, columns = frames.form.shape[:2]
    pixels = fit_frame(encoded.pixels, frame, (rows, columns), size)
    height, width = pixels.shape
    return pixels, {
        "rows": rows,
        "columns": columns,
        "height": height,
        "width": width,
        "scale_x": width / columns,
        "scale_y": height / rows,
        "scale": encoded.scale,
        "offset": encoded.offset,
        "photometric": frames.form.photometric,
        "invert": invert,
        "view": view and {"center": view.center, "width": view.width, "function": view.function},
        "auto_low": auto.center - auto.width / 2,
        "auto_high": auto.center + auto.width / 2,
    }


def _luminance(frame: Frame, chain: Pipeline) -> NDArray[np.uint16]:
    """Luminance of sRGB after ITU-R BT.601."""
    from PIL import Image

    image = Image.fromarray(render(frame, chain).pixels)
    return np.asarray(image.convert("L"), np.uint16)


def _encode(stored: Array, chain: Pipeline) -> Encoded:
    """Encode stored values; lossless for integers with a range of 16 bits or less."""
    values, slope, intercept = stored, chain.slope, chain.intercept
    if chain.modality_lut is not None:
        values, slope, intercept = chain.modality_lut(stored).astype(np.uint16), 1.0, 0.0
    invalid = chain.is_padding(stored) if chain.padding is not None else None
    if values.dtype.kind == "f":
        not_finite = ~np.isfinite(values)
        invalid = not_finite if invalid is None else invalid | not_finite
    if invalid is not None and invalid.any() and not invalid.all():
        real = values[~invalid]
        darkest = real.max() if chain.invert != (slope < 0) else real.min()
        values = np.where(invalid, darkest, values)
    elif values.dtype.kind == "f" and invalid is not None and invalid.all():
        values = np.zeros_like(values)
    pixels, scale, offset = encode(values)
    return Encoded(pixels, slope * scale, intercept + slope * offset)


def encode(values: Array) -> Encoded:
    """Encode finite values in 16 bits; integers whose range fits are only shifted.

    >>> encode(np.array([-1000, 3000], "i2"))
    Encoded(pixels=array([   0, 4000], dtype=uint16), scale=1.0, offset=-1000.0)
    """
    least, most = values.min(), values.max()
    if values.dtype.kind in "iu" and values.dtype.itemsize <= 4:
        low = min(0, int(least)) if int(most) - min(0, int(least)) <= _TOP else int(least)
        if int(most) - low <= _TOP:
            shifted = values if low == 0 else values.astype(np.int64) - low
            return Encoded(shifted.astype(np.uint16), 1.0, float(low))
    scale = (float(most) - float(least)) / _TOP or 1.0
    pixels = np.rint((values.astype(np.float64) - float(least)) / scale)
    return Encoded(pixels.astype(np.uint16), scale, float(least))

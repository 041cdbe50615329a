"""One frame as a picture of a cache: 16 bits, small enough, and the way back to its values."""

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
"""Colour is shown as it is."""


class Words(NamedTuple):
    """Values as 16 bits: value = offset + scale * pixel."""

    pixels: NDArray[np.uint16]
    scale: float
    offset: float


def make_picture(
    frames: Frames, number: int, size: int, settings: Settings
) -> tuple[NDArray[np.uint16], dict[str, Any]]:
    """The picture of a frame, (height, width), and what the cache's table says of it.

    Values are those that are shown, as a rule after the Modality LUT, not clipped; colour is its
    luminance, 0 to 255. Padding, and what is no number, gets the darkest value of the frame.
    """
    frame, sample = read_with_sample(frames, number, size, settings=settings)
    chain = read_pipeline(frames.header, number)
    if not chain.measure_only:
        chain.check_scale()  # the values of a cache are compared with each other
    chain = chain.for_display
    view: Window | None = None
    if frame.values.ndim == 3 or chain.palette is not None:
        words, auto, invert = Words(_luminance(frame, chain), 1.0, 0.0), _COLOUR, False
    else:
        words, auto = _to_words(frame.values, chain), auto_window(sample.values, chain, sample.bits)
        view, invert = next(iter(chain.windows), None), chain.invert
    rows, columns = frames.form.shape[:2]
    pixels = fit_frame(words.pixels, frame, (rows, columns), size)
    height, width = pixels.shape
    return pixels, {
        "rows": rows,
        "columns": columns,
        "height": height,
        "width": width,
        "scale_x": width / columns,
        "scale_y": height / rows,
        "scale": words.scale,
        "offset": words.offset,
        "photometric": frames.form.photometric,
        "invert": invert,
        "view": view and {"center": view.center, "width": view.width, "function": view.function},
        "auto_low": auto.center - auto.width / 2,
        "auto_high": auto.center + auto.width / 2,
    }


def _luminance(frame: Frame, chain: Pipeline) -> NDArray[np.uint16]:
    """Of sRGB, as ITU-R BT.601 weighs it."""
    from PIL import Image

    picture = Image.fromarray(render(frame, chain).pixels)
    return np.asarray(picture.convert("L"), np.uint16)


def _to_words(stored: Array, chain: Pipeline) -> Words:
    """Stored values of a frame; without loss where they are integers that span 16 bits or less."""
    values, slope, intercept = stored, chain.slope, chain.intercept
    if chain.modality_lut is not None:
        values, slope, intercept = chain.modality_lut(stored).astype(np.uint16), 1.0, 0.0
    void = chain.is_padding(stored) if chain.padding is not None else None
    if values.dtype.kind == "f":
        unreal = ~np.isfinite(values)
        void = unreal if void is None else void | unreal
    if void is not None and void.any() and not void.all():
        real = values[~void]
        darkest = real.max() if chain.invert != (slope < 0) else real.min()
        values = np.where(void, darkest, values)
    elif values.dtype.kind == "f" and void is not None and void.all():
        values = np.zeros_like(values)
    pixels, scale, offset = to_words(values)
    return Words(pixels, slope * scale, intercept + slope * offset)


def to_words(values: Array) -> Words:
    """Finite values as 16 bits; integers whose range fits as they are, or from their smallest.

    >>> to_words(np.array([-1000, 3000], "i2"))
    Words(pixels=array([   0, 4000], dtype=uint16), scale=1.0, offset=-1000.0)
    """
    least, most = values.min(), values.max()
    if values.dtype.kind in "iu" and values.dtype.itemsize <= 4:
        low = min(0, int(least)) if int(most) - min(0, int(least)) <= _TOP else int(least)
        if int(most) - low <= _TOP:
            lifted = values if low == 0 else values.astype(np.int64) - low
            return Words(lifted.astype(np.uint16), 1.0, float(low))
    scale = (float(most) - float(least)) / _TOP or 1.0
    pixels = np.rint((values.astype(np.float64) - float(least)) / scale)
    return Words(pixels.astype(np.uint16), scale, float(least))

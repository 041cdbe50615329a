"""Rendering of stored values as 8-bit pictures, by one table look-up."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import lru_cache, partial
from typing import Any

import numpy as np
from numpy.typing import NDArray

from wetread.display.pipeline import Lut, Pipeline, View, Window, read_pipeline
from wetread.errors import UnknownNameError, UsageError
from wetread.imaging import all_values, crop_resize, fit, histogram, look_up, shrink
from wetread.pixels import Frame, Frames, read_frame
from wetread.settings import Settings

Array = NDArray[Any]
Grey = NDArray[np.uint8]
WindowLike = str | tuple[float, float] | View | None

PRESETS: dict[str, tuple[float, float]] = {
    "brain": (40, 80),
    "subdural": (75, 215),
    "stroke": (40, 40),
    "lung": (-600, 1500),
    "mediastinum": (50, 350),
    "soft": (40, 400),
    "bone": (400, 1800),
    "liver": (90, 150),
    "spine": (50, 250),
}
"""CT windows in HU, as (center, width)."""
SAMPLE = 512
"""Minimum longest side of the frame that `auto_window` is computed from. It does not depend on
the size of the picture, so a thumbnail and the full picture get the same window."""
_AIR = -1024.0
"""HU of air; lower values are outside the scanned area."""
_FEW = 64
"""Images with fewer distinct values are masks, label maps and test patterns."""
_ENDS = 64
"""Number of equal bins of the range; the first and the last may be background."""
_HEADROOM = 0.25
"""Maximum growth of an automatic window, as a fraction of its width."""


@dataclass(frozen=True, slots=True, eq=False)
class Picture:
    """Rendered frame."""

    pixels: Grey
    """uint8: (rows, columns), or sRGB (rows, columns, 3)."""
    view: View | None
    """Window or VOI LUT applied; None for colour."""
    steps: tuple[str, ...]
    """Processing steps, in order."""
    notes: tuple[tuple[str, str], ...]
    """Problems, as (code, text)."""


def render_frame(
    frames: Frames,
    number: int = 0,
    window: WindowLike = None,
    size: int | None = None,
    *,
    short: bool = False,
    settings: Settings = Settings(),
) -> Picture:
    """Decode and render one frame.

    Args:
        frames: frames of an instance.
        number: frame number, from 0.
        window: see `choose_view`.
        size: longest side of the picture in pixels (default: that of the frame).
        short: render a truncated frame, with the missing values zero.
        settings: limits of decoding.

    Raises:
        DecodeError: the frame cannot be decoded.
        UsageError: an unknown frame or window, or a window that does not apply.
    """
    pipeline = read_pipeline(frames.header, number)
    if window == "auto" or (window is None and not pipeline.views):
        frame, sample = read_with_sample(frames, number, size, short=short, settings=settings)
    else:
        frame = sample = read_frame(frames, number, size=size, short=short, settings=settings)
    return render(frame, pipeline, window, sample.values, size, frames.form.shape)


def read_with_sample(
    frames: Frames, number: int, size: int | None, *, short: bool = False, settings: Settings
) -> tuple[Frame, Frame]:
    """Decode a frame for a picture of `size` pixels, and the sample for `auto_window`.

    The sample always has the same resolution: a thumbnail and the full picture get one window.
    """
    read = partial(read_frame, frames, number, short=short, settings=settings)
    sample = read(size=SAMPLE)
    if sample.scale == 1 or (size is not None and size <= SAMPLE):
        return sample, sample
    return read(size=size), sample


def render(
    frame: Frame,
    pipeline: Pipeline,
    window: WindowLike = None,
    sample: Array | None = None,
    size: int | None = None,
    shape: tuple[int, ...] | None = None,
) -> Picture:
    """Render a decoded frame as 8 bits: grey through the pipeline, colour as sRGB.

    Args:
        frame: decoded frame, at full or reduced resolution.
        pipeline: grey-scale pipeline of the frame.
        window: see `choose_view`.
        sample: stored values that "auto" and "full" are computed from; by default the frame's.
        size: longest side of the picture in pixels (default: that of the frame); see `fit_frame`.
        shape: rows and columns of the image; by default those of the frame.

    Raises:
        UsageError: an unknown window, or one that does not apply, such as any on colour.
    """
    notes = (*frame.notes, *pipeline.notes)
    if frame.values.ndim == 3 or pipeline.palette is not None:
        if window not in (None, "auto", "full"):
            raise UsageError(f"window {window!r} on a colour image: windows apply to grey images")
        picture = _render_colour(frame, pipeline, notes)
    else:
        view = choose_view(window, pipeline, frame.values if sample is None else sample, frame.bits)
        grey = apply(frame.values, pipeline, view)
        picture = Picture(grey, view, _name_steps(pipeline, view), notes)
    if size is None:
        return picture
    pixels = fit_frame(picture.pixels, frame, shape or frame.values.shape, size)
    return replace(picture, pixels=pixels)


def apply(stored: Array, pipeline: Pipeline, view: View) -> Grey:
    """Render stored values as uint8; those of up to 16 bits by one table look-up."""
    shade = _shader(pipeline, view)
    if stored.dtype.kind not in "iu" or stored.dtype.itemsize > 2 or not stored.size:
        return shade(stored)
    values = np.arange(int(stored.min()), int(stored.max()) + 1)
    table = np.empty(1 << 8 * stored.dtype.itemsize, np.uint8)
    table[values] = shade(values)  # a negative value counts from the end, as its bit pattern does
    return look_up(table, stored)


def fit_frame(pixels: Array, frame: Frame, stored: tuple[int, ...], longest: int) -> Array:
    """Resample rendered pixels of a frame to a picture that covers exactly the whole image.

    A stored coordinate x maps to x * width / columns of the picture, so that boxes need only one
    factor per axis. A reduced frame is up to one pixel larger than the image divided by its scale,
    and may be offset by its `shift`; both are corrected.

    Args:
        pixels: grey or colour pixels, with the rows and columns of the frame.
        frame: the frame they were rendered from.
        stored: rows and columns of the image.
        longest: maximum longest side of the picture in pixels; it is never enlarged.
    """
    if frame.scale == 1:
        return shrink(pixels, longest)
    rows, columns = stored[:2]
    start = frame.shift / frame.scale
    box = (start, start, start + columns / frame.scale, start + rows / frame.scale)
    size = fit((rows, columns), min(longest, max(pixels.shape[:2])))
    # With a shift, the image extends half a pixel beyond the frame.
    edges = ((0, 1), (0, 1), (0, 0))[: pixels.ndim]
    return crop_resize(np.pad(pixels, edges, "edge"), box, size)


def make_table(dtype: np.dtype[Any], pipeline: Pipeline, view: View) -> Grey:
    """Grey level of each value of an integer type, in the order of bit patterns.

    65,536 entries for 16 bits; `imaging.look_up(table, stored)` renders a picture.
    """
    return _shader(pipeline, view)(all_values(dtype))


def _shader(pipeline: Pipeline, view: View) -> Callable[[Array], Grey]:
    """Return the pipeline as a function from stored values to 8 bits; padding is black."""
    pipeline = pipeline.for_display
    top = (1 << view.bits) - 1 if isinstance(view, Lut) else 1.0

    def shade(stored: Array) -> Grey:
        level = view(pipeline.to_modality(stored)) / top
        level = 1 - level if pipeline.invert else level
        level = np.fmin(np.fmax(level, 0), 1)  # NaN in float pixels is rendered black
        grey: Grey = (level * 255 + 0.5).astype(np.uint8)
        grey[pipeline.is_padding(stored)] = 0
        return grey

    return shade


def choose_view(window: WindowLike, pipeline: Pipeline, stored: Array, bits: int) -> View:
    """Return the window or VOI LUT that `window` selects.

    - None: the first VOI LUT or window of the file, else "auto"
    - "1", "2" ...: the n-th of the file
    - "auto": a window computed from the pixels, see `auto_window`
    - "full": the range of all pixels that are not padding
    - a name in `PRESETS`: a CT window
    - the explanation of a window in the file, such as "BONE"
    - (center, width) in modality values

    Raises:
        UsageError: unknown or not applicable; the message lists the choices.
    """
    if isinstance(window, (Window, Lut)):
        return window
    if isinstance(window, tuple):
        return _from_numbers(window, pipeline)
    if window is None and pipeline.views:
        return pipeline.views[0]
    if window in (None, "auto"):
        return auto_window(stored, pipeline, bits)
    if window == "full":
        return full_window(stored, pipeline)
    name = str(window)
    if name.isdecimal():
        if not 1 <= int(name) <= len(pipeline.views):
            raise UsageError(
                f"window {name!r}: the file has {len(pipeline.views)}, numbered from 1"
            )
        return pipeline.views[int(name) - 1]
    if name in PRESETS:
        return _from_preset(name, pipeline)
    own = {view.name.lower(): view for view in pipeline.views if view.name}
    if name.lower() in own:
        return own[name.lower()]
    raise UnknownNameError("window", name, ["auto", "full", *PRESETS, *own])


def _from_numbers(window: tuple[float, float], pipeline: Pipeline) -> Window:
    if len(window) != 2 or not np.isfinite(window).all() or window[1] <= 0:
        raise UsageError(f"window {window!r}: expected (center, width) with a width above 0")
    return Window(float(window[0]), float(window[1]), pipeline.function)


def _from_preset(name: str, pipeline: Pipeline) -> Window:
    if pipeline.modality != "CT" or pipeline.units != "HU":
        kind = f"{pipeline.modality or 'no modality'}, unit {pipeline.units or 'not stated'}"
        raise UsageError(
            f"window {name!r} is for CT in HU, this image is {kind}; "
            "use 'auto', 'full' or (center, width)"
        )
    return Window(*PRESETS[name], name=name)


def auto_window(stored: Array, pipeline: Pipeline, bits: int = 16) -> Window:
    """Compute a window from the pixels, for contrast in the patient and not in the background.

    Of the values that are not padding, and for HU not below -1024:

    1. The full range, if fewer than 64 values are distinct.
    2. Else the 1st to 99th percentile without background, collimation and burned-in labels. These
       are the first or last 64th of the range if it has more than 1 % of the pixels and over
       twice as many as the next 64th. Nothing is left out if a tenth or less would remain.
    3. Except for HU, the window is widened until the median is mid-grey: a brighter median moves
       the white end by up to a quarter of the width, a darker one the black end, at most to the
       background left out.
    """
    if bits == 1:
        return Window(0.5, 1.0, "LINEAR_EXACT", "auto")
    values, counts = count_values(stored, pipeline)
    pipeline = pipeline.for_display
    if pipeline.units == "HU" and values[-1:] >= _AIR:
        values, counts = values[values >= _AIR], counts[values >= _AIR]
    if not len(values):
        return Window(0.0, 1.0, "LINEAR_EXACT", "auto")
    few = len(values) < _FEW or values[0] == values[-1]
    used = np.ones(len(values), bool) if few else ~_find_ends(values, counts)
    low, median, high = percentiles(values[used], counts[used], (0.01, 0.5, 0.99))
    if few or low == high:
        return _between(values[0], values[-1], "auto")
    if pipeline.units != "HU":
        first, last = percentiles(values, counts, (0.01, 0.99))
        if pipeline.invert:
            high, low = _balance(high, median, low, last)
        else:
            low, high = _balance(low, median, high, first)
    return _between(low, high, "auto")


def _find_ends(values: NDArray[np.float64], counts: Array) -> NDArray[np.bool_]:
    """Mask of background values at the ends of the range; see `auto_window`."""
    scaled = (values - values[0]) * (_ENDS / (values[-1] - values[0]))
    bins = np.minimum(scaled.astype(np.intp), _ENDS - 1)
    fractions = np.bincount(bins, counts, _ENDS) / counts.sum()
    out = np.zeros(len(values), bool)
    for end, neighbour in ((0, 1), (-1, -2)):
        if fractions[end] > 0.01 and fractions[end] > 2 * fractions[neighbour]:
            out |= bins == end % _ENDS
    return out if counts[~out].sum() > counts.sum() / 10 else np.zeros(len(values), bool)


def _balance(black: float, median: float, white: float, background: float) -> tuple[float, float]:
    """Widen a window until the median is in the middle; see `auto_window`.

    >>> _balance(100, 700, 1000, 0), _balance(100, 200, 1000, 0), _balance(100, 200, 1000, 100)
    ((100, 1225.0), (0.0, 1000), (100.0, 1000))
    """
    off = 2 * median - black - white
    width = white - black
    most = _HEADROOM * abs(width)
    if off * width > 0:
        return black, white + float(np.clip(off, -most, most))
    lowest, highest = sorted((black, background))
    return float(np.clip(black + np.clip(off, -most, most), lowest, highest)), white


def full_window(stored: Array, pipeline: Pipeline) -> Window:
    """Window from the smallest to the largest modality value that is not padding."""
    values, _ = count_values(stored, pipeline)
    low, high = (values[0], values[-1]) if len(values) else (0.0, 0.0)
    return _between(low, high, "full")


def _between(low: float, high: float, name: str) -> Window:
    return Window(float(low + high) / 2, float(high - low), "LINEAR_EXACT", name)


def count_values(
    stored: Array, pipeline: Pipeline
) -> tuple[NDArray[np.float64], NDArray[np.int64]]:
    """Distinct displayed values without padding, ascending, and their counts."""
    pipeline = pipeline.for_display
    raw, counts = histogram(stored)
    keep = ~pipeline.is_padding(raw)
    values = pipeline.to_modality(raw[keep])
    order = np.argsort(values, kind="stable")
    return values[order], counts[keep][order]


def percentiles(values: Array, counts: Array, fractions: tuple[float, ...]) -> NDArray[np.float64]:
    """Quantiles of a histogram, interpolated as in `numpy.percentile`.

    >>> percentiles(np.array([1.0, 3.0]), np.array([3, 1]), (0.5, 1.0)).tolist()
    [1.0, 3.0]
    """
    ends = np.cumsum(counts)
    at = np.asarray(fractions) * (ends[-1] - 1)
    low = values[np.searchsorted(ends, np.floor(at), side="right")]
    high = values[np.searchsorted(ends, np.ceil(at), side="right")]
    result: NDArray[np.float64] = low + (high - low) * (at % 1)
    return result


def _name_steps(pipeline: Pipeline, view: View) -> tuple[str, ...]:
    """Describe the steps of the pipeline."""

    def rescaled(pipeline: Pipeline) -> bool:
        return (pipeline.slope, pipeline.intercept) != (1.0, 0.0)

    has_scale = pipeline.modality_lut is not None or rescaled(pipeline)
    steps = ["Modality LUT is for measurement"] if pipeline.measure_only and has_scale else []
    pipeline = pipeline.for_display
    if pipeline.padding is not None:
        low, high = pipeline.padding
        steps.append(f"padding {low:g}" + (f" to {high:g}" if high != low else ""))
    if pipeline.modality_lut is not None:
        steps.append(f"modality {pipeline.modality_lut.label}")
    elif rescaled(pipeline):
        steps.append(f"rescale x {pipeline.slope:g} {pipeline.intercept:+g}")
    steps.append(f"{'VOI' if isinstance(view, Lut) else 'window'} {view.label}")
    if pipeline.invert:
        steps.append("MONOCHROME1" if pipeline.photometric == "MONOCHROME1" else "INVERSE")
    return tuple(steps)


def _render_colour(frame: Frame, pipeline: Pipeline, notes: tuple[tuple[str, str], ...]) -> Picture:
    steps = [frame.conversion] if frame.conversion else []
    values = frame.values
    if values.ndim == 2 and pipeline.palette is not None:
        at = np.clip(values.astype(np.int64) - pipeline.palette_first, 0, len(pipeline.palette) - 1)
        pixels, steps = pipeline.palette[at], ["palette"]
    else:
        spare = frame.bits - 8
        pixels = (values >> spare if spare > 0 else values).astype(np.uint8)
    if pipeline.icc is not None and pixels.shape[-1] == 3:
        converted = _to_srgb(pixels, pipeline.icc)
        if converted is None:
            notes = (*notes, ("BAD_PROFILE", f"ICC profile of {len(pipeline.icc)} bytes"))
        else:
            pixels, steps = converted, [*steps, "ICC to sRGB"]
    return Picture(np.ascontiguousarray(pixels), None, tuple(steps), notes)


def _to_srgb(pixels: Grey, profile: bytes) -> Grey | None:
    """Convert a picture to sRGB; None if the profile is unusable."""
    from PIL import Image, ImageCms

    try:
        image = ImageCms.applyTransform(Image.fromarray(pixels), _make_transform(profile))
    except (ImageCms.PyCMSError, OSError, ValueError):
        return None
    return None if image is None else np.asarray(image)


@lru_cache(maxsize=8)
def _make_transform(profile: bytes) -> Any:
    from io import BytesIO

    from PIL import ImageCms

    source = ImageCms.getOpenProfile(BytesIO(profile))
    return ImageCms.buildTransform(source, ImageCms.createProfile("sRGB"), "RGB", "RGB")


__all__ = [
    "PRESETS",
    "SAMPLE",
    "Picture",
    "auto_window",
    "choose_view",
    "fit_frame",
    "full_window",
    "make_table",
    "read_with_sample",
    "render",
    "render_frame",
]

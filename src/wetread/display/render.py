"""Stored values -> what a radiologist sees, as one table look-up."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import lru_cache, partial
from typing import Any

import numpy as np
from numpy.typing import NDArray

from wetread.display.pipeline import Chain, Lut, View, Window, read_chain
from wetread.errors import UnknownNameError, UsageError
from wetread.imaging import all_values, crop_resize, fit, look_up, shrink
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
"""`auto_window` wants the frame at the level whose longest side is at least this, always the
same one, so that a thumbnail and the full picture agree."""
_AIR = -1024.0
"""In HU, nothing of a patient is below."""
_FEW = 64
"""Images with fewer different values are masks, label maps and test pictures."""
_ENDS = 64
"""An end of the range is one of so many equal parts."""
_HEADROOM = 0.25
"""Share of its width by which an automatic window grows at most."""


@dataclass(frozen=True, slots=True, eq=False)
class Picture:
    """A frame as it is shown."""

    pixels: Grey
    """uint8: (rows, columns), or sRGB (rows, columns, 3)."""
    view: View | None
    """The window or VOI LUT that was used; None in colour."""
    steps: tuple[str, ...]
    """What was done, in order."""
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
    chain = read_chain(frames.header, number)
    if window == "auto" or (window is None and not chain.views):
        frame, sample = read_with_sample(frames, number, size, short=short, settings=settings)
    else:
        frame = sample = read_frame(frames, number, size=size, short=short, settings=settings)
    return render(frame, chain, window, sample.values, size, frames.form.shape)


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
    chain: Chain,
    window: WindowLike = None,
    sample: Array | None = None,
    size: int | None = None,
    shape: tuple[int, ...] | None = None,
) -> Picture:
    """Render a decoded frame as 8 bits: grey through the pipeline, colour as sRGB.

    Args:
        frame: decoded frame, at full or reduced resolution.
        chain: grey-scale pipeline of the frame.
        window: see `choose_view`.
        sample: stored values that "auto" and "full" are computed from; by default the frame's.
        size: longest side of the picture in pixels (default: that of the frame); see `fit_frame`.
        shape: rows and columns of the image; by default those of the frame.

    Raises:
        UsageError: an unknown window, or one that does not apply, such as any on colour.
    """
    notes = (*frame.notes, *chain.notes)
    if frame.values.ndim == 3 or chain.palette is not None:
        if window not in (None, "auto", "full"):
            raise UsageError(f"window {window!r} on a colour image: colour is shown as it is")
        picture = _render_colour(frame, chain, notes)
    else:
        view = choose_view(window, chain, frame.values if sample is None else sample, frame.bits)
        grey = apply(frame.values, chain, view)
        picture = Picture(grey, view, _name_steps(chain, view), notes)
    if size is None:
        return picture
    pixels = fit_frame(picture.pixels, frame, shape or frame.values.shape, size)
    return replace(picture, pixels=pixels)


def apply(stored: Array, chain: Chain, view: View) -> Grey:
    """Stored values -> uint8, in one look-up where they have 16 bits or fewer."""
    shade = _shader(chain, view)
    if stored.dtype.kind in "iu" and stored.dtype.itemsize <= 2:
        return look_up(make_table(stored.dtype, chain, view), stored)
    return shade(stored)


def fit_frame(pixels: Array, frame: Frame, stored: tuple[int, ...], longest: int) -> Array:
    """Pixels made of a frame, in full or reduced, as a picture that covers all of the image.

    A place x of `stored`, the (rows, columns) in full, is at x * width / columns of the picture,
    so that boxes need no more than the scale of each axis. A reduced frame alone is up to a pixel
    larger than the stored one divided, and may lie off by its `shift`; both are put right here.

    Args:
        pixels: of the frame's rows and columns, grey or colour.
        frame: the frame they were made of.
        stored: rows and columns of the image.
        longest: the longest side of the picture at most; never enlarged.
    """
    if frame.scale == 1:
        return shrink(pixels, longest)
    rows, columns = stored[:2]
    start = frame.shift / frame.scale
    box = (start, start, start + columns / frame.scale, start + rows / frame.scale)
    size = fit((rows, columns), min(longest, max(pixels.shape[:2])))
    # With a shift, the image ends half a pixel beyond the frame.
    edges = ((0, 1), (0, 1), (0, 0))[: pixels.ndim]
    return crop_resize(np.pad(pixels, edges, "edge"), box, size)


def make_table(dtype: np.dtype[Any], chain: Chain, view: View) -> Grey:
    """The grey of every value of an integer type, in the order of its bit patterns.

    65,536 entries for 16 bits: a picture is then `imaging.look_up(table, stored)`.
    """
    return _shader(chain, view)(all_values(dtype))


def _shader(chain: Chain, view: View) -> Callable[[Array], Grey]:
    """The chain as a function: modality, VOI, presentation, 8 bits; padding is black."""
    chain = chain.shown
    top = (1 << view.bits) - 1 if isinstance(view, Lut) else 1.0

    def shade(stored: Array) -> Grey:
        share = view(chain.to_modality(stored)) / top
        share = 1 - share if chain.invert else share
        with np.errstate(invalid="ignore"):  # NaN among float pixels is shown black
            grey: Grey = np.nan_to_num(np.clip(share, 0, 1) * 255 + 0.5).astype(np.uint8)
        grey[chain.is_padding(stored)] = 0
        return grey

    return shade


def choose_view(window: WindowLike, chain: Chain, stored: Array, bits: int) -> View:
    """The view that `window` names.

    None is the file's first VOI LUT or window, or "auto" where it has none; "1", "2" ... the
    file's n-th; "auto" a window made of the pixels, see `auto_window`; "full" all pixels that are
    not padding; a name of `PRESETS` a CT window; the file's own name for one, e.g. "BONE"; or
    (center, width) in modality values. Raises UsageError, saying which there are.
    """
    if isinstance(window, (Window, Lut)):
        return window
    if isinstance(window, tuple):
        return _from_numbers(window, chain)
    if window is None and chain.views:
        return chain.views[0]
    if window in (None, "auto"):
        return auto_window(stored, chain, bits)
    if window == "full":
        return full_window(stored, chain)
    name = str(window)
    if name.isdecimal():
        if not 1 <= int(name) <= len(chain.views):
            raise UsageError(f"window {name!r}: the file has {len(chain.views)}, counted from 1")
        return chain.views[int(name) - 1]
    if name in PRESETS:
        return _from_preset(name, chain)
    own = {view.name.lower(): view for view in chain.views if view.name}
    if name.lower() in own:
        return own[name.lower()]
    raise UnknownNameError("window", name, ["auto", "full", *PRESETS, *own])


def _from_numbers(window: tuple[float, float], chain: Chain) -> Window:
    if len(window) != 2 or not np.isfinite(window).all() or window[1] <= 0:
        raise UsageError(f"window {window!r}: give (center, width) with a width above 0")
    return Window(float(window[0]), float(window[1]), chain.function)


def _from_preset(name: str, chain: Chain) -> Window:
    if chain.modality != "CT" or chain.units != "HU":
        what = f"{chain.modality or 'no modality'}, units {chain.units or 'not stated'}"
        raise UsageError(
            f"window {name!r} is for CT in HU, this image is {what}; "
            "use 'auto', 'full' or (center, width)"
        )
    return Window(*PRESETS[name], name=name)


def auto_window(stored: Array, chain: Chain, bits: int = 16) -> Window:
    """Window made of the pixels: contrast for the patient, not for what surrounds them.

    Of the values that are no padding, in HU of those from -1024 on:

    1. All of them where fewer than 64 are different.
    2. Else the 1st to 99th percentile, background, collimation and burned-in labels left out: a
       64th of the range at one of its ends, with more than 1 % of the pixels and at least twice as
       many as the next 64th. Where only a tenth of the pixels would stay, nothing is left out.
    3. But for HU, the median is to be a middle grey: where it is brighter, the white end moves
       out, by up to a quarter of the width; where it is darker, the black end does, up to the
       background that was left out.
    """
    if bits == 1:
        return Window(0.5, 1.0, "LINEAR_EXACT", "auto")
    values, counts = count_values(stored, chain)
    chain = chain.shown
    if chain.units == "HU" and values[-1:] >= _AIR:
        values, counts = values[values >= _AIR], counts[values >= _AIR]
    if not len(values):
        return Window(0.0, 1.0, "LINEAR_EXACT", "auto")
    kept = np.ones(len(values), bool) if len(values) < _FEW else ~_find_ends(values, counts)
    low, median, high = percentiles(values[kept], counts[kept], (0.01, 0.5, 0.99))
    if len(values) < _FEW or low == high:
        return _between(values[0], values[-1], "auto")
    if chain.units != "HU":
        first, last = percentiles(values, counts, (0.01, 0.99))
        if chain.invert:
            high, low = _balance(high, median, low, last)
        else:
            low, high = _balance(low, median, high, first)
    return _between(low, high, "auto")


def _find_ends(values: NDArray[np.float64], counts: Array) -> NDArray[np.bool_]:
    """Values at an end of the range that stand for no patient; see `auto_window`."""
    parts = (values - values[0]) * (_ENDS / (values[-1] - values[0]))
    places = np.minimum(parts.astype(np.intp), _ENDS - 1)
    shares = np.bincount(places, counts, _ENDS) / counts.sum()
    out = np.zeros(len(values), bool)
    for end, beside in ((0, 1), (-1, -2)):
        if shares[end] > 0.01 and shares[end] > 2 * shares[beside]:
            out |= places == end % _ENDS
    return out if counts[~out].sum() > counts.sum() / 10 else np.zeros(len(values), bool)


def _balance(black: float, median: float, white: float, background: float) -> tuple[float, float]:
    """Ends of a window, moved out until the median is in the middle; see `auto_window`.

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


def full_window(stored: Array, chain: Chain) -> Window:
    """Smallest to largest modality value that is not padding."""
    values, _ = count_values(stored, chain)
    low, high = (values[0], values[-1]) if len(values) else (0.0, 0.0)
    return _between(low, high, "full")


def _between(low: float, high: float, name: str) -> Window:
    return Window(float(low + high) / 2, float(high - low), "LINEAR_EXACT", name)


def count_values(stored: Array, chain: Chain) -> tuple[NDArray[np.float64], NDArray[np.int64]]:
    """The values to show that are no padding, ascending, and how often each occurs."""
    chain = chain.shown
    raw, counts = histogram(stored)
    keep = ~chain.is_padding(raw)
    values = chain.to_modality(raw[keep])
    order = np.argsort(values, kind="stable")
    return values[order], counts[keep][order]


def histogram(stored: Array) -> tuple[Array, NDArray[np.int64]]:
    """The distinct finite stored values, ascending, and how often each occurs."""
    if stored.dtype.kind in "iu" and stored.dtype.itemsize <= 2:
        flat = np.ravel(stored)
        patterns = flat.view(f"u{flat.dtype.itemsize}")
        counts = np.zeros(1 << 8 * flat.dtype.itemsize, np.int64)
        # By parts that stay in the cache: bincount makes 8 bytes of every value first.
        for start in range(0, len(patterns), 1 << 18):
            counts += np.bincount(patterns[start : start + (1 << 18)], minlength=len(counts))
        patterns = np.flatnonzero(counts)
        values = patterns.astype(f"u{flat.dtype.itemsize}").view(flat.dtype)
        order = np.argsort(values, kind="stable")
        return values[order], counts[patterns][order].astype(np.int64)
    finite = stored[np.isfinite(stored)] if stored.dtype.kind == "f" else stored
    values, counts = np.unique(finite, return_counts=True)
    return values, counts.astype(np.int64)


def percentiles(values: Array, counts: Array, shares: tuple[float, ...]) -> NDArray[np.float64]:
    """Quantiles of a histogram, between neighbours as `numpy.percentile` takes them.

    >>> percentiles(np.array([1.0, 3.0]), np.array([3, 1]), (0.5, 1.0)).tolist()
    [1.0, 3.0]
    """
    ends = np.cumsum(counts)
    at = np.asarray(shares) * (ends[-1] - 1)
    low = values[np.searchsorted(ends, np.floor(at), side="right")]
    high = values[np.searchsorted(ends, np.ceil(at), side="right")]
    result: NDArray[np.float64] = low + (high - low) * (at % 1)
    return result


def _name_steps(chain: Chain, view: View) -> tuple[str, ...]:
    """The chain in words."""
    has_scale = chain.modality_lut is not None or (chain.slope, chain.intercept) != (1.0, 0.0)
    steps = ["Modality LUT is for measuring"] if chain.measure_only and has_scale else []
    chain = chain.shown
    if chain.padding is not None:
        low, high = chain.padding
        steps.append(f"padding {low:g}" + (f" to {high:g}" if high != low else ""))
    if chain.modality_lut is not None:
        steps.append(f"modality {chain.modality_lut.label}")
    elif (chain.slope, chain.intercept) != (1.0, 0.0):
        steps.append(f"rescale x {chain.slope:g} {chain.intercept:+g}")
    steps.append(f"{'VOI' if isinstance(view, Lut) else 'window'} {view.label}")
    if chain.invert:
        steps.append("MONOCHROME1" if chain.photometric == "MONOCHROME1" else "INVERSE")
    return tuple(steps)


def _render_colour(frame: Frame, chain: Chain, notes: tuple[tuple[str, str], ...]) -> Picture:
    steps = [frame.conversion] if frame.conversion else []
    values = frame.values
    if values.ndim == 2 and chain.palette is not None:
        at = np.clip(values.astype(np.int64) - chain.palette_first, 0, len(chain.palette) - 1)
        pixels, steps = chain.palette[at], ["palette"]
    else:
        spare = frame.bits - 8
        pixels = (values >> spare if spare > 0 else values).astype(np.uint8)
    if chain.icc is not None and pixels.shape[-1] == 3:
        converted = _to_srgb(pixels, chain.icc)
        if converted is None:
            notes = (*notes, ("BAD_PROFILE", f"ICC profile of {len(chain.icc)} bytes"))
        else:
            pixels, steps = converted, [*steps, "ICC to sRGB"]
    return Picture(np.ascontiguousarray(pixels), None, tuple(steps), notes)


def _to_srgb(pixels: Grey, profile: bytes) -> Grey | None:
    """The picture in sRGB; None where the profile cannot be used."""
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

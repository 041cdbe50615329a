"""`Dataset.show`: plot a data set with matplotlib."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from wetread.display.render import render_frame
from wetread.display.spacing import read_aspect
from wetread.fastai import arrays
from wetread.fastai.datasets import clamped
from wetread.fastai.pixels import inverts, open_dataset, scaled_frame

if TYPE_CHECKING:
    from pydicom.dataset import Dataset

    from wetread.pixels import Frames


def show(
    self: Dataset,
    frames: int = 1,
    scale: Any = None,
    cmap: Any = "bone",
    min_px: float | None = -1100,
    max_px: float | None = None,
    **kwargs: Any,
) -> None:
    """Plot a data set for display.

    Args:
        self: the data set.
        frames: number of frames, from the first.
        scale: None for the first window of the file, else the automatic one; a tuple for a window
            (width, level); True for histogram equalisation, an array or tensor for equalisation
            with these break points; False for unscaled modality values. Ignored for colour.
        cmap: colour map; reversed if the largest value is black (MONOCHROME1).
        min_px: lower limit of modality values for histogram equalisation.
        max_px: upper limit of modality values for histogram equalisation.
        **kwargs: `ax` (or `ctx`), `figsize`, `title`; for several frames `nrows`, `ncols`,
            `titles`, `suptitle`; others are passed to `Axes.imshow`.

    Raises:
        DecodeError: there are no pixels, or they cannot be decoded.
    """
    opened = open_dataset(self)
    shown = min(max(1, frames), len(opened))
    pictures = [_picture(opened, i, scale, min_px, max_px) for i in range(shown)]
    if pictures[0].dtype == np.uint8:
        kwargs = {"vmin": 0, "vmax": 255, **kwargs}
    elif inverts(self):
        import matplotlib as mpl

        cmap = (mpl.colormaps[cmap] if isinstance(cmap, str) else cmap).reversed()
    names: list[str | None] = [None] * shown
    if "title" in kwargs:
        names[0] = kwargs.pop("title")
    elif len(opened) > 1:
        names = [f"frame {i + 1} of {len(opened)}" for i in range(shown)]
    _draw(pictures, names, cmap=cmap, **{"aspect": read_aspect(self), **kwargs})


def _picture(
    frames: Frames, number: int, scale: Any, min_px: float | None, max_px: float | None
) -> NDArray[Any]:
    """Render one frame: uint8 for direct display, else values for the colour map."""
    colour = frames.form.samples > 1 or frames.form.photometric == "PALETTE COLOR"
    if scale is None or colour:
        return render_frame(frames, number).pixels
    values = scaled_frame(frames, number)
    if isinstance(scale, tuple):
        return arrays.windowed(values, *scale)
    if scale is False:
        return values
    breaks = None if scale is True else np.asarray(scale)
    return arrays.hist_scaled(clamped(values, min_px, max_px), breaks)


def _draw(
    pictures: list[NDArray[Any]],
    names: list[str | None],
    *,
    ax: Any = None,
    ctx: Any = None,
    figsize: tuple[float, float] | None = None,
    nrows: int = 1,
    ncols: int | None = None,
    titles: list[str | None] | None = None,
    suptitle: str | None = None,
    **kwargs: Any,
) -> None:
    ax = ctx if ax is None else ax
    if ax is None:
        import matplotlib.pyplot as plt

        columns = ncols or -(-len(pictures) // nrows)
        size = figsize or (max(5, 3 * columns), max(5, 3 * nrows))
        figure, grid = plt.subplots(nrows, columns, figsize=size, squeeze=False)
        figure.suptitle(suptitle) if suptitle else None
        axes = list(grid.flat)
    else:
        axes = [ax]
    for one in axes:
        one.set_axis_off()
    for one, picture, name in zip(axes, pictures, titles or names, strict=False):
        one.imshow(picture, **kwargs)
        if name is not None:
            one.set_title(name)

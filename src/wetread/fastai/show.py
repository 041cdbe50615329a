"""`Dataset.show`: a data set on matplotlib's Axes."""

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
    """Draws a data set as a radiologist sees it.

    Args:
        self: the data set.
        frames: how many frames, from the first.
        scale: None is the file's own window, else the automatic one. A tuple is a window
            (width, level); True uses all greys about equally, an array or tensor does so with
            these break points; False is the modality values as they are. Colour ignores it.
        cmap: the colours; reversed where the largest value is black (MONOCHROME1).
        min_px: where scale is True or break points, smaller modality values are taken as this.
        max_px: the same for larger ones.
        **kwargs: `ax` (or `ctx`), `figsize`, `title`; for several frames `nrows`, `ncols`,
            `titles`, `suptitle`; the others go to `Axes.imshow`.

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
    """One frame: uint8 where it is drawn as it is, else numbers to be coloured."""
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

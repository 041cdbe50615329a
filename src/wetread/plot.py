"""Pictures on matplotlib's Axes. No backend is chosen here: the user's stays as it is."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from wetread.errors import UsageError

if TYPE_CHECKING:
    from matplotlib.axes import Axes

BoxLike = Sequence[Any]
"""(x0, y0, x1, y1) or (x0, y0, x1, y1, label), in stored pixels; edges, so 0 is the left one."""


def show(
    pixels: NDArray[np.uint8],
    shape: tuple[int, int],
    aspect: float,
    title: str,
    boxes: Iterable[BoxLike],
    ax: Axes | None,
) -> Axes:
    """A picture, grey or colour, in the coordinates of the (rows, columns) that were stored."""
    rows, columns = shape
    checked = [_check(box) for box in boxes]
    if ax is None:
        import matplotlib.pyplot as plt

        ax = plt.subplots(figsize=_figure_size(rows * aspect / columns), layout="constrained")[1]
    ax.imshow(pixels, cmap="gray", vmin=0, vmax=255, extent=(0, columns, rows, 0), aspect=aspect)
    _draw(ax, checked)
    ax.set(xlim=(0, columns), ylim=(rows, 0))
    ax.set_axis_off()
    # Names from files are no formulas, whatever dollars they have.
    ax.set_title(title, fontsize="small", parse_math=False)
    return ax


def _figure_size(ratio: float, longest: float = 6.4) -> tuple[float, float]:
    """Inches, width and height, for a picture so many times as high as wide."""
    ratio = min(max(ratio, 0.2), 5.0)
    return (longest, longest * ratio) if ratio < 1 else (longest / ratio, longest)


def _draw(ax: Axes, boxes: list[tuple[float, float, float, float, str]]) -> None:
    """Rectangles, a colour for each label, and the labels above them."""
    from matplotlib import color_sequences
    from matplotlib.patches import Rectangle

    colours = color_sequences["tab10"]
    labels = list(dict.fromkeys(box[4] for box in boxes))
    for x0, y0, x1, y1, label in boxes:
        colour = colours[labels.index(label) % len(colours)]
        ax.add_patch(Rectangle((x0, y0), x1 - x0, y1 - y0, fill=False, edgecolor=colour, lw=1.5))
        if label:
            ax.annotate(
                label,
                (x0, y0),
                (2, 2),
                textcoords="offset points",
                color="white",
                fontsize="x-small",
                bbox={"facecolor": colour, "edgecolor": "none", "pad": 1.5},
                parse_math=False,
            )


def _check(box: BoxLike) -> tuple[float, float, float, float, str]:
    try:
        x0, y0, x1, y1, *label = box
        corners = float(x0), float(y0), float(x1), float(y1)
    except (TypeError, ValueError) as error:
        raise UsageError(
            f"box {box!r}: give (x0, y0, x1, y1) or (x0, y0, x1, y1, label)"
        ) from error
    if len(label) > 1 or not (corners[0] < corners[2] and corners[1] < corners[3]):
        raise UsageError(f"box {box!r}: give x0 < x1 and y0 < y1, then at most a label")
    return (*corners, str(label[0]) if label else "")


def square_pixels(pixels: NDArray[np.uint8], aspect: float) -> NDArray[np.uint8]:
    """The picture as it must look on a screen, whose pixels are square; enlarges one side.

    `aspect` is the height over the width of a pixel; one beyond 16 is taken for an error.

    >>> square_pixels(np.zeros((10, 20), np.uint8), 2.0).shape
    (20, 20)
    """
    from wetread.imaging import resize

    if abs(aspect - 1) < 0.005 or not 1 / 16 <= aspect <= 16:
        return pixels
    rows, columns = pixels.shape[:2]
    size = (round(rows * aspect), columns) if aspect > 1 else (rows, round(columns / aspect))
    return resize(pixels, size)

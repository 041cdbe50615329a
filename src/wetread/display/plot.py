"""Pictures on matplotlib's Axes. No backend is chosen here: the user's stays as it is."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from wetread.errors import UsageError

if TYPE_CHECKING:
    from matplotlib.axes import Axes

BoxLike = Sequence[Any]
"""(x0, y0, x1, y1), then a label, then a reader, if any; edges in stored pixels."""
COLOURS = ("#e69f00", "#56b4e9", "#009e73", "#f0e442", "#d55e00", "#cc79a7", "#0072b2")
"""Okabe and Ito's, which colour-blind people tell apart."""


class Box(NamedTuple):
    """A box to draw; its colour is its reader's, or its label's where none has a reader."""

    x0: float
    y0: float
    x1: float
    y1: float
    label: str
    reader: str


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


def _draw(ax: Axes, boxes: list[Box]) -> None:
    """Rectangles with their labels above; a legend where readers have colours."""
    from matplotlib.lines import Line2D
    from matplotlib.patches import Rectangle

    by_reader = any(box.reader for box in boxes)
    owners = list(dict.fromkeys(box.reader if by_reader else box.label for box in boxes))
    if by_reader:
        owners.sort()
    colours = {owner: COLOURS[n % len(COLOURS)] for n, owner in enumerate(owners)}
    # Where readers agree, one label would cover the other: above, below, and inside at the right.
    places = {owner: n % 3 * by_reader for n, owner in enumerate(owners)}
    for box in boxes:
        owner = box.reader if by_reader else box.label
        colour = colours[owner]
        size = box.x1 - box.x0, box.y1 - box.y0
        ax.add_patch(Rectangle((box.x0, box.y0), *size, fill=False, edgecolor=colour, lw=1.5))
        if box.label:
            ax.annotate(
                box.label,
                (
                    box.x1 if places[owner] == 2 else box.x0,
                    box.y1 if places[owner] == 1 else box.y0,
                ),
                (-2 if places[owner] == 2 else 2, 2 if places[owner] == 0 else -3),
                textcoords="offset points",
                ha="right" if places[owner] == 2 else "left",
                va="bottom" if places[owner] == 0 else "top",
                color="black",
                fontsize="x-small",
                bbox={"facecolor": colour, "edgecolor": "none", "pad": 1.5},
                parse_math=False,
            )
    if by_reader:
        lines = [Line2D([], [], color=colour, label=name) for name, colour in colours.items()]
        ax.legend(handles=lines, loc="lower right", fontsize="x-small", framealpha=0.8)


def _check(box: BoxLike) -> Box:
    try:
        x0, y0, x1, y1, *said = box
        corners = float(x0), float(y0), float(x1), float(y1)
    except (TypeError, ValueError) as error:
        raise UsageError(
            f"box {box!r}: give (x0, y0, x1, y1), then a label, then a reader, if any"
        ) from error
    if len(said) > 2 or not (corners[0] < corners[2] and corners[1] < corners[3]):
        raise UsageError(f"box {box!r}: give x0 < x1 and y0 < y1, then at most a label and reader")
    return Box(*corners, *map(str, said), *("",) * (2 - len(said)))


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

"""Matplotlib plots of images and boxes. The active backend is not changed."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING, Any, Literal, NamedTuple

import numpy as np
from numpy.typing import NDArray

from wetread.errors import UsageError

if TYPE_CHECKING:
    from matplotlib.axes import Axes

BoxLike = Sequence[Any]
"""(x0, y0, x1, y1), optionally a label and a reader; edges in stored pixels. A point has
x0 = x1 and y0 = y1."""
COLOURS = ("#e69f00", "#56b4e9", "#009e73", "#f0e442", "#d55e00", "#cc79a7", "#0072b2")
"""Palette of Okabe and Ito, distinguishable with colour blindness."""


class Outline(NamedTuple):
    """Mask to draw: outline, and area with some opacity."""

    mask: NDArray[np.bool_]
    """(rows, columns) of a picture, or (slices, rows, columns) of a volume."""
    label: str
    colour: str
    """Colour of matplotlib, such as #e69f00."""


class Box(NamedTuple):
    """Box to draw, coloured by reader, or by label if no box has a reader."""

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
    """Draw a grey or colour picture; Axes coordinates are stored pixels, `shape` their number."""
    rows, columns = shape
    checked = [_check(box) for box in boxes]
    if ax is None:
        import matplotlib.pyplot as plt

        ax = plt.subplots(figsize=_figure_size(rows * aspect / columns), layout="constrained")[1]
    ax.imshow(pixels, cmap="gray", vmin=0, vmax=255, extent=(0, columns, rows, 0), aspect=aspect)
    _draw(ax, checked)
    ax.set(xlim=(0, columns), ylim=(rows, 0))
    ax.set_axis_off()
    # Text from files may contain dollar signs, which are not math here.
    ax.set_title(title, fontsize="small", parse_math=False)
    return ax


def draw_outline(
    ax: Axes, mask: NDArray[np.bool_], colour: str, size: tuple[float, float], opacity: float
) -> None:
    """Draw the outline of a mask, and its area with an opacity from 0 to 1.

    `size` is the height and width of the picture in the coordinates of the Axes.
    """
    from matplotlib.colors import to_rgb

    if not mask.any():
        return
    height, width = size
    area = np.zeros((*mask.shape, 4))
    area[mask] = (*to_rgb(colour), opacity)
    ax.imshow(area, extent=(0, width, height, 0), aspect=ax.get_aspect(), interpolation="nearest")
    ring = np.pad(mask, 1).astype(float)  # closed at the borders of the picture
    rows, columns = mask.shape
    x = (np.arange(-1, columns + 1) + 0.5) * width / columns
    y = (np.arange(-1, rows + 1) + 0.5) * height / rows
    ax.contour(x, y, ring, [0.5], colors=[colour], linewidths=1.0)


def name_outlines(ax: Axes, outlines: Sequence[tuple[str, str]]) -> None:
    """Legend of outlines: label and colour of each."""
    from matplotlib.patches import Patch

    handles = [Patch(color=colour, label=label) for label, colour in outlines]
    if handles:
        place: Literal["lower left", "lower right"] = "lower right"
        if (readers := ax.get_legend()) is not None:  # of boxes
            ax.add_artist(readers)
            place = "lower left"
        legend = ax.legend(handles=handles, loc=place, fontsize="x-small", framealpha=0.8)
        for text in legend.get_texts():
            text.set_parse_math(False)


def _figure_size(ratio: float, longest: float = 6.4) -> tuple[float, float]:
    """Return width and height in inches for a ratio of height to width."""
    ratio = min(max(ratio, 0.2), 5.0)
    return (longest, longest * ratio) if ratio < 1 else (longest / ratio, longest)


def _draw(ax: Axes, boxes: list[Box]) -> None:
    """Draw labelled rectangles and points, with a legend if they are coloured by reader."""
    from matplotlib.lines import Line2D
    from matplotlib.patches import Rectangle

    by_reader = any(box.reader for box in boxes)
    groups = list(dict.fromkeys(box.reader if by_reader else box.label for box in boxes))
    if by_reader:
        groups.sort()
    colours = {group: COLOURS[n % len(COLOURS)] for n, group in enumerate(groups)}
    # Labels of boxes that agree would overlap: draw them above, below, and inside at the right.
    for number, box in enumerate(boxes):
        group = box.reader if by_reader else box.label
        near = sum(_starts_near(box, other) for other in boxes[:number])
        colour, corner = colours[group], (groups.index(group) if by_reader else near) % 3
        size = box.x1 - box.x0, box.y1 - box.y0
        if box.x0 == box.x1:
            ax.plot(box.x0, box.y0, "+", color=colour, markersize=10, mew=1.5)
        else:
            ax.add_patch(Rectangle((box.x0, box.y0), *size, fill=False, edgecolor=colour, lw=1.5))
        if box.label:
            ax.annotate(
                box.label,
                (box.x1 if corner == 2 else box.x0, box.y1 if corner == 1 else box.y0),
                (-2 if corner == 2 else 2, 2 if corner == 0 else -3),
                textcoords="offset points",
                ha="right" if corner == 2 else "left",
                va="bottom" if corner == 0 else "top",
                color="black",
                fontsize="x-small",
                bbox={"facecolor": colour, "edgecolor": "none", "pad": 1.5},
                parse_math=False,
            )
    if by_reader:
        lines = [Line2D([], [], color=colour, label=name) for name, colour in colours.items()]
        ax.legend(handles=lines, loc="lower right", fontsize="x-small", framealpha=0.8)


def _starts_near(box: Box, other: Box) -> bool:
    """True if the upper left corners are nearer than a fifth of the size of the box."""
    width, height = box.x1 - box.x0, box.y1 - box.y0
    return abs(box.x0 - other.x0) < width / 5 and abs(box.y0 - other.y0) < height / 5


def _check(box: BoxLike) -> Box:
    try:
        x0, y0, x1, y1, *texts = box
        corners = float(x0), float(y0), float(x1), float(y1)
    except (TypeError, ValueError) as error:
        raise UsageError(
            f"box {box!r}: expected (x0, y0, x1, y1), optionally a label and a reader"
        ) from error
    is_point = corners[:2] == corners[2:]
    is_box = corners[0] < corners[2] and corners[1] < corners[3]
    if len(texts) > 2 or not (is_box or is_point):
        raise UsageError(
            f"box {box!r}: expected x0 < x1, y0 < y1 (or a point, with both equal), at most a "
            "label and a reader"
        )
    return Box(*corners, *map(str, texts), *("",) * (2 - len(texts)))


def square_pixels(pixels: NDArray[np.uint8], aspect: float) -> NDArray[np.uint8]:
    """Resample a picture to square pixels by enlarging one side.

    `aspect` is pixel height divided by width; beyond 16 or 1/16 it is ignored as an error.

    >>> square_pixels(np.zeros((10, 20), np.uint8), 2.0).shape
    (20, 20)
    """
    from wetread.imaging import resize

    if abs(aspect - 1) < 0.005 or not 1 / 16 <= aspect <= 16:
        return pixels
    rows, columns = pixels.shape[:2]
    size = (round(rows * aspect), columns) if aspect > 1 else (rows, round(columns / aspect))
    return resize(pixels, size)

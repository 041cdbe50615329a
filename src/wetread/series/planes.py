"""Pictures of a volume: an axial, a coronal and a sagittal plane through its middle."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from wetread.common.html import PICTURE
from wetread.display.pipeline import View, read_pipeline
from wetread.display.plot import Outline, draw_outline, name_outlines
from wetread.display.render import WindowLike, apply
from wetread.imaging import resize
from wetread.series.affine import find_axes, read_spacing
from wetread.series.slices import Floats

if TYPE_CHECKING:
    from matplotlib.axes import Axes

    from wetread.images.image import Image

Array = NDArray[Any]
_NAMES = ("axial", "coronal", "sagittal")
_SIDES = ("RLAP", "RLHF", "APHF")
"""Side of the patient at the left, right, top and bottom of each plane."""
_GAP = 8
"""Pixels between the planes of one picture."""
_LEAST = 512
"""Least width of one picture, in pixels."""
_WIDTH, _HEIGHT, _TITLES = 9.6, 6.4, 0.6
"""Width, maximum height and height of the titles of a figure, in inches."""
_THIN = 0.15
"""Smaller side of a plane without name and letters, as a fraction of the longest side of all."""


class Plane(NamedTuple):
    """Plane as radiologists look at it: head or front at the top, right side at the left."""

    name: str
    pixels: NDArray[np.uint8]
    """(height, width), or (height, width, 3) for colour."""
    size: tuple[float, float]
    """Height and width in mm."""
    sides: str
    """Side of the patient at the left, right, top and bottom."""


def cut_planes(
    voxels: Array, affine: Floats, at: tuple[int, int, int] | None = None
) -> list[tuple[str, Array, tuple[float, float], str]]:
    """Cut a volume through one voxel; the axes are the nearest of the patient.

    Args:
        voxels: (slices, rows, columns), or with colours.
        affine: voxels to mm, 4 x 4.
        at: the voxel: slice, row, column (default: the middle).

    Returns:
        Name, plane, size in mm and sides of the axial, the coronal and the sagittal plane.
    """
    axes, against = find_axes(affine)
    z, y, x = (read_spacing(affine)[axis] * voxels.shape[axis] for axis in axes)
    turned = np.moveaxis(voxels, axes, (0, 1, 2))
    # from the head down, from front to back, from right to left
    steps = _steps(against)
    turned = turned[tuple(slice(None, None, step) for step in steps)]
    middle = [size // 2 for size in turned.shape[:3]]
    if at is not None:
        sizes = zip((at[axis] for axis in axes), steps, turned.shape[:3], strict=True)
        middle = [n if step > 0 else size - 1 - n for n, step, size in sizes]
    planes = turned[middle[0]], turned[:, middle[1]], turned[:, :, middle[2]]
    return list(zip(_NAMES, planes, ((y, x), (z, x), (z, y)), _SIDES, strict=True))


def _steps(against: Sequence[bool]) -> tuple[int, int, int]:
    z, y, x = against
    return (1 if z else -1), (-1 if y else 1), (-1 if x else 1)


def render_planes(
    voxels: Array,
    affine: Floats,
    image: Image,
    frame: int,
    window: WindowLike,
    at: tuple[int, int, int] | None = None,
) -> tuple[list[Plane], View | None]:
    """Render the planes of a volume with one window.

    Args:
        voxels: modality values, or colours (..., 3).
        affine: voxels to mm, 4 x 4.
        image: image of the middle slice, which has the windows of the file.
        frame: its frame.
        window: see `Image.display`; "auto" is computed from the middle slice.
        at: voxel that the planes go through (default: the middle).
    """
    planes = cut_planes(voxels, affine, at)
    if voxels.ndim == 4:
        return [Plane(*plane) for plane in planes], None
    view = image.render(window, None, frame).view
    assert view is not None
    pipeline = read_pipeline(image.header, frame)
    pipeline = replace(pipeline, slope=1.0, intercept=0.0, modality_lut=None, padding=None)
    pipeline = replace(pipeline, measure_only=False, scale_error="")
    return [
        Plane(name, apply(pixels, pipeline, view), size, sides)
        for name, pixels, size, sides in planes
    ], view


def draw_planes(planes: list[Plane], title: str, axes: Sequence[Axes] | None) -> Sequence[Axes]:
    """Draw planes with matplotlib, side by side and at one scale."""
    longest = max(max(plane.size) for plane in planes)
    if axes is None:
        import matplotlib.pyplot as plt

        widths = [plane.size[1] for plane in planes]
        height = _WIDTH * max(plane.size[0] for plane in planes) / sum(widths)
        size = (_WIDTH, min(height, _HEIGHT) + _TITLES)
        ratios = {"width_ratios": widths}
        figure, axes = plt.subplots(
            1, len(planes), figsize=size, layout="constrained", gridspec_kw=ratios
        )
        # Text from files may contain dollar signs, which are not math here.
        figure.suptitle(title, fontsize="small", parse_math=False)
    for ax, plane in zip(axes, planes, strict=True):
        height, width = plane.size
        ax.imshow(plane.pixels, cmap="gray", vmin=0, vmax=255, extent=(0, width, height, 0))
        ax.set_axis_off()
        if min(plane.size) > _THIN * longest:
            ax.set_title(plane.name, fontsize="small")
            _name_sides(ax, plane)
    return axes


def draw_masks(
    axes: Sequence[Axes],
    outlines: Iterable[Outline],
    affine: Floats,
    at: tuple[int, int, int] | None,
    opacity: float,
) -> None:
    """Draw masks over the planes of `draw_planes`, and a legend in the first."""
    names = []
    for outline in outlines:
        names.append((outline.label, outline.colour))
        for ax, (_, mask, size, _) in zip(axes, cut_planes(outline.mask, affine, at), strict=True):
            draw_outline(ax, mask, outline.colour, size, opacity)
    name_outlines(axes[0], names)


def _name_sides(ax: Axes, plane: Plane) -> None:
    """Letters at the edges: right, left, anterior, posterior, head, feet."""
    places = ((0.02, 0.5), (0.98, 0.5), (0.5, 0.98), (0.5, 0.02))
    for side, (x, y) in zip(plane.sides, places, strict=True):
        across = {0.02: "left", 0.98: "right"}.get(x, "center")
        along = {0.02: "bottom", 0.98: "top"}.get(y, "center")
        style: dict[str, Any] = {"color": "#e69f00", "fontsize": "small", "ha": across, "va": along}
        ax.text(x, y, side, transform=ax.transAxes, **style)


def join_planes(planes: list[Plane]) -> NDArray[np.uint8]:
    """One picture of all planes, side by side and at one scale."""
    shapes = [plane.pixels.shape for plane in planes]
    finest = min(
        p.size[axis] / s[axis] for p, s in zip(planes, shapes, strict=True) for axis in (0, 1)
    )
    total = sum(plane.size[1] for plane in planes)
    scale = min(max(1 / finest, _LEAST / total), PICTURE / total)
    sizes = [tuple(max(1, round(mm * scale)) for mm in plane.size) for plane in planes]
    height = max(rows for rows, _ in sizes)
    padded = []
    for plane, (rows, columns) in zip(planes, sizes, strict=True):
        picture = resize(plane.pixels, (rows, columns))
        more = height - rows
        edges = [(more // 2, more - more // 2), (_GAP // 2, _GAP // 2), (0, 0)]
        padded.append(np.pad(picture, edges[: picture.ndim]))
    return np.concatenate(padded, axis=1)

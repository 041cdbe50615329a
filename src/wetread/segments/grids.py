"""Comparison of two grids: equal up to the order of axes and whole voxels, or the problems."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import permutations, product
from typing import NamedTuple

import numpy as np

from wetread.segments.contents import Bools, Floats, Ints, Problem, Target
from wetread.series.affine import read_spacing
from wetread.settings import Settings

AXES = ("slice", "row", "column")
_FLIPS = {
    "x (left and right)": (-1, 1, 1),
    "y (front and back)": (1, -1, 1),
    "z (head and feet)": (1, 1, -1),
    "x and y (RAS read as LPS)": (-1, -1, 1),
}
"""Signs of world coordinates that files are often mistaken in."""
_TURNED = 0.01
"""Largest difference of a direction cosine from 0 or 1: half a degree."""


class Match(NamedTuple):
    """Axes of a mask among those of the images."""

    axes: tuple[int, ...]
    """Axis of the images along each axis of the mask."""
    signs: tuple[int, ...]
    """-1 for an axis of the mask that runs against that of the images."""


def match_axes(directions: Floats, affine: Floats) -> Match | None:
    """Find the axis of the images along each direction; None if they are rotated.

    Args:
        directions: vectors in mm, (3, n).
        affine: voxels of the images to mm, 4 x 4.

    >>> match_axes(np.array([[0, 2.0], [-2.0, 0], [0, 0]]), np.diag([1, 0.5, 0.5, 1]))
    Match(axes=(1, 0), signs=(-1, 1))
    """
    lengths = np.linalg.norm(directions, axis=0)
    if not (lengths > 0).all():
        return None
    cosines = (affine[:3, :3] / np.linalg.norm(affine[:3, :3], axis=0)).T @ (directions / lengths)
    axes = np.abs(cosines).argmax(axis=0)
    signs = np.sign(cosines[axes, range(len(axes))])
    exact = np.zeros_like(cosines)
    exact[axes, range(len(axes))] = signs
    if np.abs(cosines - exact).max() > _TURNED or len(set(axes.tolist())) < len(axes):
        return None
    return Match(tuple(axes.tolist()), tuple(int(sign) for sign in signs))


def describe_rotation(directions: Floats, affine: Floats) -> str:
    """Text about axes that are not those of the images."""
    lengths = np.maximum(np.linalg.norm(directions, axis=0), 1e-12)
    cosines = (affine[:3, :3] / np.linalg.norm(affine[:3, :3], axis=0)).T @ (directions / lengths)
    degrees = np.degrees(np.arccos(np.clip(np.abs(cosines).max(axis=0), 0, 1))).max()
    return f"the axes are rotated by {degrees:.3g} degrees against those of the images"


def compare_spacing(
    lengths: Floats, axes: tuple[int, ...], sizes: tuple[int, ...], target: Target, tolerance: float
) -> Problem | None:
    """Compare distances of voxels along the axes of a mask; over its whole size they must agree."""
    spacing = read_spacing(target.affine)
    for length, axis, size in zip(lengths.tolist(), axes, sizes, strict=True):
        if axis == 0 and target.shape[0] == 1:  # a single slice has no distance
            continue
        if abs(length / spacing[axis] - 1) * max(size - 1, 1) > tolerance:
            text = (
                f"{AXES[axis]}s at {length:.6g} mm, those of the images at {spacing[axis]:.6g} mm"
            )
            return Problem("GRID_SCALED", text)
    return None


def find_turn(
    steps: Floats, match: Match, shape: tuple[int, ...], target: Target, tolerance: float
) -> Problem | None:
    """Small rotation, of which the far corner of a mask is displaced by more than the tolerance.

    Args:
        steps: distances of voxels along the axes of the mask in mm, (3, n).
        match: axes of the images along each axis of the mask.
        shape: size of the mask along its axes.
        target: the images.
        tolerance: in voxels.
    """
    inverse = np.linalg.inv(target.affine[:3, :3])
    for n, (axis, size) in enumerate(zip(match.axes, shape, strict=True)):
        drift = inverse @ steps[:, n] * (size - 1)
        drift[axis] = 0  # compared as the spacing
        if np.abs(drift).max() > tolerance:
            return Problem("ORIENTATION_DIFFERS", describe_rotation(steps, target.affine))
    return None


def describe_shift(shift: Floats, target: Target) -> str:
    """Text about a displacement in voxels along the axes of the images."""
    spacing = read_spacing(target.affine)
    parts = [
        f"{abs(n):.3g} {name}{'s' * (abs(n) != 1)} ({abs(n) * mm:.3g} mm)"
        for n, name, mm in zip(shift.tolist(), AXES, spacing, strict=True)
        if abs(n) > 1e-3
    ]
    return f"displaced by {' and '.join(parts)}"


def compare_sources(slices: Ints, sources: Ints, target: Target, what: str) -> Problem | None:
    """Compare slices by position with those of the images that the file names; -1 for unknown.

    Args:
        slices: slice of each mask or contour, by its position.
        sources: slice of the image that it refers to.
        target: the images.
        what: noun of the masks or contours, in the plural.
    """
    known = (sources >= 0) & (slices >= 0)
    differs = known & (slices != sources)
    if not differs.any():
        return None
    total = np.unique((slices + sources)[known])
    if len(total) == 1 and len(np.unique(slices[known])) > 1:
        text = f"the {what} run against the slices of the images that they refer to"
        return Problem("ORIENTATION_FLIPPED", text)
    steps = np.unique(np.abs(slices - sources)[differs]).tolist()
    some = " to ".join(str(n) for n in dict.fromkeys([steps[0], steps[-1]]))
    text = (
        f"{int(differs.sum())} of {int(known.sum())} {what} lie {some} slice"
        f"{'s' * (some != '1')} from the image that they refer to"
    )
    return Problem("GRID_SHIFTED", text)


def compare_volumes(
    affine: Floats, shape: tuple[int, ...], target: Target, settings: Settings
) -> tuple[Match | None, Problem | None]:
    """Compare the grid of a whole volume with that of the images, which it must equal.

    Args:
        affine: voxels of the mask to LPS mm, 4 x 4.
        shape: size of the mask along its axes.
        target: the images.
        settings: the tolerance.

    Returns:
        The axes, None if they are rotated; and the problem, None if the grids are equal.
    """
    match = match_axes(affine[:3, :3], target.affine)
    if match is None:
        text = describe_rotation(affine[:3, :3], target.affine)
        return None, Problem("ORIENTATION_DIFFERS", text)
    tolerance = settings.grid_tolerance
    lengths = np.linalg.norm(affine[:3, :3], axis=0)
    scaled = compare_spacing(lengths, match.axes, shape, target, tolerance)
    sizes = [target.shape[axis] for axis in match.axes]
    if scaled is None and list(shape) != sizes:
        given, wanted = (" x ".join(map(str, s)) for s in (shape, sizes))
        scaled = Problem("GRID_SIZE_DIFFERS", f"{given} voxels, the images have {wanted}")
    if scaled is not None:
        return match, _find_exchange(lengths, match, shape, target, tolerance) or scaled
    if turned := find_turn(affine[:3, :3], match, shape, target, tolerance):
        return match, turned
    shift = _find_shift(affine, shape, match.axes, target.affine)
    if np.abs(shift).max() <= tolerance:
        return match, None
    for name, signs in _FLIPS.items():
        flipped = np.diag([*signs, 1.0]) @ affine
        if np.abs(_find_shift(flipped, shape, match.axes, target.affine)).max() <= tolerance:
            text = f"flipped along {name}: it fits with the opposite sign"
            return match, Problem("ORIENTATION_FLIPPED", text)
    for flips in product((False, True), repeat=3):
        reversed_ = _reverse(affine, flips)
        shifted = _find_shift(reversed_, shape, match.axes, target.affine)
        if np.abs(shifted).max() <= tolerance:
            names = [AXES[match.axes[n]] for n in range(3) if flips[n]]
            text = f"the {' and '.join(names)} axis runs against that of the images"
            return match, Problem("ORIENTATION_FLIPPED", text)
    return match, Problem("GRID_SHIFTED", describe_shift(shift, target))


def _find_exchange(
    lengths: Floats, match: Match, shape: tuple[int, ...], target: Target, tolerance: float
) -> Problem | None:
    """Axes of another order, with which number and size of the voxels would be those of the images.

    Args:
        lengths: distance of voxels in mm along each axis of the mask.
        match: axes of the images by direction.
        shape: size of the mask along its axes.
        target: the images.
        tolerance: in voxels.
    """
    for axes in permutations(range(3)):
        same = list(shape) == [target.shape[axis] for axis in axes]
        if same and compare_spacing(lengths, axes, shape, target, tolerance) is None:
            names = [AXES[a] for a, b in zip(axes, match.axes, strict=True) if a != b]
            return Problem("ORIENTATION_DIFFERS", f"the axes {' and '.join(names)} are exchanged")
    return None


def _reverse(affine: Floats, flips: tuple[bool, ...]) -> Floats:
    """Affine matrix whose axes run the other way from the same first voxel."""
    result = affine.copy()
    for axis, flip in enumerate(flips):
        if flip:
            result[:3, axis] *= -1
    return result


def _find_shift(
    affine: Floats, shape: Sequence[int], axes: Sequence[int], images: Floats
) -> Floats:
    """Displacement of a box of voxels from the first voxels of the images, by its centre.

    Args:
        affine: voxels of the mask to LPS mm, 4 x 4.
        shape: size of the mask along its axes.
        axes: axis of the images along each axis of the mask.
        images: voxels of the images to LPS mm, 4 x 4.
    """
    middle = (np.array(shape) - 1) / 2
    centre = np.linalg.inv(images) @ affine @ np.append(middle, 1.0)
    expected = np.zeros(3)
    expected[list(axes)] = middle
    return np.asarray(centre[:3] - expected)


def turn(pixels: Bools, match: Match) -> Bools:
    """Turn an array so that its axes are those of the images, in their order.

    >>> turn(np.eye(2, 3, dtype=bool), Match((1, 0), (1, -1))).shape
    (3, 2)
    """
    steps = tuple(slice(None, None, sign) for sign in match.signs)
    order = sorted(range(len(match.axes)), key=lambda n: match.axes[n])
    return pixels[steps].transpose(order)

"""Checks of one stack of slices: distances, alignment, and the slices that are wrong."""

from __future__ import annotations

from collections.abc import Iterator
from typing import NamedTuple

import numpy as np

from wetread.common.text import counted
from wetread.series.slices import Bools, Floats, Ints
from wetread.settings import Settings

_ALIKE = 0.1
"""Deviation of a distance from a multiple of the usual one, as a fraction of the usual one."""


class Problem(NamedTuple):
    """Problem of a series."""

    code: str
    slices: tuple[int, ...]
    """The slice that is wrong first; `{1}` in the text is the name of the second."""
    text: str
    depth: float | None = None
    """Position on the normal of a slice that is missing, in mm."""
    missing: int = 1
    """Number of missing slices."""


class Check(NamedTuple):
    """Result of the checks of a stack."""

    regular: bool
    tilt: float
    """Angle between the normal and the line through the slices, in degrees; 0 without tilt."""
    found: list[Problem]


def check_stack(
    slices: Ints,
    depth: Floats,
    position: Floats,
    orientation: Floats,
    filled: Floats,
    settings: Settings,
) -> Check:
    """Check distances and alignment of at least two slices.

    Args:
        slices: number of each slice.
        depth: ascending projections on the normal in mm, (n,).
        position: Image Position (Patient), (n, 3).
        orientation: Image Orientation (Patient) of the stack, (6,).
        filled: depths of slices of another kind; a gap there is not a missing slice.
        settings: tolerances.
    """
    gaps = np.diff(depth)
    mean = (depth[-1] - depth[0]) / len(gaps)
    uniform = bool((np.abs(gaps - mean) < settings.spacing_tolerance * mean).all())
    found = [] if uniform else list(_find_gaps(slices, depth, gaps, filled, settings))
    tilt, shifts = _find_shifts(depth, position, orientation, settings)
    if tilt:
        text = f"each slice is displaced against the one before: {tilt:.2f} degrees"
        found.append(Problem("GANTRY_TILT", (int(slices[0]),), text))
    for n, shift in shifts:
        text = f"displaced by {shift:.3g} mm in its plane"
        found.append(Problem("SLICE_SHIFTED", (int(slices[n]),), text))
    return Check(uniform and not tilt and not shifts, tilt, found)


def _usual(gaps: Floats, settings: Settings) -> float:
    """Most frequent distance: with the most others within the tolerance; the smaller of several."""
    ordered = np.sort(gaps)
    low = np.searchsorted(ordered, ordered * (1 - settings.spacing_tolerance))
    high = np.searchsorted(ordered, ordered * (1 + settings.spacing_tolerance), "right")
    near = high - low
    best = np.flatnonzero(near == near.max())
    # of neighbours with equal support, the middle one
    run = best[: np.searchsorted(ordered[best], ordered[best[0]] * 1.02, "right")]
    return float(ordered[run[len(run) // 2]])


def _find_gaps(
    slices: Ints, depth: Floats, gaps: Floats, filled: Floats, settings: Settings
) -> Iterator[Problem]:
    """Missing slices and uneven distances."""
    usual = _usual(gaps, settings)
    times = np.rint(gaps / usual)
    allowed = np.minimum(settings.spacing_tolerance * np.maximum(times, 1), _ALIKE) * usual
    odd = np.abs(gaps - usual) >= settings.spacing_tolerance * usual
    multiple = odd & (times >= 2) & (np.abs(gaps - times * usual) < allowed)
    multiple &= times - 1 <= len(slices)  # a slice far away does not belong to the stack
    for n in np.flatnonzero(multiple):
        missing = depth[n] + usual * np.arange(1, times[n])
        if len(filled):
            missing = missing[np.abs(missing[:, None] - filled).min(axis=1) > _ALIKE * usual]
        if len(missing):
            yield _say_missing(int(slices[n]), int(slices[n + 1]), missing)
    uneven = odd & ~multiple
    if len(filled):
        inside = np.searchsorted(depth, filled) - 1
        uneven[inside[(inside >= 0) & (inside < len(gaps))]] = False
    if not odd.any():  # the distances drift
        uneven[np.abs(gaps - gaps.mean()).argmax()] = True
    yield from _find_uneven(slices, gaps, uneven, usual)


def _say_missing(before: int, after: int, depths: Floats) -> Problem:
    places = ", ".join(f"{depth:.6g}" for depth in depths[:3]) + ", ..." * (len(depths) > 3)
    count = counted(len(depths), "slice", "are")
    text = f"{count} missing between {{0}} and {{1}}, at {places} mm along the normal"
    return Problem("SLICE_MISSING", (before, after), text, float(depths[0]), len(depths))


def _find_uneven(slices: Ints, gaps: Floats, uneven: Bools, usual: float) -> Iterator[Problem]:
    """Uneven distances, one problem per slice; one for the stack if most distances differ."""
    if 2 * uneven.sum() > len(gaps) > 2:
        text = f"{uneven.sum()} of {len(gaps)} distances differ from {usual:.6g} mm: "
        text += f"{gaps.min():.6g} to {gaps.max():.6g} mm"
        yield Problem("SPACING_UNEVEN", (int(slices[uneven.argmax()]),), text)
        return
    numbers = np.flatnonzero(uneven).tolist()
    while numbers:
        n = numbers.pop(0)
        one, next_ = int(slices[n]), int(slices[n + 1])
        if numbers[:1] == [n + 1] and abs(gaps[n] + gaps[n + 1] - 2 * usual) < _ALIKE * usual:
            numbers.pop(0)
            text = f"{gaps[n]:.6g} mm and {gaps[n + 1]:.6g} mm from its neighbours, not {usual:.6g}"
            yield Problem("SPACING_UNEVEN", (next_,), text)
            continue
        text = f"{gaps[n]:.6g} mm from {{1}}, not {usual:.6g}"
        yield Problem("SPACING_UNEVEN", (next_, one), text)


def _find_shifts(
    depth: Floats, position: Floats, orientation: Floats, settings: Settings
) -> tuple[float, list[tuple[int, float]]]:
    """Tilt in degrees; slices that are displaced in their plane, and by how many mm."""
    tolerance = settings.in_plane_tolerance_mm
    lateral = position @ orientation.reshape(2, 3).T
    if (np.ptp(lateral, axis=0) < tolerance).all():
        return 0.0, []
    slopes = np.array([_slope(depth, values) for values in lateral.T])
    straight = lateral - np.outer(depth, slopes)
    explains = np.ptp(straight, axis=0) < 0.5 * np.ptp(lateral, axis=0)
    slopes = np.where(explains, slopes, _slope_without_outliers(depth, lateral, slopes, tolerance))
    if np.hypot(*slopes) * (depth[-1] - depth[0]) < tolerance:
        slopes = np.zeros(2)
    rest = lateral - np.outer(depth, slopes)
    rest -= np.median(rest, axis=0)
    tilt = float(np.degrees(np.arctan(np.hypot(*slopes))))
    if (np.ptp(rest, axis=0) < tolerance).all():
        return tilt, []
    distance = np.hypot(*rest.T)
    shifted = np.flatnonzero((np.abs(rest) >= tolerance / 2).any(axis=1))
    return tilt, [(int(n), float(distance[n])) for n in shifted]


def _slope(depth: Floats, values: Floats) -> float:
    """Median slope between neighbours; the smaller of the two in the middle."""
    slopes = np.sort(np.diff(values) / np.diff(depth))
    middle = slopes[[(len(slopes) - 1) // 2, len(slopes) // 2]]
    return float(middle[np.abs(middle).argmin()])


def _slope_without_outliers(
    depth: Floats, lateral: Floats, slopes: Floats, tolerance: float
) -> Floats:
    """The slopes if most slices lie on their line, else 0."""
    rest = lateral - np.outer(depth, slopes)
    rest -= np.median(rest, axis=0)
    on_line = (np.abs(rest) < tolerance / 2).all(axis=1)
    return slopes if 2 * on_line.sum() > len(depth) else np.zeros(2)

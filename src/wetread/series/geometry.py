"""Geometry of all series at once, with the checks of the volume geometry index of IDC.

The names and rules are those of the NCI Imaging Data Commons (`volume_geometry_index`). They
describe all images of a series: a series of two acquisitions is not a regularly spaced volume,
though it may consist of two. A value that is absent in an image is never consistent.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from wetread.series.slices import Bools, Floats, Ints, Slices, cross, dot, norm
from wetread.settings import Settings


@dataclass(frozen=True)
class Tristate:
    """Booleans of which some are null."""

    value: Bools
    null: Bools

    def __and__(self, other: Tristate) -> Tristate:
        """Three-valued AND, as in SQL: false if one is false, else null if one is null."""
        false = (~self.value & ~self.null) | (~other.value & ~other.null)
        null = ~false & (self.null | other.null)
        return Tristate(~false & ~null, null)


@dataclass(frozen=True)
class Geometry:
    """Geometry per series; the slices must be sorted by `order`."""

    checks: dict[str, Tristate]
    """The checks of IDC by name."""
    regular: Tristate
    """Column `regularly_spaced_3d_volume`."""
    obliquity: Floats
    """Angle between the normal and the nearest axis in degrees, rounded to 0.01."""
    step: Floats
    """Mean distance of adjacent slices in mm."""
    depth: Floats
    """Projection of each slice on its own normal in mm, (slices,)."""
    placed: Bools
    """True for slices with a usable position and orientation, (slices,)."""


def project(slices: Slices) -> Floats:
    """Projection of positions on the normal of each slice, in mm."""
    with np.errstate(all="ignore"):
        return dot(slices.position, cross(slices.orientation))


def order(slices: Slices) -> Ints:
    """Order by series, then by projection on the normal, then as given; unplaced slices last."""
    return np.lexsort((project(slices), slices.series))


def find_starts(series: Ints) -> Ints:
    """First slice of each series, of sorted series numbers.

    >>> find_starts(np.array([0, 0, 1])).tolist()
    [0, 2]
    """
    return np.flatnonzero(np.r_[True, series[1:] != series[:-1]][: len(series)])


def measure(slices: Slices, settings: Settings) -> Geometry:
    """Measure sorted slices; see `Geometry`."""
    with np.errstate(all="ignore"):  # damaged numbers may be as large as a float can be
        return _measure(slices, settings)


def _measure(slices: Slices, settings: Settings) -> Geometry:
    starts = find_starts(slices.series)
    counts = np.diff(np.r_[starts, len(slices)])
    normal = cross(slices.orientation)
    size = norm(normal)
    depth = dot(slices.position, normal)
    low, high = _extremes(depth, starts)
    step = (high - low) / (counts - 1)
    inner = np.r_[slices.series[1:] == slices.series[:-1], False]
    gaps = np.where(inner, np.r_[depth[1:], np.nan] - depth, np.nan)
    _, deviation = _extremes(np.abs(gaps - np.repeat(step, counts)), starts)
    distinct = np.add.reduceat((~np.isnan(depth) & (~inner | (gaps != 0))).astype(int), starts)
    instances = _count_instances(slices, starts, counts)
    lateral = [dot(slices.position, slices.orientation[:, at : at + 3]) for at in (0, 3)]
    across, along = (_range_below(values, starts, settings) for values in lateral)
    least, most = _extremes(size, starts)
    tolerance = settings.orthogonality_tolerance
    checks = {
        "single_orientation": _same(slices.orientation, inner, starts),
        "orthogonal_orientation": _known(
            (least >= 1 - tolerance) & (most <= 1 + tolerance), np.isnan(least)
        ),
        "unique_slice_positions": _known(distinct == instances),
        "consistent_in_plane_row": across,
        "consistent_in_plane_col": along,
        "consistent_pixel_spacing": _same(_positive(slices.spacing), inner, starts),
        "consistent_image_dimensions": _same(_positive(slices.matrix), inner, starts),
        "uniform_slice_spacing": _known(
            (deviation < settings.spacing_tolerance * np.abs(step)) & (instances == counts),
            np.isnan(deviation),
        ),
    }
    regular = _known(~np.logical_or.reduceat(slices.composed, starts))
    for check in checks.values():
        regular &= check
    cosine = np.abs(normal[starts]).max(axis=1) / size[starts]
    obliquity = np.round(np.degrees(np.arccos(np.minimum(cosine, 1))), 2)
    return Geometry(checks, regular, obliquity, step, depth, _placed(slices, size, settings))


def _extremes(values: Floats, starts: Ints) -> tuple[Floats, Floats]:
    """Minimum and maximum per series without NaN; NaN if there is nothing else."""
    return np.fmin.reduceat(values, starts), np.fmax.reduceat(values, starts)


def _known(value: Bools, null: Bools | None = None) -> Tristate:
    null = np.zeros(len(value), bool) if null is None else null
    return Tristate(value & ~null, null)


def _positive(values: Floats | Ints) -> Floats:
    """The values as floats, with NaN in place of those that are not above 0."""
    return np.where(values > 0, values, np.nan)


def _same(values: Floats, inner: Bools, starts: Ints) -> Tristate:
    """True for series in which all slices have equal values; NaN equals nothing."""
    same = np.asarray(~np.isnan(values).any(axis=1))
    same[:-1] &= (values[1:] == values[:-1]).all(axis=1) | ~inner[:-1]
    return _known(np.logical_and.reduceat(same, starts))


def _range_below(values: Floats, starts: Ints, settings: Settings) -> Tristate:
    low, high = _extremes(values, starts)
    return _known(high - low < settings.in_plane_tolerance_mm, np.isnan(low))


def _count_instances(slices: Slices, starts: Ints, counts: Ints) -> Ints:
    """Number of distinct instances per series; each frame counts."""
    key = slices.uid * (slices.frame.max(initial=0) + 2) + slices.frame + 1
    ordered = np.sort(key)
    if not (ordered[1:] == ordered[:-1]).any():
        return counts
    at = np.lexsort((key, slices.series))
    same = (key[at][1:] == key[at][:-1]) & (slices.series[at][1:] == slices.series[at][:-1])
    return counts - np.add.reduceat(np.r_[False, same].astype(np.int64), starts)


def _placed(slices: Slices, size: Floats, settings: Settings) -> Bools:
    """True for slices with a position and two orthogonal unit vectors as orientation."""
    tolerance = settings.orthogonality_tolerance
    lengths = [norm(slices.orientation[:, at : at + 3]) for at in (0, 3)]
    unit = np.all([np.abs(length - 1) <= tolerance for length in (size, *lengths)], axis=0)
    return np.asarray(unit & np.isfinite(slices.position).all(axis=1))

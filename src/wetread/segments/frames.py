"""Frames of a DICOM SEG: their position, segment and source image, and their place on images."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from wetread.common.text import counted
from wetread.errors import GeometryError
from wetread.pixels.access import items, read_numbers, text
from wetread.segments.contents import UNPLACED, Fit, Floats, Ints, Problem, Target
from wetread.segments.grids import (
    Match,
    compare_sources,
    compare_spacing,
    describe_rotation,
    describe_shift,
    find_turn,
    match_axes,
)
from wetread.series.affine import make_affine
from wetread.settings import Settings

if TYPE_CHECKING:
    from pydicom.dataset import Dataset

LABELMAP = -1
_UNKNOWN = -2
"""Number of a frame without segment."""
_REORIENTED = ("REORIENTED_ONLY", "NO")
"""Spatial Locations Preserved (0028,135A) of a mask whose axes may differ from its source's."""


@dataclass
class FrameTable:
    """Frames of a SEG, n of them; absent numbers are NaN."""

    number: Ints
    """Segment Number; -1 for a label map."""
    position: Floats
    """Image Position (Patient), (n, 3)."""
    orientation: Floats
    """Image Orientation (Patient), (n, 6)."""
    spacing: Floats
    """Pixel Spacing, distance of rows and of columns in mm, (n, 2)."""
    distance: float | None
    """Spacing Between Slices, else Slice Thickness, in mm."""
    sources: list[tuple[str, int]]
    """SOP Instance UID and frame of the image that each frame refers to; "" for none or several."""
    preserved: bool
    """True if pixels are at the locations of those of the source image."""


class Placed(NamedTuple):
    """Frames of a SEG on the slices of a target."""

    slices: Ints
    """Slice of each frame; -1 for none."""
    match: Match
    """Axes of the rows and columns, 0 for rows and 1 for columns of the images."""
    offset: tuple[int, int]
    """First row and column."""


def read_frame_table(header: Dataset, labelmap: bool) -> FrameTable:
    """Read the functional groups of all frames, per frame or shared (PS3.3 C.7.6.16)."""
    shared = _first(header, "SharedFunctionalGroupsSequence")
    numbers, positions, orientations, spacings = [], [], [], []
    sources: list[tuple[str, int]] = []
    preserved = True
    common = {
        "ImageOrientationPatient": _vector(shared, _ORIENTATION, 6),
        "PixelSpacing": _vector(shared, _SPACING, 2),
        "ImagePositionPatient": _vector(shared, _POSITION, 3),
    }
    for group in items(header, "PerFrameFunctionalGroupsSequence"):
        segment = _first(group, _SEGMENT) or _first(shared, _SEGMENT)
        number = read_numbers(segment, "ReferencedSegmentNumber")
        if labelmap:
            numbers.append(LABELMAP)
        else:
            numbers.append(_UNKNOWN if number.first is None else int(number.first))
        positions.append(_vector(group, _POSITION, 3, common["ImagePositionPatient"]))
        orientations.append(_vector(group, _ORIENTATION, 6, common["ImageOrientationPatient"]))
        spacings.append(_vector(group, _SPACING, 2, common["PixelSpacing"]))
        source, same = _find_source(group, shared)
        sources.append(source)
        preserved &= same
    return FrameTable(
        np.array(numbers, np.int64),
        np.array(positions).reshape(-1, 3),
        np.array(orientations).reshape(-1, 6),
        np.array(spacings).reshape(-1, 2),
        _read_distance(header, shared),
        sources,
        preserved,
    )


_POSITION = ("PlanePositionSequence", "ImagePositionPatient")
_ORIENTATION = ("PlaneOrientationSequence", "ImageOrientationPatient")
_SPACING = ("PixelMeasuresSequence", "PixelSpacing")
_SEGMENT = "SegmentIdentificationSequence"


def _first(group: Dataset | None, sequence: str) -> Dataset | None:
    return next(iter(items(group, sequence)), None)


def _vector(
    group: Dataset | None, name: tuple[str, str], size: int, default: list[float] | None = None
) -> list[float]:
    values = read_numbers(_first(group, name[0]), name[1]).values
    if len(values) == size and None not in values:
        return [float(value or 0) for value in values]
    return default or [np.nan] * size


def _read_distance(header: Dataset, shared: Dataset | None) -> float | None:
    groups = [shared, *items(header, "PerFrameFunctionalGroupsSequence")[:1]]
    for name in ("SpacingBetweenSlices", "SliceThickness"):
        for group in groups:
            value = read_numbers(_first(group, _SPACING[0]), name).first
            if value:
                return abs(value)
    return None


def _find_source(group: Dataset, shared: Dataset | None) -> tuple[tuple[str, int], bool]:
    """Source image of a frame, and whether its locations are preserved."""
    derived = items(group, "DerivationImageSequence") or items(shared, "DerivationImageSequence")
    images = [one for item in derived for one in items(item, "SourceImageSequence")]
    same = all(text(image, "SpatialLocationsPreserved") not in _REORIENTED for image in images)
    return read_source(images), same


def read_source(images: list[Dataset]) -> tuple[str, int]:
    """SOP Instance UID and frame of the only image of a mask or contour; "" for none or several."""
    if len(images) != 1:
        return "", 0
    frames = read_numbers(images[0], "ReferencedFrameNumber").values or (1.0,)
    if len(frames) > 1 or frames[0] is None:
        return "", 0
    return text(images[0], "ReferencedSOPInstanceUID"), int(frames[0]) - 1


def make_grid(frames: FrameTable, shape: tuple[int, ...], settings: Settings) -> Target:
    """Grid of the frames themselves, with slices at their smallest distance.

    Raises:
        GeometryError: frames without position, at uneven distances, or not above each other.
    """
    known = np.isfinite(np.hstack([frames.position, frames.orientation, frames.spacing])).all()
    if not len(frames.number) or not known:
        raise GeometryError("frames without position, orientation or pixel spacing")
    orientation = frames.orientation[0]
    depth = frames.position @ np.cross(orientation[:3], orientation[3:])
    places = np.unique(np.round(depth, 3))
    step = float(np.diff(places).min()) if len(places) > 1 else frames.distance or 1.0
    if len(places) > 1:  # rounding of a single step adds up
        step = float(np.ptp(places) / np.rint(np.ptp(places) / step))
    first = frames.position[depth.argmin()]
    last = first + step * np.cross(orientation[:3], orientation[3:])
    affine = make_affine(first, last, 2, orientation, frames.spacing[0])
    count = int(np.rint(np.ptp(places) / step)) + 1
    target = Target({}, None, (count, shape[0], shape[1]), affine)
    if found := place_frames(frames, shape, target, settings).found:
        texts = [f"{f.code}: {f.text}" for f in found if f.code in UNPLACED]
        if texts:
            raise GeometryError("; ".join(texts))
    return target


def place_frames(
    frames: FrameTable, shape: tuple[int, ...], target: Target, settings: Settings
) -> Fit:
    """Lay frames on the slices of the images, by position.

    Args:
        frames: the frames.
        shape: their rows and columns.
        target: the images.
        settings: the tolerance.
    """
    fit = Fit(target)
    count = len(frames.number)
    known = np.isfinite(np.hstack([frames.position, frames.orientation, frames.spacing])).all(1)
    if not count or not known.all():
        bad = int((~known).sum())
        fit.found.append(
            Problem(
                "GRID_UNPLACED", f"{bad} of {counted(count, 'frame')} without a usable position"
            )
        )
        return fit
    if np.ptp(frames.orientation, axis=0).max() > settings.orientation_tolerance or (
        np.ptp(frames.spacing, axis=0).max() > 0
    ):
        fit.found.append(
            Problem("GRID_UNPLACED", "frames of several orientations or pixel spacings")
        )
        return fit
    directions = np.stack([frames.orientation[0, 3:], frames.orientation[0, :3]], axis=1)
    match = match_axes(directions, target.affine)
    if match is None or 0 in match.axes:
        text = "the frames lie across the slices of the images"
        if match is None:
            text = describe_rotation(directions, target.affine)
        fit.found.append(Problem("ORIENTATION_DIFFERS", text))
        return fit
    sources = np.array([target.places.get(source, -1) for source in frames.sources])
    turned = _find_turn(match, frames, sources)
    if turned is not None:
        fit.found.append(turned)
        return fit
    scaled = compare_spacing(frames.spacing[0], match.axes, shape, target, settings.grid_tolerance)
    if scaled is not None:
        fit.found.append(scaled)
        return fit
    _lay(fit, frames, shape, match, sources, settings)
    return fit


def _lay(
    fit: Fit,
    frames: FrameTable,
    shape: tuple[int, ...],
    match: Match,
    sources: Ints,
    settings: Settings,
) -> None:
    """Find the slice of each frame, and the offset of all."""
    target = fit.target
    homogeneous = np.column_stack([frames.position, np.ones(len(frames.position))])
    corner = (np.linalg.inv(target.affine) @ homogeneous.T)[:3].T  # (n, 3), in voxels
    for axis, sign, size in zip(match.axes, match.signs, shape, strict=True):
        if sign < 0:  # the first row and column on the images
            corner[:, axis] -= size - 1
    whole = np.rint(corner)
    rest = corner - whole
    directions = np.stack([frames.orientation[0, 3:], frames.orientation[0, :3]], axis=1)
    steps = directions * frames.spacing[0]
    if turned := find_turn(steps, match, shape, target, settings.grid_tolerance):
        fit.found.append(turned)
        return
    worst = int(np.abs(rest).max(axis=1).argmax())
    if np.abs(rest[worst]).max() > settings.grid_tolerance:
        text = describe_shift(rest[worst], target)
        fit.found.append(Problem("GRID_SHIFTED", f"frame {worst} is {text}"))
        return
    slices = whole[:, 0].astype(np.int64)
    outside = (slices < 0) | (slices >= target.shape[0])
    inplane = tuple(axis - 1 for axis in match.axes)
    extent = [shape[inplane.index(axis)] for axis in (0, 1)]
    offset, room = whole[0, 1:], np.array(target.shape[1:]) - extent
    if (whole[:, 1:] != offset).any():
        fit.found.append(Problem("GRID_SHIFTED", "frames at several places within their slices"))
    elif ((offset < 0) | (offset > room)).any():
        beyond = np.where(offset < 0, offset, np.maximum(offset - room, 0))
        fit.found.append(Problem("GRID_SHIFTED", describe_shift(np.array([0, *beyond]), target)))
    _check_slices(fit, frames, slices, outside, sources)
    fit.data = Placed(
        np.where(outside, -1, slices),
        Match(inplane, match.signs),
        (int(offset[0]), int(offset[1])),
    )


def _find_turn(match: Match, frames: FrameTable, sources: Ints) -> Problem | None:
    """Axes that contradict the source images, whose locations are preserved."""
    if match == Match((1, 2), (1, 1)) or not frames.preserved or not (sources >= 0).any():
        return None
    if match.axes != (1, 2):
        return Problem("ORIENTATION_DIFFERS", "rows and columns are exchanged")
    names = [n for n, sign in zip(("row", "column"), match.signs, strict=True) if sign < 0]
    text = f"the {' and '.join(names)} axis runs against that of the source images"
    return Problem("ORIENTATION_FLIPPED", text)


def _check_slices(
    fit: Fit, frames: FrameTable, slices: Ints, outside: np.ndarray, sources: Ints
) -> None:
    """Compare the slices of the frames with their source images, and with each other."""
    moved = compare_sources(slices, sources, fit.target, "frames")
    if moved is not None:
        fit.found.append(moved)
    for at in np.flatnonzero(outside)[:1].tolist():
        place = " ".join(f"{mm:.6g}" for mm in frames.position[at].tolist())
        text = (
            f"{counted(int(outside.sum()), 'frame', 'lie')} on no slice, such as frame "
            f"{at} at {place} mm"
        )
        fit.found.append(Problem("SLICE_ABSENT", text))
    named = np.array([bool(uid) for uid, _ in frames.sources])
    lost = np.flatnonzero(named & (sources < 0))
    if len(lost):
        uid = frames.sources[lost[0]][0]
        text = (
            f"{counted(len(lost), 'frame', 'refer')} to images that are not in the volume, "
            f"such as {uid}"
        )
        fit.found.append(Problem("SLICE_ABSENT", text))
    pairs = np.stack([frames.number, slices], axis=1)
    for pair, times in zip(*np.unique(pairs, axis=0, return_counts=True), strict=True):
        if times > 1:
            number, k = pair.tolist()
            segment = None if number == LABELMAP else number
            fit.found.append(Problem("SLICE_DOUBLED", f"{times} frames on slice {k}", segment))

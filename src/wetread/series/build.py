"""The series of an index: slices, stacks and problems of all series at once.

Regular series, single images and images without position are handled together; only the others
are divided one by one.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from functools import cached_property
from typing import NamedTuple

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from wetread.common.arrays import filled
from wetread.headers.macros import VARYING
from wetread.series.checks import Problem
from wetread.series.copies import compare_pairs
from wetread.series.dividers import Dividers, encode
from wetread.series.frames import SCHEMA, read_frames
from wetread.series.geometry import Geometry, find_starts, measure, order
from wetread.series.reading import (
    FUNCTIONAL,
    VOLUMETRIC,
    Images,
    read_images,
    select_slices,
    vectors,
)
from wetread.series.slices import Bools, Floats, Ints, Slices
from wetread.series.stacks import DIVIDERS, Member, Stack, divide
from wetread.settings import Settings
from wetread.table.rows import IndexRows, fetch_rows


class Located(NamedTuple):
    """Problem with the number of its series."""

    series: int
    found: Problem


@dataclass
class Collection:
    """Series of an index, with their n slices sorted by series and position."""

    index: IndexRows
    images: Images
    frames: pa.Table
    """Frames of multi-frame images."""
    slices: Slices
    settings: Settings
    geometry: Geometry = field(init=False)
    """Geometry of the series `names`."""
    names: Ints = field(init=False)
    """Number of each series that has slices."""
    starts: Ints = field(init=False)
    """First slice of each of `names`."""
    stack_index: Ints = field(init=False)
    """Stack of each slice within its series; -1 for none, (n,)."""
    slice_index: Ints = field(init=False)
    """Place of each slice in its stack; -1 for none and for copies, (n,)."""
    depth: Floats = field(init=False)
    """Position on the normal of the stack in mm; NaN for none, (n,)."""
    stacks: Ints = field(init=False)
    """Number of stacks per series."""
    volumes: Ints = field(init=False)
    """Number of volumes per series."""
    tilt: Floats = field(init=False)
    """Gantry tilt per series in degrees; NaN without a stack of two slices."""
    divided: dict[int, list[Stack]] = field(default_factory=dict)
    """Stacks of the irregular series; slices are numbered within the collection."""
    problems: list[Located] = field(default_factory=list)
    dividers: Dividers | None = None
    """Attributes of the slices of irregular series."""
    divided_at: Ints = field(init=False)
    """Number of each slice in `dividers`; -1 for slices of other series, (n,)."""

    def __post_init__(self) -> None:
        self.starts = find_starts(self.slices.series)
        self.names = self.slices.series[self.starts]
        self.geometry = measure(self.slices, self.settings)
        count, series = len(self.slices), len(self.images.ids)
        self.stack_index, self.slice_index, self.divided_at = np.full((3, count), -1, np.int64)
        self.depth = np.full(count, np.nan)
        self.stacks, self.volumes = np.zeros((2, series), np.int64)
        self.tilt = np.full(series, np.nan)

    @property
    def ends(self) -> Ints:
        """End of the slices of each of `names`."""
        return np.concatenate([self.starts[1:], [len(self.slices)]])[: len(self.starts)]

    @cached_property
    def bounds(self) -> dict[int, tuple[int, int]]:
        """First slice and end of each series with slices."""
        ranges = zip(self.starts.tolist(), self.ends.tolist(), strict=True)
        return dict(zip(self.names.tolist(), ranges, strict=True))

    def compare(self, pairs: Ints, exact: int) -> list[str]:
        """Compare the pixels of pairs of slices, (pairs, 2); see `copies.compare_pairs`."""
        rows = self.images.row[self.slices.row[pairs]]
        first, second = self.slices.record[pairs].T
        number, other = self.slices.frame[pairs].T
        alike = (first < 0) & (second < 0)
        both = (first >= 0) & (second >= 0) & (number == other)
        for name in ("RescaleSlope", "RescaleIntercept") if both.any() else ():
            codes = encode(self.frames[name].combine_chunks())
            both &= codes[first] == codes[second]
        return compare_pairs(self.index, rows, exact, alike | both)


def collect(
    index: IndexRows, settings: Settings = Settings(), progress: bool = False
) -> Collection:
    """Find the series of an index and divide them into stacks.

    Only multi-frame images are opened, and slices that repeat a position, to compare their pixels.

    Args:
        index: the rows; those without a header belong to no series.
        settings: tolerances and limits.
        progress: show a progress bar while multi-frame images are read.
    """
    images = read_images(index)
    single = select_slices(images, np.flatnonzero(images.is_image() & ~images.is_multiframe()))
    frames, of_frames = _read_frames(index, images, settings, progress)
    slices = _drop_captures(single)
    if len(of_frames):
        slices = Slices.concatenate([slices, of_frames])
    result = Collection(index, images, frames, slices.take(order(slices)), settings)
    _stack_regular(result)
    result.problems += _find_unnamed(images)
    if len(slices):
        for find in (_find_unplaced, _find_frames, _find_varying, _find_composed):
            result.problems += find(result)
    result.problems.sort(key=lambda located: located.series)
    return result


def _drop_captures(single: Slices) -> Slices:
    """Slices without the screenshots of CT, MR and PET series, which have no position."""
    scans = np.bincount(
        single.series[single.volumetric], minlength=single.series.max(initial=0) + 1
    )
    captures = (
        ~single.volumetric & (scans[single.series] > 0) & np.isnan(single.position).all(axis=1)
    )
    return single.take(~captures) if captures.any() else single


def _read_frames(
    index: IndexRows, images: Images, settings: Settings, progress: bool
) -> tuple[pa.Table, Slices]:
    """Table of frames, and slices of the multi-frame images: frames, or one without position."""
    chosen = np.flatnonzero(images.is_image() & images.is_multiframe())
    known = images.is_class(FUNCTIONAL)[chosen]
    of_image = select_slices(images, chosen)
    table = SCHEMA.empty_table()
    image = np.zeros(0, np.int64)
    if known.any():
        table = read_frames(index, images.row[chosen[known]], settings, progress)
        ids = fetch_rows(index, images.row[chosen], ["id"])["id"].combine_chunks()
        image = filled(pc.index_in(table["id"], value_set=ids), -1).astype(np.int64)
    without = np.setdiff1d(np.arange(len(chosen)), image)

    def join(column: str, size: int) -> Floats:
        values = vectors(table[column].combine_chunks(), size)
        return np.concatenate([values, np.full((len(without), size), np.nan)])

    numbers = np.full((2, len(without)), -1)
    placed = [filled(table["frame"], 0), np.arange(len(table))]
    frame, record = np.concatenate([placed, numbers], axis=1).astype(np.int64)
    return table, replace(
        of_image.take(np.concatenate([image, without])),
        frame=frame,
        record=record,
        position=join("ImagePositionPatient", 3),
        orientation=join("ImageOrientationPatient", 6),
        spacing=join("PixelSpacing", 2),
    )


def _stack_regular(result: Collection) -> None:
    """Enter the stacks of regular series and single images, then divide the other series."""
    s, geometry, starts = result.slices, result.geometry, result.starts
    if not len(s):
        return
    counts = result.ends - starts
    usable = geometry.placed & ~s.composed
    clean = ~np.logical_or.reduceat(s.localizer | ~usable, starts)
    known = np.where(s.reference < 0, np.iinfo(np.int64).max, s.reference)
    one_reference = np.maximum.reduceat(s.reference, starts) <= np.minimum.reduceat(known, starts)
    regular = geometry.regular.value & clean & one_reference
    single = (counts == 1) & usable[starts]
    simple = np.repeat(regular | single, counts)
    within = np.arange(len(s)) - np.repeat(starts, counts)
    result.stack_index[simple] = 0
    result.slice_index[simple] = within[simple]
    result.depth[simple] = geometry.depth[simple]
    result.stacks[result.names[regular | single]] = 1
    result.volumes[result.names[regular]] = 1
    result.tilt[result.names[regular]] = 0.0
    _divide_others(result, np.logical_or.reduceat(usable, starts) & ~regular & ~single)


def _divide_others(result: Collection, irregular: Bools) -> None:
    """Divide the irregular series one by one."""
    repeats = irregular & _may_repeat(result)
    numbers = np.flatnonzero(np.repeat(repeats, result.ends - result.starts))
    part = result.slices.take(numbers)
    result.dividers = dividers = Dividers(result.index, result.images, part, result.frames)
    result.divided_at[numbers] = np.arange(len(numbers))
    for at in np.flatnonzero(irregular).tolist():
        first, end = int(result.starts[at]), int(result.ends[at])
        low, slices = int(result.divided_at[first]), result.slices.take(slice(first, end))
        keys, copy = dividers.keys[low : low + len(slices)], dividers.copy[low : low + len(slices)]
        if low < 0:  # no position repeats
            keys, copy = np.full((len(slices), len(DIVIDERS)), -1), np.arange(len(slices))
        series = Member(slices, result.geometry.placed[first:end], keys, copy)

        def compare(pairs: Ints, exact: int, first: int = first) -> list[str]:
            return result.compare(pairs + first, exact)

        stacks, found = divide(series, result.settings, compare)
        _enter(result, int(result.names[at]), first, stacks, found)


def _may_repeat(result: Collection) -> Bools:
    """True for series in which two slices may have one position, by a generous measure.

    The attributes of other series are not needed.
    """
    depth, series = result.geometry.depth, result.slices.series
    gaps = np.where(series[1:] == series[:-1], np.diff(depth), np.nan)
    least = np.fmin.reduceat(np.append(gaps, np.nan), result.starts)
    return np.asarray(least < 0.5 * result.geometry.step + result.settings.in_plane_tolerance_mm)


def _enter(
    result: Collection, name: int, first: int, stacks: list[Stack], found: list[Problem]
) -> None:
    """Enter the stacks of one series, whose slices are numbered from its first."""
    for number, stack in enumerate(stacks):
        stack.slices, stack.copies = stack.slices + first, stack.copies + first
        result.stack_index[stack.slices] = result.stack_index[stack.copies] = number
        result.slice_index[stack.slices] = np.arange(len(stack.slices))
        result.depth[stack.slices] = stack.depth
        result.depth[stack.copies] = result.slices.position[stack.copies] @ stack.normal
    result.stacks[name] = len(stacks)
    result.volumes[name] = sum(stack.regular for stack in stacks)
    longest = max(stacks, key=lambda s: (not s.localizer, len(s.slices)))
    if len(longest.slices) > 1:
        result.tilt[name] = round(longest.tilt, 2)
    result.divided[name] = stacks
    for one in found:
        moved = one._replace(slices=tuple(int(n) + first for n in one.slices))
        result.problems.append(Located(name, moved))


def _find_unnamed(images: Images) -> Iterator[Located]:
    """Series without Series Instance UID, and with one that occurs elsewhere."""
    for name in np.flatnonzero(images.unnamed).tolist():
        text = "grouped by folder, patient, study, modality, series number and description"
        yield Located(name, Problem("SERIES_UID_MISSING", (-1,), text))
    for name in np.flatnonzero(images.clashing).tolist():
        text = "the same UID occurs with another Patient ID or Study Instance UID"
        yield Located(name, Problem("SERIES_UID_CLASH", (-1,), text))


def _find_unplaced(result: Collection) -> Iterator[Located]:
    """Slices without a usable position; one problem for a series in which no slice has one."""
    s, placed, starts = result.slices, result.geometry.placed, result.starts
    some = np.repeat(np.logical_or.reduceat(placed, starts), result.ends - starts)
    lost = ~placed & ~s.composed & ~s.localizer & (s.frame >= 0) & (s.record < 0)
    numbers = np.flatnonzero(lost & (s.volumetric | some))
    size = np.bincount(s.series[numbers], minlength=len(result.images.ids))
    first = np.unique(s.series[numbers], return_index=True)[1]
    chosen = some[numbers]
    chosen[first] = True
    for n in numbers[chosen].tolist():
        missing = ~np.isfinite(s.position[n]).all(), np.isnan(s.orientation[n]).any()
        names = ("Image Position (Patient)", "Image Orientation (Patient)")
        text = " and no ".join(name for name, one in zip(names, missing, strict=True) if one)
        text = f"no {text}" if text else "Image Orientation (Patient) is not two orthogonal vectors"
        others = int(size[s.series[n]]) - 1
        if not some[n] and others:
            text += f"; none of the {others + 1} slices of the series has a usable position"
        yield Located(int(s.series[n]), Problem("POSITION_MISSING", (n,), text))


def _find_frames(result: Collection) -> Iterator[Located]:
    """Multi-frame CT, MR, PET and the like with frames without position; no cine has any."""
    s = result.slices
    sliced = result.images.is_class((*VOLUMETRIC, *FUNCTIONAL))[s.row]
    numbers = np.flatnonzero(~result.geometry.placed & ((s.record >= 0) | ((s.frame < 0) & sliced)))
    for n in np.sort(numbers[np.unique(s.row[numbers], return_index=True)[1]]).tolist():
        text = "no frame has a position" if s.frame[n] < 0 else "some frames have no position"
        yield Located(int(s.series[n]), Problem("FRAMES_UNPLACED", (n,), text))


def _find_varying(result: Collection) -> Iterator[Located]:
    """Multi-frame images whose frames differ in a value that a column would have."""
    s, frames = result.slices, result.frames
    if not len(frames):
        return
    image = encode(frames["id"].combine_chunks())
    varying: dict[int, list[str]] = {}
    for name in VARYING:
        code = encode(frames[name].combine_chunks())
        pairs = np.unique(np.stack([image, code]), axis=1)
        for one in np.flatnonzero(np.bincount(pairs[0]) > 1).tolist():
            varying.setdefault(one, []).append(name)
    slice_of = dict(zip(s.record.tolist(), range(len(s)), strict=True))
    for one, names in varying.items():
        n = slice_of[int(np.flatnonzero(image == one)[0])]
        text = f"frames differ in {', '.join(names)}"
        yield Located(int(s.series[n]), Problem("FRAMES_VARY", (n,), text))


def _find_composed(result: Collection) -> Iterator[Located]:
    """Series of mosaics and of reprojections."""
    s = result.slices
    kinds = (
        ("MOSAIC", s.mosaic, "each image holds all slices of a volume as tiles"),
        ("REPROJECTION", s.composed & ~s.mosaic, "the images are projections, no slices"),
    )
    for code, mask, text in kinds:
        numbers = np.flatnonzero(mask)
        for at in np.unique(s.series[numbers], return_index=True)[1]:
            n = int(numbers[at])
            yield Located(int(s.series[n]), Problem(code, (n,), text))

"""The series of an index: slices, stacks and problems of all series at once.

Regular series, single images and images without position are handled together; only the others
are divided one by one.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from functools import cached_property
from typing import NamedTuple

import numpy as np
import pyarrow as pa

from wetread.common.arrays import filled
from wetread.series.checks import Found
from wetread.series.copies import compare_pairs
from wetread.series.dividers import Dividers
from wetread.series.frames import SCHEMA, read_frames
from wetread.series.geometry import Geometry, find_starts, measure, order
from wetread.series.reading import FUNCTIONAL, Images, read_images, select_slices, vectors
from wetread.series.slices import Bools, Ints, Slices
from wetread.series.stacks import Member, Stack, divide
from wetread.settings import Settings
from wetread.table.rows import IndexRows, fetch_rows


class Located(NamedTuple):
    """Problem with the number of its series."""

    series: int
    found: Found


@dataclass
class Collection:
    """Series of an index, with their slices sorted by series and position."""

    index: IndexRows
    images: Images
    frames: pa.Table
    """Frames of multi-frame images."""
    slices: Slices
    geometry: Geometry
    names: Ints
    """Number of each series that has slices; the order of `geometry`."""
    starts: Ints
    """First slice of each of `names`."""
    stack_index: Ints
    """Stack of each slice within its series; -1 for none, (slices,)."""
    slice_index: Ints
    """Place of each slice in its stack; -1 for none and for copies, (slices,)."""
    depth: np.ndarray[tuple[int], np.dtype[np.float64]]
    """Position on the normal of the stack in mm; NaN for none, (slices,)."""
    stacks: Ints
    """Number of stacks per series."""
    volumes: Ints
    """Number of volumes per series."""
    tilt: np.ndarray[tuple[int], np.dtype[np.float64]]
    """Gantry tilt per series in degrees; NaN without a stack of two slices."""
    divided: dict[int, list[Stack]]
    """Stacks of the irregular series; slices are numbered within the collection."""
    problems: list[Located]
    dividers: Dividers | None = None
    divided_at: Ints | None = None
    """Number of each slice in `dividers`; -1 for slices of other series."""

    @cached_property
    def bounds(self) -> dict[int, tuple[int, int]]:
        """First and last slice of each series with slices, as a half-open range."""
        ends = np.r_[self.starts[1:], len(self.slices)]
        return dict(zip(self.names.tolist(), zip(self.starts.tolist(), ends.tolist(), strict=True), strict=True))


def collect(
    index: IndexRows, settings: Settings = Settings(), progress: bool = False
) -> Collection:
    """Find the series of an index and divide them into stacks.

    Only multi-frame images, and slices that repeat a position, are opened.

    Args:
        index: the rows; those without a header belong to no series.
        settings: tolerances and limits.
        progress: show a progress bar while multi-frame images are read.
    """
    images = read_images(index)
    single = np.flatnonzero(images.is_image() & ~images.is_multiframe())
    frames, placed_frames = _read_frames(index, images, settings, progress)
    slices = Slices.concatenate([select_slices(images, single), placed_frames])
    slices = slices.take(order(slices))
    starts = find_starts(slices.series)
    names = slices.series[starts]
    geometry = measure(slices, settings)
    count = len(images.ids)
    result = Collection(
        index,
        images,
        frames,
        slices,
        geometry,
        names,
        starts,
        np.full(len(slices), -1, np.int64),
        np.full(len(slices), -1, np.int64),
        np.full(len(slices), np.nan),
        np.zeros(count, np.int64),
        np.zeros(count, np.int64),
        np.full(count, np.nan),
        {},
        [],
    )
    if len(slices):
        irregular = _stack_regular(result, settings)
        _divide_others(result, irregular, settings)
    result.problems += _find_common(result)
    result.problems.sort(key=lambda located: located.series)
    return result


def _read_frames(
    index: IndexRows, images: Images, settings: Settings, progress: bool
) -> tuple[pa.Table, Slices]:
    """Table of frames, and slices of the multi-frame images: frames, or one without position."""
    chosen = np.flatnonzero(images.is_image() & images.is_multiframe())
    known = images.is_class(FUNCTIONAL)[chosen]
    table = SCHEMA.empty_table()
    if known.any():
        table = read_frames(index, images.row[chosen[known]], settings, progress)
    all_single = select_slices(images, chosen)
    by_id = {}
    if len(table):
        ids = fetch_rows(index, images.row[chosen], ["id"])["id"].to_pylist()
        by_id = {id_: n for n, id_ in enumerate(ids)}
    image = np.array([by_id[id_] for id_ in table["id"].to_pylist()], np.int64)
    without = np.setdiff1d(np.arange(len(chosen)), image)
    of_image = all_single.take(np.r_[image, without])
    frame = np.r_[filled(table["frame"], 0), np.full(len(without), -1)].astype(np.int64)
    record = np.r_[np.arange(len(table)), np.full(len(without), -1)].astype(np.int64)
    geometry = {
        name: np.concatenate([vectors(table[column].combine_chunks(), size), np.full((len(without), size), np.nan)])
        for name, column, size in (
            ("position", "ImagePositionPatient", 3),
            ("orientation", "ImageOrientationPatient", 6),
            ("spacing", "PixelSpacing", 2),
        )
    }
    return table, replace(of_image, frame=frame, record=record, **geometry)


def _stack_regular(result: Collection, settings: Settings) -> Bools:
    """Stacks of regular series and single images; True for the other series that have any slice."""
    s, geometry, starts = result.slices, result.geometry, result.starts
    counts = np.diff(np.r_[starts, len(s)])
    usable = geometry.placed & ~s.composed
    odd = s.localizer | ~usable
    clean = ~np.logical_or.reduceat(odd, starts)
    regular = geometry.regular.value & clean
    single = (counts == 1) & usable[starts]
    simple = np.repeat(regular | single, counts)
    within = np.arange(len(s)) - np.repeat(starts, counts)
    result.stack_index[simple] = 0
    result.slice_index[simple] = within[simple]
    result.depth[simple] = geometry.depth[simple]
    names = result.names
    result.stacks[names[regular | single]] = 1
    result.volumes[names[regular]] = 1
    result.tilt[names[regular]] = 0.0
    return np.logical_or.reduceat(usable, starts) & ~regular & ~single


def _divide_others(result: Collection, irregular: Bools, settings: Settings) -> None:
    """Divide the irregular series one by one."""
    ends = np.r_[result.starts[1:], len(result.slices)]
    wanted = np.repeat(irregular, ends - result.starts)
    numbers = np.flatnonzero(wanted)
    if not len(numbers):
        return
    part = result.slices.take(numbers)
    dividers = Dividers(result.index, result.images, part, result.frames)
    result.dividers = dividers
    result.divided_at = np.full(len(result.slices), -1, np.int64)
    result.divided_at[numbers] = np.arange(len(numbers))
    for at in np.flatnonzero(irregular).tolist():
        first, end = int(result.starts[at]), int(ends[at])
        low = int(result.divided_at[first])
        inside = slice(low, low + end - first)
        series = Member(
            part.take(inside),
            result.geometry.placed[first:end],
            dividers.keys[inside],
            dividers.copy[inside],
        )
        stacks, found = divide(series, settings, _Comparison(result, series.slices))
        _place(result, int(result.names[at]), first, stacks, found)


class _Comparison:
    """Compare slices of one series by number; see `copies.compare_pairs`."""

    def __init__(self, result: Collection, slices: Slices) -> None:
        self._result, self._slices = result, slices

    def __call__(self, pairs: list[tuple[int, int]], exact: int) -> list[str]:
        numbers = np.array(pairs, np.int64)
        rows = self._result.images.row[self._slices.row[numbers]]
        frames = bool((self._slices.record[numbers] >= 0).any())
        return compare_pairs(self._result.index, rows, exact, frames)


def _place(
    result: Collection, name: int, first: int, stacks: list[Stack], found: list[Found]
) -> None:
    """Enter the stacks of one series, whose slices are numbered from its first."""
    for number, stack in enumerate(stacks):
        stack.slices = stack.slices + first
        stack.copies = stack.copies + first
        result.stack_index[stack.slices] = number
        result.stack_index[stack.copies] = number
        result.slice_index[stack.slices] = np.arange(len(stack.slices))
        result.depth[stack.slices] = stack.depth
        result.depth[stack.copies] = (
            result.slices.position[stack.copies] @ stack.normal if len(stack.copies) else ()
        )
    result.stacks[name] = len(stacks)
    result.volumes[name] = sum(stack.regular for stack in stacks)
    longest = max(stacks, key=lambda s: (not s.localizer, len(s.slices)), default=None)
    if longest is not None and len(longest.slices) > 1:
        result.tilt[name] = round(longest.tilt, 2)
    result.divided[name] = stacks
    result.problems += [
        Located(name, one._replace(slices=tuple(int(n) + first for n in one.slices)))
        for one in found
    ]


def _find_common(result: Collection) -> Iterator[Located]:
    """Problems of images that are no slices, and of the UIDs of series."""
    images, s = result.images, result.slices
    for name in np.flatnonzero(images.unnamed).tolist():
        text = "no Series Instance UID: grouped by folder, patient, study, modality and description"
        yield Located(name, Found("SERIES_UID_MISSING", (-1,), text))
    for name in np.flatnonzero(images.clashing).tolist():
        text = "the Series Instance UID occurs with another patient or study"
        yield Located(name, Found("SERIES_UID_CLASH", (-1,), text))
    if not len(s):
        return
    counts = np.diff(np.r_[result.starts, len(s)])
    some = np.repeat(np.logical_or.reduceat(result.geometry.placed, result.starts), counts)
    unplaced = ~result.geometry.placed & ~s.composed
    lost = unplaced & (s.frame >= 0) & ~s.localizer & (s.volumetric | some)
    frames = unplaced & ((s.frame < 0) | (s.record >= 0))
    yield from _find_unplaced(result, lost & (s.record < 0), some)
    for n in _first_per_file(frames, s):
        text = "no position of its frames" if s.frame[n] < 0 else "a frame without position"
        yield Located(int(s.series[n]), Found("FRAMES_UNPLACED", (n,), text))
    for n in np.flatnonzero(s.composed & ~np.r_[False, s.composed[:-1] & (s.series[1:] == s.series[:-1])]):
        mosaic = s.mosaic[n]
        code = "MOSAIC" if mosaic else "REPROJECTION"
        text = "each image holds the slices of a volume as tiles" if mosaic else (
            "images are projections of the volume from rotating directions"
        )
        yield Located(int(s.series[n]), Found(code, (int(n),), text))


def _first_per_file(mask: Bools, s: Slices) -> list[int]:
    numbers = np.flatnonzero(mask)
    return sorted(numbers[np.unique(s.row[numbers], return_index=True)[1]].tolist())


def _find_unplaced(result: Collection, lost: Bools, some: Bools) -> Iterator[Located]:
    """Slices without a usable position; one problem for a series in which no slice has one."""
    s = result.slices
    numbers = np.flatnonzero(lost)
    all_lost = ~some[numbers]
    first = np.r_[True, s.series[numbers][1:] != s.series[numbers][:-1]][: len(numbers)]
    size = np.bincount(s.series[numbers], minlength=len(result.images.ids))
    for n in numbers[~all_lost | first].tolist():
        missing = np.isnan(s.position[n]).any(), np.isnan(s.orientation[n]).any()
        names = ("Image Position (Patient)", "Image Orientation (Patient)")
        text = " and ".join(name for name, one in zip(names, missing, strict=True) if one)
        text = f"no {text}" if text else "Image Orientation (Patient) is not two orthogonal vectors"
        if not some[n] and size[s.series[n]] > 1:
            text += f", nor in the other {size[s.series[n]] - 1} slices of the series"
        yield Located(int(s.series[n]), Found("POSITION_MISSING", (n,), text))

"""DICOM Segmentation objects: BINARY, FRACTIONAL and LABELMAP (PS3.3 C.8.20).

A frame is placed by its Image Position and Orientation (Patient), never by its number. Frames
without foreground may be absent.
"""

from __future__ import annotations

import warnings
from collections import Counter
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

import numpy as np

from wetread.common.text import counted
from wetread.errors import DecodeError, WetreadError
from wetread.images.image import Image
from wetread.pixels import Frames, read_frame
from wetread.pixels.access import items, read_numbers, text
from wetread.segments.contents import (
    Bools,
    Description,
    Fit,
    Floats,
    Ints,
    LabelFile,
    Measured,
    Pieces,
    Problem,
    Target,
    voxel_ml,
)
from wetread.segments.frames import FrameTable, make_grid, place_frames, read_frame_table
from wetread.segments.grids import turn
from wetread.settings import Settings
from wetread.workers.heartbeat import heartbeat

if TYPE_CHECKING:
    from pydicom.dataset import Dataset

SOP_CLASSES = ("1.2.840.10008.5.1.4.1.1.66.4", "1.2.840.10008.5.1.4.1.1.66.7")
"""Segmentation Storage and Label Map Segmentation Storage."""
LABELMAP = -1
"""Number of the segment of a frame that holds several."""


class SegFile(LabelFile):
    """Segments of a DICOM SEG file; frames are decoded on demand."""

    kind = "SEG"

    def __init__(
        self, image: Image, threshold: float = 0.5, settings: Settings = Settings()
    ) -> None:
        super().__init__(image.row)
        self._image, self._settings, self._threshold = image, settings, threshold
        header = image.header
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            self.type = text(header, "SegmentationType").upper() or "BINARY"
            most = read_numbers(header, "MaximumFractionalValue").first
            self._most = (most or 255.0) if self.type == "FRACTIONAL" else 1.0
            self.reader = text(header, "ContentCreatorName") or None
            self._read_segments(header)
            self.frames = read_frame_table(header, self.type == "LABELMAP")
            self._read_references(header)
        self.shape = tuple(int(read_numbers(header, n).first or 0) for n in ("Rows", "Columns"))
        # Thousands of items, of which everything is known now.
        header.pop("PerFrameFunctionalGroupsSequence", None)
        header.pop("SegmentSequence", None)

    def _read_segments(self, header: Dataset) -> None:
        found = [_describe(item) for item in items(header, "SegmentSequence")]
        if (more := len(found) - self._settings.segments) > 0:
            self.found.append(
                Problem("SEGMENT_LIMIT", f"{counted(more, 'segment', 'are')} left out")
            )
        self.descriptions = found[: self._settings.segments]
        if self.type == "LABELMAP":
            self.descriptions = [d for d in self.descriptions if not _is_background(d)]
        for number, times in Counter(d.number for d in self.descriptions).items():
            if times > 1:
                self.found.append(
                    Problem("SEGMENT_TWICE", f"number {number} {times} times", number)
                )
        if not self.descriptions:
            self.found.append(Problem("SEGMENT_UNREADABLE", "no Segment Sequence"))
            self.descriptions = [Description(1)]

    def _read_references(self, header: Dataset) -> None:
        refs = self.references
        refs.frame_of_reference = text(header, "FrameOfReferenceUID") or None
        for item in items(header, "ReferencedSeriesSequence"):
            refs.series.append(text(item, "SeriesInstanceUID"))
        refs.series = list(dict.fromkeys(filter(None, refs.series)))
        refs.images = list(dict.fromkeys(uid for uid, _ in self.frames.sources if uid))

    def fit(self, target: Target) -> Fit:
        """Lay the frames on the slices of the images."""
        return place_frames(self.frames, self.shape, target, self._settings)

    def fit_itself(self) -> Fit:
        """Grid of the frames, from the lowest to the highest position."""
        target = make_grid(self.frames, self.shape, self._settings)
        return place_frames(self.frames, self.shape, target, self._settings)

    def measure(self, fit: Fit | None) -> Measured:
        """Decode all frames, those of one position after each other."""
        slices = _number_positions(self.frames) if fit is None else fit.data.slices
        found: list[Problem] = []
        rows: list[tuple[int, ...]] = []
        known = {description.number for description in self.descriptions}
        strange: set[int] = set()
        overlaps: Counter[tuple[int, int]] = Counter()
        owner, last = np.zeros((0, 0), np.int32), -1
        for at, pixels in self._decode_all(np.argsort(slices, kind="stable"), found):
            k = int(slices[at])
            if k < 0:  # on no slice
                continue
            if k != last:
                owner, last = np.zeros(self.shape, np.int32), k
            for number, count, box in self._split(at, pixels, known, strange):
                if fit is not None:
                    box = _move(box, self.shape, fit)
                rows.append((number, k, count, *box))
            if self.type != "LABELMAP":
                self._note_overlap(owner, pixels, int(self.frames.number[at]), overlaps)
        found += [
            Problem("SEGMENT_UNDESCRIBED", f"pixels of segment {n}") for n in sorted(strange)[:20]
        ]
        for (a, b), count in overlaps.items():
            found.append(
                Problem("SEGMENTS_OVERLAP", f"{counted(count, 'voxel')} shared with segment {b}", a)
            )
            found.append(
                Problem("SEGMENTS_OVERLAP", f"{counted(count, 'voxel')} shared with segment {a}", b)
            )
        return Measured(Pieces.of(rows), found, self._voxel_ml(fit))

    def _decode_all(
        self, order: Ints, found: list[Problem]
    ) -> Iterator[tuple[int, np.ndarray[Any, Any]]]:
        """Decode frames; one that cannot be decoded is a problem of its segment."""
        try:
            with self._image.open_frames() as frames:
                if len(frames) != len(self.frames.number):
                    given = len(self.frames.number)
                    text = (
                        f"{counted(len(frames), 'frame')}, {given} of them described in the header"
                    )
                    found.append(Problem("SEGMENT_UNREADABLE", text))
                for at in order.tolist():
                    number = int(self.frames.number[at])
                    try:
                        yield at, self._decode(frames, at)
                    except WetreadError as error:
                        segment = None if number == LABELMAP else number
                        text = f"frame {at}: {error}"
                        found.append(Problem("SEGMENT_UNREADABLE", text, segment))
        except DecodeError as error:
            found.append(Problem("SEGMENT_UNREADABLE", str(error)))

    def _decode(self, frames: Frames, at: int) -> np.ndarray[Any, Any]:
        heartbeat(self._settings.decode_seconds)
        pixels = read_frame(frames, at, settings=self._settings).values
        if pixels.ndim != 2 or pixels.shape != self.shape:
            raise DecodeError(f"pixels of shape {pixels.shape}, the header states {self.shape}")
        return pixels

    def _split(
        self, at: int, pixels: np.ndarray[Any, Any], known: set[int], strange: set[int]
    ) -> Iterator[tuple[int, int, tuple[int, int, int, int]]]:
        """Yield number, pixels and box of each segment of a frame."""
        if self.type != "LABELMAP":
            number, mask = int(self.frames.number[at]), self._binary(pixels)
            if number not in known:
                strange.add(number)
            y, x = np.nonzero(mask)
            if len(y):
                yield number, len(y), (int(x.min()), int(y[0]), int(x.max()) + 1, int(y[-1]) + 1)
            return
        yield from split_labels(pixels, known, strange)

    def _binary(self, pixels: np.ndarray[Any, Any]) -> Bools:
        return np.asarray((pixels > 0) & (pixels >= self._threshold * self._most))

    def _note_overlap(
        self,
        owner: np.ndarray[Any, Any],
        pixels: np.ndarray[Any, Any],
        number: int,
        overlaps: Counter[tuple[int, int]],
    ) -> None:
        mask = self._binary(pixels)
        others, counts = np.unique(owner[mask], return_counts=True)
        for other, count in zip(others.tolist(), counts.tolist(), strict=True):
            if other not in (0, number):
                overlaps[other, number] += count
        owner[mask] = number

    def _voxel_ml(self, fit: Fit | None) -> float | None:
        """Volume of a voxel: of the images, else by the spacing and distance of the frames."""
        if fit is not None and fit.target.volume is not None:
            return voxel_ml(fit.target.affine)
        area, distance = self.frames.spacing.prod(axis=1), self.frames.distance
        if not len(area) or distance is None or not np.isfinite(area).all():
            return None
        return float(area[0] * distance) / 1000

    def masks(self, fit: Fit, found: list[Problem]) -> Iterator[tuple[int, int, Bools]]:
        """Decode all frames once; see `LabelFile.masks`."""
        slices = fit.data.slices
        for at, pixels in self._decode_all(np.flatnonzero(slices >= 0), found):
            for number, mask in self.split(at, pixels):
                yield number, int(slices[at]), paste(mask, fit)

    def split(self, at: int, pixels: np.ndarray[Any, Any]) -> Iterator[tuple[int, Bools]]:
        """Yield number and mask of each described segment of a frame."""
        numbers = [int(self.frames.number[at])]
        if self.type == "LABELMAP":
            numbers = np.unique(pixels).tolist()
        known = {description.number for description in self.descriptions}
        for number in numbers:
            if number in known:
                yield number, pixels == number if self.type == "LABELMAP" else self._binary(pixels)

    def frame(self, at: int) -> Iterator[tuple[int, Bools]]:
        """Yield number and mask of each segment of a frame, as stored.

        Raises:
            DecodeError: the frame cannot be decoded.
        """
        if at >= len(self.frames.number):
            raise DecodeError(f"frame {at} is not described in the header")
        with self._image.open_frames() as frames:
            yield from self.split(at, self._decode(frames, at))

    def find_first(self) -> int | None:
        """First frame with foreground; None if all are empty."""
        order = np.arange(len(self.frames.number))
        pieces = self._decode_all(order, [])
        return next((at for at, px in pieces if any(m.any() for _, m in self.split(at, px))), None)

    def planes(self, number: int, fit: Fit, slices: range) -> Iterator[tuple[int, Bools]]:
        """Decode the frames of one segment on some slices."""
        for k, pixels in self.values(number, fit, slices):
            mask = pixels == number if self.type == "LABELMAP" else self._binary(pixels)
            yield k, paste(mask, fit)

    def fractions(self, number: int, fit: Fit) -> Iterator[tuple[int, Floats]]:
        """Decode the fractions of one segment, from 0 to 1."""
        for k, pixels in self.values(number, fit, range(fit.target.shape[0])):
            value = pixels == number if self.type == "LABELMAP" else pixels / self._most
            yield k, paste(value.astype(np.float32), fit)

    def values(
        self, number: int, fit: Fit, slices: range
    ) -> Iterator[tuple[int, np.ndarray[Any, Any]]]:
        """Decode the stored values of the frames with a segment, on some slices."""
        wanted = np.isin(self.frames.number, (number, LABELMAP)) & np.isin(
            fit.data.slices, np.arange(slices.start, slices.stop)
        )
        if not wanted.any():
            return
        with self._image.open_frames() as frames:
            for at in np.flatnonzero(wanted).tolist():
                yield int(fit.data.slices[at]), self._decode(frames, at)


def split_labels(
    labels: np.ndarray[Any, Any], known: set[int], strange: set[int] | None = None
) -> Iterator[tuple[int, int, tuple[int, int, int, int]]]:
    """Yield number, pixels and box of each label of a slice; unknown ones go into `strange`.

    Pixels of value 0 are a segment only if it is described (PS3.3 C.8.20.2.3).
    """
    if 0 not in known:
        y, x = np.nonzero(labels)
        labels = labels[y, x]
    else:
        y, x = (axis.ravel() for axis in np.indices(labels.shape))
        labels = labels.ravel()
    if not len(labels):
        return
    numbers, code, counts = np.unique(labels, return_inverse=True, return_counts=True)
    low = np.full((2, len(numbers)), np.iinfo(np.int64).max)
    high = np.zeros((2, len(numbers)), np.int64)
    for axis, values in enumerate((x, y)):
        np.minimum.at(low[axis], code, values)
        np.maximum.at(high[axis], code, values + 1)
    for at, (number, count) in enumerate(zip(numbers.tolist(), counts.tolist(), strict=True)):
        if number in known:
            x0, y0 = low[:, at].tolist()
            x1, y1 = high[:, at].tolist()
            yield number, count, (x0, y0, x1, y1)
        elif strange is not None:
            strange.add(number)


def paste(pixels: np.ndarray[Any, Any], fit: Fit) -> np.ndarray[Any, Any]:
    """Enter a frame into a slice of the images, (rows, columns)."""
    place, whole = fit.data, fit.target.shape[1:]
    turned = turn(pixels, place.match)
    if turned.shape == whole:
        return turned
    result = np.zeros(whole, pixels.dtype)
    row, column = place.offset
    result[row : row + turned.shape[0], column : column + turned.shape[1]] = turned
    return result


def _move(
    box: tuple[int, int, int, int], shape: tuple[int, ...], fit: Fit
) -> tuple[int, int, int, int]:
    """Box of a frame in edges of pixels of the images."""
    x0, y0, x1, y1 = box
    place = fit.data
    ends = [(y0, y1, shape[0]), (x0, x1, shape[1])]
    turned = [
        (size - high, size - low) if sign < 0 else (low, high)
        for (low, high, size), sign in zip(ends, place.match.signs, strict=True)
    ]
    if place.match.axes == (1, 0):
        turned.reverse()
    (y0, y1), (x0, x1) = turned
    row, column = place.offset
    return x0 + column, y0 + row, x1 + column, y1 + row


def _number_positions(frames: FrameTable) -> Ints:
    """Number of the position of each frame."""
    keys = np.nan_to_num(np.round(frames.position, 3), nan=np.inf)
    return np.asarray(np.unique(keys, axis=0, return_inverse=True)[1].ravel(), np.int64)


def _describe(item: Dataset) -> Description:
    kind = next(iter(items(item, "SegmentedPropertyTypeCodeSequence")), None)
    number = read_numbers(item, "SegmentNumber").first
    algorithm = (text(item, "SegmentAlgorithmType"), text(item, "SegmentAlgorithmName"))
    return Description(
        -2 if number is None else int(number),
        text(item, "SegmentLabel") or None,
        describe_code(kind),
        _to_colour(read_numbers(item, "RecommendedDisplayCIELabValue").values),
        " ".join(filter(None, algorithm)) or None,
    )


def _is_background(description: Description) -> bool:
    """True for value 0 of a label map, described as background (125040, DCM)."""
    return description.number == 0 and "(125040 DCM)" in (description.code or "")


def describe_code(item: Dataset | None) -> str | None:
    """Meaning of a code, with its value and scheme."""
    if item is None:
        return None
    value = text(item, "CodeValue") or text(item, "LongCodeValue")
    named = f"{value} {text(item, 'CodingSchemeDesignator')}".strip()
    return f"{text(item, 'CodeMeaning')} ({named})".strip()


def _to_colour(lab: tuple[float | None, ...]) -> str | None:
    """Colour as #rrggbb from 16-bit CIELab values (PS3.3 C.10.7.1.1, white point D50)."""
    if len(lab) != 3 or None in lab:
        return None
    lightness, a, b = (float(value or 0) / 65535 for value in lab)
    f = (lightness * 100 + 16) / 116
    ends = f + (a * 255 - 128) / 500, f, f - (b * 255 - 128) / 200
    xyz = [
        white * (e**3 if e > 6 / 29 else 3 * (6 / 29) ** 2 * (e - 4 / 29))
        for e, white in zip(ends, (0.9642, 1.0, 0.8249), strict=True)
    ]
    linear = np.clip(_D50_TO_SRGB @ np.array(xyz), 0, 1)
    srgb = np.where(linear > 0.0031308, 1.055 * linear ** (1 / 2.4) - 0.055, 12.92 * linear)
    return "#" + "".join(f"{round(255 * value):02x}" for value in srgb.tolist())


_D50_TO_SRGB = np.array(
    [
        [3.1338561, -1.6168667, -0.4906146],
        [-0.9787684, 1.9161415, 0.0334540],
        [0.0719453, -0.2289914, 1.4052427],
    ]
)
"""XYZ with white point D50 to linear sRGB (Lindbloom, Bradford adapted)."""

"""RT Structure Sets: contours in mm, filled on the slices of their images (PS3.3 C.8.8.6)."""

from __future__ import annotations

import warnings
from collections import Counter, defaultdict
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from wetread.common.text import counted
from wetread.images.image import Image
from wetread.pixels.access import items, read_numbers, text
from wetread.segments.contents import (
    Bools,
    Description,
    Fit,
    Floats,
    LabelFile,
    Measured,
    Pieces,
    Problem,
    Target,
    find_box,
    voxel_ml,
)
from wetread.segments.frames import read_source
from wetread.segments.grids import compare_sources
from wetread.segments.raster import fill
from wetread.segments.seg import describe_code
from wetread.settings import Settings
from wetread.workers.heartbeat import heartbeat

if TYPE_CHECKING:
    from pydicom.dataset import Dataset

SOP_CLASSES = ("1.2.840.10008.5.1.4.1.1.481.3",)
"""RT Structure Set Storage."""
_CLOSED, _XOR = "CLOSED_PLANAR", "CLOSEDPLANAR_XOR"
_MOST_GAPS = 3
"""Slices without contour that a problem names."""


class Contour(NamedTuple):
    """Contour of an ROI."""

    kind: str
    """Contour Geometric Type."""
    data: Any
    """Contour Data, as bytes or numbers."""
    stated: int | None
    """Number of Contour Points."""
    source: tuple[str, int]
    """SOP Instance UID and frame of the image that it refers to; "" for none."""


@dataclass
class PlacedContours:
    """Contours of one ROI on the slices of a target."""

    polygons: dict[int, list[tuple[bool, Floats]]] = field(
        default_factory=lambda: defaultdict(list)
    )
    """By slice: True for CLOSEDPLANAR_XOR, and points (n, 2), row and column."""
    found: list[Problem] = field(default_factory=list)


class RtFile(LabelFile):
    """ROIs of an RT Structure Set; contours are read on demand.

    Args:
        image: the file.
        cached: keeps the result of a function for a while, by key.
        settings: limits.
    """

    kind = "RTSTRUCT"
    has_grid = False

    def __init__(
        self,
        image: Image,
        cached: Callable[[Any, Callable[[], Any]], Any],
        settings: Settings = Settings(),
    ) -> None:
        super().__init__(image.row)
        self._root, self._cached, self._settings = image.root, cached, settings
        header = image.header
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            self._read_regions(header)
            self._read_references(header)
        self.reader = text(header, "StructureSetLabel") or None

    def _read_regions(self, header: Dataset) -> None:
        colours, types = {}, {}
        for item in items(header, "ROIContourSequence"):
            number = read_numbers(item, "ReferencedROINumber").first
            rgb = read_numbers(item, "ROIDisplayColor").values
            if len(rgb) == 3 and all(v is not None and 0 <= v <= 255 for v in rgb):
                colours[number] = "#" + "".join(f"{int(v or 0):02x}" for v in rgb)
        for item in items(header, "RTROIObservationsSequence"):
            number = read_numbers(item, "ReferencedROINumber").first
            coded = items(item, "RTROIIdentificationCodeSequence")
            types[number] = (
                describe_code(coded[0]) if coded else text(item, "RTROIInterpretedType") or None
            )
        frames_of_reference = []
        for item in items(header, "StructureSetROISequence")[: self._settings.segments]:
            number = read_numbers(item, "ROINumber").first
            frames_of_reference.append(text(item, "ReferencedFrameOfReferenceUID"))
            self.descriptions.append(
                Description(
                    -2 if number is None else int(number),
                    text(item, "ROIName") or None,
                    types.get(number),
                    colours.get(number),
                    text(item, "ROIGenerationAlgorithm") or None,
                )
            )
        self._frames_of_reference = [uid for uid in frames_of_reference if uid]
        for number, times in Counter(d.number for d in self.descriptions).items():
            if times > 1:
                self.found.append(
                    Problem("SEGMENT_TWICE", f"number {number} {times} times", number)
                )
        if not self.descriptions:
            self.found.append(Problem("SEGMENT_UNREADABLE", "no Structure Set ROI Sequence"))
            self.descriptions = [Description(0)]

    def _read_references(self, header: Dataset) -> None:
        refs = self.references
        uids = list(dict.fromkeys(self._frames_of_reference))
        for frame in items(header, "ReferencedFrameOfReferenceSequence"):
            uids = uids or [text(frame, "FrameOfReferenceUID")]
            for study in items(frame, "RTReferencedStudySequence"):
                for series in items(study, "RTReferencedSeriesSequence"):
                    refs.series.append(text(series, "SeriesInstanceUID"))
                    refs.images += [
                        text(image, "ReferencedSOPInstanceUID")
                        for image in items(series, "ContourImageSequence")
                    ]
        refs.frame_of_reference = uids[0] or None if len(uids) == 1 else None
        for region in items(header, "ROIContourSequence"):
            for contour in items(region, "ContourSequence"):
                refs.images.append(_source(contour)[0])
        refs.series = list(dict.fromkeys(filter(None, refs.series)))
        refs.images = list(dict.fromkeys(filter(None, refs.images)))

    def _contours(self) -> dict[int, list[Contour]]:
        """Contours by the number of their ROI."""

        def read() -> dict[int, list[Contour]]:
            header = Image(self._root, {"problems": None, **self.row}, self._settings).header
            result: dict[int, list[Contour]] = defaultdict(list)
            with warnings.catch_warnings():
                warnings.simplefilter("ignore")
                for region in items(header, "ROIContourSequence"):
                    number = read_numbers(region, "ReferencedROINumber").first
                    for item in items(region, "ContourSequence"):
                        result[-2 if number is None else int(number)].append(_read_contour(item))
            return result

        found: dict[int, list[Contour]] = self._cached(self.row["id"], read)
        return found

    def fit(self, target: Target) -> Fit:
        """Lay the contours on the slices of the images."""
        fit = Fit(target, data=target)
        contours = self._contours()
        for number in dict.fromkeys(d.number for d in self.descriptions):
            heartbeat(self._settings.decode_seconds)
            fit.found += self._place(number, contours.get(number, []), target).found
        return fit

    def _place(self, number: int, contours: list[Contour], target: Target) -> PlacedContours:
        """Transform the contours of an ROI to voxels, and find those that are on no slice."""
        placed = PlacedContours()
        counts: dict[tuple[str, str], list[str]] = defaultdict(list)
        inverse = np.linalg.inv(target.affine)
        slices, sources = [], []
        seen: set[tuple[int, bytes]] = set()
        for at, contour in enumerate(contours):
            problem, points = _read_points(contour, self._settings)
            if problem is not None:
                counts[problem].append(str(at))
                continue
            # Decimals of mm: without rounding, points on centres of pixels are on either side.
            voxels = np.round(points @ inverse[:3, :3].T + inverse[:3, 3], 5)
            k = int(np.rint(np.median(voxels[:, 0])))
            slices.append(k)
            sources.append(target.places.get(contour.source, -1))
            if contour.source[0] and sources[-1] < 0:
                counts["SLICE_ABSENT", "refer to images that are not in the volume"].append(str(at))
            off = np.abs(voxels[:, 0] - k).max()
            if off > self._settings.contour_tolerance or not 0 <= k < target.shape[0]:
                counts["CONTOUR_OFF_SLICE", "lie in no slice of the images"].append(
                    f"{at} at {points[0, 0]:.6g} {points[0, 1]:.6g} {points[0, 2]:.6g} mm"
                )
                continue
            plane = voxels[:, 1:]
            if (plane < -0.5 - 1e-6).any() or (
                plane > np.array(target.shape[1:]) - 0.5 + 1e-6
            ).any():
                counts["CONTOUR_OUTSIDE", "extend outside the images"].append(str(at))
            key = k, np.round(plane[np.lexsort(plane.T)], 3).tobytes()
            if key in seen:
                counts["SLICE_DOUBLED", "are equal to another on the same slice"].append(str(at))
            seen.add(key)
            placed.polygons[k].append((contour.kind == _XOR, plane))
        for (code, reason), names in counts.items():
            some = ", ".join(names[:3]) + (", ..." if len(names) > 3 else "")
            text = f"{len(names)} of {counted(len(contours), 'contour')} {reason}: {some}"
            placed.found.append(Problem(code, text, number))
        moved = compare_sources(np.array(slices), np.array(sources), target, "contours")
        if moved is not None:
            placed.found.append(moved._replace(number=number))
        placed.found += _find_gaps(placed, number)
        if placed.polygons:
            text = "contours have no grid: a shift within their slices cannot be seen"
            placed.found.append(Problem("CONTOURS_UNVERIFIED", text, number))
        return placed

    def measure(self, fit: Fit | None) -> Measured:
        """Fill all contours; nothing is measured without images."""
        if fit is None:
            return Measured(Pieces.of([]))
        rows: list[tuple[int, ...]] = []
        found: list[Problem] = []
        for number, k, mask in self.masks(fit, found):
            if box := find_box(mask):
                rows.append((number, k, int(mask.sum()), *box))
        volume = fit.target.volume
        scale = None if volume is None else voxel_ml(volume.affine)
        return Measured(Pieces.of(rows), found, scale)

    def masks(self, fit: Fit, found: list[Problem]) -> Iterator[tuple[int, int, Bools]]:
        """Fill all contours; see `LabelFile.masks`."""
        for number in dict.fromkeys(d.number for d in self.descriptions):
            notes: dict[str, list[int]] = defaultdict(list)
            for k, mask in self._fill(number, fit, range(fit.target.shape[0]), notes):
                yield number, k, mask
            for code, slices in notes.items():
                text = f"on {counted(len(slices), 'slice')}, such as {slices[0]}"
                found.append(Problem(code, text, number))

    def planes(self, number: int, fit: Fit, slices: range) -> Iterator[tuple[int, Bools]]:
        """Fill the contours of one ROI on some slices."""
        yield from self._fill(number, fit, slices, defaultdict(list))

    def _fill(
        self, number: int, fit: Fit, slices: range, notes: dict[str, list[int]]
    ) -> Iterator[tuple[int, Bools]]:
        shape = fit.target.shape[1:]
        placed = self._place(number, self._contours().get(number, []), fit.target)
        for k in sorted(set(placed.polygons) & set(slices)):
            heartbeat(self._settings.decode_seconds)
            union, holes = np.zeros((2, *shape), bool)
            for is_xor, points in placed.polygons[k]:
                mask, crossed = fill(points, shape)
                if crossed:
                    notes["CONTOUR_CROSSED"].append(k)
                if is_xor:
                    holes ^= mask
                else:
                    if (union & mask).any():
                        notes["CONTOURS_NESTED"].append(k)
                    union |= mask
            yield k, union | holes


def _read_contour(item: Dataset) -> Contour:
    count = read_numbers(item, "NumberOfContourPoints").first
    raw = item.get_item("ContourData") if "ContourData" in item else None
    return Contour(
        text(item, "ContourGeometricType").upper(),
        None if raw is None else raw.value,
        None if count is None else int(count),
        _source(item),
    )


def _source(item: Dataset) -> tuple[str, int]:
    """The only image of a contour, and its frame; "" for none or several."""
    return read_source(items(item, "ContourImageSequence"))


def _read_points(contour: Contour, settings: Settings) -> tuple[tuple[str, str] | None, Floats]:
    """Points of a closed contour in mm, (n, 3); or the code and text of its problem."""
    none = np.zeros((0, 3))
    if contour.kind not in (_CLOSED, _XOR):
        return ("CONTOUR_OPEN", f"are {contour.kind or 'of no type'}, which has no area"), none
    try:
        values = _numbers(contour.data)
    except ValueError:
        return ("CONTOUR_UNREADABLE", "are no numbers"), none
    if len(values) > 3 * settings.contour_points:
        limit = f"have more points than Settings.contour_points, {settings.contour_points:,}"
        return ("SEGMENT_LIMIT", limit), none
    if len(values) % 3 or len(values) < 9 or not np.isfinite(values).all():
        return ("CONTOUR_UNREADABLE", "are not three or more points of three numbers"), none
    if contour.stated is not None and contour.stated != len(values) // 3:
        return ("CONTOUR_UNREADABLE", "have another number of points than stated"), none
    points = values.reshape(-1, 3)
    if np.abs(points).max() > _FARTHEST:
        return ("CONTOUR_UNREADABLE", "have coordinates beyond 100 m"), none
    return None, points


_FARTHEST = 1e5
"""Largest coordinate in mm that can be one of a patient."""


def _numbers(data: Any) -> Floats:
    """Decimal Strings, as bytes or converted by pydicom."""
    if isinstance(data, bytes):
        parts = data.strip(b" \0\\").split(b"\\")
        return np.array(parts, dtype="S").astype(np.float64) if parts != [b""] else np.zeros(0)
    return np.array(data if data is not None else [], np.float64).ravel()


def _find_gaps(placed: PlacedContours, number: int) -> list[Problem]:
    """Slices without contour between slices with contours."""
    there = sorted(placed.polygons)
    if not there:
        return []
    gaps = sorted(set(range(there[0], there[-1])) - set(there))
    if not gaps:
        return []
    some = ", ".join(map(str, gaps[:_MOST_GAPS])) + (", ..." if len(gaps) > _MOST_GAPS else "")
    return [Problem("CONTOUR_GAP", f"{counted(len(gaps), 'slice')}: {some}", number)]

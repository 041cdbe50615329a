"""Contents of a label file: its segments, the images they refer to, and their place on these."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any, ClassVar, NamedTuple

import numpy as np
from numpy.typing import NDArray

from wetread.errors import SEGMENT_PROBLEMS, GeometryError
from wetread.series.volume import Volume

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]
Bools = NDArray[np.bool_]
UNPLACED = frozenset(
    (
        "SEGMENT_UNREADABLE", "SERIES_ABSENT", "SERIES_AMBIGUOUS", "SERIES_NO_VOLUME",
        "GRID_UNPLACED", "ORIENTATION_DIFFERS", "ORIENTATION_FLIPPED", "GRID_SCALED",
        "GRID_SHIFTED", "GRID_SIZE_DIFFERS",
    )
)  # fmt: skip
"""Problems with which a mask cannot be placed on the images."""
ACCEPTABLE = frozenset(
    (
        "FRAME_OF_REFERENCE_DIFFERS", "AFFINES_DIFFER", "SLICE_ABSENT", "SLICE_DOUBLED",
        "SEGMENT_TWICE", "SEGMENT_LIMIT", "CONTOUR_UNREADABLE", "CONTOUR_OFF_SLICE",
        "CONTOUR_OUTSIDE",
    )
)  # fmt: skip
"""Problems with which a segment is not aligned, or not whole, unless the user accepts them."""


class Problem(NamedTuple):
    """Problem of a segment, or of all segments of a file."""

    code: str
    text: str
    number: int | None = None
    """Number of the segment; None for all."""

    @property
    def severity(self) -> str:
        """Severity of the code."""
        return SEGMENT_PROBLEMS[self.code].severity


@dataclass
class Description:
    """Segment, ROI or label value as the file describes it."""

    number: int
    label: str | None = None
    code: str | None = None
    """Coded type: meaning, then value and scheme."""
    colour: str | None = None
    """Recommended colour, as #rrggbb."""
    algorithm: str | None = None
    """MANUAL, SEMIAUTOMATIC or AUTOMATIC, and the name of the algorithm."""


@dataclass
class References:
    """Images that a label file refers to."""

    series: list[str] = field(default_factory=list)
    """Series Instance UIDs."""
    images: list[str] = field(default_factory=list)
    """SOP Instance UIDs, in order of their first mention."""
    frame_of_reference: str | None = None


@dataclass(frozen=True)
class Target:
    """Grid of voxels that a mask is placed on: a volume, or a single slice."""

    series: dict[str, Any]
    """Row of the series table; empty for the grid of a label file itself."""
    volume: Volume | None
    """None for a single slice."""
    shape: tuple[int, int, int]
    affine: Floats
    """(slice, row, column, 1) to LPS mm; the distance of a single slice is 1 mm."""
    slices: list[tuple[str, int]] = field(default_factory=list)
    """Id and frame of each slice."""
    places: dict[tuple[str, int], int] = field(default_factory=dict)
    """Slice by SOP Instance UID and frame."""


@dataclass
class Fit:
    """Place of the segments of a file on a target."""

    target: Target
    found: list[Problem] = field(default_factory=list)
    data: Any = None
    """Place of the parts of the file, of its own kind; None for none."""

    @property
    def is_placed(self) -> bool:
        """True if the file as a whole has a place on the target."""
        return self.data is not None and not any(
            f.code in UNPLACED and f.number is None for f in self.found
        )


@dataclass
class Pieces:
    """Pixels of segments on single slices, n pieces; arrays of n integers."""

    number: Ints
    """Number of the segment."""
    slice: Ints
    """Slice of the target; of a mask that is not aligned, number of the position."""
    voxels: Ints
    box: Ints
    """Bounding box x0, y0, x1, y1: edges of stored pixels, (n, 4)."""

    @classmethod
    def of(cls, rows: list[tuple[int, ...]]) -> Pieces:
        """Pieces from tuples of number, slice, voxels, x0, y0, x1 and y1."""
        table = np.array(rows, np.int64).reshape(-1, 7)
        return cls(table[:, 0], table[:, 1], table[:, 2], table[:, 3:])

    def take(self, mask: Bools) -> Pieces:
        """Some of the pieces."""
        return Pieces(self.number[mask], self.slice[mask], self.voxels[mask], self.box[mask])


@dataclass
class Measured:
    """Pixels of all segments of a file."""

    pieces: Pieces
    found: list[Problem] = field(default_factory=list)
    voxel_ml: float | None = None
    """Volume of a voxel; None if unknown."""


class LabelFile(ABC):
    """Segments of one file."""

    kind: ClassVar[str]
    has_grid: ClassVar[bool] = True
    """False for contours, whose place within a slice cannot be compared with anything."""

    def __init__(self, row: dict[str, Any]) -> None:
        self.row = row
        """Row of the file in the index of label files."""
        self.descriptions: list[Description] = []
        self.references = References()
        self.reader: str | None = None
        """Reader or algorithm that made the segments."""
        self.found: list[Problem] = []

    @property
    def name(self) -> str:
        """Path, followed by the archive member if any."""
        return f"{self.row['path']} {self.row['member'] or ''}".strip()

    @abstractmethod
    def fit(self, target: Target) -> Fit:
        """Lay the segments on a target, or find the reason why they do not fit."""

    def fit_itself(self) -> Fit:
        """Lay the segments on the grid of the file, without images.

        Raises:
            GeometryError: the file has no regular grid.
        """
        raise GeometryError(f"{self.name} has no grid of its own")

    @abstractmethod
    def measure(self, fit: Fit | None) -> Measured:
        """Decode all segments, one slice at a time."""

    def masks(self, fit: Fit, found: list[Problem]) -> Iterator[tuple[int, int, Bools]]:
        """Yield number, slice and mask (rows, columns) of all segments, each decoded once.

        Args:
            fit: the place of the file.
            found: takes the problems of single frames and contours.
        """
        for number in dict.fromkeys(d.number for d in self.descriptions):
            for k, mask in self.planes(number, fit, range(fit.target.shape[0])):
                yield number, k, mask

    @abstractmethod
    def planes(self, number: int, fit: Fit, slices: range) -> Iterator[tuple[int, Bools]]:
        """Yield the masks of one segment on some slices of the target, (rows, columns).

        Several masks of one slice are parts of one segment.

        Raises:
            DecodeError: pixels that cannot be decoded.
        """


class Unreadable(LabelFile):
    """File that cannot be read, as one segment without a number."""

    kind = ""

    def __init__(self, row: dict[str, Any], text: str) -> None:
        super().__init__(row)
        self.found = [Problem("SEGMENT_UNREADABLE", text)]
        self.descriptions = [Description(0)]

    def fit(self, target: Target) -> Fit:
        """Nothing is placed on the target."""
        return Fit(target)

    def measure(self, fit: Fit | None) -> Measured:
        """Nothing is measured."""
        return Measured(Pieces.of([]))

    def planes(self, number: int, fit: Fit, slices: range) -> Iterator[tuple[int, Bools]]:
        """Nothing is there."""
        return iter(())


def find_box(mask: Bools) -> tuple[int, int, int, int] | None:
    """Bounding box x0, y0, x1, y1 of a mask in edges of pixels; None if it is empty.

    >>> find_box(np.eye(3, dtype=bool)[:2])
    (0, 0, 2, 2)
    """
    rows, columns = np.flatnonzero(mask.any(axis=1)), np.flatnonzero(mask.any(axis=0))
    if not len(rows):
        return None
    return int(columns[0]), int(rows[0]), int(columns[-1]) + 1, int(rows[-1]) + 1


def voxel_ml(affine: Floats) -> float:
    """Volume of a voxel in ml.

    >>> voxel_ml(np.diag([2, 0.5, 0.5, 1.0]))
    0.0005
    """
    return float(abs(np.linalg.det(affine[:3, :3]))) / 1000

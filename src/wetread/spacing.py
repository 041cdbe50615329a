"""Distances between pixels, and the shape of a pixel."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from wetread.pixels.access import groups, integer, items, numbers

if TYPE_CHECKING:
    from pydicom.dataset import Dataset


@dataclass(frozen=True, slots=True)
class Spacing:
    """The distance between pixel centers in mm, and the element that says so."""

    row: float
    """From one row to the next: down the picture."""
    column: float
    source: str

    @property
    def aspect(self) -> float:
        """Height over width of a pixel, for matplotlib's `aspect`."""
        return self.row / self.column


def read_spacing(header: Dataset, frame: int = 0) -> Spacing | None:
    """The spacing of one frame; None where no element gives it.

    >>> from pydicom.dataset import Dataset
    >>> header = Dataset()
    >>> header.ImagerPixelSpacing = [0.2, 0.1]
    >>> read_spacing(header)
    Spacing(row=0.2, column=0.1, source='ImagerPixelSpacing')
    """
    places = list(groups(header, frame, "PixelMeasuresSequence"))
    for keyword in ("PixelSpacing", "ImagerPixelSpacing", "NominalScannedPixelSpacing"):
        for _, group in places:
            pair = numbers(group, keyword)
            if len(pair) == 2 and min(pair) > 0:
                return Spacing(*pair, keyword)
    regions = items(header, "SequenceOfUltrasoundRegions")
    pairs = {
        (abs(y), abs(x))
        for region in regions
        for x in numbers(region, "PhysicalDeltaX")[:1]
        for y in numbers(region, "PhysicalDeltaY")[:1]
        if x
        and y
        and integer(region, "PhysicalUnitsXDirection") == 3  # centimetres
        and integer(region, "PhysicalUnitsYDirection") == 3
    }
    if len(pairs) == 1:
        ((y, x),) = pairs
        return Spacing(10 * y, 10 * x, "SequenceOfUltrasoundRegions")
    return None


def read_aspect(header: Dataset, frame: int = 0) -> float:
    """Height over width of a pixel: Pixel Aspect Ratio, else from the spacing, else 1."""
    ratio = numbers(header, "PixelAspectRatio")
    if len(ratio) == 2 and min(ratio) > 0:
        return ratio[0] / ratio[1]
    spacing = read_spacing(header, frame)
    return spacing.aspect if spacing else 1.0

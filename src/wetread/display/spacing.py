"""Distances between pixels, and the shape of a pixel."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from wetread.pixels.access import groups, items, read_numbers

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


_KEYWORDS = ("PixelSpacing", "ImagerPixelSpacing", "NominalScannedPixelSpacing")
_REGIONS = "SequenceOfUltrasoundRegions"
_CENTIMETRES = 3


def read_spacing(header: Dataset, frame: int = 0) -> Spacing | None:
    """The spacing of one frame; None where no element gives it, or the one that does is unreadable.

    >>> from pydicom.dataset import Dataset
    >>> header = Dataset()
    >>> header.ImagerPixelSpacing = [0.2, 0.1]
    >>> read_spacing(header)
    Spacing(row=0.2, column=0.1, source='ImagerPixelSpacing')
    """
    places = list(groups(header, frame, "PixelMeasuresSequence"))
    for keyword in _KEYWORDS:
        for _, group in places:
            numbers = read_numbers(group, keyword)
            pair = [number for number in numbers.values if number is not None]
            if numbers.unreadable:
                return None  # that of another plane stands for something else
            if len(pair) == 2 and min(pair) > 0:
                return Spacing(pair[0], pair[1], keyword)
    sizes = {size for region in items(header, _REGIONS) if (size := _read_region(region))}
    if len(sizes) == 1:
        ((y, x),) = sizes
        return Spacing(10 * y, 10 * x, _REGIONS)
    return None


def _read_region(region: Dataset) -> tuple[float, float] | None:
    """Height and width of the pixels of an ultrasound region in cm; None in other units."""
    units = [read_numbers(region, f"PhysicalUnits{axis}Direction").first for axis in "XY"]
    x, y = (read_numbers(region, f"PhysicalDelta{axis}").first for axis in "XY")
    return (abs(y), abs(x)) if x and y and units == [_CENTIMETRES] * 2 else None


def read_aspect(header: Dataset, frame: int = 0) -> float:
    """Height over width of a pixel, 1 where nothing says.

    Pixel Aspect Ratio counts only where no spacing of the pixels is given (PS3.3 C.7.6.3.1.7).
    """
    spacing = read_spacing(header, frame)
    if spacing is None or spacing.source == _REGIONS:
        ratio = [n for n in read_numbers(header, "PixelAspectRatio").values if n is not None]
        if len(ratio) == 2 and min(ratio) > 0:
            return ratio[0] / ratio[1]
    return spacing.aspect if spacing else 1.0

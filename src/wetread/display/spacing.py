"""Pixel spacing and pixel aspect ratio."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from wetread.pixels.access import groups, items, read_numbers

if TYPE_CHECKING:
    from pydicom.dataset import Dataset


@dataclass(frozen=True, slots=True)
class Spacing:
    """Distance between pixel centers in mm, and the element it was read from."""

    row: float
    """Distance between rows (vertical)."""
    column: float
    """Distance between columns (horizontal)."""
    source: str

    @property
    def aspect(self) -> float:
        """Pixel height divided by width, as for `aspect` of matplotlib."""
        return self.row / self.column


_KEYWORDS = ("PixelSpacing", "ImagerPixelSpacing", "NominalScannedPixelSpacing")
_REGIONS = "SequenceOfUltrasoundRegions"
_CENTIMETRES = 3


def read_spacing(header: Dataset, frame: int = 0) -> Spacing | None:
    """Read the spacing of one frame; None if no element gives it or the first is unreadable.

    >>> from pydicom.dataset import Dataset
    >>> header = Dataset()
    >>> header.ImagerPixelSpacing = [0.2, 0.1]
    >>> read_spacing(header)
    Spacing(row=0.2, column=0.1, source='ImagerPixelSpacing')
    """
    levels = list(groups(header, frame, "PixelMeasuresSequence"))
    for keyword in _KEYWORDS:
        for _, group in levels:
            numbers = read_numbers(group, keyword)
            pair = [number for number in numbers.values if number is not None]
            if numbers.unreadable:
                return None  # the next keyword is a spacing in another plane
            if len(pair) == 2 and min(pair) > 0:
                return Spacing(pair[0], pair[1], keyword)
    sizes = {size for region in items(header, _REGIONS) if (size := _read_region(region))}
    if len(sizes) == 1:
        ((y, x),) = sizes
        return Spacing(10 * y, 10 * x, _REGIONS)
    return None


def _read_region(region: Dataset) -> tuple[float, float] | None:
    """Return pixel height and width of an ultrasound region in cm; None for other units."""
    units = [read_numbers(region, f"PhysicalUnits{axis}Direction").first for axis in "XY"]
    x, y = (read_numbers(region, f"PhysicalDelta{axis}").first for axis in "XY")
    return (abs(y), abs(x)) if x and y and units == [_CENTIMETRES] * 2 else None


def read_aspect(header: Dataset, frame: int = 0) -> float:
    """Read pixel height divided by width; 1 if unknown.

    Pixel Aspect Ratio is used only if no pixel spacing is given (PS3.3 C.7.6.3.1.7).
    """
    spacing = read_spacing(header, frame)
    if spacing is None or spacing.source == _REGIONS:
        ratio = [n for n in read_numbers(header, "PixelAspectRatio").values if n is not None]
        if len(ratio) == 2 and min(ratio) > 0:
            return ratio[0] / ratio[1]
    return spacing.aspect if spacing else 1.0

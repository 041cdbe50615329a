"""Pixel description of a header: size, bits, colour, transfer syntax."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

import numpy as np

from wetread.errors import DecodeError
from wetread.pixels.access import integer, read_numbers, text

if TYPE_CHECKING:
    from pydicom.dataset import Dataset

COLOURS = frozenset(
    {
        "RGB",
        "YBR_FULL",
        "YBR_FULL_422",
        "YBR_PARTIAL_420",
        "YBR_PARTIAL_422",
        "YBR_ICT",
        "YBR_RCT",
        "XYB",
    }
)
GREYS = frozenset({"MONOCHROME1", "MONOCHROME2"})
FLOATS = {"FloatPixelData": 32, "DoubleFloatPixelData": 64}


@dataclass(frozen=True, slots=True)
class Form:
    """Pixel description of one instance (PS3.3 C.7.6.3, PS3.5 8)."""

    syntax: str
    """Transfer Syntax UID."""
    rows: int
    columns: int
    samples: int
    frames: int | None
    """Number of Frames; None if absent."""
    allocated: int
    stored: int
    high_bit: int
    signed: bool
    photometric: str
    planar: bool
    """Planar Configuration 1: colour by plane."""
    element: str = "PixelData"
    """Keyword of the pixel element."""
    embedded: bool = False
    """Unused high bits hold an overlay."""
    bright_padding: bool = False
    """Padding values are at the bright end of the range, though padding is displayed black."""

    @property
    def dtype(self) -> np.dtype[Any]:
        """Type of a stored value, in native byte order."""
        if self.element in FLOATS:
            return np.dtype(f"f{FLOATS[self.element] // 8}")
        size = next((s for s in (1, 2, 4, 8) if 8 * s >= self.allocated), 8)
        return np.dtype(f"{'i' if self.signed else 'u'}{size}")

    @property
    def shape(self) -> tuple[int, ...]:
        """Shape of a frame: (rows, columns), or (rows, columns, samples) for colour."""
        size = (self.rows, self.columns)
        return size if self.samples == 1 else (*size, self.samples)

    @property
    def values(self) -> int:
        """Number of stored values per frame."""
        return self.rows * self.columns * self.samples

    @property
    def subsampled(self) -> bool:
        """Uncompressed YBR_FULL_422: two pixels share one Cb and one Cr (PS3.3 C.7.6.3.1.2)."""
        return self.photometric in ("YBR_FULL_422", "YBR_PARTIAL_422") and self.samples == 3

    @property
    def frame_bits(self) -> int:
        """Size of an uncompressed frame in bits."""
        values = self.rows * self.columns * 2 if self.subsampled else self.values
        return values * self.allocated

    def without_subsampling(self) -> Form:
        """Return the description of YBR_FULL_422 stored with three samples per pixel."""
        return replace(self, photometric=self.photometric.replace("_422", ""))

    @property
    def frame_bytes(self) -> int:
        """Size of a decoded frame in bytes."""
        return self.values * self.dtype.itemsize


def read_form(header: Dataset, element: str = "PixelData") -> Form:
    """Read the description of the pixels in `element`.

    An unreadable Number of Frames is ignored: frames are counted in the pixel data.

    Raises:
        DecodeError: the description is absent, invalid or unreadable; the message names the
            kind of file.

    >>> from pydicom.dataset import Dataset
    >>> header = Dataset()
    >>> header.Rows, header.Columns, header.BitsAllocated, header.BitsStored = 3, 5, 16, 12
    >>> form = read_form(header)
    >>> form.shape, form.dtype, form.frame_bits
    ((3, 5), dtype('uint16'), 240)
    """
    rows, columns = integer(header, "Rows"), integer(header, "Columns")
    if not rows or not columns:
        raise DecodeError(f"no pixels: {describe(header)}")
    floats = FLOATS.get(element)
    samples = integer(header, "SamplesPerPixel") or 1
    allocated = floats or integer(header, "BitsAllocated") or 0
    stored = floats or integer(header, "BitsStored") or allocated
    high_bit = read_numbers(header, "HighBit").first  # corrected below if invalid
    if not (0 < rows <= 65535 and 0 < columns <= 65535 and 1 <= samples <= 4):
        raise DecodeError(f"invalid size: {rows} rows, {columns} columns, {samples} samples")
    if not (0 < stored <= allocated <= 64):
        raise DecodeError(f"invalid bit depth: {stored} bits stored in {allocated} allocated")
    if floats or high_bit is None or not stored - 1 <= high_bit < allocated:
        high_bit = stored - 1
    frames = read_numbers(header, "NumberOfFrames").first
    return Form(
        syntax=transfer_syntax(header),
        rows=rows,
        columns=columns,
        samples=samples,
        frames=int(frames) if frames and frames >= 1 and frames.is_integer() else None,
        allocated=allocated,
        stored=stored,
        high_bit=int(high_bit),
        signed=not floats and integer(header, "PixelRepresentation") == 1,
        photometric=text(header, "PhotometricInterpretation")
        or ("RGB" if samples == 3 else "MONOCHROME2"),
        planar=samples > 1 and integer(header, "PlanarConfiguration") == 1,
        element=element,
        embedded=_has_embedded_overlay(header),
        bright_padding=_has_bright_padding(header, stored),
    )


def transfer_syntax(header: Dataset) -> str:
    """Return the Transfer Syntax UID, or "" if absent."""
    return text(getattr(header, "file_meta", None), "TransferSyntaxUID")


def describe(header: Dataset) -> str:
    """Describe the kind of an instance: "this is RT Structure Set Storage"."""
    from pydicom.uid import UID

    meta = getattr(header, "file_meta", None)  # the only source for a DICOMDIR
    name = UID(text(header, "SOPClassUID") or text(meta, "MediaStorageSOPClassUID")).name
    return f"this is {name}" if name else "neither Rows and Columns nor a SOP Class UID"


def _has_bright_padding(header: Dataset, stored: int) -> bool:
    value = read_numbers(header, "PixelPaddingValue").first
    if value is None:
        return False
    low = 1 << stored - 1 if read_numbers(header, "PixelRepresentation").first == 1 else 0
    half = (int(value) + low & 0xFFFF) >> stored - 1  # 0 or 1; above if no pixel can have it
    inverted = text(header, "PhotometricInterpretation") == "MONOCHROME1"
    inverted |= text(header, "PresentationLUTShape") == "INVERSE"
    return half < 2 and (half == 1) != inverted


def _has_embedded_overlay(header: Dataset) -> bool:
    """Return True if an overlay is stored in bits of the pixel words (retired in PS3.5-2004)."""
    return any(
        (group, 0x0102) in header and (group, 0x3000) not in header
        for group in range(0x6000, 0x6020, 2)
    )

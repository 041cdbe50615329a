"""Replace or resize the pixels of a pydicom data set, with the elements that describe them."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from wetread import imaging
from wetread.errors import UsageError
from wetread.fastai.pixels import stored_values

if TYPE_CHECKING:
    from pydicom.dataset import Dataset

_STALE = (
    "FloatPixelData",
    "DoubleFloatPixelData",
    "ExtendedOffsetTable",
    "ExtendedOffsetTableLengths",
    "SmallestImagePixelValue",
    "LargestImagePixelValue",
    "NumberOfFrames",
    "PlanarConfiguration",
)
"""Elements that are valid for the old pixels only."""
_SPACINGS = ("PixelSpacing", "ImagerPixelSpacing", "NominalScannedPixelSpacing")


def set_pixels(self: Dataset, px: ArrayLike) -> None:
    """Set stored values, uncompressed in little endian.

    Updates the elements that describe pixels: size, bits, sign, frames, colour, transfer syntax.
    UIDs are not changed; set a new SOPInstanceUID if the original is kept.

    Args:
        self: the data set.
        px: bool, or integers of 8, 16 or 32 bits, shape (rows, columns) or (frames, rows, columns),
            plus RGB on the last axis if Samples per Pixel is 3.

    Raises:
        UsageError: invalid shape or type.
    """
    values = np.asarray(px)
    values = values.astype(np.uint8) if values.dtype == bool else values
    if values.dtype.kind not in "iu" or values.dtype.itemsize > 4:
        raise UsageError(f"pixels must be integers of 8, 16 or 32 bits, not {values.dtype}")
    samples = 3 if self.get("SamplesPerPixel") == 3 and values.shape[-1:] == (3,) else 1
    size = values.shape[:-1] if samples == 3 else values.shape
    if len(size) not in (2, 3) or 0 in size:
        raise UsageError(f"pixels must be (rows, columns) or (frames, rows, columns), not {size}")
    for keyword in _STALE:
        if keyword in self:
            delattr(self, keyword)
    self.Rows, self.Columns = size[-2:]
    if len(size) == 3:
        self.NumberOfFrames = size[0]
    _set_colour(self, samples)
    _set_bits(self, values)
    _set_bytes(self, values)


def _set_colour(dataset: Dataset, samples: int) -> None:
    dataset.SamplesPerPixel = samples
    if samples == 3:
        dataset.PhotometricInterpretation, dataset.PlanarConfiguration = "RGB", 0
    elif dataset.get("PhotometricInterpretation") not in ("MONOCHROME1", "PALETTE COLOR"):
        dataset.PhotometricInterpretation = "MONOCHROME2"


def _set_bits(dataset: Dataset, values: NDArray[Any]) -> None:
    """Set the bits; Bits Stored is kept if the values fit."""
    signed, allocated = values.dtype.kind == "i", 8 * values.dtype.itemsize
    stored = dataset.get("BitsStored") or allocated
    low, high = (-(1 << stored - 1), 1 << stored - 1) if signed else (0, 1 << stored)
    if stored > allocated or values.min() < low or values.max() >= high:
        stored = allocated
    dataset.BitsAllocated, dataset.BitsStored, dataset.HighBit = allocated, stored, stored - 1
    dataset.PixelRepresentation = int(signed)


def _set_bytes(dataset: Dataset, values: NDArray[Any]) -> None:
    from pydicom.dataelem import DataElement
    from pydicom.dataset import FileMetaDataset
    from pydicom.uid import ExplicitVRLittleEndian, ImplicitVRLittleEndian

    data = np.ascontiguousarray(values, values.dtype.newbyteorder("<")).tobytes()
    vr = "OB" if values.dtype.itemsize == 1 else "OW"
    dataset[0x7FE00010] = DataElement(0x7FE00010, vr, data + b"\0" * (len(data) % 2))
    meta = getattr(dataset, "file_meta", None)
    if meta is None:
        meta = dataset.file_meta = FileMetaDataset()
    if meta.get("TransferSyntaxUID") not in (ExplicitVRLittleEndian, ImplicitVRLittleEndian):
        meta.TransferSyntaxUID = ExplicitVRLittleEndian


def zoom(self: Dataset, ratio: float | tuple[float, float]) -> None:
    """Resize by a factor, or by one for rows and one for columns; update the pixel spacing.

    Enlarging is bilinear, shrinking averages: values stay within their range.
    """
    down, right = (ratio, ratio) if isinstance(ratio, (int, float)) else ratio
    zoom_to(self, (max(1, round(self.Rows * down)), max(1, round(self.Columns * right))))


def zoom_to(self: Dataset, sz: int | tuple[int, int]) -> None:
    """Resize to (rows, columns), or to a square; update the pixel spacing."""
    rows, columns = (sz, sz) if isinstance(sz, int) else (int(sz[0]), int(sz[1]))
    before = self.Rows, self.Columns
    values = stored_values(self)
    frames = values.reshape(-1, *values.shape[-3 if self.SamplesPerPixel == 3 else -2 :])
    resized = np.stack([imaging.resize(frame, (rows, columns)) for frame in frames])
    set_pixels(self, resized if len(frames) > 1 else resized[0])
    _scale_spacings(self, before[0] / rows, before[1] / columns)


def _scale_spacings(dataset: Dataset, down: float, right: float) -> None:
    """Scale the pixel spacing of the data set and of its functional groups."""
    from pydicom.valuerep import DSfloat

    for part in (dataset, *_measures(dataset)):
        for keyword in _SPACINGS:
            spacing = part.get(keyword)
            if spacing is not None and len(spacing) == 2:
                pair = float(spacing[0]) * down, float(spacing[1]) * right
                setattr(part, keyword, [DSfloat(mm, auto_format=True) for mm in pair])


def _measures(dataset: Dataset) -> list[Dataset]:
    groups = [
        *(dataset.get("SharedFunctionalGroupsSequence") or ()),
        *(dataset.get("PerFrameFunctionalGroupsSequence") or ()),
    ]
    return [item for group in groups for item in group.get("PixelMeasuresSequence") or ()]

"""Drop-in replacement for `fastai.medical.imaging`, with its defects fixed.

>>> from wetread.fastai import *  # doctest: +SKIP
>>> items = get_dicom_files("train")  # doctest: +SKIP
>>> items[3].dcmread().show()  # doctest: +SKIP

Importing this module adds methods to `pathlib.Path`, `pydicom.Dataset` and `pandas.DataFrame`, and
to `torch.Tensor` once torch is imported, as fastai does. Files, headers, `show` and
`DataFrame.from_dicoms` work without fastai and torch; other names raise MissingExtraError on use.

Differences from fastai:

- `DataFrame.from_dicoms` returns the columns of fastai; `file_meta=True` and `private=True` add
  more.
- `Dataset.show()` applies the window and polarity of the file; `scale=True` renders as fastai.
- `PILDicom` returns 8 bits for display, not the stored values.

`ClassificationInterpretation.figures` is new: sensitivity, specificity and others, with confidence
intervals.
"""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pandas as _pd
from pydicom.dataset import Dataset as DcmDataset
from pydicom.multival import MultiValue as DcmMultiValue
from pydicom.tag import BaseTag as DcmTag

from wetread.fastai import datasets as _datasets
from wetread.fastai import edits as _edits
from wetread.fastai import files as _files
from wetread.fastai import table as _table
from wetread.fastai.arrays import array_freqhist_bins, dicom_windows
from wetread.fastai.files import dcmread, get_dicom_files
from wetread.fastai.functions import crop_resize, gauss_blur2d, mask2bbox, uniform_blur2d
from wetread.fastai.optional import Absent
from wetread.fastai.show import show as _show

if TYPE_CHECKING:
    from wetread.fastai.vision import (
        DicomSegmentationDataLoaders,
        PILCTScan,
        PILDicom,
        TensorCTScan,
        TensorDicom,
    )

__all__ = [
    "DcmDataset",
    "DcmMultiValue",
    "DcmTag",
    "DicomSegmentationDataLoaders",
    "PILCTScan",
    "PILDicom",
    "TensorCTScan",
    "TensorDicom",
    "array_freqhist_bins",
    "crop_resize",
    "dcmread",
    "dicom_windows",
    "gauss_blur2d",
    "get_dicom_files",
    "mask2bbox",
    "uniform_blur2d",
]

_OF_FASTAI = (
    "DicomSegmentationDataLoaders",
    "PILCTScan",
    "PILDicom",
    "TensorCTScan",
    "TensorDicom",
)
_METHODS = (
    _show,
    _datasets.as_dict,
    _datasets.hist_scaled,
    _datasets.mask_from_blur,
    _datasets.pct_in_window,
    _datasets.save_jpg,
    _datasets.save_tif16,
    _datasets.to_3chan,
    _datasets.to_nchan,
    _datasets.to_uint16,
    _datasets.windowed,
    _edits.set_pixels,
    _edits.zoom,
    _edits.zoom_to,
)
_PROPERTIES = (_datasets.pixels, _datasets.scaled_px, _datasets.shape)


def _patch() -> None:
    """Add methods and properties to classes of other packages."""
    for method in _METHODS:
        setattr(DcmDataset, method.__name__, method)
    for getter in _PROPERTIES:
        setattr(DcmDataset, getter.__name__, property(getter))
    DcmDataset.pixel_array = property(DcmDataset.pixel_array.fget, _edits.set_pixels)  # type: ignore[attr-defined,method-assign,assignment]
    Path.dcmread = _files.dcmread  # type: ignore[attr-defined]
    Path.png16read = _files.png16read  # type: ignore[attr-defined]
    _pd.DataFrame.from_dicoms = classmethod(_table.from_dicoms)  # type: ignore[arg-type]
    if sys.modules.get("torch") is not None:
        import wetread.fastai.tensors  # noqa: F401 - adds methods to Tensor


def __getattr__(name: str) -> Any:
    """Import fastai on first access to one of its types (PEP 562)."""
    if name not in _OF_FASTAI:
        raise AttributeError(f"module 'wetread.fastai' has no attribute {name!r}")
    try:
        from wetread.fastai import vision
    except ModuleNotFoundError:
        value: Any = Absent(name)
    else:
        value = getattr(vision, name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})


_patch()

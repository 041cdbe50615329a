"""Pillow images and data loaders for fastai. Importing this module imports fastai."""

from __future__ import annotations

import warnings
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np
from PIL import Image
from pydicom.dataset import Dataset
from pydicom.misc import is_dicom

with warnings.catch_warnings():  # torch and pandas warn about how fastai uses them
    warnings.simplefilter("ignore")
    from fastai.data.block import DataBlock
    from fastai.data.core import DataLoaders
    from fastai.data.transforms import RandomSplitter
    from fastai.torch_core import TensorImage
    from fastai.vision.core import PILBase
    from fastai.vision.data import ImageBlock, MaskBlock
    from fastcore.meta import delegates

    import wetread.fastai.interpret
    import wetread.fastai.tensors  # noqa: F401 - adds methods to Tensor

from wetread.display.pipeline import Pipeline
from wetread.display.render import render, render_frame
from wetread.fastai.pixels import open_dataset
from wetread.fastai.tensor_types import TensorCTScan, TensorDicom
from wetread.pixels import Frame, open_frames


class PILDicom(PILBase):  # type: ignore[misc]
    """8-bit Pillow image of a DICOM file, rendered for display."""

    _open_args: dict[str, Any] = {}  # noqa: RUF012
    _tensor_cls, _show_args = TensorDicom, TensorDicom._show_args

    @classmethod
    def create(cls, fn: Any, mode: str | None = None) -> PILDicom:
        """Render the first frame, mode "L", or "RGB" for colour, values 0 to 255.

        Same as `wetread.read(fn).display()`: Modality LUT, first window of the file or else the
        automatic one, MONOCHROME1 inverted.

        Args:
            fn: DICOM file as path, bytes or file object; pydicom data set; or image as array,
                tensor or Pillow image. Arrays that are not 8-bit get the automatic window.
            mode: Pillow mode to convert to.

        Raises:
            DecodeError: there are no pixels, or they cannot be decoded.
        """
        image = super().create(fn) if _is_picture(fn) else cls(Image.fromarray(_draw(fn)))
        return cls(image.convert(mode)) if mode else image


class PILCTScan(PILBase):  # type: ignore[misc]
    """Pillow image of a CT slice, from a DICOM or a picture file."""

    _open_args: dict[str, Any] = {}  # noqa: RUF012
    _tensor_cls, _show_args = TensorCTScan, TensorCTScan._show_args

    @classmethod
    def create(cls, fn: Any, **kwargs: Any) -> PILCTScan:
        """Open DICOM as in `PILDicom.create`, other pictures as in fastai."""
        if _is_dicom(fn):
            return cls(Image.fromarray(_draw(fn)))
        image: PILCTScan = super().create(fn, **kwargs)
        return image


def _is_dicom(fn: Any) -> bool:
    if isinstance(fn, Dataset):
        return True
    if isinstance(fn, bytes):
        return fn[128:132] == b"DICM"
    return isinstance(fn, (str, Path)) and is_dicom(fn)


def _is_picture(fn: Any) -> bool:
    """Return True for an 8-bit picture."""
    dtype = str(getattr(fn, "dtype", ""))
    return isinstance(fn, (Image.Image, TensorImage)) or dtype.endswith("uint8")


def _draw(fn: str | Path | bytes | BinaryIO | Dataset | Any) -> np.ndarray[Any, Any]:
    """Render the first frame of a file or data set, or an array, as 8 bits."""
    if isinstance(fn, Dataset):
        return render_frame(open_dataset(fn)).pixels
    if isinstance(fn, (str, Path, bytes)) or hasattr(fn, "read"):
        with open_frames(fn) as frames:
            return render_frame(frames).pixels
    values = np.asarray(fn)
    frame = Frame(values, 8 * values.dtype.itemsize, "MONOCHROME2")
    return render(frame, Pipeline("MONOCHROME2", "")).pixels


class DicomSegmentationDataLoaders(DataLoaders):  # type: ignore[misc]
    """`DataLoaders` of DICOM images and segmentation masks."""

    @classmethod
    @delegates(DataLoaders.from_dblock)  # type: ignore[untyped-decorator]
    def from_label_func(
        cls,
        path: Any,
        fnames: Sequence[Any],
        label_func: Callable[[Any], Any],
        valid_pct: float = 0.2,
        seed: int | None = None,
        codes: Sequence[str] | None = None,
        item_tfms: Any = None,
        batch_tfms: Any = None,
        **kwargs: Any,
    ) -> DicomSegmentationDataLoaders:
        """Create data loaders from DICOM files and a function that returns their masks.

        Args:
            path: folder for models.
            fnames: DICOM files.
            label_func: function from a file to its mask, as file or array.
            valid_pct: fraction of the files for validation, selected at random.
            seed: random seed.
            codes: names of the mask values.
            item_tfms: transforms per image, such as a resize.
            batch_tfms: transforms per batch.
            **kwargs: passed to `DataLoaders.from_dblock`, such as `bs`.
        """
        block = DataBlock(
            blocks=(ImageBlock(cls=PILDicom), MaskBlock(codes=codes)),
            splitter=RandomSplitter(valid_pct, seed=seed),
            get_y=label_func,
            item_tfms=item_tfms,
            batch_tfms=batch_tfms,
        )
        loaders: DicomSegmentationDataLoaders = cls.from_dblock(block, fnames, path=path, **kwargs)
        return loaders


__all__ = [
    "DicomSegmentationDataLoaders",
    "PILCTScan",
    "PILDicom",
    "TensorCTScan",
    "TensorDicom",
]

"""The types of fastai: pictures, tensors, data loaders. Importing this imports fastai."""

from __future__ import annotations

import warnings
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np
from PIL import Image
from pydicom.dataset import Dataset
from pydicom.misc import is_dicom

with warnings.catch_warnings():  # of torch and pandas, about how fastai uses them
    warnings.simplefilter("ignore")
    from fastai.data.block import DataBlock
    from fastai.data.core import DataLoaders
    from fastai.data.transforms import RandomSplitter
    from fastai.torch_core import TensorImage
    from fastai.vision.core import PILBase
    from fastai.vision.data import ImageBlock, MaskBlock
    from fastcore.meta import delegates

    import wetread.fastai.interpret
    import wetread.fastai.tensors  # noqa: F401 - gives tensors their methods

from wetread.display.pipeline import Pipeline
from wetread.display.render import render, render_frame
from wetread.fastai.pixels import open_dataset
from wetread.fastai.tensor_types import TensorCTScan, TensorDicom
from wetread.pixels import Frame, open_frames


class PILDicom(PILBase):  # type: ignore[misc]
    """A DICOM file as a Pillow picture of 8 bits, scaled as a radiologist sees it."""

    _open_args: dict[str, Any] = {}  # noqa: RUF012
    _tensor_cls, _show_args = TensorDicom, TensorDicom._show_args

    @classmethod
    def create(cls, fn: Any, mode: str | None = None) -> PILDicom:
        """The first frame: "L", or "RGB" in colour; 0 to 255 whatever the bits of the file.

        Modality LUT, then the file's first window or else the automatic one, then
        MONOCHROME1 turned round: what `wetread.read(fn).display()` gives.

        Args:
            fn: the file as path, bytes or stream; a pydicom data set; or a picture as an array, a
                tensor or of Pillow. Arrays of other than 8 bits get the automatic window.
            mode: a mode of Pillow to convert to.

        Raises:
            DecodeError: no pixels, or pixels that cannot be decoded.
        """
        image = super().create(fn) if _is_picture(fn) else cls(Image.fromarray(_draw(fn)))
        return cls(image.convert(mode)) if mode else image


class PILCTScan(PILBase):  # type: ignore[misc]
    """A CT slice as a Pillow picture; `create` opens DICOM as `PILDicom` does, and pictures."""

    _open_args: dict[str, Any] = {}  # noqa: RUF012
    _tensor_cls, _show_args = TensorCTScan, TensorCTScan._show_args

    @classmethod
    def create(cls, fn: Any, **kwargs: Any) -> PILCTScan:
        """DICOM as `PILDicom.create` opens it, other pictures as fastai does."""
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
    """What is a picture of 8 bits already."""
    dtype = str(getattr(fn, "dtype", ""))
    return isinstance(fn, (Image.Image, TensorImage)) or dtype.endswith("uint8")


def _draw(fn: str | Path | bytes | BinaryIO | Dataset | Any) -> np.ndarray[Any, Any]:
    """The first frame of a file or data set, or an array, as 8 bits."""
    if isinstance(fn, Dataset):
        return render_frame(open_dataset(fn)).pixels
    if isinstance(fn, (str, Path, bytes)) or hasattr(fn, "read"):
        with open_frames(fn) as frames:
            return render_frame(frames).pixels
    values = np.asarray(fn)
    frame = Frame(values, 8 * values.dtype.itemsize, "MONOCHROME2")
    return render(frame, Pipeline("MONOCHROME2", "")).pixels


class DicomSegmentationDataLoaders(DataLoaders):  # type: ignore[misc]
    """`DataLoaders` of DICOM pictures and their masks."""

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
        """Pictures of `fnames`, each with the mask that `label_func` says.

        Args:
            path: where models are kept.
            fnames: DICOM files.
            label_func: from a file to that of its mask, or to the mask as an array.
            valid_pct: the share that is for validation, by chance.
            seed: of that chance.
            codes: the names of the values of the masks.
            item_tfms: transforms of each picture, as a resize.
            batch_tfms: transforms of each batch.
            **kwargs: of `DataLoaders.from_dblock`, as `bs`.
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

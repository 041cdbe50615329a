"""Methods that `wetread.fastai` adds to `pydicom.Dataset`.

Values keep the polarity of the file; pictures for display (`show`, `save_jpg`, `save_tif16`,
`PILDicom`) have MONOCHROME1 inverted.
"""

from __future__ import annotations

import os
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from wetread.fastai import arrays
from wetread.fastai.optional import needs_extra
from wetread.fastai.pixel_summary import STATISTICS, summarise
from wetread.fastai.pixels import (
    inverts,
    open_dataset,
    scaled_values,
    stored_values,
)

if TYPE_CHECKING:
    from pydicom.dataset import Dataset
    from pydicom.tag import BaseTag

WindowPair = tuple[float, float]
"""Window as (width, level), as in fastai."""
LONGEST_LIST = 32
"""Elements with more values remain one list in a table."""


def to_tensor(values: NDArray[Any]) -> Any:
    """Convert an array to a tensor with the methods of `wetread.fastai.tensors`.

    Raises:
        MissingExtraError: torch is not installed.
    """
    with needs_extra("a tensor"):
        from wetread.fastai import tensors
    return tensors.from_array(values)


def pixels(self: Dataset) -> Any:
    """Stored values of all frames as a float32 tensor; RGB on the last axis for colour."""
    return to_tensor(stored_values(self).astype(np.float32))


def scaled_px(self: Dataset) -> Any:
    """Modality values of all frames as a float32 tensor, in HU for most CT."""
    return to_tensor(scaled_values(self))


def hist_scaled(
    self: Dataset,
    brks: ArrayLike | None = None,
    min_px: float | None = None,
    max_px: float | None = None,
) -> Any:
    """Modality values, clipped to `min_px` and `max_px`, equalised to 0..1 by histogram."""
    return to_tensor(arrays.hist_scaled(clamped(scaled_values(self), min_px, max_px), brks))


def clamped(values: NDArray[Any], low: float | None, high: float | None) -> NDArray[Any]:
    """Clip values to the given limits."""
    return values if low is None and high is None else np.clip(values, low, high)


def windowed(self: Dataset, w: float, l: float) -> Any:  # noqa: E741 - fastai's name
    """Map modality values to 0..1 by a window of width `w` and level `l`."""
    return to_tensor(arrays.windowed(scaled_values(self), w, l))


def pct_in_window(dcm: Dataset, w: float, l: float) -> float:  # noqa: E741
    """Fraction (0 to 1) of modality values inside a window, without its ends."""
    return summarise(open_dataset(dcm), (w, l))["img_pct_window"]


def mask_from_blur(
    x: Dataset,
    window: WindowPair,
    sigma: float = 0.3,
    thresh: float = 0.05,
    remove_max: bool = True,
) -> Any:
    """Mask of bright areas after window and blur, as a boolean tensor."""
    mask = arrays.mask_from_blur(scaled_values(x), window, sigma, thresh, remove_max)
    return to_tensor(mask)


def to_nchan(x: Dataset, wins: Sequence[WindowPair], bins: ArrayLike | int | None = None) -> Any:
    """Return a `TensorCTScan` with one channel per window, then `hist_scaled`."""
    return to_tensor(scaled_values(x)).to_nchan(wins, bins)


def to_3chan(
    x: Dataset, win1: WindowPair, win2: WindowPair, bins: ArrayLike | int | None = None
) -> Any:
    """Return three channels: two windows and `hist_scaled`; see `to_nchan`."""
    return to_nchan(x, [win1, win2], bins)


def save_jpg(
    x: Dataset,
    path: str | os.PathLike[str],
    wins: Sequence[WindowPair],
    bins: ArrayLike | int | None = None,
    quality: int = 90,
) -> None:
    """Save one window as a grey JPEG, two or three as the channels of a colour JPEG."""
    arrays.save_jpg(scaled_values(x), path, wins, bins, quality, inverts(x))


def to_uint16(x: Dataset, bins: ArrayLike | int | None = None) -> NDArray[np.uint16]:
    """Return `hist_scaled` as uint16, 0 to 65535."""
    return arrays.to_uint16(scaled_values(x), bins)


def save_tif16(
    x: Dataset,
    path: str | os.PathLike[str],
    bins: ArrayLike | int | None = None,
    compress: bool = True,
) -> None:
    """Save `to_uint16` as a grey TIFF."""
    arrays.save_tif16(scaled_values(x), path, bins, compress, inverts(x))


def shape(self: Dataset) -> tuple[int, int]:
    """Shape (rows, columns), without frames and colours."""
    return self.Rows, self.Columns


def as_dict(
    self: Dataset,
    px_summ: bool = True,
    window: WindowPair = arrays.dicom_windows.brain,
    file_meta: bool = False,
) -> dict[str, Any]:
    """Return the header as a flat dictionary, and `fname`.

    A multi-valued element X becomes MultiX = 1, X, X1, X2, ...; sequences and private elements are
    omitted, binary values are given as length in bytes. With `px_summ`, five pixel statistics are
    added: img_min, img_max, img_mean and img_std of stored values, and img_pct_window, the
    fraction of modality values inside `window`; NaN if the pixels cannot be decoded.

    Args:
        self: the data set.
        px_summ: add pixel statistics.
        window: (width, level) for img_pct_window.
        file_meta: add the File Meta elements, in front.
    """
    from wetread.errors import WetreadError

    values: dict[str, Any] = {}
    meta = getattr(self, "file_meta", None)
    for group in (meta, self) if file_meta and meta is not None else (self,):
        for tag in group.keys():  # noqa: SIM118 - iteration would convert
            if not tag.is_private and tag >> 16 != 0x7FE0:
                values |= _flatten(group, tag)
    values["fname"] = getattr(self, "filename", None)
    if px_summ:
        try:
            values |= summarise(open_dataset(self), window)
        except WetreadError:
            values |= dict.fromkeys(STATISTICS, float("nan"))
    return values


def _flatten(group: Dataset, tag: BaseTag) -> dict[str, Any]:
    """Flatten one element by keyword; None if pydicom cannot convert it."""
    from pydicom.datadict import keyword_for_tag
    from pydicom.multival import MultiValue

    try:
        element = group[tag]
        name, value, is_sequence = element.keyword, element.value, element.VR == "SQ"
    except Exception:  # noqa: BLE001 - pydicom converts on access
        name, value, is_sequence = keyword_for_tag(tag), None, False
    if not name or is_sequence:
        return {}
    if not isinstance(value, MultiValue):
        return {name: _plain(value)}
    if len(value) > LONGEST_LIST:
        return {f"Multi{name}": 1, name: [_plain(one) for one in value]}
    numbered = {f"{name}{i or ''}": _plain(one) for i, one in enumerate(value)}
    return {f"Multi{name}": 1, **numbered}


def _plain(value: Any) -> Any:
    """Convert a pydicom value to a built-in type."""
    if isinstance(value, list):  # several binary numbers
        return [_plain(one) for one in value]
    if isinstance(value, bytes):
        return len(value)
    for kind in (str, int, float):
        if isinstance(value, kind):
            return kind(value)
    return value if value is None else str(value)

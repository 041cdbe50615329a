"""Methods that `wetread.fastai` adds to `torch.Tensor`. Importing this module imports torch.

All but `hist_scaled_pt`, `windowed` and `crop_resize` compute on the CPU; results are on the device
of the input.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import torch
from torch import Tensor

from wetread.fastai import arrays
from wetread.fastai.optional import needs_extra

WindowPair = tuple[float, float]
Breaks = Tensor | np.ndarray | Sequence[float] | None


def to_array(values: Any) -> Any:
    """Convert a tensor to an array; return anything else unchanged."""
    return values.detach().cpu().numpy() if isinstance(values, Tensor) else values


def from_array(values: Any, like: Tensor | None = None) -> Tensor:
    """Convert an array to a tensor, on the device of `like`."""
    tensor = torch.from_numpy(np.ascontiguousarray(values))
    return tensor if like is None else tensor.to(like.device)


def freqhist_bins(self: Tensor, n_bins: int = 100) -> Tensor:
    """Sorted break points with about equal numbers of values in between."""
    return from_array(arrays.tensor_freqhist_bins(to_array(self), n_bins), self)


def hist_scaled(self: Tensor, brks: Breaks | int = None) -> Tensor:
    """Equalise values to 0..1 by histogram; float32."""
    return from_array(arrays.hist_scaled(to_array(self), to_array(brks)), self)


def hist_scaled_pt(self: Tensor, brks: Breaks = None) -> Tensor:
    """Compute `hist_scaled` with torch, on the device of the tensor."""
    x = self.float()
    breaks = torch.as_tensor(freqhist_bins(self) if brks is None else brks).to(x.device).float()
    if len(breaks) < 2:
        return torch.zeros_like(x)
    steps = torch.linspace(0, 1, len(breaks), device=x.device)
    right = torch.searchsorted(breaks, x.contiguous()).clamp(1, len(breaks) - 1)
    left = right - 1
    fraction = (x - breaks[left]) / (breaks[right] - breaks[left])
    return (steps[left] + fraction.clamp(0, 1) * (steps[right] - steps[left])).clamp(0, 1)


def windowed(self: Tensor, w: float, l: float) -> Tensor:  # noqa: E741 - fastai's name
    """Map values to 0..1 by a window of width `w` and level `l`; keeps the tensor class."""
    low, high = arrays.bounds_of(w, l)
    x = self if self.is_floating_point() else self.float()
    if low >= high:
        return (x > l).to(x.dtype)
    return (x.clamp(low, high) - low) / (high - low)


def mask_from_blur(
    x: Tensor,
    window: WindowPair,
    sigma: float = 0.3,
    thresh: float = 0.05,
    remove_max: bool = True,
) -> Tensor:
    """Mask of bright areas after window and blur, as a boolean tensor."""
    mask = arrays.mask_from_blur(to_array(x), window, sigma, thresh, remove_max)
    return from_array(mask, x)


def to_nchan(x: Tensor, wins: Sequence[WindowPair], bins: Breaks | int = None) -> Any:
    """Return a `TensorCTScan` with one channel per window, then `hist_scaled`, on axis -3.

    Raises:
        MissingExtraError: fastai is not installed.
    """
    with needs_extra("TensorCTScan"):
        from wetread.fastai.tensor_types import TensorCTScan
    channels = arrays.to_channels(to_array(x), wins, to_array(bins))
    return TensorCTScan(from_array(channels, x))


def to_3chan(x: Tensor, win1: WindowPair, win2: WindowPair, bins: Breaks | int = None) -> Any:
    """Return three channels: two windows and `hist_scaled`; see `to_nchan`."""
    return to_nchan(x, [win1, win2], bins)


def save_jpg(
    x: Tensor, path: Any, wins: Sequence[WindowPair], bins: Breaks | int = None, quality: int = 90
) -> None:
    """Save one window as a grey JPEG, two or three as the channels of a colour JPEG."""
    arrays.save_jpg(to_array(x), path, wins, to_array(bins), quality)


def to_uint16(x: Tensor, bins: Breaks | int = None) -> Any:
    """Return `hist_scaled` as a uint16 array, 0 to 65535."""
    return arrays.to_uint16(to_array(x), to_array(bins))


def save_tif16(x: Tensor, path: Any, bins: Breaks | int = None, compress: bool = True) -> None:
    """Save `to_uint16` as a grey TIFF."""
    arrays.save_tif16(to_array(x), path, to_array(bins), compress)


def crop_resize(x: Tensor, crops: Tensor, new_sz: int | tuple[int, int]) -> Tensor:
    """Crop each image to a square around its box, and resize bilinearly.

    Args:
        x: images, shape (n, rows, columns).
        crops: boxes, shape (2, 2, n), from `mask2bbox`. The side of the square is the longer side
            of the box, last minus first; squares beyond the edge are moved inside.
        new_sz: (rows, columns) of the result, or one number for both.

    Returns:
        Tensor of shape (n, 1, rows, columns).
    """
    size = (new_sz, new_sz) if isinstance(new_sz, int) else tuple(new_sz)
    whole = torch.tensor(x.shape[-2:], device=x.device).flip(0)[:, None]  # (x, y)
    first, last = crops.to(x.device).flip(1)
    side = (last - first).amax(0)
    first = torch.minimum(first, whole - side)
    low, fraction = first / whole, side / whole
    unit = torch.eye(2, 3, device=x.device).expand(len(x), 2, 3)
    grid = torch.nn.functional.affine_grid(unit, [len(x), 1, *size], align_corners=False) + 1
    grid = grid * fraction.T[:, None, None] + 2 * low.T[:, None, None] - 1
    values = x.float()[:, None].as_subclass(Tensor)
    return torch.nn.functional.grid_sample(values, grid, align_corners=False)


METHODS = (
    freqhist_bins,
    hist_scaled,
    hist_scaled_pt,
    windowed,
    mask_from_blur,
    to_nchan,
    to_3chan,
    save_jpg,
    to_uint16,
    save_tif16,
)

for _method in METHODS:
    setattr(Tensor, _method.__name__, _method)

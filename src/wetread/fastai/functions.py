"""Functions of fastai on tensors; they also accept and return arrays."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
from numpy.typing import NDArray

from wetread import imaging
from wetread.fastai import arrays
from wetread.fastai.optional import needs_extra


def uniform_blur2d(x: Any, s: int) -> Any:
    """Box blur: mean over `s` x `s` values, edges repeated."""
    return _apply(x, lambda values: imaging.blur_uniform(values, s))


def gauss_blur2d(x: Any, s: float) -> Any:
    """Gaussian blur with sigma `s` pixels, truncated at a quarter of it as in fastai.

    It is close to a box blur, and the identity below 4; the defaults of `mask_from_blur` depend on
    it. `wetread.imaging.blur_gaussian` is a full Gaussian.
    """
    return _apply(x, lambda values: arrays.blur_gaussian(values, s))


def mask2bbox(mask: Any) -> Any:
    """Bounding box of a mask: [[r0, c0], [r1, c1]], last row and column included.

    The box is `image[r0 : r1 + 1, c0 : c1 + 1]`. A mask (n, rows, columns) gives the shape
    (2, 2, n). An empty mask gives the whole image.
    """
    return _apply(mask, arrays.bounding_boxes)


def crop_resize(x: Any, crops: Any, new_sz: int | tuple[int, int]) -> Any:
    """Crop each image of a tensor (n, rows, columns) to a square around its box, and resize.

    See `wetread.fastai.tensors.crop_resize`; `wetread.imaging.crop_resize` takes arrays.
    """
    with needs_extra("crop_resize"):
        from wetread.fastai import tensors
    return tensors.crop_resize(x, crops, new_sz)


def _apply(x: Any, function: Callable[[NDArray[Any]], NDArray[Any]]) -> Any:
    """Call `function` on an array or a tensor; the result has the type of `x`."""
    if not hasattr(x, "detach"):
        return function(np.asarray(x))
    from wetread.fastai.tensors import from_array, to_array

    return from_array(function(to_array(x)), x)

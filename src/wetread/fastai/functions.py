"""The functions of fastai on tensors; they take and give arrays as well."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
from numpy.typing import NDArray

from wetread import imaging
from wetread.fastai import arrays
from wetread.fastai.optional import needs_extra


def uniform_blur2d(x: Any, s: int) -> Any:
    """The mean over `s` x `s` values; edges are repeated, the shape stays."""
    return _apply(x, lambda values: imaging.blur_uniform(values, s))


def gauss_blur2d(x: Any, s: float) -> Any:
    """A Gaussian of `s` pixels, cut off at a quarter of it; edges are repeated, the shape stays.

    Cut off so early it is nearly a box blur, and nothing below 4; this is fastai's, which the
    defaults of `mask_from_blur` are for. `wetread.imaging.blur_gaussian` is a whole one.
    """
    return _apply(x, lambda values: arrays.blur_gaussian(values, s))


def mask2bbox(mask: Any) -> Any:
    """First and last row and column of what is true: [[r0, c0], [r1, c1]], last ones included.

    So `picture[r0 : r1 + 1, c0 : c1 + 1]` is what the box holds. Of a mask (n, rows, columns) the
    shape is (2, 2, n). The whole picture where nothing is true.
    """
    return _apply(mask, arrays.bounding_boxes)


def crop_resize(x: Any, crops: Any, new_sz: int | tuple[int, int]) -> Any:
    """Tensors (n, rows, columns), each cropped to a square around its box and resized.

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

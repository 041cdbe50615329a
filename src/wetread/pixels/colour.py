"""Conversion of the colour spaces of PS3.3 C.7.6.3.1.2 to RGB."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from wetread.errors import DecodeError


def to_rgb(values: NDArray[Any], photometric: str, bits: int) -> NDArray[Any]:
    """Convert unsigned samples (rows, columns, 3) of `bits` bits to contiguous RGB of same type.

    >>> to_rgb(np.array([[[76, 85, 255]]], "u1"), "YBR_FULL", 8)
    array([[[254,   0,   0]]], dtype=uint8)
    """
    if photometric == "RGB":
        return np.ascontiguousarray(values)
    if photometric.startswith("YBR_FULL"):
        y, spread = values[..., 0].astype("f4"), 1.0
    elif photometric.startswith("YBR_PARTIAL"):
        low = 1 << (bits - 4)
        y, spread = (values[..., 0].astype("f4") - low) * np.float32(255 / 219), 255 / 224
    else:
        raise DecodeError(f"no conversion from {photometric} to RGB")
    half, top = 1 << (bits - 1), (1 << bits) - 1
    blue = (values[..., 1].astype("f4") - half) * np.float32(spread)
    red = (values[..., 2].astype("f4") - half) * np.float32(spread)
    # ITU-R BT.601 luma weights 0.299, 0.587, 0.114, solved for RGB.
    out = np.empty(values.shape, "f4")
    out[..., 0] = y + np.float32(1.402) * red
    out[..., 1] = y - np.float32(0.344136) * blue - np.float32(0.714136) * red
    out[..., 2] = y + np.float32(1.772) * blue
    out += np.float32(0.5)
    return np.clip(np.floor(out), 0, top).astype(values.dtype)

"""Comparison of slices at one position: are their pixels equal?"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

from wetread.series.slices import Ints
from wetread.table.pixel_bytes import SOURCE_COLUMNS, describe_extent, digest_pixels
from wetread.table.rows import IndexRows, fetch_rows

_VALUES = ("transfer_syntax", "RescaleSlope", "RescaleIntercept", "PixelRepresentation")
"""Columns on which the values of equal pixel bytes depend."""
ALL_COMPARED = 16
"""Most copies of one file whose pixels are compared as a whole."""
DIFFERENT, UNREADABLE = "the pixels differ", "the pixels cannot be read"
NOT_COMPARED, FRAMES = "not compared, as others differ", "the pixels of frames are not compared"


def compare_pairs(index: IndexRows, pairs: Ints, exact: int, frames: bool) -> list[str]:
    """Compare the stored pixels of pairs of images; "" for equal ones, else the reason.

    Of more than 16 copies with equal UID, header and size, a sample of the bytes is compared.

    Args:
        index: the index of the images.
        pairs: row numbers, (n, 2).
        exact: number of pairs, at the end, with equal UID, header and size.
        frames: True if the pairs are frames of multi-frame images.
    """
    if frames:
        return [FRAMES] * len(pairs)
    names = [*SOURCE_COLUMNS, *_VALUES]
    numbers, where = np.unique(pairs, return_inverse=True)
    rows = fetch_rows(index, numbers, names).to_pylist()
    reasons: list[str] = []
    for count, (one, other) in enumerate(where.reshape(-1, 2).tolist()):
        if any(reasons):
            reasons.append(NOT_COMPARED)
            continue
        sample = exact > ALL_COMPARED and count >= len(pairs) - exact
        reasons.append(_compare(index.root, rows[one], rows[other], sample))
    return reasons


def _compare(root: str, one: Mapping[str, Any], other: Mapping[str, Any], sample: bool) -> str:
    if any(row["pixel_length"] is None for row in (one, other)):
        return UNREADABLE
    if any(one[name] != other[name] for name in _VALUES):
        return DIFFERENT
    if describe_extent(one) != describe_extent(other):
        return DIFFERENT
    for part in (True,) if sample else (True, False):
        digests = [digest_pixels(root, row, sample=part) for row in (one, other)]
        if not all(digests):
            return UNREADABLE
        if digests[0] != digests[1]:
            return DIFFERENT
    return ""

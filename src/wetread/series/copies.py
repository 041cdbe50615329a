"""Comparison of the pixels of slices at one position."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

from wetread.series.slices import Bools, Ints
from wetread.table.pixel_bytes import SOURCE_COLUMNS, describe_extent, digest_pixels
from wetread.table.rows import IndexRows, fetch_rows

_VALUES = ("transfer_syntax", "RescaleSlope", "RescaleIntercept", "PixelRepresentation")
"""Columns on which the values of equal pixel bytes depend."""
ALL_COMPARED = 16
"""Most copies of one file whose pixels are compared as a whole."""
DIFFERENT, UNREADABLE = "the pixels differ", "the pixels cannot be read"
NOT_COMPARED, FRAMES = "not compared, as others differ", "the pixels of the frames are not compared"


def compare_pairs(index: IndexRows, pairs: Ints, exact: int, alike: Bools) -> list[str]:
    """Compare the stored pixels of pairs of images; "" for equal ones, else the reason.

    Of more than 16 copies with equal UID, header and size, a sample of the bytes is compared.

    Args:
        index: the index of the images.
        pairs: row numbers, (n, 2).
        exact: number of pairs, at the end, with equal UID, header and size.
        alike: False for pairs of frames with different numbers or rescale, which are not compared;
            of other frames, all pixels of their images are compared.
    """
    names = [*SOURCE_COLUMNS, *_VALUES]
    numbers, where = np.unique(pairs, return_inverse=True)
    rows = fetch_rows(index, numbers, names).to_pylist()
    reasons: list[str] = []
    known: dict[tuple[int, int, bool], str] = {}
    for count, (one, other) in enumerate(where.reshape(-1, 2).tolist()):
        if any(reasons):
            reasons.append(NOT_COMPARED)
            continue
        if not alike[count]:
            reasons.append(FRAMES)
            continue
        pair = one, other, exact > ALL_COMPARED and count >= len(pairs) - exact
        if pair not in known:
            known[pair] = _compare(index.root, rows[one], rows[other], pair[-1])
        reasons.append(known[pair])
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

"""Polygons to masks: a pixel belongs to a polygon if its centre lies inside.

Libraries test each pixel of the bounding box against each edge, which takes minutes for polygons of
100,000 points; here each edge is entered once, in the rows that it crosses.
"""

from __future__ import annotations

import numpy as np

from wetread.segments.contents import Bools, Floats, Ints

_CROSSINGS = 1_000_000
"""Crossings of edges and rows that are in memory together."""


def wind(points: Floats, shape: tuple[int, int]) -> Ints:
    """Winding number of a closed polygon around the centre of each pixel.

    A centre on an edge is inside if the polygon lies to its right or below, so that polygons that
    share an edge share no pixel. Odd numbers are inside by the even-odd rule.

    Args:
        points: (n, 2), row and column; whole numbers are centres of pixels.
        shape: rows and columns.

    >>> wind(np.array([[0, 0], [0, 2], [2, 2], [2, 0.0]]), (3, 4))
    array([[1, 1, 0, 0],
           [1, 1, 0, 0],
           [0, 0, 0, 0]])
    """
    rows, columns = shape
    ends = np.roll(points, -1, axis=0)
    up = ends[:, 0] < points[:, 0]
    low, high = np.where(up[:, None], ends, points), np.where(up[:, None], points, ends)
    first, last = (np.clip(np.ceil(end[:, 0]), 0, rows).astype(np.int64) for end in (low, high))
    count = last - first
    turns = np.zeros(rows * (columns + 1))
    parts = np.flatnonzero(np.diff((np.cumsum(count) - 1) // _CROSSINGS)) + 1
    for part in np.split(np.arange(len(points)), parts):
        edge = np.repeat(part, count[part])
        before = np.repeat(np.cumsum(count[part]) - count[part], count[part])
        row = np.arange(len(edge)) - before + first[edge]
        slope = (high[edge, 1] - low[edge, 1]) / (high[edge, 0] - low[edge, 0])
        crossing = low[edge, 1] + (row - low[edge, 0]) * slope
        column = np.clip(np.ceil(crossing), 0, columns).astype(np.int64)
        signs = np.where(up[edge], 1.0, -1.0)
        turns += np.bincount(row * (columns + 1) + column, signs, len(turns))
    steps = np.rint(turns).astype(np.int64).reshape(rows, columns + 1)[:, :columns]
    return np.cumsum(steps, axis=1)


def fill(points: Floats, shape: tuple[int, int]) -> tuple[Bools, bool]:
    """Fill a polygon by the even-odd rule.

    Returns:
        Mask (rows, columns); and True if the polygon crosses or overlaps itself: its winding
        numbers are not all 0 and 1, or 0 and -1.
    """
    mask = np.zeros(shape, bool)
    first = np.clip(np.floor(points.min(axis=0)), 0, shape).astype(np.int64)
    last = np.clip(np.ceil(points.max(axis=0)), 0, shape).astype(np.int64)
    rows, columns = (int(size) for size in last - first)
    if rows <= 0 or columns <= 0:
        return mask, False
    turns = wind(points - first, (rows, columns))
    mask[first[0] : last[0], first[1] : last[1]] = turns % 2 == 1
    return mask, int(turns.max(initial=0) - turns.min(initial=0)) > 1

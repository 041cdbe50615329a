"""Polygons to masks: a pixel belongs to a polygon if its centre lies inside.

Libraries test each pixel of the bounding box against each edge, which takes minutes for polygons of
100,000 points; here each edge is entered once, in the rows that it crosses.
"""

from __future__ import annotations

import numpy as np

from wetread.segments.contents import Bools, Floats, Ints


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
    first = np.clip(np.ceil(low[:, 0]), 0, rows).astype(np.int64)
    count = np.clip(np.ceil(high[:, 0]), 0, rows).astype(np.int64) - first
    edge = np.repeat(np.arange(len(points)), count)
    row = np.arange(len(edge)) - np.repeat(np.cumsum(count) - count, count) + first[edge]
    height = high[edge, 0] - low[edge, 0]
    share = (row - low[edge, 0]) / height
    crossing = low[edge, 1] + share * (high[edge, 1] - low[edge, 1])
    column = np.clip(np.ceil(crossing), 0, columns).astype(np.int64)
    steps = np.bincount(
        row * (columns + 1) + column, np.where(up[edge], 1, -1), rows * (columns + 1)
    )
    turns: Ints = np.rint(steps).astype(np.int64).reshape(rows, columns + 1)[:, :columns]
    return np.cumsum(turns, axis=1)


def fill(points: Floats, shape: tuple[int, int]) -> tuple[Bools, bool]:
    """Fill a polygon by the even-odd rule.

    Returns:
        Mask (rows, columns); and True if the polygon crosses or overlaps itself: its winding
        numbers are not all 0 and 1, or 0 and -1.
    """
    turns = wind(points, shape)
    low, high = int(turns.min(initial=0)), int(turns.max(initial=0))
    return turns % 2 == 1, high - low > 1

"""Masks as runs of voxels in memory: exact, and small even for many segments.

A mask of 512 x 512 x 300 voxels has 79 MB as bytes, that of a liver has 0.3 MB as runs.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from wetread.errors import LimitError
from wetread.settings import MIB

Bools = NDArray[np.bool_]
Runs = NDArray[Any]
"""Structured array of `RUN`, sorted by row."""
RUN = np.dtype([("row", "<u4"), ("first", "<u2"), ("end", "<u2")])
"""Voxels `first` to `end` - 1 of a row; rows are numbered through all slices."""
WIRE = np.dtype([(name, "<u2") for name in ("segment", "row", "first", "end")])
"""Run of a plane, as sent to the page; `segment` is the position in the list of segments."""


def encode(mask: Bools, row: int = 0) -> Runs:
    """Runs of a mask (rows, columns), whose first row has the number `row`.

    >>> encode(np.array([[0, 1, 1, 0, 1]], bool)).tolist()
    [(0, 1, 3), (0, 4, 5)]
    """
    used = np.flatnonzero(mask.any(axis=1))
    ends = np.diff(np.pad(mask[used], ((0, 0), (1, 1))).astype(np.int8), axis=1)
    at, columns = np.nonzero(ends)
    runs = np.empty(len(at) // 2, RUN)
    runs["row"] = used[at[::2]] + row
    runs["first"], runs["end"] = columns[::2], columns[1::2]
    return runs


def count(runs: Runs) -> int:
    """Number of voxels."""
    return int((runs["end"].astype(np.int64) - runs["first"]).sum())


def cut(runs: Runs, shape: tuple[int, int, int], axis: int, at: int) -> Bools:
    """Cut a plane through the voxels `at` of an axis, like `np.take(mask, at, axis)`.

    Args:
        runs: of a mask (slices, rows, columns).
        shape: of the mask.
        axis: 0 to 2.
        at: voxel on the axis.
    """
    slices, rows, columns = shape
    if axis == 2:
        plane = np.zeros(slices * rows, bool)
        plane[runs["row"][(runs["first"] <= at) & (at < runs["end"])]] = True
        return plane.reshape(slices, rows)
    if axis == 1:
        chosen = runs[runs["row"] % rows == at]
        return decode(chosen, chosen["row"] // rows, (slices, columns))
    chosen = select_slice(runs, rows, at)
    return decode(chosen, chosen["row"] - at * rows, (rows, columns))


def select_slice(runs: Runs, rows: int, at: int) -> Runs:
    """Runs of a slice of so many rows."""
    low, high = np.searchsorted(runs["row"], [at * rows, (at + 1) * rows])
    return runs[low:high]


def decode(runs: Runs, row: NDArray[Any], shape: tuple[int, int]) -> Bools:
    """Mask of some runs, each in the row `row`; the inverse of `encode`."""
    turns = np.zeros((shape[0], shape[1] + 1), np.int32)
    np.add.at(turns, (row, runs["first"]), 1)
    np.add.at(turns, (row, runs["end"]), -1)
    return np.asarray(np.cumsum(turns, axis=1)[:, :-1] > 0)


def to_wire(planes: Iterable[tuple[int, Runs]]) -> bytes:
    """Runs of several segments on one plane, as sent to the page."""
    parts = []
    for segment, runs in planes:
        part = np.empty(len(runs), WIRE)
        part["segment"] = segment
        for name in ("row", "first", "end"):
            part[name] = runs[name]
        parts.append(part)
    return b"".join(part.tobytes() for part in parts)


@dataclass(frozen=True, eq=False)
class MaskRuns:
    """Runs of the segments of one label file on a volume or slice."""

    shape: tuple[int, int, int]
    runs: list[Runs]
    """By segment; empty for one that is not aligned."""

    @property
    def nbytes(self) -> int:
        """Size in memory."""
        return 256 + sum(runs.nbytes + 128 for runs in self.runs)


class Collector:
    """Collect the masks of single slices as runs, within a limit in bytes."""

    def __init__(self, limit: int) -> None:
        self._limit, self._size = limit, 0
        self._parts: dict[int, list[Runs]] = {}

    def add(self, number: int, k: int, mask: Bools) -> None:
        """Add the mask of a segment on a slice; raises LimitError."""
        runs = encode(mask, k * len(mask))
        self._size += runs.nbytes
        if self._size > self._limit:
            text = f"The masks of this file need more than {self._limit / MIB:,.0f} MiB as runs"
            raise LimitError(f"{text}: they are not shown.")
        self._parts.setdefault(number, []).append(runs)

    def take(self, numbers: Iterable[int]) -> Iterator[Runs]:
        """Yield the runs of segments, sorted by row."""
        for number in numbers:
            runs = np.concatenate([np.empty(0, RUN), *self._parts.get(number, [])])
            yield runs[np.argsort(runs["row"], kind="stable")]

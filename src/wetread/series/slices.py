"""Slices of all series as arrays, one entry per image or frame."""

from __future__ import annotations

from dataclasses import dataclass, fields
from typing import Any

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]
Bools = NDArray[np.bool_]


@dataclass(frozen=True)
class Slices:
    """Geometry of n slices; absent and unreadable numbers are NaN or -1."""

    row: Ints
    """Number of the image in the table of images, (n,)."""
    frame: Ints
    """Frame number from 0; -1 for multi-frame images whose frames have no position, (n,)."""
    record: Ints
    """Row of the frame in the table of frames; -1 for images with one frame, (n,)."""
    series: Ints
    """Number of the series, (n,)."""
    position: Floats
    """Image Position (Patient) in mm, (n, 3)."""
    orientation: Floats
    """Image Orientation (Patient), (n, 6)."""
    spacing: Floats
    """Pixel Spacing in mm, (n, 2)."""
    matrix: Ints
    """Rows, Columns and Samples per Pixel, (n, 3)."""
    uid: Ints
    """Number of the SOP Instance UID, (n,)."""
    reference: Ints
    """Number of the Frame of Reference UID; -1 without one, (n,)."""
    localizer: Bools
    """LOCALIZER in Image Type, (n,)."""
    mosaic: Bools
    """MOSAIC in Image Type, (n,)."""
    composed: Bools
    """Mosaic or PET reprojection: an image that is not a slice, (n,)."""
    volumetric: Bools
    """CT, MR or PET Image Storage, for which a position is required, (n,)."""

    def __len__(self) -> int:
        return len(self.row)

    def take(self, numbers: Any) -> Slices:
        """Return some slices, by numbers or a mask."""
        return Slices(**{f.name: getattr(self, f.name)[numbers] for f in fields(self)})

    @classmethod
    def concatenate(cls, parts: list[Slices]) -> Slices:
        """Join tables of slices."""
        names = [f.name for f in fields(cls)]
        return cls(**{name: np.concatenate([getattr(p, name) for p in parts]) for name in names})


def cross(orientation: Floats) -> Floats:
    """Row x column of orientations (n, 6): the normals, (n, 3), in the direction of slice order.

    >>> cross(np.array([[1, 0, 0, 0, 1, 0.0]])).tolist()
    [[0.0, 0.0, 1.0]]
    """
    a, b, c, d, e, f = orientation.T
    return np.stack([b * f - c * e, c * d - a * f, a * e - b * d], axis=1)


def dot(a: Floats, b: Floats) -> Floats:
    """Row by row dot product of vectors (n, 3), summed from left to right."""
    return np.asarray(a[:, 0] * b[:, 0] + a[:, 1] * b[:, 1] + a[:, 2] * b[:, 2])


def norm(a: Floats) -> Floats:
    """Length of vectors (n, 3)."""
    return np.sqrt(dot(a, a))

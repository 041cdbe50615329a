"""Affine matrices of volumes: from voxels to millimetres of the patient."""

from __future__ import annotations

from itertools import permutations

import numpy as np

from wetread.series.slices import Floats


def make_affine(
    first: Floats, last: Floats, count: int, orientation: Floats, spacing: Floats
) -> Floats:
    """Affine matrix of a volume, 4 x 4: (slice, row, column, 1) to (x, y, z, 1) in mm.

    World coordinates are those of DICOM, LPS: x to the left, y to the back, z to the head. A voxel
    coordinate is the centre of a voxel (PS3.3 C.7.6.2.1.1). Row and column vectors that are not
    exactly orthogonal, as their decimals are rounded, are replaced by the nearest that are.

    Args:
        first: Image Position (Patient) of slice 0, (3,).
        last: of the last slice, (3,).
        count: number of slices, at least 2.
        orientation: Image Orientation (Patient), (6,).
        spacing: Pixel Spacing, distance of rows and of columns in mm, (2,).

    >>> ends = np.array([[0, 0, 5], [0, 0, 9.0]])
    >>> make_affine(*ends, 3, np.array([1, 0, 0, 0, 1, 0.0]), np.array([0.5, 0.7])).tolist()[2]
    [2.0, 0.0, 0.0, 5.0]
    """
    left, _, right = np.linalg.svd(orientation.reshape(2, 3), full_matrices=False)
    row, column = left @ right
    normal = np.cross(row, column)
    step = (last - first) @ normal / (count - 1)
    affine = np.eye(4)
    affine[:3, :3] = np.stack([step * normal, spacing[0] * column, spacing[1] * row], axis=1)
    affine[:3, 3] = first
    return affine


def read_spacing(affine: Floats) -> tuple[float, float, float]:
    """Distance of voxels in mm along each axis of the array.

    >>> read_spacing(np.diag([2, 0.5, 0.5, 1.0]))
    (2.0, 0.5, 0.5)
    """
    one, two, three = np.linalg.norm(affine[:3, :3], axis=0).tolist()
    return one, two, three


def to_ras(affine: Floats) -> Floats:
    """Affine matrix of NIfTI: (column, row, slice, 1) to RAS, x to the right and y to the front.

    >>> to_ras(np.diag([3, 2, 1, 1.0])).tolist()[0]
    [0.0, 0.0, -3.0, 0.0]
    """
    return np.diag([-1.0, -1.0, 1.0, 1.0]) @ affine[:, [2, 1, 0, 3]]


def find_axes(affine: Floats) -> tuple[tuple[int, int, int], tuple[bool, bool, bool]]:
    """Axes of the array along z, y and x of the patient, and True for those that run against them.

    >>> find_axes(np.diag([3, 2, -1.0, 1]))  # slices along x, columns along -z
    ((2, 1, 0), (True, False, False))
    """
    cosines = affine[:3, :3] / np.linalg.norm(affine[:3, :3], axis=0)
    fits = {
        axes: sum(abs(cosines[2 - n, axis]) for n, axis in enumerate(axes))
        for axes in permutations(range(3))
    }
    z, y, x = max(fits, key=fits.__getitem__)
    return (z, y, x), (bool(cosines[2, z] < 0), bool(cosines[1, y] < 0), bool(cosines[0, x] < 0))

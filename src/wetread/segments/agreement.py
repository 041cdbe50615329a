"""Agreement of segments: Dice, average and 95th-percentile distance of their surfaces."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Sequence
from itertools import combinations
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from wetread.errors import MissingExtraError
from wetread.segments.contents import Bools, Floats
from wetread.segments.segment import Segment

if TYPE_CHECKING:
    import pandas as pd

_COLUMNS = (
    "series_id", "label", "file_a", "number_a", "reader_a", "file_b", "number_b", "reader_b",
    "voxels_a", "voxels_b", "dice", "assd_mm", "hd95_mm",
)  # fmt: skip
_TAIL = 95


class Cut(NamedTuple):
    """Mask within its bounding box."""

    start: tuple[int, int, int]
    mask: Bools


def compare_segments(segments: Sequence[Segment]) -> pd.DataFrame:
    """Agreement of every two segments with one label on one volume.

    Pairs are of different files, or of one file that has a label several times. Segments that are
    not aligned, or on no volume, are left out.

    Returns:
        One row per pair: `series_id`, `label`, file, number and reader of both (a and b), their
        voxels, and `dice`, `assd_mm`, `hd95_mm`; see `compare_masks`.

    Raises:
        MissingExtraError: SciPy is not installed.
        DecodeError: a mask cannot be decoded.
    """
    import pandas as pd

    groups: dict[tuple[Any, ...], list[Segment]] = defaultdict(list)
    for segment in segments:
        if segment.aligned is not False and segment.volume is not None and segment.label:
            row = segment.row
            slices = segment.volume.slices
            groups[row["series_id"], slices[0], segment.label].append(segment)
    rows = []
    for (series_id, _, label), several in groups.items():
        if len(several) < 2:
            continue
        cuts = [_cut(segment.mask) for segment in several]
        for (a, one), (b, other) in combinations(zip(several, cuts, strict=True), 2):
            assert a.volume is not None
            measured = compare_masks(*_align(one, other), a.volume.spacing)
            row = {"series_id": series_id, "label": label}
            for name, segment in (("a", a), ("b", b)):
                values = segment.row
                file = f"{values['path']} {values['member'] or ''}".strip()
                row |= {f"file_{name}": file, f"number_{name}": segment.number}
                row |= {f"reader_{name}": values["reader"], f"voxels_{name}": values["voxels"]}
            rows.append(row | measured)
    return pd.DataFrame(rows, columns=list(_COLUMNS))


def compare_masks(
    a: Bools, b: Bools, spacing: tuple[float, float, float]
) -> dict[str, float | None]:
    """Dice coefficient and distances of the surfaces of two masks.

    The surface of a mask are its voxels with a neighbour outside, of six; distances are those of
    voxel centres. As in MONAI and, with the same surface, SimpleITK.

    Args:
        a: bool (slices, rows, columns).
        b: of the same shape.
        spacing: distance of voxels in mm along each axis.

    Returns:
        `dice`; `assd_mm`, the mean of the distances of all surface voxels of both to the other
        surface; `hd95_mm`, the larger of the two 95th percentiles. None if undefined: `dice` if
        both masks are empty, distances if one is.

    Raises:
        MissingExtraError: SciPy is not installed.

    >>> one = np.zeros((3, 4, 4), bool)
    >>> one[1, 1:3, 1:3] = True
    >>> compare_masks(one, np.roll(one, 1, axis=2), (1.0, 0.5, 0.5))
    {'dice': 0.5, 'assd_mm': 0.25, 'hd95_mm': 0.5}
    """
    total = int(a.sum()) + int(b.sum())
    result: dict[str, float | None] = {"dice": None, "assd_mm": None, "hd95_mm": None}
    if total:
        result["dice"] = 2 * int((a & b).sum()) / total
    if not a.any() or not b.any():
        return result
    there, back = _distances(a, b, spacing), _distances(b, a, spacing)
    result["assd_mm"] = float(np.concatenate([there, back]).mean())
    result["hd95_mm"] = float(max(np.percentile(there, _TAIL), np.percentile(back, _TAIL)))
    return result


def _distances(a: Bools, b: Bools, spacing: tuple[float, float, float]) -> Floats:
    """Distance of each surface voxel of a to the surface of b, in mm."""
    try:
        from scipy.ndimage import binary_erosion, distance_transform_edt
    except ImportError as error:
        raise MissingExtraError("Agreement of segments", "segments") from error
    surface_a, surface_b = (mask & ~binary_erosion(mask) for mask in (a, b))
    distances: Floats = distance_transform_edt(~surface_b, sampling=spacing)[surface_a]
    return distances


def _cut(mask: Bools) -> Cut:
    """Cut a mask to its bounding box."""
    ends = []
    for axis in range(3):
        there = np.flatnonzero(mask.any(axis=tuple({0, 1, 2} - {axis})))
        ends.append((int(there[0]), int(there[-1]) + 1) if len(there) else (0, 0))
    start = tuple(low for low, _ in ends)
    return Cut(start, mask[tuple(slice(*end) for end in ends)].copy())  # type: ignore[arg-type]


def _align(one: Cut, other: Cut) -> tuple[Bools, Bools]:
    """Masks within the bounding box of both."""
    filled = [cut for cut in (one, other) if cut.mask.size] or [one]
    low = np.min([cut.start for cut in filled], axis=0)
    high = np.max([np.add(cut.start, cut.mask.shape) for cut in filled], axis=0)
    results = []
    for cut in (one, other):
        whole = np.zeros(high - low, bool)
        if cut.mask.size:
            at = np.array(cut.start) - low
            end = at + cut.mask.shape
            whole[at[0] : end[0], at[1] : end[1], at[2] : end[2]] = cut.mask
        results.append(whole)
    return results[0], results[1]

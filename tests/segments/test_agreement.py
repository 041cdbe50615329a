"""Agreement of segments: Dice and distances equal those of SimpleITK."""

from __future__ import annotations

import numpy as np
import pytest
import SimpleITK

import wetread as wr
from wetread.segments.agreement import compare_masks

SPACING = (2.5, 0.8, 0.6)


def blobs(seed: int) -> np.ndarray:
    random = np.random.default_rng(seed)
    k, r, c = np.indices((12, 30, 28))
    centre, radii = random.uniform(4, 8, 3) * [1, 2, 2], random.uniform(2, 5, 3)
    distances = (np.array([k, r, c]) - centre[:, None, None, None]) / radii[:, None, None, None]
    return (distances**2).sum(axis=0) < 1


def surface_distances(a: np.ndarray, b: np.ndarray) -> np.ndarray:
    """Distances of the contour voxels of a to those of b, by SimpleITK."""
    images = [SimpleITK.GetImageFromArray(np.pad(mask, 1).astype(np.uint8)) for mask in (a, b)]
    for image in images:
        image.SetSpacing(SPACING[::-1])
    contours = [SimpleITK.LabelContour(image) for image in images]
    distance = SimpleITK.Abs(
        SimpleITK.SignedMaurerDistanceMap(contours[1], squaredDistance=False, useImageSpacing=True)
    )
    values = SimpleITK.GetArrayFromImage(distance)
    return values[SimpleITK.GetArrayFromImage(contours[0]) > 0]


@pytest.mark.parametrize("seed", range(6))
def test_distances_equal_simpleitk(seed) -> None:
    a, b = blobs(seed), blobs(seed + 100)
    there, back = surface_distances(a, b), surface_distances(b, a)
    overlap = SimpleITK.LabelOverlapMeasuresImageFilter()
    overlap.Execute(*(SimpleITK.GetImageFromArray(mask.astype(np.uint8)) for mask in (a, b)))
    measured = compare_masks(a, b, SPACING)
    assert measured["dice"] == pytest.approx(overlap.GetDiceCoefficient())
    mean = np.concatenate([there, back]).mean()
    assert measured["assd_mm"] == pytest.approx(mean, rel=1e-5)
    tail = max(np.percentile(there, 95), np.percentile(back, 95))
    assert measured["hd95_mm"] == pytest.approx(tail, rel=1e-5)


def test_empty_masks() -> None:
    mask, empty = blobs(0), np.zeros((12, 30, 28), bool)
    assert compare_masks(mask, empty, SPACING) == {"dice": 0, "assd_mm": None, "hd95_mm": None}
    assert set(compare_masks(empty, empty, SPACING).values()) == {None}


def test_readers_of_one_volume(
    scan, write_seg, write_nifti, write_rtstruct, outlines, blob
) -> None:
    moved = np.roll(blob, 1, axis=2)
    paths = [
        write_seg(scan, blob, labels=["GTV"]),
        write_rtstruct(scan, {"GTV": outlines(moved), "other": outlines(blob)}),
    ]
    segments = wr.read_segments(paths, images=scan.index, progress=False)
    agreement = segments.agreement()
    assert len(agreement) == 1
    (row,) = agreement.to_dict("records")
    expected = compare_masks(blob, moved, SPACING)
    assert {name: row[name] for name in expected} == pytest.approx(expected)
    assert {row["file_a"], row["file_b"]} == {"seg.dcm", "rt.dcm"}
    assert row["label"] == "GTV"


def test_segments_of_one_reader_have_no_agreement(scan, write_seg, blob) -> None:
    segments = wr.read_segments(write_seg(scan, blob), images=scan.index, progress=False)
    assert not len(segments.agreement())

"""Misaligned masks: each is named by a problem, and none is shown as aligned."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pydicom
import pytest
from pydicom.dataset import Dataset

import wetread as wr

Change = Callable[[np.ndarray], np.ndarray]
"""Change of world coordinates (n, 3) in LPS mm."""


def shift(*voxels: float) -> Callable[[Any], Change]:
    return lambda scan: lambda points: points + scan.affine[:3, :3] @ np.array(voxels)


def flip(axis: int) -> Callable[[Any], Change]:
    def make(scan: Any) -> Change:
        signs = np.ones(3)
        signs[axis] = -1
        return lambda points: points * signs

    return make


def transpose(scan: Any) -> Change:
    return lambda points: points[:, [1, 0, 2]]


def scale(scan: Any) -> Change:
    start = scan.affine[:3, 3]
    return lambda points: (points - start) * 1.1 + start


MOVES = {
    "half a slice": (shift(0.5, 0, 0), "GRID_SHIFTED"),
    "half a row": (shift(0, 0.5, 0), "GRID_SHIFTED"),
    "half a column": (shift(0, 0, 0.5), "GRID_SHIFTED"),
    "a slice": (shift(1, 0, 0), "GRID_SHIFTED"),
    "a row": (shift(0, 1, 0), "GRID_SHIFTED"),
    "a column": (shift(0, 0, 1), "GRID_SHIFTED"),
    "flipped along x": (flip(0), "ORIENTATION_FLIPPED"),
    "flipped along y": (flip(1), "ORIENTATION_FLIPPED"),
    "flipped along z": (flip(2), "ORIENTATION_FLIPPED"),
    "transposed": (transpose, "ORIENTATION_DIFFERS"),
    "scaled": (scale, "GRID_SCALED"),
}


def codes(path: Path, images: wr.Index) -> set[str]:
    """Problems of the only segment; the test fails if it is shown as aligned."""
    segments = wr.read_segments(path, images=images, progress=False)
    (segment,) = segments
    assert segment.aligned is False
    assert segments["aligned"].tolist() == [False]
    with pytest.raises(wr.errors.GeometryError):
        segment.mask  # noqa: B018
    image = images[0]
    assert not any(outline.mask.any() for outline in segments.on(image))
    assert not len(segments.boxes())
    return set(segment.row["problems"])


def move_seg(change: Change) -> Callable[[Dataset], None]:
    def edit(seg: Dataset) -> None:
        for group in seg.PerFrameFunctionalGroupsSequence:
            plane = group.PlanePositionSequence[0]
            position = np.array(plane.ImagePositionPatient, float)
            plane.ImagePositionPatient = [round(v, 6) for v in change(position[None])[0]]
        shared = seg.SharedFunctionalGroupsSequence[0]
        orientation = np.array(shared.PlaneOrientationSequence[0].ImageOrientationPatient, float)
        measures = shared.PixelMeasuresSequence[0]
        steps = np.reshape(orientation, (2, 3)) * np.array(measures.PixelSpacing, float)[::-1, None]
        steps = change(steps) - change(np.zeros((1, 3)))
        lengths = np.linalg.norm(steps, axis=1)
        measures.PixelSpacing = [round(v, 6) for v in lengths[::-1]]
        vectors = (steps / lengths[:, None]).ravel()
        shared.PlaneOrientationSequence[0].ImageOrientationPatient = [round(v, 6) for v in vectors]

    return edit


@pytest.mark.parametrize("name", MOVES)
def test_seg(name, scan, write_seg, blob) -> None:
    make, code = MOVES[name]
    assert code in codes(write_seg(scan, blob, change=move_seg(make(scan))), scan.index)


@pytest.mark.parametrize("name", MOVES)
def test_nifti(name, scan, write_nifti, blob) -> None:
    make, code = MOVES[name]
    change = make(scan)
    corners = change(scan.world([[0, 0, 0], [1, 0, 0], [0, 1, 0], [0, 0, 1]]))
    affine = np.eye(4)
    affine[:3, :3] = (corners[1:] - corners[0]).T
    affine[:3, 3] = corners[0]
    found = codes(write_nifti(blob, affine), scan.index)
    assert found == {code}


def move_rtstruct(change: Change) -> Callable[[Dataset], None]:
    def edit(ds: Dataset) -> None:
        for region in ds.ROIContourSequence:
            for item in region.ContourSequence:
                points = np.array(item.ContourData, float).reshape(-1, 3)
                item.ContourData = [f"{v:.5f}" for v in change(points).ravel()]

    return edit


RT_CODES = {
    "half a slice": "CONTOUR_OFF_SLICE",
    "a slice": "GRID_SHIFTED",
    "flipped along x": "CONTOUR_OUTSIDE",
    "flipped along y": "CONTOUR_OUTSIDE",
    "flipped along z": "CONTOUR_OFF_SLICE",
    "transposed": "CONTOUR_OUTSIDE",
    "scaled": "CONTOUR_OFF_SLICE",
}


@pytest.mark.parametrize("name", RT_CODES)
def test_rtstruct(name, scan, write_rtstruct, outlines, blob) -> None:
    change = move_rtstruct(MOVES[name][0](scan))
    path = write_rtstruct(scan, {"GTV": outlines(blob)}, change)
    assert RT_CODES[name] in codes(path, scan.index)


@pytest.mark.parametrize("name", ["half a row", "half a column", "a row", "a column"])
def test_rtstruct_shifted_within_its_slices(name, scan, write_rtstruct, outlines, blob) -> None:
    """Contours have no grid: nothing in the file tells, so that alignment stays unknown."""
    change = move_rtstruct(MOVES[name][0](scan))
    path = write_rtstruct(scan, {"GTV": outlines(blob)}, change)
    (segment,) = wr.read_segments(path, images=scan.index, progress=False)
    assert segment.aligned is None
    assert "CONTOURS_UNVERIFIED" in segment.row["problems"]


def reverse_slices(ds: Dataset) -> None:
    """Masks on the slices from the last to the first, with the references of before."""
    groups = ds.PerFrameFunctionalGroupsSequence
    positions = [group.PlanePositionSequence for group in groups]
    for group, position in zip(groups, positions[::-1], strict=True):
        group.PlanePositionSequence = position


def test_seg_whose_slices_run_backwards(scan, write_seg, blob) -> None:
    path = write_seg(scan, blob, change=reverse_slices)
    assert codes(path, scan.index) == {"ORIENTATION_FLIPPED"}


def other_frame(ds: Dataset) -> None:
    ds.FrameOfReferenceUID = "1.2.3"
    for item in ds.get("ReferencedFrameOfReferenceSequence", []):
        item.FrameOfReferenceUID = "1.2.3"
    for item in ds.get("StructureSetROISequence", []):
        item.ReferencedFrameOfReferenceUID = "1.2.3"


def test_another_frame_of_reference(
    scan, write_seg, write_rtstruct, write_nifti, outlines, blob
) -> None:
    seg = write_seg(scan, blob, change=other_frame)
    assert codes(seg, scan.index) == {"FRAME_OF_REFERENCE_DIFFERS"}
    rt = write_rtstruct(scan, {"GTV": outlines(blob)}, other_frame)
    assert "FRAME_OF_REFERENCE_DIFFERS" in codes(rt, scan.index)
    atlas = write_nifti(blob, scan.affine, code=4)
    assert codes(atlas, scan.index) == {"FRAME_OF_REFERENCE_DIFFERS"}


def test_a_problem_that_is_accepted(scan, write_seg, blob) -> None:
    seg = write_seg(scan, blob, change=other_frame)
    accept = ["FRAME_OF_REFERENCE_DIFFERS"]
    segments = wr.read_segments(seg, images=scan.index, accept=accept, progress=False)
    assert segments["aligned"].tolist() == [True]
    assert segments["problems"].tolist() == [accept]
    np.testing.assert_array_equal(segments[0].mask, blob)
    with pytest.raises(wr.errors.UnknownNameError, match="SLICE_ABSENT"):
        wr.read_segments(seg, accept=["GRID_SHIFTED"])


def test_another_series_of_the_same_shape(
    make_scan, scan, write_seg, write_rtstruct, write_nifti, outlines, blob
) -> None:
    other = make_scan("other", origin=(40, 0, 10))
    assert codes(write_seg(scan, blob), other.index) == {"SERIES_ABSENT"}
    rt = write_rtstruct(scan, {"GTV": outlines(blob)})
    assert codes(rt, other.index) == {"SERIES_ABSENT"}
    assert codes(write_nifti(blob, scan.affine), other.index) == {"GRID_SHIFTED"}

    def refer(ds: Dataset) -> None:
        ds.ReferencedSeriesSequence[0].SeriesInstanceUID = other.slices[0].SeriesInstanceUID

    both = wr.scan([scan.folder, other.folder], progress=False)
    assert "GRID_SHIFTED" in codes(write_seg(scan, blob, change=refer), both)


@pytest.mark.parametrize("absent", [0, 4], ids=["first", "middle"])
def test_a_slice_of_the_images_is_absent(
    absent, scan, write_seg, write_rtstruct, write_nifti, outlines
) -> None:
    mask = np.zeros(scan.shape, bool)
    mask[:, 3:9, 4:7] = True
    files = sorted(scan.folder.iterdir())
    images = wr.scan([*files[:absent], *files[absent + 1 :]], progress=False)
    assert "SLICE_ABSENT" in codes(write_seg(scan, mask), images)
    rt = write_rtstruct(scan, {"GTV": outlines(mask)})
    assert "SLICE_ABSENT" in codes(rt, images)
    expected = {"GRID_SIZE_DIFFERS"} if absent == 0 else {"SERIES_ABSENT"}
    assert codes(write_nifti(mask, scan.affine), images) == expected


def test_a_slice_of_the_mask_is_absent(scan, write_nifti, blob) -> None:
    path = write_nifti(np.delete(blob, 4, axis=0), scan.affine)
    assert codes(path, scan.index) == {"GRID_SIZE_DIFFERS"}


def test_a_slice_is_doubled(scan, write_seg, write_rtstruct, write_nifti, outlines, blob) -> None:
    def double(ds: Dataset) -> None:
        groups = ds.PerFrameFunctionalGroupsSequence
        groups[1].PlanePositionSequence = groups[0].PlanePositionSequence
        groups[1].DerivationImageSequence = groups[0].DerivationImageSequence

    assert codes(write_seg(scan, blob, change=double), scan.index) == {"SLICE_DOUBLED"}
    contours = outlines(blob)
    rt = write_rtstruct(scan, {"GTV": [*contours, contours[0]]})
    assert "SLICE_DOUBLED" in codes(rt, scan.index)
    path = write_nifti(np.insert(blob, 4, blob[4], axis=0), scan.affine)
    assert codes(path, scan.index) == {"GRID_SIZE_DIFFERS"}


def test_a_nifti_file_whose_matrices_disagree(scan, write_nifti, blob, tmp_path) -> None:
    import nibabel

    path = write_nifti(blob, scan.affine)
    image = nibabel.load(path)
    moved = image.affine.copy()
    moved[0, 3] += 5
    image.set_qform(moved, 1)
    nibabel.save(image, tmp_path / "two.nii")
    assert codes(tmp_path / "two.nii", scan.index) == {"AFFINES_DIFFER"}
    image.set_sform(None, 0)
    image.set_qform(None, 0)
    nibabel.save(image, tmp_path / "none.nii")
    assert "GRID_UNPLACED" in codes(tmp_path / "none.nii", scan.index)


@pytest.mark.parametrize("axis", range(3))
def test_a_rotation_by_a_fifth_of_a_degree(axis, scan, write_seg, write_nifti, blob) -> None:
    """Less than half a voxel at the corners, in the middle none."""
    angle = np.radians(0.2)
    cosine, sine = np.cos(angle), np.sin(angle)
    rotation = np.roll([[cosine, -sine, 0], [sine, cosine, 0], [0, 0, 1]], axis, (0, 1))
    start = scan.affine[:3, 3]
    affine = scan.affine.copy()
    affine[:3, :3] = rotation @ affine[:3, :3]
    assert codes(write_nifti(blob, affine), scan.index) == {"ORIENTATION_DIFFERS"}
    change = move_seg(lambda points: (points - start) @ rotation.T + start)
    assert codes(write_seg(scan, blob, change=change), scan.index) & {
        "ORIENTATION_DIFFERS",
        "GRID_SHIFTED",
    }


def test_a_shift_is_told_in_voxels_and_mm(scan, write_nifti, blob) -> None:
    affine = scan.affine.copy()
    affine[0, 3] += 0.3
    segments = wr.read_segments(write_nifti(blob, affine), images=scan.index, progress=False)
    (text,) = segments.problems()["text"]
    assert text == "displaced by 0.5 columns (0.3 mm)"
    with pytest.raises(wr.errors.GeometryError, match=r"0\.5 columns \(0\.3 mm\)"):
        segments[0].mask  # noqa: B018


def test_seg_on_a_volume_with_a_gap(scan, write_seg, blob) -> None:
    """The message says that the images are no volume, and which slice they lack."""
    files = sorted(scan.folder.iterdir())
    images = wr.scan([*files[:4], *files[5:]], progress=False)
    segments = wr.read_segments(write_seg(scan, blob), images=images, progress=False)
    texts = dict(zip(segments.problems()["code"], segments.problems()["text"], strict=True))
    assert "SLICE_MISSING" in texts["SERIES_NO_VOLUME"]
    assert scan.slices[4].SOPInstanceUID in texts["SLICE_ABSENT"]


def test_data_sets_are_not_changed(scan, write_seg, blob) -> None:
    path = write_seg(scan, blob)
    before = pydicom.dcmread(path)
    wr.read_segments(path, images=scan.index, progress=False).table  # noqa: B018
    assert pydicom.dcmread(path) == before

"""Masks equal those that were written, wherever frames, contours and axes lie."""

from __future__ import annotations

import warnings
from pathlib import Path
from types import SimpleNamespace

import highdicom as hd
import nibabel
import numpy as np
import pydicom
import pytest
from pydicom.dataset import Dataset

import wetread as wr

OBLIQUE = (0.8, 0.6, 0.0, -0.36, 0.48, 0.8)
KINDS = ["BINARY", "FRACTIONAL", "LABELMAP"]


def read(path: Path, scan, **options) -> wr.Segments:
    return wr.read_segments(path, images=scan.index, progress=False, **options)


@pytest.mark.parametrize("orientation", [(1, 0, 0, 0, 1, 0), OBLIQUE, (0, 1, 0, 0, 0, -1)])
@pytest.mark.parametrize("kind", KINDS)
def test_a_seg_is_on_the_grid_of_its_volume(kind, orientation, make_scan, write_seg, blob) -> None:
    scan = make_scan(orientation=orientation)
    path = write_seg(scan, blob, kind, ["Liver"])
    (segment,) = read(path, scan)
    assert segment.aligned is True
    assert segment.label == "Liver"
    np.testing.assert_array_equal(segment.mask, blob)
    assert segment.voxels == blob.sum()
    assert segment.volume_ml == pytest.approx(blob.sum() * 2.5 * 0.8 * 0.6 / 1000)
    assert segment.volume is not None
    np.testing.assert_allclose(segment.volume.affine, scan.affine, atol=1e-6)


@pytest.mark.parametrize("kind", KINDS)
def test_a_seg_equals_highdicom(kind, scan, write_seg, blob) -> None:
    path = write_seg(scan, blob, kind)
    volume = hd.seg.segread(path).get_volume(combine_segments=False)
    (segment,) = read(path, scan)
    mask, affine = segment.native()
    theirs = np.argwhere(volume.array[..., 0] > 0) @ volume.affine[:3, :3].T + volume.affine[:3, 3]
    ours = np.argwhere(mask) @ affine[:3, :3].T + affine[:3, 3]
    assert set(map(tuple, ours.round(3))) == set(map(tuple, theirs.round(3)))


def test_frames_are_placed_by_position_not_by_order(scan, write_seg, blob) -> None:
    def shuffle(seg: Dataset) -> None:
        order = np.random.default_rng(0).permutation(int(seg.NumberOfFrames))
        frames = np.unpackbits(np.frombuffer(seg.PixelData, np.uint8), bitorder="little")
        frames = frames[: len(order) * 600].reshape(len(order), 600)[order]
        groups = [seg.PerFrameFunctionalGroupsSequence[n] for n in order]
        seg.PerFrameFunctionalGroupsSequence = groups
        data = np.packbits(frames, bitorder="little").tobytes()
        seg.PixelData = data + bytes(len(data) % 2)

    (segment,) = read(write_seg(scan, blob, change=shuffle), scan)
    assert segment.aligned is True
    np.testing.assert_array_equal(segment.mask, blob)


def test_fractions_and_threshold(scan, write_seg) -> None:
    values = np.zeros(scan.shape, float)
    values[3, 4:8, 5:9] = 0.25
    values[3, 5:7, 6:8] = 0.75
    path = write_seg(scan, values, "FRACTIONAL")
    (segment,) = read(path, scan)
    np.testing.assert_allclose(segment.fractions, values, atol=0.5 / 200)
    assert segment.mask.sum() == segment.voxels == 4
    (every,) = read(path, scan, threshold=0)
    assert every.mask.sum() == every.voxels == 16


def test_overlapping_segments(scan, write_seg, blob) -> None:
    masks = np.stack([blob, np.roll(blob, 2, axis=2)], axis=-1)
    segments = read(write_seg(scan, masks, labels=["A", "B"]), scan)
    assert segments["label"].tolist() == ["A", "B"]
    for number, segment in enumerate(segments):
        np.testing.assert_array_equal(segment.mask, masks[..., number])
    shared = int((masks[..., 0] & masks[..., 1]).sum())
    assert (
        f"{shared} voxels shared with segment 2" in segments.problems("SEGMENTS_OVERLAP")["text"][0]
    )
    assert segments["aligned"].all()


def test_a_seg_that_is_a_box_of_the_volume(scan, write_seg, blob) -> None:
    """As dcmqi and 3D Slicer write: fewer rows and columns, at the position of the first."""

    def crop(seg: Dataset) -> None:
        count = int(seg.NumberOfFrames)
        frames = np.unpackbits(np.frombuffer(seg.PixelData, np.uint8), bitorder="little")
        part = frames[: count * 600].reshape(count, 30, 20)[:, 4:22, 3:14]
        data = np.packbits(part.ravel(), bitorder="little").tobytes()
        seg.PixelData, (seg.Rows, seg.Columns) = data + bytes(len(data) % 2), part.shape[1:]
        for group in seg.PerFrameFunctionalGroupsSequence:
            plane = group.PlanePositionSequence[0]
            x, y, z = plane.ImagePositionPatient
            plane.ImagePositionPatient = [x + 3 * 0.6, y + 4 * 0.8, z]

    (segment,) = read(write_seg(scan, blob, change=crop), scan)
    assert segment.aligned is True
    np.testing.assert_array_equal(segment.mask, blob)
    corners = [segment.row[name] for name in ("x0", "y0", "x1", "y1")]
    assert corners == [4, 5, 9, 20]


def test_a_slice_of_its_own(make_scan, write_seg) -> None:
    scan = make_scan(shape=(1, 30, 20))
    mask = np.zeros((1, 30, 20), bool)
    mask[0, 3:9, 4:7] = True
    (segment,) = read(write_seg(scan, mask), scan)
    assert (segment.aligned, segment.volume) == (True, None)
    np.testing.assert_array_equal(segment.mask, mask)
    with pytest.raises(wr.errors.GeometryError, match="single slice"):
        segment.show()


def test_nifti_of_a_slice_of_its_own(make_scan, write_nifti) -> None:
    scan = make_scan(shape=(1, 30, 20))
    mask = np.zeros((1, 30, 20), bool)
    mask[0, 3:9, 4:7] = True
    (segment,) = read(write_nifti(mask, scan.affine), scan)
    assert segment.aligned is True
    np.testing.assert_array_equal(segment.mask, mask)


def test_frames_of_an_enhanced_image(scan, blob, tmp_path, write_seg) -> None:
    """A SEG that refers to the frames of one multi-frame file."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        enhanced = hd.legacy.LegacyConvertedEnhancedCTImage(scan.slices, "1.2.3.4", 2, "1.2.3.5", 1)
    (tmp_path / "enhanced").mkdir()
    enhanced.save_as(tmp_path / "enhanced" / "a.dcm")
    images = wr.scan(tmp_path / "enhanced", progress=False)
    multiframe = pydicom.dcmread(tmp_path / "enhanced" / "a.dcm")
    order = [
        float(group.PlanePositionSequence[0].ImagePositionPatient[2])
        for group in multiframe.PerFrameFunctionalGroupsSequence
    ]
    frames = blob[np.argsort(np.argsort(order))]
    source = SimpleNamespace(slices=[multiframe])
    path = write_seg(source, frames)
    segments = wr.read_segments(path, images=images, progress=False)
    assert segments["aligned"].tolist() == [True], segments.problems()["text"].tolist()
    np.testing.assert_array_equal(segments[0].mask, blob)
    boxes = segments.boxes()
    assert sorted(boxes.table["frame"].to_pylist()) == [
        n for n, k in enumerate(np.argsort(np.argsort(order))) if blob[k].any()
    ]


def test_a_part_of_the_slices(scan, write_seg, blob) -> None:
    (segment,) = read(write_seg(scan, blob), scan)
    np.testing.assert_array_equal(segment.read(slice(3, 5)), blob[3:5])
    with pytest.raises(wr.errors.UsageError, match="slice\\(100, 150\\)"):
        segment.read(3)


@pytest.mark.parametrize("axes", [(0, 1, 2), (2, 1, 0), (1, 2, 0)], ids=["xyz", "zyx", "yzx"])
@pytest.mark.parametrize("flips", [(), (0,), (1, 2), (0, 1, 2)], ids=str)
def test_nifti_is_placed_by_its_affine_matrix(axes, flips, scan, tmp_path, blob) -> None:
    """Axes in any order and direction, as converters write them."""
    labels, affine = blob.astype(np.uint8).T, scan.affine[:, [2, 1, 0, 3]]
    image = nibabel.Nifti1Image(labels, np.diag([-1, -1, 1, 1]) @ affine)
    orient = [[axis, -1 if axis in flips else 1] for axis in axes]
    image = image.as_reoriented(np.array(orient))
    path = tmp_path / "labels" / "a.nii"
    path.parent.mkdir()
    nibabel.save(image, path)
    (segment,) = read(path, scan)
    assert segment.aligned is True, segment.row["problems"]
    np.testing.assert_array_equal(segment.mask, blob)


def test_nifti_labels_have_the_names_of_nnunet(scan, write_nifti, blob) -> None:
    labels = blob.astype(np.uint8) + 2 * np.roll(blob, 12, axis=1)
    path = write_nifti(np.where(labels == 3, 1, labels), scan.affine, "labelsTr/case.nii.gz")
    names = '{"labels": {"background": 0, "liver": 1, "lesion": 2}}'
    (path.parents[1] / "dataset.json").write_text(names)
    segments = read(path, scan)
    assert segments["label"].tolist() == ["liver", "lesion"]
    assert segments["number"].tolist() == [1, 2]


def test_nifti_of_one_of_several_volumes(make_scan, write_nifti, blob) -> None:
    one, other = make_scan("one"), make_scan("other", origin=(7, 7, 7))
    index = wr.scan([one.folder, other.folder], progress=False)
    path = write_nifti(blob, other.affine)
    (segment,) = wr.read_segments(path, images=index, progress=False)
    assert segment.row["SeriesInstanceUID"] == other.slices[0].SeriesInstanceUID
    np.testing.assert_array_equal(segment.mask, blob)


def test_nifti_of_two_equal_grids_is_chosen_by_its_name(make_scan, write_nifti, blob) -> None:
    one, other = make_scan("one"), make_scan("other")
    index = wr.scan([one.folder, other.folder], progress=False)
    (segment,) = wr.read_segments(write_nifti(blob, one.affine), images=index, progress=False)
    assert segment.row["problems"] == ["SERIES_AMBIGUOUS"]
    with pytest.raises(wr.errors.GeometryError, match="it fits 2 volumes"):
        segment.mask  # noqa: B018
    name = index.series[1].series_id
    path = write_nifti(blob, one.affine, f"{name}.nii")
    (segment,) = wr.read_segments(path, images=index, progress=False)
    assert (segment.aligned, segment.row["series_id"]) == (True, name)


def test_masks_of_an_rtstruct(scan, write_rtstruct, outlines, blob) -> None:
    path = write_rtstruct(scan, {"GTV": outlines(blob)})
    (segment,) = read(path, scan)
    assert segment.aligned is None  # a shift within the slices cannot be seen
    assert segment.row["problems"] == ["CONTOURS_UNVERIFIED"]
    assert (segment.label, segment.colour) == ("GTV", "#ff0000")
    np.testing.assert_array_equal(segment.mask, blob)


def test_without_images_nothing_is_said_of_alignment(scan, write_seg, blob) -> None:
    (segment,) = wr.read_segments(write_seg(scan, blob), progress=False)
    assert segment.aligned is None
    assert segment.voxels == blob.sum()
    assert segment.volume_ml == pytest.approx(blob.sum() * 0.0012)
    with pytest.raises(wr.errors.GeometryError, match="images=index"):
        segment.mask  # noqa: B018
    mask, _ = segment.native()
    assert mask.sum() == blob.sum()

"""Bad label files: a row with its problem, within limits."""

from __future__ import annotations

import gzip
import sys
import time
import tracemalloc
from pathlib import Path

import nibabel
import numpy as np
import pytest
from pydicom.data import get_testdata_file
from pydicom.dataset import Dataset

import wetread as wr


def read(path: Path | list[Path], images: wr.Index, **options) -> wr.Segments:
    return wr.read_segments(path, images=images, progress=False, **options)


@pytest.mark.parametrize("share", [0, 0.02, 0.3, 0.7, 0.97])
def test_a_truncated_seg(share, scan, write_seg, blob) -> None:
    path = write_seg(scan, blob)
    data = path.read_bytes()
    path.write_bytes(data[: int(share * len(data))])
    segments = read(path, scan.index)
    assert len(segments) == 1
    assert segments["aligned"].tolist() == [False]
    assert "SEGMENT_UNREADABLE" in segments["problems"][0]


@pytest.mark.parametrize("share", [0, 0.02, 0.3, 0.9])
def test_a_truncated_rtstruct(share, scan, write_rtstruct, outlines, blob) -> None:
    path = write_rtstruct(scan, {"GTV": outlines(blob)})
    data = path.read_bytes()
    path.write_bytes(data[: int(share * len(data))])
    (segment,) = read(path, scan.index)
    assert segment.aligned is not True
    assert segment.row["problems"]


@pytest.mark.parametrize("share", [0, 0.1, 0.5, 0.9])
def test_a_truncated_nifti_file(share, scan, write_nifti, blob) -> None:
    path = write_nifti(blob, scan.affine)
    data = path.read_bytes()
    path.write_bytes(data[: int(share * len(data))])
    (segment,) = read(path, scan.index)
    assert segment.aligned is False
    assert segment.row["problems"] == ["SEGMENT_UNREADABLE"]


def test_a_frame_that_is_missing_is_a_problem_of_its_segment(scan, write_seg, blob) -> None:
    masks = np.stack([blob, ~blob], axis=-1)

    def cut(seg: Dataset) -> None:
        seg.PixelData = seg.PixelData[:-150]

    segments = read(write_seg(scan, masks, change=cut), scan.index)
    assert "SEGMENT_UNREADABLE" in segments["problems"][1]
    assert not segments["aligned"][1]


def test_a_seg_without_segments_and_frames(scan, write_seg, blob) -> None:
    def empty(seg: Dataset) -> None:
        del seg.SegmentSequence

    def frameless(seg: Dataset) -> None:
        del seg.PerFrameFunctionalGroupsSequence

    for change in (empty, frameless):
        (segment,) = read(write_seg(scan, blob, change=change), scan.index)
        assert segment.aligned is False


def test_an_empty_segment(scan, write_seg, blob) -> None:
    masks = np.stack([blob, np.zeros_like(blob)], axis=-1)
    segments = read(write_seg(scan, masks), scan.index)
    assert segments["voxels"].tolist() == [blob.sum(), 0]
    assert segments.table["problems"].to_pylist() == [[], ["SEGMENT_EMPTY"]]
    assert not segments[1].mask.any()


def test_a_segment_number_without_description(scan, write_seg, blob) -> None:
    def rename(seg: Dataset) -> None:
        seg.SegmentSequence[0].SegmentNumber = 7

    segments = read(write_seg(scan, blob, change=rename), scan.index)
    assert set(segments["problems"][0]) == {"SEGMENT_UNDESCRIBED", "SEGMENT_EMPTY"}


def test_two_segments_with_one_number(scan, write_seg, blob) -> None:
    def repeat(seg: Dataset) -> None:
        seg.SegmentSequence[1].SegmentNumber = 1

    masks = np.stack([blob, ~blob], axis=-1)
    segments = read(write_seg(scan, masks, change=repeat), scan.index)
    assert "SEGMENT_TWICE" in segments["problems"][0]


def test_many_segments(scan, write_seg, blob) -> None:
    """65,535 described segments, of which one has pixels."""

    def describe(seg: Dataset) -> None:
        first = seg.SegmentSequence[0]
        items = []
        for number in range(1, 65_536):
            item = Dataset()
            item.SegmentNumber, item.SegmentLabel = number, f"S{number}"
            item.SegmentAlgorithmType = first.SegmentAlgorithmType
            items.append(item)
        seg.SegmentSequence = items

    path = write_seg(scan, blob, change=describe)
    started = time.process_time()
    segments = read(path, scan.index)
    table = segments.table
    assert len(table) == 65_535
    assert table["voxels"].to_pylist()[0] == blob.sum()
    assert time.process_time() - started < 60


def test_more_segments_than_the_limit(scan, write_seg, blob) -> None:
    path = write_seg(scan, np.stack([blob, ~blob, blob], axis=-1))
    segments = read(path, scan.index, settings=wr.Settings(segments=2))
    assert len(segments) == 2
    assert segments.problems("SEGMENT_LIMIT")["text"].tolist() == ["1 segment is left out"]


def test_references_to_nothing(scan, write_seg, write_rtstruct, outlines, blob) -> None:
    def forget(ds: Dataset) -> None:
        ds.pop("ReferencedSeriesSequence", None)
        for group in ds.get("PerFrameFunctionalGroupsSequence", []):
            group.pop("DerivationImageSequence", None)
        ds.pop("ReferencedFrameOfReferenceSequence", None)
        for region in ds.get("ROIContourSequence", []):
            for item in region.ContourSequence:
                del item.ContourImageSequence

    (segment,) = read(write_seg(scan, blob, change=forget), scan.index)
    assert segment.aligned is True  # its frame of reference and grid fit the only volume
    np.testing.assert_array_equal(segment.mask, blob)
    path = write_rtstruct(scan, {"GTV": outlines(blob)}, forget)
    (segment,) = read(path, scan.index)
    np.testing.assert_array_equal(segment.mask, blob)
    (segment,) = read(path, scan.index.where("false"))
    assert segment.row["problems"] == ["SERIES_ABSENT"]


@pytest.mark.parametrize(
    ("values", "text"),
    [
        (np.full((20, 30, 8), 0.5, np.float32), "whole numbers"),
        (np.zeros((20, 30), np.uint8), "three dimensions"),
        (np.zeros((20, 30, 8, 3), np.uint8), "three dimensions"),
        (np.full((20, 30, 8), np.nan, np.float32), "float32"),
    ],
    ids=["fractions", "2-D", "4-D", "NaN"],
)
def test_a_nifti_file_that_is_no_label_map(values, text, scan, tmp_path) -> None:
    path = tmp_path / "a.nii"
    nibabel.save(nibabel.Nifti1Image(values, np.eye(4)), path)
    segments = read(path, scan.index)
    assert text in segments.problems()["text"][0]


def test_a_nifti_file_beyond_the_limit(scan, tmp_path) -> None:
    """A header that states more voxels than memory has."""
    image = nibabel.Nifti1Image(np.zeros((2, 2, 2), np.uint8), np.eye(4))
    data = bytearray(image.to_bytes())
    data[42:48] = np.array([30_000] * 3, "<i2").tobytes()
    path = tmp_path / "a.nii.gz"
    path.write_bytes(gzip.compress(bytes(data)))
    segments = read(path, scan.index)
    assert "volume_bytes" in segments.problems("SEGMENT_UNREADABLE")["text"][0]


def test_other_files_are_no_rows(scan, write_seg, blob) -> None:
    path = write_seg(scan, blob)
    (path.parent / "notes.txt").write_text("no labels")
    (path.parent / "image.dcm").write_bytes(next(scan.folder.iterdir()).read_bytes())
    assert len(read(path.parent, scan.index)) == 1
    with pytest.raises(wr.errors.NotFoundError):
        read(path.parent / "absent", scan.index)


def test_one_mask_is_in_memory_at_a_time(make_scan, write_seg) -> None:
    scan = make_scan("wide", shape=(20, 256, 256), spacing=(2, 1, 1))
    masks = np.zeros((*scan.shape, 12), np.uint8)
    for number in range(12):
        masks[number : number + 4, 20 * number : 20 * number + 30, 50:90, number] = 1
    path = write_seg(scan, masks)
    del masks
    one = 20 * 256 * 256
    tracemalloc.start()
    segments = read(path, scan.index)
    assert len(segments.table) == 12
    for segment in segments:
        assert segment.mask.any()
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < 6 * one


def test_a_dicomdir_is_no_label_file(scan, write_seg, blob) -> None:
    """It has a SOP class in its File Meta group only."""
    path = write_seg(scan, blob)
    copied = Path(str(get_testdata_file("DICOMDIR"))).read_bytes()
    (path.parent / "DICOMDIR").write_bytes(copied)
    assert read(path.parent, scan.index)["path"].tolist() == [path.name]


def test_a_nifti_file_without_nibabel_is_named(
    scan, write_seg, write_nifti, blob, monkeypatch
) -> None:
    path = write_nifti(blob, scan.affine)
    monkeypatch.setitem(sys.modules, "nibabel", None)
    with pytest.raises(wr.errors.MissingExtraError, match=f"{path.name}, a NIfTI file, needs"):
        read(path.parent, scan.index)

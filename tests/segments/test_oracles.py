"""DICOM SEG against dcmqi, by world point: synthetic files, and real ones beside the project."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import SimpleITK

import wetread as wr

SERIES = Path(__file__).resolve().parents[3] / "shared" / "data" / "series"
REAL = (
    "seg/liver.dcm",
    "seg/seg_image_ct_binary.dcm",
    "seg/seg_image_ct_binary_overlap.dcm",
    "seg/seg_image_ct_true_fractional.dcm",
    "seg/sparse-labelmap-noppv.dcm",
    "ct-series-and-enhanced/seg_label.seg",
)
Points = set[tuple[float, ...]]


def run_dcmqi(path: Path, folder: Path) -> dict[int, Points]:
    """World points of every segment; dcmqi writes one file per segment."""
    program = Path(sys.executable).with_name("segimage2itkimage")
    folder.mkdir()
    command = [program, "--inputDICOM", path, "--outputDirectory", folder, "-t", "nii"]
    subprocess.run(command, check=True, capture_output=True)
    found = {}
    for file in folder.glob("*.nii.gz"):
        image = SimpleITK.ReadImage(str(file))
        values = SimpleITK.GetArrayFromImage(image)
        steps = np.reshape(image.GetDirection(), (3, 3)) * image.GetSpacing()
        points = np.argwhere(values)[:, ::-1] @ steps.T + image.GetOrigin()
        found[int(file.name.partition(".")[0])] = set(map(tuple, points.round(2)))
    return found


def compare(path: Path, folder: Path) -> None:
    theirs = run_dcmqi(path, folder)
    segments = wr.read_segments(path, threshold=0, progress=False)
    assert set(segments["number"]) == {number for number, points in theirs.items() if points}
    for segment in segments:
        mask, affine = segment.native()
        points = np.argwhere(mask) @ affine[:3, :3].T + affine[:3, 3]
        assert set(map(tuple, points.round(2))) == theirs[segment.number]
        assert segment.voxels == mask.sum()


@pytest.mark.parametrize("kind", ["BINARY", "FRACTIONAL", "LABELMAP"])
def test_synthetic_files(kind, make_scan, write_seg, blob, tmp_path) -> None:
    scan = make_scan(orientation=(0.6, 0.8, 0.0, 0.0, 0.0, -1.0))
    compare(write_seg(scan, blob, kind), tmp_path / "out")


@pytest.mark.skipif(not SERIES.is_dir(), reason="no real files beside the project")
@pytest.mark.parametrize("name", REAL)
def test_real_files(name, tmp_path) -> None:
    compare(SERIES / name, tmp_path / "out")


@pytest.mark.skipif(not SERIES.is_dir(), reason="no real files beside the project")
def test_a_real_mask_on_its_volume(tmp_path) -> None:
    """The liver of three slices: on the grid of the CT, and at the same world points."""
    images = wr.scan(SERIES / "ct-3-slices", progress=False)
    (segment,) = wr.read_segments(SERIES / "seg" / "liver.dcm", images=images, progress=False)
    assert segment.aligned is True
    assert segment.volume is not None
    assert segment.mask.shape == segment.volume.shape
    points = np.argwhere(segment.mask) @ segment.volume.affine[:3, :3].T
    points += segment.volume.affine[:3, 3]
    theirs = run_dcmqi(SERIES / "seg" / "liver.dcm", tmp_path / "out")[1]
    assert set(map(tuple, points.round(2))) == theirs

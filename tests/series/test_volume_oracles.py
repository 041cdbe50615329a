"""Volumes of real series equal those of pydicom, SimpleITK, highdicom and dcm2niix."""

from __future__ import annotations

import itertools
import subprocess
import sys
import warnings
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import nibabel
import numpy as np
import pydicom
import pydicom.data
import pytest
import SimpleITK

import wetread as wr
from wetread.series.volume import Volume

SHARED = Path(__file__).resolve().parents[3] / "shared" / "data" / "series"
DICOMDIR = Path(pydicom.data.__file__).parent / "test_files" / "dicomdirtests"
Rows = list[dict[str, Any]]
VOLUMES = {
    "ct-3-slices": 1,
    "ct-gantry-tilt": 0,
    "ct-rtstruct": 1,
    "ct-series-and-enhanced": 2,
    "ct-uneven-spacing": 0,
    "mr-clean": 1,
    "mr-dti-2-volumes": 2,
    "mr-enhanced-per-frame": 4,
    "mr-jpegls": 1,
    "mr-multiframe-ultra-low-field": 1,
    "mr-non-isotropic": 1,
    "mr-philips-ippprecision": 1,
    "mr-rgb": 1,
    "mr-two-orientations": 2,
    "seg": 0,
}
"""Number of volumes of each folder of real series."""
FLIP = np.diag([-1.0, -1.0, 1.0, 1.0])
"""LPS to RAS."""


@pytest.fixture(scope="module", params=[*VOLUMES, "dicomdirtests"])
def index(request: pytest.FixtureRequest) -> wr.Index:
    """Index of one folder."""
    folder = DICOMDIR if request.param == "dicomdirtests" else SHARED / request.param
    if not folder.is_dir():
        pytest.skip("no series beside the project")
    return wr.scan(folder, workers=0, progress=False)


@pytest.fixture(autouse=True)
def quiet() -> Iterator[None]:
    """Without the warnings of pydicom and highdicom about these files."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        yield


def volumes(index: wr.Index) -> list[Volume]:
    return [volume for series in index.series for volume in series.volumes]


def path_of(index: wr.Index, id_: str) -> Path:
    row = index.table["id"].to_pylist().index(id_)
    return Path(index.root, index.table["path"][row].as_py())


def paths(index: wr.Index, volume: Volume) -> list[Path]:
    """Files of a volume, each once, in the order of its slices."""
    return list(dict.fromkeys(path_of(index, one.id) for one in volume.slices))


def values(volume: Volume) -> np.ndarray:
    return volume.stored if volume.grid.samples > 1 else volume.array


def corners(affine: np.ndarray, shape: Any) -> np.ndarray:
    """World points of the corner voxels, sorted."""
    ends = [(0, size - 1) for size in shape[:3]]
    points = np.array(list(itertools.product(*ends))) @ affine[:3, :3].T + affine[:3, 3]
    return points[np.lexsort(points.round(2).T)]


def test_number_of_volumes(index: wr.Index) -> None:
    assert len(volumes(index)) == VOLUMES.get(Path(index.root).name, 1)


def test_every_slice_is_where_pydicom_finds_it(index: wr.Index) -> None:
    """Position, orientation and values of each slice, read independently."""
    for volume in volumes(index):
        for n, one in enumerate(volume.slices):
            file = pydicom.dcmread(path_of(index, one.id))
            levels = [file]
            if "PerFrameFunctionalGroupsSequence" in file:
                levels = [
                    file.PerFrameFunctionalGroupsSequence[one.frame],
                    file.SharedFunctionalGroupsSequence[0],
                    file,
                ]

            def find(macro: str, keyword: str, levels: Any = levels) -> Any:
                groups = (level[macro][0] if macro in level else level for level in levels)
                return next((group[keyword].value for group in groups if keyword in group), None)

            position = find("PlanePositionSequence", "ImagePositionPatient")
            np.testing.assert_allclose(
                volume.affine[:3] @ [n, 0, 0, 1], position, atol=0.1 + 0.01 * volume.spacing[0]
            )
            orientation = np.array(find("PlaneOrientationSequence", "ImageOrientationPatient"))
            row, column = volume.affine[:3, 2], volume.affine[:3, 1]
            cosines = np.r_[row / np.linalg.norm(row), column / np.linalg.norm(column)]
            np.testing.assert_allclose(cosines, orientation, atol=2e-4)
            spacing = find("PixelMeasuresSequence", "PixelSpacing")
            assert volume.spacing[1:] == pytest.approx(tuple(spacing))
            pixels = file.pixel_array
            pixels = pixels[one.frame] if int(file.get("NumberOfFrames", 1)) > 1 else pixels
            np.testing.assert_array_equal(volume.stored[n], pixels)
            if pixels.ndim == 2:
                macro = "PixelValueTransformationSequence"
                slope, shift = (find(macro, f"Rescale{k}") for k in ("Slope", "Intercept"))
                wanted = pixels * float(slope or 1) + float(shift or 0)
                np.testing.assert_allclose(volume.array[n], wanted, rtol=1e-6)


def test_simpleitk(index: wr.Index) -> None:
    """Array and corners of the files in the order of our slices."""
    for volume in volumes(index):
        files = paths(index, volume)
        if len(files) != len(volume.slices):
            continue  # frames of multi-frame images: see highdicom and dcm2niix
        reader = SimpleITK.ImageSeriesReader()
        reader.SetFileNames([str(path) for path in files])
        image = reader.Execute()
        array = SimpleITK.GetArrayFromImage(image)
        if array.dtype.kind in "iu":
            np.testing.assert_array_equal(values(volume), array)
        else:
            np.testing.assert_allclose(values(volume), array, rtol=1e-3)
        affine = np.eye(4)
        direction = np.reshape(image.GetDirection(), (3, 3)) * image.GetSpacing()
        affine[:3, :3], affine[:3, 3] = direction[:, ::-1], image.GetOrigin()
        found = corners(volume.affine, volume.shape)
        np.testing.assert_allclose(found, corners(affine, volume.shape), atol=1e-3)
        named = reader.GetGDCMSeriesFileNames(str(files[0].parent), one_series(files[0]))
        if len(named) == len(files):  # the order of slices, if the series is one volume
            assert [Path(name) for name in named] == files


def one_series(path: Path) -> str:
    return str(pydicom.dcmread(path, stop_before_pixels=True).SeriesInstanceUID)


def test_highdicom(index: wr.Index, tmp_path: Path) -> None:
    """highdicom's volume begins at the other end; it needs a Frame of Reference UID."""
    from highdicom import get_volume_from_series, imread

    for volume in volumes(index):
        if volume.grid.samples > 1:
            continue
        read = [pydicom.dcmread(path) for path in paths(index, volume)]
        for file in read:
            file.FrameOfReferenceUID = "2.25.4"
        if len(read) == len(volume.slices):
            theirs = get_volume_from_series(read)
        else:
            (file,) = read
            file.save_as(tmp_path / "a.dcm")
            theirs = imread(tmp_path / "a.dcm").get_volume()
        assert theirs.spatial_shape == volume.shape
        np.testing.assert_allclose(volume.array, theirs.array[::-1], rtol=1e-5, atol=1e-3)
        last = theirs.affine @ [volume.shape[0] - 1, 0, 0, 1]
        np.testing.assert_allclose(volume.affine[:3, 3], last[:3], atol=1e-3)
        wanted = corners(theirs.affine, theirs.spatial_shape)
        np.testing.assert_allclose(corners(volume.affine, volume.shape), wanted, atol=1e-3)


def convert(folder: Path, to: Path) -> list[nibabel.Nifti1Image]:
    """Volumes of dcm2niix, those of several times apart."""
    program = Path(sys.executable).parent / "dcm2niix"
    subprocess.run(
        [program, "-z", "n", "-b", "n", "-f", "%s_%d", "-o", to, folder],
        capture_output=True,
        check=False,
    )
    images = [nibabel.load(path) for path in sorted(to.glob("*.nii"))]
    return [
        part
        for image in images
        for part in (nibabel.four_to_three(image) if image.ndim == 4 else [image])
    ]


def equals(volume: Volume, image: nibabel.Nifti1Image) -> bool:
    """True if each voxel has the value of the voxel of a NIfTI image at the same world point."""
    if sorted(image.shape[:3]) != sorted(volume.shape):
        return False
    to_index = np.linalg.inv(image.affine) @ FLIP @ volume.affine
    grid = np.indices(volume.shape).reshape(3, -1)
    at = to_index[:3, :3] @ grid + to_index[:3, 3:]
    near = np.rint(at).astype(int)
    inside = (near >= 0).all() and (near < np.array(image.shape[:3])[:, None]).all()
    if not inside or np.abs(at - near).max() > 0.02:
        return False
    data = np.asanyarray(image.dataobj)
    if data.dtype.names:
        data = np.stack([data[name] for name in data.dtype.names], axis=-1)
    theirs = data[tuple(near)].reshape(values(volume).shape)
    return np.allclose(values(volume), theirs, rtol=1e-3, atol=1e-3)


def test_dcm2niix(index: wr.Index, tmp_path: Path) -> None:
    """Every volume is one of dcm2niix, by values and world points; its corners within 5 um."""
    images = convert(Path(index.root), tmp_path)
    for volume in volumes(index):
        same = [image for image in images if equals(volume, image)]
        assert same, f"{volume} is none of {[image.shape for image in images]}"
        ours = corners(FLIP @ volume.affine, volume.shape)
        theirs = [corners(image.affine, image.shape) for image in same]
        assert min(np.abs(ours - one).max() for one in theirs) < 5e-3


def test_harmless_variants(
    harmless: Callable[[Rows], Rows], scan_series: Any, ct: Any, tmp_path: Path
) -> None:
    """SimpleITK and dcm2niix read the same volume; SimpleITK cuts the fractions of slopes."""
    chance = np.random.default_rng(0)
    rows = [
        {**row, "rows": 16, "columns": 12, "pixels": values.tobytes()}
        for row, values in zip(ct(12), chance.integers(0, 4000, (12, 16, 12), "<u2"), strict=True)
    ]
    index = scan_series(harmless(rows))
    volume = index.series[0].volume
    (tmp_path / "to").mkdir()
    assert any(equals(volume, image) for image in convert(Path(index.root), tmp_path / "to"))
    reader = SimpleITK.ImageSeriesReader()
    names = reader.GetGDCMSeriesFileNames(index.root)
    assert [Path(name) for name in names] == paths(index, volume)
    reader.SetFileNames(names)
    array = SimpleITK.GetArrayFromImage(reader.Execute())
    np.testing.assert_allclose(volume.array, array, atol=harmless.__name__ == "slopes")

"""NIfTI files, read back by nibabel and SimpleITK."""

from __future__ import annotations

import gzip
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import nibabel
import numpy as np
import pytest
import SimpleITK

import wetread as wr
from wetread.errors import MissingExtraError, StorageError, UsageError
from wetread.series.volume import Volume

Rows = list[dict[str, Any]]
Scan = Callable[..., wr.Index]
Make = Callable[..., Rows]
OBLIQUE = (0.8, 0.6, 0, -0.36, 0.48, -0.8)
FLIP = np.diag([-1.0, -1.0, 1.0, 1.0])


def words(rows: Rows) -> Rows:
    """Rows whose pixels are all different, across the slices too."""
    return [
        {**row, "rows": 6, "columns": 9, "pixels": pixels(n).tobytes()}
        for n, row in enumerate(rows)
    ]


def pixels(n: int) -> np.ndarray:
    return (np.arange(54).reshape(6, 9) + 54 * n).astype("<u2")


@pytest.fixture
def volume(scan_series: Scan, ct: Make) -> Volume:
    rows = ct(7, orientation=OBLIQUE, step=2.5, PixelSpacing=["0.7", "0.9"])
    return scan_series(words(rows)).series[0].volume


def check(volume: Volume, path: Path, atol: float = 1e-3) -> None:
    """nibabel and SimpleITK find each value at the world point where the volume has it."""
    image = nibabel.load(path)
    assert image.shape == volume.shape[::-1]
    assert image.get_qform(coded=True)[1] == image.get_sform(coded=True)[1] == 1
    assert image.header.get_xyzt_units()[0] == "mm"
    np.testing.assert_allclose(image.get_qform(), image.get_sform(), atol=1e-3)
    data = image.get_fdata()
    for k, j, i in ((0, 0, 0), (2, 3, 4), (6, 5, 8), (0, 5, 0), (6, 0, 0)):
        world = volume.affine @ [k, j, i, 1]
        at = np.linalg.inv(image.affine) @ FLIP @ world
        np.testing.assert_allclose(at[:3], (i, j, k), atol=1e-3)
        assert data[i, j, k] == pytest.approx(volume.array[k, j, i], abs=atol)
    itk = SimpleITK.ReadImage(str(path))
    np.testing.assert_allclose(SimpleITK.GetArrayFromImage(itk), volume.array, atol=atol)
    for k, j, i in ((0, 0, 0), (6, 5, 8)):
        point = itk.TransformIndexToPhysicalPoint((i, j, k))
        np.testing.assert_allclose(point, (volume.affine @ [k, j, i, 1])[:3], atol=1e-3)


@pytest.mark.parametrize("suffix", [".nii", ".nii.gz"])
def test_a_constant_rescale_is_in_the_header(suffix: str, volume: Volume, tmp_path: Path) -> None:
    path = tmp_path / f"ct{suffix}"
    saved = volume.save(path)
    check(volume, path)
    image = nibabel.load(path)
    assert image.get_data_dtype() == np.uint16
    assert (image.dataobj.slope, image.dataobj.inter) == (1.5, -1024)
    assert saved == ("uint16", 1.5, -1024)
    np.testing.assert_array_equal(np.asarray(image.dataobj.get_unscaled()).T, volume.stored)
    assert [one.name for one in tmp_path.glob("ct*")] == [f"ct{suffix}"]


def test_a_rescale_per_slice_is_applied(scan_series: Scan, ct: Make, tmp_path: Path) -> None:
    rows = [{**row, "RescaleSlope": f"{1 + n / 7:.6f}"} for n, row in enumerate(ct(7))]
    volume = scan_series(words(rows)).series[0].volume
    assert volume.save(tmp_path / "pt.nii.gz") == ("float32", None, None)
    check(volume, tmp_path / "pt.nii.gz")


@pytest.mark.parametrize(
    "orientation", [(1, 0, 0, 0, 1, 0), (0, 1, 0, 0, 0, -1), (-1, 0, 0, 0, 1, 0)]
)
def test_directions(orientation: Any, scan_series: Scan, ct: Make, tmp_path: Path) -> None:
    volume = scan_series(words(ct(7, orientation=orientation))).series[0].volume
    volume.save(tmp_path / "a.nii")
    check(volume, tmp_path / "a.nii")


def test_signed_values(scan_series: Scan, ct: Make, tmp_path: Path) -> None:
    signed = {"PixelRepresentation": 1, "BitsStored": 16, "HighBit": 15}
    rows = [row | signed for row in words(ct(7))]
    for row in rows:
        row["pixels"] = (np.frombuffer(row["pixels"], "<i2") - 200).astype("<i2").tobytes()
    volume = scan_series(rows).series[0].volume
    assert volume.save(tmp_path / "a.nii").dtype == "int16"
    check(volume, tmp_path / "a.nii")


def test_colour(scan_series: Scan, ct: Make, tmp_path: Path) -> None:
    colour = {
        "SamplesPerPixel": 3,
        "PhotometricInterpretation": "RGB",
        "PlanarConfiguration": 0,
        "BitsAllocated": 8,
        "BitsStored": 8,
        "HighBit": 7,
        "pixels": bytes(range(192)),
    }
    volume = scan_series([row | colour for row in ct(4)]).series[0].volume
    volume.save(tmp_path / "rgb.nii")
    array = SimpleITK.GetArrayFromImage(SimpleITK.ReadImage(str(tmp_path / "rgb.nii")))
    np.testing.assert_array_equal(array, volume.stored)
    data = np.asarray(nibabel.load(tmp_path / "rgb.nii").dataobj)
    np.testing.assert_array_equal(data["G"].T, volume.stored[..., 1])


def test_the_same_volume_gives_the_same_file(volume: Volume, tmp_path: Path) -> None:
    for name in ("a.nii.gz", "b.nii.gz"):
        volume.save(tmp_path / name)
    first, second = ((tmp_path / name).read_bytes() for name in ("a.nii.gz", "b.nii.gz"))
    assert first == second
    volume.save(str(tmp_path / "a.nii"))
    assert gzip.decompress(first) == (tmp_path / "a.nii").read_bytes()


def test_a_full_disk_leaves_the_file_of_before(volume: Volume, tmp_path: Path) -> None:
    resource = pytest.importorskip("resource")
    path = tmp_path / "to" / "ct.nii"
    path.parent.mkdir()
    path.write_bytes(b"before")
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    volume.table  # noqa: B018
    resource.setrlimit(resource.RLIMIT_FSIZE, (500, hard))
    try:
        with pytest.raises(StorageError, match=r"ct.nii cannot be written: File too large"):
            volume.save(path)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
    assert path.read_bytes() == b"before"
    assert [one.name for one in path.parent.iterdir()] == ["ct.nii"]


def test_a_slice_that_is_gone_leaves_no_file(scan_series: Scan, ct: Make, tmp_path: Path) -> None:
    index = scan_series(words(ct(7)))
    Path(index.root, "0-003.dcm").unlink()
    with pytest.raises(wr.errors.NotFoundError, match=r"0-003.dcm"):
        index.series[0].volume.save(tmp_path / "a.nii")
    assert not (tmp_path / "a.nii").exists()


def test_bad_usage(volume: Volume, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(UsageError, match=r"saved as .nii or .nii.gz"):
        volume.save(tmp_path / "ct.mha")
    with pytest.raises(StorageError, match="cannot be written"):
        volume.save(tmp_path / "nowhere" / "ct.nii")
    monkeypatch.setitem(sys.modules, "nibabel", None)
    with pytest.raises(MissingExtraError, match=r"pip install '.\[nifti\]'"):
        volume.save(tmp_path / "ct.nii")

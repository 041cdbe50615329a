"""NIfTI masks and data sets of nnU-Net: equal to the masks, and accepted by nnU-Net."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import nibabel
import numpy as np
import pytest
import SimpleITK

import wetread as wr

VERIFY = """
import sys
from nnunetv2.experiment_planning.verify_dataset_integrity import verify_dataset_integrity

if __name__ == "__main__":
    verify_dataset_integrity(sys.argv[1], 1)
"""


def world(path: Path) -> dict[tuple[float, ...], int]:
    """Values of a NIfTI file by world point in LPS mm, without zeros."""
    image = SimpleITK.ReadImage(str(path))
    values = SimpleITK.GetArrayFromImage(image)
    return {
        tuple(np.round(image.TransformIndexToPhysicalPoint(list(map(int, at[::-1]))), 2)): int(
            values[tuple(at)]
        )
        for at in np.argwhere(values)
    }


def points(mask: np.ndarray, affine: np.ndarray) -> set[tuple[float, ...]]:
    found = np.argwhere(mask) @ affine[:3, :3].T + affine[:3, 3]
    return set(map(tuple, found.round(2)))


def test_masks(scan, write_seg, blob, tmp_path) -> None:
    masks = np.stack([blob, np.roll(blob, 1, axis=1)], axis=-1)  # they overlap
    segments = wr.read_segments(write_seg(scan, masks), images=scan.index, progress=False)
    manifest = segments.save(tmp_path / "out", progress=False)
    assert manifest["status"].to_pylist() == ["ok", "ok"]
    for number, name in enumerate(manifest["file"].to_pylist()):
        found = world(tmp_path / "out" / name)
        assert set(found) == points(masks[..., number], scan.affine)
    again = wr.read_segments(tmp_path / "out", images=scan.index, progress=False)
    assert again["aligned"].tolist() == [True, True]
    np.testing.assert_array_equal(again[0].mask, blob)


@pytest.fixture
def data_set(make_scan, write_seg, blob, tmp_path) -> tuple[Path, wr.Segments]:
    """Two cases of two labels, as nnU-Net wants them."""
    other = np.zeros_like(blob)
    other[5:7, 15:25, 12:18] = True
    scans = [make_scan(name) for name in ("one", "two")]
    paths = [
        write_seg(scan, np.stack([blob, other], axis=-1), labels=["liver", "lesion"], name=name)
        for scan, name in zip(scans, ("a.dcm", "b.dcm"), strict=True)
    ]
    index = wr.scan([scan.folder for scan in scans], progress=False)
    segments = wr.read_segments(paths, images=index, progress=False)
    segments.save(tmp_path / "Dataset001_Test", "nnunet", progress=False)
    return tmp_path / "Dataset001_Test", segments


def test_the_layout_of_nnunet(data_set) -> None:
    folder, segments = data_set
    content = json.loads((folder / "dataset.json").read_text())
    assert content == {
        "channel_names": {"0": "CT"},
        "labels": {"background": 0, "lesion": 1, "liver": 2},
        "numTraining": 2,
        "file_ending": ".nii.gz",
    }
    for series_id in set(segments["series_id"]):
        image = nibabel.load(folder / "imagesTr" / f"{series_id}_0000.nii.gz")
        labels = nibabel.load(folder / "labelsTr" / f"{series_id}.nii.gz")
        np.testing.assert_array_equal(image.affine, labels.affine)
        assert image.shape == labels.shape
    for segment in segments:
        found = world(folder / "labelsTr" / f"{segment.row['series_id']}.nii.gz")
        wanted = {at for at, value in found.items() if value == content["labels"][segment.label]}
        assert segment.volume is not None
        assert wanted == points(segment.mask, segment.volume.affine)


def test_an_earlier_form_in_the_folder_is_replaced(data_set, tmp_path) -> None:
    folder = tmp_path / "out"
    data_set[1].save(folder, "nnunet", progress=False)
    manifest = data_set[1].save(folder, "nifti", progress=False)
    files = {path.name for path in folder.rglob("*") if path.is_file()}
    assert files == {"manifest.csv", *manifest["file"].to_pylist()}


def test_nnunet_accepts_it(data_set, tmp_path) -> None:
    folder, _ = data_set
    script = tmp_path / "verify.py"
    script.write_text(VERIFY)
    ran = subprocess.run([sys.executable, script, folder], capture_output=True, text=True)
    assert ran.returncode == 0, ran.stdout + ran.stderr
    assert "verify_dataset_integrity Done" in ran.stdout


def test_what_does_not_fit_is_left_out(scan, write_seg, blob, tmp_path) -> None:
    masks = np.stack([blob, np.roll(blob, 1, axis=1)], axis=-1)
    path = write_seg(scan, masks, labels=["liver", "lesion"])
    segments = wr.read_segments(path, images=scan.index, progress=False)
    manifest = segments.save(tmp_path / "out", "nnunet", progress=False)
    assert manifest["status"].to_pylist() == ["overlap", "overlap"]
    assert "'lesion' overlaps 'liver'" in manifest["text"][0].as_py()
    assert not list((tmp_path / "out" / "labelsTr").iterdir())
    written = (tmp_path / "out" / "manifest.csv").read_text()
    assert written.count("'lesion' overlaps 'liver'") == 2


def test_two_readers_of_one_label_are_no_data_set(
    scan, write_seg, write_nifti, blob, tmp_path
) -> None:
    paths = [write_seg(scan, blob, labels=["a"], name=name) for name in ("a.dcm", "b.dcm")]
    segments = wr.read_segments(paths, images=scan.index, progress=False)
    manifest = segments.save(tmp_path / "out", "nnunet", progress=False)
    assert "several files" in manifest["text"][0].as_py()
    one = segments.where("path = 'a.dcm'").save(tmp_path / "one", "nnunet", progress=False)
    assert one["status"].to_pylist() == ["ok"]


def test_nothing_aligned_is_an_error(scan, write_seg, blob, tmp_path) -> None:
    segments = wr.read_segments(write_seg(scan, blob), progress=False)
    with pytest.raises(wr.errors.UsageError, match=r"segments\.problems"):
        segments.save(tmp_path / "out", progress=False)
    with pytest.raises(wr.errors.UnknownNameError, match="nnunet"):
        segments.save(tmp_path / "out", "nnunett", progress=False)  # type: ignore[arg-type]

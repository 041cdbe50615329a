"""Pictures of a report about series: the middle slice of each."""

from __future__ import annotations

from pathlib import Path

import wetread as wr
from wetread.reports.build import build
from wetread.testing.dicom import dicom_file, picture
from wetread.testing.series import stack, write


def test_one_picture_per_series(tmp_path: Path) -> None:
    for number in range(3):
        slices = stack(9 + number, SeriesInstanceUID=f"2.25.{70 + number}")
        for n, one in enumerate(slices):
            one["SOPInstanceUID"] = f"2.25.{80 + number}.{n}"
        write(tmp_path / f"ct{number}", slices)
    (tmp_path / "dx.dcm").write_bytes(dicom_file(picture(7)))
    index = wr.scan(tmp_path, workers=0, progress=False)
    report = build(index, workers=1)
    paths = dict(index.to_pandas()[["id", "path"]].to_numpy().tolist())
    sample = [paths[id_] for id_ in report.data["sections"]["pictures"]["sample"]]
    assert sample == ["ct0/004.dcm", "ct1/005.dcm", "ct2/005.dcm", "dx.dcm"]
    assert "the middle slice of each" in report.html
    assert "9 slices" in report.html


def test_images_of_series_with_one_slice_are_sampled(tmp_path: Path) -> None:
    for number in range(20):
        (tmp_path / f"{number:02}.dcm").write_bytes(dicom_file(picture(number)))
    report = build(wr.scan(tmp_path, workers=0, progress=False), workers=1)
    assert len(report.data["sections"]["pictures"]["sample"]) == 12
    assert "Sample of the images, evenly spaced" in report.html


def test_one_picture_per_series_with_boxes(tmp_path: Path) -> None:
    for number in range(3):
        slices = stack(9, SeriesInstanceUID=f"2.25.{70 + number}")
        for n, one in enumerate(slices):
            one["SOPInstanceUID"] = f"2.25.{80 + number}.{n}"
        write(tmp_path / f"ct{number}", slices)
    (tmp_path / "dx.dcm").write_bytes(dicom_file(picture(7)))
    lines = ["image_id,class_name,x_min,y_min,x_max,y_max"]
    uids = [*(f"2.25.80.{n}" for n in (1, 2, 3, 7, 8)), "2.25.82.5"]
    lines += [f"{uid},Nodule,1,1,3,3" for uid in uids]
    (tmp_path / "boxes.csv").write_text("\n".join(lines) + "\n")
    index = wr.scan(tmp_path, workers=0, progress=False)
    boxes = wr.read_boxes(tmp_path / "boxes.csv", index)
    report = build(index, boxes, workers=1)
    paths = dict(index.to_pandas()[["id", "path"]].to_numpy().tolist())
    sample = [paths[id_] for id_ in report.data["sections"]["pictures"]["sample"]]
    assert sample == ["ct0/003.dcm", "ct2/005.dcm"]
    assert "the middle one of the slices with boxes" in report.html
    assert "Nodule; boxes on 5 slices" in report.html

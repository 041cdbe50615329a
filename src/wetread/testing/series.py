"""Synthetic series: one dictionary of elements per slice, for tests to change and write."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np

from wetread.testing.dicom import changed, dicom_file, element, picture

CT = "1.2.840.10008.5.1.4.1.1.2"
AXIAL = (1, 0, 0, 0, 1, 0)
SLICES = 40
Rows = list[dict[str, Any]]


def stack(
    count: int = SLICES,
    orientation: Any = AXIAL,
    origin: Any = (-20, -30, 100),
    step: float = 1.0,
    **elements: Any,
) -> Rows:
    """Slices of a CT along the normal of their orientation, with pixels of their own."""
    row, column = np.reshape(orientation, (2, 3)).astype(float)
    normal = np.cross(row, column)
    return [
        {
            "SOPClassUID": CT,
            "Modality": "CT",
            "PatientID": "P1",
            "StudyInstanceUID": "2.25.1",
            "SeriesInstanceUID": "2.25.2",
            "SOPInstanceUID": f"2.25.3.{n}",
            "FrameOfReferenceUID": "2.25.4",
            "ImageType": ["ORIGINAL", "PRIMARY", "AXIAL"],
            "InstanceNumber": str(n + 1),
            "AcquisitionNumber": "1",
            "ImagePositionPatient": decimals(np.asarray(origin, float) + n * step * normal),
            "ImageOrientationPatient": decimals(np.r_[row, column]),
            "PixelSpacing": ["0.7", "0.7"],
            "SliceThickness": "1",
            "rows": 8,
            "columns": 8,
            "pixels": bytes([n % 251, 0]) * 64,
            **elements,
        }
        for n in range(count)
    ]


def decimals(values: Any) -> list[str]:
    """Decimal Strings of at most 16 characters (PS3.5 6.2)."""
    return [f"{value:.10g}"[:16] for value in values]


def write(folder: Path, slices: Rows, name: str = "{:03}.dcm") -> None:
    """Write slices as files; a value of None leaves an element out, `private` is a list of them."""
    folder.mkdir(parents=True, exist_ok=True)
    for number, given in enumerate(slices):
        values = dict(given)
        pixels, rows, columns = (values.pop(key) for key in ("pixels", "rows", "columns"))
        elements = changed(
            picture(1, rows, columns),
            *values.pop("private", ()),
            element("PixelData", pixels, vr="OW"),
            *(element(key, value) for key, value in values.items() if value is not None),
            without=[key for key, value in values.items() if value is None],
        )
        (folder / name.format(number)).write_bytes(dicom_file(elements))

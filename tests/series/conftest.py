"""Synthetic series: one dictionary of elements per slice, changed by each test, then scanned."""

from __future__ import annotations

import random
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

import wetread as wr
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


@pytest.fixture
def scan_series(tmp_path: Path) -> Callable[..., wr.Index]:
    """Write slices into a folder and scan it."""

    def scan(*series: Rows, folder: str = "images") -> wr.Index:
        for number, slices in enumerate(series):
            write(tmp_path / folder, slices, f"{number}-{{:03}}.dcm")
        return wr.scan(tmp_path / folder, workers=0, progress=False)

    return scan


@pytest.fixture
def ct() -> Callable[..., Rows]:
    """See `stack`."""
    return stack


def clean(rows: Rows) -> Rows:
    return rows


def shuffled(rows: Rows) -> Rows:
    return random.Random(1).sample(rows, len(rows))


def random_numbers(rows: Rows) -> Rows:
    numbers = random.Random(2).sample(range(1000), len(rows))
    return [{**row, "InstanceNumber": str(n)} for row, n in zip(rows, numbers, strict=True)]


def wrong_thickness(rows: Rows) -> Rows:
    return [{**row, "SliceThickness": "5"} for row in rows]


def slopes(rows: Rows) -> Rows:
    return [{**row, "RescaleSlope": f"{1 + n / 100}"} for n, row in enumerate(rows)]


def no_frame_of_reference(rows: Rows) -> Rows:
    return [{**row, "FrameOfReferenceUID": None} for row in rows]


HARMLESS = [clean, shuffled, random_numbers, wrong_thickness, slopes, no_frame_of_reference]


@pytest.fixture(params=HARMLESS, ids=lambda change: change.__name__)
def harmless(request: pytest.FixtureRequest) -> Callable[[Rows], Rows]:
    """Change of the rows that leaves the volume as it is."""
    return request.param

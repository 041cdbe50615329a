"""Real files as DCMTK reads them: a judge that shares no code with pydicom or wetread."""

from __future__ import annotations

import json
import subprocess
from pathlib import Path
from typing import Any

import pytest
from pydicom.datadict import tag_for_keyword

import wetread as wr

KEYWORDS = [
    *("SOPClassUID", "StudyInstanceUID", "SeriesInstanceUID", "Modality", "ImageType", "PatientID"),
    *("Rows", "Columns", "SamplesPerPixel", "PhotometricInterpretation", "PixelRepresentation"),
]


def read_by_dcmtk(file: Path) -> dict[str, Any] | None:
    """A file as DICOM JSON, or None where DCMTK refuses it."""
    done = subprocess.run(["dcm2json", str(file)], capture_output=True)
    return json.loads(done.stdout) if done.returncode == 0 else None


def value_of(said: dict[str, Any], keyword: str) -> Any:
    values = said.get(f"{tag_for_keyword(keyword):08X}", {}).get("Value", [])
    if keyword == "ImageType":
        return [value or "" for value in values]  # DICOM JSON has null for an empty one
    return values[0] if values else None


@pytest.mark.apt("dcmtk", "dcm2json")
def test_values_are_dcmtk_s(real_files: list[Path]) -> None:
    small = [file for file in real_files if file.stat().st_size < 100_000]
    index = wr.scan(small, progress=False)
    compared = 0
    for row in index.where("read_status = 'ok'").table.to_pylist():
        said = read_by_dcmtk(Path(index.root, row["path"]))
        if said is None:
            continue
        for keyword in KEYWORDS:
            assert (row[keyword] or None) == (value_of(said, keyword) or None), row["path"]
            compared += 1
    print(f"{compared} values compared")
    assert compared > 1000

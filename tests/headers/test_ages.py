"""AGE_SUSPECT, and the years that reports count."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

import wetread as wr
from wetread.testing import dicom_file, element, picture, radiograph_file
from wetread.testing.dicom import changed


def scan_one(folder: Path, **values: str) -> dict[str, Any]:
    elements = changed(picture(), *(element(keyword, text) for keyword, text in values.items()))
    (folder / "a.dcm").write_bytes(dicom_file(elements))
    return wr.scan(folder, workers=0, progress=False)[0].row


@pytest.mark.parametrize(
    ("age", "years", "said"),
    [
        ("000Y", None, "unknown"),
        ("00Y", None, "unknown"),
        ("000D", 0.0, None),  # born on the day
        ("010W", 70 / 365.25, None),
        ("001Y", 1.0, None),
        ("120Y", 120.0, None),
        ("121Y", None, "more than 120"),
        ("999Y", None, "more than 120"),
        ("999M", 999 / 12, None),
        ("", None, None),
        ("unknown", None, None),
    ],
)
def test_ages_that_are_none(
    tmp_path: Path, age: str, years: float | None, said: str | None
) -> None:
    row = scan_one(tmp_path, PatientAge=age)
    assert row["PatientAge"] == (age or None)
    if years is None:
        assert row["patient_age_years"] is None
    else:
        assert row["patient_age_years"] == pytest.approx(years, rel=1e-3)
    texts = [f["text"] for f in row["problems"] if f["code"] == "AGE_SUSPECT"]
    assert [said in text for text in texts] == ([True] if said else [])


@pytest.mark.parametrize(
    ("age", "born", "suspect"),
    [
        ("061Y", "19580601", False),
        ("060Y", "19580601", False),  # a birth date moved to 1 January, an age rounded down
        ("059Y", "19580601", True),
        ("061D", "19580601", True),
        ("003Y", "20230601", True),  # born after the study
        ("061Y", "", False),
        ("061Y", "no date", False),
    ],
)
def test_an_age_against_the_dates(tmp_path: Path, age: str, born: str, suspect: bool) -> None:
    row = scan_one(tmp_path, PatientAge=age, PatientBirthDate=born, StudyDate="20200131")
    found = [f for f in row["problems"] if f["code"] == "AGE_SUSPECT"]
    assert [f["tag"] for f in found] == ["0010,1010"] * suspect
    assert row["patient_age_years"] is not None
    assert not any(text in str(found) for text in (age, "1958", "2020"))


def test_a_report_counts_no_unknown_ages_as_infants(tmp_path: Path) -> None:
    for number in range(12):
        data = radiograph_file(number)
        age = b"000Y" if number % 3 else b"045Y"
        (tmp_path / f"{number:02}.dicom").write_bytes(data.replace(b"061Y", age))
    index = wr.scan(tmp_path, workers=0, progress=False)
    assert index.summary()["problems"]["AGE_SUSPECT"] == 8
    data = wr.report(index, to=tmp_path / "report.html", progress=False).read_text()
    assert "unknown or impossible, such as 000Y: 8." in data
    assert "AGE_SUSPECT" in data

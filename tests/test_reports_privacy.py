"""No value of a patient in a report, unless it is asked for."""

from __future__ import annotations

from pathlib import Path

import pytest
from pydicom.datadict import DicomDictionary

import wetread as wr
from wetread.headers.schema import column_of
from wetread.reports.build import build
from wetread.reports.privacy import SHOWN, kind_of
from wetread.testing.files import changed, dicom_file, element, picture

CANARIES = {
    keyword: f"CANARY{number:02}X"
    for number, keyword in enumerate(
        [
            "AccessionNumber",
            "AdditionalPatientHistory",
            "AdmissionID",
            "AdmittingDiagnosesDescription",
            "CurrentPatientLocation",
            "DeviceSerialNumber",
            "EthnicGroup",
            "ImageComments",
            "InstitutionAddress",
            "InstitutionName",
            "InstitutionalDepartmentName",
            "IssuerOfPatientID",
            "MedicalRecordLocator",
            "NameOfPhysiciansReadingStudy",
            "Occupation",
            "OperatorsName",
            "OtherPatientIDs",
            "OtherPatientNames",
            "PatientAddress",
            "PatientBirthName",
            "PatientComments",
            "PatientID",
            "PatientMotherBirthName",
            "PatientName",
            "PatientTelephoneNumbers",
            "PerformingPhysicianName",
            "ProtocolName",
            "ReferringPhysicianName",
            "RequestingPhysician",
            "SeriesDescription",
            "StationName",
            "StudyDescription",
            "StudyID",
        ]
    )
}


def write(folder: Path, name: str = "image.dcm") -> None:
    more = [element(keyword, value) for keyword, value in CANARIES.items()]
    more += [element("PatientBirthDate", "19010203"), element("StudyDate", "20110405")]
    (folder / name).write_bytes(dicom_file(changed(picture(1, 8, 8), *more)))


def test_no_canary_sings(tmp_path: Path) -> None:
    write(tmp_path)
    index = wr.scan(tmp_path, progress=False)
    page = build(index, workers=1).html
    assert "CANARY" not in page
    assert "1901-02-03" not in page
    assert "2011-04-05" not in page
    assert "image.dcm" in page
    shown = build(index, show_phi=True, workers=1).html
    assert [k for k, v in CANARIES.items() if v not in shown] == []


@pytest.mark.parametrize("name", ["CANARY23X.dcm", "canary21x_1.dcm", "x19010203.dcm"])
def test_names_in_paths_are_not_shown(tmp_path: Path, name: str) -> None:
    (tmp_path / "cut").mkdir()
    write(tmp_path, name)
    data = (tmp_path / name).read_bytes()
    (tmp_path / "cut" / name).write_bytes(data[:-20])  # findings and errors name the file too
    (tmp_path / "again").mkdir()
    (tmp_path / "again" / name).write_bytes(data)
    index = wr.scan(tmp_path, progress=False).measure(progress=False)
    made = build(index, workers=1)
    assert name not in made.html
    assert made.data["sections"]["privacy"]["paths_with_names"] == 3
    assert name in build(index, show_phi=True, workers=1).html


def test_names_of_folders_are_not_shown(tmp_path: Path) -> None:
    folder = tmp_path / "Canary23X"
    folder.mkdir()
    write(folder)
    index = wr.scan(folder, tmp_path / "canary21x.index", progress=False)
    made = build(index, workers=1)
    assert "canary" not in made.html.lower()
    assert made.data["title"] == "data set"
    shown = build(index, show_phi=True, workers=1)
    assert shown.data["title"] == "Canary23X"
    assert "wetread query canary21x.index" in shown.html


def test_pictures_with_burned_in_names_are_not_shown(tmp_path: Path) -> None:
    risk = element("BurnedInAnnotation", "YES")
    (tmp_path / "a.dcm").write_bytes(dicom_file(changed(picture(1, 8, 8), risk)))
    index = wr.scan(tmp_path, progress=False)
    assert index.findings("BURNED_IN_RISK")["path"].to_list() == ["a.dcm"]
    assert "data:image/jpeg" not in build(index, workers=1).html
    assert "data:image/jpeg" in build(index, show_phi=True, workers=1).html


def test_paths_of_this_machine_are_not_in_it(tmp_path: Path) -> None:
    write(tmp_path)
    index = wr.scan(tmp_path, progress=False)
    (tmp_path / "image.dcm").unlink()  # the errors of decoding would name it
    made = build(index, workers=1)
    assert str(tmp_path.parent) not in made.html
    assert "no picture" in made.html


def test_what_is_masked_is_told_by_the_dictionary() -> None:
    kinds = {}
    for tag, (vr, *_, keyword) in DicomDictionary.items():
        if keyword and vr not in ("SQ", "NONE"):
            field = column_of(tag).field()
            kinds[keyword] = (vr, kind_of(field), field.name)
    wrong = [
        keyword
        for keyword, (vr, kind, name) in kinds.items()
        if kind is None
        and name not in SHOWN
        and not name.endswith("_length")
        and set(vr.split(" or "))
        & {"PN", "LO", "SH", "LT", "ST", "UT", "UC", "UI", "DA", "TM", "DT"}
    ]
    assert wrong == []
    assert kinds["PatientName"][1] == kinds["PatientWeight"][1] == "person"
    assert kinds["StudyInstanceUID"][1] == "UID"
    assert kinds["AccessionNumber"][1] == "identifier"
    assert kinds["Modality"][1] is kinds["Rows"][1] is kinds["PatientSex"][1] is None

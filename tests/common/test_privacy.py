"""No value of a patient in a report or the viewer, unless it is asked for."""

from __future__ import annotations

import json
from pathlib import Path

import httpx
import pytest
from pydicom.datadict import DicomDictionary

import wetread as wr
from wetread.common.privacy import SHOWN, kind_of, kind_of_column
from wetread.headers.schema import column_of
from wetread.reports.build import build
from wetread.testing.dicom import Element, changed, dicom_file, element, picture
from wetread.viewer import serve

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


def write(folder: Path, name: str = "image.dcm", *new: Element) -> None:
    more = [element(keyword, value) for keyword, value in CANARIES.items()]
    more += [element("PatientBirthDate", "19010203"), element("StudyDate", "20110405")]
    (folder / name).write_bytes(dicom_file(changed(picture(1, 8, 8), *more, *new)))


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
    (tmp_path / "cut" / name).write_bytes(data[:-20])  # problems and errors name the file too
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
    assert index.problems("BURNED_IN_RISK")["path"].to_list() == ["a.dcm"]
    assert "data:image/jpeg" not in build(index, workers=1).html
    assert "data:image/jpeg" in build(index, show_phi=True, workers=1).html


def test_paths_of_this_machine_are_not_in_it(tmp_path: Path) -> None:
    write(tmp_path)
    index = wr.scan(tmp_path, progress=False)
    (tmp_path / "image.dcm").unlink()  # the errors of decoding would name it
    made = build(index, workers=1)
    assert str(tmp_path.parent) not in made.html
    assert "no picture" in made.html


def write_for_the_viewer(folder: Path) -> None:
    """Canaries in sequences, private elements, values that do not parse, and a file that is cut."""
    order = [element("AccessionNumber", "CANARY60"), element("RequestedProcedureID", "CANARY61")]
    person = [element("PersonName", "CANARY62X"), element("InstitutionName", "CANARY63X")]
    people = element("OperatorIdentificationSequence", [person])
    operator = [element("OperatorsName", "CANARY64X"), people]
    more = [
        element("RequestAttributesSequence", [order]),
        element("ReferencedImageSequence", [operator]),
        Element(0x00091001, "LO", "CANARY65X"),
        Element(0x00090010, "LO", "ACME"),
        element("SeriesDate", "CANARY66"),
        element("PatientAge", "CAN7"),
    ]
    write(folder, "nested.dcm", *more)
    cut = dicom_file(changed(picture(3, 8, 8), element("PatientName", "CANARY67X")))[:-30]
    (folder / "cut.dcm").write_bytes(cut)
    bare = changed(picture(4, 8, 8), element("PatientName", "CANARY68X"), without=["PixelData"])
    (folder / "bare.dcm").write_bytes(dicom_file(bare))


@pytest.mark.parametrize("show", [False, True])
def test_no_canary_sings_in_the_viewer(
    tmp_path: Path, capfd: pytest.CaptureFixture[str], caplog: pytest.LogCaptureFixture, show: bool
) -> None:
    """Whatever is asked, of every image and every column: answers, errors, logs, file names."""
    folder, thumbs = tmp_path / "images", tmp_path / "thumbs"
    folder.mkdir()
    write_for_the_viewer(folder)
    index = wr.scan(folder, private=True, sequences=True, progress=False)
    said = []
    with serve(index, thumbs=thumbs, show_phi=show) as viewer, httpx.Client(
        base_url=f"http://127.0.0.1:{viewer.port}/", headers={"X-Wetread-Token": viewer.token},
        trust_env=False, timeout=60,
    ) as client:  # fmt: skip
        about = client.get("api/about").json()
        names = [column["name"] for column in about["columns"]]
        asks = [f"api/rows?columns={','.join(names)}", f"api/facets?columns={','.join(names)}"]
        wheres = ["NoSuchColumn=1", "PatientName", "PatientName::DATE > '2000-01-01'"]
        wheres += ["error(PatientName)", "regexp_matches('a', PatientName || '(')"]
        asks += [f"api/rows?where={where}" for where in wheres]
        asks += ["api/rows?order=x", "api/rows?search=ACME", about["report"]]
        for image in index:
            asks += [f"api/images/{image.id}{what}" for what in ("", "/header", "/boxes", "/thumb")]
            asks += [f"api/images/{image.id}/header?search={text}" for text in ("CANARY", "name")]
            asks += [f"api/images/{image.id}/preview?window=none", f"api/images/{image.id}?frame=9"]
        said += [json.dumps(about), *(client.get(ask).text for ask in asks)]
    files = [str(path.relative_to(tmp_path)) for path in thumbs.rglob("*")]
    assert len(files) >= 1
    text = "\n".join([*said, *files, caplog.text, *capfd.readouterr()])
    assert "nested.dcm" in text
    assert "ACME" in text
    sung = {n for n in range(100) if f"CANARY{n:02}" in text}
    assert sung == (set() if not show else {*range(len(CANARIES)), *range(60, 69)})
    assert ("1901-02-03" in text or "19010203" in text) == show
    assert ("CAN7" in text) == show


def test_what_is_masked_is_told_by_the_dictionary() -> None:
    kinds = {}
    for tag, (vr, *_, keyword) in DicomDictionary.items():
        if keyword and vr not in ("SQ", "NONE"):
            field = column_of(tag).field()
            kinds[keyword] = (vr, kind_of_column(field), field.name)
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
    assert kind_of("", "OB", 0x00091001) == "text"  # private
    assert kinds["Modality"][1] is kinds["Rows"][1] is kinds["PatientSex"][1] is None

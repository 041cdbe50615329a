"""Files without an image as text."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pydicom
import pytest
from pydicom.dataset import Dataset

from wetread.viewer.documents import MAX_LINES, read_document


def code(meaning: str, value: str = "1", scheme: str = "99TEST") -> list[Dataset]:
    item = Dataset()
    item.CodeValue, item.CodingSchemeDesignator, item.CodeMeaning = value, scheme, meaning
    return [item]


def content(kind: str, name: str, relation: str = "CONTAINS", **values: Any) -> Dataset:
    item = Dataset()
    item.ValueType, item.RelationshipType = kind, relation
    item.ConceptNameCodeSequence = code(name)
    for keyword, value in values.items():
        setattr(item, keyword, value)
    return item


def number(value: str, unit: str) -> list[Dataset]:
    item = Dataset()
    item.NumericValue, item.MeasurementUnitsCodeSequence = value, code(unit, unit, "UCUM")
    return [item]


@pytest.fixture
def report() -> Dataset:
    reference = Dataset()
    reference.ReferencedSOPClassUID = "1.2.840.10008.5.1.4.1.1.2"
    reference.ReferencedSOPInstanceUID, reference.ReferencedFrameNumber = "1.2.3", 4
    root = content("CONTAINER", "Imaging Report")
    measure = content("NUM", "Long axis", MeasuredValueSequence=number("12.5", "mm"))
    circle = {"GraphicType": "CIRCLE", "GraphicData": [1.0, 2.0, 3.0, 4.0]}
    measure.ContentSequence = [content("SCOORD", "Outline", "INFERRED FROM", **circle)]
    root.ContentSequence = [
        content("PNAME", "Observer", PersonName="Doe^Jane"),
        content("TEXT", "Finding", TextValue="near the hilum"),
        content("CODE", "Site", ConceptCodeSequence=code("Lung")),
        measure,
        content("NUM", "Score", MeasuredValueSequence=number("3", "{no units}")),
        content("IMAGE", "Source", ReferencedSOPSequence=[reference]),
        content("DATE", "Date", Date="20260102"),
    ]
    return root


def test_a_structured_report(report: Dataset) -> None:
    lines = read_document(report, masked=False)["lines"]
    assert [line[:4] for line in lines] == [
        [0, "", "Imaging Report", ""],
        [1, "CONTAINS", "Observer", "Doe^Jane"],
        [1, "CONTAINS", "Finding", "near the hilum"],
        [1, "CONTAINS", "Site", "Lung"],
        [1, "CONTAINS", "Long axis", "12.5 mm"],
        [2, "INFERRED FROM", "Outline", "circle, 2 points"],
        [1, "CONTAINS", "Score", "3"],
        [1, "CONTAINS", "Source", "CT Image Storage, frame 4"],
        [1, "CONTAINS", "Date", "20260102"],
    ]


def test_names_dates_and_texts_are_masked(report: Dataset) -> None:
    lines = read_document(report, masked=True)["lines"]
    assert {line[2] for line in lines if line[4]} == {"Observer", "Finding", "Date"}
    assert not any("Doe" in line[3] or "hilum" in line[3] or "2026" in line[3] for line in lines)
    assert [line[3] for line in lines if line[2] == "Site"] == ["Lung"]


def test_the_texts_of_a_real_report(real_file: Callable[[str], Path]) -> None:
    """All texts of the content tree are listed, in order."""
    header = pydicom.dcmread(real_file("reportsi.dcm"))
    lines = read_document(header, masked=False)["lines"]
    texts = [str(e.value) for e in header.iterall() if e.keyword in ("TextValue", "PersonName")]
    assert texts
    assert [line[3] for line in lines if line[3] in texts] == texts


def test_a_report_of_many_items_is_cut(report: Dataset) -> None:
    report.ContentSequence = [content("TEXT", "n", TextValue=str(n)) for n in range(MAX_LINES + 5)]
    found = read_document(report, masked=False)
    assert len(found["lines"]) == MAX_LINES
    assert found["more"]


def test_a_damaged_report() -> None:
    root = content("NUM", "Length")
    root.ContentSequence = [Dataset(), content("NUM", "x", MeasuredValueSequence=[Dataset()])]
    assert [line[2:4] for line in read_document(root, masked=True)["lines"]] == [
        ["Length", "no value"],
        ["", ""],
        ["x", ""],
    ]


def test_an_encapsulated_document() -> None:
    header = Dataset()
    header.SOPClassUID, header.DocumentTitle = "1.2.840.10008.5.1.4.1.1.104.1", "Letter of J. Doe"
    header.MIMETypeOfEncapsulatedDocument, header.EncapsulatedDocument = "application/pdf", b"%PDF"
    texts = [line[2:4] for line in read_document(header, masked=False)["lines"]]
    assert texts == [
        ["Title", "Letter of J. Doe"],
        ["Type", "application/pdf"],
        ["Size", "4 bytes"],
    ]
    assert read_document(header, masked=True)["lines"][0][3:] == ["•••", True]


def test_a_waveform(real_file: Callable[[str], Path]) -> None:
    header = pydicom.dcmread(real_file("waveform_ecg.dcm"))
    lines = read_document(header, masked=True)["lines"]
    assert lines[0][2:4] == ["Waveform 1", "10,000 samples at 1000 Hz"]
    assert lines[1][3] == "Lead I (Einthoven)"


def test_a_presentation_state() -> None:
    header, series = Dataset(), Dataset()
    header.SOPClassUID, header.ContentLabel = "1.2.840.10008.5.1.4.1.1.11.1", "WINDOW"
    header.ContentDescription = "for J. Doe"
    series.ReferencedImageSequence = [Dataset(), Dataset()]
    header.ReferencedSeriesSequence = [series]
    texts = [line[2:4] for line in read_document(header, masked=True)["lines"]]
    assert texts == [["Label", "WINDOW"], ["Description", "•••"], ["Images", "2"]]

"""Character sets: the defined terms alone, and ISO 2022 escapes as PS3.5 6.1.2 says."""

from __future__ import annotations

from pathlib import Path

import pytest

import wetread as wr
from wetread.headers.charset import decode_text, is_defined
from wetread.testing.dicom import (
    BIG_ENDIAN,
    EXPLICIT,
    IMPLICIT,
    Element,
    changed,
    dicom_file,
    element,
    picture,
)

NAME = b"\\^="
PYTHON_CODECS = [
    "utf_7",
    "punycode",
    "undefined",
    "idna",
    "unicode_escape",
    "utf_16",
    "hex",
    "zlib",
]
PYTHON_CODECS += ["latin_1", "utf-8", "cp1252", "iso8859", "ISO_IR 999", "ISO 2022 IR 192"]


@pytest.mark.parametrize(
    ("raw", "stated", "expected"),
    [
        # PS3.5 H.3, H.3.2, I.2, J.1, K.1 and K.2: the standard's own examples
        (
            b"Yamada^Tarou=\x1b$B;3ED\x1b(B^\x1b$BB@O:\x1b(B=\x1b$B$d$^$@\x1b(B^\x1b$B$?$m$&\x1b(B",
            "\\ISO 2022 IR 87",
            "Yamada^Tarou=山田^太郎=やまだ^たろう",
        ),
        (
            b"\xd4\xcf\xc0\xde^\xc0\xdb\xb3=\x1b$B;3ED\x1b(J^\x1b$BB@O:\x1b(J",
            "ISO 2022 IR 13\\ISO 2022 IR 87",
            "ﾔﾏﾀﾞ^ﾀﾛｳ=山田^太郎",
        ),
        (
            b"Hong^Gildong=\x1b$)C\xfb\xf3^\x1b$)C\xd1\xce\xd4\xd7=\x1b$)C\xc8\xab",
            "\\ISO 2022 IR 149",
            "Hong^Gildong=洪^吉洞=홍",
        ),
        (
            b"Wang^XiaoDong=\xe7\x8e\x8b^\xe5\xb0\x8f\xe6\x9d\xb1=",
            "ISO_IR 192",
            "Wang^XiaoDong=王^小東=",
        ),
        (b"Wang^XiaoDong=\xcd\xf5^\xd0\xa1\xb6\xab=", "GB18030", "Wang^XiaoDong=王^小东="),
        (
            b"Zhang^XiaoDong=\x1b$)A\xd5\xc5^\x1b$)A\xd0\xa1\xb6\xab=",
            "\\ISO 2022 IR 58",
            "Zhang^XiaoDong=张^小东=",
        ),
        (b"Buc^J\xe9r\xf4me", "ISO_IR 100", "Buc^Jérôme"),
        (b"\xc4\xe9\xef\xed\xf5\xf3\xe9\xef\xf2", "ISO_IR 126", "Διονυσιος"),
        (b"\xe4^\x1b-L\xbb", "ISO 2022 IR 100\\ISO 2022 IR 144", "ä^Л"),
        (b"\xa4", "ISO_IR 203", "€"),
        (b"\x1b$(D\x30\x21\x1b(B", "\\ISO 2022 IR 159", "丂"),
    ],
)
def test_escapes_are_followed(raw: bytes, stated: str, expected: str) -> None:
    assert decode_text(raw, stated, NAME) == (expected, True)


def test_the_first_set_counts_again_after_a_delimiter() -> None:
    latin_after = b"\x1b-L\xbb^\xe4"  # the Cyrillic set does not reach beyond "^"
    assert decode_text(latin_after, "ISO 2022 IR 100\\ISO 2022 IR 144", NAME) == ("Л^ä", True)
    assert decode_text(latin_after, "ISO 2022 IR 100\\ISO 2022 IR 144")[0] == "Л^ф"
    for mark in ("\\", "\r\n", "\t", "\f"):
        raw = b"\x1b-L\xbb" + mark.encode() + b"\xe4"
        assert decode_text(raw, "ISO 2022 IR 100\\ISO 2022 IR 144", b"\\")[0] == f"Л{mark}ä"


def test_a_second_byte_that_looks_like_a_delimiter_is_none() -> None:
    raw = b"\x1b$BI=I^I\\\x1b(B"
    assert decode_text(raw, "\\ISO 2022 IR 87", NAME) == (raw.decode("iso2022_jp"), True)


@pytest.mark.parametrize("raw", [b"\x1b$)Z\xd5\xc5", b"\x1b", b"\x1b$)A\xd5", b"\xd5\xc5\x1b(B"])
def test_what_cannot_be_decoded_is_said(raw: bytes) -> None:
    text, as_stated = decode_text(raw, "\\ISO 2022 IR 58", NAME)
    assert text
    assert not as_stated


@pytest.mark.parametrize("term", PYTHON_CODECS)
def test_names_of_codecs_are_no_defined_terms(term: str, tmp_path: Path) -> None:
    assert not is_defined(term)
    item = [element("CodeMeaning", b"M\xc3\xbcller+2AA-")]
    elements = [
        Element(0x00080005, "CS", term),
        element("ProcedureCodeSequence", [item]),
        Element(0x00090010, "LO", "MAKER"),
        Element(0x00091010, "LO", b"+2AA-\xed\xa0\x80"),
        element("PatientName", b"M\xc3\xbcller"),
    ]
    (tmp_path / "a.dcm").write_bytes(dicom_file(elements))
    row = wr.scan(tmp_path, progress=False, private=True, sequences=True).table.to_pylist()[0]
    codes = {(f["code"], f["tag"]) for f in row["problems"]}
    assert {("CHARSET", "0008,0005"), ("CHARSET", "0010,0010")} <= codes
    assert row["PatientName"] == "Müller"
    assert row["sequences"]


TEXTS: list[tuple[str, bytes, str, object]] = [
    (
        "PatientName",
        b"Zhang^XiaoDong=\x1b$)A\xd5\xc5^\x1b$)A\xd0\xa1\xb6\xab",
        "\\ISO 2022 IR 58",
        "Zhang^XiaoDong=张^小东",
    ),
    ("StudyDescription", b"\x1b$)A\xd0\xd8\xb2\xbf CT ", "\\ISO 2022 IR 58", "胸部 CT"),
    ("PatientComments", b"a\x1b$)A\xd0\xd8\r\nb", "\\ISO 2022 IR 58", "a胸\r\nb"),
    (
        "OtherPatientIDs",
        b"\x1b-L\xbb\\\xe4",
        "ISO 2022 IR 100\\ISO 2022 IR 144",
        ["Л", "ä"],
    ),
    ("InstitutionName", b"5 \xa4", "ISO_IR 203", "5 €"),
    ("InstitutionName", b"M\xc3\xbcller", "", "Müller"),
]
"""Texts that pydicom decodes to something else, or not at all."""


@pytest.mark.parametrize("syntax", [EXPLICIT, IMPLICIT, BIG_ENDIAN])
@pytest.mark.parametrize(("keyword", "raw", "stated", "expected"), TEXTS)
def test_the_header_has_the_texts_of_the_table(
    keyword: str, raw: bytes, stated: str, expected: object, syntax: str, tmp_path: Path
) -> None:
    inside = element("ReferencedPatientSequence", [[element(keyword, raw)]])
    elements = changed(picture(), Element(0x00080005, "CS", stated), element(keyword, raw), inside)
    (tmp_path / "a.dcm").write_bytes(dicom_file(elements, syntax))
    image = wr.scan(tmp_path, progress=False)[0]
    assert image.row[keyword] == expected
    for data_set in (image.header, image.header.ReferencedPatientSequence[0]):
        value = data_set[keyword].value
        assert (str(value) if keyword == "PatientName" else value) == expected


def test_a_text_that_was_not_read_is_saved_with_its_bytes(tmp_path: Path) -> None:
    keyword, raw, stated, _ = TEXTS[0]
    elements = changed(picture(), Element(0x00080005, "CS", stated), element(keyword, raw))
    (tmp_path / "a.dcm").write_bytes(dicom_file(elements))
    wr.read(tmp_path / "a.dcm").header.save_as(tmp_path / "b.dcm")
    assert raw in (tmp_path / "b.dcm").read_bytes()


def test_another_spelling_of_a_defined_term_is_read_and_said(tmp_path: Path) -> None:
    elements = [Element(0x00080005, "CS", "ISO-IR 100"), element("PatientName", b"M\xfcller")]
    (tmp_path / "a.dcm").write_bytes(dicom_file(elements))
    row = wr.scan(tmp_path, progress=False).table.to_pylist()[0]
    assert [(f["code"], f["tag"]) for f in row["problems"]][:1] == [("CHARSET", "0008,0005")]
    assert row["PatientName"] == "Müller"
    assert row["invalid"] == []

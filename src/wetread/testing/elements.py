"""Damage to elements and values: one function per failure class."""

from __future__ import annotations

import struct

from wetread.testing.dicom import (
    IMPLICIT,
    ITEM,
    ITEM_END,
    SEQUENCE_END,
    UNDEFINED,
    Element,
    dicom_file,
    element,
    header,
    pack,
)
from wetread.testing.registry import RIGHT, Folder, failure_class

_SEQUENCE = 0x00081032  # ProcedureCodeSequence, which precedes PatientName


@failure_class(8)
def bad_number(to: Folder) -> None:
    """Class 8: numbers and dates that do not parse; null, raw bytes, BAD_NUMBER or BAD_DATE."""
    numbers = {
        "InstanceNumber": [
            b"14.5",
            b"Amadeus ",
            b"9" * 30,
            b"0x10",
            b"1 2 ",
            b"1e400 ",
            b"9" * 5000,
        ],
        "RescaleSlope": [b"1,0 ", b"1.5 mm", b"1e", b"--1 ", b"1_0 ", b"1e400 "],
    }
    for keyword, raws in numbers.items():
        for i, raw in enumerate(raws):
            data = to.file(element(keyword, raw))
            fields = {"values": RIGHT | {keyword: None}, "invalid": {keyword: raw}}
            to.put(f"{keyword}_{i}.dcm", data, "ok", "BAD_NUMBER", **fields)
    for i, raw in enumerate([b"2020-01-31", b"20201301", b"00000000", b"yesterday ", b"20210229"]):
        data = to.file(element("StudyDate", raw))
        fields = {"values": RIGHT | {"StudyDate": None}, "invalid": {"StudyDate": raw}}
        to.put(f"StudyDate_{i}.dcm", data, "ok", "BAD_DATE", **fields)
    to.put("old_date.dcm", to.file(element("StudyDate", b"2020.01.31")), "ok", "OLD_DATE")
    padded = to.file(element("InstanceNumber", b" +7 "), element("RescaleSlope", b" 1.5\0\0"))
    to.put("padded.dcm", padded, "ok", values={"InstanceNumber": 7, "RescaleSlope": 1.5})
    list_ = element("WindowCenter", b"400\\xx")
    fields = {"values": RIGHT, "invalid": {"WindowCenter": b"400\\xx"}}
    to.put("in_list.dcm", to.file(list_), "ok", "BAD_NUMBER", **fields)
    three = Element(0x00280010, "US", b"\x08\0\0")
    fields = {"values": {"PatientName": "Doe^Jane", "Rows": None}, "invalid": {"Rows": b"\x08\0\0"}}
    also = "ODD_LENGTH"
    to.put("us_of_three_bytes.dcm", to.file(three), "ok", "BAD_VALUE", also=also, **fields)


@failure_class(9)
def odd_length(to: Folder) -> None:
    """Class 9: values of odd length; ODD_LENGTH, read unchanged."""
    values = RIGHT | {"InstitutionName": "abcde"}
    name = to.file(element("InstitutionName", b"abcde"))
    to.put("text.dcm", name, "ok", "ODD_LENGTH", values=values)
    uid = to.file(element("FrameOfReferenceUID", b"1.2.3"))
    to.put("uid.dcm", uid, "ok", "ODD_LENGTH", values=RIGHT | {"FrameOfReferenceUID": "1.2.3"})
    form = [element("BitsAllocated", 8), element("Rows", 3), element("Columns", 3)]
    pixels = element("PixelData", bytes(9), vr="OB")
    to.put("pixels.dcm", to.file(*form, pixels), "ok", also="ODD_LENGTH", values={"Rows": 3})


@failure_class(10)
def length_too_long(to: Folder) -> None:
    """Class 10: lengths beyond the file; LENGTH_CLIPPED, without allocating them."""
    also = "TRUNCATED LENGTH_CLIPPED PIXELS_ABSENT ODD_LENGTH RESYNC"
    start = dicom_file([element("Modality", "DX"), element("PatientID", "P1")])
    for length in (0x7FFFFFF0, 0x20202020, 0xFFFFFFFE):
        data = start + header(0x00189999, "OB", length) + b"four"
        values = {"Modality": "DX", "PatientID": "P1"}
        to.put(f"bytes_{length:x}.dcm", data, "partial", "LENGTH_CLIPPED", also=also, values=values)
    text = start + header(0x00180015, "CS", 0xFFFE) + b"CHEST "
    to.put("text.dcm", text, "partial", "LENGTH_CLIPPED", also=also, values={"PatientID": "P1"})
    sequence = start + header(0x00181234, "SQ", 0x7FFFFFF0) + ITEM + struct.pack("<I", 8) + bytes(8)
    to.put("sequence.dcm", sequence, "partial", "LENGTH_CLIPPED", also=also)
    implicit = dicom_file([element("PatientID", "P1")], IMPLICIT)
    implicit += header(0x00180015, "CS", 0x20202020, IMPLICIT) + b"CHEST "
    to.put("implicit.dcm", implicit, "partial", "LENGTH_CLIPPED", also=also)
    pixels = to.file().replace(struct.pack("<HI", 0, 128), struct.pack("<HI", 0, 0x7FFFFFF0))
    to.put("pixels.dcm", pixels, "partial", "TRUNCATED", also=also, values=RIGHT)


@failure_class(11)
def unknown_sequence(to: Folder) -> None:
    """Class 11: UN of undefined length is an implicit sequence (CP-246); UN_SEQUENCE, parsed."""
    item = pack([element("CodeValue", "A"), element("CodeMeaning", "B")], IMPLICIT)
    nested = header(_SEQUENCE, "SQ", UNDEFINED, IMPLICIT) + _items(item) + SEQUENCE_END
    explicit = pack([element("CodeValue", "A")])
    cases = {
        "public": (_SEQUENCE, _items(item, item) + SEQUENCE_END),
        "private": (0x00091001, _items(item) + SEQUENCE_END),
        "nested": (0x00091001, _items(item + nested) + SEQUENCE_END),
        "explicit_inside": (0x00091001, _items(explicit) + SEQUENCE_END),
        "empty": (0x00091001, SEQUENCE_END),
    }
    for name, (tag, data) in cases.items():
        file = _before_name(to, header(tag, "UN", UNDEFINED) + data)
        to.put(f"{name}.dcm", file, "ok", "UN_SEQUENCE", also="VR_MISMATCH", values=RIGHT)
    junk = _before_name(
        to, header(0x00091001, "UN", UNDEFINED) + b"no items at all!" + SEQUENCE_END
    )
    also = "DELIMITER RESYNC"
    to.put("no_items.dcm", junk, "repaired", "UN_SEQUENCE", also=also, values=RIGHT)


@failure_class(12)
def wrong_delimiters(to: Folder) -> None:
    """Class 12: item and sequence delimiters missing or swapped; DELIMITER, the rest is read."""
    start = header(_SEQUENCE, "SQ", UNDEFINED)
    item = ITEM + struct.pack("<I", UNDEFINED) + pack([element("CodeValue", "A")])
    cases = {
        "no_sequence_end": start + item + ITEM_END,
        "no_item_end": start + item + SEQUENCE_END,
        "item_end_for_both": start + item + ITEM_END + ITEM_END,
        "sequence_end_for_both": start + item + SEQUENCE_END + SEQUENCE_END,
        "stray_item_end": ITEM_END,
        "stray_sequence_end": SEQUENCE_END,
        "stray_item": ITEM + bytes(4),
    }
    for name, data in cases.items():
        file = _before_name(to, data)
        to.put(f"{name}.dcm", file, "repaired", "DELIMITER", values=RIGHT)
    code = pack([element("CodeValue", "A")])
    long = ITEM + struct.pack("<I", len(code) + 50) + code
    defined = header(_SEQUENCE, "SQ", len(long)) + long
    to.put("item_too_large.dcm", _before_name(to, defined), "ok", values=RIGHT)
    # an image in a sequence: its fragments and delimiter do not belong to the outer image
    icon = [element("Rows", 2), element("PixelData", [b"", b"\xff\xd8\xff\xd9"], vr="OB")]
    icons = element("IconImageSequence", [icon])
    to.put("icon.dcm", to.file(icons), "ok", values=RIGHT)
    to.put("icon_undefined.dcm", dicom_file(to.picture(icons), undefined=True), "ok", values=RIGHT)


@failure_class(13)
def too_deep(to: Folder) -> None:
    """Class 13: sequences nested deeper than 64; TOO_DEEP, the rest of the file is read."""
    for depth in (10, 64):
        to.put(f"{depth}.dcm", _before_name(to, _nested(depth)), "ok", values=RIGHT)
    for depth in (65, 300, 5000):
        data = _before_name(to, _nested(depth))
        to.put(f"{depth}.dcm", data, "repaired", "TOO_DEEP", values=RIGHT)


@failure_class(14)
def huge_header(to: Folder) -> None:
    """Class 14: 12,000 per-frame items, 2,000 private elements; read within the limits."""
    frame = [element("FrameContentSequence", [[element("DimensionIndexValues", [1, 2])]])]
    form = [element("NumberOfFrames", 12000), element("Rows", 1), element("Columns", 1)]
    frames = element("PerFrameFunctionalGroupsSequence", [frame] * 12000)
    picture = to.picture(*form, frames, element("PixelData", bytes(24000)))
    values = {"Rows": 1, "NumberOfFrames": 12000, "RescaleSlope": 1.5}
    to.put("frames.dcm", dicom_file(picture), "ok", values=values)
    to.put("frames_undefined.dcm", dicom_file(picture, undefined=True), "ok", values=values)
    creator = Element(0x00110010, "LO", "WETREAD")
    private = [
        Element(0x00111000 + i % 256 + 65536 * 2 * (i // 256), "LO", "x" * 60) for i in range(2000)
    ]
    owners = [Element(e.tag & 0xFFFF0000 | 0x10, "LO", "WETREAD") for e in private[::256]]
    many = to.file(creator, *owners, *private)
    to.put("private.dcm", many, "ok", values=RIGHT)


@failure_class(14)
def made_up_tags(to: Folder) -> None:
    """Class 14: 6,000 tags that are in no dictionary; HEADER_BUDGET, columns for 4,000."""
    tags = [group << 16 | number for group in (6, 10) for number in range(1, 3_001)]
    many = to.file(*(Element(tag, "LO") for tag in tags))
    to.put("many.dcm", many, "partial", "HEADER_BUDGET", values=RIGHT)
    rare = to.file(Element(0x000A8ABC, "LO", "rare"))
    to.put("one.dcm", rare, "ok", values=RIGHT | {"x_000a_8abc": "rare"})


@failure_class(15)
def bad_charset(to: Folder) -> None:
    """Class 15: text not in the stated character set; CHARSET, decoded otherwise, raw bytes."""
    cases = {
        "unknown": ("ISO_IR 999", "Müller".encode(), "Müller"),
        "not_stated": (None, "Müller".encode(), "Müller"),
        "cyrillic": (
            None,
            "Иванова".encode("cp1251"),
            "Иванова".encode("cp1251").decode("latin-1"),
        ),
        "not_utf8": ("ISO_IR 192", b"M\xfcller", "M\xfcller"),
        "surrogate": ("ISO_IR 192", b"A\xed\xa0\x80B", "A\xed\xa0\x80B"),
    }
    for name, (charset, raw, text) in cases.items():
        raw = raw + b" " * (len(raw) % 2)
        stated = [element("SpecificCharacterSet", charset)] if charset else []
        data = to.file(*stated, element("PatientName", raw))
        fields = {"values": {"PatientName": text, "Rows": 8}, "invalid": {"PatientName": raw}}
        to.put(f"{name}.dcm", data, "ok", "CHARSET", **fields)
    latin = [element("SpecificCharacterSet", "ISO_IR 100"), element("PatientName", b"M\xfcller")]
    to.put("right.dcm", to.file(*latin), "ok", values={"PatientName": "Müller"})


@failure_class(16)
def not_arrow(to: Folder) -> None:
    """Class 16: values that do not fit a typed column, and a VM that varies between files."""
    big = to.file(element("InstanceNumber", "9" * 20))
    fields = {
        "values": {"InstanceNumber": None, "Rows": 8},
        "invalid": {"InstanceNumber": b"9" * 20},
    }
    to.put("over_64_bit.dcm", big, "ok", "BAD_NUMBER", **fields)
    nul = to.file(element("PatientName", b"Doe\0Jane"))
    to.put("nul.dcm", nul, "ok", also="CHARSET BAD_VALUE", values={"Rows": 8})
    one, two = element("WindowCenter", "40"), element("WindowCenter", ["40", "400"])
    to.put("one.dcm", to.file(one), "ok", values={"WindowCenter": [40.0]})
    to.put("two.dcm", to.file(two), "ok", values={"WindowCenter": [40.0, 400.0]})
    to.put("none.dcm", to.file(element("WindowCenter", "")), "ok", values={"WindowCenter": None})
    rows = to.file(element("Rows", [8, 9]))
    fields = {"values": {"PatientName": "Doe^Jane"}, "invalid": {"Rows": b"\x08\0\x09\0"}}
    to.put("two_rows.dcm", rows, "ok", "VM_MISMATCH", **fields)
    text = to.file(element("StudyID", ["A", "B"]))
    to.put("two_texts.dcm", text, "ok", also="VM_MISMATCH", values={"StudyID": "A\\B"})


@failure_class(17)
def empty_values(to: Folder) -> None:
    """Class 17: empty values, empty sequences, absent elements; null, no problem."""
    keywords = [
        "StudyDate",
        "StudyTime",
        "PatientName",
        "WindowCenter",
        "RescaleSlope",
        "InstanceNumber",
    ]
    to.put("empty.dcm", to.file(*map(element, keywords)), "ok", values=dict.fromkeys(keywords))
    sequences = [element("ProcedureCodeSequence", []), element("IconImageSequence", [[], []])]
    to.put("sequences.dcm", to.file(*sequences), "ok", values=RIGHT)
    undefined = dicom_file(to.picture(*sequences), undefined=True)
    to.put("undefined.dcm", undefined, "ok", values=RIGHT)
    absent = dicom_file(to.picture(without=("PatientName", "StudyDate", "WindowCenter")))
    to.put("absent.dcm", absent, "ok", values={"PatientName": None, "WindowCenter": None})
    nothing = dicom_file([element("Modality", "SR")])
    to.put("no_picture.dcm", nothing, "ok", values={"Modality": "SR", "Rows": None})


@failure_class(18)
def many_windows(to: Folder) -> None:
    """Class 18: several windows; all of them, in order (PS3.3 C.11.2.1.2: alternatives)."""
    windows = [element("WindowCenter", ["40", "-600"]), element("WindowWidth", ["400", "1500"])]
    names = element("WindowCenterWidthExplanation", ["SOFT", "LUNG"])
    values = {"WindowCenter": [40.0, -600.0], "WindowWidth": [400.0, 1500.0]}
    to.put("two.dcm", to.file(*windows, names), "ok", values=values)
    uneven = to.file(windows[0], element("WindowWidth", "400"))
    to.put("uneven.dcm", uneven, "ok", values=values | {"WindowWidth": [400.0]})


def _before_name(to: Folder, data: bytes) -> bytes:
    """File with `data` inserted before PatientName."""
    whole = to.file()
    at = whole.index(b"PN\x08\x00Doe^Jane") - 4
    return whole[:at] + data + whole[at:]


def _items(*contents: bytes) -> bytes:
    return b"".join(ITEM + struct.pack("<I", UNDEFINED) + c + ITEM_END for c in contents)


def _nested(depth: int) -> bytes:
    """Nested sequences, all of undefined length."""
    start = header(_SEQUENCE, "SQ", UNDEFINED) + ITEM + struct.pack("<I", UNDEFINED)
    return start * depth + (ITEM_END + SEQUENCE_END) * depth

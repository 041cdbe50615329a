"""Damage to whole files and to their encoding: one function per failure class.

The docstrings name the problems that a reader must report.
"""

from __future__ import annotations

from wetread.testing.dicom import (
    BIG_ENDIAN,
    DEFLATED,
    EXPLICIT,
    IMPLICIT,
    Element,
    code_stream,
    dicom_file,
    element,
    file_meta,
    pack,
    pack_meta,
    radiograph_file,
)
from wetread.testing.registry import RIGHT, Folder, failure_class


@failure_class(1)
def bad_among_good(to: Folder) -> None:
    """Class 1: bad files between good ones; a row for each, and nothing stops."""
    to.put("1.dcm", to.file(), "ok", values=RIGHT)
    to.put("2.dcm", b"not DICOM at all\n", "not_dicom", "NOT_DICOM")
    to.put("3.dcm", to.file()[:-30], "partial", "TRUNCATED", values=RIGHT)
    to.put("4.dcm", b"", "not_dicom", "EMPTY_FILE")
    to.put("5.dcm", to.file(), "ok", values=RIGHT)


@failure_class(2)
def truncated(to: Folder) -> None:
    """Class 2: truncated files; `partial`, with TRUNCATED if an element is incomplete."""
    whole = to.file()
    name, pixels = whole.index(b"Doe^Jane"), whole.index(b"\xe0\x7f\x10\x00OW")
    clip = "LENGTH_CLIPPED"
    to.put("in_pixels.dcm", whole[:-50], "partial", "TRUNCATED", values=RIGHT)
    to.put("in_value.dcm", whole[: name + 3], "partial", "TRUNCATED", also=clip)
    to.put("in_tag.dcm", whole[: name - 5], "partial", "TRUNCATED", values={"Modality": "DX"})
    to.put(
        "in_meta.dcm",
        whole[:200],
        "partial",
        "TRUNCATED",
        also=f"{clip} TSUID_INFERRED META_LENGTH",
    )
    to.put("before_pixels.dcm", whole[:pixels], "partial", "PIXELS_ABSENT", values=RIGHT)
    short = to.file(element("PixelData", bytes(100), vr="OW"))
    to.put("short_pixels.dcm", short, "partial", "PIXELS_SHORT", values=RIGHT)
    radiograph = radiograph_file(2)
    to.put("in_fragment.dcm", radiograph[:-100], "partial", "TRUNCATED", also="DELIMITER")
    to.put("no_last_delimiter.dcm", radiograph[:-8], "partial", "TRUNCATED", also="DELIMITER")
    nested = element("ProcedureCodeSequence", [[element("CodeValue", "A")]])
    sequence = dicom_file(to.picture(nested), undefined=True)
    cut = sequence.index(b"SH\x02\x00A") + 6
    to.put("in_sequence.dcm", sequence[:cut], "partial", "TRUNCATED", also=f"DELIMITER {clip}")
    deflated = to.file(element("ImageComments", "x" * 800), syntax=DEFLATED)
    also = f"TRUNCATED {clip} PIXELS_ABSENT"
    to.put("deflated.dcm", deflated[:-20], "partial", "DEFLATE_DAMAGED", also=also)


@failure_class(3)
def not_dicom(to: Folder) -> None:
    """Class 3: other files, regardless of their names; `not_dicom` by content."""
    apple = b"\0\x05\x16\x07\0\x02\0\0Mac OS X        " + bytes(200)
    others = {
        "text.dcm": b"Rows,Columns\n512,512\n" * 40,
        "header.json": b'{"00280010": {"vr": "US", "Value": [512]}}',
        "._1.dcm": apple,
        "Thumbs.db": b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1" + bytes(600),
        "picture.png": b"\x89PNG\r\n\x1a\n\0\0\0\rIHDR" + bytes(300),
        "zeros": bytes(4096),
        "one.dcm": b"\x08",
        "late_prefix.dcm": b"A" * 256 + b"DICM" + b"A" * 100,
        "page.html": b"<!DOCTYPE html><html><body>404 Not Found</body></html>",
    }
    for name, data in others.items():
        to.put(name, data, "not_dicom", "NOT_DICOM")
    to.put("empty.dcm", b"", "not_dicom", "EMPTY_FILE")
    to.put("no_extension", to.file(), "ok", values=RIGHT)


@failure_class(4)
def no_preamble(to: Folder) -> None:
    """Class 4: no preamble, no File Meta group, or neither; NO_PREAMBLE, NO_META, read in full."""
    also = "TSUID_INFERRED"
    meta = pack_meta(file_meta(to.picture()))
    data = pack(to.picture())
    to.put("meta_first.dcm", meta + data, "ok", "NO_PREAMBLE", values=RIGHT)
    to.put("prefix_first.dcm", b"DICM" + meta + data, "ok", "NO_PREAMBLE", values=RIGHT)
    for name, syntax in (("explicit", EXPLICIT), ("implicit", IMPLICIT), ("big", BIG_ENDIAN)):
        values = RIGHT | {"transfer_syntax": syntax}
        bare = dicom_file(to.picture(), syntax, preamble=None, meta=[])
        to.put(f"{name}.dcm", bare, "repaired", "NO_PREAMBLE NO_META", also=also, values=values)
        only = dicom_file(to.picture(), syntax, meta=[])
        to.put(f"{name}_preamble.dcm", only, "repaired", "NO_META", also=also, values=values)
    # `DICM` at byte 128 of a file that has no preamble (dcm4che's test of the same name)
    trap = "A" * 120 + "DICM"
    bare = dicom_file(to.picture(element("ImageType", trap)), preamble=None, meta=[])
    values = RIGHT | {"ImageType": [trap]}
    to.put("prefix_in_value.dcm", bare, "repaired", "NO_PREAMBLE NO_META", also=also, values=values)


@failure_class(5)
def no_transfer_syntax(to: Folder) -> None:
    """Class 5: File Meta without Transfer Syntax UID; TSUID_INFERRED from the data."""
    meta = [e for e in file_meta(to.picture()) if e.tag != 0x00020010]
    for name, syntax in (("explicit", EXPLICIT), ("implicit", IMPLICIT), ("big", BIG_ENDIAN)):
        data = dicom_file(to.picture(), syntax, meta=meta)
        values = RIGHT | {"transfer_syntax": syntax}
        to.put(f"{name}.dcm", data, "repaired", "TSUID_INFERRED", values=values)
    for name, stream in (("jpeg2000", code_stream(8, 8)), ("jpeg", b"\xff\xd8\xff\xe0\0\x10JFIF")):
        pixels = element("PixelData", [b"", stream], vr="OB")
        data = dicom_file(to.picture(pixels), meta=meta)
        to.put(f"{name}.dcm", data, "repaired", "TSUID_INFERRED", values=RIGHT)
    empty = dicom_file(to.picture(), meta=[*meta[:3], element("TransferSyntaxUID", ""), *meta[3:]])
    to.put("empty_uid.dcm", empty, "repaired", "TSUID_INFERRED", values=RIGHT)


@failure_class(6)
def wrong_transfer_syntax(to: Folder) -> None:
    """Class 6: data in another Transfer Syntax than stated; TSUID_WRONG, read correctly.

    If the byte order differs, `transfer_syntax` is null: pixels are not swapped on a guess.
    """
    cases = {
        "explicit_is_implicit": (EXPLICIT, IMPLICIT),
        "implicit_is_explicit": (IMPLICIT, EXPLICIT),
        "little_is_big": (EXPLICIT, BIG_ENDIAN),
        "big_is_little": (BIG_ENDIAN, EXPLICIT),
        "deflated_is_not": (DEFLATED, EXPLICIT),
    }
    for name, (stated, true) in cases.items():
        data = dicom_file(to.picture(), true, meta=file_meta(to.picture(), stated))
        known = None if BIG_ENDIAN in (stated, true) else true
        values = RIGHT | {"transfer_syntax": known}
        to.put(f"{name}.dcm", data, "repaired", "TSUID_WRONG", values=values)
    unknown = dicom_file(to.picture(), meta=file_meta(to.picture(), "1.2.3.4"))
    to.put("unknown.dcm", unknown, "repaired", "TSUID_UNKNOWN", values=RIGHT)


@failure_class(7)
def wrong_vr(to: Folder) -> None:
    """Class 7: a VR that differs from the dictionary (VR_MISMATCH) or is no VR (BAD_VR)."""
    name = b"Doe^Jane"
    mismatches = {
        "date_as_text": element("StudyDate", "20200131", vr="LO"),
        "name_as_bytes": Element(0x00100010, "OB", name),
        "rows_as_long": element("Rows", 8, vr="UL"),
        "rows_as_signed": element("Rows", 8, vr="SS"),
    }
    for case, wrong in mismatches.items():
        to.put(f"{case}.dcm", to.file(wrong), "ok", "VR_MISMATCH", values=RIGHT)
    whole = to.file()
    tag = whole.index(b"PN\x08\x00" + name)
    bad = {
        "short_form": b"ZZ\x08\x00",
        "long_form": b"ZZ\0\0\x08\0\0\0",  # the form of future VRs (PS3.5 6.2)
        "lower_case": b"pn\x08\x00",
        "no_letters": b"\x01\x02\x08\x00",
    }
    for case, vr in bad.items():
        data = whole[:tag] + vr + whole[tag + 4 :]
        to.put(f"{case}.dcm", data, "repaired", "BAD_VR", also="VR_MISMATCH", values=RIGHT)
    unknown = to.file(Element(0x00100010, "UN", name), Element(0x00280010, "UN", b"\x08\0"))
    to.put("unknown.dcm", unknown, "ok", values=RIGHT)  # legal: gateways may not know a tag
    long = [element("FileOffsetInContainer", 2**40), element("SelectorSVValue", [-(2**40)])]
    to.put("long_forms.dcm", to.file(*long), "ok", values=RIGHT | {"FileOffsetInContainer": 2**40})


@failure_class(39)
def executable_preamble(to: Folder) -> None:
    """Class 39: an executable preamble (CVE-2019-11687), or TIFF; EXECUTABLE_PREAMBLE."""
    programs = {
        "windows": b"MZ\x90\0",
        "linux": b"\x7fELF\x02\x01",
        "mac": b"\xcf\xfa\xed\xfe",
        "mac_universal": b"\xca\xfe\xba\xbe",
    }
    for name, start in programs.items():
        data = dicom_file(to.picture(), preamble=start.ljust(128, b"\0"))
        to.put(f"{name}.dcm", data, "ok", "EXECUTABLE_PREAMBLE", values=RIGHT)
    tiff = dicom_file(to.picture(), preamble=b"II*\0".ljust(128, b"\0"))
    to.put("tiff.dcm", tiff, "ok", values=RIGHT)

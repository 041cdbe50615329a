"""b-value and mosaic tiles: the standard's element, and those of manufacturers."""

from __future__ import annotations

import struct
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

import wetread as wr
from wetread.testing.dicom import (
    BIG_ENDIAN,
    DEFLATED,
    EXPLICIT,
    IMPLICIT,
    Element,
    changed,
    dicom_file,
    element,
    picture,
)

Scan = Callable[..., dict[str, Any]]


@pytest.fixture
def scan_one(tmp_path: Path) -> Scan:
    def scan(elements: list[Element], syntax: str = EXPLICIT, **options: Any) -> dict[str, Any]:
        (tmp_path / "one.dcm").write_bytes(dicom_file(elements, syntax))
        (row,) = wr.scan(tmp_path, workers=0, progress=False, **options).table.to_pylist()
        return row

    return scan


def header(
    manufacturer: str, group: int, number: int, vr: str, value: Any, creator: str, block: int = 0x10
) -> list[Element]:
    """Image of a manufacturer with a private element."""
    private = [Element(group << 16 | block << 8 | number, vr, value)]
    if creator:
        private.append(Element(group << 16 | block, "LO", creator))
    return changed(picture(), element("Manufacturer", manufacturer), *private)


def csa(**values: str) -> bytes:
    """CSA header, as dcm2niix and nibabel read it."""

    def entry(name: str, text: str) -> bytes:
        data = text.encode() + b"\0"
        items = struct.pack("<4i", len(data), len(data), 77, len(data)) + data
        items += bytes(-len(items) % 4)
        empty = struct.pack("<4i", 0, 0, 77, 0) * 5
        head = struct.pack("<64si4s3i", name.encode(), 1, b"IS\0\0", 6, 6, 77)
        return head + items + empty

    entries = [entry(name, text) for name, text in {"ICE_Dims": "1", **values}.items()]
    return b"SV10\4\3\2\1" + struct.pack("<2I", len(entries), 77) + b"".join(entries)


MR, UIH, DD = "SIEMENS MR HEADER", "Image Private Header", "Philips Imaging DD 001"
CASES = [
    ("GE MEDICAL SYSTEMS", 0x0043, 0x39, "IS", [1000001500, 8, 0], "GEMS_PARM_01", 1500),
    ("GE MEDICAL SYSTEMS", 0x0043, 0x39, "IS", [0, 8, 0], "GEMS_PARM_01", 0),
    ("GE MEDICAL SYSTEMS", 0x0043, 0x39, "UN", b"1000\\8\\0\\0 ", "", 1000),
    ("SIEMENS", 0x0019, 0x0C, "IS", 800, MR, 800),
    ("Siemens Healthineers", 0x0019, 0x0C, "UN", b"50", MR, 50),
    ("SIEMENS", 0x0029, 0x10, "OB", csa(B_value="1000"), "SIEMENS CSA HEADER", 1000),
    ("Philips Medical Systems", 0x2001, 0x03, "FL", 600.0, DD, 600),
    ("Philips", 0x2001, 0x03, "UN", struct.pack("<f", 600.0), "", 600),
    ("UIH", 0x0065, 0x09, "FD", 700.0, UIH, 700),
]


@pytest.mark.parametrize(("maker", "group", "number", "vr", "value", "creator", "b"), CASES)
def test_elements_of_manufacturers(
    maker: str, group: int, number: int, vr: str, value: Any, creator: str, b: float, scan_one: Scan
) -> None:
    assert scan_one(header(maker, group, number, vr, value, creator))["b_value"] == b
    assert scan_one(header("ACME", group, number, vr, value, creator))["b_value"] is None
    other = scan_one(header(maker, group, number, vr, value, "OTHER"))
    assert other["b_value"] is None


@pytest.mark.parametrize("case", [CASES[3], CASES[5], CASES[8]])
def test_a_creator_that_is_needed(case: Any, scan_one: Scan) -> None:
    maker, group, number, vr, value, _, _ = case
    assert scan_one(header(maker, group, number, vr, value, ""))["b_value"] is None


@pytest.mark.parametrize("case", [CASES[1], CASES[3], CASES[5], CASES[6], CASES[8]])
@pytest.mark.parametrize("syntax", [EXPLICIT, IMPLICIT, BIG_ENDIAN, DEFLATED])
@pytest.mark.parametrize("private", [False, True])
def test_every_encoding_and_block(case: Any, syntax: str, private: bool, scan_one: Scan) -> None:
    maker, group, number, vr, value, creator, b = case
    elements = header(maker, group, number, vr, value, creator, block=0xE1)
    assert scan_one(elements, syntax, private=private)["b_value"] == b


def test_the_standard_comes_first(scan_one: Scan) -> None:
    elements = header("SIEMENS", 0x0019, 0x0C, "IS", 800, MR)
    row = scan_one(changed(elements, element("DiffusionBValue", 801.5)))
    assert (row["b_value"], row["DiffusionBValue"]) == (801.5, 801.5)
    damaged = scan_one(changed(elements, element("DiffusionBValue", -1.0)))
    assert damaged["b_value"] == 800


@pytest.mark.parametrize("value", [b"", b"ten ", b"\xff\xff\xff\xff", struct.pack("<d", -1e9)])
def test_unreadable_values(value: bytes, scan_one: Scan) -> None:
    assert scan_one(header("UIH", 0x0065, 0x09, "UN", value, UIH))["b_value"] is None


@pytest.mark.parametrize("data", [csa(), csa(B_value=""), csa(B_value="1")[:150], b"B_value\0"])
def test_csa_headers_without_a_value(data: bytes, scan_one: Scan) -> None:
    elements = header("SIEMENS", 0x0029, 0x10, "OB", data + b"\0" * (len(data) % 2), "X")
    named = changed(elements, Element(0x00290010, "LO", "SIEMENS CSA HEADER"))
    row = scan_one(named)
    assert (row["b_value"], row["mosaic_tiles"]) == (None, None)


def test_a_header_without(scan_one: Scan) -> None:
    row = scan_one(picture())
    assert (row["b_value"], row["mosaic_tiles"], row["from_functional_groups"]) == (None, None, [])


MOSAIC = ["ORIGINAL", "PRIMARY", "M", "ND", "MOSAIC"]
GRIDS = [
    ("SIEMENS", 0x0019, 0x0A, "US", 36, MR, MOSAIC, 36),
    (
        "SIEMENS", 0x0029, 0x10, "OB", csa(NumberOfImagesInMosaic="36"), "SIEMENS CSA HEADER",
        MOSAIC, 36,
    ),
    ("SIEMENS", 0x0019, 0x0A, "US", 36, MR, ["DERIVED", "SECONDARY"], None),
    ("UIH", 0x0065, 0x50, "DS", "25", UIH, ["ORIGINAL", "PRIMARY"], 25),
    ("UIH", 0x0065, 0x50, "DS", "1", UIH, ["ORIGINAL", "PRIMARY"], None),
    ("ACME", 0x0065, 0x50, "DS", "25", UIH, ["ORIGINAL", "PRIMARY"], None),
]  # fmt: skip


@pytest.mark.parametrize(
    ("maker", "group", "number", "vr", "value", "creator", "kind", "tiles"), GRIDS
)
def test_mosaics(
    maker: str, group: int, number: int, vr: str, value: Any, creator: str, kind: list[str],
    tiles: int | None, scan_one: Scan,
) -> None:  # fmt: skip
    elements = header(maker, group, number, vr, value, creator)
    assert scan_one(changed(elements, element("ImageType", kind)))["mosaic_tiles"] == tiles


def test_vendor_elements_are_no_columns(scan_one: Scan) -> None:
    row = scan_one(header("SIEMENS", 0x0019, 0x0C, "IS", 800, MR))
    assert not [name for name in row if name.startswith("x_0019")]
    assert row["problems"] == []

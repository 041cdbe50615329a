"""b-values: the standard's element, and those of four manufacturers, each only with its own."""

from __future__ import annotations

import struct
from typing import Any

import pytest
from pydicom.dataset import Dataset

from wetread.headers.diffusion import read_b_value


def header(
    manufacturer: str, group: int, element: int, vr: str, value: Any, creator: str
) -> Dataset:
    dataset = Dataset()
    dataset.Manufacturer = manufacturer
    if creator:
        dataset.private_block(group, creator, create=True).add_new(element, vr, value)
    else:
        dataset.add_new((group, 0x1000 | element), vr, value)
    return dataset


def csa(value: str) -> bytes:
    """CSA header with two entries, as dcm2niix and nibabel read it."""

    def entry(name: str, text: str) -> bytes:
        data = text.encode() + b"\0"
        items = struct.pack("<4i", len(data), len(data), 77, len(data)) + data
        items += bytes(-len(items) % 4)
        empty = struct.pack("<4i", 0, 0, 77, 0) * 5
        head = struct.pack("<64si4s3i", name.encode(), 1, b"IS\0\0", 6, 6, 77)
        return head + items + empty

    return (
        b"SV10\4\3\2\1"
        + struct.pack("<2I", 2, 77)
        + entry("ICE_Dims", "1")
        + entry("B_value", value)
    )


CASES = [
    ("GE MEDICAL SYSTEMS", 0x0043, 0x39, "IS", [1000001500, 8, 0], "GEMS_PARM_01", 1500),
    ("GE MEDICAL SYSTEMS", 0x0043, 0x39, "IS", [0, 8, 0], "GEMS_PARM_01", 0),
    ("GE MEDICAL SYSTEMS", 0x0043, 0x39, "UN", b"1000\\8\\0\\0 ", "", 1000),
    ("SIEMENS", 0x0019, 0x0C, "IS", 800, "SIEMENS MR HEADER", 800),
    ("Siemens Healthineers", 0x0019, 0x0C, "UN", b"50", "SIEMENS MR HEADER", 50),
    ("SIEMENS", 0x0029, 0x10, "OB", csa("1000"), "SIEMENS CSA HEADER", 1000),
    ("Philips Medical Systems", 0x2001, 0x03, "FL", 600.0, "Philips Imaging DD 001", 600),
    ("Philips", 0x2001, 0x03, "UN", struct.pack("<f", 600.0), "", 600),
    ("UIH", 0x0065, 0x09, "FD", 700.0, "Image Private Header", 700),
]


@pytest.mark.parametrize(("maker", "group", "element", "vr", "value", "creator", "b"), CASES)
def test_elements_of_manufacturers(
    maker: str, group: int, element: int, vr: str, value: Any, creator: str, b: float
) -> None:
    assert read_b_value(header(maker, group, element, vr, value, creator)) == b
    assert read_b_value(header("ACME", group, element, vr, value, creator)) is None


@pytest.mark.parametrize("case", [CASES[3], CASES[5], CASES[8]])
def test_a_creator_that_is_needed(case: Any) -> None:
    maker, group, element, vr, value, _, _ = case
    assert read_b_value(header(maker, group, element, vr, value, "")) is None
    assert read_b_value(header(maker, group, element, vr, value, "OTHER")) is None


def test_the_standard_comes_first() -> None:
    dataset = header("SIEMENS", 0x0019, 0x0C, "IS", 800, "SIEMENS MR HEADER")
    dataset.DiffusionBValue = 801.5
    assert read_b_value(dataset) == 801.5


@pytest.mark.parametrize("value", [b"", b"ten", b"\xff\xff\xff\xff", struct.pack("<d", -1e9)])
def test_unreadable_values(value: bytes) -> None:
    assert read_b_value(header("UIH", 0x0065, 0x09, "UN", value, "Image Private Header")) is None


def test_a_header_without() -> None:
    assert read_b_value(Dataset()) is None

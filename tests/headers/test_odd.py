"""Odd headers that real programs read: the table has them, and so must the picture."""

from __future__ import annotations

import struct
import time
from pathlib import Path

import numpy as np
import pytest

import wetread as wr
from wetread.testing.dicom import (
    DEFLATED,
    ITEM,
    ITEM_END,
    SEQUENCE_END,
    UNDEFINED,
    Element,
    dicom_file,
    element,
    file_meta,
    header,
    pack,
    pack_meta,
    picture,
)

PIXELS = np.arange(64, dtype="<u2").reshape(8, 8)


def file_with(odd: bytes, *, meta: bytes | None = None) -> bytes:
    """A file of 8 x 8 pixels with some bytes before (0008,0090)."""
    elements = [*picture()[:-1], element("PixelData", PIXELS.tobytes(), vr="OW")]
    early = [e for e in elements if e.tag < 0x00080070]
    late = [e for e in elements if e.tag > 0x00080070]
    start = bytes(128) + b"DICM" + pack_meta(file_meta(elements))
    return (start if meta is None else meta) + pack(early) + odd + pack(late)


def read_row(content: bytes, tmp_path: Path, **options: bool) -> dict[str, object]:
    (tmp_path / "a.dcm").write_bytes(content)
    return wr.scan(tmp_path, progress=False, **options).table.to_pylist()[0]


def assert_whole(content: bytes, tmp_path: Path) -> None:
    row = read_row(content, tmp_path)
    assert (row["Rows"], row["decodable"]) == (8, "yes")
    assert np.array_equal(wr.read(tmp_path / "a.dcm").pixels(), PIXELS)


@pytest.mark.parametrize("vr", [b"??", b"\0\0", b"  "])
def test_a_vr_that_does_not_exist(vr: bytes, tmp_path: Path) -> None:
    odd = struct.pack("<HH", 0x0008, 0x0070) + vr + struct.pack("<H", 4) + b"ACME"
    assert_whole(file_with(odd), tmp_path)


@pytest.mark.parametrize("vr", ["OB", "OW", "UT"])
def test_items_of_undefined_length_under_a_vr_that_has_none(vr: str, tmp_path: Path) -> None:
    item = ITEM + struct.pack("<I", 4) + b"abcd"
    odd = header(0x00080070, vr, UNDEFINED) + item + SEQUENCE_END
    assert_whole(file_with(odd), tmp_path)


@pytest.mark.parametrize("vr", ["LO", "OB", "UT"])
@pytest.mark.parametrize("first", [b"", ITEM + struct.pack("<I", 4) + b"abcd"])
def test_an_item_of_undefined_length_among_fragments(vr: str, first: bytes, tmp_path: Path) -> None:
    """Found by bench/mutants.py: an exception while `private` was converted."""
    inside = pack([element("PatientName", "Doe^Jane")])
    item = ITEM + struct.pack("<I", UNDEFINED) + inside + ITEM_END
    tag = struct.pack("<HH2s", 0x0008, 0x0070, vr.encode())
    head = tag + (struct.pack("<H", 0xFFFF) if vr == "LO" else struct.pack("<HI", 0, UNDEFINED))
    odd = head + first + item + SEQUENCE_END
    row = read_row(file_with(odd), tmp_path, private=True, sequences=True)
    assert row["read_status"] in ("ok", "repaired", "partial")
    wr.read(tmp_path / "a.dcm").header.get("Manufacturer")
    if vr != "LO":  # which has no undefined length
        assert_whole(file_with(odd), tmp_path)


def test_the_letters_of_the_prefix_by_chance(tmp_path: Path) -> None:
    start = pack([e for e in picture() if e.tag < 0x00080070])
    odd = pack([Element(0x00080070, "LO", b"x" * (120 - len(start)) + b"DICM COMPANY")])
    assert_whole(file_with(odd, meta=b""), tmp_path)


def test_the_prefix_without_a_preamble(tmp_path: Path) -> None:
    meta = b"DICM" + pack_meta(file_meta(picture()))
    assert_whole(file_with(b"", meta=meta), tmp_path)


def test_a_value_that_does_not_convert_stops_no_other(tmp_path: Path) -> None:
    odd = [Element(0x01F10010, "LO", "ELSCINT1"), Element(0x01F11026, "UN", b"0.264 ")]
    elements = [*picture()[:-1], *odd, element("PixelData", PIXELS.tobytes(), vr="OW")]
    row = read_row(dicom_file(elements), tmp_path)
    assert row["PatientID"]
    assert "Patient ID" in str(wr.read(tmp_path / "a.dcm").header)
    assert "0.264" in str(wr.read(tmp_path / "a.dcm").header)


@pytest.mark.parametrize("tag", [0x00020000, 0x00020001, 0x00020002, 0x00020012, 0x00020102])
@pytest.mark.parametrize("vr", ["UL", "FD", "UN"])
def test_a_value_of_file_meta_that_does_not_convert(tag: int, vr: str, tmp_path: Path) -> None:
    elements = [*picture()[:-1], element("PixelData", PIXELS.tobytes(), vr="OW")]
    meta = {e.tag: e for e in [*file_meta(elements), Element(tag, vr, b"1.2.8")]}
    start = bytes(128) + b"DICM" + pack([meta[tag] for tag in sorted(meta)])
    (tmp_path / "a.dcm").write_bytes(start + pack(elements))
    header = wr.read(tmp_path / "a.dcm").header
    assert "1.2.8" in str(header)
    assert "PatientID" in header._repr_html_()
    assert np.array_equal(wr.read(tmp_path / "a.dcm").pixels(), PIXELS)


@pytest.mark.parametrize("tail", [(0x00280010, "US"), (0x7FE10010, "LO")], ids=["moved", "private"])
def test_elements_behind_the_pixels(tail: tuple[int, str], tmp_path: Path) -> None:
    first = [e for e in picture() if e.tag != tail[0]]
    last = Element(*tail, 8 if tail[1] == "US" else "MAKER")
    row = read_row(dicom_file([*first, last]), tmp_path, private=True)
    codes = {f["code"] for f in row["problems"]}
    if tail[1] == "US":
        assert row["Rows"] == 8
        assert "TAG_ORDER" in codes
    else:
        assert "7fe1,0010" in {p["tag"] for p in row["private"]}


@pytest.mark.parametrize("length", [0, 4])
def test_a_row_does_not_depend_on_its_neighbours(length: int, tmp_path: Path) -> None:
    odd = header(0, "UL", length) + bytes(length)
    alone = read_row(dicom_file(picture()[:2]) + odd + pack(picture()[4:6]), tmp_path)
    for n in range(20):
        (tmp_path / f"b{n:02}.dcm").write_bytes(dicom_file(picture(n)))
    among = wr.scan(tmp_path, progress=False).table.to_pylist()[0]
    assert {k: v for k, v in alone.items() if v is not None} == {
        k: v for k, v in among.items() if v is not None
    }


def test_bad_dates_are_capped(tmp_path: Path) -> None:
    dates = b"\\".join([b"2020131"] * 8000)  # each of which is no date
    odd = [Element(tag, "DA", dates) for tag in range(0x00400244, 0x00400646)]
    row = read_row(dicom_file(odd[:400]), tmp_path)
    assert len(row["problems"]) <= 257


def test_a_deflated_file_whose_output_is_held_back_by_zlib(tmp_path: Path) -> None:
    for blanks in (2048, 65536, 1 << 20, (1 << 20) + 1):
        elements = [*picture()[:-1], element("PixelData", b" " * blanks, vr="OW")]
        row = read_row(dicom_file(elements, DEFLATED), tmp_path)
        codes = {f["code"] for f in row["problems"]}
        assert not codes & {"DEFLATE_DAMAGED", "TRUNCATED"}


def test_a_deflated_file_that_is_cut_is_damaged(tmp_path: Path) -> None:
    noise = np.random.default_rng(1).bytes(5000)
    elements = [*picture()[:-1], element("PixelData", noise, vr="OW")]
    row = read_row(dicom_file(elements, DEFLATED)[:-1000], tmp_path)
    assert "DEFLATE_DAMAGED" in {f["code"] for f in row["problems"]}


def test_nested_sequences_take_little_cpu_time(tmp_path: Path) -> None:
    """Found by bench/bombs.py: all levels became pydicom's data sets for the column `private`."""
    opened = header(0x00081115, "SQ", UNDEFINED) + ITEM + struct.pack("<I", UNDEFINED)
    odd = opened * 100_000 + (ITEM_END + SEQUENCE_END) * 100_000
    content = dicom_file([]) + odd
    begun = time.process_time()
    row = read_row(content, tmp_path, private=True, sequences=True)
    assert time.process_time() - begun < 1
    assert row["read_status"] == "repaired"

"""Location of frames: native, encapsulated, truncated, undeclared, deflated."""

from __future__ import annotations

import struct
from io import BytesIO
from typing import Any

import numpy as np
import pytest

from wetread.errors import DecodeError, UsageError
from wetread.pixels import Frames, open_frames, read_frame
from wetread.settings import Settings
from wetread.testing.dicom import BIG_ENDIAN, DEFLATED, EXPLICIT, IMPLICIT, Element, dicom_file
from wetread.testing.dicom import element as tag

JPEG2000 = "1.2.840.10008.1.2.4.90"
GREY = {
    "Rows": 2,
    "Columns": 3,
    "SamplesPerPixel": 1,
    "PhotometricInterpretation": "MONOCHROME2",
    "BitsAllocated": 8,
    "BitsStored": 8,
    "HighBit": 7,
    "PixelRepresentation": 0,
}
J = b"\xff\x4f\xff\x51"
"""First bytes of a JPEG 2000 frame."""


def open_file(pixels: Any, syntax: str = EXPLICIT, vr: str = "OB", **tags: Any) -> Frames:
    elements = sorted((tag(k, v) for k, v in {**GREY, **tags}.items()), key=lambda e: e.tag)
    return open_frames(dicom_file([*elements, Element(0x7FE00010, vr, pixels)], syntax))


@pytest.mark.parametrize("syntax", [EXPLICIT, IMPLICIT, BIG_ENDIAN, DEFLATED])
@pytest.mark.parametrize("vr", ["OB", "OW"])
def test_native_frames_in_every_encoding(syntax: str, vr: str) -> None:
    frames = open_file(bytes(range(12)), syntax, vr, NumberOfFrames=2)
    assert len(frames) == 2
    assert frames.read(1) == bytes(range(6, 12))


def test_odd_frames_of_swapped_words() -> None:
    frames = open_file(bytes(range(10)), BIG_ENDIAN, "OW", NumberOfFrames=3, Columns=3, Rows=1)
    assert [frames.read(i) for i in range(3)] == [b"\0\1\2", b"\3\4\5", b"\6\7\x08"]


def test_frames_of_single_bits_do_not_start_at_bytes() -> None:
    bits = {"BitsAllocated": 1, "BitsStored": 1, "HighBit": 0, "NumberOfFrames": 3}
    flags = np.array([1, 0, 1, 1, 0, 0, 0, 1, 1, 0, 1, 0, 1, 1, 1, 1, 0, 1], "u1")
    frames = open_file(np.packbits(flags, bitorder="little").tobytes() + b"\0", **bits)
    seen = [read_frame(frames, i).values.ravel().tolist() for i in range(3)]
    assert seen == flags.reshape(3, 6).tolist()


def test_undeclared_frames_can_be_read() -> None:
    assert len(open_file(bytes(18))) == 3
    assert len(open_file(bytes(18), NumberOfFrames=2)) == 3
    assert len(open_file(bytes(7))) == 1


def test_a_frame_out_of_range_is_a_usage_error() -> None:
    with pytest.raises(UsageError, match="frame 2 does not exist: 2 frames, numbered from 0"):
        open_file(bytes(12), NumberOfFrames=2).read(2)
    with pytest.raises(UsageError):
        open_file(bytes(12), NumberOfFrames=2).read(-1)


def test_a_cut_frame_is_an_error_or_filled_with_zeros_on_request() -> None:
    frames = open_file(b"\1\2\3\4", NumberOfFrames=2)
    with pytest.raises(DecodeError, match=r"frame 0 is truncated: 4 of 6 bytes"):
        frames.read(0)
    assert frames.read(0, short=True) == b"\1\2\3\4\0\0"
    with pytest.raises(DecodeError, match="frame 1 is missing: bytes for 1 only"):
        frames.read(1, short=True)


@pytest.mark.parametrize(
    ("items", "count", "expected"),
    [
        ([b"", J + b"ab"], 1, [J + b"ab"]),
        ([b"", J + b"a", b"bc"], 1, [J + b"abc"]),  # one frame in two fragments
        ([b"", J + b"a", J + b"b"], 2, [J + b"a", J + b"b"]),
        ([struct.pack("<2I", 0, 26), J + b"ab", b"cd", J + b"e"], 2, [J + b"abcd", J + b"e"]),
        ([struct.pack("<2I", 0, 99), J + b"ab", b"cd", J + b"e"], 2, [J + b"abcd", J + b"e"]),
        ([b"", J + b"ab", b"cd", J + b"e"], 2, [J + b"abcd", J + b"e"]),  # no table: by its start
    ],
)
def test_fragments_belong_to_frames(items: list[bytes], count: int, expected: list[bytes]) -> None:
    even = [item + b"\0" * (len(item) % 2) for item in items]
    frames = open_file(even, JPEG2000, NumberOfFrames=count)
    assert len(frames) == count
    assert [frames.read(i).replace(b"\0", b"") for i in range(count)] == expected


def test_an_extended_offset_table() -> None:
    table = struct.pack("<2Q", 0, 24)
    items = [b"", b"abcd", b"efgh", b"ijkl"]
    frames = open_file(items, JPEG2000, NumberOfFrames=2, ExtendedOffsetTable=table)
    assert [frames.read(i) for i in range(2)] == [b"abcdefgh", b"ijkl"]


def test_encapsulated_pixels_that_are_cut_or_nonsense() -> None:
    whole = open_file([b"", J + b"abcdef"], JPEG2000)
    whole.file.seek(0)
    data = whole.file.read()
    cut = open_frames(data[: data.index(J) + 6])
    assert cut.read(0) == J + b"ab"
    with pytest.raises(DecodeError, match="do not start with an item"):
        open_frames(data[: data.index(J) - 16]).read(0)
    with pytest.raises(DecodeError, match="2 fragments for 3 frames"):
        open_file([b"", b"ab", b"cd"], JPEG2000, NumberOfFrames=3).read(0)


def test_given_header_and_offset_nothing_is_searched_for() -> None:
    first = open_file(bytes(range(6)))
    file = first.file
    again = Frames(file, first.header, first.offset)
    assert again.read(0) == bytes(range(6))
    with pytest.raises(DecodeError, match="no pixel element has its value at byte 140"):
        Frames(file, first.header, 140)


def test_a_deflated_bomb_is_refused() -> None:
    elements = sorted((tag(k, v) for k, v in GREY.items()), key=lambda e: e.tag)
    data = dicom_file([*elements, Element(0x7FE00010, "OB", bytes(3_000_000))], DEFLATED)
    with pytest.raises(DecodeError, match="refused: the deflated data set grows beyond"):
        open_frames(data, settings=Settings(header_bytes=100_000))


@pytest.mark.parametrize(
    ("sop_class", "name"),
    [
        ("1.2.840.10008.5.1.4.1.1.88.11", "Basic Text SR Storage"),
        ("1.2.840.10008.5.1.4.1.1.481.3", "RT Structure Set Storage"),
        ("1.2.840.10008.5.1.4.1.1.104.1", "Encapsulated PDF Storage"),
        ("1.2.840.10008.5.1.4.1.1.9.1.1", "12-lead ECG Waveform Storage"),
    ],
)
def test_the_error_for_a_file_without_image_names_its_kind(sop_class: str, name: str) -> None:
    with pytest.raises(DecodeError, match=f"no pixels: this is {name}"):
        open_frames(dicom_file([tag("SOPClassUID", sop_class), tag("PatientID", "1")]))


def test_invalid_headers_are_decode_errors() -> None:
    with pytest.raises(DecodeError, match="invalid bit depth"):
        open_file(bytes(6), BitsStored=12)
    with pytest.raises(DecodeError, match="invalid size"):
        open_file(bytes(6), SamplesPerPixel=9)
    with pytest.raises(DecodeError, match="no pixels: the header states 2 x 3"):
        open_frames(dicom_file([tag("Rows", 2), tag("Columns", 3), tag("BitsAllocated", 8)]))


def test_ybr_422_in_name_with_three_samples_in_fact() -> None:
    colour = {"SamplesPerPixel": 3, "PhotometricInterpretation": "YBR_FULL_422", "Columns": 2}
    frames = open_file(bytes([10, 128, 128] * 4), **colour)
    assert read_frame(frames).values.tolist() == [[[10] * 3] * 2] * 2


def test_a_file_of_the_caller_stays_open_and_ours_is_closed(tmp_path: Any) -> None:
    path = tmp_path / "a.dcm"
    file = open_file(bytes(6)).file
    file.seek(0)
    path.write_bytes(file.read())
    with open_frames(path) as frames:
        assert frames.read(0) == bytes(6)
    assert frames.file.closed
    with path.open("rb") as mine:
        with open_frames(mine) as frames:
            frames.read(0)
        assert not mine.closed
    assert isinstance(open_frames(path.read_bytes()).file, BytesIO)

"""RLE segments that decode to more or less than the frame, or are padded with anything."""

from __future__ import annotations

from io import BytesIO
from pathlib import Path
from typing import Any

import numpy as np
import pydicom
import pytest

import wetread as wr
from wetread.errors import DecodeError
from wetread.pixels import open_frames, read_frame
from wetread.testing.pixel_files import RLE, encode_rle, even, pixel_file

SHAPES: dict[str, Any] = {"u1": (9, 7), "u2": (9, 7), "i2": (8, 6), "u4": (5, 5), "rgb": (8, 6, 3)}
RUNS = [b"\0\0", b"\x05abcdef", b"\xff\7", bytes(16)]
NO_RUNS = [b"\x80", b"\xff", b"\x05", b"\x05ab", b"\7" * 9]


def make(kind: str) -> np.ndarray:
    dtype = np.dtype("u1" if kind == "rgb" else kind)
    top = np.iinfo(dtype).max
    values = np.random.default_rng(5).integers(0, top, SHAPES[kind], dtype)
    values[2:5] = top // 3
    return values


def decode(values: np.ndarray, data: bytes) -> np.ndarray:
    return read_frame(open_frames(pixel_file(values, [b"", even(data)], RLE))).values


@pytest.mark.parametrize("kind", SHAPES)
@pytest.mark.parametrize("more", RUNS + NO_RUNS)
def test_bytes_after_the_frame_are_padding(kind: str, more: bytes) -> None:
    values = make(kind)
    np.testing.assert_array_equal(decode(values, encode_rle(values, more)), values)


@pytest.mark.filterwarnings("ignore:The decoded RLE segment")
@pytest.mark.parametrize("kind", SHAPES)
def test_pydicom_reads_the_same_of_a_longer_segment(kind: str) -> None:
    values = make(kind)
    file = pixel_file(values, [b"", encode_rle(values, b"\0\0")], RLE)
    seen = pydicom.dcmread(BytesIO(file)).pixel_array
    np.testing.assert_array_equal(read_frame(open_frames(file)).values, seen)


@pytest.mark.parametrize("kind", SHAPES)
def test_a_short_segment_is_an_error(kind: str) -> None:
    values = make(kind)
    short = values.copy().reshape(-1, *values.shape[2:])[:-1]
    with pytest.raises(DecodeError, match="an RLE segment holds"):
        decode(values, encode_rle(short[None]))
    if kind == "u2":  # one byte less in a plane, one more in the next: the sum is right
        low, high = values.view("u1").reshape(-1, 2).T
        planes = [bytes(high[:-1]), bytes(low) + b"\0"]
        parts = [bytes([len(plane) - 1]) + plane for plane in planes]
        head = np.array([2, 64, 64 + len(parts[0]), *[0] * 13], "<u4").tobytes()
        with pytest.raises(DecodeError, match="an RLE segment holds 62 of 63 bytes"):
            decode(values, head + b"".join(parts))


@pytest.mark.parametrize("data", [b"", b"\1\0\0\0", bytes(64), b"\2" + bytes(63)])
def test_invalid_rle_is_an_error(data: bytes) -> None:
    with pytest.raises(DecodeError):
        decode(make("u2"), data or b"\0\0")


@pytest.mark.parametrize("name", ["one_more.dcm", "sixteen_more.dcm"])
def test_the_shared_case(shared_case: Any, tmp_path: Path, name: str) -> None:
    (tmp_path / name).write_bytes((shared_case("08") / name).read_bytes())
    index = wr.scan(tmp_path, workers=0, progress=False).measure(progress=False, workers=1)
    assert index[0].pixels().ravel().tolist() == list(range(0, 252, 4))
    assert index[0].row["px_status"] == "ok"

"""Colour: output of each decoder, by photometric interpretation and markers."""

from __future__ import annotations

from collections.abc import Callable
from io import BytesIO

import imagecodecs
import numpy as np
import pydicom
import pytest

from wetread.pixels import Frame, open_frames, read_frame
from wetread.testing.dicom import EXPLICIT
from wetread.testing.pixel_files import (
    HTJ2K,
    JPEG,
    JPEG2000,
    JPEGLS,
    JXL,
    JXL_JPEG,
    LOSSLESS,
    RLE,
    encode_rle,
    even,
    pixel_file,
)

RGB = np.zeros((32, 48, 3), "u1")
RGB[:16], RGB[16:], RGB[:, 24:] = (30, 160, 220), (200, 40, 90), (120, 200, 60)
FULL = np.array([[0.299, 0.587, 0.114], [-0.168736, -0.331264, 0.5], [0.5, -0.418688, -0.081312]])
YBR = np.rint(RGB @ FULL.T + (0, 128, 128)).astype("u1")
"""The same picture as YBR_FULL (PS3.3 C.7.6.3.1.2)."""
APP14 = b"\xff\xee\x00\x0eAdobe\x00\x64\x00\x00\x00\x00"
YBRS = ("YBR_FULL", "YBR_FULL_422", "YBR_ICT", "YBR_RCT")


def read(data: bytes, syntax: str, tag: str) -> Frame:
    file = pixel_file(RGB, data if syntax == EXPLICIT else [b"", even(data)], syntax)
    return read_frame(open_frames(file.replace(*_tag(tag))))


def _tag(tag: str) -> tuple[bytes, bytes]:
    old, new = (text.encode() + b" " * (len(text) % 2) for text in ("RGB", tag))
    head = b"\x28\x00\x04\x00CS"
    return (head + bytes([len(old), 0]) + old, head + bytes([len(new), 0]) + new)


def is_right(frame: Frame) -> bool:
    """True if the frame is the picture as RGB, but for edges where chroma is interpolated."""
    near = np.abs(frame.values - RGB.astype(int)) <= 4
    return frame.photometric == "RGB" and bool(near.mean() > 0.9)


def codes(frame: Frame) -> list[str]:
    return [code for code, _ in frame.notes]


def make_jpeg(space: str, marker: str, sampling: str = "444") -> bytes:
    """A JPEG with RGB or YCBCR samples, with APP14, JFIF or neither (component ids 1 2 3)."""
    data = imagecodecs.jpeg8_encode(
        RGB, level=99, colorspace="RGB", outcolorspace=space, subsampling=sampling
    )
    at = 2
    while data[at + 1] in (0xE0, 0xEE):
        at += 2 + int.from_bytes(data[at + 2 : at + 4], "big")
    body = data[at:]
    if space == "RGB" and marker == "neither":  # its component ids are "R", "G" and "B"
        for old, new in zip(b"RGB", b"\1\2\3", strict=True):
            for table in (b"\x11\x00", b"\x00"):
                body = body.replace(bytes([old]) + table, bytes([new]) + table)
    start = {"APP14": APP14 + (b"\1" if space == "YCBCR" else b"\0"), "JFIF": data[2:at]}
    return b"\xff\xd8" + start.get(marker, b"") + body


@pytest.mark.parametrize("syntax", [JPEG, JXL_JPEG])
@pytest.mark.parametrize("tag", ["RGB", *YBRS])
@pytest.mark.parametrize(
    ("space", "marker", "sampling"),
    [
        ("YCBCR", "APP14", "444"),
        ("YCBCR", "JFIF", "444"),
        ("YCBCR", "neither", "444"),
        ("YCBCR", "neither", "422"),
        ("RGB", "APP14", "444"),
        ("RGB", "neither", "444"),
    ],
)
def test_jpeg(space: str, marker: str, sampling: str, tag: str, syntax: str) -> None:
    data = make_jpeg(space, marker, sampling)
    frame = read(imagecodecs.jpegxl_encode_jpeg(data) if syntax == JXL_JPEG else data, syntax, tag)
    is_ybr = (space if marker != "neither" or sampling == "422" else tag)[:1] == "Y"
    assert is_right(frame) == (is_ybr == (space == "YCBCR"))
    assert ("COLOR_TAG" in codes(frame)) == (is_ybr != (tag != "RGB"))
    assert frame.conversion == (f"{tag if tag != 'RGB' else 'YBR_FULL'} to RGB" if is_ybr else "")


AS_STORED: dict[str, tuple[str, Callable[[np.ndarray], bytes]]] = {
    "uncompressed": (EXPLICIT, lambda values: values.tobytes()),
    "RLE": (RLE, encode_rle),
    "JPEG-LS": (JPEGLS, imagecodecs.jpegls_encode),
    "lossless JPEG": (
        LOSSLESS,
        lambda v: imagecodecs.jpeg8_encode(v, lossless=True, colorspace="RGB", outcolorspace="RGB"),
    ),
    "JPEG 2000": (JPEG2000, lambda v: imagecodecs.jpeg2k_encode(v, codecformat="j2k", mct=False)),
    "JPEG XL": (JXL, lambda values: imagecodecs.jpegxl_encode(values, lossless=True)),
}


@pytest.mark.parametrize("codec", AS_STORED)
def test_samples_as_stored_are_of_the_colour_space_of_the_tag(codec: str) -> None:
    syntax, encode = AS_STORED[codec]
    rgb, ybr = encode(RGB), encode(YBR)
    assert np.array_equal(read(rgb, syntax, "RGB").values, RGB)
    assert np.array_equal(read(ybr, syntax, "RGB").values, YBR)
    frame = read(ybr, syntax, "YBR_FULL")
    assert is_right(frame)
    assert (frame.conversion, codes(frame)) == ("YBR_FULL to RGB", [])
    for tag in ("YBR_RCT", "YBR_ICT"):  # undone when it was decompressed; the tag was left
        frame = read(rgb, syntax, tag)
        assert np.array_equal(frame.values, RGB)
        assert (frame.conversion, codes(frame)) == ("", ["COLOR_TAG"])


@pytest.mark.parametrize("syntax", [JPEG2000, HTJ2K])
@pytest.mark.parametrize("tag", ["RGB", *YBRS])
@pytest.mark.parametrize("reversible", [True, False])
def test_jpeg_2000_undoes_its_own_transform(syntax: str, tag: str, reversible: bool) -> None:
    if syntax == JPEG2000:
        data = imagecodecs.jpeg2k_encode(RGB, codecformat="j2k", mct=True, reversible=reversible)
    else:
        data = imagecodecs.htj2k_encode(RGB)
    frame = read(data, syntax, tag)
    assert is_right(frame)
    assert ("COLOR_TAG" in codes(frame)) == tag.startswith("YBR_FULL")


@pytest.mark.parametrize("tag", ["RGB", "XYB", *YBRS])
def test_jpeg_xl_of_its_own_colour_space_comes_as_rgb(tag: str) -> None:
    frame = read(imagecodecs.jpegxl_encode(RGB, distance=0.1), JXL[:-1] + "2", tag)
    assert is_right(frame)
    assert codes(frame) == []
    assert frame.conversion == ("" if tag == "RGB" else f"{tag} to RGB")


@pytest.mark.parametrize("tag", ["YBR_FULL", "YBR_FULL_422"])
def test_a_recompressed_jpeg_that_cannot_be_given_back_is_rgb_all_the_same(tag: str) -> None:
    boxes, data = imagecodecs.jpegxl_encode_jpeg(make_jpeg("YCBCR", "JFIF")), b""
    at = 0
    while at < len(boxes):  # the code-stream alone, without its box of JPEG data
        size = int.from_bytes(boxes[at : at + 4], "big") or len(boxes) - at
        kind = boxes[at + 4 : at + 8]
        data += (
            boxes[at + (12 if kind == b"jxlp" else 8) : at + size] if kind[:3] == b"jxl" else b""
        )
        at += size
    assert is_right(read(data[data.index(b"\xff\x0a") :], JXL_JPEG, tag))


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize(
    ("syntax", "tag", "data"),
    [
        (JPEG, "YBR_FULL", make_jpeg("YCBCR", "JFIF")),
        (JPEG, "YBR_FULL_422", make_jpeg("YCBCR", "neither", "422")),
        (JPEG, "RGB", make_jpeg("RGB", "APP14")),
        (RLE, "YBR_FULL", encode_rle(YBR)),
        (JPEGLS, "YBR_FULL", imagecodecs.jpegls_encode(YBR)),
        (JPEG2000, "YBR_RCT", imagecodecs.jpeg2k_encode(RGB, codecformat="j2k", mct=True)),
        (HTJ2K, "YBR_RCT", imagecodecs.htj2k_encode(RGB)),
        (EXPLICIT, "YBR_FULL", YBR.tobytes()),
        (EXPLICIT, "RGB", RGB.tobytes()),
    ],
)
def test_pydicom_agrees_where_it_reads_them(syntax: str, tag: str, data: bytes) -> None:
    from pydicom.pixels import pixel_array

    file = pixel_file(RGB, data if syntax == EXPLICIT else [b"", even(data)], syntax)
    file = file.replace(*_tag(tag))
    seen = pixel_array(pydicom.dcmread(BytesIO(file)), raw=False)
    ours = read_frame(open_frames(file))
    assert np.abs(ours.values.astype(int) - seen).max() <= (5 if syntax == JPEG else 1)
    assert is_right(ours)


def test_recompressed_jpeg_holds_smaller_versions_and_no_bomb() -> None:
    file = pixel_file(
        RGB, [b"", even(imagecodecs.jpegxl_encode_jpeg(make_jpeg("YCBCR", "JFIF")))], JXL_JPEG
    )
    small = read_frame(open_frames(file.replace(*_tag("YBR_FULL"))), size=24)
    assert (small.scale, small.values.shape) == (2, (16, 24, 3))
    comment = b"\xff\xfe\xff\xff" + bytes(65533)
    jpeg = make_jpeg("YCBCR", "JFIF")
    bomb = imagecodecs.jpegxl_encode_jpeg(jpeg[:2] + comment * 400 + jpeg[2:])
    assert len(bomb) < 10_000  # 26 MB of comments, which are not unpacked: only its pixels are
    assert is_right(read(bomb, JXL_JPEG, "YBR_FULL"))

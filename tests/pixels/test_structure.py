"""Pixels in another transfer syntax than stated: detected from the bytes, or refused."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

import wetread as wr
from wetread.errors import DecodeError
from wetread.testing.dicom import BIG_ENDIAN, DEFLATED, EXPLICIT, IMPLICIT, SEQUENCE_END
from wetread.testing.pixel_files import (
    CODECS,
    JPEG,
    JPEG2000,
    JPEGLS,
    RAW,
    RLE,
    even,
    in_items,
    pixel_file,
)

VALUES = (np.add.outer(np.arange(32), np.arange(40)) * 3 % 251).astype("u1")
NATIVE = {"implicit": IMPLICIT, "explicit": EXPLICIT, "big": BIG_ENDIAN, "deflated": DEFLATED}
STATED = {**NATIVE, "rle": RLE, "jpeg": JPEG, "jpeg2000": JPEG2000, "raw": RAW}
LAYOUTS: dict[str, Any] = {
    "items": lambda data: [b"", data],
    "items of a length": in_items,
    "no items": lambda data: data,
}


def scan_one(folder: Path, data: bytes) -> wr.Index:
    (folder / "a.dcm").write_bytes(data)
    return wr.scan(folder, workers=0, progress=False)


def codes(problems: Any) -> list[str]:
    return [problem["code"] for problem in problems or ()]


@pytest.mark.parametrize("layout", LAYOUTS)
def test_the_bytes_win_over_the_transfer_syntax(tmp_path: Path, layout: str) -> None:
    for codec, (_, encode) in CODECS.items():
        data = LAYOUTS[layout](even(encode(VALUES)))
        for stated, syntax in STATED.items():
            (tmp_path / f"{codec} {stated}").write_bytes(pixel_file(VALUES, data, syntax))
    for image in wr.scan(tmp_path, workers=0, progress=False):
        codec, stated = image.path.split()
        if codec == "raw" and stated == "big" and layout != "no items":
            with pytest.raises(DecodeError, match="in no known encoding"):
                image.pixels()  # bytes are never swapped by a guess
            continue
        off = np.abs(image.pixels().astype(int) - VALUES).max()
        assert off <= (3 if codec in ("jpeg", "jpegxl-jpeg") else 0), image.path
        right = {"jp2": ["jpeg2000"], "raw": NATIVE if layout == "no items" else ["raw"]}
        wrong = stated not in right.get(codec, [codec])
        assert ("TSUID_WRONG" in codes_of(image.render("full").notes)) == wrong, image.path
        if codec != "jpegxl":  # its two bytes alone do not say what it is
            assert image.row["decodable"] == "yes"


def codes_of(notes: Any) -> list[str]:
    return [code for code, _ in notes]


@pytest.mark.parametrize("undefined", [True, False])
def test_measured_with_a_problem_in_the_scan_and_in_the_pixels(
    tmp_path: Path, undefined: bool
) -> None:
    data = even(CODECS["jpeg-ls"][1](VALUES))
    index = scan_one(tmp_path, pixel_file(VALUES, [b"", data] if undefined else data))
    row = index.measure(progress=False, workers=1)[0].row
    assert (row["px_status"], row["px_min"], row["px_max"]) == ("ok", 0, VALUES.max())
    assert codes(row["px_problems"]) == codes(row["problems"]) == ["TSUID_WRONG"]
    assert row["read_status"] == "repaired"


@pytest.mark.parametrize("stated", [EXPLICIT, IMPLICIT, DEFLATED])
def test_the_syntax_alone_rewritten_to_big_endian(tmp_path: Path, stated: str) -> None:
    data = even(CODECS["jpeg2000"][1](VALUES))
    file = pixel_file(VALUES, [b"", data], EXPLICIT)
    file = file.replace(EXPLICIT.encode() + b"\0", BIG_ENDIAN.encode() + b"\0")
    np.testing.assert_array_equal(scan_one(tmp_path, file)[0].pixels(), VALUES)


@pytest.mark.parametrize("stated", [JPEG, JPEGLS, RLE, RAW])
@pytest.mark.parametrize(("frames", "announced"), [(1, None), (3, 3), (3, 2)])
def test_a_length_that_is_the_uncompressed_one(
    tmp_path: Path, stated: str, frames: int, announced: int | None
) -> None:
    values = [VALUES + number for number in range(frames)]
    pixels = b"".join(one.tobytes() for one in values)
    index = scan_one(tmp_path, pixel_file(VALUES, pixels, stated, NumberOfFrames=announced))
    assert index[0].frames == frames
    for number, one in enumerate(values):
        np.testing.assert_array_equal(index[0].pixels(number), one)
    assert index[0].row["read_status"] == "repaired"


def test_raw_values_of_undefined_length(tmp_path: Path) -> None:
    file = pixel_file(VALUES, [b""])
    ends = file.index(b"\xff\xff\xff\xff\xfe\xff\x00\xe0") + 4
    index = scan_one(tmp_path, file[:ends] + VALUES.tobytes() + SEQUENCE_END)
    np.testing.assert_array_equal(index[0].pixels(), VALUES)


@pytest.mark.parametrize("layout", LAYOUTS)
@pytest.mark.parametrize("size", [100, 5000])
def test_an_undetectable_encoding_is_refused_and_never_noise(
    tmp_path: Path, layout: str, size: int
) -> None:
    noise = bytes(np.random.default_rng(1).integers(3, 200, size, dtype="u1"))
    for stated, syntax in STATED.items():
        (tmp_path / stated).write_bytes(pixel_file(VALUES, LAYOUTS[layout](noise), syntax))
    for image in wr.scan(tmp_path, workers=0, progress=False).measure(progress=False, workers=1):
        native = layout == "no items" and image.path in NATIVE
        if native and size > VALUES.nbytes:  # uncompressed as stated, and more of it
            assert "PIXELS_LONG" in codes(image.row["problems"])
            continue
        if native and image.path != "deflated":
            assert image.row["decodable"] == "no"
        with pytest.raises(DecodeError):
            image.pixels()
        seen = image.row["px_status"], codes(image.row["px_problems"])
        assert seen == ("failed", ["UNDECODABLE"]), image.path


@pytest.mark.parametrize("start", [b"\xff\x0a", b"\xff\xd8\xff\xe0", b"\x01\0\0\0\x40\0\0\0"])
def test_uncompressed_values_that_begin_like_a_code_stream(tmp_path: Path, start: bytes) -> None:
    pixels = start + VALUES.tobytes()[len(start) :]
    index = scan_one(tmp_path, pixel_file(VALUES, pixels))
    assert index[0].pixels().tobytes() == pixels
    longer = scan_one(tmp_path, pixel_file(VALUES, pixels + bytes(20)))
    assert longer[0].pixels().tobytes() == pixels


def test_a_mammogram_without_items(tmp_path: Path) -> None:
    """Compressed to a third, of defined length, as a code-stream of a real mammograph."""
    values = (np.add.outer(np.arange(700), np.arange(900)) * 2).astype("u2")
    stream = even(CODECS["jpeg-lossless"][1](values))
    assert len(stream) < values.nbytes / 2
    index = scan_one(tmp_path, pixel_file(values, stream, BitsStored=12, HighBit=11))
    np.testing.assert_array_equal(index[0].pixels(), values)
    assert codes(index[0].row["problems"]) == ["TSUID_WRONG"]
    assert index[0].row["decodable"] == "yes"
    assert index[0].display(size=128).shape == (100, 128)


def test_a_code_stream_of_another_size_is_refused(tmp_path: Path) -> None:
    stream = even(CODECS["jpeg"][1](np.zeros((64, 64), "u1")))
    with pytest.raises(DecodeError, match="holds 64 x 64 x 1, the header states 32 x 40 x 1"):
        scan_one(tmp_path, pixel_file(VALUES, stream))[0].pixels()


@pytest.mark.parametrize("name", ["noisy.dcm", "smooth.dcm"])
def test_the_shared_case(shared_case: Any, tmp_path: Path, name: str) -> None:
    index = scan_one(tmp_path, (shared_case("22") / name).read_bytes())
    smooth, noisy = (
        np.tile(np.arange(64), (64, 1)),
        np.random.default_rng(0).integers(0, 256, (8, 8), dtype="u1"),
    )
    np.testing.assert_array_equal(index[0].pixels(), smooth if name == "smooth.dcm" else noisy)

"""Every pixel format and codec: synthetic files decode to their original values."""

from __future__ import annotations

import os
import subprocess
import sys
from typing import Any

import imagecodecs
import numpy as np
import pytest

from wetread.errors import DecodeError
from wetread.headers.encodings import is_decodable
from wetread.pixels import (
    Frame,
    codecs,
    decode,
    decode_reduced,
    open_frames,
    read_frame,
)
from wetread.pixels.form import Form
from wetread.settings import Settings
from wetread.testing.dicom import BIG_ENDIAN, EXPLICIT, Element, dicom_file, element

RLE = "1.2.840.10008.1.2.5"
JPEG, JPEG12, LOSSLESS = (f"1.2.840.10008.1.2.4.{n}" for n in (50, 51, 70))
JPEGLS, JPEG2000, HTJ2K, JXL = (f"1.2.840.10008.1.2.4.{n}" for n in (80, 90, 201, 110))
RNG = np.random.default_rng(3)


def make_form(values: np.ndarray, syntax: str, **changes: Any) -> Form:
    rows, columns, samples = (*values.shape, 1)[:3]
    bits = 8 * values.dtype.itemsize
    usual = {
        "syntax": syntax,
        "rows": rows,
        "columns": columns,
        "samples": samples,
        "frames": 1,
        "allocated": bits,
        "stored": bits,
        "high_bit": changes.get("stored", bits) - 1,
        "signed": values.dtype.kind == "i",
        "photometric": "RGB" if samples == 3 else "MONOCHROME2",
        "planar": False,
    }
    return Form(**{**usual, **changes})


def read(pixels: Any, syntax: str = EXPLICIT, vr: str = "OW", **tags: Any) -> Frame:
    """One frame of a file with the given tags and pixels."""
    elements = [element(keyword, value) for keyword, value in tags.items()]
    elements.sort(key=lambda e: e.tag)
    return read_frame(open_frames(dicom_file([*elements, Element(0x7FE00010, vr, pixels)], syntax)))


GREY = {
    "Rows": 2,
    "Columns": 2,
    "SamplesPerPixel": 1,
    "PhotometricInterpretation": "MONOCHROME2",
    "BitsAllocated": 16,
    "BitsStored": 12,
    "HighBit": 11,
    "PixelRepresentation": 0,
}


@pytest.mark.parametrize("syntax", [EXPLICIT, BIG_ENDIAN])
@pytest.mark.parametrize(
    ("signed", "words", "expected"),
    [
        (0, [0x0FFF, 0xF001, 0x0000, 0x1800], [0xFFF, 1, 0, 0x800]),  # bits above: masked
        (1, [0x0FFF, 0xF001, 0x0000, 0x1800], [-1, 1, 0, -0x800]),  # bits above: sign-extended
    ],
)
def test_bits_outside_bits_stored_are_masked_or_sign_extended(
    syntax: str, signed: int, words: list[int], expected: list[int]
) -> None:
    pixels = np.array(words, "<u2").tobytes()
    frame = read(pixels, syntax, **{**GREY, "PixelRepresentation": signed})
    assert frame.values.ravel().tolist() == expected
    assert frame.values.dtype == ("int16" if signed else "uint16")
    assert frame.bits == 12
    assert frame.values.flags.writeable


def test_a_high_bit_above_the_stored_bits_shifts_down() -> None:
    pixels = np.array([0x7FF8, 0x8007, 0x0008, 0], "<u2").tobytes()
    tags = {**GREY, "BitsStored": 12, "HighBit": 14}
    assert read(pixels, **tags).values.ravel().tolist() == [0xFFF, 0, 1, 0]


@pytest.mark.parametrize("syntax", [EXPLICIT, BIG_ENDIAN])
@pytest.mark.parametrize("vr", ["OB", "OW"])
def test_8_bit_pixels_in_bytes_or_words(syntax: str, vr: str) -> None:
    tags = {**GREY, "Columns": 3, "BitsAllocated": 8, "BitsStored": 8, "HighBit": 7}
    assert read(bytes(range(6)), syntax, vr, **tags).values.ravel().tolist() == [0, 1, 2, 3, 4, 5]


def test_12_bits_allocated_are_unpacked() -> None:
    tags = {**GREY, "BitsAllocated": 12}
    packed = bytes([0x21, 0x43, 0x65, 0xFF, 0x0F, 0x80])
    assert read(packed, **tags).values.ravel().tolist() == [0x321, 0x654, 0xFFF, 0x800]


@pytest.mark.parametrize(
    ("tag", "vr", "kind"), [(0x7FE00008, "OF", "f4"), (0x7FE00009, "OD", "f8")]
)
def test_float_pixels(tag: int, vr: str, kind: str) -> None:
    values = np.array([[0.5, -1e9], [np.inf, 3]], kind)
    tags = [element(k, v) for k, v in GREY.items() if k not in ("BitsStored", "HighBit")]
    data = dicom_file([*tags, Element(tag, vr, values.astype(f"<{kind}").tobytes())])
    frame = read_frame(open_frames(data))
    np.testing.assert_array_equal(frame.values, values)
    assert frame.values.dtype == kind


def test_planar_colour_and_ybr_422() -> None:
    rgb = {**GREY, "SamplesPerPixel": 3, "PhotometricInterpretation": "RGB", "BitsAllocated": 8}
    rgb |= {"BitsStored": 8, "HighBit": 7}
    planes = bytes([1, 2, 3, 4, 11, 12, 13, 14, 21, 22, 23, 24])
    frame = read(planes, **rgb, PlanarConfiguration=1)
    assert frame.values[0].tolist() == [[1, 11, 21], [2, 12, 22]]
    ybr = {**rgb, "PhotometricInterpretation": "YBR_FULL_422", "PlanarConfiguration": 0}
    frame = read(bytes([10, 20, 128, 128, 76, 76, 85, 255]), **ybr)
    assert frame.values.tolist() == [[[10] * 3, [20] * 3], [[254, 0, 0]] * 2]
    assert (frame.photometric, frame.conversion) == ("RGB", "YBR_FULL_422 to RGB")


def grey(bits: int, signed: bool = False) -> np.ndarray:
    low = -(1 << bits - 1) if signed else 0
    kind = f"{'i' if signed else 'u'}{1 if bits <= 8 else 2}"
    return RNG.integers(low, low + (1 << bits), (37, 51)).astype(kind)


def encode_rle(values: np.ndarray) -> bytes:
    """RLE of literal runs only: one segment per byte plane, most significant first."""
    big = np.atleast_3d(values).astype(values.dtype.newbyteorder(">"))
    size = values.dtype.itemsize
    planes = big.view("u1").reshape(*big.shape, size)
    segments = []
    for sample in range(big.shape[2]):
        for byte in range(size):
            data = planes[:, :, sample, byte].tobytes()
            runs = [data[i : i + 128] for i in range(0, len(data), 128)]
            packed = b"".join(bytes([len(run) - 1]) + run for run in runs)
            segments.append(packed + b"\0" * (len(packed) % 2))
    head = np.zeros(16, "<u4")
    head[0] = len(segments)
    head[1 : 1 + len(segments)] = 64 + np.cumsum([0, *map(len, segments[:-1])])
    return head.tobytes() + b"".join(segments)


LOSSLESS_CODECS: dict[str, tuple[str, Any]] = {
    "jpeg-lossless": (LOSSLESS, lambda a: imagecodecs.ljpeg_encode(a.view(f"u{a.itemsize}"))),
    "jpeg-ls": (JPEGLS, lambda a: imagecodecs.jpegls_encode(a.view(f"u{a.itemsize}"))),
    "jpeg2000": (JPEG2000, lambda a: imagecodecs.jpeg2k_encode(a, codecformat="j2k")),
    "jp2": (JPEG2000, lambda a: imagecodecs.jpeg2k_encode(a, codecformat="jp2")),
    "htj2k": (HTJ2K, imagecodecs.htj2k_encode),
    "jpegxl": (JXL, lambda a: imagecodecs.jpegxl_encode(a.view(f"u{a.itemsize}"), lossless=True)),
}


@pytest.mark.parametrize("codec", LOSSLESS_CODECS)
@pytest.mark.parametrize(("bits", "signed"), [(8, False), (12, False), (16, False), (16, True)])
def test_lossless_streams_give_back_the_values(codec: str, bits: int, signed: bool) -> None:
    syntax, encode = LOSSLESS_CODECS[codec]
    values = grey(bits, signed)
    frame = decode(encode(values), make_form(values, syntax, stored=bits))
    np.testing.assert_array_equal(frame.values, values)
    assert frame.values.dtype == values.dtype
    assert frame.notes == ()


@pytest.mark.parametrize("codec", [c for c in LOSSLESS_CODECS if c != "jpeg-lossless"])
def test_lossless_colour(codec: str) -> None:
    syntax, encode = LOSSLESS_CODECS[codec]
    values = RNG.integers(0, 256, (20, 30, 3)).astype("u1")
    tag = "YBR_RCT" if codec in ("jpeg2000", "jp2", "htj2k") else "RGB"
    frame = decode(encode(values), make_form(values, syntax, photometric=tag))
    np.testing.assert_array_equal(frame.values, values)
    assert frame.conversion == ("YBR_RCT to RGB" if tag == "YBR_RCT" else "")
    assert frame.notes == ()


@pytest.mark.parametrize("shape", [(16, 18), (16, 18, 3)])
@pytest.mark.parametrize("kind", ["u1", "u2", "i2", "u4"])
def test_rle(kind: str, shape: tuple[int, ...]) -> None:
    if len(shape) == 3 and kind == "i2":
        pytest.skip("no signed colour")
    top = np.iinfo(kind).max
    values = RNG.integers(0, top, shape, dtype=kind)
    values[3:6] = top
    frame = decode(encode_rle(values), make_form(values, RLE))
    np.testing.assert_array_equal(frame.values, values)


@pytest.mark.parametrize(("bits", "syntax"), [(8, JPEG), (12, JPEG12)])
def test_lossy_jpeg_is_near(bits: int, syntax: str) -> None:
    rows, columns = np.mgrid[:40, :56]
    values = ((rows + columns) * ((1 << bits) - 1) // 94).astype("u1" if bits == 8 else "u2")
    data = imagecodecs.jpeg8_encode(values, level=98, bitspersample=bits)
    frame = decode(data, make_form(values, syntax, stored=bits))
    assert np.abs(frame.values.astype(int) - values).max() <= (2 if bits == 8 else 20)


@pytest.mark.parametrize(
    ("stored", "signed", "expected", "noted"),
    [
        (16, False, [0, 1, 4000], True),  # 12 bits in the stream, 16 announced
        (12, False, [0, 1, 4000], False),
        (10, False, [0, 1, 4000], True),  # values that do not fit Bits Stored: the stream wins
        (16, True, [0, 1, -96], True),  # the sign is at the top of the stream's 12 bits
    ],
)
def test_the_precision_of_the_stream_wins_over_bits_stored(
    stored: int, signed: bool, expected: list[int], noted: bool
) -> None:
    values = np.array([[0, 1, 4000]], "u2")
    data = imagecodecs.jpeg2k_encode(values, codecformat="j2k", bitspersample=12)
    frame = decode(data, make_form(values, JPEG2000, stored=stored, signed=signed))
    assert frame.values.ravel().tolist() == expected
    assert [code for code, _ in frame.notes] == (["BITS_MISMATCH"] if noted else [])


def test_an_overlay_in_the_high_bits_of_a_stream_is_split_off() -> None:
    values = np.array([[0x1005, 0x0FFF]], "u2")
    data = imagecodecs.jpeg2k_encode(values, codecformat="j2k")
    form = make_form(values, JPEG2000, stored=12, embedded=True)
    assert decode(data, form).values.tolist() == [[5, 0xFFF]]


@pytest.mark.parametrize(
    ("space", "tag", "noted"),
    [("YCBCR", "YBR_FULL_422", False), ("YCBCR", "RGB", True), ("RGB", "RGB", False)],
)
def test_the_stream_decides_on_its_colour_before_the_tag(space: str, tag: str, noted: bool) -> None:
    values = np.zeros((16, 16, 3), "u1")
    values[:] = (200, 40, 90)
    data = imagecodecs.jpeg8_encode(values, level=98, colorspace="RGB", outcolorspace=space)
    frame = decode(data, make_form(values, JPEG, photometric=tag))
    assert np.abs(frame.values.astype(int) - values).max() <= 3
    assert [code for code, _ in frame.notes] == (["COLOR_TAG"] if noted else [])


@pytest.mark.parametrize(
    ("tag", "expected"), [("YBR_FULL", (200, 40, 90)), ("RGB", (94, 126, 204))]
)
def test_tag_decides_if_the_stream_states_no_colour(tag: str, expected: tuple[int]) -> None:
    values = np.zeros((16, 16, 3), "u1")
    values[:] = (200, 40, 90)
    data = imagecodecs.jpeg8_encode(
        values, level=98, colorspace="RGB", outcolorspace="YCBCR", subsampling="444"
    )
    assert data[2:4] == b"\xff\xe0"
    frame = decode(
        data[:2] + data[20:], make_form(values, JPEG, photometric=tag)
    )  # no JFIF segment
    assert np.abs(frame.values.astype(int) - expected).max() <= 3
    assert frame.notes == ()


def test_a_stream_of_another_kind_than_stated_is_decoded_and_noted() -> None:
    values = grey(8)
    frame = decode(imagecodecs.jpegls_encode(values), make_form(values, JPEG2000))
    np.testing.assert_array_equal(frame.values, values)
    assert frame.notes[0][0] == "TSUID_WRONG"


def test_a_stream_of_a_size_other_than_stated_is_refused() -> None:
    data = imagecodecs.jpeg2k_encode(np.zeros((64, 64), "u1"), codecformat="j2k")
    with pytest.raises(DecodeError, match=r"holds 64 x 64 x 1, the header states 2 x 2 x 1"):
        decode(data, make_form(np.zeros((2, 2), "u1"), JPEG2000))


def test_a_bomb_is_refused_before_anything_is_allocated() -> None:
    form = make_form(np.zeros((1, 1), "u2"), JPEG2000, rows=65535, columns=65535)
    with pytest.raises(DecodeError, match="refused"):
        decode(b"\xff\x4f\xff\x51", form)
    small = Settings(frame_bytes=100)
    with pytest.raises(DecodeError, match=r"settings\.frame_bytes"):
        decode(b"", make_form(np.zeros((10, 11), "u1"), EXPLICIT), small)
    form = make_form(np.zeros((1, 1), "u2"), RLE, rows=8000, columns=8000)
    with pytest.raises(DecodeError, match=r"10 bytes would expand to 128,000,000"):
        decode(bytes(10), form)


def test_rle_never_writes_beyond_the_frame() -> None:
    head = np.zeros(16, "<u4")
    head[:2] = 1, 64
    data = head.tobytes() + b"\x81\xff" * 1000
    assert decode(data, make_form(np.zeros((2, 2), "u1"), RLE)).values.tolist() == [[255] * 2] * 2


def test_every_error_of_a_decoder_is_a_decode_error(monkeypatch: pytest.MonkeyPatch) -> None:
    class PanicError(BaseException):
        pass

    def panic(*_: object) -> np.ndarray:
        raise PanicError("index out of bounds")

    values = grey(8)
    data = imagecodecs.jpegls_encode(values)
    monkeypatch.setitem(codecs.DECODERS, "jpeg-ls", panic)
    with pytest.raises(DecodeError, match="PanicError: index out of bounds"):
        decode(data, make_form(values, JPEGLS))

    def stop(*_: object) -> np.ndarray:
        raise KeyboardInterrupt

    monkeypatch.setitem(codecs.DECODERS, "jpeg-ls", stop)
    with pytest.raises(KeyboardInterrupt):
        decode(data, make_form(values, JPEGLS))


def test_video_is_not_decodable() -> None:
    assert not is_decodable("1.2.840.10008.1.2.4.102")
    with pytest.raises(DecodeError, match=r"4\.102 cannot be decoded"):
        decode(b"", make_form(grey(8), "1.2.840.10008.1.2.4.102"))


@pytest.mark.parametrize("data", [b"", b"\xff", b"\xff\xd8", b"\xff\xd8\xff\xda\0\2", b"GIF89a"])
def test_an_invalid_code_stream_is_a_decode_error(data: bytes) -> None:
    with pytest.raises(DecodeError):
        decode(data, make_form(grey(8), JPEG))
    with pytest.raises(DecodeError):
        decode_reduced(data, make_form(grey(8), JPEG), 8)


MUTANTS = """
import random, sys
import numpy as np, imagecodecs as ic
from wetread.errors import DecodeError
from wetread.pixels import decode, decode_reduced
from wetread.pixels.form import Form
seeds, first = [], int(sys.argv[1])
rng = np.random.default_rng(0)
grey = (np.add.outer(np.arange(40), np.arange(50)) * 20).astype("u2")
for syntax, data in [
    ("4.51", ic.jpeg8_encode(grey, bitspersample=12)), ("4.70", ic.ljpeg_encode(grey)),
    ("4.80", ic.jpegls_encode(grey)), ("4.90", ic.jpeg2k_encode(grey, codecformat="j2k")),
    ("4.201", ic.htj2k_encode(grey)), ("4.110", ic.jpegxl_encode(grey, lossless=True)),
    ("4.50", ic.jpeg8_encode((grey >> 4).astype("u1"))),
    ("5", np.array([2, 64, 96, *[0] * 13], "<u4").tobytes()
     + (b"\\x81\\5" * 15 + b"\\xb1\\5") * 2)]:
    bits = 8 if syntax == "4.50" else 16
    stored = min(bits, 12)
    form = Form("1.2.840.10008.1.2." + syntax, 40, 50, 1, 1, bits, stored, stored - 1, False,
                "MONOCHROME2", False)
    for seed in range(first, first + int(sys.argv[2])):
        r, bad = random.Random(seed), bytearray(data)
        for _ in range(r.choice((1, 1, 2, 5)) if bad else 0):
            at = r.randrange(len(bad) or 1)
            kind = r.randrange(4)
            if kind == 0 and bad: bad[at] = r.randrange(256)
            elif kind == 1 and bad: bad[at] ^= 1 << r.randrange(8)
            elif kind == 2: del bad[at : at + r.randrange(1, 9)]
            else: bad = bad[: at + 1]
        for run in (lambda: decode(bytes(bad), form), lambda: decode_reduced(bytes(bad), form, 12)):
            try: run()
            except DecodeError: pass
print("done")
"""


def test_mutants_of_every_stream_raise_nothing_but_decode_errors() -> None:
    run = subprocess.run(
        [sys.executable, "-c", MUTANTS, "0", "150"],
        capture_output=True,
        text=True,
        timeout=120,
        env={**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)},
    )
    assert (run.returncode, run.stdout.strip()) == (0, "done"), run.stderr[-2000:]

"""Sign and precision of code-stream and header, at full and reduced resolution."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import imagecodecs
import numpy as np
import pytest

import wetread as wr
from wetread.imaging import shrink
from wetread.pixels import decode, decode_reduced, open_frames
from wetread.pixels.reduced import count_levels
from wetread.testing.pixel_files import HTJ2K, JPEG, JPEG2000, even, pixel_file

WAVES = np.sin(np.mgrid[:128, :192][0] / 9) * np.cos(np.mgrid[:128, :192][1] / 13)
SIGNED = (WAVES * 900 + np.random.default_rng(2).integers(-30, 30, WAVES.shape)).astype("i2")
"""A picture that crosses zero."""


def j2k(values: np.ndarray, **more: Any) -> bytes:
    return even(imagecodecs.jpeg2k_encode(values, codecformat="j2k", **more))


def htj2k(values: np.ndarray) -> bytes:
    return even(imagecodecs.htj2k_encode(values))


def scan_one(folder: Path, data: bytes) -> wr.Index:
    (folder / "a.dcm").write_bytes(data)
    return wr.scan(folder, workers=0, progress=False)


CASES: dict[str, tuple[np.ndarray, str, bytes, dict[str, int]]] = {
    # what is right, transfer syntax, code-stream, elements that differ from the usual
    "signed in both": (SIGNED, JPEG2000, j2k(SIGNED), {}),
    "signed in the header, words": (SIGNED, JPEG2000, j2k(SIGNED.view("u2")), {}),
    "signed in the stream": (SIGNED, JPEG2000, j2k(SIGNED), {"PixelRepresentation": 0}),
    "HTJ2K, words": (SIGNED, HTJ2K, htj2k(SIGNED.view("u2")), {}),
    "HTJ2K, signed in the stream": (SIGNED, HTJ2K, htj2k(SIGNED), {"PixelRepresentation": 0}),
    "12 bits of 16, words": (
        SIGNED,
        JPEG2000,
        j2k(SIGNED.view("u2") & 0xFFF, bitspersample=12),
        {"BitsStored": 12, "HighBit": 11},
    ),
    "12 bits stored, 16 in the stream": (
        SIGNED,
        JPEG2000,
        j2k(SIGNED.view("u2") & 0xFFF),
        {"BitsStored": 12, "HighBit": 11},
    ),
}


def make(case: str) -> tuple[np.ndarray, bytes]:
    values, syntax, stream, tags = CASES[case]
    data = pixel_file(values, [b"", stream], syntax, **tags)
    return values, data


@pytest.mark.parametrize("case", CASES)
def test_full_and_reduced_agree(tmp_path: Path, case: str) -> None:
    values, data = make(case)
    index = scan_one(tmp_path, data)
    np.testing.assert_array_equal(index[0].pixels(), values)
    window = (0.0, 2000.0)
    full, small = index[0].display(window), index[0].display(window, size=48)
    assert np.abs(shrink(full, 48).astype(float) - small).mean() < 6
    whole = index.measure(progress=False, workers=1)[0].row
    reduced = index.measure(48, progress=False, workers=1)[0].row
    assert whole["px_min"] <= reduced["px_min"] <= reduced["px_max"] <= whole["px_max"]
    assert reduced["px_std"] <= whole["px_std"] * 1.05


@pytest.mark.parametrize("case", CASES)
def test_frames_that_change_sign_are_not_reduced(case: str) -> None:
    _, data = make(case)
    with open_frames(data) as frames:
        levels = count_levels(frames.read(), frames.form)
        scale = decode_reduced(frames.read(), frames.form, 48).scale
    same = case.endswith(("in both", "signed in the stream"))
    assert (levels > 0, scale) == (same, 4 if same else 1)


@pytest.mark.parametrize("photometric", ["MONOCHROME1", "MONOCHROME2"])
@pytest.mark.parametrize("end", [0, 4095])
@pytest.mark.parametrize("signed", [False, True])
def test_bright_padding_is_no_outline_of_a_smaller_version(
    tmp_path: Path, photometric: str, end: int, signed: bool
) -> None:
    """Padding is black in the picture, whichever end of the range its value is at."""
    values = np.round(2000 + 1000 * WAVES).astype("u2")
    values[:16], values[-16:], values[:, :16], values[:, -16:] = end, end, end, end
    low = 2048 * signed
    shifted = (values.astype("i4") - low).astype("i2" if signed else "u2")
    stream = j2k(shifted) if signed else j2k(shifted, bitspersample=12)
    tags = {"BitsStored": 12, "HighBit": 11, "PhotometricInterpretation": photometric}
    data = pixel_file(
        shifted, [b"", stream], JPEG2000, PixelPaddingValue=end - low & 0xFFFF, **tags
    )
    image = scan_one(tmp_path, data)[0]
    window = (2048.0 - low, 4096.0)
    full, small = image.display(window), image.display(window, size=48)
    assert not full[:16].any()
    assert np.abs(shrink(full, 48).astype(float) - small).mean() < 6
    with open_frames(data) as frames:
        bright = (end > 0) == (photometric == "MONOCHROME2")
        assert frames.form.bright_padding == bright
        if not signed:  # 16 bits in a signed stream are not reduced either
            assert (count_levels(frames.read(), frames.form) == 0) == bright


def test_a_signed_stream_is_signed_and_noted() -> None:
    _, data = make("signed in the stream")
    with open_frames(data) as frames:
        frame = decode(frames.read(), frames.form)
    assert frame.values.dtype == "int16"
    assert [code for code, _ in frame.notes] == ["BITS_MISMATCH"]


def test_bits_of_an_overlay_are_not_averaged() -> None:
    values = (SIGNED.astype("i4") + 1000).astype("u2")
    words = values | np.where(WAVES > 0, 0x8000, 0).astype("u2")
    tags = {"BitsStored": 12, "HighBit": 11}
    with open_frames(pixel_file(values, [b"", j2k(words)], JPEG2000, **tags)) as frames:
        form = replace(frames.form, embedded=True)
        np.testing.assert_array_equal(decode(frames.read(), form).values, values)
        np.testing.assert_array_equal(decode_reduced(frames.read(), form, 48).values, values)


def test_signed_values_in_a_jpeg_of_8_bits_come_in_full() -> None:
    values = (WAVES * 60).astype("i1")
    stream = even(imagecodecs.jpeg8_encode(values.view("u1"), level=100))
    with open_frames(pixel_file(values, [b"", stream], JPEG)) as frames:
        assert decode_reduced(frames.read(), frames.form, 48).scale == 1
        assert decode(frames.read(), frames.form).values.dtype == "int8"


def test_16_bits_in_the_stream_and_12_stored_are_still_reduced() -> None:
    values = (SIGNED.astype("i4") + 1000).astype("u2")
    tags = {"BitsStored": 12, "HighBit": 11}
    with open_frames(pixel_file(values, [b"", j2k(values)], JPEG2000, **tags)) as frames:
        frame = decode_reduced(frames.read(), frames.form, 48)
    assert (frame.scale, frame.bits) == (4, 12)
    assert np.abs(frame.values - values[::4, ::4].astype(float)).mean() < 60


def test_the_shared_case(shared_case: Any) -> None:
    index = wr.scan(shared_case("31"), workers=0, progress=False)
    for image in index.images:
        full = image.display()
        for size in (256, 128, 64):
            small = image.display(size=size)
            assert np.abs(shrink(full, size).astype(float) - small).mean() < 6

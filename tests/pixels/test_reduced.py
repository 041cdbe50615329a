"""Reduced resolutions: bit-equal if possible, near the averages elsewhere."""

from __future__ import annotations

from pathlib import Path

import imagecodecs
import numpy as np
import pytest

from wetread.display.pipeline import read_pipeline
from wetread.display.render import render
from wetread.errors import DecodeError
from wetread.imaging import resize
from wetread.pixels import decode, decode_reduced, open_frames, read_frame, reduced
from wetread.pixels.form import Form
from wetread.pixels.streams import read_stream

J2K, HTJ2K, JPEG, JPEGLS = (f"1.2.840.10008.1.2.4.{n}" for n in (90, 201, 50, 80))


def make_form(values: np.ndarray, syntax: str, stored: int = 0) -> Form:
    rows, columns, samples = (*values.shape, 1)[:3]
    bits = 8 * values.dtype.itemsize
    stored = stored or bits
    tag = "RGB" if samples == 3 else "MONOCHROME2"
    signed = values.dtype.kind == "i"
    return Form(
        syntax, rows, columns, samples, 1, bits, stored, stored - 1, signed, tag, planar=False
    )


def smooth(rows: int, columns: int, bits: int, signed: bool = False) -> np.ndarray:
    y, x = np.mgrid[:rows, :columns]
    unit = 0.5 + 0.5 * np.sin(y / 17) * np.cos(x / 23)
    low = -(1 << bits - 1) if signed else 0
    kind = f"{'i' if signed else 'u'}{1 if bits <= 8 else 2}"
    return (low + unit * ((1 << bits) - 1)).astype(kind)


@pytest.mark.parametrize("encode", [imagecodecs.jpeg2k_encode, imagecodecs.htj2k_encode])
@pytest.mark.parametrize(("bits", "signed"), [(8, False), (12, False), (16, False), (16, True)])
@pytest.mark.parametrize("shape", [(97, 61), (64, 128), (1, 40)])
def test_every_level_of_jpeg_2000(
    encode: object, bits: int, signed: bool, shape: tuple[int, int]
) -> None:
    values = smooth(*shape, bits, signed)
    data = (
        encode(values) if encode is imagecodecs.htj2k_encode else encode(values, codecformat="j2k")
    )
    form = make_form(values, J2K, bits)
    levels = read_stream(data).levels
    for halvings in range(8):
        frame = decode_reduced(data, form, max(1, -(-max(shape) >> halvings)))
        assert frame.scale == 1 << min(halvings, levels)
        assert frame.values.shape == tuple(-(-n // frame.scale) for n in shape)
        assert frame.values.dtype == values.dtype
    raw = reduced.DECODERS["jpeg2000"](data, form, read_stream(data), 0)
    np.testing.assert_array_equal(raw.astype(values.dtype), values)


def test_a_reduced_pixel_is_centred_on_every_nth_pixel() -> None:
    """Position of the low-pass of the wavelet; a box average is (n - 1) / 2 pixels further on."""
    values = smooth(200, 300, 12)
    data = imagecodecs.jpeg2k_encode(values, codecformat="j2k")
    frame = decode_reduced(data, make_form(values, J2K, 12), 75)
    assert frame.scale == 4
    assert np.abs(frame.values - values[::4, ::4].astype(float)).mean() < 12


@pytest.mark.parametrize("samples", [1, 3])
@pytest.mark.parametrize("shape", [(97, 61), (64, 128), (5, 700)])
def test_jpeg_of_8_bits(samples: int, shape: tuple[int, int]) -> None:
    values = smooth(*shape, 8)
    values = values if samples == 1 else np.stack([values, 255 - values, values // 2], axis=-1)
    data = imagecodecs.jpeg8_encode(values, level=95)
    form = make_form(values, JPEG)
    full = decode(data, form).values.astype(float)
    for halvings in range(5):
        frame = decode_reduced(data, form, max(1, -(-max(shape) >> halvings)))
        assert frame.scale <= 1 << halvings
        assert frame.values.shape[:2] == tuple(-(-n // frame.scale) for n in shape)
        near = resize(full.astype("f4"), frame.values.shape[:2])
        assert np.abs(frame.values - near).mean() < 12
    assert frame.photometric == ("RGB" if samples == 3 else "MONOCHROME2")


def test_frames_without_lower_resolution_are_decoded_in_full() -> None:
    values = smooth(40, 60, 12)
    form = make_form(values, JPEGLS, 12)
    frame = decode_reduced(imagecodecs.jpegls_encode(values), form, 10)
    assert frame.scale == 1
    np.testing.assert_array_equal(frame.values, values)
    native = make_form(np.full((40, 60), 0xFFFF, "u2"), "1.2.840.10008.1.2.1")
    assert decode_reduced(b"\xff" * 4800, native, 10).values.min() == 0xFFFF


def test_decode_reduced_never_enlarges() -> None:
    values = smooth(40, 60, 8)
    data = imagecodecs.jpeg2k_encode(values, codecformat="j2k")
    assert decode_reduced(data, make_form(values, J2K), 500).values.shape == (40, 60)


def read_both(path: Path, halvings: int) -> tuple[np.ndarray, np.ndarray]:
    """Picture decoded at a reduced resolution, and the full one, in the same window."""
    with open_frames(path) as frames:
        full = read_frame(frames)
        pipeline, form = read_pipeline(frames.header), frames.form
        whole = render(full, pipeline)
        frame = read_frame(frames, size=-(-max(form.rows, form.columns) >> halvings))
        assert frame.scale == 1 << halvings
        return render(frame, pipeline, whole.view).pixels.astype(float), whole.pixels.astype(float)


@pytest.mark.parametrize("halvings", [1, 2])
@pytest.mark.parametrize("name", ["RG1_J2KR", "RG1_J2KI", "RG3_J2KR", "RG3_J2KI"])
def test_radiographs_are_within_2_grey_levels_of_the_average(
    real_files: list[Path], name: str, halvings: int
) -> None:
    small, full = read_both(next(p for p in real_files if p.stem == name), halvings)
    n = 1 << halvings
    rows, columns = full.shape[0] // n, full.shape[1] // n
    box = full[: rows * n, : columns * n].reshape(rows, n, columns, n).mean(axis=(1, 3))
    assert np.abs(small[:rows, :columns] - box).mean() <= 2


@pytest.mark.parametrize("halvings", [1, 2])
@pytest.mark.parametrize("name", ["MR2_J2KR", "MR2_J2KI"])
def test_noise_is_within_3_grey_levels_of_the_average_around_the_same_pixel(
    real_files: list[Path], name: str, halvings: int
) -> None:
    small, full = read_both(next(p for p in real_files if p.stem == name), halvings)
    n = 1 << halvings
    rows, columns = full.shape
    wide = np.pad(full, n // 2, mode="reflect")
    weights = np.r_[0.5, np.ones(n - 1), 0.5] / n
    around = sum(
        weights[i] * weights[j] * wide[i : i + rows : n, j : j + columns : n]
        for i in range(n + 1)
        for j in range(n + 1)
    )
    assert np.abs(small - around).mean() <= 3


@pytest.mark.parametrize("name", ["RG1_J2KR", "RG3_J2KI", "MR2_J2KR", "693_J2KR", "US1_J2KR"])
def test_the_full_size_of_the_same_path_is_bit_equal(real_files: list[Path], name: str) -> None:
    with open_frames(next(p for p in real_files if p.stem == name)) as frames:
        data = frames.read(0)
        stream = read_stream(data)
        raw = reduced.DECODERS["jpeg2000"](data[stream.start :], frames.form, stream, 0)
        again = reduced.finish(raw, frames.form, stream)
        np.testing.assert_array_equal(again.values, read_frame(frames).values)


@pytest.mark.filterwarnings("ignore::UserWarning")  # what pydicom says of odd headers
def test_every_real_file_at_every_size(real_files: list[Path]) -> None:
    seen = 0
    for path in real_files:
        try:
            with open_frames(path) as frames:
                full = read_frame(frames)
                for size in (1, 7, 64, 511):
                    frame = read_frame(frames, size=size)
                    assert max(frame.values.shape[:2]) >= min(size, max(full.values.shape[:2]))
                    assert frame.values.dtype == full.values.dtype
                seen += 1
        except DecodeError:
            continue
    assert seen > 100

"""Each defect of fastai.medical.imaging, by its number in the design, is right in the drop-in.

The last test runs this file with the real module in our place: every other test must fail there.
"""

from __future__ import annotations

import importlib
import importlib.util
import os
import re
import subprocess
import sys
import warnings
from collections.abc import Iterator
from io import BytesIO
from pathlib import Path
from typing import Any

import imagecodecs
import numpy as np
import pytest

pytest.importorskip("fastai", reason="pip install '.[fastai]'")

import matplotlib as mpl

mpl.use("Agg")
import matplotlib.pyplot as plt
import pandas as pd
import pydicom
import torch
from PIL import Image
from pydicom.pixels import apply_color_lut, apply_modality_lut, apply_voi_lut

from wetread.testing.dicom import JPEG2000, Element, changed, dicom_file, element, picture, rgb_form

DROP_IN = os.environ.get("WETREAD_TEST_DROP_IN", "wetread.fastai")
drop = importlib.import_module(DROP_IN)
SHAPE = (24, 32)
RAMP = (np.arange(SHAPE[0] * SHAPE[1], dtype="<u2") * 5).reshape(SHAPE)
"""0 to 3835: 12 bits."""
PLAIN = ("WindowCenter", "WindowWidth", "RescaleIntercept", "RescaleSlope")


@pytest.fixture(autouse=True)
def _closed() -> Iterator[None]:
    yield
    plt.close("all")


def film(*more: Element, pixels: Any = RAMP, without: tuple[str, ...] = PLAIN) -> bytes:
    """Uncompressed radiograph of 12 bits, without window and rescale."""
    return dicom_file(film_elements(*more, pixels=pixels, without=without))


def film_elements(
    *more: Element, pixels: Any = RAMP, without: tuple[str, ...] = PLAIN
) -> list[Element]:
    data = element("PixelData", np.ascontiguousarray(pixels).tobytes(), vr="OW")
    return changed(changed(picture(1, *SHAPE), data, without=without), *more)


def colour_film(pixels: Any) -> bytes:
    return film(*rgb_form(), pixels=pixels)


def compressed(*more: Element, stream: bytes | None = None) -> bytes:
    stream = stream or bytes(
        imagecodecs.jpeg2k_encode(RAMP, codecformat="j2k", bitspersample=12, reversible=True)
    )
    data = element("PixelData", [b"", stream + b"\0" * (len(stream) % 2)], vr="OB")
    return dicom_file(film_elements(data, *more), JPEG2000)


def kept(folder: Path, *files: bytes) -> list[Path]:
    paths = [folder / f"{number}.dcm" for number in range(len(files))]
    for path, data in zip(paths, files, strict=True):
        path.write_bytes(data)
    return paths


def opened(data: bytes) -> pydicom.FileDataset:
    return pydicom.dcmread(BytesIO(data))


def shown(dataset: pydicom.Dataset, **options: Any) -> Any:
    """Output of `show` on an Axes: RGB, uint8."""
    figure, ax = plt.subplots()
    dataset.show(ax=ax, **options)
    (drawn,) = ax.images
    plt.close(figure)
    return np.asarray(drawn.to_rgba(drawn.get_array(), bytes=True))[..., :3]


def table(files: list[Path], **options: Any) -> pd.DataFrame:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", UserWarning)
        return pd.DataFrame.from_dicoms(files, **options)


# --- by number ----------------------------------------------------------------------------------


@pytest.mark.filterwarnings("ignore")  # pydicom's own
def test_2_01_force_reads_a_file_without_preamble(tmp_path: Path) -> None:
    (path,) = kept(tmp_path, b"no DICOM file at all")
    with pytest.raises(pydicom.errors.InvalidDicomError):
        path.dcmread()
    assert len(path.dcmread(force=True)) >= 0


def test_2_01_nothing_is_read_later_from_a_file_that_may_be_gone(tmp_path: Path) -> None:
    (path,) = kept(tmp_path, film())
    dataset = path.dcmread()
    path.unlink()
    assert dataset.Rows == SHAPE[0]
    assert np.array_equal(dataset.pixel_array, RAMP)


def test_2_02_a_sequence_does_not_end_the_table(tmp_path: Path) -> None:
    sequence = element("AnatomicRegionSequence", [[element("CodeValue", "T-D3000")]])
    files = kept(tmp_path, film(sequence), film())
    frame = table(files)
    assert frame["PatientID"].tolist() == ["P1", "P1"]
    assert "AnatomicRegionSequence" not in frame
    assert "AnatomicRegionSequence" not in files[0].dcmread().as_dict()


@pytest.mark.parametrize("n_workers", [0, 2])
def test_2_03_unreadable_file_loses_one_row(tmp_path: Path, n_workers: int) -> None:
    files = [*kept(tmp_path, film(), b"no DICOM", film()), tmp_path / "none.dcm"]
    message = r"2 of 4 files could not be read; the first is row 1: not_dicom"
    with pytest.warns(UserWarning, match=message):
        frame = pd.DataFrame.from_dicoms(files, n_workers=n_workers)
    assert frame["fname"].tolist() == [str(path) for path in files]
    assert frame["Rows"].fillna(0).tolist() == [24, 0, 24, 0]
    assert frame.drop(columns="fname").iloc[[1, 3]].isna().all(axis=None)


def test_2_04_undecodable_pixels_are_nan_without_output(
    tmp_path: Path, capfd: pytest.CaptureFixture[str], caplog: pytest.LogCaptureFixture
) -> None:
    files = kept(tmp_path, film(), compressed(stream=b"\xff\x4f no code stream"))
    with warnings.catch_warnings(record=True) as heard:
        warnings.simplefilter("always")
        frame = pd.DataFrame.from_dicoms(files)
        alone = files[1].dcmread().as_dict()
    names = ["img_min", "img_max", "img_mean", "img_std", "img_pct_window"]
    assert frame.loc[0, names].notna().all()
    assert frame.loc[1, names].isna().all()
    assert all(np.isnan(alone[name]) for name in names)
    out = [*capfd.readouterr(), caplog.text, *(str(one.message) for one in heard)]
    assert "Doe" not in "".join(out)
    assert out[:2] == ["", ""]


def test_2_05_monochrome1_is_inverted(tmp_path: Path) -> None:
    inverse = element("PhotometricInterpretation", "MONOCHROME1")
    usual, other = opened(film()), opened(film(inverse))
    for options in ({}, {"scale": True}, {"scale": False}, {"scale": (2000, 1500)}):
        assert shown(usual, **options).mean(axis=(1, 2))[0] < 60
        assert shown(other, **options).mean(axis=(1, 2))[0] > 195
    pictures = [np.asarray(drop.PILDicom.create(f)) for f in (film(), film(inverse))]
    assert np.array_equal(pictures[1], 255 - pictures[0])
    other.save_jpg(tmp_path / "a.jpg", [(4000, 2000)])
    assert np.asarray(Image.open(tmp_path / "a.jpg"))[0].mean() > 195


@pytest.mark.parametrize("kind", ["window", "sigmoid", "VOI LUT", "Modality LUT"])
def test_2_06_the_file_s_own_luts_are_what_is_shown(kind: str) -> None:
    window = [element("WindowCenter", "1500"), element("WindowWidth", "1000")]
    entries = np.minimum(np.arange(4096) ** 2 // 300, 65535)
    lut = [
        element("LUTDescriptor", [4096, 0, 16], vr="US"),
        element("LUTData", entries.astype("<u2").tobytes(), vr="OW"),
    ]
    more = {
        "window": window,
        "sigmoid": [*window, element("VOILUTFunction", "SIGMOID")],
        "VOI LUT": [element("VOILUTSequence", [lut])],
        "Modality LUT": [
            element("ModalityLUTSequence", [[*lut, element("ModalityLUTType", "US")]]),
            element("WindowCenter", "30000"),
            element("WindowWidth", "50000"),
        ],
    }[kind]
    data = film(*more)
    dataset = opened(data)
    values = apply_voi_lut(apply_modality_lut(RAMP, dataset), dataset).astype(float)
    top = {"VOI LUT": 65535.0, "Modality LUT": 65535.0}.get(kind, 4095.0)
    want = values / top * 255
    assert np.abs(shown(dataset, cmap="gray")[..., 0] - want).max() < 1.51  # colours round too
    assert np.abs(np.asarray(drop.PILDicom.create(data)) - want).max() < 0.51


def test_2_07_colour_is_colour_not_frames(capsys: pytest.CaptureFixture[str]) -> None:
    pixels = np.random.default_rng(0).integers(0, 256, (*SHAPE, 3), dtype="u1")
    dataset = opened(colour_film(pixels))
    for scale in (None, True, False, (100, 50)):
        assert np.array_equal(shown(dataset, scale=scale), pixels)
    assert capsys.readouterr().out == ""


def test_2_07_real_colour_files_are_shown_as_pydicom_decodes_them(real_file: Any) -> None:
    rle = pydicom.dcmread(real_file("SC_rgb_rle.dcm"))
    assert np.array_equal(shown(rle), rle.pixel_array)
    palette = pydicom.dcmread(real_file("examples_palette.dcm"))
    colours = apply_color_lut(palette.pixel_array, palette) >> 8
    assert np.abs(shown(palette).astype(int) - colours).max() <= 1


def frames_film() -> bytes:
    frames = np.stack([RAMP, RAMP[::-1], RAMP // 2])
    return film(element("NumberOfFrames", "3"), pixels=frames)


def test_2_08_frames_are_shown_and_the_first_is_the_picture() -> None:
    dataset = opened(frames_film())
    dataset.show(frames=500)
    drawn = [ax.images[0].get_array() for ax in plt.gcf().axes if ax.images]
    assert len(drawn) == 3
    assert drawn[0][0].mean() < 60 < 195 < drawn[1][0].mean()
    first = np.asarray(drop.PILDicom.create(frames_film()))
    assert first.shape == SHAPE
    assert np.array_equal(first, drawn[0])


def test_2_08_frames_are_zoomed_and_stay_as_many() -> None:
    dataset = opened(frames_film())
    dataset.zoom(2)
    assert dataset.NumberOfFrames == 3
    assert dataset.pixel_array.shape == (3, 48, 64)
    assert abs(int(dataset.pixel_array[1, 0].mean()) - int(RAMP[-1].mean())) < 20


@pytest.mark.parametrize("bits", [8, 12, 16])
def test_2_09_a_picture_of_any_bits_is_between_0_and_1_for_training(bits: int) -> None:
    from fastai.vision.core import ToTensor
    from fastai.vision.data import IntToFloatTensor

    top = (1 << bits) - 1
    pixels = (RAMP / RAMP.max() * top).astype(np.uint8 if bits == 8 else "<u2")
    more = [
        element("BitsAllocated", 8 if bits == 8 else 16),
        element("BitsStored", bits),
        element("HighBit", bits - 1),
        element("WindowCenter", str(top / 2 + 0.5)),
        element("WindowWidth", str(top + 1)),
    ]
    data = film(*more, pixels=pixels)
    inverse = film(*more, element("PhotometricInterpretation", "MONOCHROME1"), pixels=pixels)
    numbers = [IntToFloatTensor()(ToTensor()(drop.PILDicom.create(d))) for d in (data, inverse)]
    assert [float(x.min()) for x in numbers] == [0, 0]
    assert [float(x.max()) for x in numbers] == [1, 1]
    assert float((numbers[0] + numbers[1] - 1).abs().max()) < 0.01


def test_2_10_the_brightest_is_the_brightest_of_16_bits(tmp_path: Path) -> None:
    dataset = opened(film())
    pixels = dataset.to_uint16().ravel().astype(int)
    assert pixels.max() == pixels[RAMP.argmax()] == 65535
    assert (np.diff(pixels) >= 0).all()
    dataset.save_tif16(tmp_path / "a.tif")
    assert np.asarray(Image.open(tmp_path / "a.tif"))[-1, -1] == 65535


def test_2_11_half_a_rescale_is_none() -> None:
    for more in (
        [element("RescaleSlope", "2")],
        [element("RescaleSlope", ""), element("RescaleIntercept", "-5")],
        [element("RescaleSlope", ""), element("RescaleIntercept", "")],
    ):
        dataset = opened(film(*more))
        scaled = dataset.scaled_px
        assert scaled.dtype == torch.float32
        assert np.array_equal(scaled.numpy(), apply_or_none(dataset))
        assert shown(dataset, scale=False).shape == (*SHAPE, 3)


def apply_or_none(dataset: pydicom.Dataset) -> Any:
    """PS3.3 C.11.1.1.2: slope and intercept are there together; what is absent changes nothing."""
    slope, intercept = dataset.get("RescaleSlope"), dataset.get("RescaleIntercept")
    return RAMP * float(1 if slope is None else slope) + float(intercept or 0)


def test_2_12_breaks_may_be_an_array() -> None:
    dataset = opened(film())
    breaks = np.array([0, 100, 2000, 3835])
    want = np.interp(RAMP, breaks, np.linspace(0, 1, 4))
    np.testing.assert_allclose(dataset.hist_scaled(breaks).numpy(), want, atol=1e-6)
    np.testing.assert_allclose(dataset.scaled_px.hist_scaled(breaks).numpy(), want, atol=1e-6)
    assert np.abs(shown(dataset, scale=breaks, cmap="gray")[..., 0] / 255 - want).max() < 0.01


def test_2_13_one_two_or_three_windows_make_a_jpeg(tmp_path: Path) -> None:
    dataset = opened(film())
    windows = [(1000, 500), (1000, 1500), (1000, 2500)]
    for count, bins, mode in ((1, None, "L"), (1, 0, "L"), (2, None, "RGB"), (3, None, "RGB")):
        dataset.save_jpg(tmp_path / "a.jpg", windows[:count], bins=bins, quality=95)
        with Image.open(tmp_path / "a.jpg") as saved:
            assert saved.mode == mode
            first = np.asarray(saved.getchannel(0))
        want = np.clip(RAMP / 1000, 0, 1) * 255
        assert np.abs(first[:3].astype(int) - want[:3]).mean() < 12


def test_2_14_pixels_can_be_set() -> None:
    dataset = opened(film())
    dataset.pixel_array = RAMP[:10] // 2
    assert (dataset.Rows, dataset.Columns) == (10, 32)
    assert np.array_equal(again(dataset).pixel_array, RAMP[:10] // 2)


def test_2_14_compressed_pixels_can_be_zoomed() -> None:
    dataset = opened(compressed(element("PixelSpacing", ["0.5", "0.25"])))
    dataset.zoom_to((12, 64))
    decoded = again(dataset)
    assert decoded.pixel_array.shape == (12, 64)
    assert decoded.PixelSpacing == [1, 0.125]
    assert abs(float(decoded.pixel_array.mean()) - float(RAMP.mean())) < 10


def again(dataset: pydicom.Dataset) -> pydicom.FileDataset:
    """Data set written by pydicom and read again."""
    stream = BytesIO()
    dataset.save_as(stream)
    return opened(stream.getvalue())


def test_2_15_private_elements_are_no_nameless_column(tmp_path: Path) -> None:
    more = [
        Element(0x00091010, "LO", "one"),
        Element(0x00091011, "LO", "two"),
        Element(0x00090010, "LO", "MAKER"),
    ]
    files = kept(tmp_path, film(*more))
    assert "" not in table(files)
    assert "" not in files[0].dcmread().as_dict()
    found = table(files, private=True)["private"].iloc[0]
    assert [one["value"] for one in found] == ["MAKER", "one", "two"]


def test_2_15_file_meta_can_be_asked_for(tmp_path: Path) -> None:
    files = kept(tmp_path, film(), compressed())
    frame = table(files, file_meta=True)
    assert frame["TransferSyntaxUID"].tolist() == ["1.2.840.10008.1.2.1", JPEG2000]
    assert next(iter(frame)).startswith(("FileMeta", "MediaStorage"))
    assert "TransferSyntaxUID" in files[0].dcmread().as_dict(file_meta=True)


def test_2_15_the_table_can_be_kept_as_parquet(tmp_path: Path) -> None:
    more = [
        element("ReferringPhysicianName", "Roe^Richard"),
        element("EncapsulatedDocument", b"%PDF"),
        element("FrameTimeVector", [str(number) for number in range(200)]),
    ]
    frame = table(kept(tmp_path, film(*more), film()))
    frame.to_parquet(tmp_path / "t.parquet")
    back = pd.read_parquet(tmp_path / "t.parquet")
    assert back["PatientName"].tolist() == ["Doe^Jane", "Doe^Jane"]
    assert back["EncapsulatedDocument"].iloc[0] == 4
    assert back["FrameTimeVector"].iloc[0].tolist() == list(range(200))
    assert len(frame.columns) < 50


def test_2_16_files_headers_and_table_import_no_torch() -> None:
    code = (
        f"import sys, {DROP_IN};"
        "print(sorted({'torch', 'fastai', 'scipy', 'matplotlib'} & set(sys.modules)))"
    )
    command = [sys.executable, "-W", "ignore", "-c", code]
    ran = subprocess.run(command, capture_output=True, text=True)
    assert ran.stdout.strip() == "[]", ran.stderr


# --- without a number ---------------------------------------------------------------------------


def test_items_are_sorted(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    walk = os.walk

    def backwards(*args: Any, **options: Any) -> Iterator[Any]:
        for folder, folders, files in walk(*args, **options):
            folders.sort(reverse=True)
            yield folder, folders, sorted(files, reverse=True)

    monkeypatch.setattr(os, "walk", backwards)
    files = kept(tmp_path, *[film()] * 4)
    assert list(drop.get_dicom_files(tmp_path)) == files


def test_dcmread_is_callable(tmp_path: Path) -> None:
    (path,) = kept(tmp_path, film())
    assert drop.dcmread(path).Rows == SHAPE[0]


def test_a_blur_keeps_size_and_edges() -> None:
    x = torch.ones(24, 32)
    for size in (5, 20):
        assert torch.allclose(drop.uniform_blur2d(x, size), x)


def test_a_window_of_width_1_is_a_threshold() -> None:
    dataset = opened(film())
    assert torch.equal(dataset.windowed(1, 100), (dataset.pixels > 100).float())


def test_zoom_updates_the_spacing() -> None:
    dataset = opened(film(element("PixelSpacing", ["0.5", "0.25"])))
    dataset.zoom(2)
    assert dataset.PixelSpacing == [0.25, 0.125]


def test_pildicom_opens_a_stream() -> None:
    assert drop.PILDicom.create(BytesIO(film())).size == SHAPE[::-1]


def test_pilctscan_opens_dicom(tmp_path: Path) -> None:
    (path,) = kept(tmp_path, film())
    assert drop.PILCTScan.create(path).size == SHAPE[::-1]


# --- the tests themselves -----------------------------------------------------------------------


@pytest.mark.skipif(DROP_IN != "wetread.fastai", reason="this is the run that it starts")
@pytest.mark.skipif(
    any(importlib.util.find_spec(name) is None for name in ("kornia", "skimage")),
    reason="fastai.medical.imaging needs kornia and scikit-image",
)
def test_every_test_above_fails_with_fastai_itself(request: pytest.FixtureRequest) -> None:
    command = [sys.executable, "-m", "pytest", "-q", "--tb=no", "-W", "ignore", __file__]
    command += ["-p", "no:cacheprovider", "-p", "no:xdist"]
    ran = subprocess.run(
        command,
        capture_output=True,
        text=True,
        cwd=request.config.rootpath,
        env={**os.environ, "WETREAD_TEST_DROP_IN": "fastai.medical.imaging"},
    )
    summary = ran.stdout.splitlines()[-1]
    assert re.match(r"\d\d failed, 1 skipped in ", summary), ran.stdout

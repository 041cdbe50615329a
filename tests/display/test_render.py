"""Rendering: the formulas of the standard, one by one, then dcmtk on every real file."""

from __future__ import annotations

import subprocess
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image, ImageCms

from wetread.display.pipeline import Lut, Pipeline, Window, read_pipeline
from wetread.display.render import (
    PRESETS,
    auto_window,
    choose_view,
    full_window,
    make_table,
    percentiles,
    render,
)
from wetread.errors import DecodeError, UnknownNameError, UsageError
from wetread.pixels import Frame, open_frames, read_frame


def grey(values: Any, kind: str = "i2", bits: int = 16) -> Frame:
    return Frame(np.array(values, kind, ndmin=2), bits, "MONOCHROME2")


def see(values: Any, pipeline: Pipeline, window: Any = None, kind: str = "i2") -> list[int]:
    return render(grey(values, kind), pipeline, window).pixels.ravel().tolist()


CT = Pipeline(
    "MONOCHROME2", "CT", 1, -1024, units="HU", views=(Window(40, 400), Window(-600, 1500))
)
PLAIN = Pipeline("MONOCHROME2", "DX")


def test_linear() -> None:
    """PS3.3 C.11.2.1.2.1: x <= c - 0.5 - (w - 1) / 2 is black, and so on up to white."""
    c, w = 2048, 4096
    x = np.array([0, 1, 1024, 2047, 2048, 4094, 4095, 5000])
    expected = ((x - (c - 0.5)) / (w - 1) + 0.5).clip(0, 1) * 255
    assert see(x, PLAIN, (c, w)) == np.floor(expected + 0.5).astype(int).tolist()


def test_linear_exact() -> None:
    """PS3.3 C.11.2.1.3.2: black at c - w / 2, white at c + w / 2."""
    assert see([-50, 0, 50, 100, 150, 200], PLAIN, Window(100, 100, "LINEAR_EXACT")) == [
        *[0, 0, 0, 128, 255, 255]
    ]


def test_sigmoid() -> None:
    """PS3.3 C.11.2.1.3.1: 1 / (1 + exp(-4 (x - c) / w))."""
    x = np.array([-3000, 50, 100, 150, 3000])
    expected = 255 / (1 + np.exp(-4 * (x - 100) / 100.0))
    assert (
        see(x, PLAIN, Window(100, 100, "SIGMOID")) == np.floor(expected + 0.5).astype(int).tolist()
    )


def test_width_1_is_a_threshold_at_the_center_less_a_half() -> None:
    assert see([98, 99, 100, 101], PLAIN, (100, 1)) == [0, 0, 255, 255]
    assert see([99, 100], PLAIN, Window(99.6, 1)) == [0, 255]


def test_width_below_1_of_a_float_image_is_a_window() -> None:
    values = np.array([[0.0, 0.25, 0.5]], "f4")
    pipeline = Pipeline("MONOCHROME2", "PT")
    assert render(Frame(values, 32, "MONOCHROME2"), pipeline, (0.25, 0.5)).pixels.tolist() == [
        [0, 128, 255]
    ]


def test_voi_lut() -> None:
    lut = Lut(100, 12, np.array([0, 2048, 4095]))
    assert see([0, 100, 101, 102, 900], Pipeline("MONOCHROME2", "DX", views=(lut,))) == [
        *[0, 0, 128, 255, 255]
    ]


def test_modality_lut_then_window() -> None:
    lut = Lut(0, 16, np.array([1000, 0, 500]))
    pipeline = Pipeline("MONOCHROME2", "CR", modality_lut=lut, views=(Window(500.5, 1001),))
    assert see([0, 1, 2], pipeline) == [255, 0, 128]


def test_negative_slope_inverts_the_greys() -> None:
    pipeline = Pipeline("MONOCHROME2", "CR", slope=-1, intercept=255, views=(Window(128, 256),))
    assert see([0, 100, 255], pipeline) == [255, 155, 0]


@pytest.mark.parametrize("pipeline", [Pipeline("MONOCHROME1", "CR", invert=True)])
def test_monochrome1_inverts_after_the_window(pipeline: Pipeline) -> None:
    assert see([0, 100, 255, 999], pipeline, (128, 256)) == [255, 155, 0, 0]


def test_presentation_inverse_inverts_once() -> None:
    from pydicom.dataset import Dataset

    header = Dataset()
    header.PhotometricInterpretation, header.PresentationLUTShape = "MONOCHROME1", "INVERSE"
    assert read_pipeline(header).invert
    header.PhotometricInterpretation = "MONOCHROME2"
    assert read_pipeline(header).invert
    header.PresentationLUTShape = "IDENTITY"
    assert not read_pipeline(header).invert


def test_padding_is_black_and_counts_for_no_window() -> None:
    pipeline = Pipeline("MONOCHROME1", "CR", invert=True, padding=(0, 3))
    frame = grey([0, 3, 100, 200])
    assert auto_window(frame.values, pipeline) == Window(150, 100, "LINEAR_EXACT", "auto")
    assert render(frame, pipeline).pixels.tolist() == [[0, 0, 255, 0]]
    assert full_window(np.array([[0, 2]], "i2"), pipeline).width == 0


def test_signed_9_bits_use_the_table_by_bit_pattern() -> None:
    assert see([-256, -1, 0, 255], PLAIN, (0, 512)) == [0, 127, 128, 255]
    table = make_table(np.dtype("i2"), PLAIN, Window(0, 512))
    assert (table.shape, table.dtype) == ((65536,), np.uint8)
    assert table[np.array([-256, 255], "i2").view("u2")].tolist() == [0, 255]


@pytest.mark.parametrize("kind", ["u1", "i1", "u2", "i2", "u4", "i4", "f4", "f8"])
def test_the_table_and_the_formula_agree(kind: str) -> None:
    rng = np.random.default_rng(0)
    values = rng.integers(0, 100, (20, 20)).astype(kind)
    pipeline = Pipeline("MONOCHROME1", "DX", 1.5, -3, invert=True, padding=(5, 9))
    wide = render(Frame(values.astype("f8"), 16, "MONOCHROME1"), pipeline, (60, 90)).pixels
    np.testing.assert_array_equal(
        render(Frame(values, 16, "MONOCHROME1"), pipeline, (60, 90)).pixels, wide
    )


def test_windows_by_name() -> None:
    stored = np.arange(101, dtype="u2").reshape(1, -1)

    def choose(window: Any) -> Any:
        return choose_view(window, CT, stored, 16)

    assert choose(None) == choose("1") == Window(40, 400)
    assert choose("2") == Window(-600, 1500)
    assert choose((1, 2)) == Window(1, 2)
    assert choose("lung") == Window(-600, 1500, "LINEAR", "lung")
    assert choose("auto") == Window(-974, 98, "LINEAR_EXACT", "auto")
    assert choose("full") == Window(-974, 100, "LINEAR_EXACT", "full")
    assert choose_view(None, PLAIN, stored, 16).name == "auto"
    named = Pipeline(
        "MONOCHROME2", "CT", views=(Window(1, 2, name="BONE"), Window(3, 4, name="Ear"))
    )
    assert choose_view("ear", named, stored, 16) == named.views[1]


def test_windows_that_do_not_exist_or_do_not_fit() -> None:
    stored = np.zeros((2, 2), "u2")
    with pytest.raises(UsageError, match="the file has 2, numbered from 1"):
        choose_view("3", CT, stored, 16)
    with pytest.raises(UnknownNameError, match="did you mean lung"):
        choose_view("lungs", CT, stored, 16)
    with pytest.raises(UsageError, match="'lung' is for CT in HU, this image is DX, unit not"):
        choose_view("lung", PLAIN, stored, 16)
    for wrong in [(1, 0), (1, -1), (float("nan"), 1), (1, 2, 3)]:
        with pytest.raises(UsageError, match="expected"):
            choose_view(wrong, PLAIN, stored, 16)
    assert len(PRESETS) == 9


def test_steps_are_named_in_order() -> None:
    pipeline = Pipeline(
        "MONOCHROME1", "CT", 2, -5, views=(Window(40, 400),), invert=True, padding=(-2000, -2000)
    )
    assert render(grey([0, 1]), pipeline).steps == (
        "padding -2000",
        "rescale x 2 -5",
        "window 40/400",
        "MONOCHROME1",
    )


def test_masks_and_constant_pictures() -> None:
    mask = Frame(np.array([[0, 1]], "u1"), 1, "MONOCHROME2")
    assert render(mask, Pipeline("MONOCHROME2", "SEG")).pixels.tolist() == [[0, 255]]
    sparse = np.zeros((50, 50), "u1")
    sparse[3, 3] = 9
    assert render(Frame(sparse, 8, "MONOCHROME2"), PLAIN).pixels[3, 3] == 255
    assert see([7, 7], PLAIN) == [0, 0]


def test_not_a_number_is_black() -> None:
    values = np.array([[np.nan, 1, 2, np.inf]], "f4")
    pixels = render(Frame(values, 32, "MONOCHROME2"), PLAIN, (1.5, 1.0)).pixels
    assert pixels.tolist()[0][0] == 0
    assert pixels.tolist()[0][3] == 255


def test_palette_and_deep_colour() -> None:
    palette = np.array([[1, 2, 3], [4, 5, 6]], "u1")
    pipeline = Pipeline("PALETTE COLOR", "US", palette=palette, palette_first=10)
    frame = Frame(np.array([[0, 10, 11, 99]], "u1"), 8, "PALETTE COLOR")
    assert render(frame, pipeline).pixels.tolist() == [[[1, 2, 3], [1, 2, 3], [4, 5, 6], [4, 5, 6]]]
    deep = Frame(np.array([[[0, 0x1234, 0xFFFF]]], "u2"), 16, "RGB")
    assert render(deep, Pipeline("RGB", "XC")).pixels.tolist() == [[[0, 0x12, 255]]]
    with pytest.raises(UsageError, match="on a colour image"):
        render(deep, Pipeline("RGB", "XC"), "lung")


def test_an_icc_profile_is_applied_and_a_bad_one_noted() -> None:
    frame = Frame(np.array([[[200, 40, 90]]], "u1"), 8, "RGB")
    srgb = ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes()
    picture = render(frame, Pipeline("RGB", "XC", icc=srgb))
    assert np.abs(picture.pixels.astype(int) - frame.values).max() <= 1
    assert picture.steps == ("ICC to sRGB",)
    picture = render(frame, Pipeline("RGB", "XC", icc=bytes(200)))
    np.testing.assert_array_equal(picture.pixels, frame.values)
    assert picture.notes[0][0] == "BAD_PROFILE"


def test_a_profile_with_red_and_blue_exchanged_exchanges_them() -> None:
    srgb = ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes()
    swapped = srgb.replace(b"rXYZ", b"____").replace(b"bXYZ", b"rXYZ").replace(b"____", b"bXYZ")
    frame = Frame(np.array([[[200, 40, 90]]], "u1"), 8, "RGB")
    pixels = render(frame, Pipeline("RGB", "XC", icc=swapped)).pixels
    assert np.abs(pixels[0, 0].astype(int) - [90, 40, 200]).max() <= 2


@pytest.mark.parametrize("kind", ["u1", "i1", "u2", "i2", "i4", "f4"])
def test_percentiles_equal_numpys(kind: str) -> None:
    rng = np.random.default_rng(1)
    stored = (rng.normal(0, 20, (50, 60)).clip(-100, 100) + (100 if kind[0] == "u" else 0)).astype(
        kind
    )
    values, counts = np.unique(stored, return_counts=True)
    shares = (0, 0.01, 0.5, 0.99, 1)
    np.testing.assert_allclose(
        percentiles(values.astype(float), counts, shares), np.quantile(stored.astype(float), shares)
    )


KNOWN = {
    "rtdose_expb.dcm": "dcmtk swaps each 16-bit word of 32-bit values",
    "rtdose_expb_1frame.dcm": "dcmtk swaps each 16-bit word of 32-bit values",
    "robyoung__dicom-test-files__MR3_J2KI": "dcmtk shows the padding 0 as the window has it, 21",
    "pydicom__pylibjpeg-data__TOSHIBA_J2K_SIZ1_PixRep0.dcm": "dcmtk ignores the sign of the stream",
    "robyoung__dicom-test-files__RG3_JPLY": "dcmtk masks the lossy 1024 to 0 in 10 bits",
}
"""Monochrome files on which dcmtk shows something else, and why."""


def by_dcmtk(path: Path, options: list[str], work: Path) -> np.ndarray | None:
    """Rendering by dcmj2pnm, of the file or of its pixels decompressed by gdcm; None if neither."""
    plain, picture = work / "plain.dcm", work / "picture.pgm"
    subprocess.run(["gdcmconv", "--raw", path, plain], capture_output=True)
    for source in (path, plain):
        command = ["dcmj2pnm", "-O", *options, "+op", str(source), str(picture)]
        run = subprocess.run(command, capture_output=True)
        if run.returncode == 0 and picture.exists():
            seen = np.asarray(Image.open(picture)).astype(int)
            picture.unlink()
            plain.unlink(missing_ok=True)
            return seen
    plain.unlink(missing_ok=True)
    return None


@pytest.mark.apt("dcmtk", "dcmj2pnm")
@pytest.mark.apt("libgdcm-tools", "gdcmconv")
@pytest.mark.filterwarnings("ignore")  # what pydicom says of odd headers
def test_every_monochrome_file_is_within_1_grey_level_of_dcmtk(
    real_files: list[Path], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    seen, unread, wrong = 0, [], []
    for path in real_files:
        try:
            with open_frames(path) as frames:
                frame, pipeline = read_frame(frames), read_pipeline(frames.header)
        except DecodeError:
            continue
        if not frame.photometric.startswith("MONOCHROME"):
            continue
        window = None if pipeline.views else "full"
        options = ["+Wl", "1"] if pipeline.views else ["+Wm"]
        if pipeline.windows and isinstance(
            pipeline.views[0], Window
        ):  # also where dcmtk looks for none
            options = ["+Ww", str(pipeline.windows[0].center), str(pipeline.windows[0].width)]
            options += ["+Wfs"] if pipeline.function == "SIGMOID" else []
        theirs = by_dcmtk(path, options, tmp_path)
        if theirs is None:
            unread.append(path.name)
            continue
        seen += 1
        ours = render(frame, pipeline, window).pixels.astype(int)
        off = np.abs(ours - theirs).max() if ours.shape == theirs.shape else 999
        if off > 1 and path.name not in KNOWN:
            wrong.append((path.name, options, off))
    with capsys.disabled():
        print(f"\ndcmj2pnm: {seen} monochrome files compared, not read by it: {unread}")
    assert not wrong, "\n".join(map(str, wrong))
    assert seen > 50

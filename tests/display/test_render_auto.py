"""Automatic window: contrast in the patient, independent of background and encoding."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import imagecodecs
import numpy as np
import pytest

import wetread as wr
from wetread.display.pipeline import Lut, Pipeline, Window
from wetread.display.render import auto_window, render
from wetread.pixels import Frame
from wetread.sample.phantom import draw_phantom
from wetread.testing.dicom import changed, dicom_file, element
from wetread.testing.dicom import picture as radiograph

SHARED = Path(__file__).resolve().parents[3] / "shared/data"
LOSSLESS_JLS, NEAR_JLS, LOSSY_J2K = (f"1.2.840.10008.1.2.4.{end}" for end in (80, 81, 91))


def ends(window: Window) -> tuple[float, float]:
    return window.center - window.width / 2, window.center + window.width / 2


# --- films --------------------------------------------------------------------------------------


def film(
    number: int = 0, bits: int = 12, edge: float | None = None, tone: float = 1
) -> tuple[np.ndarray, np.ndarray]:
    """A chest radiograph, bright where dense, and where the patient is on it.

    `edge` is the brightness of the collimated border, of 1; a marker is burned in at the maximum.
    """
    exposed = draw_phantom(5, number, 320).density ** tone
    bright = 0.15 + 0.7 * exposed / exposed.max()
    inside = np.ones(bright.shape, bool)
    if edge is not None:
        width = bright.shape[1] // 10
        inside[:, :width] = inside[:, -width:] = inside[:width] = inside[-width:] = False
        bright[~inside] = edge
    bright[30:40, 40:60] = 1
    inside[30:40, 40:60] = False
    return np.rint(bright * ((1 << bits) - 1)).astype("u2"), inside


def see(stored: np.ndarray, bits: int, *, inverted: bool = False) -> np.ndarray:
    values = ((1 << bits) - 1 - stored).astype("u2") if inverted else stored
    kind = f"MONOCHROME{1 if inverted else 2}"
    return render(Frame(values, bits, kind), Pipeline(kind, "DX", invert=inverted)).pixels


@pytest.mark.parametrize("bits", [12, 14])
@pytest.mark.parametrize("edge", [None, 0, 1])
@pytest.mark.parametrize("number", range(4))
def test_a_film_without_a_window_is_not_pale(number: int, edge: float | None, bits: int) -> None:
    """Its median is a middle grey, its densest part not white, its lungs darker than a third."""
    stored, inside = film(number, bits, edge)
    greys = see(stored, bits)[inside]
    assert 70 < np.median(greys) < 150
    assert np.percentile(greys, 90) < 245
    assert np.percentile(greys, 25) < 90
    assert np.ptp(np.percentile(greys, [1, 99])) > 170


@pytest.mark.parametrize("tone", [0.3, 0.5])
def test_a_film_of_mostly_bright_pixels_gets_headroom(tone: float) -> None:
    stored, inside = film(tone=tone)
    low, high = np.percentile(stored, [1, 99])
    pale = (stored[inside] - low) / (high - low) * 255
    greys = see(stored, 12)[inside]
    assert np.median(pale) > 150
    assert np.median(greys) < np.median(pale) - 15
    window = auto_window(stored, Pipeline("MONOCHROME2", "DX"), 12)
    assert ends(window)[1] <= high + 0.25 * (high - low) + 1


@pytest.mark.parametrize("edge", [None, 0, 1])
def test_monochrome1_and_2_are_one_picture(edge: float | None) -> None:
    stored, _ = film(1, edge=edge)
    np.testing.assert_allclose(see(stored, 12).astype(int), see(stored, 12, inverted=True), atol=1)


def test_a_border_hardly_changes_the_picture() -> None:
    plain, _ = film(2)
    for edge in (0, 1):
        stored, inside = film(2, edge=edge)
        off = see(stored, 12)[inside].astype(int) - see(plain, 12)[inside]
        assert np.abs(off).mean() < 45


def test_real_films_are_not_white(real_file: Callable[[str], Path]) -> None:
    image = wr.read(real_file("RG1_J2KR.dcm"))
    greys = image.display("auto", size=256)
    assert 150 < np.median(greys) < 180  # 212 from the 1st to the 99th percentile
    assert np.percentile(greys, 95) < 210
    full, small = image.render("auto"), image.render("auto", size=128)
    assert full.view == small.view


# --- backgrounds --------------------------------------------------------------------------------


def test_background_is_left_out_but_stays_black() -> None:
    rng = np.random.default_rng(0)
    values = np.zeros((100, 100), "u2")
    values[20:80, 20:80] = rng.integers(1000, 2000, (60, 60))
    low, high = ends(auto_window(values, Pipeline("MONOCHROME2", "MR"), 12))
    assert (low, high) == pytest.approx((1010, 1990), abs=50)


def test_a_dark_image_grows_towards_its_background() -> None:
    rng = np.random.default_rng(0)
    values = np.zeros((100, 100), "u2")
    values[20:80, 20:80] = 400 + rng.integers(0, 40, (60, 60)) ** 2
    low, high = ends(auto_window(values, Pipeline("MONOCHROME2", "MR"), 12))
    assert 0 <= low < 100
    assert high == pytest.approx(400 + 39**2, abs=80)


def test_nothing_is_left_out_where_little_would_stay() -> None:
    values = np.zeros((100, 100), "u2")
    values[:9] = np.arange(900).reshape(9, 100)
    low, high = ends(auto_window(values, Pipeline("MONOCHROME2", "NM"), 12))
    assert (low, high) == pytest.approx((0, 800), abs=5)


@pytest.mark.parametrize("number", [2, 5, 60])
def test_masks_and_label_maps_show_every_label(number: int) -> None:
    values = np.zeros((64, 64), "u1")
    values.ravel()[:number] = np.arange(number)
    window = auto_window(values, Pipeline("MONOCHROME2", "SEG"), 8)
    assert ends(window) == (0, number - 1)


def test_a_constant_modality_lut_has_no_contrast() -> None:
    pipeline = Pipeline("MONOCHROME2", "OT", modality_lut=Lut(0, 8, np.full(256, 7)))
    window = auto_window(np.arange(256, dtype="u1"), pipeline, 8)
    assert (window.center, window.width) == (7, 0)


# --- CT -----------------------------------------------------------------------------------------

CT = (
    element("Modality", "CT"),
    element("RescaleIntercept", "-1024"),
    element("RescaleSlope", "1"),
    element("PixelRepresentation", 1),
    element("BitsStored", 16),
    element("HighBit", 15),
)


def slice_() -> np.ndarray:
    """Stored values of a chest in a circle of air; -2000 outside of it."""
    rng = np.random.default_rng(1)
    y, x = (np.mgrid[:256, :256] - 127.5) / 127.5
    values = rng.normal(24, 12, (256, 256))
    values[(x / 0.8) ** 2 + (y / 0.6) ** 2 < 1] += 1050
    lungs = ((np.abs(x) - 0.35) / 0.25) ** 2 + (y / 0.4) ** 2 < 1
    values[lungs] = rng.normal(200, 60, lungs.sum())
    values[x**2 + y**2 > 1] = -2000
    return np.rint(values).astype("i2")


STORED = slice_()
SHIFTED = (STORED.astype(int) + 2048).astype("u2")
"""Without a sign, for the encoders; with an intercept of -3072."""


def write_ct(folder: Path, stream: bytes, syntax: str, padding: int | None) -> wr.Image:
    elements = changed(
        radiograph(rows=256, columns=256),
        *CT,
        element("PixelRepresentation", 0),
        element("RescaleIntercept", "-3072"),
        element("PixelData", [b"", stream + b"\0" * (len(stream) % 2)]),
        *(() if padding is None else (element("PixelPaddingValue", padding + 2048),)),
        without=("WindowCenter", "WindowWidth"),
    )
    path = folder / "ct.dcm"
    path.write_bytes(dicom_file(elements, syntax))
    return wr.read(path)


STREAMS: dict[str, tuple[str, Callable[[], bytes]]] = {
    "lossless": (LOSSLESS_JLS, lambda: imagecodecs.jpegls_encode(SHIFTED)),
    "off by 4": (NEAR_JLS, lambda: imagecodecs.jpegls_encode(SHIFTED, level=4)),
    "off by 12": (NEAR_JLS, lambda: imagecodecs.jpegls_encode(SHIFTED, level=12)),
    "wavelet": (
        LOSSY_J2K,
        lambda: imagecodecs.jpeg2k_encode(SHIFTED, codecformat="j2k", level=60, reversible=False),
    ),
}


@pytest.mark.parametrize("padding", [-2000, None, -32768 + 30720])
@pytest.mark.parametrize("encoding", STREAMS)
def test_a_ct_has_one_window_in_every_encoding(
    tmp_path: Path, encoding: str, padding: int | None
) -> None:
    """Padding that is exact, none, and another value than that outside the circle."""
    plain = write_ct(tmp_path, STREAMS["lossless"][1](), LOSSLESS_JLS, -2000)
    expected, lossless = ends(plain.render().view), plain.display()
    syntax, encode = STREAMS[encoding]
    image = write_ct(tmp_path, encode(), syntax, padding)
    low, high = ends(image.render().view)
    assert low >= -1024
    assert (low, high) == pytest.approx(expected, abs=0.08 * (expected[1] - expected[0]))
    assert np.abs(image.display().astype(int) - lossless).mean() < 10


def test_in_hu_nothing_below_air_counts() -> None:
    pipeline = Pipeline("MONOCHROME2", "CT", 1, -1024, units="HU")
    low, _ = ends(auto_window(STORED, pipeline))
    assert -1024 <= low < -980
    elsewhere = Pipeline("MONOCHROME2", "CT", 1, -1024)
    assert ends(auto_window(STORED - STORED.min(), elsewhere))[1] > 0
    void = np.full((10, 100), -2000, "i2") - np.arange(100, dtype="i2")
    assert ends(auto_window(void, pipeline))[1] < -1024


@pytest.mark.skipif(not SHARED.exists(), reason="no files beside the project")
def test_the_real_ct_of_case_32() -> None:
    folder = SHARED / "cases/32-auto-window-near-lossless"
    exact, near = (wr.read(folder / n) for n in ("d87ebd3e_CT1_RLE", "98dee161_CT1_JLSN"))
    assert ends(near.render().view) == pytest.approx(ends(exact.render().view), abs=5)
    assert np.abs(near.display().astype(int) - exact.display()).max() <= 3
    assert near.padding().mean() == pytest.approx(exact.padding().mean(), abs=0.01)


@pytest.mark.parametrize(
    "names",
    [
        ("MR2_UNCR.dcm", "MR2_J2KI.dcm"),
        ("RG1_UNCR.dcm", "RG1_J2KI.dcm"),
        ("RG3_UNCR.dcm", "RG3_J2KI.dcm"),
    ],
)
def test_real_files_have_one_window_in_every_encoding(
    real_file: Callable[[str], Path], names: tuple[str, str]
) -> None:
    exact, lossy = (wr.read(real_file(name)).render("auto").view for name in names)
    assert ends(lossy) == pytest.approx(ends(exact), abs=0.02 * exact.width)


# --- padding ------------------------------------------------------------------------------------


@pytest.mark.parametrize(("tags", "width"), [({}, 0), ({"LossyImageCompression": "01"}, 16)])
def test_padding_of_a_lossy_image_has_a_margin(tags: dict[str, str], width: int) -> None:
    from pydicom.dataset import Dataset

    from wetread.display.pipeline import read_pipeline

    header = Dataset()
    header.PixelRepresentation, header.BitsAllocated, header.BitsStored = 0, 16, 12
    header.PixelPaddingValue = 100
    for keyword, value in tags.items():
        setattr(header, keyword, value)
    assert read_pipeline(header).padding == (100 - width, 100 + width)

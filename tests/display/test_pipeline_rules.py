"""Rules for special kinds of images, and look-up tables with wrong descriptors."""

from __future__ import annotations

import subprocess
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image as Pillow

import wetread as wr
from wetread.display.pipeline import read_pipeline
from wetread.testing.dicom import BIG_ENDIAN, EXPLICIT, Element, changed, dicom_file, element
from wetread.testing.dicom import picture as radiograph

XA, XRF, CT = (f"1.2.840.10008.5.1.4.1.1.{end}" for end in ("12.1", "12.2", "2"))
RAMP = np.tile(np.arange(0, 4096, 16, dtype="<u2"), (16, 1))
CURVE = (np.linspace(0, 1, 4096) ** 4 * 4095).astype("<u2")
CASES = Path(__file__).resolve().parents[3] / "shared/data/cases"


def lut(descriptor: list[int], data: Any, vr: str = "OW") -> list[Element]:
    return [Element(0x00283002, "US", descriptor), Element(0x00283006, vr, data)]


def write(folder: Path, *new: Element, syntax: str = EXPLICIT) -> Path:
    """Write a ramp from 0 to 4080 without window and rescale, except for `new`."""
    gone = ("RescaleSlope", "RescaleIntercept", "WindowCenter", "WindowWidth")
    plain = changed(radiograph(rows=16, columns=256), without=gone)
    pixels = element("PixelData", RAMP.tobytes(), vr="OW")
    path = folder / "image.dcm"
    path.write_bytes(dicom_file(changed(plain, pixels, *new), syntax))
    return path


def see(folder: Path, *new: Element, syntax: str = EXPLICIT) -> tuple[np.ndarray, list[str]]:
    """Grey levels of one row, and the codes of the notes."""
    picture = wr.read(write(folder, *new, syntax=syntax)).render()
    return picture.pixels[0].astype(int), [code for code, _ in picture.notes]


def by_dcmtk(path: Path, *options: str) -> np.ndarray:
    target = path.with_suffix(".pgm")
    subprocess.run(["dcmj2pnm", "-O", "+op", *options, path, target], check=True)
    return np.asarray(Pillow.open(target)).astype(int)


WINDOW = (element("WindowCenter", "2048"), element("WindowWidth", "4096"))
MODALITY = {
    "lut": (Element(0x00283000, "SQ", [lut([4096, 0, 16], CURVE.tobytes())]),),
    "rescale": (element("RescaleSlope", "0.5"), element("RescaleIntercept", "0")),
}


@pytest.mark.apt("dcmtk", "dcmj2pnm")
@pytest.mark.parametrize("relation", ["LOG", "DISP", None])
@pytest.mark.parametrize("kind", [XA, XRF, CT])
@pytest.mark.parametrize("scale", MODALITY)
def test_the_modality_lut_of_an_angiogram_is_not_shown(
    tmp_path: Path, kind: str, relation: str | None, scale: str
) -> None:
    """PS3.3 C.8.7.1.1.2: not applied to XA, but to CT. dcmtk agrees."""
    relations = () if relation is None else (element("PixelIntensityRelationship", relation),)
    path = write(tmp_path, element("SOPClassUID", kind), *WINDOW, *MODALITY[scale], *relations)
    image = wr.read(path)
    picture = image.render()
    assert np.abs(picture.pixels - by_dcmtk(path, "+Wi", "1")).max() <= 1
    assert ("Modality LUT is for measurement" in picture.steps) == (kind != CT)
    expected = CURVE[RAMP] if scale == "lut" else RAMP * 0.5
    np.testing.assert_array_equal(image.values(), expected)  # for measuring it is there


@pytest.mark.parametrize("window", ["auto", "full", (2048, 4096)])
def test_windows_of_an_angiogram_are_of_stored_values(tmp_path: Path, window: Any) -> None:
    log = element("PixelIntensityRelationship", "LOG")
    bare = wr.read(write(tmp_path, element("Modality", "XA"), log)).render(window)
    both = write(tmp_path, element("SOPClassUID", XA), log, *MODALITY["lut"])
    picture = wr.read(both).render(window)
    assert picture.view == bare.view
    np.testing.assert_array_equal(picture.pixels, bare.pixels)


def test_an_angiogram_with_linear_pixels_is_shown_through_its_rescale(tmp_path: Path) -> None:
    linear = (element("SOPClassUID", XA), element("PixelIntensityRelationship", "LIN"))
    greys, _ = see(tmp_path, *linear, *WINDOW, *MODALITY["rescale"])
    assert greys[-1] == 127


def test_a_fractional_segmentation_is_shown_to_its_largest_fraction(tmp_path: Path) -> None:
    fraction = (element("SegmentationType", "FRACTIONAL"), element("MaximumFractionalValue", 8160))
    greys, _ = see(tmp_path, *fraction)
    assert greys[-1] == 128


def test_measure_of_an_angiogram_is_of_its_modality_values(tmp_path: Path) -> None:
    write(tmp_path, element("SOPClassUID", XA), *MODALITY["rescale"], *WINDOW)
    row = wr.scan(tmp_path, progress=False).measure(progress=False).to_pandas().iloc[0]
    assert (row["px_max"], row["raw_max"], row["px_in_window"]) == (2040, 4080, 1)


# --- windows ------------------------------------------------------------------------------------


@pytest.mark.parametrize("width", ["0", "-4096", "", "wide"])
def test_window_without_a_width_is_ignored(tmp_path: Path, width: str) -> None:
    greys, codes = see(tmp_path, element("WindowCenter", "0"), element("WindowWidth", width))
    assert 120 < greys.mean() < 135
    assert "BAD_WINDOW" in codes


@pytest.mark.parametrize("center", ["0\\2048", "nil\\2048"])
def test_the_next_window_is_taken(tmp_path: Path, center: str) -> None:
    windows = (element("WindowCenter", center), element("WindowWidth", "0\\4096"))
    greys, codes = see(tmp_path, *windows)
    assert greys.tolist() == see(tmp_path, *WINDOW)[0].tolist()
    assert "BAD_WINDOW" in codes


@pytest.mark.skipif(not CASES.exists(), reason="no cases beside the project")
@pytest.mark.parametrize(
    "name",
    [
        "02-voi-lut-12-bits-said-16/voi.dcm",
        "05-window-width-zero/zero.dcm",
        "05-window-width-zero/second_is_good.dcm",
    ],
)
def test_cases_02_and_05(name: str) -> None:
    picture = wr.read(CASES / name).render()
    assert 126 < picture.pixels.mean() < 129
    assert picture.notes


# --- VOI LUTs -----------------------------------------------------------------------------------

IDENTITY = np.arange(4096, dtype="<u2")
VOI: dict[str, tuple[list[int], Any, str, bool]] = {
    "as stated": ([4096, 0, 12], IDENTITY.tobytes(), "OW", False),
    "words": ([4096, 0, 12], IDENTITY.tolist(), "US", False),
    "12 bits stated 16": ([4096, 0, 16], IDENTITY.tobytes(), "OW", True),
    "10 bits stated 16": ([4096, 0, 16], (IDENTITY >> 2).tobytes(), "OW", True),
    "15 bits stated 16": ([4096, 0, 16], (IDENTITY << 3).tobytes(), "OW", True),
    "10 bits stated 12": ([4096, 0, 12], (IDENTITY >> 2).tobytes(), "OW", True),
    "8 bits stated 16": ([4096, 0, 16], (IDENTITY >> 4).tobytes(), "OW", True),
    "16 bits stated 8": ([4096, 0, 8], (IDENTITY << 4).tobytes(), "OW", True),
    "12 bits stated 8": ([4096, 0, 8], IDENTITY.tobytes(), "OW", True),
    "12 bits stated 0": ([4096, 0, 0], IDENTITY.tobytes(), "OW", True),
    "bytes": ([4096, 0, 8], (IDENTITY >> 4).astype("u1").tobytes(), "OW", False),
    "bytes stated 16": ([4096, 0, 16], (IDENTITY >> 4).astype("u1").tobytes(), "OW", True),
    "unknown": ([4096, 0, 12], IDENTITY.tobytes(), "UN", False),
}


@pytest.mark.parametrize("name", VOI)
def test_a_voi_lut_is_a_ramp_with_any_stated_bits(tmp_path: Path, name: str) -> None:
    descriptor, data, vr, odd = VOI[name]
    sequence = Element(0x00283010, "SQ", [lut(descriptor, data, vr)])
    greys, codes = see(tmp_path, sequence)
    assert np.abs(greys - np.round(RAMP[0] / 4095 * 255)).max() <= 1
    assert codes == (["BAD_LUT"] if odd else [])


@pytest.mark.parametrize("vr", ["OW", "US"])
def test_a_voi_lut_in_big_endian(tmp_path: Path, vr: str) -> None:
    data: Any = IDENTITY.tobytes() if vr == "OW" else IDENTITY.tolist()
    sequence = Element(0x00283010, "SQ", [lut([4096, 0, 12], data, vr)])
    greys, codes = see(tmp_path, sequence, syntax=BIG_ENDIAN)
    assert np.abs(greys - np.round(RAMP[0] / 4095 * 255)).max() <= 1
    assert codes == []


@pytest.mark.parametrize(("vr", "first"), [("US", 65536 - 1024), ("SS", -1024)])
def test_a_voi_lut_of_values_below_zero(tmp_path: Path, vr: str, first: int) -> None:
    item = [
        Element(0x00283002, vr, [4096, first, 12]),
        Element(0x00283006, "OW", IDENTITY.tobytes()),
    ]
    scale = (element("RescaleSlope", "1"), element("RescaleIntercept", "-1024"))
    greys, codes = see(tmp_path, *scale, Element(0x00283010, "SQ", [item]))
    assert np.abs(greys - np.round(RAMP[0] / 4095 * 255)).max() <= 1
    assert codes == []


@pytest.mark.apt("dcmtk", "dcmj2pnm")
@pytest.mark.parametrize("name", ["as stated", "words", "bytes"])
def test_a_voi_lut_as_dcmtk_shows_it(tmp_path: Path, name: str) -> None:
    descriptor, data, vr, _ = VOI[name]
    path = write(tmp_path, Element(0x00283010, "SQ", [lut(descriptor, data, vr)]))
    assert np.abs(wr.read(path).render().pixels - by_dcmtk(path, "+Wl", "1")).max() <= 1


def test_a_descriptor_of_unknown_vr() -> None:
    from io import BytesIO

    import pydicom

    item = [
        Element(0x00283002, "UN", np.array([4096, 65536 - 10, 12], "<u2").tobytes()),
        Element(0x00283006, "OW", IDENTITY.tobytes()),
    ]
    signed = (element("PixelRepresentation", 1), Element(0x00283000, "SQ", [item]))
    data = dicom_file(changed(radiograph(), *signed))
    pipeline = read_pipeline(pydicom.dcmread(BytesIO(data), stop_before_pixels=True))
    assert pipeline.modality_lut is not None
    assert (pipeline.modality_lut.first, pipeline.notes) == (-10, ())

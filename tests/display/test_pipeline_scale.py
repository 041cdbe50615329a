"""Modality values if the rescale is absent, unreadable or repaired."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pydicom
import pytest
from pydicom.pixels.processing import apply_modality_lut

import wetread as wr
from wetread.display.pipeline import read_pipeline
from wetread.errors import DecodeError, UsageError
from wetread.testing.dicom import EXPLICIT, IMPLICIT, Element, changed, dicom_file, element
from wetread.testing.dicom import picture as radiograph

pytestmark = pytest.mark.filterwarnings("ignore:::pydicom")
RAMP = np.arange(4096, dtype="<u2").reshape(64, 64)
CASE = Path(__file__).resolve().parents[3] / "shared/data/cases/18-rescale-that-does-not-parse"


def write(folder: Path, *new: Element, without: tuple[str, ...] = ()) -> wr.Image:
    elements = changed(
        radiograph(rows=64, columns=64),
        element("Modality", "CT"),
        element("PixelData", RAMP.tobytes(), vr="OW"),
        *new,
        without=without,
    )
    path = folder / "image.dcm"
    path.write_bytes(dicom_file(elements))
    return wr.read(path)


@pytest.mark.parametrize(
    ("slope", "intercept", "plain"),
    [("2,0", "-10", (2, -10)), ("1", "-1024,0", (1, -1024)), ("0,5", "1,5", (0.5, 1.5))],
)
def test_a_decimal_comma_is_a_point_with_a_note(
    tmp_path: Path, slope: str, intercept: str, plain: tuple[float, float]
) -> None:
    """Values equal those that pydicom has of the file with points."""
    image = write(tmp_path, element("RescaleSlope", slope), element("RescaleIntercept", intercept))
    header = pydicom.Dataset()
    header.RescaleSlope, header.RescaleIntercept = plain
    np.testing.assert_array_equal(image.values(), apply_modality_lut(RAMP, header))
    notes = image.render().notes
    assert {code for code, _ in notes} == {"BAD_NUMBER"}
    assert all("comma" in text for _, text in notes)
    image.render("lung")  # HU all the same


@pytest.mark.skipif(not CASE.exists(), reason="no cases beside the project")
@pytest.mark.parametrize(("name", "first"), [("slope", -10), ("intercept", -1024)])
def test_case_18(name: str, first: float) -> None:
    image = wr.read(CASE / f"{name}.dcm")
    scaled = image.pixels() * (2.0 if name == "slope" else 1.0) + first
    np.testing.assert_array_equal(image.values(), scaled)


UNREADABLE: list[Any] = [
    element("RescaleSlope", "steep"),
    element("RescaleSlope", "0"),
    element("RescaleSlope", "1.000,5"),
    element("RescaleIntercept", "N/A"),
    element("RescaleIntercept", "-1 024"),
    Element(0x00281053, "FD", b"\0\0\0\0"),
    element("RescaleSlope", "1e308"),  # beyond float32
    element("RescaleSlope", "1e-300"),
    element("RescaleIntercept", "1e20"),  # all values are equal
]


@pytest.mark.parametrize("broken", UNREADABLE)
def test_unreadable_values_are_not_guessed(tmp_path: Path, broken: Element) -> None:
    image = write(tmp_path, broken)
    with pytest.raises(DecodeError, match=r"image.dcm.*no modality values.*pixels\(\)"):
        image.values()
    with pytest.raises(UsageError, match="unit not stated"):
        image.display("lung")
    np.testing.assert_array_equal(image.pixels(), RAMP)
    picture = image.render()
    assert picture.view is not None
    assert picture.view.label.startswith("auto")  # the file's window is of other values
    assert "BAD_RESCALE" in {code for code, _ in picture.notes}
    greys = picture.pixels.astype(int)
    assert (np.diff(greys.ravel()) >= 0).all()
    assert 120 < greys.mean() < 135


def test_measure_reports_it_and_fills_the_other_columns(tmp_path: Path) -> None:
    write(tmp_path, element("RescaleSlope", "steep"))
    row = wr.scan(tmp_path, progress=False).measure(progress=False).to_pandas().iloc[0]
    assert row["px_status"] == "ok"
    assert "BAD_RESCALE" in {problem["code"] for problem in row["px_problems"]}
    known = row[["px_min", "px_mean", "px_p50", "raw_max", "px_padding", "px_xxh3"]]
    assert known.isna().tolist() == [True, True, True, False, False, False]


def test_files_of_values_are_not_written_without_values(tmp_path: Path) -> None:
    folder = tmp_path / "in"
    folder.mkdir()
    write(folder, element("RescaleIntercept", "N/A"))
    index = wr.scan(folder, progress=False)
    manifest = index.export(tmp_path / "png", format="png16", progress=False)
    assert manifest["status"].tolist() == ["failed"]
    assert "RescaleIntercept" in manifest["text"].iloc[0]
    assert index.export(tmp_path / "seen", format="png8", progress=False)["status"].tolist() == [
        "ok"
    ]


def test_an_absent_rescale_is_1_and_0(tmp_path: Path) -> None:
    image = write(tmp_path, without=("RescaleSlope", "RescaleIntercept"))
    np.testing.assert_array_equal(image.values(), RAMP)
    assert image.render().notes == ()


def test_an_unreadable_modality_lut_is_no_identity(tmp_path: Path) -> None:
    item = [Element(0x00283002, "US", [4096]), Element(0x00283006, "OW", bytes(8192))]
    image = write(tmp_path, Element(0x00283000, "SQ", [item]))
    with pytest.raises(DecodeError, match="Modality LUT Sequence cannot be read"):
        image.values()
    assert [code for code, _ in image.render().notes] == ["BAD_LUT", "BAD_RESCALE"]


def test_functional_groups_are_held_to_the_same() -> None:
    scale = pydicom.Dataset()
    scale.add_new(0x00281053, "LO", "steep")
    scale.add_new(0x00281052, "LO", "-5")
    shared = pydicom.Dataset()
    shared.PixelValueTransformationSequence = [scale]
    header = pydicom.Dataset()
    header.SharedFunctionalGroupsSequence = [shared]
    assert "RescaleSlope 'steep'" in read_pipeline(header).scale_error
    scale.add_new(0x00281053, "LO", "2,5")
    pipeline = read_pipeline(header)
    assert (pipeline.slope, pipeline.intercept, pipeline.notes[0][0]) == (2.5, -5, "BAD_NUMBER")


@pytest.mark.parametrize(("written", "slope"), [("0,001", 0.001), ("0.001", 0.001)])
def test_dose(written: str, slope: float) -> None:
    header = pydicom.Dataset()
    header.add_new(0x3004000E, "LO", written)
    assert read_pipeline(header).slope == slope
    header.add_new(0x3004000E, "LO", "much")
    assert read_pipeline(header).scale_error


@pytest.mark.parametrize("vr", ["UN", "US", "SS", "OW"])
@pytest.mark.parametrize(("sign", "padding"), [(0, 63536), (1, -2000)])
def test_padding_has_the_sign_of_the_pixels(vr: str, sign: int, padding: int) -> None:
    from io import BytesIO

    value: Any = {"US": 63536, "SS": -2000}.get(vr, b"\x30\xf8")
    elements = changed(
        radiograph(), element("PixelRepresentation", sign), Element(0x00280120, vr, value)
    )
    header = pydicom.dcmread(BytesIO(dicom_file(elements)), stop_before_pixels=True)
    assert read_pipeline(header).padding == (padding, padding)


@pytest.mark.parametrize("syntax", [EXPLICIT, IMPLICIT])
@pytest.mark.parametrize(("sign", "value"), [(0, 63536), (1, -2000)])
def test_words_of_unknown_vr_have_the_sign_of_the_pixels(
    tmp_path: Path, syntax: str, sign: int, value: int
) -> None:
    """In the table and in the header, as pydicom reads them."""
    keywords = ("PixelPaddingValue", "SmallestImagePixelValue", "LargestPixelValueInSeries")
    words = [element(keyword, b"\x30\xf8", vr="UN") for keyword in keywords]
    elements = changed(radiograph(), element("PixelRepresentation", sign), *words)
    path = tmp_path / "a.dcm"
    path.write_bytes(dicom_file(elements, syntax))
    image, expected = wr.scan(path, progress=False)[0], pydicom.dcmread(path)
    for keyword in keywords:
        assert image.row[keyword] == image.header[keyword].value == expected[keyword].value == value


def test_an_unreadable_padding_is_noted() -> None:
    header = pydicom.Dataset()
    header.add_new(0x00280120, "LO", "none")
    pipeline = read_pipeline(header)
    assert (pipeline.padding, pipeline.notes[0][0]) == (None, "BAD_NUMBER")

"""Numbers of a header: absent, unreadable and read are three things."""

from __future__ import annotations

from io import BytesIO
from typing import Any

import pydicom
import pytest
from pydicom.dataset import Dataset

from wetread.errors import DecodeError
from wetread.pixels import open_frames, read_frame
from wetread.pixels.access import integer, present, read_numbers
from wetread.pixels.form import read_form
from wetread.testing.dicom import BIG_ENDIAN, EXPLICIT, Element, changed, dicom_file, element
from wetread.testing.dicom import picture as radiograph

pytestmark = pytest.mark.filterwarnings("ignore:::pydicom")


def write(*new: Element, syntax: str = EXPLICIT) -> bytes:
    return dicom_file(changed(radiograph(), *new), syntax)


def read(*new: Element, syntax: str = EXPLICIT) -> Dataset:
    data = BytesIO(write(*new, syntax=syntax))
    return pydicom.dcmread(data, stop_before_pixels=True, force=True)


@pytest.mark.parametrize(
    ("written", "values", "problem"),
    [
        ("", (), ""),
        ("  ", (), ""),
        (" -1.5e2 ", (-150.0,), ""),
        ("+.5\\5.", (0.5, 5.0), ""),
        ("2,0", (2.0,), "RescaleSlope '2,0': decimal comma read as a point"),
        ("-1024,0", (-1024.0,), "RescaleSlope '-1024,0': decimal comma read as a point"),
        ("1,5\\2,5", (1.5, 2.5), "comma"),
        ("1,024.5", (None,), "RescaleSlope '1,024.5' is not a number"),
        ("1,2,3", (None,), "is not a number"),
        ("steep", (None,), "RescaleSlope 'steep' is not a number"),
        ("1\\x\\3", (1.0, None, 3.0), "RescaleSlope 'x' is not a number"),
        ("1_0", (None,), "is not a number"),
        ("nan", (None,), "is not a number"),
        ("1e999", (None,), "is not finite"),
        ("0x10", (None,), "is not a number"),
        ("2\\", (2.0, None), "is not a number"),
    ],
)
def test_decimal_strings(written: str, values: tuple[Any, ...], problem: str) -> None:
    found = read_numbers(read(element("RescaleSlope", written)), "RescaleSlope")
    assert found.values == values
    assert found.problem == problem or (problem and problem in found.problem)
    assert found.unreadable == (None in values)


def test_an_absent_element_is_not_an_unreadable_one() -> None:
    assert read_numbers(Dataset(), "RescaleSlope") == read_numbers(None, "RescaleSlope") == ((), "")
    header = read(Element(0x00280010, "US", b"\x08\0\0"))
    assert read_numbers(header, "Rows").values == (None,)
    assert "Rows" in read_numbers(header, "Rows").problem
    assert present(header, "Rows")
    assert not present(header, "WindowCenterWidthExplanation")
    assert not present(read(element("WindowCenter", "")), "WindowCenter")


@pytest.mark.parametrize("vr", ["UN", "US", "SS", "OW", "OB"])
@pytest.mark.parametrize("syntax", [EXPLICIT, BIG_ENDIAN])
def test_words_in_any_vr(vr: str, syntax: str) -> None:
    """US, SS or raw bytes hold the same word; Pixel Representation gives its sign."""
    if syntax == BIG_ENDIAN and vr in ("UN", "OB", "OW"):
        pytest.skip("bytes of unknown order")
    value: Any = b"\x30\xf8" if vr in ("UN", "OB", "OW") else {"US": 63536, "SS": -2000}[vr]
    header = read(Element(0x00280120, vr, value), syntax=syntax)
    found = read_numbers(header, "PixelPaddingValue")
    assert found.first is not None
    assert int(found.first) & 0xFFFF == 63536


def test_integers() -> None:
    header = read(element("NumberOfFrames", "3"), element("RescaleSlope", "1.5"))
    assert integer(header, "NumberOfFrames") == 3
    assert integer(header, "PlanarConfiguration") is None
    with pytest.raises(DecodeError, match=r"RescaleSlope 1.5 is not an integer"):
        integer(header, "RescaleSlope")


@pytest.mark.parametrize(
    "keyword", ["Rows", "Columns", "SamplesPerPixel", "BitsAllocated", "BitsStored"]
)
def test_a_form_that_cannot_be_read_is_an_error_that_names_it(keyword: str) -> None:
    broken = Element(element(keyword).tag, "US", b"\x08\0\0")
    with pytest.raises(DecodeError, match=f"{keyword} .*is not a number"):
        read_form(read(broken))


def test_an_unreadable_sign_is_no_sign() -> None:
    with pytest.raises(DecodeError, match="PixelRepresentation"):
        read_form(read(Element(0x00280103, "US", b"\x01")))


@pytest.mark.parametrize("written", ["many", "1.5", "-2", "0", "1,0"])
def test_an_invalid_number_of_frames_is_counted_in_the_pixel_data(written: str) -> None:
    with open_frames(write(element("NumberOfFrames", written))) as frames:
        assert len(frames) == 1
        assert read_frame(frames).values.shape == (8, 8)

"""Parameters of the grey-scale pipeline, read from every place the standard allows."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pydicom
import pytest
from pydicom.dataset import Dataset

from wetread.display.pipeline import Lut, Window, read_pipeline
from wetread.display.spacing import read_aspect, read_spacing

pytestmark = pytest.mark.filterwarnings("ignore:::pydicom")  # of values that do not parse


def make(**elements: Any) -> Dataset:
    header = Dataset()
    for keyword, value in elements.items():
        setattr(header, keyword, value)
    return header


def make_lut(first: int, bits: int, entries: list[int]) -> Dataset:
    descriptor = [len(entries) % 65536, first, bits]
    data = np.array(entries, "<u2").tobytes()
    return make(LUTDescriptor=descriptor, LUTData=data, LUTExplanation="CURVE")


def test_the_frame_goes_before_the_shared_group_before_the_top() -> None:
    voi = [make(WindowCenter=c, WindowWidth=10 * c) for c in (1, 2, 3)]
    groups = [make(FrameVOILUTSequence=[v]) for v in voi[:2]]
    header = make(
        WindowCenter=3,
        WindowWidth=30,
        PerFrameFunctionalGroupsSequence=[groups[0], make()],
        SharedFunctionalGroupsSequence=[groups[1]],
    )
    assert [read_pipeline(header, i).windows[0].center for i in (0, 1, 2)] == [1, 2, 2]
    assert [read_pipeline(header, i).sources["WindowCenter"] for i in (0, 1)] == ["frame", "shared"]
    del header.SharedFunctionalGroupsSequence
    assert read_pipeline(header, 1).windows[0].center == 3
    assert read_pipeline(header, 1).sources["WindowCenter"] == "header"


def test_rescale_and_spacing_from_functional_groups() -> None:
    scale = make(RescaleSlope=2, RescaleIntercept=-5, RescaleType="HU")
    shared = make(
        PixelValueTransformationSequence=[scale],
        PixelMeasuresSequence=[make(PixelSpacing=[0.5, 0.25])],
    )
    header = make(Modality="CT", SharedFunctionalGroupsSequence=[shared])
    pipeline = read_pipeline(header)
    assert (pipeline.slope, pipeline.intercept, pipeline.units) == (2, -5, "HU")
    spacing = read_spacing(header)
    assert spacing is not None
    assert (spacing.row, spacing.column, spacing.aspect) == (0.5, 0.25, 2)


def test_a_real_enhanced_ct(real_files: list[Path]) -> None:
    path = next(p for p in real_files if p.name == "eCT_Supplemental.dcm")
    header = pydicom.dcmread(path, stop_before_pixels=True)
    pipeline = read_pipeline(header, 1)
    assert "WindowCenter" not in header
    assert pipeline.windows
    assert (pipeline.intercept, pipeline.units) == (-1024, "US")  # as the file says
    assert read_spacing(header, 1) is not None


def test_several_windows_are_alternatives_and_luts_come_first() -> None:
    header = make(
        WindowCenter=[40, -600],
        WindowWidth=[400, 1500],
        WindowCenterWidthExplanation=["SOFT", "LUNG"],
        VOILUTFunction="SIGMOID",
        VOILUTSequence=[make_lut(0, 8, [0, 255])],
    )
    views = read_pipeline(header).views
    assert [view.label for view in views] == [
        "LUT CURVE",
        "SOFT 40/400 SIGMOID",
        "LUNG -600/1500 SIGMOID",
    ]


@pytest.mark.parametrize("width", [0, -3])
def test_a_window_without_a_width_is_none(width: int) -> None:
    pipeline = read_pipeline(make(WindowCenter=[40, 50], WindowWidth=[width, 400]))
    assert pipeline.notes == (("BAD_WINDOW", f"center and width 40, {width}: no window"),)
    assert pipeline.windows == (Window(50, 400),)


def test_windows_keep_their_names_where_one_is_left_out() -> None:
    header = make(WindowCenterWidthExplanation=["A", "B"])
    header.add_new(0x00281050, "LO", ["many", "50"])
    header.add_new(0x00281051, "LO", ["80", "400"])
    pipeline = read_pipeline(header)
    assert pipeline.windows == (Window(50, 400, name="B"),)
    assert [code for code, _ in pipeline.notes] == ["BAD_NUMBER", "BAD_WINDOW"]


def test_a_linear_window_of_less_than_1_and_an_unknown_function_are_noted() -> None:
    narrow = make(WindowCenter=0.25, WindowWidth=0.5)
    assert read_pipeline(narrow).windows == (Window(0.25, 0.5),)
    assert read_pipeline(narrow).notes[0][0] == "BAD_WINDOW"
    narrow.VOILUTFunction = "LINEAR_EXACT"
    assert read_pipeline(narrow).notes == ()
    narrow.VOILUTFunction = "CUBIC"
    assert [code for code, _ in read_pipeline(narrow).notes] == ["BAD_WINDOW"] * 2


def test_centers_without_widths_are_noted() -> None:
    pipeline = read_pipeline(make(WindowCenter=[40, 50], WindowWidth=400))
    assert len(pipeline.windows) == 1
    assert pipeline.notes == (("BAD_WINDOW", "2 centers for 1 widths"),)


def test_the_padding_range_takes_the_sign_of_the_pixels() -> None:
    header = make(PixelRepresentation=1, BitsAllocated=16)
    header.add_new(0x00280120, "US", 63536)
    header.add_new(0x00280121, "US", 63540)
    assert read_pipeline(header).padding == (-2000, -1996)
    assert read_pipeline(make(PixelPaddingValue=7, BitsAllocated=16)).padding == (7, 7)
    assert read_pipeline(make()).padding is None


def test_a_modality_lut_clamps_at_both_ends() -> None:
    header = make(PixelRepresentation=0, ModalityLUTSequence=[make_lut(10, 16, [100, 200, 400])])
    header.ModalityLUTSequence[0].ModalityLUTType = "OD"
    pipeline = read_pipeline(header)
    assert pipeline.to_modality(np.array([0, 10, 11, 12, 99])).tolist() == [100, 100, 200, 400, 400]


def test_luts_of_8_bits_in_bytes_and_of_65536_entries() -> None:
    small = make(LUTDescriptor=[4, 0, 8], LUTData=bytes([1, 2, 3, 4]))
    pipeline = read_pipeline(make(VOILUTSequence=[small]))
    assert isinstance(pipeline.views[0], Lut)
    assert pipeline.views[0].entries.tolist() == [1, 2, 3, 4]
    large = make_lut(0, 16, list(range(65536)))
    pipeline = read_pipeline(make(VOILUTSequence=[large]))
    assert isinstance(pipeline.views[0], Lut)
    assert len(pipeline.views[0].entries) == 65536


def test_a_first_value_of_a_voi_lut_below_zero() -> None:
    header = make(RescaleIntercept=-1024, RescaleSlope=1)
    header.VOILUTSequence = [make_lut(65536 - 1024, 16, [0, 65535])]
    view = read_pipeline(header).views[0]
    assert isinstance(view, Lut)
    assert view.first == -1024


def test_a_lut_shorter_than_stated_is_noted() -> None:
    short = make(LUTDescriptor=[5, 0, 16], LUTData=np.arange(3, dtype="<u2").tobytes())
    pipeline = read_pipeline(make(VOILUTSequence=[short]))
    assert pipeline.notes[0][0] == "BAD_LUT"
    pipeline = read_pipeline(make(VOILUTSequence=[make(LUTDescriptor=[5, 0, 16])]))
    assert (pipeline.views, pipeline.notes[0][0]) == ((), "BAD_LUT")


@pytest.mark.parametrize(
    ("elements", "units"),
    [
        ({"Modality": "CT", "RescaleIntercept": -1024}, "HU"),
        ({"Modality": "CT"}, ""),
        ({"Modality": "CT", "RescaleIntercept": 0, "ImageType": ["O", "P", "LOCALIZER"]}, ""),
        ({"Modality": "CT", "RescaleIntercept": 0, "RescaleType": "US"}, "US"),
        ({"Modality": "CR", "RescaleIntercept": 0}, ""),
        ({"DoseGridScaling": "0.001", "DoseUnits": "GY"}, "GY"),
        ({"Modality": "PT", "Units": "BQML"}, "BQML"),
    ],
)
def test_units(elements: dict[str, Any], units: str) -> None:
    assert read_pipeline(make(**elements)).units == units


@pytest.mark.parametrize(
    ("elements", "aspect"),
    [
        ({}, 1),
        ({"PixelSpacing": [1, 2]}, 0.5),
        ({"PixelAspectRatio": [4, 3]}, 4 / 3),
        ({"PixelAspectRatio": [4, 3], "PixelSpacing": [1, 1]}, 1),
        ({"PixelAspectRatio": [4, 3], "ImagerPixelSpacing": [1, 2]}, 0.5),
        ({"PixelAspectRatio": [0, 3]}, 1),
        ({"PixelSpacing": [0, 0], "NominalScannedPixelSpacing": [3, 1]}, 3),
    ],
)
def test_aspect(elements: dict[str, Any], aspect: float) -> None:
    assert read_aspect(make(**elements)) == aspect


def test_the_spacing_of_a_functional_group_goes_before_the_aspect_ratio() -> None:
    shared = make(PixelMeasuresSequence=[make(PixelSpacing=[1, 1])])
    header = make(PixelAspectRatio=[4, 3], SharedFunctionalGroupsSequence=[shared])
    assert read_aspect(header) == 1


def test_the_aspect_ratio_goes_before_ultrasound_regions() -> None:
    """They are not among the elements that PS3.3 C.7.6.3.1.7 names."""
    region = make(PhysicalUnitsXDirection=3, PhysicalUnitsYDirection=3)
    region.PhysicalDeltaX, region.PhysicalDeltaY = 0.02, 0.01
    header = make(SequenceOfUltrasoundRegions=[region])
    assert read_aspect(header) == pytest.approx(0.5)
    header.PixelAspectRatio = [4, 3]
    assert read_aspect(header) == pytest.approx(4 / 3)


@pytest.mark.filterwarnings("ignore::UserWarning")
def test_an_unreadable_spacing_is_none_not_another_one() -> None:
    header = make(ImagerPixelSpacing=[0.1, 0.1])
    header.add_new(0x00280030, "LO", ["0,5", "0,25"])
    spacing = read_spacing(header)
    assert spacing is not None
    assert (spacing.row, spacing.column, spacing.source) == (0.5, 0.25, "PixelSpacing")
    header.add_new(0x00280030, "LO", ["wide", "0.25"])
    assert read_spacing(header) is None


def test_spacing_of_ultrasound_in_mm() -> None:
    region = make(PhysicalUnitsXDirection=3, PhysicalUnitsYDirection=3)
    region.PhysicalDeltaX, region.PhysicalDeltaY = 0.02, 0.01
    spacing = read_spacing(make(SequenceOfUltrasoundRegions=[region]))
    assert spacing is not None
    assert (spacing.row, spacing.column) == pytest.approx((0.1, 0.2))


@pytest.mark.filterwarnings("ignore::UserWarning")
def test_nothing_in_a_header_raises() -> None:
    header = Dataset()
    for keyword, vr, value in (
        ("WindowCenter", "DS", "x"),
        ("RescaleSlope", "DS", ""),
        ("VOILUTSequence", "LO", "no sequence"),
        ("PixelPaddingValue", "LO", "many"),
        ("PixelSpacing", "DS", "1"),
        ("PerFrameFunctionalGroupsSequence", "UN", b"\1\2"),
    ):
        from pydicom.datadict import tag_for_keyword

        try:
            header.add_new(tag_for_keyword(keyword), vr, value)
        except (TypeError, ValueError):
            continue
    pipeline = read_pipeline(header)
    assert (pipeline.slope, pipeline.views, pipeline.padding) == (1, (), None)
    assert read_spacing(header) is None

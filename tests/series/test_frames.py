"""Frames of multi-frame images: their table, and their place in stacks."""

from __future__ import annotations

import random
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pydicom
import pytest

import wetread as wr
from wetread.errors import DecodeError
from wetread.testing.dicom import changed, dicom_file, element, picture

SHARED = Path(__file__).resolve().parents[3] / "shared" / "data"
MR = "1.2.840.10008.5.1.4.1.1.4.1"
GROUPS = {
    "ImagePositionPatient": "PlanePositionSequence",
    "ImageOrientationPatient": "PlaneOrientationSequence",
    "PixelSpacing": "PixelMeasuresSequence",
    "RescaleSlope": "PixelValueTransformationSequence",
    "RescaleIntercept": "PixelValueTransformationSequence",
    "TemporalPositionIndex": "FrameContentSequence",
    "StackID": "FrameContentSequence",
    "InStackPositionNumber": "FrameContentSequence",
    "DimensionIndexValues": "FrameContentSequence",
    "EffectiveEchoTime": "MREchoSequence",
    "DiffusionBValue": "MRDiffusionSequence",
    "FrameType": "MRImageFrameTypeSequence",
}
Frames = list[dict[str, Any]]


def frames(count: int = 10, **more: Any) -> Frames:
    return [
        {
            "ImagePositionPatient": ["-10", "5", f"{2.5 * n}"],
            "ImageOrientationPatient": ["1", "0", "0", "0", "1", "0"],
            "PixelSpacing": ["0.5", "0.6"],
            "StackID": "1",
            "InStackPositionNumber": n + 1,
            **more,
        }
        for n in range(count)
    ]


def group(values: dict[str, Any]) -> list[Any]:
    """Item of a functional groups sequence."""
    macros: dict[str, dict[str, Any]] = {}
    for keyword, value in values.items():
        macros.setdefault(GROUPS[keyword], {})[keyword] = value
    return sorted(
        (
            element(macro, [changed([], *(element(k, v) for k, v in inner.items()))])
            for macro, inner in macros.items()
        ),
        key=lambda e: e.tag,
    )


def enhanced(per_frame: Frames, shared: dict[str, Any] | None = None, **top: Any) -> bytes:
    """Enhanced MR of 8 x 8 pixels."""
    values = {
        "SOPClassUID": MR,
        "Modality": "MR",
        "SeriesInstanceUID": "2.25.2",
        "NumberOfFrames": str(len(per_frame)),
        "SharedFunctionalGroupsSequence": [group(shared or {})],
        "PerFrameFunctionalGroupsSequence": [group(values) for values in per_frame],
        **top,
    }
    pixels = bytes(128 * len(per_frame))
    elements = changed(
        picture(1),
        element("PixelData", pixels, vr="OW"),
        *(element(key, value) for key, value in values.items()),
        without=("WindowCenter", "WindowWidth", "RescaleSlope", "RescaleIntercept"),
    )
    return dicom_file(elements)


@pytest.fixture
def scan_files(tmp_path: Path) -> Callable[..., wr.Index]:
    def scan(*files: bytes) -> wr.Index:
        for number, data in enumerate(files):
            (tmp_path / f"{number}.dcm").write_bytes(data)
        return wr.scan(tmp_path, workers=0, progress=False)

    return scan


def test_frames_are_slices(scan_files: Any) -> None:
    shuffled = random.Random(0).sample(frames(), 10)
    index = scan_files(enhanced(shuffled))
    (series,) = index.series
    (volume,) = series.volumes
    assert volume.shape == (10, 8, 8)
    assert volume.spacing == pytest.approx((2.5, 0.5, 0.6))
    order = [one.frame for one in volume.slices]
    assert [shuffled[n]["InStackPositionNumber"] for n in order] == list(range(1, 11))
    assert series.row["regularly_spaced_3d_volume"] is True
    assert (series.files, series.row["slices"]) == (1, 10)
    assert series.row["PixelSpacing"] == [0.5, 0.6]
    assert not len(index.series.problems())


@pytest.mark.parametrize("where", ["shared", "per frame"])
def test_the_place_of_a_group_does_not_matter(where: str, scan_files: Any) -> None:
    shared = {k: frames()[0][k] for k in ("ImageOrientationPatient", "PixelSpacing")}
    rest = [{k: v for k, v in one.items() if k not in shared} for one in frames()]
    index = scan_files(enhanced(rest, shared) if where == "shared" else enhanced(frames()))
    table = index.query("SELECT * FROM frames")
    assert table["frame"].tolist() == list(range(10))
    assert table["PixelSpacing"].map(list).tolist() == [[0.5, 0.6]] * 10
    assert index.series["volumes"].tolist() == [1]


def test_times_in_one_image(scan_files: Any) -> None:
    every = [one for n in (1, 2, 3) for one in frames(TemporalPositionIndex=n)]
    (series,) = scan_files(enhanced(random.Random(1).sample(every, 30))).series
    assert [stack.divided_by for stack in series.volumes] == [
        {"TemporalPositionIndex": n} for n in (1, 2, 3)
    ]


def test_b_values_and_echoes(scan_files: Any) -> None:
    every = [
        one for b in (0.0, 1000.0) for te in (10.0, 20.0)
        for one in frames(DiffusionBValue=b, EffectiveEchoTime=te)
    ]  # fmt: skip
    index = scan_files(enhanced(every))
    assert index.series["volumes"].tolist() == [4]
    assert index.series[0].volumes[0].divided_by == {"EffectiveEchoTime": 10, "b_value": 0}
    (problem,) = index.series.problems().to_dict("records")
    assert problem["code"] == "FRAMES_VARY"
    assert problem["text"] == "frames differ in EffectiveEchoTime, DiffusionBValue"


def test_attributes_of_the_image_divide_too(scan_files: Any) -> None:
    """Two images of one series, whose frames state no acquisition of their own."""
    files = [
        enhanced(frames(), SOPInstanceUID=f"2.25.7.{n}", AcquisitionNumber=str(n)) for n in (1, 2)
    ]
    (series,) = scan_files(*files).series
    assert [volume.divided_by for volume in series.volumes] == [
        {"AcquisitionNumber": 1}, {"AcquisitionNumber": 2},
    ]  # fmt: skip


def test_concatenations_are_one_object(scan_files: Any) -> None:
    every = frames(20)
    files = [
        enhanced(
            every[at : at + 10],
            SOPInstanceUID=f"2.25.7.{at}",
            ConcatenationUID="2.25.8",
            ConcatenationFrameOffsetNumber=at,
        )
        for at in (0, 10)
    ]
    index = scan_files(*files)
    assert index.series["volumes"].tolist() == [1]
    assert index.series[0].volumes[0].shape == (20, 8, 8)
    assert not len(index.series.problems())


def test_a_damaged_frame_is_named(scan_files: Any) -> None:
    every = frames()
    every[4]["ImagePositionPatient"] = ["-10", "5", "ten"]
    index = scan_files(enhanced(every))
    assert index.series["volumes"].tolist() == [0]
    (problem,) = index.series.problems().to_dict("records")
    assert (problem["code"], problem["frame"]) == ("FRAMES_UNPLACED", 4)


def test_a_missing_frame_is_named(scan_files: Any) -> None:
    index = scan_files(enhanced([one for n, one in enumerate(frames()) if n != 4]))
    (problem,) = index.series.problems().to_dict("records")
    assert (problem["code"], problem["frame"]) == ("SLICE_MISSING", 3)
    assert "between 0.dcm frame 3 and 0.dcm frame 4, at 10 mm" in problem["text"]


def test_frames_without_positions(scan_files: Any) -> None:
    index = scan_files(enhanced([{}] * 3))
    assert index.series["stacks"].tolist() == [0]
    assert index.series.problems()["code"].tolist() == ["FRAMES_UNPLACED"]


def test_fewer_groups_than_frames(scan_files: Any) -> None:
    """NumberOfFrames states ten, and five have groups: no volume of ten, and it is said."""
    index = scan_files(enhanced(frames(5), NumberOfFrames="10"))
    assert index.series["volumes"].tolist() == [0]
    assert "FRAMES_UNPLACED" in index.series.problems()["code"].tolist()


def test_a_copy_of_an_image(scan_files: Any) -> None:
    """Equal frames are dropped, others make the stack irregular."""
    one = enhanced(frames())
    index = scan_files(one, one)
    assert index.series["volumes"].tolist() == [1]
    assert index.series.problems()["text"].str.endswith("the pixels are equal").all()
    assert len(index.series.problems("SLICE_DUPLICATED")) == 10
    for other in (one[:-1] + b"\1", enhanced(frames(RescaleSlope="2"), {"RescaleSlope": "2"})):
        index = scan_files(one, other)
        assert index.series["volumes"].tolist() == [0]
        assert "SLICE_DUPLICATED" in index.series.problems()["code"].tolist()


def test_equal_positions_without_an_attribute_are_no_volume(scan_files: Any) -> None:
    index = scan_files(enhanced(frames() + frames()[:1]))
    assert index.series["volumes"].tolist() == [0]
    assert index.series.problems()["code"].tolist() == ["SLICE_DUPLICATED"]


def test_ultrasound_is_not_opened(scan_files: Any) -> None:
    """Otherwise its frames would be a stack; a cine without positions is no problem."""
    assert scan_files(enhanced(frames(3))).series["stacks"].tolist() == [1]
    index = scan_files(enhanced(frames(3), SOPClassUID="1.2.840.10008.5.1.4.1.1.3.1"))
    assert index.series["stacks"].tolist() == [0]
    assert not len(index.series.problems())


def numbered(count: int) -> bytes:
    """Pixels of frames that hold their number."""
    return np.repeat(np.arange(count, dtype="<u2"), 64).tobytes()


def test_values_of_frames(scan_files: Any) -> None:
    """Every frame has its own rescale, and the frames are in no order."""
    every = [
        {**one, "RescaleSlope": f"{1 + n / 8}", "RescaleIntercept": f"{-n}"}
        for n, one in enumerate(frames())
    ]
    order = random.Random(3).sample(range(10), 10)
    shuffled = [every[n] for n in order]
    index = scan_files(enhanced(shuffled, PixelData=numbered(10)))
    volume = index.series[0].volume
    at = [order.index(n) for n in range(10)]
    assert volume.stored[:, 0, 0].tolist() == at
    wanted = [frame * (1 + n / 8) - n for n, frame in enumerate(at)]
    assert volume.array[:, 7, 7].tolist() == wanted
    assert volume.read(slice(3, 5)).shape == (2, 8, 8)
    assert volume.affine[:3].tolist() == [[0, 0, 0.6, -10], [0, 0.5, 0, 5], [2.5, 0, 0, 0]]


def test_stacks_of_one_image_have_their_own_values(scan_files: Any) -> None:
    sagittal = ["0", "1", "0", "0", "0", "-1"]
    other = [
        {**one, "ImageOrientationPatient": sagittal, "ImagePositionPatient": [f"{3 * n}", "0", "0"]}
        for n, one in enumerate(frames(6))
    ]
    index = scan_files(enhanced(frames(10) + other, PixelData=numbered(16)))
    first, second = index.series[0].volumes
    assert first.stored[:, 0, 0].tolist() == list(range(10))
    assert second.stored[:, 0, 0].tolist() == list(range(15, 9, -1))  # row x column is -x
    assert second.affine[:3, 0].tolist() == pytest.approx([-3, 0, 0])


def test_a_concatenation_has_the_frames_of_all_its_files(scan_files: Any) -> None:
    every = frames(20)
    files = [
        enhanced(every[at : at + 10], SOPInstanceUID=f"2.25.7.{at}", PixelData=numbered(10))
        for at in (0, 10)
    ]
    volume = scan_files(*files).series[0].volume
    assert volume.stored[:, 0, 0].tolist() == [*range(10)] * 2


def test_a_truncated_frame_names_itself(scan_files: Any) -> None:
    index = scan_files(enhanced(frames(), PixelData=numbered(10))[:-200])
    with pytest.raises(DecodeError, match=r"^0.dcm: frame 8 is truncated"):
        index.series[0].volume.read()
    assert index.series[0].volume.read(slice(0, 8)).shape == (8, 8, 8)


def test_case_33(shared_case: Callable[[str], Path]) -> None:
    folder = shared_case("33")
    index = wr.scan(folder, workers=0, progress=False)
    (series,) = [one for one in index.series if one.row["slices"]]
    check_frames(index, folder)
    assert series.row["PixelSpacing"] is not None
    assert len(index.where("PixelSpacing[1] < 3.5 AND RescaleSlope IS NOT NULL")) == 1


@pytest.mark.parametrize(
    ("name", "volumes", "slices"),
    [
        ("mr-enhanced-per-frame", 4, 6),
        ("mr-multiframe-ultra-low-field", 1, 8),
    ],
)
def test_real_enhanced_series(name: str, volumes: int, slices: int) -> None:
    folder = SHARED / "series" / name
    if not folder.is_dir():
        pytest.skip("no series beside the project")
    index = wr.scan(folder, workers=0, progress=False)
    check_frames(index, folder)
    (series,) = index.series
    assert [volume.shape[0] for volume in series.volumes] == [slices] * volumes


def check_frames(index: wr.Index, folder: Path) -> None:
    """The table of frames has what pydicom finds in the groups."""
    table = index.query("SELECT path, frames.* FROM frames JOIN index USING (id)")
    assert len(table)
    for row in table.to_dict("records"):
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            header = pydicom.dcmread(folder / row["path"], stop_before_pixels=True)
        levels = [
            header.PerFrameFunctionalGroupsSequence[row["frame"]],
            *header.SharedFunctionalGroupsSequence,
        ]
        for macro, keyword in (
            ("PlanePositionSequence", "ImagePositionPatient"),
            ("PlaneOrientationSequence", "ImageOrientationPatient"),
            ("PixelMeasuresSequence", "PixelSpacing"),
        ):
            (value,) = [level[macro][0][keyword].value for level in levels if macro in level]
            assert np.allclose(row[keyword], value), keyword


def test_enhanced_and_classic_series_have_the_same_geometry() -> None:
    folder = SHARED / "series" / "ct-series-and-enhanced"
    if not folder.is_dir():
        pytest.skip("no series beside the project")
    index = wr.scan(folder, workers=0, progress=False)
    classic, multi = [one.row for one in index.series if one.row["volumes"]]
    for name in ("origin_patient", "slice_spacing_mm", "PixelSpacing", "Rows", "Columns", "slices"):
        assert multi[name] == pytest.approx(classic[name]), name


def test_legacy_converted(tmp_path: Path) -> None:
    """highdicom's conversion of a real CT series, and its volume."""
    highdicom = pytest.importorskip("highdicom")
    from highdicom.legacy import LegacyConvertedEnhancedCTImage

    folder = SHARED / "series" / "ct-3-slices"
    if not folder.is_dir():
        pytest.skip("no series beside the project")
    files = [pydicom.dcmread(path) for path in sorted(folder.iterdir())]
    for file in files:
        file.FrameOfReferenceUID = "2.25.4"
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        LegacyConvertedEnhancedCTImage(files, "2.25.5", 9, "2.25.6", 1).save_as(tmp_path / "a.dcm")
        volume = highdicom.imread(tmp_path / "a.dcm").get_volume()
    (series,) = wr.scan(tmp_path, workers=0, progress=False).series
    (ours,) = series.volumes
    assert ours.shape == volume.spatial_shape
    np.testing.assert_allclose(ours.array, volume.array[::-1])
    assert ours.spacing == pytest.approx(volume.spacing)
    last = volume.affine @ [volume.spatial_shape[0] - 1, 0, 0, 1]  # the other end
    assert series.row["origin_patient"] == pytest.approx(last[:3])


@pytest.mark.parametrize(
    ("name", "values"),
    [
        ("EchoTime", [10, 20]),
        ("TemporalPositionIdentifier", [1, 2]),
        ("TriggerTime", [0, 20]),
        ("DiffusionBValue", [0.0, 800.0]),
    ],
)
def test_what_divides_converted_images(name: str, values: list[Any], tmp_path: Path) -> None:
    """highdicom keeps such attributes of the classic images in a sequence of each frame."""
    pytest.importorskip("highdicom")
    from highdicom.legacy import LegacyConvertedEnhancedMRImage

    if not (SHARED / "series" / "mr-clean").is_dir():
        pytest.skip("no series beside the project")
    files = []
    for value in values:
        for path in sorted((SHARED / "series" / "mr-clean").iterdir()):
            file = pydicom.dcmread(path)
            file.FrameOfReferenceUID, file.SOPInstanceUID = "2.25.4", f"2.25.9.{len(files)}"
            file.InstanceNumber, file.AcquisitionNumber = len(files) + 1, 1
            setattr(file, name, value)
            files.append(file)
    random.Random(4).shuffle(files)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        made = LegacyConvertedEnhancedMRImage(files, "2.25.5", 9, "2.25.6", 1)
        made.save_as(tmp_path / "a.dcm")
    (series,) = wr.scan(tmp_path, workers=0, progress=False).series
    key = "b_value" if name == "DiffusionBValue" else name
    assert [volume.divided_by for volume in series.volumes] == [{key: one} for one in values]
    assert [volume.shape[0] for volume in series.volumes] == [4, 4]

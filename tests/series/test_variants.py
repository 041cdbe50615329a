"""A CT of 40 slices: harmless changes, and every damage alone and together."""

from __future__ import annotations

import math
import random
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pydicom
import pytest

import wetread as wr
from wetread.errors import DecodeError, GeometryError

Rows = list[dict[str, Any]]
Scan = Callable[..., wr.Index]
Make = Callable[..., Rows]


def only(index: wr.Index) -> Any:
    """The one series of an index."""
    (series,) = index.series
    return series


def codes(index: wr.Index) -> list[str]:
    return sorted(index.series.problems()["code"])


def assert_refused(index: wr.Index) -> None:
    """No volume, and an error that names each problem with its file."""
    series = only(index)
    assert not series.volumes
    with pytest.raises(GeometryError) as caught:
        series.volume  # noqa: B018
    for problem in index.series.problems().itertuples():
        assert f"{problem.code}: {problem.path}: {problem.text}" in str(caught.value)


def files(index: wr.Index, code: str) -> list[str]:
    return index.series.problems(code)["path"].tolist()


def assert_volume(index: wr.Index, slices: int = 40, step: float = 1.0) -> Any:
    series = only(index)
    (volume,) = series.volumes
    assert volume.shape == (slices, 8, 8)
    assert volume.spacing == pytest.approx((step, 0.7, 0.7))
    positions = [one.position for one in volume.slices]
    assert np.allclose(np.diff(positions), step)
    return series


def shuffled(rows: Rows) -> Rows:
    return random.Random(1).sample(rows, len(rows))


def test_harmless(harmless: Callable[[Rows], Rows], scan_series: Scan, ct: Make) -> None:
    index = scan_series(harmless(ct()))
    series = assert_volume(index)
    assert series.row["regularly_spaced_3d_volume"] is True
    assert series.row["slice_spacing_mm"] == 1
    assert series.row["origin_patient"] == [-20, -30, 100]
    assert not codes(index)
    numbers = [int(one.id, 16) for one in series.volumes[0].slices]
    assert len(set(numbers)) == 40
    np.testing.assert_allclose(series.volume.array, by_pydicom(index), rtol=1e-6)
    assert series.volume.affine[:3, 3].tolist() == [-20, -30, 100]


def by_pydicom(index: wr.Index) -> np.ndarray:
    """Modality values of all files, in the order of their positions along z."""
    files = [pydicom.dcmread(path) for path in Path(index.root).iterdir()]
    files.sort(key=lambda file: file.ImagePositionPatient[2])
    return np.stack([f.pixel_array * f.RescaleSlope + f.RescaleIntercept for f in files])


@pytest.mark.parametrize(
    "orientation",
    [
        (1, 0, 0, 0, 1, 0),
        (0, 1, 0, 0, 0, -1),
        (1, 0, 0, 0, 0, -1),
        (-1, 0, 0, 0, 1, 0),
        (-1, 0, 0, 0, -1, 0),
        (0.8, 0.6, 0, -0.36, 0.48, -0.8),
    ],
    ids=["axial", "sagittal", "coronal", "feet first", "prone", "oblique"],
)
def test_directions(orientation: Any, scan_series: Scan, ct: Make) -> None:
    index = scan_series(shuffled(ct(orientation=orientation, step=2.5)))
    series = assert_volume(index, step=2.5)
    assert series.row["regularly_spaced_3d_volume"] is True
    oblique = 0 < abs(orientation[0]) < 1
    assert (series.row["obliquity_degrees"] > 1) == oblique


def scout(slices: Rows, **more: Any) -> Rows:
    other = ["0", "1", "0", "0", "0", "-1"]
    row = {**slices[0], "SOPInstanceUID": "2.25.9", "ImageOrientationPatient": other, **more}
    return [*slices, row]


def test_scout_of_the_same_matrix(scan_series: Scan, ct: Make) -> None:
    index = scan_series(scout(ct(), ImageType=["ORIGINAL", "PRIMARY", "LOCALIZER"]))
    series = assert_volume(index)
    assert codes(index) == ["LOCALIZER_IN_SERIES"]
    assert files(index, "LOCALIZER_IN_SERIES") == ["0-040.dcm"]
    assert series.volume.stored[:, 0, 0].tolist() == list(range(40))


def test_scout_whose_image_type_is_silent(scan_series: Scan, ct: Make) -> None:
    index = scan_series(scout(ct()))
    assert_volume(index)
    assert codes(index) == ["ORIENTATION_MIXED"]
    assert files(index, "ORIENTATION_MIXED") == ["0-040.dcm"]


def test_localizer_of_another_matrix(scan_series: Scan, ct: Make) -> None:
    more = {"ImageType": ["ORIGINAL", "PRIMARY", "LOCALIZER"], "rows": 4, "pixels": bytes(64)}
    index = scan_series(scout(ct(), **more))
    assert_volume(index)
    assert codes(index) == ["LOCALIZER_IN_SERIES", "MATRIX_MIXED"]


def test_localizer_in_a_gap_of_its_own_orientation(scan_series: Scan, ct: Make) -> None:
    rows = ct()
    rows[20]["ImageType"] = ["ORIGINAL", "PRIMARY", "LOCALIZER"]
    index = scan_series(rows)
    assert_refused(index)
    assert codes(index) == ["LOCALIZER_IN_SERIES", "SLICE_MISSING"]


def test_two_scouts_are_no_volume(scan_series: Scan, ct: Make) -> None:
    kind = ["ORIGINAL", "PRIMARY", "LOCALIZER"]
    rows = scout(scout(ct(), ImageType=kind), ImageType=kind, SOPInstanceUID="2.25.10")
    rows[-1]["ImagePositionPatient"] = ["5", "0", "0"]
    index = scan_series(rows)
    assert_volume(index)
    assert codes(index) == ["LOCALIZER_IN_SERIES"] * 2


def test_slice_missing(scan_series: Scan, ct: Make) -> None:
    rows = ct()
    index = scan_series(rows[:20] + rows[21:])
    assert_refused(index)
    (problem,) = index.series.problems().to_dict("records")
    assert problem["code"] == "SLICE_MISSING"
    assert problem["path"] == "0-019.dcm"
    assert problem["slice_position_mm"] == pytest.approx(120)
    assert "1 slice is missing between 0-019.dcm and 0-020.dcm, at 120 mm" in problem["text"]


def test_slices_missing_in_several_places(scan_series: Scan, ct: Make) -> None:
    index = scan_series([row for n, row in enumerate(ct()) if n not in (5, 6, 7, 30)])
    assert codes(index) == ["SLICE_MISSING"] * 2
    assert index.series.problems()["slice_position_mm"].tolist() == [105, 130]


@pytest.mark.parametrize("uid", ["2.25.3.7", "2.25.99"], ids=["same file", "new UID"])
def test_slice_twice_with_equal_pixels(uid: str, scan_series: Scan, ct: Make) -> None:
    rows = ct()
    index = scan_series([*rows, {**rows[7], "SOPInstanceUID": uid}])
    series = assert_volume(index)
    assert codes(index) == ["SLICE_DUPLICATED"]
    assert files(index, "SLICE_DUPLICATED") == ["0-040.dcm"]
    assert series.row["regularly_spaced_3d_volume"] is False
    assert series.volume.stored[:, 0, 0].tolist() == list(range(40))
    assert "0-040.dcm" not in index.query("SELECT path FROM slices WHERE slice_index >= 0")["path"]


@pytest.mark.parametrize("uid", ["2.25.3.7", "2.25.99"], ids=["same UID", "new UID"])
def test_slice_twice_with_other_pixels(uid: str, scan_series: Scan, ct: Make) -> None:
    rows = ct()
    other = {**rows[7], "SOPInstanceUID": uid, "pixels": bytes(126) + b"\1\0"}
    index = scan_series([*rows, other])
    assert_refused(index)
    assert codes(index) == ["SLICE_DUPLICATED"]
    assert "the pixels differ" in index.series.problems()["text"][0]


def test_slice_twice_with_another_slope(scan_series: Scan, ct: Make) -> None:
    rows = ct()
    index = scan_series([*rows, {**rows[7], "SOPInstanceUID": "2.25.99", "RescaleSlope": "2"}])
    assert_refused(index)


@pytest.mark.parametrize("n", [0, 20, 39])
def test_frame_of_reference_of_one_differs(n: int, scan_series: Scan, ct: Make) -> None:
    rows = ct()
    rows[n]["FrameOfReferenceUID"] = "2.25.77"
    index = scan_series(rows)
    assert_refused(index)
    assert codes(index) == ["FRAME_OF_REFERENCE_MIXED"]
    assert files(index, "FRAME_OF_REFERENCE_MIXED") == [f"0-{n:03}.dcm"]


def test_frame_of_reference_of_some_is_absent(scan_series: Scan, ct: Make) -> None:
    rows = ct()
    for row in rows[::2]:
        row["FrameOfReferenceUID"] = None
    index = scan_series(rows)
    assert codes(index) == []
    assert index.series[0].volume.shape[0] == len(rows)


@pytest.mark.parametrize("n", [0, 20, 39])
def test_pixel_spacing_of_one_differs(n: int, scan_series: Scan, ct: Make) -> None:
    rows = ct()
    rows[n]["PixelSpacing"] = ["0.7", "0.8"]
    index = scan_series(rows)
    assert_refused(index)
    assert codes(index) == ["PIXEL_SPACING_MIXED"]
    assert files(index, "PIXEL_SPACING_MIXED") == [f"0-{n:03}.dcm"]


@pytest.mark.parametrize("n", [0, 20, 39])
def test_matrix_of_one_differs(n: int, scan_series: Scan, ct: Make) -> None:
    rows = ct()
    rows[n] |= {"rows": 4, "pixels": bytes(64)}
    index = scan_series(rows)
    assert_refused(index)
    assert codes(index) == ["MATRIX_MIXED"]
    assert files(index, "MATRIX_MIXED") == [f"0-{n:03}.dcm"]


def move(row: dict[str, Any], *by: float) -> None:
    position = [float(value) for value in row["ImagePositionPatient"]]
    row["ImagePositionPatient"] = [f"{a + b:g}" for a, b in zip(position, by, strict=True)]


@pytest.mark.parametrize("n", [0, 20, 39])
def test_one_slice_shifted_sideways(n: int, scan_series: Scan, ct: Make) -> None:
    rows = ct()
    move(rows[n], 5, 0, 0)
    index = scan_series(rows)
    assert_refused(index)
    assert codes(index) == ["SLICE_SHIFTED"]
    assert files(index, "SLICE_SHIFTED") == [f"0-{n:03}.dcm"]


def test_one_slice_displaced_along_the_normal(scan_series: Scan, ct: Make) -> None:
    rows = ct()
    move(rows[20], 0, 0, 0.3)
    index = scan_series(rows)
    assert_refused(index)
    assert codes(index) == ["SPACING_UNEVEN"]
    assert files(index, "SPACING_UNEVEN") == ["0-020.dcm"]


@pytest.mark.parametrize("n", [0, 20, 39])
def test_no_position_on_one_slice(n: int, scan_series: Scan, ct: Make) -> None:
    rows = ct()
    rows[n]["ImagePositionPatient"] = None
    index = scan_series(rows)
    assert_refused(index)
    assert codes(index) == ["POSITION_MISSING"]
    assert files(index, "POSITION_MISSING") == [f"0-{n:03}.dcm"]


@pytest.mark.parametrize(
    "value", [None, ["0"] * 6, ["1", "0", "0", "1", "0", "0"], ["1", "0", "0", "0", "x", "0"]]
)
def test_no_usable_orientation_on_one_slice(value: Any, scan_series: Scan, ct: Make) -> None:
    rows = ct()
    rows[39]["ImageOrientationPatient"] = value
    index = scan_series(rows)
    assert_refused(index)
    assert codes(index) == ["POSITION_MISSING"]


def two_acquisitions(rows: Rows) -> Rows:
    return [
        {**row, "SOPInstanceUID": f"{row['SOPInstanceUID']}.{n}", "AcquisitionNumber": str(n),
         "pixels": bytes([n, 1]) * 64}
        for n in (1, 2)
        for row in rows
    ]  # fmt: skip


def test_two_acquisitions(scan_series: Scan, ct: Make) -> None:
    index = scan_series(shuffled(two_acquisitions(ct())))
    series = only(index)
    assert [stack.shape for stack in series.volumes] == [(40, 8, 8)] * 2
    assert [stack.divided_by for stack in series.stacks] == [
        {"AcquisitionNumber": 1},
        {"AcquisitionNumber": 2},
    ]
    assert codes(index) == ["ACQUISITIONS_MIXED"]
    for number, volume in enumerate(series.volumes, 1):
        assert (volume.stored == 256 + number).all()


def test_acquisition_number_alone_divides_nothing(scan_series: Scan, ct: Make) -> None:
    index = scan_series([{**row, "AcquisitionNumber": str(n)} for n, row in enumerate(ct())])
    assert_volume(index)
    assert not codes(index)


@pytest.mark.parametrize("degrees", [5, 14, 28])
def test_gantry_tilt(degrees: float, scan_series: Scan, ct: Make) -> None:
    rows = ct()
    for n, row in enumerate(rows):
        move(row, 0, n * math.tan(math.radians(degrees)), 0)
    index = scan_series(rows)
    series = only(index)
    assert_refused(index)
    assert codes(index) == ["GANTRY_TILT"]
    assert series.row["gantry_tilt_degrees"] == pytest.approx(degrees, abs=0.01)


def test_one_slice_cut(scan_series: Scan, ct: Make) -> None:
    index = scan_series(ct())
    path = f"{index.root}/0-020.dcm"
    with open(path, "r+b") as file:
        file.truncate(file.seek(0, 2) - 50)
    index = wr.scan(index.root, workers=0, progress=False)
    series = assert_volume(index)
    with pytest.raises(DecodeError, match=r"^0-020.dcm: frame 0 is truncated"):
        series.volume.read()
    assert set(index.problems()["path"]) == {"0-020.dcm"}
    assert not codes(index)


def test_several_damages_at_once(scan_series: Scan, ct: Make) -> None:
    rows = ct()
    move(rows[10], 5, 0, 0)
    rows[15]["PixelSpacing"] = ["0.8", "0.8"]
    rows[39]["ImagePositionPatient"] = None
    rows = scout([*rows, {**rows[3], "pixels": b"\7\0" * 64, "SOPInstanceUID": "2.25.99"}])
    index = scan_series(rows)
    assert_refused(index)
    found = index.series.problems().set_index("code")["path"].to_dict()
    assert found == {
        "SLICE_DUPLICATED": "0-040.dcm",
        "PIXEL_SPACING_MIXED": "0-015.dcm",
        "POSITION_MISSING": "0-039.dcm",
        "ORIENTATION_MIXED": "0-041.dcm",
    }


def test_missing_shifted_and_tilted(scan_series: Scan, ct: Make) -> None:
    rows = ct()
    for n, row in enumerate(rows):
        move(row, 0, n * 0.2, 0)
    move(rows[30], 4, 0, 0)
    index = scan_series(rows[:12] + rows[13:])
    assert codes(index) == ["GANTRY_TILT", "SLICE_MISSING", "SLICE_SHIFTED"]
    assert files(index, "SLICE_SHIFTED") == ["0-029.dcm"]


def test_missing_and_without_position(scan_series: Scan, ct: Make) -> None:
    rows = ct()
    rows[30]["ImagePositionPatient"] = None
    index = scan_series(rows[:12] + rows[13:])
    assert codes(index) == ["POSITION_MISSING", "SLICE_MISSING", "SLICE_MISSING"]


@pytest.mark.parametrize("value", [None, ["0", "0"], ["0.7"], ["0.7", "x"]])
def test_no_pixel_spacing(value: Any, scan_series: Scan, ct: Make) -> None:
    index = scan_series(ct(PixelSpacing=value))
    assert_refused(index)
    assert codes(index) == ["PIXEL_SPACING_MISSING"]


@pytest.mark.parametrize("value", ["1e308", "-1e308", "1e999", "nan"])
def test_absurd_numbers(value: str, scan_series: Scan, ct: Make) -> None:
    rows = ct()
    rows[20]["ImagePositionPatient"] = ["0", value, "0"]
    index = scan_series(rows)
    assert_refused(index)
    assert len(codes(index))

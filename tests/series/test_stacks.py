"""Stacks: series with several volumes, and what divides them."""

from __future__ import annotations

import random
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import wetread as wr
from wetread.series.geometry import find_starts, measure, order
from wetread.series.slices import Slices
from wetread.series.stacks import DIVIDERS, Member, divide
from wetread.settings import Settings
from wetread.testing.dicom import Element

Rows = list[dict[str, Any]]
Scan = Callable[..., wr.Index]
Make = Callable[..., Rows]
MR = "1.2.840.10008.5.1.4.1.1.4"


def copies(rows: Rows, **values: list[Any]) -> Rows:
    """The rows once per value, with pixels of their own, in random order."""
    ((name, several),) = values.items()
    copied = [
        {**row, "SOPInstanceUID": f"{row['SOPInstanceUID']}.{n}", name: value,
         "pixels": bytes([n, 3]) * 64}
        for n, value in enumerate(several)
        for row in rows
    ]  # fmt: skip
    return random.Random(3).sample(copied, len(copied))


DIVIDED = {
    "EchoTime": ["10", "20"],
    "EffectiveEchoTime": [10.0, 20.0],
    "TemporalPositionIdentifier": ["1", "2", "3"],
    "DiffusionBValue": [0.0, 500.0, 1000.0],
    "TriggerTime": ["0", "40.5", "81"],
    "NominalPercentageOfCardiacPhase": [0.0, 50.0],
    "ImageType": [["ORIGINAL", "PRIMARY", "M"], ["ORIGINAL", "PRIMARY", "P"]],
    "ContentTime": ["101500", "101530.5"],
    "AcquisitionNumber": ["3", "5"],
}


@pytest.mark.parametrize("name", DIVIDED)
def test_an_attribute_divides_repeated_positions(name: str, scan_series: Scan, ct: Make) -> None:
    values = DIVIDED[name]
    index = scan_series(copies(ct(12, SOPClassUID=MR), **{name: values}))
    (series,) = index.series
    assert [stack.shape for stack in series.volumes] == [(12, 8, 8)] * len(values)
    expected = ["AcquisitionNumber"] if name == "AcquisitionNumber" else []
    assert [{"AcquisitionNumber": "ACQUISITIONS_MIXED"}[e] for e in expected] == (
        index.series.problems()["code"].tolist()
    )
    paths = index["path"].tolist()
    by_id = dict(zip(index["id"], paths, strict=True))
    for stack in series.stacks:  # each holds the slices of one value only
        rows = [index[paths.index(by_id[one.id])] for one in stack.slices]
        assert len({str(row.header[name].value) for row in rows}) == 1


def test_echoes_and_times_divide_twice(scan_series: Scan, ct: Make) -> None:
    rows = copies(ct(10), EchoTime=["10", "20"])
    rows = [row for n in range(3) for row in [
        {**r, "TemporalPositionIdentifier": str(n), "SOPInstanceUID": f"{r['SOPInstanceUID']}.{n}"}
        for r in rows
    ]]  # fmt: skip
    index = scan_series(rows)
    (series,) = index.series
    assert len(series.volumes) == 6
    assert series.volumes[5].divided_by == {"EchoTime": 20, "TemporalPositionIdentifier": 2}


def test_diffusion_directions(scan_series: Scan, ct: Make) -> None:
    rows = copies(ct(10), DiffusionBValue=[0.0, 1000.0])
    weighted = [row for row in rows if row["DiffusionBValue"]]
    directions = [[1.0, 0.0, 0.0], [0.0, 1.0, 0.0], [0.0, 0.0, 1.0]]
    index = scan_series(
        [row for row in rows if not row["DiffusionBValue"]],
        copies(weighted, DiffusionGradientOrientation=directions),
    )
    (series,) = index.series
    assert len(series.volumes) == 4


def test_a_dynamic_series_is_no_mix_of_acquisitions(scan_series: Scan, ct: Make) -> None:
    rows = copies(ct(10), TemporalPositionIdentifier=["1", "2", "3"])
    for row in rows:
        row["AcquisitionNumber"] = row["TemporalPositionIdentifier"]
    index = scan_series(rows)
    assert index.series["volumes"].tolist() == [3]
    assert not len(index.series.problems())


def test_a_slice_missing_in_one_phase(scan_series: Scan, ct: Make) -> None:
    rows = copies(ct(12), TemporalPositionIdentifier=["1", "2", "3"])
    gone = next(n for n, row in enumerate(rows) if row["SOPInstanceUID"] == "2.25.3.5.1")
    index = scan_series(rows[:gone] + rows[gone + 1 :])
    (series,) = index.series
    assert [stack.is_volume for stack in series.stacks] == [True, False, True]
    assert index.series.problems()["code"].tolist() == ["SLICE_MISSING"]


def test_a_slice_twice_in_one_of_two_acquisitions(scan_series: Scan, ct: Make) -> None:
    rows = copies(ct(12), AcquisitionNumber=["1", "2"])
    index = scan_series([*rows, rows[4], {**rows[8], "SOPInstanceUID": "2.25.99"}])
    (series,) = index.series
    assert len(series.volumes) == 2
    codes = index.series.problems()["code"].tolist()
    assert codes == ["SLICE_DUPLICATED", "SLICE_DUPLICATED", "ACQUISITIONS_MIXED"]


def test_nothing_divides(scan_series: Scan, ct: Make) -> None:
    index = scan_series(copies(ct(12), InstanceCreationTime=["1015", "1016", "1017"]))
    (series,) = index.series
    assert [stack.is_volume for stack in series.stacks] == [False]
    (problem,) = index.series.problems().to_dict("records")
    assert problem["code"] == "SLICE_DUPLICATED"
    assert problem["text"] == "24 images repeat 12 positions; no attribute divides them"


def test_an_attribute_of_each_slice_divides_nothing(scan_series: Scan, ct: Make) -> None:
    """A copy of one slice, with a time of its own, is a copy and no acquisition."""
    rows = [{**row, "ContentTime": f"{101500 + n}"} for n, row in enumerate(ct(12))]
    index = scan_series([*rows, {**rows[5], "SOPInstanceUID": "2.25.99", "ContentTime": "111500"}])
    assert index.series.problems()["code"].tolist() == ["SLICE_DUPLICATED"]
    assert index.series["volumes"].tolist() == [1]


def test_two_reconstructions_at_the_same_positions(scan_series: Scan, ct: Make) -> None:
    rows = copies(ct(12), PixelSpacing=[["0.7", "0.7"], ["0.35", "0.35"]])
    index = scan_series(rows)
    (series,) = index.series
    assert len(series.volumes) == 2
    assert set(index.series.problems()["code"]) == {"PIXEL_SPACING_MIXED"}


def test_interleaved_pixel_spacings_are_no_volumes(scan_series: Scan, ct: Make) -> None:
    rows = ct(12)
    for row in rows[::2]:
        row["PixelSpacing"] = ["0.8", "0.8"]
    index = scan_series(rows)
    assert index.series["volumes"].tolist() == [0]


def test_a_slice_of_another_spacing_in_the_middle_of_three(scan_series: Scan, ct: Make) -> None:
    rows = ct(3)
    rows[1]["PixelSpacing"] = ["0.8", "0.8"]
    assert scan_series(rows).series["volumes"].tolist() == [0]


def test_a_turned_slice_in_the_middle_of_three(scan_series: Scan, ct: Make) -> None:
    rows = ct(3)
    rows[1]["ImageOrientationPatient"] = ["0.999", "0.0447", "0", "-0.0447", "0.999", "0"]
    index = scan_series(rows)
    assert index.series["volumes"].tolist() == [0]
    assert index.series.problems()["code"].tolist() == ["ORIENTATION_MIXED"]


def test_noise_of_cosines_is_one_orientation(scan_series: Scan, ct: Make) -> None:
    """IDC compares texts: no volume for it; ours is one."""
    noise = np.random.default_rng(0).uniform(-2e-5, 2e-5, (12, 2))
    rows = ct(12)
    for row, (a, b) in zip(rows, noise, strict=True):
        row["ImageOrientationPatient"] = ["1", f"{a:.8f}", f"{b:.8f}", "0", "1", "0"]
    (series,) = scan_series(rows).series
    assert series.row["regularly_spaced_3d_volume"] is False
    assert [stack.shape for stack in series.volumes] == [(12, 8, 8)]


def test_two_scouts_of_one_orientation_among_noisy_slices(scan_series: Scan, ct: Make) -> None:
    rows = ct(12)
    for n, row in enumerate(rows):
        row["ImageOrientationPatient"] = ["1", f"{n}e-6", "0", "0", "1", "0"]
    other = ["0", "1", "0", "0", "0", "-1"]
    scouts = [{**rows[n], "ImageOrientationPatient": other, "SOPInstanceUID": f"2.25.9.{n}"}
              for n in (0, 1)]  # fmt: skip
    index = scan_series([*rows, *scouts])
    assert index.series["volumes"].tolist() == [1]
    assert index.series.problems("ORIENTATION_MIXED")["path"].tolist() == [
        "0-012.dcm",
        "0-013.dcm",
    ]


def test_mosaics_are_no_slices(scan_series: Scan, ct: Make) -> None:
    kind = ["ORIGINAL", "PRIMARY", "M", "ND", "MOSAIC"]
    index = scan_series(ct(5, SOPClassUID=MR, ImageType=kind))
    (series,) = index.series
    assert not series.stacks
    assert series.row["regularly_spaced_3d_volume"] is False
    assert index.series.problems()["code"].tolist() == ["MOSAIC"]


def test_grids_of_uih_are_no_slices(scan_series: Scan, ct: Make) -> None:
    """Their Image Type does not say MOSAIC; a private element has the number of slices."""
    grid = [Element(0x00650010, "LO", "Image Private Header"), Element(0x00651050, "DS", "25")]
    index = scan_series(ct(5, SOPClassUID=MR, Manufacturer="UIH", private=grid))
    assert index["mosaic_tiles"].tolist() == [25] * 5
    assert not index.series[0].stacks
    assert index.series.problems()["code"].tolist() == ["MOSAIC"]


def test_reprojections_are_no_slices(scan_series: Scan, ct: Make) -> None:
    rows = ct(
        6, SOPClassUID="1.2.840.10008.5.1.4.1.1.128", SeriesType=["WHOLE BODY", "REPROJECTION"]
    )
    for n, row in enumerate(rows):
        turn = np.radians(n * 30)
        row["ImageOrientationPatient"] = [
            f"{np.cos(turn):.6f}",
            f"{np.sin(turn):.6f}",
            "0",
            "0",
            "0",
            "-1",
        ]
    index = scan_series(rows)
    assert index.series["volumes"].tolist() == [0]
    assert index.series.problems()["code"].tolist() == ["REPROJECTION"]


@pytest.mark.parametrize("kinds", [1, 5, 20_000])
def test_5000_slices(kinds: int) -> None:
    """Distances, orientations with noise, and one that is missing."""
    rng = np.random.default_rng(1)
    kept = np.delete(np.arange(5000), 1234)
    orientation = np.tile([1.0, 0, 0, 0, 1, 0], (4999, 1))
    orientation += rng.integers(0, kinds, (4999, 6)) * (4e-5 / kinds)
    slices = slices_of(np.c_[np.zeros((4999, 2)), kept * 0.3], orientation)
    stacks, found = divided(slices)
    assert [len(stack.slices) for stack in stacks] == [4999]
    assert [one.code for one in found] == ["SLICE_MISSING"]
    assert found[0].slices == (1233, 1234)


def slices_of(position: Any, orientation: Any = (1, 0, 0, 0, 1, 0), **arrays: Any) -> Slices:
    count = len(position)
    values = {
        "row": np.arange(count),
        "frame": np.zeros(count, int),
        "record": np.full(count, -1),
        "series": np.zeros(count, int),
        "position": np.asarray(position, float),
        "orientation": np.broadcast_to(np.asarray(orientation, float), (count, 6)),
        "spacing": np.ones((count, 2)),
        "matrix": np.tile([8, 8, 1], (count, 1)),
        "uid": np.arange(count),
        "reference": np.zeros(count, int),
        **{name: np.zeros(count, bool) for name in ("localizer", "mosaic", "composed")},
        "volumetric": np.ones(count, bool),
        **arrays,
    }
    return Slices(**values)


def divided(slices: Slices) -> Any:
    slices = slices.take(order(slices))
    placed = measure(slices, Settings()).placed
    keys = np.full((len(slices), len(DIVIDERS)), -1)
    series = Member(slices, placed, keys, slices.uid)
    return divide(series, Settings(), lambda pairs, exact: ["the pixels differ"] * len(pairs))


positions = st.lists(st.integers(-30, 30), min_size=2, max_size=12)


@given(positions, st.floats(0.01, 10), st.integers(0, 3), st.randoms())
def test_the_short_way_and_the_division_agree(
    places: list[int], step: float, kind: int, chance: Any
) -> None:
    """Regular by IDC's checks is one volume, and one volume of one kind is regular."""
    axes = [(1, 0, 0, 0, 1, 0), (0, 1, 0, 0, 0, 1), (0, 0, 1, 1, 0, 0), (0.6, 0.8, 0, -0.8, 0.6, 0)]
    chance.shuffle(places)
    row, column = np.reshape(axes[kind], (2, 3))
    slices = slices_of(np.outer(places, np.cross(row, column)) * step, axes[kind])
    ordered = slices.take(order(slices))
    regular = measure(ordered, Settings()).regular.value[0]
    stacks, found = divided(slices)
    assert [stack.regular for stack in stacks] == [regular]
    assert bool(found) != regular
    assert find_starts(ordered.series).tolist() == [0]
    (stack,) = stacks
    assert (np.diff(stack.depth) >= 0).all()


def test_private_b_values_divide(scan_series: Scan, ct: Make, tmp_path: Path) -> None:
    """The scan has read them: the files may be gone."""
    rows = []
    for b in (0, 800):
        private = [Element(0x00190010, "LO", "SIEMENS MR HEADER"), Element(0x0019100C, "IS", b)]
        rows += ct(6, SOPClassUID=MR, Manufacturer="SIEMENS", private=private)
    rows = [{**row, "SOPInstanceUID": f"2.25.9.{n}"} for n, row in enumerate(rows)]
    index = scan_series(random.Random(5).sample(rows, len(rows)))
    for path in (tmp_path / "images").iterdir():
        path.unlink()
    (series,) = index.series
    assert [stack.divided_by for stack in series.volumes] == [{"b_value": 0}, {"b_value": 800}]


def test_b_values_of_a_manufacturer() -> None:
    """Two volumes that differ only in a private element of GE."""
    folder = Path(__file__).resolve().parents[3] / "shared" / "data" / "series" / "mr-dti-2-volumes"
    if not folder.is_dir():
        pytest.skip("no series beside the project")
    (series,) = wr.scan(folder, workers=0, progress=False).series
    assert [stack.divided_by for stack in series.volumes] == [{"b_value": 0}, {"b_value": 1000}]
    assert [stack.shape[0] for stack in series.volumes] == [4, 4]
    assert series.row["problems"] == []

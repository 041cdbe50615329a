"""Contours: filled as other programs fill them, holes by XOR and keyhole, and broken ones."""

from __future__ import annotations

import subprocess
import tracemalloc
from pathlib import Path
from typing import Any

import numpy as np
import pydicom
import pytest
from skimage.draw import polygon2mask

import wetread as wr
from wetread.segments.raster import fill, wind

SHARED = Path(__file__).resolve().parents[3] / "shared" / "data" / "series"
CLOSED, XOR = "CLOSED_PLANAR", "CLOSEDPLANAR_XOR"


def circle(row: float, column: float, radius: float, points: int = 400) -> np.ndarray:
    angles = np.linspace(0, 2 * np.pi, points, endpoint=False)
    return np.c_[row + radius * np.sin(angles), column + radius * np.cos(angles)]


def area(points: np.ndarray) -> float:
    """Shoelace formula."""
    y, x = points.T
    return abs(np.dot(x, np.roll(y, 1)) - np.dot(y, np.roll(x, 1))) / 2


def star(random: np.random.Generator, size: int) -> np.ndarray:
    """Simple polygon: points at sorted angles around a centre."""
    angles = np.sort(random.uniform(0, 2 * np.pi, size))
    radii = random.uniform(3, 18, size)
    return np.c_[20 + radii * np.sin(angles), 25 + radii * np.cos(angles)]


@pytest.mark.parametrize("seed", range(20))
def test_a_simple_polygon_equals_skimage(seed) -> None:
    points = star(np.random.default_rng(seed), 3 + 5 * seed)
    mask, crossed = fill(points, (40, 50))
    np.testing.assert_array_equal(mask, polygon2mask((40, 50), points))
    assert not crossed


def test_a_random_polygon_is_filled_even_odd() -> None:
    points = np.random.default_rng(0).uniform(-5, 45, (60, 2))  # crosses itself and the borders
    mask, crossed = fill(points, (40, 42))
    np.testing.assert_array_equal(mask, polygon2mask((40, 42), points))
    assert crossed


def test_polygons_that_share_an_edge_share_no_pixel() -> None:
    left = np.array([[0, 0], [0, 5], [9, 5], [9, 0]], float)
    right = left + np.array([0, 5])
    a, b = fill(left, (10, 11))[0], fill(right, (10, 11))[0]
    assert not (a & b).any()
    assert (a | b).sum() == 9 * 10


def test_a_polygon_traced_twice_overlaps_itself() -> None:
    square = np.array([[2, 2], [2, 9], [9, 9], [9, 2]], float)
    mask, crossed = fill(np.r_[square, square], (12, 12))
    assert crossed
    assert not mask.any()  # even-odd


def test_a_polygon_outside_of_the_image() -> None:
    for move in ([-50, 0], [0, 80], [200, 200]):
        mask, crossed = fill(circle(10, 10, 6) + np.array(move), (20, 20))
        assert not mask.any()
        assert not crossed


def test_memory_of_a_contour_that_crosses_all_rows() -> None:
    """100,000 edges of 512 rows each would be 51 million crossings."""
    points = np.c_[np.tile([-1.0, 513.0], 50_000), np.linspace(0, 511, 100_000)]
    tracemalloc.start()
    mask, _ = fill(points, (512, 512))
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < 200e6
    assert mask.any()


def test_winding_of_both_directions() -> None:
    points = circle(10, 10, 6)
    assert set(np.unique(wind(points, (20, 20)))) == {0, 1} or {0, -1}
    np.testing.assert_array_equal(wind(points, (20, 20)), -wind(points[::-1], (20, 20)))


@pytest.fixture
def wide(make_scan) -> Any:
    """A CT with fine pixels, for areas."""
    return make_scan("wide", shape=(3, 300, 320), spacing=(3.0, 0.5, 0.5))


def region(path: Path, scan: Any) -> wr.Segment:
    (segment,) = wr.read_segments(path, images=scan.index, progress=False)
    return segment


def test_holes_by_xor(wide, write_rtstruct) -> None:
    outer, hole, island = (circle(150, 160, radius) for radius in (120, 70, 30))
    contours = [(1, points, XOR) for points in (hole, outer, island)]  # in any order
    segment = region(write_rtstruct(wide, {"ring": contours}), wide)
    expected = np.pi * (120**2 - 70**2 + 30**2)
    assert segment.voxels == pytest.approx(expected, rel=0.005)
    assert segment.volume_ml == pytest.approx(expected * 0.5 * 0.5 * 3 / 1000, rel=0.005)
    assert not segment.mask[1, 150, 160 + 50]
    assert segment.mask[1, 150, 160]


def test_a_hole_by_a_keyhole(wide, write_rtstruct) -> None:
    """One contour that goes in along an edge and back along the same (PS3.3 C.8.8.6.3)."""
    outer, hole = circle(150, 160, 120), circle(150, 160, 70)[::-1]
    keyhole = np.r_[outer, outer[:1], np.roll(hole, 1, axis=0), np.roll(hole, 1, axis=0)[:1]]
    segment = region(write_rtstruct(wide, {"ring": [(1, keyhole, CLOSED)]}), wide)
    assert segment.voxels == pytest.approx(np.pi * (120**2 - 70**2), rel=0.005)
    assert not segment.mask[1, 150, 160]
    assert "CONTOUR_CROSSED" not in segment.row["problems"]


def test_nested_contours_are_a_union(wide, write_rtstruct) -> None:
    contours = [(1, circle(150, 160, 120), CLOSED), (1, circle(150, 160, 70), CLOSED)]
    segment = region(write_rtstruct(wide, {"both": contours}), wide)
    assert segment.voxels == pytest.approx(np.pi * 120**2, rel=0.005)
    assert "CONTOURS_NESTED" in segment.row["problems"]


def test_a_contour_that_crosses_itself(wide, write_rtstruct) -> None:
    eight = np.array([[50, 50], [250, 250], [250, 50], [50, 250]], float)
    segment = region(write_rtstruct(wide, {"eight": [(1, eight, CLOSED)]}), wide)
    assert "CONTOUR_CROSSED" in segment.row["problems"]
    assert segment.voxels == pytest.approx(2 * 200 * 100 / 2, rel=0.01)


@pytest.mark.parametrize("seed", range(5))
def test_areas_of_simple_polygons(seed, wide, write_rtstruct) -> None:
    points = 7 * star(np.random.default_rng(seed), 40) + [10, 5]
    segment = region(write_rtstruct(wide, {"star": [(1, points, CLOSED)]}), wide)
    assert segment.voxels == pytest.approx(area(points), rel=0.005)


def test_curves_and_points_have_no_area(scan, write_rtstruct, outlines, blob) -> None:
    curve = np.array([[3, 3], [9, 9], [3, 9]], float)
    regions = {
        "curve": [(2, curve, "OPEN_PLANAR")],
        "point": [(2, curve[:1], "POINT")],
        "both": [(1, curve, "OPEN_PLANAR"), *outlines(blob)],
    }
    segments = wr.read_segments(write_rtstruct(scan, regions), images=scan.index, progress=False)
    assert segments["voxels"].tolist() == [0, 0, blob.sum()]
    assert all("CONTOUR_OPEN" in codes for codes in segments["problems"])
    assert segments["aligned"].tolist() == [None] * 3
    assert "SEGMENT_EMPTY" in segments["problems"][0]


def test_a_slice_without_contour(scan, write_rtstruct, outlines, blob) -> None:
    blob[4] = False
    segment = region(write_rtstruct(scan, {"GTV": outlines(blob)}), scan)
    assert "CONTOUR_GAP" in segment.row["problems"]


def test_broken_contours_are_named_and_the_others_are_read(scan, write_rtstruct) -> None:
    square = np.array([[2, 2], [2, 9], [9, 9], [9, 2]], float)

    def damage(ds: pydicom.Dataset) -> None:
        items = ds.ROIContourSequence[0].ContourSequence
        items[0].ContourData = items[0].ContourData[:-1]
        items[1].NumberOfContourPoints = 7
        items[2].ContourData = items[2].ContourData[:6]
        items[3].ContourData = []
        del items[4].ContourData

    contours = [(k % 8, square, CLOSED) for k in range(6)]
    path = write_rtstruct(scan, {"bad": contours}, damage)
    segments = wr.read_segments(path, images=scan.index, progress=False)
    texts = segments.problems("CONTOUR_UNREADABLE")["text"].tolist()
    assert [text[:13] for text in texts] == ["4 of 6 contou", "1 of 6 contou"]
    assert segments["aligned"].tolist() == [False]
    (whole,) = wr.read_segments(
        path, images=scan.index, accept=["CONTOUR_UNREADABLE"], progress=False
    )
    assert whole.mask[5].sum() == 49
    assert whole.mask.sum() == 49


def test_a_contour_of_a_million_points(scan, write_rtstruct, blob, outlines) -> None:
    """Left out, with its problem; other regions are read."""

    def enlarge(ds: pydicom.Dataset) -> None:
        item = ds.ROIContourSequence[0].ContourSequence[0]
        element = item.get_item("ContourData")
        data = b"\\".join([b"1.5"] * 3_000_000)
        item[0x30060050] = pydicom.DataElement(0x30060050, "UN", data)
        assert element is not None
        item.NumberOfContourPoints = 1_000_000

    regions = {"huge": outlines(blob)[:1], "GTV": outlines(blob)}
    path = write_rtstruct(scan, regions, enlarge)
    segments = wr.read_segments(path, images=scan.index, progress=False)
    assert "SEGMENT_LIMIT" in segments["problems"][0]
    assert "100,000" in segments.problems("SEGMENT_LIMIT")["text"][0]
    np.testing.assert_array_equal(segments[1].mask, blob)


@pytest.mark.skipif(not SHARED.is_dir(), reason="no real files beside the project")
@pytest.mark.apt("plastimatch", "plastimatch")
def test_real_rtstruct_equals_plastimatch(tmp_path) -> None:
    """Voxel for voxel, on the slices that the folder has; files state slices that it lacks."""
    import SimpleITK

    folder = SHARED / "ct-rtstruct"
    images = wr.scan(sorted(folder.glob("ct_*.dcm")), progress=False)
    accept = ["FRAME_OF_REFERENCE_DIFFERS", "SLICE_ABSENT", "CONTOUR_OFF_SLICE"]
    compared = 0
    for file in ("rt.dcm", "non_existent_reference_rt.dcm"):
        out = tmp_path / file
        subprocess.run(
            ["plastimatch", "convert", "--input", folder / file, "--referenced-ct", folder,
             "--output-prefix", out, "--prefix-format", "nii"],
            check=True, capture_output=True,
        )  # fmt: skip
        segments = wr.read_segments(folder / file, images=images, accept=accept, progress=False)
        for segment in segments:
            image = SimpleITK.ReadImage(str(next(out.glob(f"{segment.label}.nii"))))
            theirs = SimpleITK.GetArrayFromImage(image) > 0
            np.testing.assert_array_equal(segment.mask, theirs, err_msg=f"{file} {segment.label}")
            compared += int(theirs.sum() > 0)
    assert compared == 5

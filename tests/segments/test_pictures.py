"""Outlines: where the mask is, in pictures and in the report; none of misaligned segments."""

from __future__ import annotations

import json
import re

import matplotlib as mpl
import numpy as np
import pytest
from click.testing import CliRunner

import wetread as wr
from wetread.cli import main
from wetread.reports.build import build

mpl.use("Agg")


@pytest.fixture
def segments(scan, write_seg, blob) -> wr.Segments:
    path = write_seg(scan, blob, labels=["Liver $x$"])
    return wr.read_segments(path, images=scan.index, progress=False)


def areas(ax) -> list[np.ndarray]:
    """Masks drawn over the picture."""
    return [np.asarray(one.get_array())[..., 3] > 0 for one in ax.images[1:]]


def names(ax) -> list[str]:
    legend = ax.get_legend()
    return [] if legend is None else [text.get_text() for text in legend.get_texts()]


def test_an_image(scan, segments, blob) -> None:
    image = scan.index.where(f"SOPInstanceUID = '{scan.slices[3].SOPInstanceUID}'")[0]
    ax = image.show(segments=segments)
    (area,) = areas(ax)
    np.testing.assert_array_equal(area, blob[3])
    assert names(ax) == ["Liver $x$, 0.205 ml"]
    corners = ax.collections[0].get_paths()[0].get_extents()
    box = segments[0].row
    assert (corners.x0, corners.x1) == pytest.approx((box["x0"], box["x1"]), abs=0.5)


def test_boxes_and_segments(scan, segments, blob) -> None:
    image = scan.index.where(f"SOPInstanceUID = '{scan.slices[3].SOPInstanceUID}'")[0]
    boxes = segments.boxes()
    assert len(boxes) == blob.any(axis=(1, 2)).sum()
    ax = image.show(segments=segments, boxes=boxes)
    (box,) = boxes.on(image)
    rows, columns = (np.flatnonzero(blob[3].any(axis=axis)) for axis in (1, 0))
    assert box[:4] == (columns[0], rows[0], columns[-1] + 1, rows[-1] + 1)
    assert len(ax.patches) == 1


def test_a_volume_and_a_segment(segments, blob) -> None:
    volume = segments[0].volume
    for axes in (
        volume.show(segments=segments, at=(3, 8, 6)),
        segments[0].show(opacity=0.5),  # through the segment
    ):
        shown = [areas(ax)[0] for ax in axes]
        assert [area.shape for area in shown] == [(30, 20), (8, 20), (8, 30)]
        assert all(area.any() for area in shown)
        assert names(axes[0]) == ["Liver $x$, 0.205 ml"]
    np.testing.assert_array_equal(areas(volume.show(segments=segments)[0])[0], blob[3])


def test_what_is_not_aligned_is_not_drawn(scan, write_nifti, blob) -> None:
    affine = scan.affine.copy()
    affine[0, 3] += 0.3
    segments = wr.read_segments(write_nifti(blob, affine), images=scan.index, progress=False)
    image = scan.index[0]
    for ax in (image.show(segments=segments), *scan.index.series[0].volume.show(segments=segments)):
        assert not areas(ax)
    assert names(image.show(segments=segments)) == ["not shown: 1 segment not aligned"]
    with pytest.raises(wr.errors.GeometryError, match="GRID_SHIFTED"):
        segments[0].show()


def test_the_report(scan, write_seg, write_nifti, blob, tmp_path) -> None:
    paths = [write_seg(scan, blob, labels=["Liver"]), write_nifti(blob, np.eye(4))]
    segments = wr.read_segments(paths, images=scan.index, progress=False)
    made = build(scan.index, segments=segments, workers=1)
    data = made.data["sections"]["masks"]
    assert data["totals"] == {
        "segments": 2, "files": 2, "series": 2, "aligned": 1, "not_aligned": 1, "unknown": 0,
    } | {"series": data["totals"]["series"]}  # fmt: skip
    assert {row["code"] for row in data["problems"]} == {"GRID_SCALED"}
    section = made.html.partition('<section id="masks"')[2]
    points = re.search(r'<polygon class="hit" points="([^"]+)"', section)
    assert points is not None
    line = np.array([point.split(",") for point in points[1].split()], float)
    rows, columns = (np.flatnonzero(blob[3].any(axis=axis)) for axis in (1, 0))
    assert line.min(axis=0) == pytest.approx([columns[0], rows[0]], abs=1)
    assert line.max(axis=0) == pytest.approx([columns[-1] + 1, rows[-1] + 1], abs=1)
    wr.scan(scan.folder, tmp_path / "index", progress=False)
    arguments = ["report", tmp_path / "index", "--segments", paths[0], "-o", tmp_path / "a.html"]
    result = CliRunner().invoke(main, [*map(str, arguments), "--json", "-q"])
    assert result.exit_code == 0, result.output
    assert json.loads(result.output)["sections"]["masks"]["totals"]["aligned"] == 1

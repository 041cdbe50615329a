"""Planes of a volume in the directions of the patient."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import matplotlib as mpl
import numpy as np
import pytest
from matplotlib.figure import Figure

import wetread as wr
from wetread.errors import UsageError
from wetread.series.affine import make_affine
from wetread.series.planes import cut_planes, join_planes

Rows = list[dict[str, Any]]
Scan = Callable[..., wr.Index]
Make = Callable[..., Rows]
DIRECTIONS = [
    (1, 0, 0, 0, 1, 0),
    (-1, 0, 0, 0, -1, 0),
    (0, 1, 0, 0, 0, -1),
    (0, -1, 0, 0, 0, -1),
    (1, 0, 0, 0, 0, -1),
    (0, 0, 1, 1, 0, 0),
]


@pytest.mark.parametrize("orientation", DIRECTIONS)
def test_planes_are_seen_as_radiologists_see_them(orientation: Any) -> None:
    """Voxels that hold a coordinate: it grows to the left of the patient, to the back, down."""
    shape, spacing = (5, 7, 9), np.array([2.0, 0.5])
    given = np.array(orientation, float)
    last = 4 * 3.0 * np.cross(given[:3], given[3:])
    affine = make_affine(np.zeros(3), last, 5, given, spacing)
    grid = np.indices(shape).reshape(3, -1)
    world = affine[:3, :3] @ grid + affine[:3, 3:]
    x, y, z = (cut_planes(values.reshape(shape), affine) for values in world)
    mm = dict(zip("xyz", np.abs(affine[:3, :3]) @ shape, strict=True))
    for number, (down, across, name) in enumerate(
        ((y, x, "axial"), (z, x, "coronal"), (z, y, "sagittal"))
    ):
        title, rows, size, sides = down[number]
        assert title == name
        assert sides == {"axial": "RLAP", "coronal": "RLHF", "sagittal": "APHF"}[name]
        steps = np.diff(rows, axis=0)
        assert (steps > 0).all() if name == "axial" else (steps < 0).all()
        columns = across[number][1]
        assert (np.diff(columns, axis=1) > 0).all()
        letters = {"axial": "yx", "coronal": "zx", "sagittal": "zy"}[name]
        assert size == pytest.approx(tuple(mm[letter] for letter in letters))


def test_one_picture_has_one_scale(scan_series: Scan, ct: Make) -> None:
    volume = scan_series(ct(10, step=2.8)).series[0].volume  # 28 x 5.6 x 5.6 mm
    planes, caption = volume._render("full")
    assert [plane.pixels.shape for plane in planes] == [(8, 8), (10, 8), (10, 8)]
    picture = join_planes(planes)
    assert picture.dtype == np.uint8
    width = (picture.shape[1] - 24) / 3
    assert picture.shape[0] / width == pytest.approx(28 / 5.6, rel=0.02)
    assert "window full" in caption


def test_show(scan_series: Scan, ct: Make) -> None:
    mpl.use("Agg")
    volume = scan_series(ct(10, SeriesDescription="$knee")).series[0].volume
    axes = volume.show("soft")
    assert [ax.get_title() for ax in axes] == ["axial", "coronal", "sagittal"]
    title = axes[0].figure.get_suptitle()
    assert title == "CT '$knee', 10 x 8 x 8, 1 x 0.7 x 0.7 mm, window soft 40/400"
    letters = [text.get_text() for text in axes[1].texts]
    assert letters == ["R", "L", "H", "F"]
    mine = Figure().subplots(1, 3)
    assert volume.show(axes=mine) is mine
    with pytest.raises(UsageError, match="window 'lungs'"):
        volume.show("lungs")

from __future__ import annotations

import re
from collections.abc import Callable
from itertools import combinations
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.colors import to_rgba
from matplotlib.figure import Figure
from matplotlib.patches import Rectangle

import wetread as wr
from wetread.display.plot import square_pixels
from wetread.errors import UsageError

Real = Callable[[str], Path]


@pytest.fixture
def canvas() -> FigureCanvasAgg:
    return FigureCanvasAgg(Figure(figsize=(3, 3)))


def test_one_stored_pixel_is_one_unit(real_file: Real, canvas: FigureCanvasAgg) -> None:
    given = canvas.figure.add_subplot()
    ax = wr.read(real_file("JPEG2000.dcm")).show(ax=given, size=100)
    assert ax is given
    assert ax.images[0].get_array().shape == (100, 25)
    assert ax.images[0].get_extent() == [0, 256, 1024, 0]
    assert (ax.get_xlim(), ax.get_ylim()) == ((0, 256), (1024, 0))
    title = r"JPEG2000\.dcm\nNM, 256 x 1024, 2\.26 x 2\.26 mm, window auto \S+/\S+ LINEAR_EXACT"
    assert re.fullmatch(title, ax.get_title())


def test_a_box_frames_exactly_its_pixels(canvas: FigureCanvasAgg, real_file: Real) -> None:
    image = wr.read(real_file("CT_small.dcm"))
    boxes: list[Any] = [(0, 0, 128, 128), [32, 64, 96, 128, "mass $x"], np.array([1, 2, 3, 4])]
    ax = image.show("full", boxes, canvas.figure.add_subplot())
    drawn = [patch.get_bbox().extents for patch in ax.patches if isinstance(patch, Rectangle)]
    assert np.array_equal(drawn, [(0, 0, 128, 128), (32, 64, 96, 128), (1, 2, 3, 4)])
    assert [text.get_text() for text in ax.texts] == ["mass $x"]
    canvas.draw()  # a lone dollar is no formula
    low, high = ax.transData.transform([(32, 128), (96, 64)])
    assert np.allclose(high - low, high[0] - low[0])


def test_one_colour_per_reader(
    canvas: FigureCanvasAgg, make_index: Callable[..., wr.Index]
) -> None:
    """One colour per reader, boxes of this frame only, and a legend of the readers."""
    index = make_index({"a.dcm": {}, "b.dcm": {}})
    rows = [
        ("a", "R10", 1, "ILD", None),
        ("a", "R9", 2, "Mass", 0),
        ("a", "R10", 3, "Mass", None),
        ("a", "R9", 4, "ILD", 1),  # of another frame
        ("b", "R8", 5, "ILD", None),
    ]
    key, reader, low, label, frame = zip(*rows, strict=True)
    columns = {"key": key, "reader": reader, "label": label, "frame": frame}
    columns |= {"x0": low, "y0": low, "x1": [v + 9 for v in low], "y1": [v + 9 for v in low]}
    boxes = wr.Boxes.from_columns(columns)
    for drawn in (boxes, boxes.join(index)):
        ax = index[0].show(boxes=drawn, ax=canvas.figure.add_subplot())
        canvas.draw()
        patches = [patch for patch in ax.patches if isinstance(patch, Rectangle)]
        assert [patch.get_x() for patch in patches] == [1, 2, 3]
        ten, nine, again = (patch.get_edgecolor() for patch in patches)
        assert ten == again != nine
        legend = ax.get_legend()
        named = {
            text.get_text(): to_rgba(line.get_color())
            for text, line in zip(legend.get_texts(), legend.get_lines(), strict=True)
        }
        assert named == {"R10": ten, "R9": nine}
        assert [text.get_text() for text in ax.texts] == ["ILD", "Mass", "Mass"]
        assert "no boxes" not in ax.get_title()
    ax = index[0].show(boxes=(), ax=canvas.figure.add_subplot())
    assert ax.get_title().endswith(", no boxes")


def test_one_colour_per_label_without_readers(canvas: FigureCanvasAgg, real_file: Real) -> None:
    boxes = [(0, 0, 5, 5, "ILD"), (5, 5, 9, 9, "Mass"), (1, 1, 3, 3, "ILD")]
    ax = wr.read(real_file("CT_small.dcm")).show(boxes=boxes, ax=canvas.figure.add_subplot())
    first, second, third = (patch.get_edgecolor() for patch in ax.patches[:3])
    assert first == third != second
    assert ax.get_legend() is None


def test_labels_of_boxes_at_one_place_do_not_overlap(
    canvas: FigureCanvasAgg, real_file: Real
) -> None:
    boxes = [(20, 60, 90, 120, label) for label in ("Mass", "Lung Opacity", "ILD")]
    ax = wr.read(real_file("CT_small.dcm")).show(boxes=boxes, ax=canvas.figure.add_subplot())
    canvas.draw()
    places = [text.get_window_extent() for text in ax.texts]
    assert not any(one.overlaps(other) for one, other in combinations(places, 2))


def test_pixels_that_are_not_square(real_file: Real, canvas: FigureCanvasAgg) -> None:
    ax = wr.read(real_file("color-pl.dcm")).show(ax=canvas.figure.add_subplot())
    assert ax.get_aspect() == pytest.approx(4 / 3)


def test_without_axes_pyplot_makes_a_figure(
    real_file: Real, monkeypatch: pytest.MonkeyPatch
) -> None:
    import matplotlib.pyplot as plt

    plt.switch_backend("agg")
    ax = wr.read(real_file("CT_small.dcm")).show()
    assert plt.gcf() is ax.figure
    plt.close("all")


@pytest.mark.parametrize("box", [(1, 2, 3), "abcd", (3, 0, 1, 2), (0, 0, 1, 1, "a", "b", "c"), 5])
def test_invalid_boxes(real_file: Real, box: Any, canvas: FigureCanvasAgg) -> None:
    with pytest.raises(UsageError, match=r"box .*: expected"):
        wr.read(real_file("CT_small.dcm")).show(boxes=[box], ax=canvas.figure.add_subplot())


def test_square_pixels() -> None:
    picture = np.zeros((10, 30, 3), np.uint8)
    assert square_pixels(picture, 1.0) is picture
    assert square_pixels(picture, 1.5).shape == (15, 30, 3)
    assert square_pixels(picture, 0.5).shape == (10, 60, 3)
    assert square_pixels(picture, 1e9) is picture

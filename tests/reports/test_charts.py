"""Charts: small, well-formed, and correct."""

from __future__ import annotations

import xml.etree.ElementTree as ET
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from wetread.reports import charts
from wetread.reports.charts import Effect, Line
from wetread.reports.markup import Html

MAX_BYTES = 4_500


def parse(drawn: Html) -> ET.Element:
    return ET.fromstring(drawn)


def heights(drawn: Html) -> list[float]:
    return [float(rect.get("height", 0)) for rect in parse(drawn).iter("rect")]


counts = st.lists(st.integers(0, 10**9), min_size=1, max_size=40)


@given(counts)
def test_heights_of_bars(ns: list[int]) -> None:
    high = charts.HEIGHT - 46
    for drawn in (
        charts.histogram([(i, i + 1, n) for i, n in enumerate(ns)], "x"),
        charts.columns([(f"<{i}>", n) for i, n in enumerate(ns)], "x"),
    ):
        expected = [high * n / (max(ns) or 1) for n in ns]
        assert heights(drawn) == pytest.approx(expected, abs=0.06)
        assert parse(drawn).get("role") == "img"
        assert parse(drawn).get("aria-label")


def test_labels_do_not_overlap() -> None:
    drawn = charts.columns([(f"{2**n}.0 kB", 1) for n in range(12)], "x")
    labels = [text for text in parse(drawn).iter("text") if "kB" in (text.text or "")]
    assert 2 < len(labels) < 12
    middles = [float(text.get("x", 0)) for text in labels]
    assert min(b - a for a, b in pairwise(middles)) > 6 * max(len(t.text or "") for t in labels)


def test_charts_are_small() -> None:
    bins = [(i / 40, (i + 1) / 40, 1000 + i) for i in range(40)]
    assert len(charts.histogram(bins, "Sizes", "mm")) < 2 * MAX_BYTES
    assert len(charts.columns([(str(i), i) for i in range(10)], "Years")) < MAX_BYTES
    line = Line("a", [(i / 1000, i / 1000) for i in range(1000)])
    assert len(charts.lines([line], "x", "y", "z")) < MAX_BYTES


@given(st.floats(0, 1), st.floats(0, 1))
def test_position_of_a_point(x: float, y: float) -> None:
    drawn = parse(charts.lines([Line("<a>", [(x, y)])], "x", "y", "z"))
    path = next(p.get("d", "") for p in drawn.iter("path") if "line" in p.get("class", ""))
    left, low = (float(v) for v in path[1:].split())
    assert left == pytest.approx(46 + x * 500, abs=0.06)
    assert low == pytest.approx(260 - 34 - y * 200, abs=0.06)


def test_curves_differ_without_colour() -> None:
    drawn = parse(charts.lines([Line(str(i), [(0, 0), (1, 1)]) for i in range(7)], "x", "y", "z"))
    marks = [p.get("d") for p in drawn.iter("path") if (p.get("class") or "").startswith("s")]
    assert len(set(marks)) == 7
    classes = {p.get("class") for p in drawn.iter("path") if "line" in (p.get("class") or "")}
    assert len(classes) == 7


def test_heat_map_shows_numbers() -> None:
    drawn = parse(charts.heat(["a", "b"], ["a", "b"], [[None, 0.5], [0.5, None]], "x"))
    texts = [text.text for text in drawn.iter("text")]
    assert texts.count("0.50") == 2
    assert len(list(drawn.iter("rect"))) == 2


def test_areas_of_bubbles() -> None:
    drawn = parse(charts.bubbles([(100, 100, 400), (50, 200, 100)], "x", "y", "z"))
    large, small = (float(c.get("r", 0)) - 2.5 for c in drawn.iter("circle"))
    assert (large / small) ** 2 == pytest.approx(4, rel=0.02)


@given(st.floats(1e-6, 1e9))
def test_round_up(value: float) -> None:
    top = charts.round_up(value)
    assert value * (1 - 1e-6) <= top <= value * 2.6 + 1e-9
    step = f"{top / 4:.6e}".split("e")[0].rstrip("0").rstrip(".")
    assert step in {"1", "2", "2.5", "5"}


def test_a_forest_plot_places_values_on_one_scale() -> None:
    rows = [
        Effect("sex"),
        Effect("<F>", 0.5, 0.4, 0.7, 0.5),
        Effect("M", 0.7, None, None, 0.5),
        Effect("X", note="fewer than 10 patients"),
    ]
    drawn = parse(charts.forest(rows, 0.6, "scores"))
    texts = [text.text for text in drawn.iter("text")]
    assert {"sex", "<F>", "0.50 (0.40 to 0.70)", "0.70", "fewer than 10 patients"} <= set(texts)
    paths = {path.get("class"): path.get("d", "") for path in drawn.iter("path")}
    left, right = (
        float(x) for x in paths["line l1"].replace("M", "").replace("H", " ").split()[::2]
    )
    assert (left, right) == pytest.approx((165, 420))  # .4 and .7 are the ends of the axis
    assert float(paths["line l2"][1:].split()[0]) == pytest.approx(165 + 255 * 2 / 3, abs=0.1)
    assert len([path for path in drawn.iter("path") if path.get("class") == "s1"]) == 2


def test_intervals_of_a_reliability_diagram() -> None:
    drawn = parse(charts.calibration([(0.5, 0.6, 9)], "c", [(0.4, 0.8)]))
    bound = next(p.get("d", "") for p in drawn.iter("path") if "bound" in p.get("class", ""))
    low, high = (float(value) for value in bound.split()[1].split("V"))
    assert (low, high) == pytest.approx((226 - 0.4 * 200, 226 - 0.8 * 200))

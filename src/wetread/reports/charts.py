"""Charts as inline SVG of a few kilobytes, coloured by CSS classes for light and dark mode.

Every chart has a text alternative; several series also differ by dash and marker.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

from wetread.reports.markup import Html, cut, el, number, percent

WIDTH, HEIGHT = 560, 200
_LEFT, _BOTTOM, _TOP, _RIGHT = 46, 34, 12, 14
Bin = tuple[float, float, int]
"""Lower edge, upper edge, count."""


@dataclass(frozen=True, slots=True)
class Line:
    """Named series of points, sorted by x."""

    name: str
    points: Sequence[tuple[float, float]]


def bar(share: float) -> Html:
    """Bar for a table cell, shown beside the number."""
    width = f"{100 * min(max(share, 0), 1):.4g}"
    drawn = el("rect", width=width, height=8, class_="s1")
    return _svg(100, 8, drawn, class_="bar", preserveAspectRatio="none", aria_hidden="true")


def histogram(bins: Sequence[Bin], label: str, unit: str = "") -> Html:
    """Histogram.

    Args:
        bins: at least one bin, in order; all are drawn with equal width.
        label: name of the values.
        unit: unit of the x axis.
    """
    most = max(n for _, _, n in bins) or 1
    step = (WIDTH - _LEFT - _RIGHT) / len(bins)
    high = HEIGHT - _TOP - _BOTTOM
    parts: list[Html] = [_grid(most, high, WIDTH)]
    for place, (low, top, n) in enumerate(bins):
        tall = high * n / most
        text = f"{number(low)} to {number(top)}{unit and ' '}{unit}: {n:,}"
        parts.append(
            el(
                "rect",
                el("title", text),
                x=_n(_LEFT + place * step),
                y=_n(_TOP + high - tall),
                width=_n(max(step - 1, 0.5)),
                height=_n(tall),
                class_="s1",
            )
        )
    every = max(1, math.ceil(len(bins) / 8))
    bounds = [low for low, _, _ in bins] + [bins[-1][1]]
    for place in range(0, len(bounds), every):
        x = _LEFT + place * step
        parts.append(_text(number(bounds[place]), x, HEIGHT - _BOTTOM + 14, "middle"))
    parts.append(_text(unit, WIDTH - _RIGHT, HEIGHT - 4, "end"))
    text = f"{label}: {sum(n for *_, n in bins):,} in {len(bins)} bins, at most {most:,} in one"
    return _svg(WIDTH, HEIGHT, *parts, role="img", aria_label=text)


_CHARACTER = 6.5
"""Width of a character of a label."""


def columns(counts: Sequence[tuple[str, int]], label: str) -> Html:
    """Bar chart of named counts, such as years or ages."""
    most = max(n for _, n in counts) or 1
    step = (WIDTH - _LEFT - _RIGHT) / len(counts)
    high = HEIGHT - _TOP - _BOTTOM
    parts: list[Html] = [_grid(most, high, WIDTH)]
    longest = max(len(cut(name, 14)) for name, _ in counts)
    every = max(1, math.ceil(len(counts) / 12), math.ceil((longest + 1) * _CHARACTER / step))
    for place, (name, n) in enumerate(counts):
        tall, x = high * n / most, _LEFT + place * step
        drawn = {"x": _n(x + 1), "y": _n(_TOP + high - tall)}
        drawn |= {"width": _n(max(min(step - 2, 60), 0.5)), "height": _n(tall)}
        parts.append(el("rect", el("title", f"{name}: {n:,}"), class_="s1", **drawn))
        if place % every == 0:
            middle = x + 1 + min(step - 2, 60) / 2
            parts.append(_text(cut(name, 14), middle, HEIGHT - _BOTTOM + 14, "middle"))
    text = f"{label}: {', '.join(f'{name} {n:,}' for name, n in counts[:12])}"
    return _svg(WIDTH, HEIGHT, *parts, role="img", aria_label=text)


def heat(
    rows: Sequence[str], names: Sequence[str], cells: Sequence[Sequence[float | None]], label: str
) -> Html:
    """Heat map of shares between 0 and 1, darker for larger, with the number in each cell."""
    side, tall, left, top = 54, 26, 110, 22
    parts: list[Html] = []
    for x, name in enumerate(names):
        parts.append(_text(cut(name, 8), left + x * side + side / 2, top - 7, "middle"))
    for y, (name, line) in enumerate(zip(rows, cells, strict=True)):
        parts.append(_text(cut(name, 18), left - 8, top + y * tall + 17, "end"))
        for x, value in enumerate(line):
            at = {"x": left + x * side, "y": top + y * tall}
            if value is None:
                continue
            step = min(int(value * 5), 4)
            text = f"{name}, {names[x]}: {value:.2f}"
            box = {"width": side - 2, "height": tall - 2, "class_": f"h{step}"}
            parts.append(el("rect", el("title", text), **at, **box))
            dark = " over" if step >= 3 else ""
            place = (at["x"] + side / 2 - 1, at["y"] + 16)
            parts.append(_text(f"{value:.2f}", *place, "middle", f"cell{dark}"))
    width, height = left + side * len(names), top + tall * len(rows)
    return _svg(width, height, *parts, role="img", aria_label=label, class_="fixed")


def density(cells: Sequence[Sequence[int]], label: str) -> Html:
    """Square density plot of counts, darker for larger."""
    most = max((n for line in cells for n in line), default=0) or 1
    side = 200 / max(len(cells), 1)
    parts = [el("rect", x=0, y=0, width=200, height=200, class_="frame")]
    for y, line in enumerate(cells):
        for x, n in enumerate(line):
            if not n:
                continue
            step = min(int(math.sqrt(n / most) * 5), 4)
            at = {"x": _n(x * side), "y": _n(y * side), "width": _n(side), "height": _n(side)}
            parts.append(el("rect", el("title", f"{n:,}"), class_=f"h{step}", **at))
    return _svg(200, 200, *parts, role="img", aria_label=label, class_="square")


def bubbles(
    points: Sequence[tuple[float, float, int]], x_name: str, y_name: str, label: str
) -> Html:
    """Bubble chart: the area is the count; both axes start at 0."""
    right, top = (round_up(1.02 * max(p[i] for p in points)) for i in (0, 1))
    most = max(n for *_, n in points)
    parts = [*_axes(right, top, x_name, y_name)]
    for x, y, n in sorted(points, key=lambda p: -p[2]):
        radius = 2.5 + 11 * math.sqrt(n / most)
        at = {"cx": _n(_x(x / right)), "cy": _n(_y(y / top)), "r": _n(radius)}
        parts.append(el("circle", el("title", f"{x:g} x {y:g}: {n:,}"), class_="s1 thin", **at))
    return _svg(WIDTH, _TALL, *parts, role="img", aria_label=label)


def lines(series: Sequence[Line], x_name: str, y_name: str, label: str, right: float = 1.0) -> Html:
    """Line chart of curves from (0, 0) to (right, 1), distinguished by colour, dash and marker."""
    parts = [*_axes(right, 1.0, x_name, y_name)]
    for place, line in enumerate(series):
        kind = place % 7 + 1
        points = [(_x(min(x / right, 1)), _y(y)) for x, y in _thin(line.points)]
        path = "M" + "L".join(f"{_n(x)} {_n(y)}" for x, y in points) if points else ""
        parts.append(el("path", el("title", line.name), d=path, class_=f"line l{kind}"))
        if points:
            parts.append(_mark(kind, *points[len(points) // 2]))
    return _svg(WIDTH, _TALL, *parts, role="img", aria_label=label)


def legend(names: Sequence[str]) -> Html:
    """Legend of a line chart."""
    items = []
    for place, name in enumerate(names):
        kind = place % 7 + 1
        drawn = [el("path", d="M0 6L34 6", class_=f"line l{kind}"), _mark(kind, 17, 6)]
        key = _svg(34, 12, *drawn, class_="key", aria_hidden="true")
        items.append(el("li", key, f" {name}"))
    return el("ul", items, class_="legend")


@dataclass(frozen=True, slots=True)
class Effect:
    """Row of a forest plot: a value with its interval, or a heading without a value."""

    name: str
    value: float | None = None
    low: float | None = None
    high: float | None = None
    share: float = 0.0
    """Share of the images, which is the area of the mark."""
    note: str = ""
    """Text instead of a value."""


def forest(rows: Sequence[Effect], middle: float, label: str) -> Html:
    """Forest plot: values with intervals, one per row, and a line at the value of all.

    Args:
        rows: headings and values, at least one with a value.
        middle: value of all images.
        label: text alternative.
    """
    ends = [middle, *(end for row in rows for end in (row.value, row.low, row.high))]
    known = [end for end in ends if end is not None]
    low, high = math.floor(min(known) * 10) / 10, math.ceil(max(known) * 10) / 10
    high = max(high, low + 0.1)
    left, right, tall = 165, WIDTH - 140, 22

    def place(value: float) -> float:
        return left + (right - left) * (value - low) / (high - low)

    bottom = 8 + tall * len(rows)
    parts: list[Html] = []
    for step in range(5):
        value = low + (high - low) * step / 4
        x = _n(place(value))
        parts.append(el("path", d=f"M{x} 4V{bottom}", class_="grid"))
        parts.append(_text(f"{value:.3g}", place(value), bottom + 15, "middle"))
    parts.append(el("path", d=f"M{_n(place(middle))} 4V{bottom}", class_="line l2"))
    for line, row in enumerate(rows):
        y = 8 + tall * (line + 0.5)
        heading = row.value is None and not row.note
        indent = 0 if heading else 10
        class_ = "cell" if heading else None
        parts.append(_text(cut(row.name, 28 if heading else 26), indent, y + 4, "start", class_))
        parts += _draw_effect(row, y, place)
        if not heading:
            parts.append(_text(_describe(row), right + 8, y + 4, "start"))
    return _svg(WIDTH, bottom + 22, *parts, role="img", aria_label=label)


def _draw_effect(row: Effect, y: float, place: Callable[[float], float]) -> list[Html]:
    """Line of the interval, and mark of the value."""
    if row.value is None:
        return []
    parts = []
    if row.low is not None and row.high is not None:
        ends = f"M{_n(place(row.low))} {_n(y)}H{_n(place(row.high))}"
        parts.append(el("path", d=ends, class_="line l1"))
    side = 4 + 8 * math.sqrt(row.share)
    at = {"x": _n(place(row.value) - side / 2), "y": _n(y - side / 2)}
    mark = el("title", f"{row.name}: {_describe(row)}")
    parts.append(
        el("path", mark, d=f"M{at['x']} {at['y']}h{_n(side)}v{_n(side)}h-{_n(side)}Z", class_="s1")
    )
    return parts


def _describe(row: Effect) -> str:
    if row.value is None:
        return row.note
    interval = "" if row.low is None else f" ({row.low:.2f} to {row.high:.2f})"
    return f"{row.value:.2f}{interval}"


def calibration(
    points: Sequence[tuple[float, float, int]],
    label: str,
    bounds: Sequence[tuple[float, float]] = (),
) -> Html:
    """Reliability diagram: share of hits over mean score, with the diagonal.

    Args:
        points: mean score, share of hits and number of predictions of each bin.
        label: text alternative.
        bounds: interval of the share of each bin.
    """
    parts = [*_axes(1.0, 1.0, "score", "share of hits")]
    diagonal = f"M{_n(_x(0))} {_n(_y(0))}L{_n(_x(1))} {_n(_y(1))}"
    parts.append(el("path", d=diagonal, class_="grid"))
    for (x, *_), (low, high) in zip(points, bounds, strict=False):
        line = f"M{_n(_x(x))} {_n(_y(low))}V{_n(_y(high))}"
        parts.append(el("path", d=line, class_="line l1 bound"))
    shown = [(x, y) for x, y, _ in points]
    if shown:
        path = "M" + "L".join(f"{_n(_x(x))} {_n(_y(y))}" for x, y in shown)
        parts.append(el("path", d=path, class_="line l1"))
    for x, y, n in points:
        text = f"score {x:.2f}: {percent(y)} of {n:,} are hits"
        at = {"cx": _n(_x(x)), "cy": _n(_y(y)), "r": 4}
        parts.append(el("circle", el("title", text), class_="s1", **at))
    return _svg(WIDTH, _TALL, *parts, role="img", aria_label=label)


_TALL, _HEAD = 260, 26
"""Height and top margin of charts with two named axes."""


def _x(share: float) -> float:
    return _LEFT + share * (WIDTH - _LEFT - _RIGHT)


def _y(share: float) -> float:
    return _TALL - _BOTTOM - share * (_TALL - _HEAD - _BOTTOM)


def _axes(right: float, top: float, x_name: str, y_name: str) -> list[Html]:
    """Grid lines with numbers, and axis names."""
    parts = []
    for step in range(5):
        share = step / 4
        parts.append(el("path", d=f"M{_n(_x(0))} {_n(_y(share))}H{_n(_x(1))}", class_="grid"))
        parts.append(_text(number(top * share), _x(0) - 6, _y(share) + 4, "end"))
        anchor = "end" if step == 4 else "middle"  # the last one would be cut
        parts.append(_text(number(right * share), _x(share), _y(0) + 15, anchor))
    parts.append(_text(x_name, _x(1), _TALL - 3, "end"))
    parts.append(_text(y_name, 0, 10, "start"))
    return parts


def round_up(value: float) -> float:
    """Upper end of an axis with four equal round steps that reach the value.

    >>> round_up(1988), round_up(0.3)
    (2000.0, 0.4)
    """
    if value <= 0:
        return 1.0
    unit = 10.0 ** math.floor(math.log10(value / 4))
    step = next(m for m in (1.0, 2.0, 2.5, 5.0, 10.0) if 4 * m * unit >= value * (1 - 1e-9))
    return float(round(4 * step * unit, 10))


def _grid(most: int, high: float, width: float) -> Html:
    """Grid lines at 0, half and the maximum, with numbers."""
    parts = []
    for share in (0, 0.5, 1):
        y = _TOP + high * (1 - share)
        parts.append(el("path", d=f"M{_LEFT} {_n(y)}H{_n(width - _RIGHT)}", class_="grid"))
        value = most * share
        if value == int(value):
            parts.append(_text(number(int(value)), _LEFT - 6, y + 4, "end"))
    return Html("".join(parts))


def _thin(points: Sequence[tuple[float, float]], most: int = 120) -> list[tuple[float, float]]:
    """Subsample the points, keeping the first and the last."""
    if len(points) <= most:
        return list(points)
    step = (len(points) - 1) / (most - 1)
    return [points[round(place * step)] for place in range(most)]


def _mark(kind: int, x: float, y: float) -> Html:
    """Marker of a series."""
    shapes = {
        1: f"M{_n(x - 4)} {_n(y)}a4 4 0 1 0 8 0a4 4 0 1 0 -8 0Z",
        2: f"M{_n(x - 4)} {_n(y - 4)}h8v8h-8Z",
        3: f"M{_n(x)} {_n(y - 5)}l5 9h-10Z",
        4: f"M{_n(x)} {_n(y - 5)}l5 5l-5 5l-5 -5Z",
        5: f"M{_n(x)} {_n(y + 5)}l5 -9h-10Z",
        6: f"M{_n(x - 5)} {_n(y - 1.5)}h10v3h-10Z",
        7: f"M{_n(x - 1.5)} {_n(y - 5)}h3v10h-3Z",
    }
    return el("path", d=shapes[kind], class_=f"s{kind}")


def _text(text: str, x: float, y: float, anchor: str, class_: str | None = None) -> Html:
    return el("text", text, x=_n(x), y=_n(y), text_anchor=anchor, class_=class_) if text else Html()


def _svg(width: float, height: float, *content: Html, **attributes: Any) -> Html:
    # SVG is case-sensitive; `el` keeps the case of attribute names.
    return el("svg", *content, viewBox=f"0 0 {_n(width)} {_n(height)}", **attributes)


def _n(value: float) -> str:
    """Coordinate rounded to a tenth."""
    return f"{value:.1f}".rstrip("0").rstrip(".")

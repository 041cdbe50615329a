"""Blocks of a report section: tables, figures, facts, notes, galleries."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal, Protocol

import numpy as np
from numpy.typing import NDArray

from wetread.reports import charts
from wetread.reports.markup import Html, cut, el, percent, to_html

Severity = Literal["info", "warning", "error"]
SIGNS: dict[str, str] = {"error": "✕", "warning": "▲", "info": "●"}
"""Symbol of every severity, shown beside its colour."""
Needs = Literal["headers", "pixels", "labels", "split", "predictions", "segments"]


@dataclass(frozen=True, slots=True)
class Request:
    """Requested thumbnail: an image, or a crop of it."""

    id: str
    crop: tuple[float, float, float, float] | None = None
    """x0, y0, x1, y1 in stored pixels; None for the whole image."""
    frame: int = 0


@dataclass(frozen=True, slots=True)
class Thumbnail:
    """Thumbnail: a JPEG as a data URI, or the reason why there is none."""

    source: str = ""
    width: int = 0
    height: int = 0
    reason: str = ""


_MAX_CELL = 120
Thumbnails = Mapping[Request, Thumbnail]


class Block(Protocol):
    """Part of a section that renders to HTML."""

    def render(self, pictures: Thumbnails) -> Html:
        """HTML of the block."""

    def requests(self) -> Sequence[Request]:
        """Thumbnails to decode for the block."""


@dataclass(frozen=True)
class Static:
    """Block without thumbnails."""

    markup: Html

    def render(self, pictures: Thumbnails) -> Html:
        """HTML of the block."""
        return self.markup

    def requests(self) -> Sequence[Request]:
        """No thumbnails."""
        return ()


def note(text: Any, severity: Severity = "info") -> Static:
    """Note with its severity as word, symbol and colour."""
    return Static(el("p", badge(severity), " ", to_html(text), class_=f"note {severity}"))


def prose(*text: Any) -> Static:
    """Paragraph."""
    return Static(el("p", *text))


def badge(severity: str, text: str | None = None) -> Html:
    """Severity as word, symbol and colour."""
    sign = el("span", SIGNS[severity], aria_hidden="true")
    return el("span", sign, " ", text or severity, class_=f"badge {severity}")


def query(command: str | None, name: str = "Query", is_open: bool = False) -> Html:
    """Query that reproduces a figure, for copying; collapsed unless `is_open`."""
    if command is None:
        return Html()
    lines = Html("\n".join(to_html(line) for line in command.split("\n")))
    code = el("pre", el("code", lines), tabindex=0)
    return el("details", el("summary", name), code, class_="how", open="" if is_open else None)


def missing(text: str, command: str) -> Static:
    """Sentence for a section without its input, and the command that provides it."""
    return Static(el("div", el("p", text), query(command, "Command", is_open=True)))


def facts(values: Sequence[tuple[Any, str]], command: str | None = None) -> Static:
    """Large numbers, each with its name."""
    shown = [el("div", el("dt", name), el("dd", value)) for value, name in values]
    return Static(el("div", el("dl", shown, class_="facts"), query(command)))


def table(
    caption: str,
    head: Sequence[str],
    rows: Sequence[Sequence[Any]],
    command: str | None = None,
    empty: str = "none",
    class_: str | None = None,
) -> Static:
    """Table with a caption; the first column holds row headers, numbers are right-aligned."""
    if not rows:
        line = el("p", el("b", caption), f": {empty}", class_="empty")
        return Static(el("div", line, query(command), class_="table"))
    numeric = [all(map(_is_number, column)) for column in zip(*rows, strict=True)]
    classes = [_class(name, right) for name, right in zip(head, numeric, strict=True)]
    pairs = zip(head, classes, strict=True)
    top = [
        el("th", el("span", name) if class_ == "query" else name, scope="col", class_=class_)
        for name, class_ in pairs
    ]
    body = [el("tr", _cells(row, numeric, classes)) for row in rows]
    element = el(
        "table",
        el("caption", caption),
        el("thead", el("tr", top)),
        el("tbody", body),
        class_=class_,
    )
    # Wide tables scroll on their own, by keyboard too.
    scroll = el("div", element, class_="scroll", role="group", aria_label=caption, tabindex=0)
    return Static(el("div", scroll, query(command), class_="table"))


def _class(name: str, right: bool) -> str | None:
    """CSS class: numbers are right-aligned, queries are not printed."""
    return "query" if name == "query" else "n" if right else None


def _cells(
    row: Sequence[Any], numeric: Sequence[bool], classes: Sequence[str | None]
) -> list[Html]:
    cells = []
    for number, (value, right, class_) in enumerate(zip(row, numeric, classes, strict=True)):
        shown = Html() if value is None and not right else value
        if isinstance(shown, str) and not isinstance(shown, Html):
            shown = cut(shown, _MAX_CELL)
        if number == 0:
            cells.append(el("th", shown, scope="row"))
        else:
            cells.append(el("td", shown, class_=class_))
    return cells


def _is_number(value: Any) -> bool:
    return isinstance(value, int | float | None)


def share(part: float | None, whole: float | None) -> Html:
    """Share as a bar and in percent."""
    value = part / whole if part is not None and whole else None
    drawn = charts.bar(value or 0)
    return el("span", drawn, " ", percent(value), class_="share")


def figure(caption: str, drawn: Html, command: str | None = None) -> Static:
    """Chart with a caption."""
    return Static(el("figure", el("figcaption", caption), drawn, query(command)))


def collapsed(title: str, *blocks: Static, is_open: bool = False) -> Static:
    """Collapsed blocks under a title."""
    inside = [block.markup for block in blocks]
    return Static(
        el("details", el("summary", title), inside, class_="fold", open="" if is_open else None)
    )


def side_by_side(*blocks: Static, narrow: bool = False) -> Static:
    """Blocks side by side: two per row on wide screens, more if narrow."""
    inside = [block.markup for block in blocks]
    return Static(el("div", inside, class_="beside narrow" if narrow else "beside"))


@dataclass(frozen=True, slots=True)
class Mark:
    """Box drawn on a thumbnail, in image coordinates."""

    kind: Literal["truth", "hit", "false", "missed"]
    corners: tuple[float, float, float, float]


@dataclass(frozen=True)
class Tile:
    """Thumbnail with its caption."""

    request: Request
    name: str
    """File name."""
    note: str
    link: Html
    """Link that opens the image in the viewer, if a viewer serves the report."""
    marks: Sequence[Mark] = ()
    outlines: Sequence[NDArray[np.float64]] = ()
    """Closed lines (n, 2) of x and y, in image coordinates."""
    hidden: str = ""
    """Reason why the image must not be shown."""
    command: str = ""
    """Command that opens the image in the viewer, shown with the query."""


@dataclass(frozen=True)
class Gallery:
    """Thumbnails side by side."""

    caption: str
    tiles: Sequence[Tile]
    command: str | None = None

    def requests(self) -> Sequence[Request]:
        """Thumbnails of the tiles that may be shown."""
        return [tile.request for tile in self.tiles if not tile.hidden]

    def render(self, pictures: Thumbnails) -> Html:
        """List of the tiles."""
        tiles = [el("li", _tile(tile, pictures.get(tile.request))) for tile in self.tiles]
        drawn = el("ul", tiles, class_="tiles")
        caption = el("p", self.caption, class_="caption")
        lines = [self.command, *(tile.command for tile in self.tiles)]
        commands = "\n".join(line for line in lines if line)
        return el("div", caption, drawn, query(commands or None), class_="gallery")


def _tile(tile: Tile, drawn: Thumbnail | None) -> Html:
    reason = tile.hidden or (drawn.reason if drawn else "no thumbnail: size limit of the report")
    if tile.hidden or drawn is None or drawn.reason:
        shown = el("div", el("span", reason), class_="blank")
    else:
        size = {"width": drawn.width, "height": drawn.height}
        alt = f"{tile.name} {tile.note}" if tile.note else f"Image {tile.name}"
        image = el("img", src=drawn.source, alt=alt, **size)
        shown = el("div", image, _overlay(tile), class_="picture")
    caption = [(tile.name, "name"), (tile.note, "note-text")]
    spans = [el("span", text, class_=kind) for text, kind in caption if text]
    return el("figure", shown, el("figcaption", spans, tile.link))


def _overlay(tile: Tile) -> Html:
    """SVG boxes and outlines over the crop of an image."""
    if not (tile.marks or tile.outlines) or tile.request.crop is None:
        return Html()
    left, top, right, bottom = tile.request.crop
    boxes = []
    for kind in ("halo", None):  # a dark outline below, visible on white
        for mark in tile.marks:
            x0, y0, x1, y1 = mark.corners
            at = {"x": _n(x0 - left), "y": _n(y0 - top)}
            at |= {"width": _n(max(x1 - x0, 0)), "height": _n(max(y1 - y0, 0))}
            boxes.append(el("rect", class_=kind or mark.kind, **at))
        for line in tile.outlines:
            points = " ".join(f"{_n(x - left)},{_n(y - top)}" for x, y in line.tolist())
            boxes.append(el("polygon", class_=kind or "hit", points=points))
    view = f"0 0 {_n(right - left)} {_n(bottom - top)}"
    return el("svg", boxes, viewBox=view, preserveAspectRatio="none", aria_hidden="true")


def _n(value: float) -> str:
    return f"{value:.2f}".rstrip("0").rstrip(".")


@dataclass
class Section:
    """Section of a report: blocks for readers, and the same facts as JSON data."""

    key: str
    title: str
    needs: Sequence[Needs]
    """Inputs of the section."""
    blocks: list[Block] = field(default_factory=list)
    data: dict[str, Any] = field(default_factory=dict)

    def add(self, *blocks: Block) -> None:
        """Append blocks."""
        self.blocks += blocks

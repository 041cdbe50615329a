"""What sections are made of: tables, figures, facts, notes, galleries."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal, Protocol

from wetread.reports import charts
from wetread.reports.markup import Html, cut, el, percent, to_html

Severity = Literal["info", "warning", "error"]
SIGNS: dict[str, str] = {"error": "✕", "warning": "▲", "info": "●"}
"""A shape beside every severity's colour."""
Needs = Literal["headers", "pixels", "labels", "split", "predictions"]


@dataclass(frozen=True, slots=True)
class Request:
    """A picture that a report would like to show: an image, or a part of it."""

    id: str
    crop: tuple[float, float, float, float] | None = None
    """x0, y0, x1, y1 in stored pixels; None is the whole image."""
    frame: int = 0


@dataclass(frozen=True, slots=True)
class Drawn:
    """What became of a request: a JPEG as a data URI, or the reason why there is none."""

    source: str = ""
    width: int = 0
    height: int = 0
    reason: str = ""


_LONGEST_CELL = 120
Pictures = Mapping[Request, Drawn]


class Block(Protocol):
    """A piece of a section."""

    def render(self, pictures: Pictures) -> Html:
        """Its markup."""

    def requests(self) -> Sequence[Request]:
        """The pictures it would like."""


@dataclass(frozen=True)
class Words:
    """Markup that needs no picture."""

    markup: Html

    def render(self, pictures: Pictures) -> Html:
        """Itself."""
        return self.markup

    def requests(self) -> Sequence[Request]:
        """None."""
        return ()


def note(text: Any, severity: Severity = "info") -> Words:
    """A remark; its severity is told by word, shape and colour."""
    return Words(el("p", badge(severity), " ", to_html(text), class_=f"note {severity}"))


def prose(*text: Any) -> Words:
    """A paragraph."""
    return Words(el("p", *text))


def badge(severity: str, text: str | None = None) -> Html:
    """A severity, told by word, shape and colour."""
    sign = el("span", SIGNS[severity], aria_hidden="true")
    return el("span", sign, " ", text or severity, class_=f"badge {severity}")


def how(command: str | None) -> Html:
    """The line that gives a figure, to be unfolded and copied."""
    if command is None:
        return Html()
    lines = Html("\n".join(to_html(line) for line in command.split("\n")))
    code = el("pre", el("code", lines), tabindex=0)
    return el("details", el("summary", "Query"), code, class_="how")


def facts(values: Sequence[tuple[Any, str]], command: str | None = None) -> Words:
    """Large numbers with what they are."""
    shown = [el("div", el("dt", name), el("dd", value)) for value, name in values]
    return Words(el("div", el("dl", shown, class_="facts"), how(command)))


def table(
    caption: str,
    head: Sequence[str],
    rows: Sequence[Sequence[Any]],
    command: str | None = None,
    empty: str = "none",
    class_: str | None = None,
) -> Words:
    """A table with a caption; the first cell of a row is its head, numbers stand to the right."""
    if not rows:
        said = el("p", el("b", caption), f": {empty}", class_="empty")
        return Words(el("div", said, how(command), class_="table"))
    numeric = [all(_is_number(row[place]) for row in rows) for place in range(len(head))]
    classes = [_class(name, right) for name, right in zip(head, numeric, strict=True)]
    pairs = zip(head, classes, strict=True)
    top = [el("th", name, scope="col", class_=class_) for name, class_ in pairs]
    body = [el("tr", _cells(row, numeric, classes)) for row in rows]
    drawn = el(
        "table",
        el("caption", caption),
        el("thead", el("tr", top)),
        el("tbody", body),
        class_=class_,
    )
    # Wide tables scroll on their own, by keyboard too.
    scroll = el("div", drawn, class_="scroll", role="group", aria_label=caption, tabindex=0)
    return Words(el("div", scroll, how(command), class_="table"))


def _class(name: str, right: bool) -> str | None:
    """Numbers stand to the right; queries are not printed."""
    return "query" if name == "query" else "n" if right else None


def _cells(
    row: Sequence[Any], numeric: Sequence[bool], classes: Sequence[str | None]
) -> list[Html]:
    cells = []
    for place, (value, right, class_) in enumerate(zip(row, numeric, classes, strict=True)):
        shown = Html() if value is None and not right else value
        if isinstance(shown, str) and not isinstance(shown, Html):
            shown = cut(shown, _LONGEST_CELL)
        if place == 0:
            cells.append(el("th", shown, scope="row"))
        else:
            cells.append(el("td", shown, class_=class_))
    return cells


def _is_number(value: Any) -> bool:
    return isinstance(value, int | float | None)


def share(part: float | None, whole: float | None) -> Html:
    """A share as a bar and in percent."""
    value = part / whole if part is not None and whole else None
    drawn = charts.bar(value or 0)
    return el("span", drawn, " ", percent(value), class_="share")


def figure(caption: str, drawn: Html, command: str | None = None) -> Words:
    """A chart with its caption."""
    return Words(el("figure", el("figcaption", caption), drawn, how(command)))


def unfold(title: str, *blocks: Words, is_open: bool = False) -> Words:
    """Blocks behind a line that opens them."""
    inside = [block.markup for block in blocks]
    return Words(
        el("details", el("summary", title), inside, class_="fold", open="" if is_open else None)
    )


def beside(*blocks: Words, narrow: bool = False) -> Words:
    """Blocks side by side, two of them where there is room, more if they are narrow."""
    inside = [block.markup for block in blocks]
    return Words(el("div", inside, class_="beside narrow" if narrow else "beside"))


def listed(items: Sequence[Any]) -> Words:
    """A list with dots."""
    return Words(el("ul", [el("li", item) for item in items]))


@dataclass(frozen=True, slots=True)
class Mark:
    """A box to draw on a picture, in the coordinates of the image."""

    kind: Literal["truth", "hit", "false", "missed"]
    corners: tuple[float, float, float, float]


@dataclass(frozen=True)
class Tile:
    """A picture with what is said below it."""

    request: Request
    name: str
    """The file."""
    note: str
    link: Html
    """How to open it in the viewer."""
    marks: Sequence[Mark] = ()
    hidden: str = ""
    """Why it is not to be shown."""


@dataclass(frozen=True)
class Gallery:
    """Small pictures side by side."""

    caption: str
    tiles: Sequence[Tile]
    command: str | None = None

    def requests(self) -> Sequence[Request]:
        """Those of the tiles that may be shown."""
        return [tile.request for tile in self.tiles if not tile.hidden]

    def render(self, pictures: Pictures) -> Html:
        """The tiles as a list."""
        tiles = [el("li", _tile(tile, pictures.get(tile.request))) for tile in self.tiles]
        drawn = el("ul", tiles, class_="tiles")
        caption = el("p", self.caption, class_="caption")
        return el("div", caption, drawn, how(self.command), class_="gallery")


def _tile(tile: Tile, drawn: Drawn | None) -> Html:
    reason = tile.hidden or (drawn.reason if drawn else "no picture: the report is full")
    if tile.hidden or drawn is None or drawn.reason:
        shown = el("div", el("span", reason), class_="blank")
    else:
        size = {"width": drawn.width, "height": drawn.height}
        image = el("img", src=drawn.source, alt=f"{tile.name} {tile.note}".strip(), **size)
        shown = el("div", image, _overlay(tile), class_="picture")
    said = [el("span", text, class_=kind) for text, kind in ((tile.name, "name"),) if text]
    said += [el("span", tile.note, class_="said")] if tile.note else []
    return el("figure", shown, el("figcaption", said, tile.link))


def _overlay(tile: Tile) -> Html:
    """The boxes over a picture of a part of an image: told apart by dash, width and colour."""
    if not tile.marks or tile.request.crop is None:
        return Html()
    left, top, right, bottom = tile.request.crop
    boxes = []
    for kind in ("halo", None):  # a dark edge below, so that they are seen on white too
        for mark in tile.marks:
            x0, y0, x1, y1 = mark.corners
            at = {"x": _n(x0 - left), "y": _n(y0 - top)}
            at |= {"width": _n(max(x1 - x0, 0)), "height": _n(max(y1 - y0, 0))}
            boxes.append(el("rect", class_=kind or mark.kind, **at))
    view = f"0 0 {_n(right - left)} {_n(bottom - top)}"
    return el("svg", boxes, viewBox=view, preserveAspectRatio="none", aria_hidden="true")


def _n(value: float) -> str:
    return f"{value:.2f}".rstrip("0").rstrip(".")


@dataclass
class Section:
    """A section of a report: what people read, and the same for machines."""

    key: str
    title: str
    needs: Sequence[Needs]
    """What it takes to make it."""
    blocks: list[Block] = field(default_factory=list)
    data: dict[str, Any] = field(default_factory=dict)

    def add(self, *blocks: Block) -> None:
        """More blocks."""
        self.blocks += blocks

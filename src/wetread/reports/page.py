"""The page around the sections: one file, no script to run, nothing from elsewhere."""

from __future__ import annotations

import json
from base64 import b64encode
from collections.abc import Mapping, Sequence
from functools import cache
from hashlib import sha256
from importlib.resources import files
from typing import Any

from wetread.common.text import printable
from wetread.reports.blocks import Pictures, Section
from wetread.reports.markup import Html, cut, el

NEEDS = {
    "headers": ("H", "from headers alone"),
    "pixels": ("P", "needs measured pixels"),
    "labels": ("L", "needs a label file"),
    "split": ("S", "needs a split"),
    "predictions": ("M", "needs a model's predictions"),
}
"""What a section takes, with its sign."""


@cache
def style() -> str:
    """The style sheet."""
    return (files("wetread.reports") / "report.css").read_text()


@cache
def policy() -> str:
    """The Content Security Policy: even a script that got in would not run.

    A server that sends a report says the same, or less, in its header.
    """
    digest = b64encode(sha256(style().encode()).digest()).decode()
    return (
        f"default-src 'none'; img-src data:; style-src 'sha256-{digest}'; "
        "base-uri 'none'; form-action 'none'"
    )


def assemble(
    title: str, made: str, sections: Sequence[Section], pictures: Pictures, data: Mapping[str, Any]
) -> str:
    """The whole document.

    Args:
        title: what the report is about.
        made: when and by what.
        sections: in order.
        pictures: what became of the requests of their blocks.
        data: the same for machines; the last section has it.
    """
    head = [
        el("meta", charset="utf-8"),
        el("meta", http_equiv="Content-Security-Policy", content=policy()),
        el("meta", name="viewport", content="width=device-width, initial-scale=1"),
        el("meta", name="color-scheme", content="light dark"),
        el("meta", name="referrer", content="no-referrer"),
        el("meta", name="generator", content="wetread"),
        el("title", f"{title}: wetread report"),
        el("style", Html(style())),
    ]
    shown = [_show(place, one, pictures) for place, one in enumerate(sections, 1)]
    last = _appendix(len(sections) + 1, data)
    links = [(one.key, one.title) for one in sections] + [("appendix", "For machines")]
    body = [
        el("a", "Skip to the contents", href="#main", class_="skip"),
        el(
            "header",
            el("p", "wetread report", class_="kicker"),
            el("h1", title),
            el("p", made, class_="made"),
        ),
        el("nav", _list(links), _signs(), aria_label="Sections"),
        el("main", shown, last, id="main", tabindex=-1),
    ]
    return f"<!DOCTYPE html>\n{el('html', el('head', head), el('body', body), lang='en')}\n"


def _list(links: Sequence[tuple[str, str]]) -> Html:
    return el("ol", [el("li", el("a", title, href=f"#{key}")) for key, title in links])


def _signs() -> Html:
    """What the letters beside the titles mean."""
    lines = [el("div", el("dt", sign), el("dd", said)) for sign, said in NEEDS.values()]
    return el("dl", lines, class_="signs")


def _show(place: int, section: Section, pictures: Pictures) -> Html:
    needs = [
        el("abbr", NEEDS[need][0], title=NEEDS[need][1], class_="need") for need in section.needs
    ]
    title = el("h2", el("span", str(place), class_="place"), f" {section.title} ", needs)
    blocks = [block.render(pictures) for block in section.blocks]
    return el("section", title, blocks, id=section.key, aria_label=section.title)


def _appendix(place: int, data: Mapping[str, Any]) -> Html:
    said = el(
        "p",
        "Everything above is in this file as JSON too, in the element with the id report-data; "
        "wetread report --json prints it. Its form is that of ",
        el("code", str(data["schema"])),
        ".",
    )
    facts = [
        el("div", el("dt", name.replace("_", " ")), el("dd", str(value)))
        for name, value in data["provenance"].items()
        if value is not None
    ]
    title = el("h2", el("span", str(place), class_="place"), " For machines")
    script = el("script", to_json(data), type="application/json", id="report-data")
    how = [el("h3", "How this report was made"), el("dl", facts, class_="provenance")]
    return el("section", title, said, how, script, id="appendix", aria_label="For machines")


def to_json(data: Any) -> Html:
    r"""JSON that can stand in a script element: no text of it can end it.

    >>> to_json({"name": "</script>", "none": float("nan")})
    '{"name":"\\u003c/script>","none":null}'
    """
    text = json.dumps(plain(data), ensure_ascii=False, allow_nan=False, separators=(",", ":"))
    return Html(text.replace("<", "\\u003c"))


def plain(value: Any) -> Any:
    """What JSON can say: null for what is no number, text for the rest, without control letters."""
    if isinstance(value, Mapping):
        return {printable(str(key)): plain(one) for key, one in value.items()}
    if isinstance(value, list | tuple):
        return [plain(one) for one in value]
    if isinstance(value, float):
        finite = value == value and abs(value) != float("inf")
        return (
            (round(value, 6) if abs(value) >= 1e-3 else float(f"{value:.4g}")) if finite else None
        )
    if isinstance(value, str):
        return cut(value, 500)
    return value if isinstance(value, int | None) else printable(str(value))

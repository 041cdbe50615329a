"""HTML document of a report: one file without scripts or external resources."""

from __future__ import annotations

import json
from base64 import b64encode
from collections.abc import Mapping, Sequence
from functools import cache
from hashlib import sha256
from importlib.resources import files
from typing import Any

from wetread.common.text import printable
from wetread.reports.blocks import Section, Thumbnails
from wetread.reports.markup import Html, cut, el

NEEDS = {
    "headers": ("H", "uses headers only"),
    "pixels": ("P", "needs measured pixels"),
    "labels": ("L", "needs a label file"),
    "split": ("S", "needs a split"),
    "predictions": ("M", "needs predictions of a model"),
    "segments": ("C", "needs masks or contours"),
}
"""Sign and description of the inputs of a section."""


@cache
def style() -> str:
    """Style sheet of the report."""
    return (files("wetread.reports") / "report.css").read_text()


@cache
def policy() -> str:
    """Content Security Policy: an injected script would not run.

    A server of the report must send the same policy, or a stricter one.
    """
    digest = b64encode(sha256(style().encode()).digest()).decode()
    return (
        f"default-src 'none'; img-src data:; style-src 'sha256-{digest}'; "
        "base-uri 'none'; form-action 'none'"
    )


def assemble(
    title: str,
    made: str,
    sections: Sequence[Section],
    pictures: Thumbnails,
    data: Mapping[str, Any],
) -> str:
    """HTML document of a report.

    Args:
        title: title of the report.
        made: line below the title, with date and version.
        sections: sections in order.
        pictures: thumbnails by request.
        data: machine-readable content, for the last section.
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
    links = [(one.key, one.title) for one in sections] + [("appendix", "Machine-readable data")]
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
    """Legend of the letters beside the titles."""
    lines = [el("div", el("dt", sign), el("dd", text)) for sign, text in NEEDS.values()]
    return el("dl", lines, class_="signs")


def _show(place: int, section: Section, pictures: Thumbnails) -> Html:
    needs = [
        el("abbr", NEEDS[need][0], title=NEEDS[need][1], class_="need") for need in section.needs
    ]
    title = el("h2", el("span", str(place), class_="place"), f" {section.title} ", needs)
    blocks = [block.render(pictures) for block in section.blocks]
    return el("section", title, blocks, id=section.key, aria_label=section.title)


def _appendix(place: int, data: Mapping[str, Any]) -> Html:
    text = el(
        "p",
        "The content of this report is also in this file as JSON (format ",
        el("code", str(data["schema"])),
        "), in the element with the id report-data.",
    )
    facts = [
        el(
            "div",
            el("dt", name.replace("_", " ")),
            el("dd", "yes" if value is True else str(value)),
        )
        for name, value in data["provenance"].items()
        if value is not None
    ]
    title = el("h2", el("span", str(place), class_="place"), " Machine-readable data")
    script = el("script", to_json(data), type="application/json", id="report-data")
    provenance = [el("h3", "Provenance"), el("dl", facts, class_="provenance")]
    label = "Machine-readable data"
    return el("section", title, text, provenance, script, id="appendix", aria_label=label)


def to_json(data: Any) -> Html:
    r"""JSON for a script element, which no text in it can close.

    >>> to_json({"name": "</script>", "none": float("nan")})
    '{"name":"\\u003c/script>","none":null}'
    """
    text = json.dumps(plain(data), ensure_ascii=False, allow_nan=False, separators=(",", ":"))
    return Html(text.replace("<", "\\u003c"))


def plain(value: Any) -> Any:
    """JSON-compatible value: null for NaN and infinity, printable text for other types."""
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

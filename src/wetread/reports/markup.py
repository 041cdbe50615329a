"""Build HTML safely: everything except `Html` is escaped."""

from __future__ import annotations

from html import escape
from typing import Any

from wetread.common.text import printable


class Html(str):
    """Markup that is not escaped again."""

    __slots__ = ()


class Fixed(float):
    """Value of a metric, shown with three decimals."""

    __slots__ = ()

    def __new__(cls, value: float | None) -> Fixed:
        """Create from a value; None becomes NaN."""
        return super().__new__(cls, float("nan") if value is None else value)


def cut(text: str, most: int) -> str:
    """Printable text, truncated to `most` characters.

    >>> cut("abcdef", 4)
    'abc…'
    """
    text = printable(text)
    return text if len(text) <= most else f"{text[: most - 1]}…"


def number(value: Any) -> str:
    """Number as text.

    >>> number(1234567), number(0.123456), number(None), number(Fixed(0.5))
    ('1,234,567', '0.123', '–', '0.500')
    """
    if value is None or value != value:
        return "–"
    if isinstance(value, int):
        return f"{value:,}"
    if isinstance(value, Fixed):
        return f"{value:.3f}"
    size = abs(value)
    return f"{value:.3g}" if size < 1000 or size >= 1e15 else f"{value:,.0f}"


def percent(share: float | None) -> str:
    """Share in percent; only exact 0 and 1 are shown as 0 % and 100 %.

    >>> percent(0.5), percent(0.0001), percent(0.99999), percent(0), percent(None)
    ('50 %', '<0.1 %', '>99.9 %', '0 %', '–')
    """
    if share is None or share != share:
        return "–"
    if 0 < share < 0.001:
        return "<0.1 %"
    if 0.999 < share < 1:
        return ">99.9 %"
    return f"{100 * share:.1f}".removesuffix(".0") + " %"


def to_html(content: Any) -> Html:
    """Convert to HTML: markup is kept, sequences are joined, text and numbers are escaped.

    >>> to_html(["<b>", 1])
    '&lt;b&gt;1'
    """
    if isinstance(content, Html):
        return content
    if isinstance(content, list | tuple):
        return Html("".join(to_html(one) for one in content))
    if isinstance(content, str):
        return Html(escape(printable(content), quote=False))
    return Html(escape(number(content)))


def el(tag: str, *content: Any, **attributes: Any) -> Html:
    """HTML element; underscores in attribute names become hyphens, attributes of None are omitted.

    >>> el("p", "a < b", class_="note", aria_label='"')
    '<p class="note" aria-label="&quot;">a &lt; b</p>'
    """
    named = "".join(
        f' {name.rstrip("_").replace("_", "-")}="{escape(printable(str(value)))}"'
        for name, value in attributes.items()
        if value is not None
    )
    if tag in _VOID:
        return Html(f"<{tag}{named}>")
    return Html(f"<{tag}{named}>{to_html(content)}</{tag}>")


_VOID = ("img", "meta", "br")


MASKED = el("em", "masked")
"""Placeholder of masked values."""

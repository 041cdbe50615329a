"""Static HTML for notebooks: no scripts, no external resources, values of files escaped."""

from __future__ import annotations

from base64 import b64encode
from collections.abc import Iterable, Mapping
from html import escape
from io import BytesIO
from typing import Any

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

PICTURE = 1024
"""Longest side of an image in a notebook, in pixels."""
MOST_BYTES = 150_000
"""Maximum size of its JPEG, which is saved with the notebook."""
LONGEST_TEXT = 120
"""Characters of a table cell; longer texts are truncated."""


def picture_html(
    picture: NDArray[np.uint8] | str,
    aspect: float,
    name: str,
    caption: str,
    facts: Mapping[str, Any],
) -> str:
    """Figure with a caption and a small table; `picture` is an image or an error message.

    `aspect` is the ratio of a pixel's height to its width.
    """
    if isinstance(picture, str):
        shown = f"<p><em>{escape(picture)}</em></p>"
    else:
        rows, columns = picture.shape[:2]
        data = b64encode(to_jpeg(picture)).decode()
        shown = (
            f'<img alt="{escape(name)}" style="width:{min(columns, 512)}px;max-width:100%;'
            f'aspect-ratio:{columns / (rows * aspect):.4f}" src="data:image/jpeg;base64,{data}">'
        )
    facts = {key: value for key, value in facts.items() if value}
    return (
        f'<figure style="margin:0">{shown}<figcaption><b>{escape(name)}</b> '
        f"{escape(caption)}</figcaption></figure>"
        f"{table_html([], [[key, value] for key, value in facts.items()])}"
    )


def to_jpeg(picture: NDArray[np.uint8]) -> bytes:
    """Encode as JPEG, at the best quality that stays below `MOST_BYTES`."""
    from PIL import Image

    image = Image.fromarray(picture)
    for quality in (90, 80, 65, 50, 30):
        file = BytesIO()
        image.save(file, "JPEG", quality=quality)
        if file.tell() <= MOST_BYTES:
            break
    return file.getvalue()


def table_html(head: Iterable[str], rows: Iterable[Iterable[Any]]) -> str:
    """HTML table; long texts are truncated."""
    top = "".join(f"<th>{escape(name)}</th>" for name in head)
    body = "".join(
        "<tr>" + "".join(f"<td>{escape(to_text(cell))}</td>" for cell in row) + "</tr>"
        for row in rows
    )
    return f"<table>{f'<thead><tr>{top}</tr></thead>' if top else ''}<tbody>{body}</tbody></table>"


def preview_html(rows: pa.Table, noun: str) -> str:
    """Number of the rows of a table, and the first five of them."""
    more = ", the first 5:" if len(rows) > 5 else ":"
    first = table_html(rows.column_names, (row.values() for row in rows.slice(0, 5).to_pylist()))
    return f"<p>{len(rows):,} {noun}{more}</p>{first}"


def to_text(value: Any) -> str:
    r"""Value of the index as text for display: "" for null, several values joined by a backslash.

    >>> to_text([40.0, 80.5]), to_text(None)
    ('40\\80.5', '')
    """
    if value is None:
        return ""
    if isinstance(value, list):
        text = "\\".join(to_text(one) for one in value)
    elif isinstance(value, dict):
        text = str(value.get("code", value))
    else:
        text = f"{value:g}" if isinstance(value, float) else str(value)
    return text if len(text) <= LONGEST_TEXT else f"{text[: LONGEST_TEXT - 1]}…"

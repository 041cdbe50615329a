"""A header as JSON for the header panel."""

from __future__ import annotations

import warnings
from collections.abc import Iterator
from itertools import islice
from typing import TYPE_CHECKING, Any

from wetread.common.privacy import kind_of
from wetread.pixels.access import is_many

if TYPE_CHECKING:
    from pydicom.dataset import Dataset

MASK = "•••"
"""In place of a value that is not said."""
LONGEST, MOST_ITEMS, DEEPEST = 400, 100, 16


def list_elements(header: Dataset, masked: bool, search: str = "") -> list[dict[str, Any]]:
    """File Meta and the elements in order; those that `search` is in, if it is given.

    A sequence is there if `search` is in it or in an element below it. With `masked`, values that
    may name a person are not said, and private values neither: nobody knows what they hold.
    """
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # pydicom's are problems already
        meta = getattr(header, "file_meta", None)
        parts = [part for part in (meta, header) if part is not None]
        rows = [row for part in parts for row in _rows(part, masked, 0)]
    return _matching(rows, search.lower()) if search else rows


def _rows(dataset: Dataset, masked: bool, depth: int) -> Iterator[dict[str, Any]]:
    for tag in sorted(dataset.keys()):
        yield _row(dataset, tag, masked, depth)


def _row(dataset: Dataset, tag: Any, masked: bool, depth: int) -> dict[str, Any]:
    row: dict[str, Any] = {
        "tag": f"({tag >> 16:04X},{tag & 0xFFFF:04X})",
        "keyword": "",
        "vr": "",
        "value": "",
        "masked": False,
        "items": None,
    }
    try:
        element = dataset[tag]
        row["keyword"] = element.keyword or ("" if element.name == "Unknown" else element.name)
        row["vr"] = element.VR
        creator = tag >> 16 & 1 and 0x10 <= (tag & 0xFFFF) <= 0xFF  # whose private elements follow
        row["masked"] = masked and not creator and bool(kind_of(row["keyword"], row["vr"], tag))
        if row["masked"]:
            row["value"] = MASK
        elif element.VR == "SQ":
            found = list(element.value)
            row["value"] = f"{len(found)} item{'' if len(found) == 1 else 's'}"
            shown = found[:MOST_ITEMS] if depth < DEEPEST else []
            row["items"] = [list(_rows(item, masked, depth + 1)) for item in shown]
        else:
            row["value"] = _cut(_text(element.value))
    except Exception as error:  # noqa: BLE001 - pydicom converts at access
        row["value"] = _cut(f"unreadable: {type(error).__name__}")
    return row


def _text(value: Any) -> str:
    if value is None:
        return ""
    if isinstance(value, bytes):
        return f"{len(value):,} bytes"
    if is_many(value) and not hasattr(value, "components"):  # a PersonName has those
        return "\\".join(str(part) for part in islice(value, LONGEST))
    return str(value)


def _cut(text: str) -> str:
    return text if len(text) <= LONGEST else f"{text[: LONGEST - 1]}…"


def _matching(rows: list[dict[str, Any]], search: str) -> list[dict[str, Any]]:
    found = []
    for row in rows:
        if any(search in str(row[name]).lower() for name in ("tag", "keyword", "value")):
            found.append(row)
        elif row["items"]:
            items = [_matching(item, search) for item in row["items"]]
            if any(items):
                found.append({**row, "items": [item for item in items if item]})
    return found

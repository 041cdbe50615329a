"""Elements of a header as JSON, for the header panel."""

from __future__ import annotations

import warnings
from collections.abc import Iterator
from itertools import islice
from typing import TYPE_CHECKING, Any

from wetread.common.privacy import kind_of
from wetread.common.text import counted
from wetread.pixels.access import is_many

if TYPE_CHECKING:
    from pydicom.dataset import Dataset

MASK = "•••"
"""Replacement of masked values."""
MAX_LENGTH, MAX_ITEMS, MAX_DEPTH = 400, 100, 16


def list_elements(header: Dataset, masked: bool, search: str = "") -> list[dict[str, Any]]:
    """List File Meta and data elements in order, optionally only those that contain `search`.

    A sequence is listed if it or a nested element matches. With `masked`, values that may identify
    a person are replaced, and all private values.
    """
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # pydicom's warnings are recorded as problems
        meta = getattr(header, "file_meta", None)
        datasets = [dataset for dataset in (meta, header) if dataset is not None]
        rows = [row for dataset in datasets for row in _rows(dataset, masked, 0)]
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
        creator = tag >> 16 & 1 and 0x10 <= (tag & 0xFFFF) <= 0xFF  # a private creator
        row["masked"] = masked and not creator and bool(kind_of(row["keyword"], row["vr"], tag))
        if row["masked"]:
            row["value"] = MASK
        elif element.VR == "SQ":
            items = list(element.value)
            row["value"] = counted(len(items), "item")
            listed = items[:MAX_ITEMS] if depth < MAX_DEPTH else []
            row["items"] = [list(_rows(item, masked, depth + 1)) for item in listed]
        else:
            row["value"] = _truncate(_text(element.value))
    except Exception as error:  # noqa: BLE001 - pydicom converts at access
        row["value"] = _truncate(f"unreadable: {type(error).__name__}")
    return row


def _text(value: Any) -> str:
    if value is None:
        return ""
    if isinstance(value, bytes):
        return counted(len(value), "byte")
    if is_many(value):
        return "\\".join(str(part) for part in islice(value, MAX_LENGTH))
    return str(value)


def _truncate(text: str) -> str:
    return text if len(text) <= MAX_LENGTH else f"{text[: MAX_LENGTH - 1]}…"


def _matching(rows: list[dict[str, Any]], search: str) -> list[dict[str, Any]]:
    matches = []
    for row in rows:
        if any(search in str(row[name]).lower() for name in ("tag", "keyword", "value")):
            matches.append(row)
        elif row["items"]:
            items = [_matching(item, search) for item in row["items"]]
            if any(items):
                matches.append({**row, "items": [item for item in items if item]})
    return matches

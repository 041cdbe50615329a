"""The optional column `private`: private elements, converted by pydicom."""

from __future__ import annotations

import warnings
from collections.abc import Iterator
from typing import Any

import numpy as np
import pyarrow as pa

from wetread.common.arrays import array
from wetread.headers.core.constants import (
    R_ENCODING,
)
from wetread.headers.schema import PRIVATE_TYPE, format_tag
from wetread.headers.walks import (
    Elements,
    Walked,
)

_MOST_TEXT = 4096


def of_rows(walked: Walked) -> Iterator[tuple[Elements, int]]:
    """Elements of every row, without File Meta, and the bits of its encoding."""
    elements = walked.elements
    count = walked.rows.shape[1]
    bounds = np.searchsorted(elements.row, np.arange(count + 1))
    for row in range(count):
        own = np.arange(bounds[row], bounds[row + 1])
        own = own[elements.tag[own] >> 16 != 2]
        yield elements.take(own), int(walked.rows[R_ENCODING, row])


def describe_private(dataset: Any) -> list[dict[str, Any]]:
    """Private elements of one file with their creator, VR and value as text (PS3.5 7.8).

    Several values are joined by backslashes; bytes become hex digits, at most 4 KiB of text.
    """
    tags = [tag for tag in dataset._dict if tag.is_private and tag.element]
    return [_describe(dataset, tag) for tag in tags]


def _describe(dataset: Any, tag: Any) -> dict[str, Any]:
    creator = None
    block = (tag >> 8) & 0xFF
    vr = str(dataset._dict[tag].VR or "")
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        try:
            if block >= 0x10:
                creator = str(dataset[(tag >> 16, block)].value)
        except Exception:  # noqa: BLE001 - pydicom raises many kinds for damaged values
            creator = None
        try:
            element = dataset[tag]
            vr, value = str(element.VR), _as_text(element.value)
        except Exception:  # noqa: BLE001
            value = None
    return {"tag": format_tag(tag), "creator": creator, "vr": vr, "value": value}


def _as_text(value: Any) -> str | None:
    """A value of pydicom as text."""
    from pydicom.multival import MultiValue
    from pydicom.sequence import Sequence

    if value is None or isinstance(value, Sequence):
        return None
    if isinstance(value, bytes):
        return value.hex()[:_MOST_TEXT]
    if isinstance(value, MultiValue | list):
        return "\\".join(str(v) for v in value)
    return str(value).encode("utf-8", "replace").decode()


def private_array(values: list[list[dict[str, Any]]]) -> pa.Array:
    """The column `private`."""
    return array(values, PRIVATE_TYPE)

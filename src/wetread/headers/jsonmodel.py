"""Sequences as DICOM JSON (PS3.18 annex F), written from the elements that the walk found."""

from __future__ import annotations

import json
import struct
from base64 import b64encode
from collections.abc import Callable
from functools import lru_cache
from typing import Any

from wetread.headers.charset import CHARSET, ENCODED_VRS, decode_element
from wetread.headers.core.constants import (
    F_CLIPPED,
    F_UNDEFINED,
)
from wetread.headers.schema import UNSPLIT_VRS, column_of, unpack_vr
from wetread.headers.walks import (
    Bytes,
    Elements,
)

_TEXTS = frozenset(["AE", "AS", "CS", "DA", "DT", "TM", "UI", "UR"]) | ENCODED_VRS
_FORMS = {"US": "H", "SS": "h", "UL": "I", "SL": "i", "UV": "Q", "SV": "q", "FL": "f", "FD": "d"}
_SEQUENCES = frozenset(["SQ", "UN", ""])
_NAMES = ("Alphabetic", "Ideographic", "Phonetic")


class _Fragments(dict[str, Any]):
    """An element whose value is in fragments."""

    fragments = b""


Model = dict[str, dict[str, Any]]


def write_sequences(elements: Elements, arena: Bytes, *, big: bool) -> str | None:
    """JSON of the public sequences of one file, walked with its items; None without any.

    A value that does not convert is written as its bytes.
    """
    columns = ("tag", "vr", "depth", "bits", "start", "length")
    arrays = [getattr(elements, name).tolist() for name in columns]
    top: Model = {}
    places: list[Any] = [top]
    charsets = [""]
    for tag, number, depth, bits, start, length in zip(*arrays, strict=True):
        if depth >= len(places):
            continue
        del places[depth + 1 :], charsets[depth + 1 :]
        charsets.append(charsets[-1])
        if depth & 1:
            _take_item(places, depth, arena, start, length)
            continue
        vr = unpack_vr(number)
        raw = arena[start : start + length].tobytes() if start >= 0 else b""
        if tag == CHARSET:
            charsets[depth] = charsets[-1] = raw.decode("latin-1").strip(" \0")
        if vr == "SQ" or (start < 0 and vr in _SEQUENCES and (length or bits & F_UNDEFINED)):
            items: list[Model] = []
            if depth or not tag & 0x10000:
                places[depth][f"{tag:08X}"] = {"vr": "SQ", "Value": items}
            places.append(items)
        elif depth and not bits & F_CLIPPED:
            vr = vr or _vr_of(tag)
            entry = _convert(vr, raw, charsets[depth], big)
            if bits & F_UNDEFINED:
                entry = _Fragments(vr=vr)
                places.append(entry)
            places[depth][f"{tag:08X}"] = entry
    return json.dumps(top) if top else None


def _take_item(places: list[Any], depth: int, arena: Bytes, start: int, length: int) -> None:
    """An item of a sequence, or a fragment with the head of its item."""
    container = places[depth]
    if start < 0 or not isinstance(container, _Fragments):
        item: Model = {}
        if isinstance(container, list):
            container.append(item)
        places.append(item)
        return
    container.fragments += arena[start - 8 : start + length].tobytes()
    container["InlineBinary"] = b64encode(container.fragments).decode()


@lru_cache(maxsize=65536)
def _vr_of(tag: int) -> str:
    return "UN" if tag & 0x10000 else column_of(tag).vrs[0]


def _convert(vr: str, raw: bytes, charset: str, big: bool) -> dict[str, Any]:
    """Element in the JSON model."""
    if not raw:
        return {"vr": vr}
    try:
        values = _read_values(vr, raw, charset, big)
    except (ValueError, OverflowError, struct.error):
        return {"vr": "UN", "InlineBinary": b64encode(raw).decode()}
    if values is None:
        return {"vr": vr, "InlineBinary": b64encode(raw).decode()}
    if values in ([], [None]):
        return {"vr": vr}
    return {"vr": vr, "Value": values}


def _read_values(vr: str, raw: bytes, charset: str, big: bool) -> list[Any] | None:
    """Values of an element; None for bytes."""
    if vr in _TEXTS:
        return _read_texts(vr, raw, charset)
    if vr == "DS" or vr == "IS":
        number: Callable[[str], float | int] = float if vr == "DS" else _whole
        parts = raw.decode("ascii").rstrip(" \0").split("\\")
        return [number(part) if part.strip(" \0") else None for part in parts]
    order = ">" if big else "<"
    if vr == "AT":
        numbers = struct.unpack(f"{order}{len(raw) // 2}H", raw)
        pairs = zip(numbers[::2], numbers[1::2], strict=True)
        return [f"{group:04X}{element:04X}" for group, element in pairs]
    if form := _FORMS.get(vr):
        return list(struct.unpack(f"{order}{len(raw) // struct.calcsize(form)}{form}", raw))
    return None


def _whole(text: str) -> int:
    number = float(text)
    if number != int(number):
        raise ValueError("no whole number")
    return int(text) if text.strip().lstrip("+-").isdigit() else int(number)


def _read_texts(vr: str, raw: bytes, charset: str) -> list[Any]:
    if vr not in ENCODED_VRS or (raw.isascii() and b"\x1b" not in raw):
        text = raw.decode("latin-1")
    else:
        text = decode_element(raw, vr, charset)
    if vr in UNSPLIT_VRS:
        return [text.rstrip(" \0") or None]
    parts = [part.rstrip(" \0") for part in text.rstrip(" \0").split("\\")]
    if vr != "PN":
        return [part or None for part in parts]
    return [
        {name: group for name, group in zip(_NAMES, part.split("="), strict=False) if group} or None
        for part in parts
    ]

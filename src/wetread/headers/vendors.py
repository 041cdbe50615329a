"""Values that manufacturers keep in private elements: the b-value, and the tiles of a mosaic.

Each element counts only with its manufacturer, and in the block of its private creator (PS3.5 7.8).
"""

from __future__ import annotations

import struct
from collections import defaultdict
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
import pyarrow as pa

from wetread.common.arrays import array
from wetread.headers.core.constants import BIG, F_CLIPPED, R_ENCODING

if TYPE_CHECKING:
    from wetread.headers.building import Built
    from wetread.headers.walks import Bytes, Elements, Walked

_GE_OFFSET = 1_000_000_000
"""Added by GE to the b-value of some sequences."""
_MOST = 1 << 40
"""Bound of the values; larger ones are damaged."""
_CSA_HEAD, _CSA_ITEM, _CSA_CHECKS = 84, 16, (77, 205)
"""Sizes of the heads of an entry of Siemens' CSA header and of its items, and check words."""
B_VALUE, MOSAIC_TILES = "b_value", "mosaic_tiles"


@dataclass(frozen=True, slots=True)
class _Element:
    """Private element with a value that becomes a column."""

    column: str
    manufacturer: str
    """Beginning of Manufacturer, in upper case."""
    tag: int
    """Group, and the last byte of the element number."""
    creator: str
    needs_creator: bool = True
    """False if the element is also read from block 10 without its creator."""
    form: str = ""
    """Format of a binary number, as in `struct`; "" for text."""
    entry: str = ""
    """Entry of a CSA header with the value."""
    kind: str = ""
    """Value that Image Type must have."""


_MR, _CSA, _UIH = "SIEMENS MR HEADER", "SIEMENS CSA HEADER", "Image Private Header"
_TILES, _MOSAIC = "NumberOfImagesInMosaic", "MOSAIC"
_ELEMENTS = (
    _Element(B_VALUE, "SIEMENS", 0x0019_000C, _MR),
    _Element(B_VALUE, "SIEMENS", 0x0029_0010, _CSA, entry="B_value"),
    _Element(B_VALUE, "GE", 0x0043_0039, "GEMS_PARM_01", needs_creator=False),
    _Element(B_VALUE, "PHILIPS", 0x2001_0003, "Philips Imaging DD 001", False, "f"),
    _Element(B_VALUE, "UIH", 0x0065_0009, _UIH, form="d"),
    _Element(MOSAIC_TILES, "SIEMENS", 0x0019_000A, _MR, form="H", kind=_MOSAIC),
    _Element(MOSAIC_TILES, "SIEMENS", 0x0029_0010, _CSA, entry=_TILES, kind=_MOSAIC),
    _Element(MOSAIC_TILES, "UIH", 0x0065_0050, _UIH),
)
"""By precedence within a column."""
VENDOR_TAGS = frozenset(
    {*(one.tag for one in _ELEMENTS), *(one.tag & 0xFFFF0000 for one in _ELEMENTS)}
)
"""Tags that the walk keeps, without the number of the block; of creators only the group."""


def vendor_columns(walked: Walked, arena: Bytes, built: Built) -> dict[str, pa.Array]:
    """The columns `b_value` and `mosaic_tiles`; an unreadable value is null.

    The b-value is the standard's Diffusion b-value (0018,9087), else the manufacturer's.
    """
    values = _read_vendors(walked, arena, built)
    tiles, b_values = np.full((2, built.rows), np.nan)
    for column, known in ((tiles, values[MOSAIC_TILES]), (b_values, values[B_VALUE])):
        column[list(known)] = list(known.values())
    if "DiffusionBValue" in built.arrays:
        standard = built.arrays["DiffusionBValue"][1].to_numpy(zero_copy_only=False)
        usable = (standard >= 0) & (standard < _MOST)
        b_values[usable] = standard[usable]
    absent = ~(tiles > 1)
    return {
        B_VALUE: array(b_values, pa.float64(), np.isnan(b_values)),
        MOSAIC_TILES: array(np.where(absent, 0, tiles).astype(np.int64), pa.int64(), absent),
    }


def _read_vendors(walked: Walked, arena: Bytes, built: Built) -> dict[str, dict[int, float]]:
    """Column -> row -> value."""
    values: dict[str, dict[int, float]] = {B_VALUE: {}, MOSAIC_TILES: {}}
    found, creators = _find_private(walked.elements, arena)
    for one in _ELEMENTS if found else ():
        known = values[one.column]
        for row, block, data in found.get(one.tag, ()):
            creator = creators.get((row, one.tag >> 16, block))
            unnamed = creator is None and block == 0x10 and not one.needs_creator
            if row in known or not (creator == one.creator or unnamed):
                continue
            maker = str(_value(built, "Manufacturer", row) or "").strip().upper()
            kinds = ["", *(_value(built, "ImageType", row) or ())]
            if maker.startswith(one.manufacturer) and one.kind in kinds:
                big = bool(walked.rows[R_ENCODING, row] & BIG)
                if (value := _read(data.tobytes(), one, big)) is not None:
                    known[row] = value
    return values


def _value(built: Built, name: str, row: int) -> Any:
    """Value of a column in a row; None if no row of the block has one."""
    return built.arrays[name][1][row].as_py() if name in built.arrays else None


def _find_private(
    elements: Elements, arena: Bytes
) -> tuple[dict[int, list[tuple[int, int, Bytes]]], dict[tuple[int, int, int], str]]:
    """Row, block and value of the elements by tag; creators by row, group and block."""
    found: dict[int, list[tuple[int, int, Bytes]]] = defaultdict(list)
    creators: dict[tuple[int, int, int], str] = {}
    private = (elements.tag & 0x10000 > 0) & (elements.depth == 0) & (elements.start >= 0)
    index = np.flatnonzero(private & (elements.bits & F_CLIPPED == 0))
    columns = (elements.row, elements.tag, elements.start, elements.length)
    for row, tag, start, length in zip(*(c[index].tolist() for c in columns), strict=True):
        data = arena[start : start + length]
        if not tag & 0xFF00:
            creators[row, tag >> 16, tag & 0xFF] = data.tobytes().strip(b" \0").decode("latin-1")
        elif tag & 0xFFFF00FF in VENDOR_TAGS:
            found[tag & 0xFFFF00FF].append((row, tag >> 8 & 0xFF, data))
    return found, creators


def _read(data: bytes, element: _Element, big: bool) -> float | None:
    """First number of a value; None if it is unreadable, negative or not finite."""
    try:
        if element.entry:
            number = float(_read_csa(data, element.entry.encode()))
        elif element.form and len(data) == struct.calcsize(element.form) and not _is_text(data):
            (number,) = struct.unpack(("<>"[big]) + element.form, data)
        else:
            number = float(data.partition(b"\\")[0].strip(b" \0").decode("ascii"))
    except (ValueError, struct.error):
        return None
    if not 0 <= number < _MOST:
        return None
    return number % _GE_OFFSET if element.manufacturer == "GE" else number


def _is_text(data: bytes) -> bool:
    """True for digits, which are in a binary element without VR if it was rewritten as text."""
    return len(data) > 2 and data.strip().isdigit()


def _read_csa(data: bytes, name: bytes) -> str:
    """Text of the first item of an entry of a CSA header; "" without a value.

    An entry is its name (64 bytes), 16 bytes with the number of items at 12, the check word 77 or
    205, then the items: four words, of which the second is the length, and the text.
    """
    at = data.find(name + b"\0")
    while at >= 0:
        items, check = struct.unpack_from("<2i", data, at + 76)
        if check in _CSA_CHECKS:
            break
        at = data.find(name + b"\0", at + 1)
    if at < 0 or items < 1:
        return ""
    (length,) = struct.unpack_from("<i", data, at + _CSA_HEAD + 4)
    text = data[at + _CSA_HEAD + _CSA_ITEM :][: max(length, 0)]
    return text.partition(b"\0")[0].decode("ascii")

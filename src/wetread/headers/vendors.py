"""Values that manufacturers keep in private elements: the b-value, and the tiles of a mosaic.

Each element counts only with its manufacturer, and in the block of its private creator (PS3.5 7.8).
"""

from __future__ import annotations

import struct
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from wetread.common.arrays import array, filled, is_among
from wetread.headers.core.constants import BIG, F_CLIPPED, R_ENCODING
from wetread.headers.gather import gather_strings

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
Int64s = npt.NDArray[np.int64]
Floats = npt.NDArray[np.float64]
VENDOR_TAGS = frozenset(
    {*(one.tag for one in _ELEMENTS), *(one.tag & 0xFFFF0000 for one in _ELEMENTS)}
)
"""Tags that the walk keeps, without the number of the block; of creators only the group."""
_TAGS = np.array(sorted(VENDOR_TAGS), np.uint32)


def vendor_columns(walked: Walked, arena: Bytes, built: Built) -> dict[str, pa.Array]:
    """The columns `b_value` and `mosaic_tiles`; an unreadable value is null.

    The b-value is the standard's Diffusion b-value (0018,9087), else the manufacturer's.
    """
    b_values, tiles = np.full((2, built.rows), np.nan)
    if "DiffusionBValue" in built.arrays:
        standard = built.arrays["DiffusionBValue"][1].to_numpy(zero_copy_only=False)
        usable = (standard >= 0) & (standard < _MOST)
        b_values[usable] = standard[usable]
    private = _Private.of(walked.elements, arena)
    for one in _ELEMENTS if len(private.index) else ():
        column = b_values if one.column == B_VALUE else tiles
        index = private.find(one)
        if not len(index):
            continue
        rows = walked.elements.row[index]
        wanted = np.isnan(column[rows]) & _are_by(built, rows, one)
        index, rows = index[wanted], rows[wanted]
        column[rows] = _values(walked, arena, index, one)
    absent = ~(tiles > 1)
    return {
        B_VALUE: array(b_values, pa.float64(), np.isnan(b_values)),
        MOSAIC_TILES: array(np.where(absent, 0, tiles).astype(np.int64), pa.int64(), absent),
    }


@dataclass(frozen=True, slots=True)
class _Private:
    """Private elements of a block."""

    elements: Elements
    index: Int64s
    """Those of `VENDOR_TAGS`, without the creators."""
    blocks: Int64s
    """Row, group and block of the creators, ascending."""
    creators: npt.NDArray[np.object_]

    @classmethod
    def of(cls, elements: Elements, arena: Bytes) -> _Private:
        """Find them in a block."""
        index = np.flatnonzero(elements.tag & 0x10000 > 0)
        whole = (elements.start[index] >= 0) & (elements.bits[index] & F_CLIPPED == 0)
        index = index[whole & (elements.depth[index] == 0)]
        tag = elements.tag[index]
        is_creator = tag & 0xFF00 == 0
        names = index[is_creator & is_among(tag & 0xFFFF0000, _TAGS)]
        index = index[~is_creator & is_among(tag & 0xFFFF00FF, _TAGS)]
        blocks = _block_of(elements, names, elements.tag[names] & 0xFF)
        names = names[np.argsort(blocks, kind="stable")] if len(index) else names[:0]
        texts = gather_strings(arena, elements.start[names], elements.length[names])
        texts = texts.dictionary_encode()
        creators = np.array([*texts.dictionary.to_pylist(), None], object)
        return cls(elements, index, np.sort(blocks), creators[filled(texts.indices, -1)])

    def find(self, one: _Element) -> Int64s:
        """Elements of one kind in the block of its creator."""
        tag = self.elements.tag[self.index]
        index = self.index[tag & 0xFFFF00FF == one.tag]
        number = self.elements.tag[index] >> 8 & 0xFF
        block = _block_of(self.elements, index, number)
        at = np.searchsorted(self.blocks, block)
        named = np.append(self.blocks, -1)[at] == block
        unnamed = ~named & (number == 0x10) & (not one.needs_creator)
        right = np.array([*(self.creators == one.creator), False])[at]
        found: Int64s = index[(named & right) | unnamed]
        return found


def _block_of(elements: Elements, index: Int64s, number: npt.NDArray[np.uint32]) -> Int64s:
    """Row, group and block of elements as one number."""
    group = elements.tag[index].astype(np.int64) >> 16
    return elements.row[index].astype(np.int64) << 24 | group << 8 | number.astype(np.int64)


def _are_by(built: Built, rows: npt.NDArray[np.int32], one: _Element) -> npt.NDArray[np.bool_]:
    """True for rows of the manufacturer, and with the Image Type."""

    def take(name: str) -> pa.Array:
        known = name in built.arrays
        return built.arrays[name][1].take(array(rows, pa.int32())) if known else pa.nulls(len(rows))

    makers = take("Manufacturer").cast(pa.string()).dictionary_encode()
    names = [name.strip().upper() for name in makers.dictionary.to_pylist()]
    right = np.array([*(name.startswith(one.manufacturer) for name in names), False])
    found: npt.NDArray[np.bool_] = right[filled(makers.indices, -1)]
    if one.kind:
        kinds = take("ImageType").to_pylist()
        found &= np.array([one.kind in (kind or ()) for kind in kinds], np.bool_)
    return found


def _values(walked: Walked, arena: Bytes, index: Int64s, one: _Element) -> Floats:
    """Numbers of elements, equal bytes read once; NaN for unreadable ones."""
    elements = walked.elements
    big = (walked.rows[R_ENCODING, elements.row[index]] & BIG > 0).tolist()
    start = elements.start[index]
    end = (start + elements.length[index]).tolist()
    texts = [arena[a:b].tobytes() for a, b in zip(start.tolist(), end, strict=True)]
    keys = list(zip(texts, big, strict=True))
    known = {key: _read(key[0], one, key[1]) for key in set(keys)}
    return np.array([known[key] for key in keys], np.float64)


def _read(data: bytes, element: _Element, big: bool) -> float:
    """First number of a value; NaN if it is unreadable, negative or not finite."""
    try:
        if element.entry:
            number = float(_read_csa(data, element.entry.encode()))
        elif element.form and len(data) == struct.calcsize(element.form) and not _is_text(data):
            (number,) = struct.unpack(("<>"[big]) + element.form, data)
        else:
            number = float(data.partition(b"\\")[0].strip(b" \0").decode("ascii"))
    except (ValueError, struct.error):
        return np.nan
    if not 0 <= number < _MOST:
        return np.nan
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

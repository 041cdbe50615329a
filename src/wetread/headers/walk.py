"""The lockstep walk: one step through thousands of headers at once (PS3.5 chapter 7).

A header is a chain of tag, VR, length, value. `pos[i]` is where file i stands; one gather reads the
bytes at every position, one look-up over the VR gives the size of the element's head, one add moves
every file on. What the walk does not do (unknown VR, a length beyond the file, a
missing delimiter ...) leaves it as ODD and goes through `single`.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from wetread.headers.blocks import Bytes
from wetread.headers.nesting import DEEPEST, UNDEFINED, pass_elements
from wetread.headers.schema import (
    FAMILY_OF_VR,
    LENGTH,
    LONG_FORM_VRS,
    SEQUENCE,
    column_of,
    pack_vr,
)

Int64s = npt.NDArray[np.int64]
Bools = npt.NDArray[np.bool_]
UInt32s = npt.NDArray[np.uint32]

DONE, PIXELS, NEXT, ODD = 1, 2, 3, 4
"""Reason a row left the walk: its end, its pixels, the end of its window, or oddness."""

_ITEM, _ITEM_END, _SEQUENCE_END = 0xFFFEE000, 0xFFFEE00D, 0xFFFEE0DD

_FEW_OPEN = 64
"""Fewer open sequences than this are passed one by one."""
_SHORT, _LONG = 1, 2
_FORM = np.zeros(65536, np.uint8)
_BULK = np.zeros(65536, np.bool_)
for _vr in FAMILY_OF_VR:
    _FORM[pack_vr(_vr)] = _LONG if _vr in LONG_FORM_VRS else _SHORT
    _BULK[pack_vr(_vr)] = _vr in {"OB", "OD", "OF", "OL", "OV", "OW"}
_SQ = pack_vr("SQ")


class Elements(NamedTuple):
    """Flat arrays, an entry an element of the top level, in the order of each file."""

    row: Int64s
    tag: UInt32s
    vr: npt.NDArray[np.uint16]
    """Packed letters, 0 where the file does not say (implicit)."""
    start: Int64s
    """Start of the value in the arena; -1 if its bytes are absent."""
    length: Int64s
    offset: Int64s
    """Start of the value in the file."""

    @classmethod
    def join(cls, parts: list[Elements]) -> Elements:
        """One after the other."""
        kinds = (np.int64, np.uint32, np.uint16, np.int64, np.int64, np.int64)
        nothing = cls._make(np.empty(0, kind) for kind in kinds)
        return cls._make(np.concatenate(a) for a in zip(nothing, *parts, strict=True))

    def take(self, index: npt.NDArray[np.intp] | Bools) -> Elements:
        """Some of them."""
        return Elements._make(array[index] for array in self)


@dataclass(slots=True)
class Rows:
    """State of n rows; the walk fills the lower half."""

    size: Int64s
    """File sizes."""
    implicit: Bools
    big: Bools
    """Big endian; never where sequences are kept."""
    first: Int64s
    """Position in the file of the first byte of the window."""
    base: Int64s
    """Position in the arena of that byte."""
    limit: Int64s
    """Position in the arena after the last byte of the window."""
    at: Int64s
    """Position in the file where the walk stands."""
    depth: Int64s
    """Nesting depth at that position."""
    state: npt.NDArray[np.int8]
    pixel_tag: UInt32s
    pixel_offset: Int64s
    pixel_length: Int64s
    unordered: dict[int, tuple[int, int, int]]
    """Of the first element out of order in a row: tag, position in the file, tag before it."""

    @classmethod
    def of(cls, size: Int64s) -> Rows:
        """Rows that stand at the start of their files."""
        n = len(size)
        return cls(
            size=size,
            implicit=np.zeros(n, np.bool_),
            big=np.zeros(n, np.bool_),
            first=np.zeros(n, np.int64),
            base=np.zeros(n, np.int64),
            limit=np.zeros(n, np.int64),
            at=np.zeros(n, np.int64),
            depth=np.zeros(n, np.int64),
            state=np.zeros(n, np.int8),
            pixel_tag=np.zeros(n, np.uint32),
            pixel_offset=np.full(n, -1, np.int64),
            pixel_length=np.full(n, -1, np.int64),
            unordered={},
        )


@dataclass(slots=True)
class _Lanes:
    """The rows still walking, packed; everything in positions of the arena."""

    row: Int64s
    pos: Int64s
    limit: Int64s
    end: Int64s
    implicit: Bools
    depth: Int64s
    opened: Int64s
    """Start of the outermost open sequence."""
    last: UInt32s
    whole: bool
    """True if sequences are stored: an open one is then walked again in the next window."""
    big: Bools
    swaps: bool
    """True if any lane is big endian."""
    nested: bool
    """True if any lane is in a sequence."""

    def keep(self, mask: Bools) -> None:
        index = np.flatnonzero(mask)
        for name in ("row", "pos", "limit", "end", "implicit", "big", "depth", "opened", "last"):
            setattr(self, name, getattr(self, name)[index])


def walk(arena: Bytes, rows: Rows, which: Int64s, *, meta: bool, whole: bool, few: int) -> Elements:
    """Walk the rows `which` from where they stand; sets their state and what it found.

    `meta` walks the File Meta group, which is explicit little endian, and stops after it (DONE);
    `whole` keeps private elements and sequences with their bytes. Fewer than `few` rows in
    step are left as ODD.
    """
    word = np.ndarray((arena.size - 3,), "<u4", arena, strides=(1,))
    shift = rows.base - rows.first
    pos = rows.at[which] + shift[which]
    little = np.zeros(len(which), np.bool_)
    big = little if meta else rows.big[which]
    lanes = _Lanes(
        row=which,
        pos=pos,
        limit=rows.limit[which],
        end=(rows.size + shift)[which],
        implicit=little if meta else rows.implicit[which],
        depth=rows.depth[which],
        opened=pos,
        last=np.zeros(len(which), np.uint32),
        whole=whole,
        big=big,
        swaps=bool(big.any()),
        nested=bool(rows.depth[which].any()),
    )
    steps: list[tuple[npt.NDArray[np.generic], ...]] = []
    memory = arena.data
    while lanes.row.size and lanes.row.size >= few:
        _step(word, lanes, rows, shift, steps, meta)
        if not meta:
            _finish_few(memory, word, lanes, steps)
    rows.state[lanes.row] = ODD
    if not steps:
        return Elements.join([])
    row, tag, vr, start, length = (np.concatenate(a) for a in zip(*steps, strict=True))
    inside = start + length <= rows.limit[row]
    return Elements(row, tag, vr, np.where(inside, start, -1), length, start - shift[row])


def is_bulk(elements: Elements) -> Bools:
    """Elements of which only the length becomes a column, by their stated VR."""
    bulk: Bools = _BULK[elements.vr] & ((elements.tag & 0x10000) == 0)
    return bulk


def has_vr(arena: Bytes, pos: Int64s) -> Bools:
    """True for elements at these positions of the arena that show a value representation."""
    form: npt.NDArray[np.uint8] = _FORM[
        arena[pos + 4].astype(np.uint16) | arena[pos + 5].astype(np.uint16) << 8
    ]
    return form > 0


def _finish_few(
    memory: memoryview,
    word: UInt32s,
    lanes: _Lanes,
    steps: list[tuple[npt.NDArray[np.generic], ...]],
) -> None:
    """Pass to the end of open sequences one by one where few are open: long ones are rare."""
    if not lanes.nested:
        return
    deep = np.flatnonzero((lanes.depth > 0) & ~lanes.big)
    if not 0 < deep.size < _FEW_OPEN:
        return
    pos, depth = lanes.pos.copy(), lanes.depth.copy()
    for i in deep.tolist():
        limit, implicit = int(lanes.limit[i]), bool(lanes.implicit[i])
        at, left = pass_elements(memory, int(pos[i]), limit, int(depth[i]), implicit)
        if not lanes.whole or (left == 0 and at <= limit):
            pos[i], depth[i] = at, left
        elif at > limit - 12:
            pos[i] = limit  # leaves for a larger window
    if lanes.whole:
        _emit_sequences(word, lanes, steps, (lanes.depth > 0) & (depth == 0), pos)
    lanes.pos, lanes.depth = pos, depth
    lanes.nested = bool(depth.any())


def _leave(lanes: _Lanes, rows: Rows, shift: Int64s, mask: Bools, state: int) -> None:
    """Rows of the mask end their walk in this state, where they stand."""
    row, pos, depth = lanes.row[mask], lanes.pos[mask], lanes.depth[mask]
    rows.state[row] = state
    if lanes.whole:
        pos, depth = np.where(depth > 0, lanes.opened[mask], pos), np.zeros_like(depth)
    rows.at[row], rows.depth[row] = pos - shift[row], depth


def _leave_short(lanes: _Lanes, rows: Rows, shift: Int64s) -> None:
    """Rows that have less than an element's head left in their window."""
    room = lanes.limit - lanes.pos
    if room.min() >= 12:
        return
    more = (room < 12) & (lanes.end > lanes.limit)
    short = (room < 8) | more
    done = short & ~more & (lanes.pos == lanes.end) & (lanes.depth == 0)
    _leave(lanes, rows, shift, more, NEXT)
    _leave(lanes, rows, shift, done, DONE)
    _leave(lanes, rows, shift, short & ~more & ~done, ODD)
    lanes.keep(~short)


def _read_elements(
    word: UInt32s, lanes: _Lanes
) -> tuple[UInt32s, npt.NDArray[np.uint16], npt.NDArray[np.uint8], Int64s, Int64s]:
    """Tag, VR, form (0 where the head is none), length and position of the value of every lane."""
    half, rest = word[lanes.pos], word[lanes.pos + 4]
    tag = (half << np.uint32(16)) | (half >> np.uint32(16))
    long, short = rest, rest >> np.uint32(16)
    if lanes.swaps:
        tag = np.where(lanes.big, half.byteswap(), tag)
        long = np.where(lanes.big, rest.byteswap(), rest)
        short = np.where(lanes.big, long & np.uint32(0xFFFF), short)
    plain = lanes.implicit | (tag >= 0xFFFE0000)  # no VR in the file
    vr = (rest & np.uint32(0xFFFF)).astype(np.uint16)
    form = _FORM[vr]
    length = np.where(plain, long, short).astype(np.int64)
    value = lanes.pos + 8
    is_long = (form == _LONG) & ~plain
    if is_long.any():
        lengths = word[value[is_long]]
        length[is_long] = np.where(lanes.big[is_long], lengths.byteswap(), lengths)
        value = value + is_long * 4
        form[value > lanes.limit] = 0  # the head itself is cut
    if plain.any():
        vr[plain] = 0
        form[plain] = _SHORT
    return tag, vr, form, length, value


def _step(
    word: UInt32s,
    lanes: _Lanes,
    rows: Rows,
    shift: Int64s,
    steps: list[tuple[npt.NDArray[np.generic], ...]],
    meta: bool,
) -> None:
    """Every lane reads one element and moves on."""
    whole = lanes.whole
    _leave_short(lanes, rows, shift)
    if not lanes.row.size:
        return
    pos, depth = lanes.pos, lanes.depth
    tag, vr, form, length, value = _read_elements(word, lanes)
    undefined = length == UNDEFINED
    end = value + length
    nested = lanes.nested or bool(undefined.any())
    top = depth == 0 if nested else _everywhere(len(pos))
    pixels = (tag >> np.uint32(16)) != 2 if meta else tag - np.uint32(0x7FE00008) <= 8
    odd = (form == 0) | ((end > lanes.end) & ~undefined)
    if nested:
        pixels &= top
    if meta:
        odd &= ~pixels
    else:
        odd = np.where(pixels, form == 0, odd)
        pixels &= ~odd
    next_depth = depth
    if nested:
        next_depth, fault = _nest(tag, vr, length, depth, lanes.implicit)
        odd |= fault & ~pixels
        end = np.where(undefined, value, end)
    else:
        odd |= (tag >= 0xFFFE0000) & ~pixels
    leaving = pixels | odd
    over = end > lanes.limit
    beyond = over & top & ~undefined & ~leaving
    if beyond.any():
        beyond &= _wants_bytes(tag, vr, beyond, whole)
        leaving |= beyond
    if not meta:
        _note_order(lanes, rows, shift, tag, top & ~leaving, nested)
    closed, opening = (next_depth == 0) & ~top, top & (next_depth > 0)
    kept = top & ~leaving
    if nested:
        kept &= ~opening
        lanes.opened = np.where(opening, pos, lanes.opened)
    found = (lanes.row, tag, vr, value, length)
    steps.append(found if kept.all() else tuple(array[kept] for array in found))
    if whole and nested:
        _emit_sequences(word, lanes, steps, closed, end)
    if leaving.any():
        _leave_marked(lanes, rows, shift, pixels, odd, beyond, tag, value, length, meta)
    lanes.pos, lanes.depth = end, next_depth
    if over.any():
        _leave(lanes, rows, shift, over & ~leaving, NEXT)
        leaving |= over
    if leaving.any():
        lanes.keep(~leaving)
    lanes.nested = nested and bool(lanes.depth.any())


@lru_cache(maxsize=8)
def _everywhere(count: int) -> Bools:
    return np.ones(count, np.bool_)


def _note_order(
    lanes: _Lanes, rows: Rows, shift: Int64s, tag: UInt32s, here: Bools, nested: bool
) -> None:
    """Elements of the top level that come after one of a higher tag."""
    for i in np.flatnonzero((tag < lanes.last) & here).tolist():
        row = int(lanes.row[i])
        at = int(lanes.pos[i] - shift[row])
        rows.unordered.setdefault(row, (int(tag[i]), at, int(lanes.last[i])))
    lanes.last = np.where(lanes.depth == 0, tag, lanes.last) if nested else tag


def _wants_bytes(tag: UInt32s, vr: npt.NDArray[np.uint16], mask: Bools, whole: bool) -> Bools:
    """Without the elements of which only the length becomes a column."""
    wanted = np.ones(len(tag), np.bool_)
    for i in np.flatnonzero(mask).tolist():
        if tag[i] & 0x10000:
            wanted[i] = whole
        elif vr[i]:
            wanted[i] = not _BULK[vr[i]] and (whole or vr[i] != _SQ)
        else:
            family = column_of(int(tag[i])).family
            wanted[i] = family != LENGTH and (whole or family != SEQUENCE)
    return wanted


def _nest(
    tag: UInt32s, vr: npt.NDArray[np.uint16], length: Int64s, depth: Int64s, implicit: Bools
) -> tuple[Int64s, Bools]:
    """The depth after this element, and where the nesting is not as it must be.

    Depth 0 is the top level, odd depths stand between the items of a sequence, even ones in an
    item of undefined length; items and sequences of defined length are skipped whole.
    """
    undefined = length == UNDEFINED
    between = (depth & 1) == 1
    item, item_end, end = tag == _ITEM, tag == _ITEM_END, tag == _SEQUENCE_END
    sequence = undefined & ~item & ((vr == _SQ) | implicit)
    within = ~between
    opens = np.where(between, item & undefined, sequence)
    closes = (between & end) | (within & item_end & (depth > 0))
    fault = between & ~(item | end)
    fault |= within & (item | end | (item_end & (depth == 0)))
    fault |= within & undefined & ~sequence
    fault |= closes & (length != 0)
    fault |= depth >= DEEPEST
    return depth + opens - closes, fault


def _emit_sequences(
    word: UInt32s,
    lanes: _Lanes,
    steps: list[tuple[npt.NDArray[np.generic], ...]],
    closed: Bools,
    end: Int64s,
) -> None:
    """Sequences of undefined length, from their first item to after their delimiter."""
    opened = lanes.opened[closed]
    half = word[opened]
    tag = (half << np.uint32(16)) | (half >> np.uint32(16))
    start = opened + np.where(lanes.implicit[closed], 8, 12)
    vr = np.full(len(start), _SQ, np.uint16)
    steps.append((lanes.row[closed], tag, vr, start, end[closed] - start))


def _leave_marked(
    lanes: _Lanes,
    rows: Rows,
    shift: Int64s,
    pixels: Bools,
    odd: Bools,
    beyond: Bools,
    tag: UInt32s,
    value: Int64s,
    length: Int64s,
    meta: bool,
) -> None:
    """Rows that stop at this element, at its first byte."""
    if pixels.any():
        _leave(lanes, rows, shift, pixels, DONE if meta else PIXELS)
        if not meta:
            row = lanes.row[pixels]
            rows.pixel_tag[row] = tag[pixels]
            rows.pixel_offset[row] = value[pixels] - shift[row]
            rows.pixel_length[row] = np.where(length == UNDEFINED, -1, length)[pixels]
    _leave(lanes, rows, shift, odd, ODD)
    _leave(lanes, rows, shift, beyond, NEXT)

"""Columns of multi-frame images from their functional groups (PS3.3 C.7.6.16).

A parameter of the frames is in the Shared Functional Groups Sequence, or in every item of the
Per-frame one. It becomes an element of the top level, and so a column, if the data set has none of
its own: the shared value, or the one that is equal in all frames.
"""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass, replace

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from wetread.common.arrays import array
from wetread.headers.core.constants import DATE, DECIMAL, F_CLIPPED, INTEGER
from wetread.headers.gather import trim
from wetread.headers.macros import PATHS, PER_FRAME_GROUPS, SHARED_GROUPS, VARYING, tag_of
from wetread.headers.schema import column_of
from wetread.headers.walks import Bytes, Elements, Int64s
from wetread.settings import MIB, Settings

_FRAMES = tag_of("NumberOfFrames")
_VARYING = frozenset(map(tag_of, VARYING))
_TAGS = np.array([*PATHS, _FRAMES], np.uint32)
_TEXTS = np.array([tag for tag in _TAGS.tolist() if column_of(tag).family <= DATE], np.uint32)
_Values = dict[int, Int64s]
"""Tag -> element with the value in each item; -1 for none."""


@dataclass(frozen=True, slots=True)
class Filled:
    """Elements of the top level of a block, with those from functional groups."""

    elements: Elements
    names: pa.ListArray
    """Columns that functional groups fill, per row."""
    varying: list[tuple[int, int, list[str]]]
    """Row, position in the file, and keywords whose values differ among the frames."""


def fill_columns(elements: Elements, arena: Bytes, rows: int, settings: Settings) -> Filled:
    """Add the values of functional groups to the elements of the top level of `rows` rows."""
    chosen: list[int] = []
    varying: list[tuple[int, int, list[str]]] = []
    sequences = _find_sequences(elements)
    own = _find_own(elements, arena, sequences)
    for row, found in sequences.items():
        groups = _read(elements, arena, found.get(SHARED_GROUPS), settings)
        shared = {tag: int(values[0]) for tag, values in groups.items() if values[0] >= 0}
        frames = _read(elements, arena, found.get(PER_FRAME_GROUPS), settings)
        count = _count_frames(elements, arena, own.get((row, _FRAMES)))
        cut = frames and elements.bits[found[PER_FRAME_GROUPS][0]] & F_CLIPPED
        differing = []
        for tag in sorted({*shared, *frames}):
            values = frames.get(tag, np.zeros(0, np.int64))
            if len(values) < count or cut:
                values = np.append(values, -1)
            if tag in shared:  # of the frames without a value of their own
                values = np.where(values < 0, shared[tag], values)
            if not _are_equal(elements, arena, tag, values):
                differing.append(tag)
            elif (row, tag) not in own:
                chosen.append(int(values[0]))
        if keywords := [column_of(tag).name for tag in differing if tag in _VARYING]:
            first, _ = found[PER_FRAME_GROUPS]
            varying.append((row, int(elements.offset[first]), keywords))
    return Filled(*_add(elements, chosen, rows), varying)


def _find_sequences(elements: Elements) -> dict[int, dict[int, tuple[int, int]]]:
    """Row -> tag of a functional groups sequence -> its element, and the end of its content."""
    top = elements.depth == 0
    groups = np.flatnonzero(top & (elements.tag >> 16 == PER_FRAME_GROUPS >> 16))
    found: dict[int, dict[int, tuple[int, int]]] = {}
    if len(groups):
        level = np.append(np.flatnonzero(top), len(top))
        ends = level[np.searchsorted(level, groups, side="right")].tolist()
        for first, end in zip(groups.tolist(), ends, strict=True):
            found.setdefault(int(elements.row[first]), {})[int(elements.tag[first])] = first, end
    return found


def _find_own(
    elements: Elements, arena: Bytes, rows: Collection[int]
) -> dict[tuple[int, int], int]:
    """Row and tag -> element of the top level with a value, of some rows."""
    if not rows:
        return {}
    known = (elements.depth == 0) & np.isin(elements.tag, _TAGS) & (elements.start >= 0)
    index = np.flatnonzero(known & np.isin(elements.row, [*rows]))
    index = index[_lengths(elements, arena, index) > 0]
    keys = zip(elements.row[index].tolist(), elements.tag[index].tolist(), strict=True)
    return dict(zip(keys, index.tolist(), strict=True))


def _lengths(elements: Elements, arena: Bytes, index: Int64s) -> Int64s:
    """Lengths of values, of texts without padding."""
    length = elements.length[index]
    texts = np.isin(elements.tag[index], _TEXTS)
    length[texts] = trim(arena, elements.start[index[texts]], length[texts])
    return length


def _count_frames(elements: Elements, arena: Bytes, number: int | None) -> int:
    """Number of Frames; 1 if it is absent or does not parse."""
    if number is None:
        return 1
    start, length = int(elements.start[number]), int(elements.length[number])
    text = arena[start : start + length].tobytes().strip(b" \0")
    return int(text) if text.isdigit() and len(text) < 16 else 1


def _read(
    elements: Elements, arena: Bytes, place: tuple[int, int] | None, settings: Settings
) -> _Values:
    """Values in the items of a sequence, of the elements of `PATHS`.

    Items are at odd depths; the ancestors of an element are the last ones before it.
    """
    if place is None:
        return {}
    first, end = place[0] + 1, place[1]
    depth, tag = elements.depth[first:end], elements.tag[first:end]
    is_item = depth == 1
    items, item = int(is_item.sum()), np.cumsum(is_item) - 1
    index = np.flatnonzero(
        np.isin(tag, _TAGS)
        & (elements.start[first:end] >= 0)
        & (elements.length[first:end] <= settings.value_items)
    )
    index = index[_lengths(elements, arena, first + index) > 0]
    above = {level: _ancestors(depth, level, index) for level in (2, 4)}
    found: _Values = {}
    for leaf in np.unique(tag[index]).tolist():
        values = np.full(items, -1)
        for path in PATHS.get(leaf, ()):
            there = (tag[index] == leaf) & (depth[index] == 2 * len(path) + 2)
            for level, sequence in zip((2, 4), path, strict=False):
                ancestor, in_first = above[level]
                there &= (tag[ancestor] == sequence) & in_first
            values[item[index[there]]] = first + index[there]
        if (values >= 0).any():
            found[leaf] = values
    return found


def _ancestors(
    depth: npt.NDArray[np.uint8], level: int, index: Int64s
) -> tuple[Int64s, npt.NDArray[np.bool_]]:
    """Ancestor of elements at a depth, and whether they are in its first item."""
    last = np.maximum.accumulate(np.where(depth == level, np.arange(len(depth)), 0))[index]
    items = np.cumsum(depth == level + 1)
    return last, items[index] - items[last] == 1


def _are_equal(elements: Elements, arena: Bytes, tag: int, values: Int64s) -> bool:
    """True if all items have a value and the values are equal; numbers, however written."""
    if (values < 0).any():
        return False
    if (values == values[0]).all():
        return True
    start, length = elements.start[values], _lengths(elements, arena, values)
    if (length == length[0]).all() and len(values) * length[0] <= MIB:
        data = arena[start[:, None] + np.arange(length[0])]
        if (data == data[0]).all():
            return True
    pairs = zip(start.tolist(), (start + length).tolist(), strict=True)
    texts = (arena[first:end].tobytes() for first, end in pairs)
    wanted = _as_value(next(texts), tag)
    return all(_as_value(text, tag) == wanted for text in texts)


def _as_value(text: bytes, tag: int) -> bytes | tuple[float, ...]:
    """Numbers of a text; the text of other elements, and if they do not parse."""
    if column_of(tag).family not in (DECIMAL, INTEGER):
        return text
    try:
        return tuple(map(float, text.split(b"\\")))
    except ValueError:
        return text


def _add(elements: Elements, chosen: list[int], rows: int) -> tuple[Elements, pa.ListArray]:
    """Elements of the top level with the chosen ones, by row; and their columns, per row."""
    if not chosen:
        bounds = array(np.zeros(rows + 1, np.int32), pa.int32())
        return elements, pa.ListArray.from_arrays(bounds, array([], pa.string()))
    added = elements.take(np.array(chosen))
    keys = added.row.astype(np.int64) << 32 | added.tag
    top = elements.depth == 0
    top &= ~np.isin(elements.row.astype(np.int64) << 32 | elements.tag, keys)  # empty ones
    own = elements.take(np.flatnonzero(top))
    added = replace(added, depth=np.zeros_like(added.depth))
    joined = Elements.join([own, added])
    names: list[list[str]] = [[] for _ in range(rows)]
    for row, tag in zip(added.row.tolist(), added.tag.tolist(), strict=True):
        names[row].append(column_of(tag).name)
    return joined.take(np.argsort(joined.row, kind="stable")), array(names, pa.list_(pa.string()))

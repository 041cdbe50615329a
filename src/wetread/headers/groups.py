"""Columns of multi-frame images from their functional groups (PS3.3 C.7.6.16).

A parameter of the frames is in the Shared Functional Groups Sequence, or in every item of the
Per-frame one. It becomes an element of the top level, and so a column, if the data set has none of
its own: the shared value, or the one that is equal in all frames. All files of a block are treated
together.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from wetread.common.arrays import array, filled, is_among
from wetread.headers.core.constants import DATE, DECIMAL, F_CLIPPED, INTEGER
from wetread.headers.dictionary import TAG_OF
from wetread.headers.gather import gather_bytes, trim
from wetread.headers.macros import PATHS, PER_FRAME_GROUPS, SHARED_GROUPS, VARYING
from wetread.headers.schema import column_of
from wetread.headers.walks import Bytes, Elements, Int64s
from wetread.settings import Settings

_FRAMES = TAG_OF["NumberOfFrames"]
_VARYING = frozenset(TAG_OF[name] for name in VARYING)
_SEQUENCES = np.array([SHARED_GROUPS, PER_FRAME_GROUPS], np.uint32)
_TAGS = np.array(sorted([*PATHS, _FRAMES]), np.uint32)
_TEXTS = np.array([tag for tag in _TAGS.tolist() if column_of(tag).family <= DATE], np.uint32)
Bools = npt.NDArray[np.bool_]


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
    sequences = _Sequences.of(elements)
    chosen: list[int] = []
    hidden: list[int] = []
    varying: dict[int, list[str]] = {}
    if len(sequences.first):
        own, empty = _find_own(elements, arena, sequences, rows)
        values = _read(elements, arena, sequences, settings)
        frames = _count_frames(elements, arena, own, rows)
        for found in _compare(elements, arena, sequences, values, frames):
            if not found.equal:
                if found.tag in _VARYING:
                    varying.setdefault(found.row, []).append(column_of(found.tag).name)
            elif (found.row, found.tag) not in own:
                chosen.append(found.element)
                hidden.append(empty.get((found.row, found.tag), found.element))
    at = {row: int(elements.offset[i]) for row, i in sequences.per_frame().items()}
    listed = [(row, at[row], keywords) for row, keywords in varying.items()]
    return Filled(*_add(elements, chosen, hidden, rows), listed)


@dataclass(frozen=True, slots=True)
class _Sequences:
    """Functional groups sequences, the last one of each kind in each row."""

    first: Int64s
    """Element of the sequence."""
    end: Int64s
    """End of the elements in it."""
    row: Int64s
    shared: Bools

    @classmethod
    def of(cls, elements: Elements) -> _Sequences:
        top = elements.depth == 0
        first = np.flatnonzero(top & (elements.tag >> 16 == PER_FRAME_GROUPS >> 16))
        first = first[is_among(elements.tag[first], _SEQUENCES)]
        row, shared = elements.row[first].astype(np.int64), elements.tag[first] == SHARED_GROUPS
        last = _last_of(row * 2 + shared)
        level = np.append(np.flatnonzero(top), len(top)) if len(first) else first
        end = level[np.searchsorted(level, first, side="right")] if len(first) else first
        return cls(first[last], end[last], row[last], shared[last])

    def per_frame(self) -> dict[int, int]:
        """Row -> element of its Per-frame Functional Groups Sequence."""
        index = np.flatnonzero(~self.shared)
        return dict(zip(self.row[index].tolist(), self.first[index].tolist(), strict=True))

    def inside(self) -> tuple[Int64s, Int64s]:
        """Elements in the sequences, and the number of the sequence of each."""
        counts = self.end - self.first - 1
        owner = np.repeat(np.arange(len(counts)), counts)
        before = np.cumsum(counts) - counts
        return self.first[owner] + 1 + np.arange(len(owner)) - before[owner], owner


def _last_of(keys: Int64s) -> Int64s:
    """Places of the last one of every key."""
    _, places = np.unique(keys[::-1], return_index=True)
    return len(keys) - 1 - places


def _find_own(
    elements: Elements, arena: Bytes, sequences: _Sequences, rows: int
) -> tuple[dict[tuple[int, int], int], dict[tuple[int, int], int]]:
    """Row and tag -> element of the top level, with a value and without one, beside sequences."""
    beside = np.zeros(rows, np.bool_)
    beside[sequences.row] = True
    index = np.flatnonzero(beside[elements.row] & (elements.depth == 0))
    index = index[is_among(elements.tag[index], _TAGS) & (elements.start[index] >= 0)]
    full = _lengths(elements, arena, index) > 0
    own, empty = (
        dict(
            zip(
                zip(elements.row[i].tolist(), elements.tag[i].tolist(), strict=True),
                i.tolist(),
                strict=True,
            )
        )
        for i in (index[full], index[~full])
    )
    return own, empty


def _lengths(elements: Elements, arena: Bytes, index: Int64s) -> Int64s:
    """Lengths of values, of texts without padding."""
    length = elements.length[index]
    texts = is_among(elements.tag[index], _TEXTS)
    length[texts] = trim(arena, elements.start[index[texts]], length[texts])
    return length


def _count_frames(
    elements: Elements, arena: Bytes, own: dict[tuple[int, int], int], rows: int
) -> Int64s:
    """Number of Frames of each row; 1 if it is absent or does not parse."""
    frames = np.ones(rows, np.int64)
    for (row, tag), i in own.items():
        if tag == _FRAMES:
            start, length = int(elements.start[i]), int(elements.length[i])
            text = arena[start : start + length].tobytes().strip(b" \0")
            frames[row] = int(text) if text.isdigit() and len(text) < 16 else 1
    return frames


@dataclass(frozen=True, slots=True)
class _Values:
    """Values in the items of sequences, by row, tag, sequence and item."""

    element: Int64s
    sequence: Int64s
    item: Int64s
    """Number of the item in its sequence."""
    items: Int64s
    """Number of items of each sequence."""


def _read(elements: Elements, arena: Bytes, sequences: _Sequences, settings: Settings) -> _Values:
    """Values of the elements of `PATHS`; the last one of an item counts.

    Items are at odd depths; the ancestors of an element are the last ones before it.
    """
    inside, owner = sequences.inside()
    depth, tag = elements.depth[inside], elements.tag[inside]
    items = np.bincount(owner[depth == 1], minlength=len(sequences.first))
    item = np.cumsum(depth == 1) - 1 - (np.cumsum(items) - items)[owner]
    index = np.flatnonzero(
        is_among(tag, _TAGS)
        & (elements.start[inside] >= 0)
        & (elements.length[inside] <= settings.value_items)
    )
    index = index[_lengths(elements, arena, inside[index]) > 0]
    above = {level: _ancestors(depth, owner, level, index) for level in (2, 4)}
    places = [np.zeros(0, np.int64)]
    leaves = tag[index]
    for leaf in np.unique(leaves).tolist():
        of_leaf = np.flatnonzero(leaves == leaf)
        for path in PATHS.get(leaf, ()):
            there = depth[index[of_leaf]] == 2 * len(path) + 2
            for level, sequence in zip((2, 4), path, strict=False):
                ancestor, in_first = above[level]
                there &= (tag[ancestor[of_leaf]] == sequence) & in_first[of_leaf]
            places.append(index[of_leaf[there]])
    found = np.concatenate(places)
    order = np.lexsort((item[found], owner[found], tag[found], elements.row[inside[found]]))
    found = found[order]
    same = (item[found], owner[found], tag[found])
    last = np.ones(len(found), np.bool_)
    last[:-1] = np.logical_or.reduce([key[1:] != key[:-1] for key in same])
    found = found[last]
    return _Values(inside[found], owner[found], item[found], items)


def _ancestors(
    depth: npt.NDArray[np.uint8], owner: Int64s, level: int, index: Int64s
) -> tuple[Int64s, Bools]:
    """Ancestor of elements at a depth, and True for those that are in its first item."""
    last = np.maximum.accumulate(np.where(depth == level, np.arange(len(depth)), 0))[index]
    items = np.cumsum(depth == level + 1)
    return last, (items[index] - items[last] == 1) & (owner[last] == owner[index])


@dataclass(frozen=True, slots=True)
class _Parameter:
    """Parameter of the frames of one file."""

    row: int
    tag: int
    element: int
    """Element with the value of the first frame."""
    equal: bool
    """True if all frames have the same value."""


def _compare(
    elements: Elements, arena: Bytes, sequences: _Sequences, values: _Values, frames: Int64s
) -> Iterator[_Parameter]:
    """Parameters by row and tag; a shared value is that of the frames without one of their own."""
    shared = sequences.shared[values.sequence]
    kept = ~shared | (values.item == 0)  # the Shared sequence has one item
    index, shared, item = values.element[kept], shared[kept], values.item[kept]
    if not len(index):
        return
    row, tag = elements.row[index], elements.tag[index]
    begin = np.flatnonzero(np.append(True, (row[1:] != row[:-1]) | (tag[1:] != tag[:-1])))
    group = np.repeat(np.arange(len(begin)), np.diff(begin, append=len(index)))
    counts = np.add.reduceat((~shared).astype(np.int64), begin)
    complete = _count_complete(elements, sequences, values, frames)[row[begin]] == counts
    has_shared = np.logical_or.reduceat(shared, begin)
    texts = gather_bytes(arena, elements.start[index], _lengths(elements, arena, index))
    texts = texts.dictionary_encode()
    code = filled(texts.indices, 0)
    used = ~shared | ~complete[group]
    least = np.minimum.reduceat(np.where(used, code, len(code)), begin)
    equal = least == np.maximum.reduceat(np.where(used, code, -1), begin)
    equal &= complete | has_shared
    places = np.arange(len(index))
    first = np.maximum.reduceat(np.where(~shared & (item == 0), places, -1), begin)
    first = np.where(first < 0, np.maximum.reduceat(np.where(shared, places, -1), begin), first)
    end = np.append(begin[1:], len(index))
    for n in np.flatnonzero(~equal & (complete | has_shared)).tolist():
        if column_of(int(tag[begin[n]])).family in (DECIMAL, INTEGER):
            own = places[begin[n] : end[n]]
            codes = dict.fromkeys(code[own[used[own]]].tolist())
            equal[n] = _are_equal_numbers(texts.dictionary[one].as_py() for one in codes)
    columns = (row[begin], tag[begin], index[first], equal)
    yield from map(_Parameter, *(column.tolist() for column in columns))


def _count_complete(
    elements: Elements, sequences: _Sequences, values: _Values, frames: Int64s
) -> Int64s:
    """Values that a parameter of all frames has, per row; -1 if frames have no item."""
    counts = np.full(len(frames), -1)
    cut = elements.bits[sequences.first] & F_CLIPPED > 0
    whole = ~sequences.shared & ~cut & (values.items >= frames[sequences.row])
    counts[sequences.row[whole]] = values.items[whole]
    return counts


def _are_equal_numbers(texts: Iterable[bytes]) -> bool:
    """True if texts are the same numbers, however they are written."""
    try:
        numbers = (tuple(map(float, text.split(b"\\"))) for text in texts)
        first = next(numbers)
        return all(other == first for other in numbers)
    except ValueError:
        return False


def _add(
    elements: Elements, chosen: list[int], hidden: list[int], rows: int
) -> tuple[Elements, pa.ListArray]:
    """Elements with the chosen ones on the top level, where they hide others; columns per row."""
    row, tag = elements.row[chosen], elements.tag[chosen]
    names = array([column_of(int(one)).name for one in tag], pa.string())
    bounds = np.searchsorted(row, np.arange(rows + 1)).astype(np.int32)
    columns = pa.ListArray.from_arrays(array(bounds, pa.int32()), names)
    if chosen:
        depth = elements.depth.copy()
        depth[hidden], depth[chosen] = 1, 0
        elements = replace(elements, depth=depth)
    return elements, columns

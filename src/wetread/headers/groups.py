"""Columns of multi-frame images from their functional groups (PS3.3 C.7.6.16).

A parameter of the frames is in the Shared Functional Groups Sequence, or in every item of the
Per-frame one. It becomes an element of the top level, and so a column, if the data set has none of
its own: the shared value, or the one that is equal in all frames. All files of a block are treated
together.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, replace

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from wetread.common.arrays import array, filled, is_among, ranges
from wetread.headers.core.constants import DATE, DECIMAL, F_CLIPPED, INTEGER, TEXT
from wetread.headers.dictionary import TAG_OF
from wetread.headers.gather import gather_bytes, trim
from wetread.headers.macros import PATHS, PER_FRAME_GROUPS, SHARED_GROUPS, VARYING
from wetread.headers.schema import column_of
from wetread.headers.walks import Bytes, Elements, Int64s
from wetread.settings import Settings

_FRAMES = TAG_OF["NumberOfFrames"]
_VARYING = np.array(sorted(TAG_OF[name] for name in VARYING), np.uint32)
_SEQUENCES = np.array([SHARED_GROUPS, PER_FRAME_GROUPS], np.uint32)
_TAGS = np.array(sorted([*PATHS, _FRAMES]), np.uint32)
_TEXTS, _NUMBERS = (
    np.array([tag for tag in _TAGS.tolist() if column_of(tag).family in families], np.uint32)
    for families in ((TEXT, DECIMAL, INTEGER, DATE), (DECIMAL, INTEGER))
)
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
    chosen = hidden = np.zeros(0, np.int64)
    varying: dict[int, list[str]] = {}
    if len(sequences.first):
        own, empty = _find_own(elements, arena, sequences)
        values = _read(elements, arena, sequences, settings)
        frames = _count_frames(elements, arena, own, rows)
        first, equal = _compare(elements, arena, sequences, values, frames)
        chosen = first[equal & (_place_of(first, own, elements) < 0)]
        at = _place_of(chosen, empty, elements)
        hidden = np.where(at < 0, chosen, empty[at]) if len(empty) else chosen
        differ = first[~equal & is_among(elements.tag[first], _VARYING)]
        for row, tag in zip(
            elements.row[differ].tolist(), elements.tag[differ].tolist(), strict=True
        ):
            varying.setdefault(row, []).append(column_of(tag).name)
    per_frame = sequences.first[~sequences.shared]
    offset = dict(
        zip(elements.row[per_frame].tolist(), elements.offset[per_frame].tolist(), strict=True)
    )
    listed = [(row, offset[row], keywords) for row, keywords in varying.items()]
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
        first = np.flatnonzero(elements.tag >> 16 == PER_FRAME_GROUPS >> 16)
        first = first[is_among(elements.tag[first], _SEQUENCES) & (elements.depth[first] == 0)]
        row, shared = elements.row[first].astype(np.int64), elements.tag[first] == SHARED_GROUPS
        last = _last_of(row * 2 + shared)
        first, row, shared = first[last], row[last], shared[last]
        # The elements of a sequence follow it: a run of nested ones, whose numbers less their
        # places are equal.
        nested = np.flatnonzero(elements.depth > 0) if len(first) else first
        place, runs = np.searchsorted(nested, first + 1), nested - np.arange(len(nested))
        count = np.searchsorted(runs, first + 1 - place, side="right") - place
        return cls(first, first + 1 + count, row, shared)

    def inside(self) -> tuple[Int64s, Int64s]:
        """Elements in the sequences, and the number of the sequence of each."""
        owner = np.repeat(np.arange(len(self.first)), self.end - self.first - 1)
        return ranges(self.first + 1, self.end), owner


def _last_of(keys: Int64s) -> Int64s:
    """Places of the last one of every key, by the keys."""
    _, places = np.unique(keys[::-1], return_index=True)
    return len(keys) - 1 - places


def _keys(elements: Elements, index: Int64s) -> Int64s:
    """Row and tag of elements as one number."""
    return elements.row[index].astype(np.int64) << 32 | elements.tag[index]


def _find_own(elements: Elements, arena: Bytes, sequences: _Sequences) -> tuple[Int64s, Int64s]:
    """Elements of the top level beside sequences, with a value and without one, by `_keys`."""
    index = elements.of_rows(np.unique(sequences.row))
    index = index[is_among(elements.tag[index], _TAGS) & (elements.depth[index] == 0)]
    index = index[elements.start[index] >= 0]
    full = _lengths(elements, arena, index) > 0
    own, empty = (i[_last_of(_keys(elements, i))] for i in (index[full], index[~full]))
    return own, empty


def _place_of(index: Int64s, among: Int64s, elements: Elements) -> Int64s:
    """Place in `among`, elements by `_keys`, of one with the row and tag of each; -1 for none."""
    known, wanted = _keys(elements, among), _keys(elements, index)
    place = np.searchsorted(known, wanted)
    found: Int64s = np.where(np.append(known, -1)[place] == wanted, place, -1)
    return found


def _lengths(elements: Elements, arena: Bytes, index: Int64s) -> Int64s:
    """Lengths of values, of texts without padding."""
    length = elements.length[index]
    texts = is_among(elements.tag[index], _TEXTS)
    length[texts] = trim(arena, elements.start[index[texts]], length[texts])
    return length


def _count_frames(elements: Elements, arena: Bytes, own: Int64s, rows: int) -> Int64s:
    """Number of Frames of each row; 1 if it is absent or does not parse."""
    frames = np.ones(rows, np.int64)
    index = own[elements.tag[own] == _FRAMES]
    texts = gather_bytes(arena, elements.start[index], elements.length[index]).to_pylist()
    for row, text in zip(elements.row[index].tolist(), texts, strict=True):
        digits = text.strip(b" \0")
        frames[row] = int(digits) if digits.isdigit() and len(digits) < 16 else 1
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


def _compare(
    elements: Elements, arena: Bytes, sequences: _Sequences, values: _Values, frames: Int64s
) -> tuple[Int64s, Bools]:
    """The first frame's values by row and tag, and True for those that all frames have.

    A shared value is that of the frames without one of their own.
    """
    shared = sequences.shared[values.sequence]
    kept = ~shared | (values.item == 0)  # the Shared sequence has one item
    index, shared, item = values.element[kept], shared[kept], values.item[kept]
    if not len(index):
        return index, np.zeros(0, np.bool_)
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
    first = np.where(first < 0, begin, first)
    end = np.append(begin[1:], len(index))
    are_numbers = is_among(tag[begin], _NUMBERS) & ~equal & (complete | has_shared)
    known = texts.dictionary.to_pylist() if are_numbers.any() else []
    for n in np.flatnonzero(are_numbers).tolist():
        codes = code[begin[n] : end[n]][used[begin[n] : end[n]]]
        equal[n] = _are_equal_numbers(known[one] for one in dict.fromkeys(codes.tolist()))
    return index[first], equal


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
    elements: Elements, chosen: Int64s, hidden: Int64s, rows: int
) -> tuple[Elements, pa.ListArray]:
    """Elements with the chosen ones on the top level, where they hide others; columns per row."""
    row, tag = elements.row[chosen], elements.tag[chosen]
    names = array([column_of(int(one)).name for one in tag], pa.string())
    bounds = np.searchsorted(row, np.arange(rows + 1)).astype(np.int32)
    columns = pa.ListArray.from_arrays(array(bounds, pa.int32()), names)
    if len(chosen):
        depth = elements.depth.copy()
        depth[hidden], depth[chosen] = 1, 0
        elements = replace(elements, depth=depth)
    return elements, columns

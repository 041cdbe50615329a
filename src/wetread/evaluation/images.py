"""Matching of images: shared images of both sides, their parts and patient groups."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from wetread.boxes.consensus import check_readers
from wetread.boxes.table import is_undecided
from wetread.common.arrays import whole_array
from wetread.common.text import counted
from wetread.errors import UsageError
from wetread.evaluation.bootstrap import Flags, Ints

TRAIN = "train"


@dataclass(frozen=True)
class MatchedImages:
    """Evaluated images, numbered by name and frame."""

    names: tuple[str, ...]
    group: Ints
    """(images,): group number, from 0; an image without a group has one of its own."""
    expected: Ints
    """(rows of the ground truth,): image of each row, -1 if it is not evaluated."""
    predicted: Ints
    """(rows of the predictions,): image of each row, -1 if it is not evaluated."""
    part: NDArray[np.object_]
    """(images,): part of each image; empty without one."""
    notes: tuple[str, ...]
    """Notes for the result."""


def match_images(found: pa.Table, truth: pa.Table, allow_train: bool) -> MatchedImages:
    """Match the rows of two box tables on `image` if both have it, else on `key`.

    Raises:
        UsageError: predictions on images that are not in the ground truth or of the part "train",
            several readers per image, or ambiguous keys.
    """
    undecided = is_undecided(truth)
    number, seen, names = _number(found, truth, undecided)
    read = np.zeros(len(names), bool)
    read[number[~undecided]] = True
    decided = truth.filter(pa.array(~undecided)), number[~undecided]
    for side, table, rows in (("truth", *decided), ("predictions", found, seen)):
        frames = pa.nulls(len(rows), pa.int32())  # they are part of the names
        named = [pa.array(names, pa.string()).take(pa.array(rows)), frames, table["reader"]]
        check_readers(pa.table(named, ["image", "frame", "reader"]), side)
    judged, part, notes = _choose(found, truth, seen, number, names, allow_train)
    if unread := int((judged & ~read).sum()):
        note = (
            f"{counted(unread, 'image', 'are')} left out: no reader could decide (unsure, "
            f"bad image)"
        )
        judged, notes = judged & read, (*notes, note)
    given = _first((truth["group"], number), (found["group"], seen), count=len(names))[judged]
    if not any(given):
        notes = (*notes, "no patient groups are known: every image counts as one patient")
    own = [(0, group) if group else (1, place) for place, group in enumerate(given)]
    groups = {one: place for place, one in enumerate(dict.fromkeys(own))}
    again = np.where(judged, np.cumsum(judged) - 1, -1)
    return MatchedImages(
        tuple(name for name, chosen in zip(names, judged, strict=True) if chosen),
        np.array([groups[one] for one in own], np.int64),
        np.where(undecided, -1, again[number]),
        again[seen],
        part[judged],
        notes,
    )


def show_some(names: Iterable[str]) -> str:
    """Format the first three names.

    >>> show_some("abcd")
    'a, b, c, ...'
    """
    listed = list(names)
    return ", ".join([*listed[:3], *["..."][: len(listed) > 3]])


def _number(found: pa.Table, truth: pa.Table, undecided: Flags) -> tuple[Ints, Ints, list[str]]:
    """Image number of every row of both sides, and the sorted names of the images."""
    own = pc.coalesce(truth["image"], truth["key"])
    if own.null_count:
        raise UsageError(
            f"{counted(own.null_count, 'row of the ground truth', 'have')} neither image nor key"
        )
    keys = pa.table({"key": truth["key"], "name": own, "image": truth["image"]}).group_by("key")
    keys = keys.aggregate([("name", "min"), ("name", "max"), ("image", "max")])
    joined = pc.is_in(found["image"], value_set=_distinct(truth["image"]))
    at = pc.index_in(found["key"], value_set=keys["key"].combine_chunks(), skip_nulls=True)
    several = pc.not_equal(keys["name_min"], keys["name_max"]).take(at)
    several = pc.and_(pc.invert(joined), several).fill_null(False)
    if pc.any(several).as_py():
        examples = show_some(_distinct(found["key"].filter(several)).to_pylist())
        raise UsageError(
            f"ambiguous keys, each of several images: {examples}; join both sides first"
        )
    # If both sides are joined to different images, equal keys do not match.
    apart = pc.and_(found["image"].is_valid(), keys["image_max"].take(at).is_valid())
    by_key = pc.if_else(apart, pa.scalar(None, pa.string()), keys["name_min"].take(at))
    other = pc.if_else(joined, found["image"], by_key)
    if other.null_count:
        lost = found.filter(other.is_null())
        _refuse_unknown(
            _distinct(pc.coalesce(lost["key"], lost["image"])).to_pylist(), truth["key"][0].as_py()
        )
    names = _distinct(own).sort()
    frames = [_ints(table["frame"].fill_null(0)) for table in (truth, found)]
    step = 1 + max(int(frame.max(initial=0)) for frame in frames)
    codes = [_ints(pc.index_in(column, value_set=names)) for column in (own, other)]
    mine, theirs = (code * step + frame for code, frame in zip(codes, frames, strict=True))
    unread = np.setdiff1d(codes[0][undecided], codes[0][~undecided])  # on every frame
    units = np.union1d(mine, theirs[np.isin(codes[1], unread)])
    unknown = np.setdiff1d(theirs, units)

    def name(unit: int) -> str:
        return f"{names[unit // step]}" + f" frame {unit % step}" * (step > 1)

    if len(unknown):
        _refuse_unknown([name(unit) for unit in unknown.tolist()], name(units[0]))
    shown = [name(unit) for unit in units.tolist()] if step > 1 else names.to_pylist()
    return np.searchsorted(units, mine), np.searchsorted(units, theirs), shown


def _refuse_unknown(names: list[str], known: str | None) -> None:
    """Raise UsageError; `known` is the name of an image of the ground truth."""
    raise UsageError(
        f"{counted(len(names), 'image with predictions', 'are')} not in the ground truth: "
        f"{show_some(names)}; it "
        f"has {known}, for example. Names that differ by folder or suffix match with index=index; "
        'an image without findings needs a row of kind "nothing" in the ground truth'
    )


def _choose(
    found: pa.Table, truth: pa.Table, seen: Ints, number: Ints, names: list[str], allow_train: bool
) -> tuple[Flags, NDArray[np.object_], tuple[str, ...]]:
    """Mask of the evaluated images, all of every part with predictions; parts; notes."""
    part = _first((truth["part"], number), (found["part"], seen), count=len(names))
    train = part == TRAIN
    train[seen[_flags(pc.equal(found["part"], TRAIN))]] = True
    wrong = [names[image] for image in np.unique(seen[train[seen]])]
    if wrong and not allow_train:
        raise UsageError(
            f'{counted(len(wrong), "image with predictions", "are")} of the part "{TRAIN}" '
            f"({show_some(wrong)}): "
            "the score would be too high; leave them out, or pass allow_train=True"
        )
    inside = set(part[seen]) or (set(part) - {TRAIN})
    judged = np.isin(part.astype(str), sorted(inside))
    left = len(names) - int(judged.sum())
    listed = ", ".join(sorted(one or "no part" for one in inside))
    notes = (
        f"evaluated: {listed}; {counted(left, 'image of other parts', 'are')} left out",
    ) * bool(left)
    return judged, part, notes


def _first(*columns: tuple[pa.ChunkedArray, Ints], count: int) -> NDArray[np.object_]:
    """First non-null text of every image; empty if it has none."""
    first = np.full(count, "", object)
    for column, number in reversed(columns):
        valid = np.flatnonzero(_flags(column.is_valid()))
        images, rows = np.unique(number[valid], return_index=True)
        first[images] = column.take(pa.array(valid[rows])).to_pylist()
    return first


def _distinct(column: pa.ChunkedArray) -> pa.Array:
    distinct = pc.unique(column.drop_null())
    return whole_array(distinct)


def _ints(column: pa.ChunkedArray | pa.Array) -> Ints:
    return np.asarray(column).astype(np.int64)


def _flags(column: pa.ChunkedArray) -> Flags:
    return np.asarray(column.fill_null(False), bool)

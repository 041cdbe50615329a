"""Which images the two sides have in common, which of them count, and whose they are."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from wetread.boxes.consensus import check_readers
from wetread.errors import UsageError
from wetread.evaluation.bootstrap import Flags, Ints

TRAIN = "train"


@dataclass(frozen=True)
class Images:
    """The images that are judged, numbered in the order of their names, frame by frame."""

    names: tuple[str, ...]
    group: Ints
    """(images): the number of the group, from 0; an image without one is a group of its own."""
    expected: Ints
    """(rows of the truth): the row's image, -1 where it is not judged."""
    found: Ints
    """(rows of the predictions): the row's image."""
    notes: tuple[str, ...]


def match_images(found: pa.Table, truth: pa.Table, allow_train: bool) -> Images:
    """Matches the rows of two box tables on `image` where both have it, else on `key`.

    Raises:
        UsageError: predictions on images that the truth does not mention or of the part "train",
            several readers for one image, or keys that stand for several images.
    """
    number, seen, names = _number(found, truth)
    for side, table, rows in (("truth", truth, number), ("predictions", found, seen)):
        frames = pa.nulls(len(rows), pa.int32())  # the names say which
        named = [pa.array(names, pa.string()).take(pa.array(rows)), frames, table["reader"]]
        check_readers(pa.table(named, ["image", "frame", "reader"]), side)
    judged, notes = _choose(found, truth, seen, number, names, allow_train)
    given = _first((truth["group"], number), (found["group"], seen), count=len(names))[judged]
    if not any(given):
        notes = (*notes, "no groups are known: every image counts as a patient of its own")
    own = [(0, group) if group else (1, place) for place, group in enumerate(given)]
    groups = {one: place for place, one in enumerate(dict.fromkeys(own))}
    again = np.where(judged, np.cumsum(judged) - 1, -1)
    return Images(
        tuple(name for name, chosen in zip(names, judged, strict=True) if chosen),
        np.array([groups[one] for one in own], np.int64),
        again[number],
        again[seen],
        notes,
    )


def show_some(names: Iterable[str]) -> str:
    """Three of many names.

    >>> show_some("abcd")
    'a, b, c, ...'
    """
    listed = list(names)
    return ", ".join([*listed[:3], *["..."][: len(listed) > 3]])


def _number(found: pa.Table, truth: pa.Table) -> tuple[Ints, Ints, list[str]]:
    """The image of every row of the truth and of the predictions, and the images' names, sorted."""
    own = pc.coalesce(truth["image"], truth["key"])
    if own.null_count:
        raise UsageError(f"{own.null_count} rows of the truth name no image (image or key)")
    keys = pa.table({"key": truth["key"], "name": own, "image": truth["image"]}).group_by("key")
    keys = keys.aggregate([("name", "min"), ("name", "max"), ("image", "max")])
    joined = pc.is_in(found["image"], value_set=_distinct(truth["image"]))
    at = pc.index_in(found["key"], value_set=keys["key"].combine_chunks(), skip_nulls=True)
    several = pc.not_equal(keys["name_min"], keys["name_max"]).take(at)
    several = pc.and_(pc.invert(joined), several).fill_null(False)
    if pc.any(several).as_py():
        examples = show_some(_distinct(found["key"].filter(several)).to_pylist())
        raise UsageError(f"keys that stand for several images: {examples}; join both sides first")
    # Where both sides are joined and to different images, an equal key means nothing.
    apart = pc.and_(found["image"].is_valid(), keys["image_max"].take(at).is_valid())
    by_key = pc.if_else(apart, pa.scalar(None, pa.string()), keys["name_min"].take(at))
    other = pc.if_else(joined, found["image"], by_key)
    if other.null_count:
        lost = found.filter(other.is_null())
        _refuse_unknown(_distinct(pc.coalesce(lost["key"], lost["image"])).to_pylist())
    names = _distinct(own).sort()
    frames = [_ints(table["frame"].fill_null(0)) for table in (truth, found)]
    step = 1 + max(int(frame.max(initial=0)) for frame in frames)
    codes = [_ints(pc.index_in(column, value_set=names)) for column in (own, other)]
    mine, theirs = (code * step + frame for code, frame in zip(codes, frames, strict=True))
    units = np.unique(mine)
    unknown = np.setdiff1d(theirs, units)

    def name(unit: int) -> str:
        return f"{names[unit // step]}" + f" frame {unit % step}" * (step > 1)

    if len(unknown):
        _refuse_unknown([name(unit) for unit in unknown.tolist()])
    shown = [name(unit) for unit in units.tolist()] if step > 1 else names.to_pylist()
    return np.searchsorted(units, mine), np.searchsorted(units, theirs), shown


def _refuse_unknown(names: list[str]) -> None:
    raise UsageError(
        f"images with predictions that do not occur in the truth, {len(names)} of them: "
        f'{show_some(names)}; an image without findings needs a row of kind "nothing" there'
    )


def _choose(
    found: pa.Table, truth: pa.Table, seen: Ints, number: Ints, names: list[str], allow_train: bool
) -> tuple[Flags, tuple[str, ...]]:
    """Which images are judged: the whole of every part that a prediction is in."""
    part = _first((truth["part"], number), (found["part"], seen), count=len(names))
    train = part == TRAIN
    train[seen[_flags(pc.equal(found["part"], TRAIN))]] = True
    wrong = [names[image] for image in np.unique(seen[train[seen]])]
    if wrong and not allow_train:
        raise UsageError(
            f'{len(wrong)} images with predictions are of the part "{TRAIN}" ({show_some(wrong)}): '
            "a score on them promises too much; leave them out, or say allow_train=True"
        )
    inside = set(part[seen]) or (set(part) - {TRAIN})
    judged = np.isin(part.astype(str), sorted(inside))
    left = len(names) - int(judged.sum())
    listed = ", ".join(sorted(one or "of no part" for one in inside))
    return judged, (f"judged: {listed}; {left} images of other parts are left out",) * bool(left)


def _first(*columns: tuple[pa.ChunkedArray, Ints], count: int) -> NDArray[np.object_]:
    """For every image the first text that a row of it has; empty where none has."""
    first = np.full(count, "", object)
    for column, number in reversed(columns):
        valid = np.flatnonzero(_flags(column.is_valid()))
        images, rows = np.unique(number[valid], return_index=True)
        first[images] = column.take(pa.array(valid[rows])).to_pylist()
    return first


def _distinct(column: pa.ChunkedArray) -> pa.Array:
    distinct = pc.unique(column.drop_null())
    return distinct.combine_chunks() if isinstance(distinct, pa.ChunkedArray) else distinct


def _ints(column: pa.ChunkedArray | pa.Array) -> Ints:
    return np.asarray(column).astype(np.int64)


def _flags(column: pa.ChunkedArray) -> Flags:
    return np.asarray(column.fill_null(False), bool)

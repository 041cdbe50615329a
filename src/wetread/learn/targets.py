"""What is on each picture of a cache, as a truth says it."""

from __future__ import annotations

import warnings
from collections import defaultdict
from typing import TYPE_CHECKING, NamedTuple

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from wetread.boxes.consensus import check_readers
from wetread.boxes.join import joined
from wetread.boxes.kaggle import NOTHING
from wetread.errors import UnknownNameError, UsageError

if TYPE_CHECKING:
    from wetread.boxes.collection import Boxes
    from wetread.cache.cache import Cache


class Targets(NamedTuple):
    """The chosen pictures and their boxes, in the order of the cache."""

    classes: tuple[str, ...]
    rows: NDArray[np.int64]
    """(n,) rows of the cache."""
    starts: NDArray[np.int64]
    """(n + 1,): the boxes of item i are those from starts[i] up to starts[i + 1]."""
    corners: NDArray[np.float64]
    """(boxes, 4) x0, y0, x1, y1 in stored pixels."""
    numbers: NDArray[np.int64]
    """(boxes,) their classes, from 1."""
    presence: NDArray[np.float32]
    """(n, classes): 1 where a box or a point of the class is there."""


def choose(cache: Cache, truth: Boxes | None, part: str | None) -> Targets:
    """The pictures that a truth mentions, or all, and what is on them; see `Images`."""
    if truth is None:
        rows = _of_part(_parts(cache), part, np.arange(len(cache)))
        none = np.zeros(0, np.int64), np.zeros((len(rows), 0), np.float32)
        return Targets((), rows, np.zeros(len(rows) + 1, np.int64), np.zeros((0, 4)), *none)
    truth = joined(truth, cache.index)
    check_readers(truth.table)
    said = truth.table
    at, row = _places(cache, said)
    classes = find_classes(truth)
    kinds = np.asarray(said["kind"].to_pylist(), object)[at]
    numbers = {name: number for number, name in enumerate(classes, 1)}
    labels = said["label"].to_pylist()
    number = np.array([numbers.get(labels[place], 0) for place in at.tolist()], np.int64)
    number[kinds == "nothing"] = 0
    if unclear := int(((number == 0) & (kinds != "nothing")).sum()):
        raise UsageError(f"{unclear} boxes have no label, or one that says that nothing was found")
    parts = _agreed(_parts(cache), said["part"].to_pylist(), at, row)
    rows = _of_part(parts, part, np.unique(row))
    if not len(rows):
        raise UsageError(f"no image of the truth is in part {part!r}")
    item = np.searchsorted(rows, row).clip(0, len(rows) - 1)
    mine = (rows[item] == row) & (number > 0)
    presence = np.zeros((len(rows), len(classes)), np.float32)
    presence[item[mine], number[mine] - 1] = 1
    corners = truth.corners[at]
    boxes = mine & (kinds == "box") & _have_area(corners, kinds, mine)
    order = np.flatnonzero(boxes)[np.argsort(item[boxes], kind="stable")]
    starts = np.searchsorted(item[order], np.arange(len(rows) + 1))
    return Targets(classes, rows, starts, corners[order], number[order], presence)


def find_classes(truth: Boxes) -> tuple[str, ...]:
    """The labels of a truth in order, without those that say that nothing was found."""
    columns = (truth.table[name].to_pylist() for name in ("label", "kind"))
    nothing = {label for label, kind in zip(*columns, strict=True) if kind == "nothing"}
    return tuple(label for label in truth.labels if label not in nothing | {NOTHING})


def _places(cache: Cache, said: pa.Table) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Pairs of a row of the truth and a picture that it is about; no frame means every frame."""
    places: dict[str, list[int]] = defaultdict(list)
    columns = (cache.rows[name].to_pylist() for name in ("id", "frame"))
    frames: dict[tuple[str, int], int] = {}
    for place, (image, frame) in enumerate(zip(*columns, strict=True)):
        places[image].append(place)
        frames[image, frame] = place
    pairs: list[tuple[int, int]] = []
    lost = set()
    about = zip(*(said[name].to_pylist() for name in ("image", "key", "frame")), strict=True)
    for number, (image, key, frame) in enumerate(about):
        if frame is None:
            found = places.get(image, [])
        else:
            found = [frames[image, frame]] if (image, frame) in frames else []
        pairs += [(number, place) for place in found]
        if not found:
            lost.add((image or key, frame))
    if not pairs:
        raise UsageError("the truth is about no picture of the cache: join it to the same index")
    if lost:
        _warn(f"{len(lost)} images of the truth are not in the cache; see cache.left_out")
    at, row = np.array(pairs, np.int64).T
    return at, row


def _have_area(
    corners: NDArray[np.float64], kinds: NDArray[np.object_], mine: NDArray[np.bool_]
) -> NDArray[np.bool_]:
    """Which rows have an area; says how many of those that should have not."""
    flat = ~((corners[:, 0] < corners[:, 2]) & (corners[:, 1] < corners[:, 3]))
    if count := int((flat & mine & (kinds == "box")).sum()):
        _warn(f"{count} boxes without an area are left out; see boxes.check()")
    if count := int((mine & (kinds == "point")).sum()):
        _warn(f"{count} points have no extent: they count as labels of the image, not as boxes")
    return ~flat


def _parts(cache: Cache) -> list[str | None]:
    parts: list[str | None] = cache.rows["part"].to_pylist()
    return parts


def _agreed(
    parts: list[str | None],
    said: list[str | None],
    at: NDArray[np.int64],
    row: NDArray[np.int64],
) -> list[str | None]:
    """The part of every picture: as the truth has it, else as the index had it."""
    both = list(parts)
    for place, number in zip(row.tolist(), at.tolist(), strict=True):
        if (name := said[number]) is None:
            continue
        if parts[place] not in (None, name):
            raise UsageError(
                f"the truth has an image in part {name!r} that the cache has in {parts[place]!r}: "
                "split, join and prepare again (no picture is decoded again)"
            )
        both[place] = name
    return both


def _of_part(
    parts: list[str | None], part: str | None, rows: NDArray[np.int64]
) -> NDArray[np.int64]:
    if part is None:
        return rows
    known = sorted({name for name in parts if name is not None})
    if not known:
        raise UsageError(
            f"part {part!r}: no part is known; wr.split(index, boxes) first, then join and prepare"
        )
    if part not in known:
        raise UnknownNameError("part", part, known)
    chosen: NDArray[np.int64] = rows[[parts[row] == part for row in rows.tolist()]]
    return chosen


def _warn(text: str) -> None:
    warnings.warn(text, UserWarning, stacklevel=6)

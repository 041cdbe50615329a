"""Ground truth for each frame of a cache: boxes, class numbers, and labels of the image."""

from __future__ import annotations

import warnings
from collections import defaultdict
from typing import NamedTuple

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from wetread.boxes.collection import Boxes
from wetread.boxes.consensus import check_readers
from wetread.boxes.join import joined
from wetread.boxes.kaggle import NOTHING
from wetread.cache.cache import Cache
from wetread.common.text import counted
from wetread.errors import UnknownNameError, UsageError

NO_PARTS = (
    "no image has a part: call wr.split(index, boxes) before wr.prepare (which decodes no image "
    "again), or cache.split(boxes)"
)


class Targets(NamedTuple):
    """Selected frames and their boxes, in the order of the cache."""

    classes: tuple[str, ...]
    rows: NDArray[np.int64]
    """(n,): row numbers in the cache."""
    starts: NDArray[np.int64]
    """(n + 1,): the boxes of item i are starts[i] to starts[i + 1], exclusive."""
    corners: NDArray[np.float64]
    """(boxes, 4): x0, y0, x1, y1 in stored pixels."""
    numbers: NDArray[np.int64]
    """(boxes,): class numbers, from 1."""
    presence: NDArray[np.float32]
    """(n, classes): 1 if the item has a box or a point of the class."""


def select_targets(cache: Cache, truth: Boxes | None, part: str | None) -> Targets:
    """Frames that the ground truth mentions, or all, and their boxes; see `CacheDataset`.

    Boxes to ignore are no targets of a detector.
    """
    if truth is None:
        rows = _select_part(_parts(cache), part, np.arange(len(cache)))
        none = np.zeros(0, np.int64), np.zeros((len(rows), 0), np.float32)
        return Targets((), rows, np.zeros(len(rows) + 1, np.int64), np.zeros((0, 4)), *none)
    truth = joined(truth, cache.index)
    check_readers(truth.table)
    table = truth.table
    box, row = _pair_frames(cache, table)
    classes = find_classes(truth)
    kinds = np.asarray(table["kind"].to_pylist(), object)[box]
    numbers = {name: number for number, name in enumerate(classes, 1)}
    labels = table["label"].to_pylist()
    number = np.array([numbers.get(labels[i], 0) for i in box.tolist()], np.int64)
    number[kinds == "nothing"] = 0
    if unlabelled := int(((number == 0) & (kinds != "nothing")).sum()):
        raise UsageError(
            f'{counted(unlabelled, "box", "have")} no label, or the label of "no finding": '
            f"Boxes.check() lists "
            "boxes without a label, Boxes.select() removes rows"
        )
    parts = _merge_parts(_parts(cache), table["part"].to_pylist(), box, row)
    rows = _select_part(parts, part, np.unique(row))
    if not len(rows):
        raise UsageError(f"no image of the ground truth is in part {part!r}")
    item = np.searchsorted(rows, row).clip(0, len(rows) - 1)
    selected = (rows[item] == row) & (number > 0)
    presence = np.zeros((len(rows), len(classes)), np.float32)
    presence[item[selected], number[selected] - 1] = 1
    corners = truth.corners[box]
    ignored = np.asarray(table["ignore"].to_pylist(), bool)[box]
    boxes = selected & (kinds == "box") & ~ignored & _have_area(corners, kinds, selected)
    order = np.flatnonzero(boxes)[np.argsort(item[boxes], kind="stable")]
    starts = np.searchsorted(item[order], np.arange(len(rows) + 1))
    return Targets(classes, rows, starts, corners[order], number[order], presence)


def find_classes(truth: Boxes) -> tuple[str, ...]:
    """Labels of the ground truth in order, without those that mean "no finding"."""
    columns = (truth.table[name].to_pylist() for name in ("label", "kind"))
    nothing = {label for label, kind in zip(*columns, strict=True) if kind == "nothing"}
    return tuple(label for label in truth.labels if label not in nothing | {NOTHING})


def _pair_frames(cache: Cache, boxes: pa.Table) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Pairs (row of the boxes, row of the cache); a box without a frame is on every frame."""
    rows: dict[str, list[int]] = defaultdict(list)
    columns = (cache.rows[name].to_pylist() for name in ("id", "frame"))
    frames: dict[tuple[str, int], int] = {}
    for row, (image, frame) in enumerate(zip(*columns, strict=True)):
        rows[image].append(row)
        frames[image, frame] = row
    pairs: list[tuple[int, int]] = []
    missing = set()
    keys = zip(*(boxes[name].to_pylist() for name in ("image", "key", "frame")), strict=True)
    for number, (image, key, frame) in enumerate(keys):
        if frame is None:
            matches = rows.get(image, [])
        else:
            matches = [frames[image, frame]] if (image, frame) in frames else []
        pairs += [(number, row) for row in matches]
        if not matches:
            missing.add((image or key, frame))
    if not pairs:
        raise UsageError("no image of the ground truth is in the cache: join it to its index")
    if missing:
        _warn(
            f"{counted(len(missing), 'image of the ground truth', 'are')} not in the cache; "
            f"see cache.left_out"
        )
    box, row_numbers = np.array(pairs, np.int64).T
    return box, row_numbers


def _have_area(
    corners: NDArray[np.float64], kinds: NDArray[np.object_], selected: NDArray[np.bool_]
) -> NDArray[np.bool_]:
    """Boolean mask of boxes with an area; warns about selected boxes without one."""
    flat = ~((corners[:, 0] < corners[:, 2]) & (corners[:, 1] < corners[:, 3]))
    if count := int((flat & selected & (kinds == "box")).sum()):
        _warn(f"{counted(count, 'box without an area', 'are')} left out; see boxes.check()")
    if count := int((selected & (kinds == "point")).sum()):
        _warn(f"{counted(count, 'point')} without an extent: labels of the image, not boxes")
    return ~flat


def _parts(cache: Cache) -> list[str | None]:
    parts: list[str | None] = cache.rows["part"].to_pylist()
    return parts


def _merge_parts(
    cached: list[str | None],
    boxes: list[str | None],
    box: NDArray[np.int64],
    row: NDArray[np.int64],
) -> list[str | None]:
    """Part of every frame: that of its boxes, else that of the cache."""
    parts = list(cached)
    for i, number in zip(row.tolist(), box.tolist(), strict=True):
        if (name := boxes[number]) is not None:
            check_part(name, cached[i])
            parts[i] = name
    return parts


def check_part(boxes: str, cached: str | None) -> None:
    """Raise UsageError if an image has another part in the ground truth than in the cache."""
    if cached not in (None, boxes):
        raise UsageError(
            f"an image is in part {boxes!r} in the ground truth and {cached!r} in the cache: "
            "split, join and prepare again (no image is decoded again)"
        )


def _select_part(
    parts: list[str | None], part: str | None, rows: NDArray[np.int64]
) -> NDArray[np.int64]:
    if part is None:
        return rows
    known = sorted({name for name in parts if name is not None})
    if not known:
        raise UsageError(f"part {part!r}: {NO_PARTS}")
    if part not in known:
        raise UnknownNameError("part", part, known)
    selected: NDArray[np.int64] = rows[[parts[row] == part for row in rows.tolist()]]
    return selected


def _warn(text: str) -> None:
    warnings.warn(text, UserWarning, stacklevel=6)

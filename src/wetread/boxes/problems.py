"""Problems of boxes: list them, never repair them."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator, Mapping
from typing import TYPE_CHECKING, Any

import numpy as np

from wetread.boxes.join import find_padded, joined, named_rows
from wetread.boxes.sizes import Size, image_sizes
from wetread.boxes.table import CHANGED, CONFLICTING, CORNERS, UNREADABLE, BoxTable
from wetread.common.text import counted
from wetread.errors import BOX_PROBLEMS
from wetread.table.query import query

if TYPE_CHECKING:
    import pandas as pd

    from wetread.table.rows import IndexRows

COLUMNS = ("code", "severity", "image", "key", "label", "reader", "text")
_FEW_IMAGES, _FEW_READERS = 10, 3
"""Minimum images (per reader), and minimum readers, for READER_OUTLIER and BOX_CORNER."""
_FAR = 3.0
"""Standard deviations (estimated from the median absolute deviation) that make an outlier."""
Row = dict[str, Any]
Problem = tuple[str, Row, str]


def check_boxes(boxes: BoxTable, index: IndexRows | None = None) -> pd.DataFrame:
    """Problems of boxes, one row per problem: code, severity, image, key, label, reader, text.

    Args:
        boxes: boxes, joined to the index or not.
        index: images; without it, checks of image names and sizes are skipped.

    >>> from wetread.boxes import Boxes
    >>> boxes = Boxes.from_columns({"key": ["a"], "label": ["ILD"], "x0": [5], "y0": [5],
    ...     "x1": [5], "y1": [9]})
    >>> boxes.check()["code"].tolist()
    ['BOX_EMPTY']
    """
    if index is not None:
        boxes = joined(boxes, index)
    rows = boxes.table.to_pylist()
    problems = [*_check_corners(rows), *_check_readings(rows), *_check_labels(boxes)]
    problems += _find_outliers(rows)
    if index is not None:
        problems += _check_images(rows, index)
    return list_problems(problems)


def list_problems(problems: Iterable[Problem]) -> pd.DataFrame:
    """Problems as a DataFrame, in the order of BOX_PROBLEMS."""
    import pandas as pd

    table = [
        (code, BOX_PROBLEMS[code].severity, *(row.get(n) for n in COLUMNS[2:6]), text)
        for code, row, text in problems
    ]
    frame = pd.DataFrame(table, columns=list(COLUMNS), dtype=object)
    order = {code: number for number, code in enumerate(BOX_PROBLEMS)}
    return frame.sort_values("code", key=lambda c: c.map(order), kind="stable", ignore_index=True)


def _check_corners(rows: list[Row]) -> Iterator[Problem]:
    for row in rows:
        x0, y0, x1, y1 = (row[name] for name in CORNERS)
        if CONFLICTING in row["flags"]:
            yield "BOX_CONFLICT", row, "open the image in the viewer to resolve it"
        if row["kind"] == "nothing":
            if x0 is not None:
                yield "NOTHING_AND_BOX", row, "the row itself has a box"
            continue
        reasons = [flag for flag in row["flags"] if flag.startswith(UNREADABLE)]
        if row["label"] is None and not reasons:
            yield "BOX_UNLABELLED", row, f"a {row['kind']} without a class"
        if reasons:
            yield "BOX_UNREADABLE", row, reasons[0].removeprefix(UNREADABLE)
        elif None in (x0, y0, x1, y1):
            yield "BOX_EMPTY", row, "no coordinates"
        elif row["kind"] == "box" and (x1 <= x0 or y1 <= y0):
            yield "BOX_EMPTY", row, f"{x1 - x0:g} x {y1 - y0:g} pixels"


def _check_readings(rows: list[Row]) -> Iterator[Problem]:
    """Problems within the rows of one reader on one frame."""
    readings: dict[tuple[Any, ...], list[Row]] = defaultdict(list)
    for row in rows:
        readings[row["key"], row["frame"], row["reader"]].append(row)
    for reading in readings.values():
        boxes = [row for row in reading if row["kind"] == "box"]
        nothing = any(row["kind"] == "nothing" for row in reading)
        if nothing and boxes and boxes[0]["score"] is None:
            yield "NOTHING_AND_BOX", reading[0], counted(len(boxes), "box")
        by_corners: dict[tuple[float, ...], list[Row]] = defaultdict(list)
        for row in boxes:
            by_corners[tuple(row[name] for name in CORNERS)].append(row)
        for corners, equal in by_corners.items():
            if None not in corners and len(equal) > 1:
                yield from _check_equal(equal)


def _check_equal(rows: list[Row]) -> Iterator[Problem]:
    """Problems of boxes of one reader with equal coordinates."""
    counts = Counter(row["label"] or "" for row in rows)
    if len(counts) > 1:
        yield "TWO_LABELS", rows[0], ", ".join(sorted(counts))
    for label, count in sorted(counts.items()):
        if count > 1:
            yield "BOX_TWICE", rows[0], f"{label}, {count} times"


def _check_labels(boxes: BoxTable) -> Iterator[Problem]:
    spellings: dict[str, list[str]] = defaultdict(list)
    for label in boxes.labels:
        spellings["".join(c for c in label.casefold() if c.isalnum())].append(label)
    for variants in spellings.values():
        if len(variants) > 1:
            yield "LABEL_SPELLING", {"label": variants[0]}, ", ".join(map(repr, variants))
    ids = Counter(id_ for id_, _ in boxes.classes)
    names = Counter(name for _, name in boxes.classes)
    for id_, name in boxes.classes:
        if max(ids[id_], names[name]) > 1:
            yield "CLASS_CLASH", {"label": name}, f"id {id_}"


def _find_outliers(rows: list[Row]) -> Iterator[Problem]:
    """Find readers whose number of boxes per image is far from the median reader's."""
    counts: dict[str, dict[Any, int]] = defaultdict(lambda: defaultdict(int))
    for row in rows:
        if row["reader"] is not None and row["score"] is None:
            counts[row["reader"]][row["key"], row["frame"]] += row["kind"] == "box"
    means = {r: np.mean([*n.values()]) for r, n in counts.items() if len(n) >= _FEW_IMAGES}
    if len(means) < _FEW_READERS:
        return
    median = np.median([*means.values()])
    spread = 1.4826 * np.median([abs(mean - median) for mean in means.values()])
    for reader, mean in sorted(means.items()):
        if abs(mean - median) > max(_FAR * spread, median / 2):
            text = f"{mean:.2f} boxes per image, the median reader {median:.2f}"
            yield "READER_OUTLIER", {"reader": reader}, text


def _check_images(rows: list[Row], index: IndexRows) -> Iterator[Problem]:
    sizes = image_sizes(index)
    sql = "SELECT id, path, NumberOfFrames FROM index WHERE pixel_length IS NOT NULL"
    images = {image["id"]: image for image in query(index, sql).to_pylist()}
    changed = {row["image"]: row for row in reversed(rows) if CHANGED in row["flags"]}
    for row in reversed(changed.values()):
        yield "IMAGE_CHANGED", row, "its file has another size than at the last annotation"
    unmatched: dict[str, None] = {}
    for row in rows:
        if row["image"] is None:
            unmatched[row["key"]] = None
        elif row["image"] in sizes and (text := _outside(row, sizes[row["image"]])):
            yield "BOX_OUTSIDE", row, text
        elif row["frame"] and row["frame"] >= (
            frames := images.get(row["image"], {}).get("NumberOfFrames") or row["frame"] + 1
        ):
            yield "BOX_OUTSIDE", row, f"frame {row['frame']} (counted from 0) of {frames}"
    yield from _check_scale(rows, sizes)
    padded = find_padded(filter(None, unmatched), named_rows(index)) if unmatched else {}
    for key in unmatched:
        hint = f"; {padded[key]!r} has leading zeros" if key in padded else ""
        yield "NO_FILE", {"key": key}, f"no image of the index has this key{hint}"
    labelled = {row["image"] for row in rows}
    for id_, image in images.items():
        if id_ not in labelled:
            yield "NO_LABEL", {"image": id_, "key": image["path"]}, "no row in the label file"


def _check_scale(rows: list[Row], sizes: Mapping[str, Size]) -> Iterator[Problem]:
    """Boxes that are all in one corner, as percentages and pixels of smaller copies are."""
    ends: dict[str, list[bool]] = defaultdict(list)
    for row in rows:
        if row["kind"] == "box" and row["image"] in sizes and None not in (row["x1"], row["y1"]):
            height, width = sizes[row["image"]]
            ends[row["image"]].append(row["x1"] <= width / 2 and row["y1"] <= height / 2)
    if len(ends) >= _FEW_IMAGES and all(map(all, ends.values())):
        text = (
            f"{counted(sum(map(len, ends.values())), 'box')} on "
            f"{counted(len(ends), 'image')}; give image_size="
        )
        yield "BOX_CORNER", {}, text + " if they are percentages or pixels of smaller copies"


def _outside(row: Row, size: Size) -> str:
    rows, columns = size
    corners = [row[name] for name in CORNERS]
    if None in corners:
        return ""
    x0, y0, x1, y1 = corners
    inside = min(x0, x1) >= 0 and min(y0, y1) >= 0 and max(x0, x1) <= columns
    if inside and max(y0, y1) <= rows:
        return ""
    return f"{x0:g}, {y0:g}, {x1:g}, {y1:g} in {columns} x {rows} pixels"

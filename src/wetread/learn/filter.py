"""The "normal" filter: a classifier that says where a detector had better say nothing."""

from __future__ import annotations

from itertools import pairwise
from typing import Any, NamedTuple

import numpy as np
import pyarrow as pa

from wetread.boxes.collection import Boxes
from wetread.boxes.table import BOX_SCHEMA
from wetread.errors import UsageError
from wetread.evaluation import evaluate

METRIC = "vinbigdata"


class Thresholds(NamedTuple):
    """The filter's two, and what they come to on the images that they were chosen on."""

    low: float
    high: float
    value: float | None = None
    """By the metric `vinbigdata`."""
    before: float | None = None
    """The same without a filter."""


def filter_normal(boxes: Boxes, classified: Boxes, low: float, high: float) -> Boxes:
    """Boxes of a detector after the rule that VinBigData's competitors published.

    With p, the classifier's probability that an image has any finding: below `low` the image has
    nothing but "no finding", with a score of 1 (`14 1 0 0 1 1`); from `low` to below `high` it has
    that beside its boxes, with the score p (`14 p 0 0 1 1`; p, not 1 - p: so it was published, and
    thresholds are chosen for it); from `high` on it keeps its boxes alone.

    Args:
        boxes: of a detector.
        classified: of a classifier, whose rows "nothing" have a score: 1 - p.
        low: threshold.
        high: threshold, `low` or more.

    Raises:
        UsageError: thresholds the wrong way round, or an image that was not classified.

    >>> found = Boxes.from_columns({"key": ["a", "b"], "label": ["ILD"] * 2, "x0": [0, 0],
    ...     "y0": [0, 0], "x1": [9, 9], "y1": [9, 9], "score": [0.5, 0.5]})
    >>> said = Boxes.from_columns({"key": ["a", "b"], "kind": ["nothing"] * 2, "score": [0.9, 0.2]})
    >>> [(r["key"], r["kind"]) for r in filter_normal(found, said, 0.3, 0.5).table.to_pylist()]
    [('a', 'nothing'), ('b', 'box')]
    """
    if not low <= high:
        raise UsageError(f"low must not be above high, as {low} and {high} are")
    chance = probabilities(classified, joined=not boxes.table["image"].null_count)
    rows: list[dict[str, Any]] = []
    done = set()
    for row in boxes.table.to_pylist():
        name = row["image" if "image" in chance.by else "key"], row["frame"] or 0
        if name not in chance.values:
            raise UsageError(f"image {row['key']!r} was not classified: predict it with both runs")
        p = chance.values[name]
        if low <= p and row["kind"] != "nothing":
            rows.append(row)
        if name in done:
            continue
        empty = {**dict.fromkeys(BOX_SCHEMA.names), "kind": "nothing"}
        empty |= {key: row[key] for key in ("image", "key", "frame", "group", "part")}
        if p < low:
            rows.append({**empty, "score": 1.0})
        elif p < high:
            rows.append({**empty, "score": p})
        elif row["kind"] == "nothing":
            rows.append(row)
        done.add(name)
    columns = {name: [row[name] for row in rows] for name in BOX_SCHEMA.names}
    return Boxes.from_columns(columns, boxes.classes, boxes.run, boxes.dialect)


class Chances(NamedTuple):
    """How probable any finding is."""

    by: str
    """The column that names images."""
    values: dict[tuple[str, int], float]
    """By image and frame."""


def probabilities(classified: Boxes, joined: bool = True) -> Chances:
    """How probable a classifier holds any finding, by image."""
    table = classified.table.filter(pa.array(_is_nothing(classified)))
    by = "image" if joined and not table["image"].null_count else "key"
    if table["score"].null_count or not len(table):
        raise UsageError(
            'these are no predictions of a classifier: their rows "nothing" have no score'
        )
    columns = (table[name].to_pylist() for name in (by, "frame", "score"))
    return Chances(by, {(n, frame or 0): 1 - s for n, frame, s in zip(*columns, strict=True)})


def choose_thresholds(boxes: Boxes, classified: Boxes, truth: Boxes, steps: int = 12) -> Thresholds:
    """The thresholds of best `vinbigdata` score, the lowest of equal ones.

    Candidates lie between the probabilities that occur, at most `steps` of them, so that each
    changes something; choose on images that neither model learnt from.

    Args:
        boxes: of the detector.
        classified: of the classifier, on the same images.
        truth: of the same images.
        steps: candidates for each threshold.
    """
    found = np.unique(list(probabilities(classified).values.values()))
    between = np.array([(a + b) / 2 for a, b in pairwise(found)])
    chosen = between[np.unique(np.linspace(0, len(between) - 1, steps).round().astype(int))]
    tried = [0.0, *(chosen.tolist() if len(between) else []), 1.0]
    before = evaluate(boxes, truth, METRIC, resamples=0).value
    best = Thresholds(0.0, 0.0, before, before)
    for number, low in enumerate(tried):
        for high in tried[number:]:
            made = filter_normal(boxes, classified, low, high)
            value = evaluate(made, truth, METRIC, resamples=0).value
            if value is not None and value > (best.value or 0.0):
                best = Thresholds(low, high, value, before)
    return best


def _is_nothing(boxes: Boxes) -> Any:
    return np.asarray(boxes.table["kind"]) == "nothing"

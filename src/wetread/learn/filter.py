"""The "normal" filter: a classifier that removes false positives from normal images."""

from __future__ import annotations

from itertools import pairwise
from typing import NamedTuple

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from wetread.boxes.collection import Boxes
from wetread.boxes.table import make_table
from wetread.common.text import counted
from wetread.errors import UsageError
from wetread.evaluation import evaluate

METRIC = "vinbigdata"


class Thresholds(NamedTuple):
    """Thresholds of the filter, and the score on the images that they were chosen on."""

    low: float
    high: float
    value: float | None = None
    """Score by the metric `vinbigdata`."""
    before: float | None = None
    """Score without the filter."""


def filter_normal(boxes: Boxes, classified: Boxes, low: float, high: float) -> Boxes:
    """Filter the boxes of a detector by the rule published by VinBigData's competitors.

    With p, the classifier's probability that an image has any finding: below `low` the image has
    only "no finding", with a score of 1 (`14 1 0 0 1 1`); from `low` to below `high` it has that
    and its boxes, with the score p (`14 p 0 0 1 1`; p, not 1 - p, as published, and thresholds
    are chosen for it); from `high` on it has its boxes only.

    Args:
        boxes: predictions of a detector.
        classified: predictions of a classifier; the score of its rows "nothing" is 1 - p.
        low: lower threshold.
        high: upper threshold, at least `low`.

    Raises:
        UsageError: `low` above `high`, or an image that was not classified.

    >>> boxes = Boxes.from_columns({"key": ["a", "b"], "label": ["ILD"] * 2, "x0": [0, 0],
    ...     "y0": [0, 0], "x1": [9, 9], "y1": [9, 9], "score": [0.5, 0.5]})
    >>> classified = Boxes.from_columns(
    ...     {"key": ["a", "b"], "kind": ["nothing"] * 2, "score": [0.9, 0.2]})
    >>> rows = filter_normal(boxes, classified, 0.3, 0.5).table.to_pylist()
    >>> [(row["key"], row["kind"]) for row in rows]
    [('b', 'box'), ('a', 'nothing')]
    """
    if not low <= high:
        raise UsageError(f"low must not be above high, as {low} and {high} are")
    table = boxes.table
    by = "key" if table["image"].null_count else "image"
    probability = probabilities(classified, by)
    names = list(zip(table[by].to_pylist(), _frames(table), strict=True))
    unknown = [name for name in dict.fromkeys(names) if name not in probability]
    if unknown:
        raise UsageError(
            f"{counted(len(unknown), 'image', 'were')} not classified, such as "
            f"{unknown[0][0]!r}: predict the "
            "same images with both runs"
        )
    p = np.array([probability[name] for name in names], np.float64)
    nothing = _is_nothing(table)
    kept = table.filter(pa.array(np.where(nothing, p >= high, p >= low)))
    rows = {name: row for row, name in reversed([*enumerate(names)])}  # first row per image
    first = np.array(sorted(rows.values()), np.int64)
    first = first[p[first] < high]
    images = table.take(pa.array(first))
    columns = {name: images[name] for name in ("image", "key", "frame", "group", "part")}
    scores = np.where(p[first] < low, 1.0, p[first])
    added = make_table({**columns, "kind": ["nothing"] * len(first), "score": scores})
    filtered = pa.concat_tables([kept.replace_schema_metadata(None), added])
    return Boxes(filtered.replace_schema_metadata(table.schema.metadata))


def probabilities(classified: Boxes, by: str) -> dict[tuple[str, int], float]:
    """Probability of any finding by (image or key, frame), from a classifier."""
    table = classified.table.filter(pa.array(_is_nothing(classified.table)))
    if table["score"].null_count or not len(table):
        raise UsageError('not predictions of a classifier: their rows "nothing" have no score')
    columns = table[by].to_pylist(), _frames(table), table["score"].to_pylist()
    return {(name, frame): 1 - score for name, frame, score in zip(*columns, strict=True)}


def choose_thresholds(boxes: Boxes, classified: Boxes, truth: Boxes, steps: int = 12) -> Thresholds:
    """Choose the thresholds of the best `vinbigdata` score; of equal ones the lowest.

    Candidates are the midpoints between the observed probabilities, at most `steps` of them. Use
    images that neither model was trained on.

    Args:
        boxes: predictions of the detector.
        classified: predictions of the classifier, on the same images.
        truth: ground truth of the same images.
        steps: maximum number of candidates per threshold.
    """
    observed = np.unique(list(probabilities(classified, "key").values()))
    between = np.array([(a + b) / 2 for a, b in pairwise(observed)])
    sample = between[np.unique(np.linspace(0, len(between) - 1, steps).round().astype(int))]
    candidates = [0.0, *(sample.tolist() if len(between) else []), 1.0]
    before = evaluate(boxes, truth, METRIC, resamples=0).value
    best = Thresholds(0.0, 0.0, before, before)
    for number, low in enumerate(candidates):
        for high in candidates[number:]:
            value = _score(filter_normal(boxes, classified, low, high), truth)
            if value is not None and value > (best.value or 0.0):
                best = Thresholds(low, high, value, before)
    return best


def _score(boxes: Boxes, truth: Boxes) -> float | None:
    """Score, or None if no image of the ground truth has predictions."""
    try:
        return evaluate(boxes, truth, METRIC, resamples=0).value
    except UsageError:
        return None


def _frames(table: pa.Table) -> list[int]:
    frames: list[int] = table["frame"].fill_null(0).to_pylist()
    return frames


def _is_nothing(table: pa.Table) -> NDArray[np.bool_]:
    flags: NDArray[np.bool_] = np.asarray(table["kind"].to_pylist(), object) == "nothing"
    return flags

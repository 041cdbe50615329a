"""The "normal" filter: a classifier that says where a detector had better say nothing."""

from __future__ import annotations

from itertools import pairwise
from typing import NamedTuple

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from wetread.boxes.collection import Boxes
from wetread.boxes.table import make_table
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
    [('b', 'box'), ('a', 'nothing')]
    """
    if not low <= high:
        raise UsageError(f"low must not be above high, as {low} and {high} are")
    table = boxes.table
    by = "key" if table["image"].null_count else "image"
    chance = probabilities(classified, by)
    names = list(zip(table[by].to_pylist(), _frames(table), strict=True))
    unknown = [name for name in dict.fromkeys(names) if name not in chance]
    if unknown:
        raise UsageError(
            f"{len(unknown)} images were not classified, such as {unknown[0][0]!r}: predict the "
            "same images with both runs"
        )
    p = np.array([chance[name] for name in names], np.float64)
    nothing = _is_nothing(table)
    kept = table.filter(pa.array(np.where(nothing, p >= high, p >= low)))
    rows = {name: row for row, name in reversed([*enumerate(names)])}  # of each image the first
    first = np.array(sorted(rows.values()), np.int64)
    said = first[p[first] < high]
    whose = table.take(pa.array(said))
    columns = {name: whose[name] for name in ("image", "key", "frame", "group", "part")}
    scores = np.where(p[said] < low, 1.0, p[said])
    added = make_table({**columns, "kind": ["nothing"] * len(said), "score": scores})
    made = pa.concat_tables([kept.replace_schema_metadata(None), added])
    return Boxes(made.replace_schema_metadata(table.schema.metadata))


def probabilities(classified: Boxes, by: str) -> dict[tuple[str, int], float]:
    """How probable a classifier holds any finding, by image (or key) and frame."""
    table = classified.table.filter(pa.array(_is_nothing(classified.table)))
    if table["score"].null_count or not len(table):
        raise UsageError(
            'these are no predictions of a classifier: their rows "nothing" have no score'
        )
    columns = table[by].to_pylist(), _frames(table), table["score"].to_pylist()
    return {(name, frame): 1 - score for name, frame, score in zip(*columns, strict=True)}


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
    found = np.unique(list(probabilities(classified, "key").values()))
    between = np.array([(a + b) / 2 for a, b in pairwise(found)])
    chosen = between[np.unique(np.linspace(0, len(between) - 1, steps).round().astype(int))]
    tried = [0.0, *(chosen.tolist() if len(between) else []), 1.0]
    before = evaluate(boxes, truth, METRIC, resamples=0).value
    best = Thresholds(0.0, 0.0, before, before)
    for number, low in enumerate(tried):
        for high in tried[number:]:
            value = _score(filter_normal(boxes, classified, low, high), truth)
            if value is not None and value > (best.value or 0.0):
                best = Thresholds(low, high, value, before)
    return best


def _score(boxes: Boxes, truth: Boxes) -> float | None:
    """None where nothing is left that the truth knows."""
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

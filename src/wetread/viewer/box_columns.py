"""Columns of the boxes for filters, facets and orders, aligned to the rows of an index.

A filter joins the rows with their boxes: `label = 'Nodule' AND reader = 'R1'` selects the images
with a nodule drawn by R1. Predictions below the minimum score take no part, as on the image.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from wetread.boxes.table import CORNERS
from wetread.viewer.filter import BOX, NUMBER
from wetread.viewer.ids import Ids
from wetread.viewer.marks import BoxesByImage, Marks

OUTCOMES = ("TP", "FP", "FN")
"""Values of the column `outcome`; null for the boxes of readers."""
_NAMES = pa.dictionary(pa.int32(), pa.string())
_SCHEMA = pa.schema(
    [
        (NUMBER, pa.uint32()),
        ("label", _NAMES),
        ("reader", _NAMES),
        ("score", pa.float64()),
        ("outcome", _NAMES),
        ("frame", pa.int32()),
        *((corner, pa.float64()) for corner in CORNERS),
    ]
)
NO_BOXES = pa.table({NUMBER: pa.array([], pa.uint32()), BOX: pa.array([], pa.uint32())})
_OUTLINES = 100
"""Maximum number of outlines on a thumbnail."""
Numbers = NDArray[np.int64]


class BoxColumns(NamedTuple):
    """Boxes and their images at one IoU and minimum score."""

    boxes: pa.Table
    """The boxes, sorted by row: `NUMBER`, label, reader, score, outcome, frame, corners, `BOX`."""
    images: pa.Table
    """For every row of the index: `boxes`, the number of the readers' boxes; `disagreement` of the
    readers; `missed`, the number of false negatives; `false_positive`, the highest score of one."""

    def outlines(self, rows: NDArray[np.uint32]) -> list[list[list[Any]]]:
        """x0, y0, x1, y1 and outcome or reader of the boxes on the first frame of some rows."""
        numbers = self.boxes[NUMBER].to_numpy()
        starts, ends = (np.searchsorted(numbers, rows, side) for side in ("left", "right"))
        ranges = zip(starts.tolist(), ends.tolist(), strict=True)
        return [_outlines(self.boxes.slice(at, min(end - at, _OUTLINES))) for at, end in ranges]


def _outlines(boxes: pa.Table) -> list[list[Any]]:
    names = pc.coalesce(*(boxes[name].cast(pa.string()) for name in ("outcome", "reader")))
    columns = (boxes[name].to_pylist() for name in CORNERS)
    first = pc.equal(boxes["frame"].fill_null(0), 0).to_pylist()
    rows = zip(*columns, names.to_pylist(), first, strict=True)
    return [[*box, name or ""] for *box, name, shown in rows if shown and None not in box]


def make_columns(
    rows: int,
    find: Callable[[Ids], Numbers],
    place: Callable[[BoxesByImage], Numbers],
    marks: Marks,
    iou: float,
    score: float,
) -> BoxColumns:
    """Build the columns of the boxes of an index.

    Args:
        rows: number of rows of the index.
        find: row number of each id, -1 for none.
        place: row number of each box, likewise, cached.
        marks: the boxes.
        iou: minimum IoU of a match.
        score: minimum score of a prediction.
    """
    truth, predictions = marks.truth, marks.predictions
    drawn, predicted = place(truth), place(predictions)
    outcome = np.full(len(predicted), -1)
    shown = predictions.scores >= score
    counts = np.bincount(drawn[(drawn >= 0) & truth.positive], minlength=rows).astype(np.int32)
    images = {"boxes": pa.array(counts), "disagreement": _spread(rows, find, marks, iou)}
    parts = [_part(truth, drawn, np.full(len(drawn), -1))]
    if marks.judging:
        expected = marks.ground_truth()
        judged = marks.judge(iou, score)
        outcome[judged.predicted] = np.where(judged.hit, 0, np.where(judged.counted, 1, -1))
        at = place(expected)[judged.missed]
        parts.append(_missed(expected, at, judged.missed))
        missed = np.bincount(at[at >= 0], judged.misses[at >= 0], rows).astype(np.int32)
        images["missed"] = pa.array(missed)
        wrong = judged.predicted[judged.counted & ~judged.hit]
        images["false_positive"] = _highest(rows, predicted[wrong], predictions.scores[wrong])
    parts.insert(1, _part(predictions, np.where(shown, predicted, -1), outcome))
    table = pa.concat_tables(parts).unify_dictionaries().combine_chunks()
    table = table.take(pa.array(np.argsort(table[NUMBER].to_numpy(), kind="stable")))
    table = table.append_column(BOX, pa.array(np.arange(len(table), dtype=np.uint32)))
    return BoxColumns(table, pa.table(images))


def _part(boxes: BoxesByImage, at: Numbers, outcome: Numbers) -> pa.Table:
    """The boxes that have a row, in the columns of `_SCHEMA`."""
    known = pa.array(at >= 0)
    rows = boxes.boxes.table.filter(known)
    outcome = outcome[at >= 0]
    columns = {
        NUMBER: pa.array(at[at >= 0].astype(np.uint32)),
        "label": rows["label"].dictionary_encode().cast(_NAMES),
        "reader": rows["reader"].dictionary_encode().cast(_NAMES),
        "score": rows["score"],
        "outcome": _outcomes(outcome),
        **{name: rows[name] for name in ("frame", *CORNERS)},
    }
    return pa.table(columns, schema=_SCHEMA)


def _missed(expected: BoxesByImage, at: Numbers, missed: Numbers) -> pa.Table:
    """One box per image and label with false negatives, without corners: readers drew them."""
    known = at >= 0
    count = int(known.sum())
    labels = expected.boxes.table["label"].take(pa.array(missed[known]))
    columns = {
        NUMBER: pa.array(at[known].astype(np.uint32)),
        "label": labels.dictionary_encode().cast(_NAMES),
        "outcome": _outcomes(np.full(count, 2)),
    }
    arrays = [columns.get(field.name, pa.nulls(count, field.type)) for field in _SCHEMA]
    return pa.table(arrays, schema=_SCHEMA)


def _outcomes(codes: Numbers) -> pa.DictionaryArray:
    indices = pa.array(codes.astype(np.int32), mask=codes < 0)
    return pa.DictionaryArray.from_arrays(indices, pa.array(OUTCOMES))


def _spread(rows: int, find: Callable[[Ids], Numbers], marks: Marks, iou: float) -> pa.Array:
    """Disagreement of the readers of every row; null for fewer than two readers."""
    ids, values = marks.disagreement(iou)
    at = find(ids)
    spread = np.full(rows, np.nan, np.float32)
    spread[at[at >= 0]] = values[at >= 0]
    return pa.array(spread, from_pandas=True)


def _highest(rows: int, at: Numbers, scores: NDArray[np.float64]) -> pa.Array:
    """Highest score of every row; null without one."""
    highest = np.full(rows, -np.inf)
    np.maximum.at(highest, at[at >= 0], scores[at >= 0])
    return pa.array(highest.astype(np.float32), mask=highest == -np.inf)

"""Columns of the boxes for filters, facets and orders, aligned to the rows of an index.

A filter joins the rows with their boxes: `label = 'Nodule' AND reader = 'R1'` selects the images
with a nodule drawn by R1. Predictions below the minimum score take no part, as on the image.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import cached_property, partial
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from wetread.boxes.table import BOX_SCHEMA, CORNERS
from wetread.viewer.filter import BOX, NUMBER
from wetread.viewer.ids import Ids
from wetread.viewer.marks import BoxesByImage, Marks
from wetread.viewer.memo import memoize

OUTCOMES = ("TP", "FP", "FN")
"""Values of the column `outcome`; null for the boxes of readers."""
_TYPES: dict[str, pa.DataType] = {
    **{f.name: f.type for f in BOX_SCHEMA if f.name != "image"},
    "outcome": pa.string(),
}
COLUMNS = tuple(_TYPES)
"""Columns of the boxes; `id`, of the image, is added for a query."""
_OF_MISSED = ("frame", "label", "kind", "ignore", "part")
"""Columns of a missed box: one of the readers' boxes tells the rest."""
NO_BOXES = pa.table({NUMBER: pa.array([], pa.uint32()), BOX: pa.array([], pa.uint32())})
_OUTLINES = 100
"""Maximum number of outlines on a thumbnail."""
Numbers = NDArray[np.int64]


class JoinedBoxes:
    """Boxes at one IoU, sorted by row: of the readers, predicted, and all that may be missed.

    One matching serves every minimum score: `BoxColumns` selects from these boxes.

    Args:
        rows: number of rows of the index.
        find: row number of each id, -1 for none.
        place: row number of each box, likewise, cached.
        marks: the boxes.
        iou: minimum IoU of a match.
    """

    def __init__(
        self,
        rows: int,
        find: Callable[[Ids], Numbers],
        place: Callable[[BoxesByImage], Numbers],
        marks: Marks,
        iou: float,
    ) -> None:
        self.rows = rows
        truth, predictions = marks.truth, marks.predictions
        drawn, predicted = place(truth), place(predictions)
        counts = np.bincount(drawn[(drawn >= 0) & truth.positive], minlength=rows)
        self.counts = pa.array(counts.astype(np.int32))
        self._spread = partial(_spread, rows, find, marks, iou)
        self.highest_wrong = np.full(rows, np.nan)
        """Highest score of a false positive of each row of the index; NaN without one."""
        sides, at = [truth.boxes.table, predictions.boxes.table], [drawn, predicted]
        outcome = [np.full(len(numbers), -1) for numbers in at]
        scores = [np.full(len(drawn), np.inf), predictions.scores]
        if marks.judging:
            matched, merged = marks.match(iou), marks.ground_truth()
            codes = np.where(matched.hit, 0, np.where(matched.counted, 1, -1))
            outcome[1][matched.predicted] = codes
            wrong = matched.predicted[codes == 1]
            wrong = wrong[predicted[wrong] >= 0]
            np.fmax.at(self.highest_wrong, predicted[wrong], predictions.scores[wrong])
            at.append(place(merged)[matched.expected])
            sides.append(merged.boxes.table.select(_OF_MISSED).take(pa.array(matched.expected)))
            outcome.append(np.full(len(matched.expected), 2))
            scores.append(matched.found)
        numbers = np.concatenate(at)
        order = np.argsort(numbers, kind="stable")
        self._sides, self._order = sides, order[np.searchsorted(numbers[order], 0) :]
        self._outcome = np.concatenate(outcome)[self._order].astype(np.int32)
        self.numbers = numbers[self._order].astype(np.uint32)
        """Row number of each box, ascending."""
        self.missed: NDArray[np.bool_] = self._outcome == 2
        self.score = np.concatenate(scores)[self._order]
        """Highest minimum score at which each box is shown; a missed one is above it."""
        self.predicted = (self._order >= len(drawn)) & ~self.missed
        self.column = memoize(self._read, len(COLUMNS))

    @cached_property
    def disagreement(self) -> pa.Array:
        """Disagreement of the readers of each row; null for fewer than two readers."""
        return self._spread()

    def _read(self, name: str) -> pa.Array:
        """Values of one of `COLUMNS`, texts as a dictionary."""
        if name == "outcome":
            indices = pa.array(self._outcome, mask=self._outcome < 0)
            return pa.DictionaryArray.from_arrays(indices, pa.array(OUTCOMES))
        type_ = _TYPES[name]
        parts = [
            side[name].cast(type_).combine_chunks()
            if name in side.column_names
            else pa.nulls(len(side), type_)
            for side in self._sides
        ]
        values = pa.chunked_array(parts, type_)
        if pa.types.is_string(type_):
            values = values.dictionary_encode()
        return values.combine_chunks().take(pa.array(self._order))


class BoxColumns:
    """Boxes and their images at one IoU and minimum score."""

    def __init__(self, joined: JoinedBoxes, score: float) -> None:
        self._joined = joined
        self._shown = (joined.score >= score) ^ joined.missed
        self._score = score

    def image_column(self, name: str) -> pa.Array:
        """Column for every row of the index.

        `boxes`, the number of the readers' boxes; `disagreement` of the readers; `missed`, the
        number of false negatives; `false_positive`, the highest score of one.
        """
        joined = self._joined
        if name == "boxes":
            return joined.counts
        if name == "disagreement":
            return joined.disagreement
        if name == "missed":
            missed = joined.numbers[joined.missed & self._shown]
            return pa.array(np.bincount(missed, minlength=joined.rows).astype(np.int32))
        highest = joined.highest_wrong
        return pa.array(highest, mask=~(highest >= self._score))

    def select(self, names: Sequence[str], boxes: NDArray[np.uint32] | None = None) -> pa.Table:
        """`NUMBER`, `BOX` and columns of the boxes shown, or of some `boxes`, sorted by row."""
        if boxes is None:
            boxes = np.flatnonzero(self._shown).astype(np.uint32)
        at = pa.array(boxes)
        columns = {name: self._joined.column(name).take(at) for name in names}
        return pa.table({NUMBER: self._joined.numbers[boxes], BOX: at, **columns})

    def count_hidden(self, rows: NDArray[np.uint32]) -> dict[str, Any]:
        """Number of predictions on some rows, how many are not shown, and their highest score."""
        joined = self._joined
        scores = joined.score[joined.predicted & np.isin(joined.numbers, rows, kind="table")]
        below = scores[scores < self._score]
        highest = float(below.max()) if len(below) else None
        return {"predictions": len(scores), "hidden": len(below), "highest": highest}

    def outlines(self, rows: NDArray[np.uint32]) -> list[list[list[Any]]]:
        """x0, y0, x1, y1 and outcome or reader of the boxes on the first frame of some rows."""
        numbers = self._joined.numbers
        starts, ends = (np.searchsorted(numbers, rows, side) for side in ("left", "right"))
        found = []
        for start, end in zip(starts.tolist(), ends.tolist(), strict=True):
            shown = start + np.flatnonzero(self._shown[start:end])[:_OUTLINES]
            boxes = self.select(("outcome", "reader", "frame", *CORNERS), shown.astype(np.uint32))
            found.append(_outlines(boxes))
        return found


def _outlines(boxes: pa.Table) -> list[list[Any]]:
    names = pc.coalesce(*(boxes[name].cast(pa.string()) for name in ("outcome", "reader")))
    columns = (boxes[name].to_pylist() for name in CORNERS)
    first = pc.equal(boxes["frame"].fill_null(0), 0).to_pylist()
    rows = zip(*columns, names.to_pylist(), first, strict=True)
    return [[*box, name or ""] for *box, name, shown in rows if shown and None not in box]


def _spread(rows: int, find: Callable[[Ids], Numbers], marks: Marks, iou: float) -> pa.Array:
    """Disagreement of the readers of every row; null for fewer than two readers."""
    ids, values = marks.disagreement(iou)
    at = find(ids)
    spread = np.full(rows, np.nan, np.float32)
    spread[at[at >= 0]] = values[at >= 0]
    return pa.array(spread, from_pandas=True)

"""Predictions and truth as arrays: what every metric judges, and what it makes of it."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from wetread.boxes.table import CORNERS
from wetread.errors import UsageError
from wetread.evaluation.bootstrap import Floats, Ints
from wetread.evaluation.images import match_images, show_some

if TYPE_CHECKING:
    from wetread.boxes.collection import Boxes

STUDY = "_study"
"""How SIIM-COVID's ids of studies end, which are no images."""
NOTHING_BOX = (0.0, 0.0, 1.0, 1.0)
"""What the competitions give to an image where nothing was found."""


@dataclass(frozen=True)
class Side:
    """The boxes of one side: by image, label and falling score, whatever order they came in."""

    image: Ints
    label: Ints
    box: Floats
    """(n, 4): x0, y0, x1, y1, edge coordinates."""
    score: Floats

    def __len__(self) -> int:
        return len(self.image)


@dataclass(frozen=True)
class Cases:
    """What is judged. Images, labels and groups are numbers that count from 0."""

    labels: tuple[str, ...]
    """Those that occur on either side, in the order of the classes."""
    group: Ints
    """(images): the group of each, its patient where that is known."""
    found: Side
    truth: Side
    notes: tuple[str, ...] = ()

    @property
    def images(self) -> int:
        """How many there are."""
        return len(self.group)

    def of_label(self, side: Side) -> list[Ints]:
        """For every label the places of its boxes on a side."""
        order = np.argsort(side.label, kind="stable")
        starts = np.searchsorted(side.label[order], np.arange(1, len(self.labels)))
        return np.split(order, starts)


@dataclass(frozen=True)
class Judgement:
    """What a metric makes of cases."""

    figure: str
    """What the number of a label is called: `ap`, `cpm`, ..."""
    score: Callable[[Floats], Floats]
    """The figure of each label when each image counts so many times; NaN without truth."""
    columns: Mapping[str, NDArray[Any]] = field(default_factory=dict)
    """What else there is to say of each label."""
    details: Mapping[str, Any] = field(default_factory=dict)
    """What else there is to say of all."""


def read_cases(
    predictions: Boxes,
    truth: Boxes,
    nothing: str | None = None,
    points: bool = False,
    allow_train: bool = False,
    fill: bool = False,
) -> Cases:
    """Brings the two sides together; `evaluate` says what is refused.

    Args:
        predictions: with a score for every box.
        truth: one opinion an image.
        nothing: the label that rows of kind "nothing" get, with the box `NOTHING_BOX`; None leaves
            them out.
        points: whether rows of kind "point" have a meaning here.
        allow_train: judge images of the part "train" too.
        fill: an image without a row in the predictions is one where nothing was found.
    """
    images = match_images(predictions.table, truth.table, allow_train)
    labels = _list_labels(predictions, truth, nothing)
    wanted = {"box", *["point"][: int(points)], *["nothing"][: nothing is not None]}
    silent = np.zeros(0, np.int64)
    if fill and nothing is not None:
        shown = [number for number, name in enumerate(images.names) if not name.endswith(STUDY)]
        silent = np.setdiff1d(np.array(shown, np.int64), images.found)
    notes = images.notes
    if len(silent):
        said = f"{len(silent)} images without a prediction count as nothing found"
        notes = (*notes, f"{said}, as in a submission")
    sides = []
    for name, boxes, number, added in (
        ("truth", truth, images.expected, silent[:0]),
        ("predictions", predictions, images.found, silent),
    ):
        _check_kinds(name, boxes.table, points)
        kept = np.asarray(pc.is_in(boxes.table["kind"], value_set=pa.array(sorted(wanted))))
        kept &= number >= 0
        table = boxes.table.filter(pa.array(kept))
        sides.append(_read_side(name, table, number[kept], labels, nothing, added))
    expected, found = sides
    occurs = np.union1d(found.label, expected.label)
    have, want = ({labels[i] for i in np.unique(s.label)} - {nothing} for s in (found, expected))
    if have and want and not have & want:
        raise UsageError(
            f"no label in common: the predictions have {show_some(sorted(have))}; "
            f"the truth has {show_some(sorted(want))}"
        )
    for side in sides:
        side.label[:] = np.searchsorted(occurs, side.label)
    return Cases(tuple(labels[i] for i in occurs), images.group, found, expected, notes)


def _list_labels(predictions: Boxes, truth: Boxes, nothing: str | None) -> list[str]:
    """Every label that may occur, in the order of the classes."""
    names = [*truth.labels, *predictions.labels]
    last = [] if nothing is None else [nothing]
    return list(dict.fromkeys([*(name for name in names if name != nothing), *last]))


def _check_kinds(name: str, table: pa.Table, points: bool) -> None:
    count = pc.sum(pc.equal(table["kind"], "point")).as_py() or 0
    if count and not points:
        raise UsageError(
            f"{count} rows of the {name} are points, which overlap nothing; "
            'judge them with metric="classification" or leave them out'
        )
    boxes = table.filter(pc.equal(table["kind"], "box"))
    corners = _columns(boxes, CORNERS)
    wrong = ~np.isfinite(corners).all(axis=1) | (corners[:, :2] > corners[:, 2:]).any(axis=1)
    if name == "predictions":
        wrong |= ~np.isfinite(_columns(boxes, ["score"])[:, 0])
    wrong |= np.asarray(boxes["label"].is_null())
    if wrong.any():
        example = boxes.slice(int(wrong.argmax()), 1).to_pylist()[0]
        shown = {k: example[k] for k in ("image", "key", "label", *CORNERS, "score")}
        raise UsageError(
            f"{int(wrong.sum())} boxes of the {name} lack a label, a finite coordinate or (in "
            f"predictions) a finite score, or end before they begin, for example {shown}"
        )


def _read_side(
    name: str,
    table: pa.Table,
    image: Ints,
    labels: list[str],
    nothing: str | None,
    silent: Ints,
) -> Side:
    """The rows as arrays, sorted by all that they are; and one "nothing" on each silent image."""
    label = pc.if_else(
        pc.equal(table["kind"], "nothing"), pa.scalar(nothing, pa.string()), table["label"]
    )
    number = np.asarray(pc.index_in(label, value_set=pa.array(labels, pa.string()))).astype(
        np.int64
    )
    box = _columns(table, CORNERS)
    score = _columns(table, ["score"])[:, 0]
    empty = np.asarray(pc.equal(table["kind"], "nothing"), bool)
    box[empty] = NOTHING_BOX
    if name == "truth":
        score = np.ones(len(score))
        again = np.ones(len(score), bool)  # an image where nothing is found says so once
        again[np.flatnonzero(empty)[np.unique(image[empty], return_index=True)[1]]] = False
        kept = ~(again & empty)
        image, number, box, score = image[kept], number[kept], box[kept], score[kept]
    else:
        score[empty & np.isnan(score)] = 1.0
    if len(silent):
        assert nothing is not None
        image = np.concatenate([image, silent])
        number = np.concatenate([number, np.full(len(silent), labels.index(nothing))])
        box = np.vstack([box, np.tile(NOTHING_BOX, (len(silent), 1))])
        score = np.concatenate([score, np.ones(len(silent))])
    order = np.lexsort((*box.T[::-1], -score, number, image))
    return Side(image[order], number[order], box[order], score[order])


def _columns(table: pa.Table, names: Any) -> Floats:
    """(rows, names), NaN for null."""
    return np.stack([table[name].to_numpy().astype(np.float64) for name in names], axis=1)

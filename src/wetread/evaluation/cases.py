"""Predictions and ground truth as arrays: the input of every metric, and its output."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from typing import TYPE_CHECKING, Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from wetread.boxes.table import CORNERS
from wetread.common.text import counted
from wetread.errors import UsageError
from wetread.evaluation.bootstrap import Flags, Floats, Ints
from wetread.evaluation.images import match_images, show_some

if TYPE_CHECKING:
    from wetread.boxes.collection import Boxes

STUDY = "_study"
"""Suffix of the study ids of SIIM-COVID."""
NOTHING_BOX = (0.0, 0.0, 1.0, 1.0)
"""Box of an image without findings, as in the competitions."""


@dataclass(frozen=True)
class Side:
    """Boxes of the predictions or the ground truth, sorted by image, label and falling score."""

    image: Ints
    label: Ints
    box: Floats
    """(n, 4): x0, y0, x1, y1, edge coordinates."""
    score: Floats
    ignore: Flags
    """Ground truth that is not a target; a prediction on it is neither right nor wrong."""

    def __len__(self) -> int:
        return len(self.image)


@dataclass(frozen=True)
class Cases:
    """Predictions and ground truth; images, labels and groups are numbers from 0."""

    labels: tuple[str, ...]
    """Labels of both sides, in the order of the classes."""
    group: Ints
    """(images,): group of each image, its patient if known."""
    predicted: Side
    truth: Side
    names: tuple[str, ...] = ()
    """(images,): id or key of each image, with the frame if images have several."""
    part: NDArray[np.object_] = field(default_factory=lambda: np.zeros(0, object))
    """(images,): part of each image; empty without one."""
    notes: tuple[str, ...] = ()

    @property
    def images(self) -> int:
        """Number of images."""
        return len(self.group)

    def of_label(self, side: Side) -> list[Ints]:
        """Indices of the boxes of each label."""
        order = np.argsort(side.label, kind="stable")
        starts = np.searchsorted(side.label[order], np.arange(1, len(self.labels)))
        return np.split(order, starts)

    def select(self, images: Flags) -> Cases:
        """Cases of some images, by a mask; the labels stay."""
        number = np.where(images, np.cumsum(images) - 1, -1)

        def select(side: Side) -> Side:
            kept = images[side.image]
            image = number[side.image[kept]]
            return Side(
                image, side.label[kept], side.box[kept], side.score[kept], side.ignore[kept]
            )

        group = np.unique(self.group[images], return_inverse=True)[1]
        names = tuple(name for name, kept in zip(self.names, images, strict=True) if kept)
        predicted, truth = select(self.predicted), select(self.truth)
        part = self.part[images]
        return Cases(self.labels, group, predicted, truth, names, part, self.notes)


@dataclass(frozen=True)
class Curve:
    """Predictions of one label by falling score: boxes, or images.

    Those of equal score enter together, as at any threshold, so a curve depends neither on the
    order of rows nor on the names of images; unless `tied` is False.
    """

    image: Ints
    """(n,): image of each prediction."""
    score: Floats
    """(n,): score of each, falling."""
    hit: Floats
    """(n, m): 1 if it is a true positive, for each of m matchings."""
    truth: Ints
    """(t,): image of every ground-truth box that is a target, or every positive image."""
    counted: Floats = field(default_factory=lambda: np.ones((1, 1)))
    """(n, m), (n, 1) or (1, 1): 0 if the prediction is neither right nor wrong."""
    tied: bool = True
    """False if predictions of equal score enter one after the other, as in COCO's kit."""

    @cached_property
    def known(self) -> Flags:
        """(n,): predictions that are right or wrong, in the first matching."""
        return np.broadcast_to(self.counted[:, 0] > 0, self.score.shape)

    @cached_property
    def ends(self) -> Ints:
        """(k,): last prediction of every score, or all of them."""
        if not self.tied:
            return np.arange(len(self.score))
        return np.flatnonzero(np.append(self.score[1:] != self.score[:-1], len(self.score) > 0))

    def count(self, weights: Floats) -> tuple[Floats, Floats, float]:
        """Weighted hits (k, m) and predictions (k, m or 1) down to every score, and ground truth.

        Args:
            weights: (images,): weight of each image.
        """
        weight = weights[self.image][:, None]
        hits, boxes = (
            np.cumsum(weight * one, axis=0)[self.ends] for one in (self.hit, self.counted)
        )
        return hits, boxes, float(weights[self.truth].sum())


@dataclass(frozen=True)
class Scores:
    """Output of a metric."""

    name: str
    """Name of the score of a label: `ap`, `cpm`, ..."""
    score: Callable[[Floats], Floats]
    """Score of each label from the weights of the images; NaN without ground truth."""
    columns: Mapping[str, NDArray[Any]] = field(default_factory=dict)
    """Further columns, one value per label."""
    curves: Sequence[Curve] = ()
    """Predictions of each label by falling score, with hits."""
    by_image: bool = False
    """True if the predictions of the curves are images, not boxes."""
    details: Mapping[str, Any] = field(default_factory=dict)
    """Further values over all labels."""


def read_cases(
    predictions: Boxes,
    truth: Boxes,
    nothing: str | None = None,
    points: bool = False,
    allow_train: bool = False,
    fill: bool = False,
) -> Cases:
    """Match predictions and ground truth; `evaluate` lists the errors.

    Args:
        predictions: boxes with scores.
        truth: ground truth, one set of boxes per image.
        nothing: label of rows of kind "nothing", which get the box `NOTHING_BOX`; None drops them.
        points: True accepts rows of kind "point".
        allow_train: evaluate images of the part "train" too.
        fill: True adds a row "nothing" to images without predictions.
    """
    images = match_images(predictions.table, truth.table, allow_train)
    labels = _list_labels(predictions, truth, nothing)
    kinds = {"box", *["point"][: int(points)], *["nothing"][: nothing is not None]}
    empty = np.zeros(0, np.int64)
    if fill and nothing is not None:
        real = [number for number, name in enumerate(images.names) if not name.endswith(STUDY)]
        empty = np.setdiff1d(np.array(real, np.int64), images.predicted)
    notes = images.notes
    if len(empty):
        note = (
            f"{counted(len(empty), 'image without a prediction', 'count')} as nothing "
            f"found, as in a submission"
        )
        notes = (*notes, note)
    sides = []
    for name, boxes, number, added in (
        ("truth", truth, images.expected, empty[:0]),
        ("predictions", predictions, images.predicted, empty),
    ):
        _check_kinds(name, boxes.table, points)
        selected = np.asarray(pc.is_in(boxes.table["kind"], value_set=pa.array(sorted(kinds))))
        selected &= number >= 0
        table = boxes.table.filter(pa.array(selected))
        sides.append(_read_side(name, table, number[selected], labels, nothing, added))
    expected, predicted = sides
    used = np.union1d(predicted.label, expected.label)
    ours, theirs = ({labels[i] for i in np.unique(s.label)} - {nothing} for s in reversed(sides))
    if ours and theirs and not ours & theirs:
        raise UsageError(
            f"no label in common: the predictions have {show_some(sorted(ours))}; "
            f"the ground truth has {show_some(sorted(theirs))}"
        )
    if ignored := int(expected.ignore.sum()):
        note = (
            f"{counted(ignored, 'box to ignore', 'are')} no target, and predictions on "
            f"them do not count"
        )
        notes = (*notes, note)
    for side in sides:
        side.label[:] = np.searchsorted(used, side.label)
    names = tuple(labels[i] for i in used)
    return Cases(names, images.group, predicted, expected, images.names, images.part, notes)


def _list_labels(predictions: Boxes, truth: Boxes, nothing: str | None) -> list[str]:
    """All labels of both sides, in the order of the classes."""
    names = [*truth.labels, *predictions.labels]
    last = [] if nothing is None else [nothing]
    return list(dict.fromkeys([*(name for name in names if name != nothing), *last]))


def _check_kinds(name: str, table: pa.Table, points: bool) -> None:
    count = pc.sum(pc.equal(table["kind"], "point")).as_py() or 0
    if count and not points:
        raise UsageError(
            f"{counted(count, f'row of the {name}', 'are')} points, which have no area; "
            'use metric="classification" or leave them out'
        )
    boxes = table.filter(pc.equal(table["kind"], "box"))
    corners = _columns(boxes, CORNERS)
    invalid = ~np.isfinite(corners).all(axis=1) | (corners[:, :2] > corners[:, 2:]).any(axis=1)
    if name == "predictions":
        scored = np.isfinite(_columns(boxes, ["score"])[:, 0])
        if len(scored) and not scored.any():
            raise UsageError(
                "the predictions have no finite score: add a column score, or exchange predictions "
                "and ground truth if they are swapped"
            )
        invalid |= ~scored
    invalid |= np.asarray(boxes["label"].is_null())
    if invalid.any():
        example = boxes.slice(int(invalid.argmax()), 1).to_pylist()[0]
        shown = {k: example[k] for k in ("image", "key", "label", *CORNERS, "score")}
        raise UsageError(
            f"{counted(int(invalid.sum()), f'box of the {name}', 'lack')} a label, a finite "
            f"coordinate or (in "
            f"predictions) a finite score, or have inverted edges, for example {shown}"
        )


def _read_side(
    name: str,
    table: pa.Table,
    image: Ints,
    labels: list[str],
    nothing: str | None,
    added: Ints,
) -> Side:
    """Rows as sorted arrays, with a box "nothing" added to each image in `added`."""
    label = pc.if_else(
        pc.equal(table["kind"], "nothing"), pa.scalar(nothing, pa.string()), table["label"]
    )
    number = np.asarray(pc.index_in(label, value_set=pa.array(labels, pa.string()))).astype(
        np.int64
    )
    box = _columns(table, CORNERS)
    score = _columns(table, ["score"])[:, 0]
    ignore = np.array(table["ignore"].to_pylist(), bool)
    empty = np.asarray(pc.equal(table["kind"], "nothing"), bool)
    box[empty] = NOTHING_BOX
    if name == "truth":
        score = np.ones(len(score))
        repeated = np.ones(len(score), bool)  # one row "nothing" per image
        repeated[np.flatnonzero(empty)[np.unique(image[empty], return_index=True)[1]]] = False
        unique = ~(repeated & empty)
        columns = (image, number, box, score, ignore)
        image, number, box, score, ignore = (column[unique] for column in columns)
    else:
        ignore[:] = False
        score[empty & np.isnan(score)] = 1.0
    if len(added):
        assert nothing is not None
        image = np.concatenate([image, added])
        number = np.concatenate([number, np.full(len(added), labels.index(nothing))])
        box = np.vstack([box, np.tile(NOTHING_BOX, (len(added), 1))])
        score = np.concatenate([score, np.ones(len(added))])
        ignore = np.concatenate([ignore, np.zeros(len(added), bool)])
    order = np.lexsort((*box.T[::-1], -score, number, image))
    return Side(image[order], number[order], box[order], score[order], ignore[order])


def _columns(table: pa.Table, names: Any) -> Floats:
    """Array (rows, names), NaN for null."""
    return np.stack([table[name].to_numpy().astype(np.float64) for name in names], axis=1)

"""Synthetic ground-truth boxes and predictions, from a seed."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from wetread.boxes.collection import Boxes
from wetread.headers.schema import CORE, unify
from wetread.table.merge import conform
from wetread.table.rows import IndexRows

SIDE = 2000
"""Side of an image in pixels."""
FIELDS = 5
"""Fields along a side: sparse boxes are in separate fields of a 5 x 5 grid."""


def make_boxes(
    images: int, boxes: int, labels: int = 14, seed: int = 0, sparse: bool = True
) -> tuple[Boxes, Boxes]:
    """Return predictions and truth: 80 % of the boxes with jitter, and false positives.

    Args:
        images: number of images, with keys of 32 hex digits and at least one true box each.
        boxes: mean number of true boxes per image.
        labels: number of labels: "label 0", "label 1", ...
        seed: random seed.
        sparse: boxes of the truth do not overlap; else they do, like those of several readers.

    >>> found, truth = make_boxes(10, 3)
    >>> len(truth), truth.labels[0]
    (30, 'label 0')
    """
    random = np.random.default_rng(seed)
    count = images * boxes
    image = np.concatenate([np.arange(images), random.integers(images, size=count - images)])
    field = random.integers(FIELDS**2, size=count)
    label = random.integers(labels, size=count)
    if sparse:  # at most one box per field: a random order of the fields for each image
        fields = random.permuted(np.tile(np.arange(FIELDS**2), (images, 1)), axis=1)
        order = np.argsort(image, kind="stable")
        turn = np.arange(count) - np.searchsorted(image[order], image[order])
        placed = order[turn < FIELDS**2]
        field[order] = fields[image[order], turn % FIELDS**2]
        image, field, label = image[placed], field[placed], label[placed]
    step = SIDE / FIELDS
    size = random.uniform(0.3, 0.9 if sparse else 2.5, (len(image), 2)) * step
    free = np.maximum(step - size, 0)
    corner = np.stack([field % FIELDS, field // FIELDS], axis=1) * step
    corner += random.random(free.shape) * free
    truth = np.hstack([corner, corner + size])
    detected = random.random(len(truth)) < 0.8
    jitter = random.normal(0, 0.12, (int(detected.sum()), 4)) * np.tile(size[detected], 2)
    false = random.integers(len(truth), size=len(truth) // 2)
    shift = np.tile(random.uniform(-0.6, 0.6, (len(false), 2)) * size[false], 2)
    corners = np.vstack([_sorted(truth[detected] + jitter), truth[false] + shift])
    score = np.concatenate([random.beta(3, 2, int(detected.sum())), random.beta(2, 3, len(false))])
    source = np.concatenate([np.flatnonzero(detected), false])
    return (
        _as_boxes(image[source], label[source], corners, labels, score),
        _as_boxes(image, label, truth, labels),
    )


def _sorted(corners: NDArray[np.float64]) -> NDArray[np.float64]:
    """Reorder the corners of jittered boxes: the first is left of and above the second."""
    pairs = np.sort(corners.reshape(-1, 2, 2), axis=1)
    return pairs.reshape(-1, 4)


def _as_boxes(
    image: NDArray[np.int64],
    label: NDArray[np.int64],
    corners: NDArray[np.float64],
    labels: int,
    score: NDArray[np.float64] | None = None,
) -> Boxes:
    names = [f"label {number}" for number in range(labels)]
    keys = pa.array([f"{number:032x}" for number in range(int(image.max()) + 1)])
    columns = {"key": keys.take(pa.array(image)), "label": pa.array(names).take(pa.array(label))}
    columns |= {name: pa.array(corners[:, i]) for i, name in enumerate(("x0", "y0", "x1", "y1"))}
    if score is not None:
        columns["score"] = pa.array(score)
    return Boxes.from_columns(columns, enumerate(names))


def make_classified(images: int) -> tuple[Boxes, Boxes]:
    """Return scores and truth of one label, "ill", for images 000, 001, ...: from a formula.

    >>> found, truth = make_classified(5)
    >>> found.table["score"].to_pylist()[0], truth.table["kind"].to_pylist()
    (0.1652892561983471, ['point', 'nothing', 'nothing', 'point', 'nothing'])
    """
    number = np.arange(images)
    positive = number * 7 % 5 < 2
    score = (number * 37 % 101 + 20 * positive) / 121
    keys = [f"{one:03d}" for one in number]
    label = ["ill" if one else None for one in positive]
    kind = np.where(positive, "point", "nothing").tolist()
    point = {"label": ["ill"] * images, "kind": ["point"] * images, "score": score}
    return (
        Boxes.from_columns({"key": keys, **point}),
        Boxes.from_columns({"key": keys, "label": label, "kind": kind}),
    )


def make_index(keys: Sequence[str], columns: Mapping[str, Any]) -> IndexRows:
    """Index in memory without files: one image per key, with some columns.

    Args:
        keys: key and id of each image.
        columns: values of columns of the index.

    >>> len(make_index(["a", "b"], {"Manufacturer": ["GE", None]}))
    2
    """
    given = {name: pa.array(values) for name, values in columns.items()}
    pixels = {"pixel_length": pa.array([0] * len(keys), CORE.field("pixel_length").type)}
    table = pa.table({"id": list(keys), "path": list(keys), **pixels, **given})
    schema = unify([CORE, table.schema])
    return IndexRows("/", schema, rows=conform(table, schema))

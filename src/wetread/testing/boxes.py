"""Boxes of a truth and of a model that finds most of them, made from a seed."""

from __future__ import annotations

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from wetread.boxes.collection import Boxes

SIDE = 2000
"""Pixels along an image; a sparse truth has a box in some of 5 x 5 fields of it."""
FIELDS = 5


def make_boxes(
    images: int, boxes: int, labels: int = 14, seed: int = 0, sparse: bool = True
) -> tuple[Boxes, Boxes]:
    """Predictions and truth: four of five boxes found, more or less where they are, and wrong ones.

    Args:
        images: how many; their keys are 32 hex digits. Each has a box of the truth at least.
        boxes: of the truth, an image on average.
        labels: "label 0", "label 1", ...
        seed: the same seed, the same boxes.
        sparse: boxes of the truth do not overlap; else they do, as those of several readers.

    >>> found, truth = make_boxes(10, 3)
    >>> len(truth), truth.labels[0]
    (30, 'label 0')
    """
    random = np.random.default_rng(seed)
    count = images * boxes
    image = np.concatenate([np.arange(images), random.integers(images, size=count - images)])
    field = random.integers(FIELDS**2, size=count)
    label = random.integers(labels, size=count)
    if sparse:  # one box a field, by dealing the fields of each image anew
        deck = random.permuted(np.tile(np.arange(FIELDS**2), (images, 1)), axis=1)
        order = np.argsort(image, kind="stable")
        turn = np.arange(count) - np.searchsorted(image[order], image[order])
        kept = order[turn < FIELDS**2]
        field[order] = deck[image[order], turn % FIELDS**2]
        image, field, label = image[kept], field[kept], label[kept]
    step = SIDE / FIELDS
    size = random.uniform(0.3, 0.9 if sparse else 2.5, (len(image), 2)) * step
    free = np.maximum(step - size, 0)
    corner = np.stack([field % FIELDS, field // FIELDS], axis=1) * step
    corner += random.random(free.shape) * free
    truth = np.hstack([corner, corner + size])
    seen = random.random(len(truth)) < 0.8
    shift = random.normal(0, 0.12, (int(seen.sum()), 4)) * np.tile(size[seen], 2)
    stray = random.integers(len(truth), size=len(truth) // 2)
    away = np.tile(random.uniform(-0.6, 0.6, (len(stray), 2)) * size[stray], 2)
    found = np.vstack([_sorted(truth[seen] + shift), truth[stray] + away])
    score = np.concatenate([random.beta(3, 2, int(seen.sum())), random.beta(2, 3, len(stray))])
    place = np.concatenate([np.flatnonzero(seen), stray])
    return (
        _as_boxes(image[place], label[place], found, labels, score),
        _as_boxes(image, label, truth, labels),
    )


def _sorted(corners: NDArray[np.float64]) -> NDArray[np.float64]:
    """The corners of a jittered box: the first is left of and above the second."""
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

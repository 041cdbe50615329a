"""Predictions of a model as boxes in stored pixels."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
import pyarrow as pa

from wetread.boxes.collection import Boxes
from wetread.boxes.join import stem
from wetread.boxes.table import BOX_SCHEMA

if TYPE_CHECKING:
    from wetread.learn.dataset import CacheDataset
    from wetread.learn.detector import Prediction

_COLUMNS = ["id", "path", "member", "frame", "group", "rows", "columns"]


def list_boxes(
    predictions: Mapping[int, Prediction],
    dataset: CacheDataset,
    classes: Sequence[Sequence[str]],
    parts: Mapping[str, str | None],
) -> pa.Table:
    """Rows of BOX_SCHEMA, by item; `key` is the complete name of the file, `frame` never null.

    A classifier has one box per class, as large as the image, and a row "nothing" with the
    probability of no finding as its score.

    Args:
        predictions: by item of the data set.
        dataset: input of the model.
        classes: (id, name), in the order of the model's labels.
        parts: part by image id.
    """
    names = [name for _, name in classes]
    rows: list[tuple[Any, ...]] = []
    for item in sorted(predictions):
        row = dataset.cache.rows.slice(int(dataset.rows[item]), 1).select(_COLUMNS).to_pylist()[0]
        image = row["id"], row["member"] or row["path"], row["frame"]
        group = row["group"], parts.get(row["id"])
        edges = np.array([row["columns"], row["rows"]] * 2, np.float64)
        for label, box, score in _list_one(predictions[item], dataset, item, edges, names):
            kind = "nothing" if label is None else "box"
            corners = (None,) * 4 if box is None else tuple(box.tolist())
            rows.append((*image, label, None, *corners, score, kind, False, [], *group))
    columns = zip(*rows, strict=True) if rows else ((),) * len(BOX_SCHEMA)
    arrays = [pa.array(c, f.type) for c, f in zip(columns, BOX_SCHEMA, strict=True)]
    return pa.table(arrays, schema=BOX_SCHEMA)


def to_boxes(
    rows: pa.Table, classes: Sequence[Sequence[str]], run: str, index: str | None = None
) -> Boxes:
    """Boxes from the rows of `list_boxes` of all images.

    The key is the name of the file without folder if that is unique; the frame is null for
    single-frame images.
    """
    images, names, frames = (rows[name].to_pylist() for name in ("image", "key", "frame"))
    files = dict(zip(images, names, strict=True))
    stems = Counter(map(stem, files.values()))
    keys = {i: stem(name) if stems[stem(name)] == 1 else name for i, name in files.items()}
    count = Counter(image for image, _ in set(zip(images, frames, strict=True)))
    both = zip(images, frames, strict=True)
    columns = {name: rows[name] for name in BOX_SCHEMA.names}
    columns["key"] = [keys[image] for image in images]
    columns["frame"] = [frame if count[image] > 1 or frame else None for image, frame in both]
    return Boxes.from_columns(columns, classes, run, index=index)


def _list_one(
    prediction: Prediction, dataset: CacheDataset, item: int, edges: Any, names: list[str]
) -> list[tuple[str | None, Any, float | None]]:
    """(label, corners, score) of each box of an item, by falling score."""
    scores = prediction["scores"].astype(np.float64)
    if "boxes" not in prediction:
        whole = edges * [0, 0, 1, 1]
        listed: list[tuple[str | None, Any, float | None]]
        listed = [(n, whole, float(s)) for n, s in zip(names, scores, strict=False)]
        return [*listed, (None, None, float(1 - scores[-1]))]
    boxes = np.clip(dataset.to_stored(prediction["boxes"].reshape(-1, 4), item), 0, edges)
    visible = (boxes[:, :2] < boxes[:, 2:]).all(axis=1)  # others are in the padding
    order = np.flatnonzero(visible)[np.argsort(-scores[visible], kind="stable")]
    labels = prediction["labels"].astype(int)
    listed = [(names[labels[n] - 1], boxes[n], float(scores[n])) for n in order]
    return listed or [(None, None, None)]

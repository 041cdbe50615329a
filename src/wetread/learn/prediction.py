"""What a model finds, as boxes in stored pixels."""

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
    from wetread.cache.cache import Cache
    from wetread.learn.dataset import Images
    from wetread.learn.detector import Found

_KNOWN = ["id", "path", "member", "frame", "group", "rows", "columns"]


def list_boxes(
    found: Mapping[int, Found],
    data: Images,
    cache: Cache,
    classes: Sequence[Sequence[str]],
    parts: Mapping[str, str | None],
) -> pa.Table:
    """Rows of BOX_SCHEMA, by picture; `key` is the whole name of the file, `frame` never null.

    A classifier's boxes are as large as the image, one for each class; its row "nothing" stays
    beside them, with the probability that there is no finding as its score.

    Args:
        found: by item of the data set.
        data: what the model saw.
        cache: where that comes from.
        classes: (id, name), in the order of the model's labels.
        parts: by the id of the image.
    """
    names = [name for _, name in classes]
    rows: list[tuple[Any, ...]] = []
    for place in sorted(found):
        said = cache.rows.slice(int(data.rows[place]), 1).select(_KNOWN).to_pylist()[0]
        image = said["id"], said["member"] or said["path"], said["frame"]
        whose = said["group"], parts.get(said["id"])
        edges = np.array([said["columns"], said["rows"]] * 2, np.float64)
        for label, box, score in _list_found(found[place], data, place, edges, names):
            kind = "nothing" if label is None else "box"
            corners = (None,) * 4 if box is None else tuple(box.tolist())
            rows.append((*image, label, None, *corners, score, kind, *whose))
    columns = zip(*rows, strict=True) if rows else ((),) * len(BOX_SCHEMA)
    arrays = [pa.array(c, f.type) for c, f in zip(columns, BOX_SCHEMA, strict=True)]
    return pa.table(arrays, schema=BOX_SCHEMA)


def to_boxes(rows: pa.Table, classes: Sequence[Sequence[str]], run: str) -> Boxes:
    """What `list_boxes` listed, of all images: an image without any box has a row "nothing".

    The key is the file's name where that is one file's, the frame null where there is but one.
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
    return Boxes.from_columns(columns, classes, run)


def _list_found(
    one: Found, data: Images, place: int, edges: Any, names: list[str]
) -> list[tuple[str | None, Any, float | None]]:
    """(label, corners, score) of an image, the surest first."""
    scores = one["scores"].astype(np.float64)
    if "boxes" not in one:
        whole = edges * [0, 0, 1, 1]
        known: list[tuple[str | None, Any, float | None]]
        known = [(n, whole, float(s)) for n, s in zip(names, scores, strict=False)]
        return [*known, (None, None, float(1 - scores[-1]))]
    boxes = np.clip(data.to_stored(one["boxes"].reshape(-1, 4), place), 0, edges)
    kept = (boxes[:, :2] < boxes[:, 2:]).all(axis=1)  # some lie in the padding
    order = np.flatnonzero(kept)[np.argsort(-scores[kept], kind="stable")]
    labels = one["labels"].astype(int)
    listed: list[tuple[str | None, Any, float | None]]
    listed = [(names[labels[n] - 1], boxes[n], float(scores[n])) for n in order]
    return listed or [(None, None, None)]

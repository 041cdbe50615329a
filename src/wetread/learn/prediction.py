"""What a model finds, as boxes in stored pixels."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from wetread.boxes.collection import Boxes
from wetread.boxes.join import stem
from wetread.boxes.table import BOX_SCHEMA

if TYPE_CHECKING:
    from wetread.learn.cache import Cache
    from wetread.learn.dataset import Images
    from wetread.learn.detector import Found


def to_boxes(
    found: Mapping[int, Found],
    data: Images,
    cache: Cache,
    classes: Sequence[Sequence[str]],
    run: str,
    parts: Mapping[str, str | None],
) -> Boxes:
    """Boxes of a detector or a classifier, a row "nothing" for an image without any.

    A classifier's are as large as the image, one for each class; its row "nothing" stays beside
    them, with the probability that there is no finding as its score.

    Args:
        found: by item of the data set.
        data: what the model saw.
        cache: where that comes from.
        classes: (id, name), in the order of the model's labels.
        run: the run's id.
        parts: by the id of the image.
    """
    names = [name for _, name in classes]
    images = name_images(cache)
    rows: list[tuple[Any, ...]] = []
    for place in sorted(found):
        number = int(data.rows[place])
        image = images[number]
        said = cache.rows.slice(number, 1).select(["id", "group", "rows", "columns"]).to_pylist()[0]
        whose = said["group"], parts.get(said["id"])
        edges = np.array([said["columns"], said["rows"]] * 2, np.float64)
        for label, box, score in _list_found(found[place], data, place, edges, names):
            kind = "nothing" if label is None else "box"
            corners = (None,) * 4 if box is None else tuple(box.tolist())
            rows.append((*image, label, None, *corners, score, kind, *whose))
    columns = zip(*rows, strict=True) if rows else ((),) * len(BOX_SCHEMA)
    named = dict(zip(BOX_SCHEMA.names, map(list, columns), strict=True))
    return Boxes.from_columns(named, classes, run)


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


def name_images(cache: Cache) -> list[tuple[str, str, int | None]]:
    """(image, key, frame) of every row: the key is the file's name where that is one file's."""
    columns = (cache.rows[name].to_pylist() for name in ("id", "path", "member", "frame"))
    rows = list(zip(*columns, strict=True))
    files = {id_: member or path for id_, path, member, _ in rows}
    names = Counter(stem(name) for name in files.values())
    frames = Counter(id_ for id_, *_ in rows)
    return [
        (
            id_,
            stem(files[id_]) if names[stem(files[id_])] == 1 else files[id_],
            frame if frames[id_] > 1 or frame else None,
        )
        for id_, _, _, frame in rows
    ]

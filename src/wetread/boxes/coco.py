"""COCO JSON: boxes as x, y, width, height."""

from __future__ import annotations

import json
import os
from typing import TYPE_CHECKING, Any

from wetread.boxes.collection import Boxes, PathLike
from wetread.boxes.formats import check_place, read_text
from wetread.boxes.sizes import check_sizes, sizes_of
from wetread.boxes.table import CORNERS
from wetread.common.files import written
from wetread.errors import UsageError

if TYPE_CHECKING:
    from wetread.table.rows import IndexRows

Json = dict[str, Any]
_FIELDS = ("key", "label", "kind", "reader", "score", "frame", *CORNERS)


def read_coco(path: PathLike, images: IndexRows | None = None) -> Boxes:
    """Boxes of a COCO data set; its images without a box are rows "nothing".

    Args:
        path: the file.
        images: an index, whose images must have the sizes that the file says.

    Raises:
        UsageError: no JSON, not in the form, or a list of results, which name no image; or sizes
            that differ.
    """
    said = parse_json(path)
    if not isinstance(said, dict) or not {"images", "annotations", "categories"} <= set(said):
        raise UsageError(
            f"{path} is no COCO data set: images, annotations and categories are wanted; "
            "results alone do not say which image is which"
        )
    rows: list[Json] = []
    try:
        names = {c["id"]: str(c["name"]) for c in said["categories"]}
        keys = {i["id"]: _key(i) for i in said["images"]}
        rows += [_to_row(a, keys, names) for a in said["annotations"]]
        rows += [
            {"key": keys[n["image_id"]], "kind": "nothing"} | {k: n.get(k) for k in _EXTRA}
            for n in said.get("nothing", ())
        ]
        classes = [(str(c["id"]), str(c["name"])) for c in said["categories"]]
        sizes = {
            _key(i): (int(i.get("height") or 0), int(i.get("width") or 0)) for i in said["images"]
        }
        run = (said.get("info") or {}).get("run")
    except (KeyError, TypeError, ValueError, AttributeError, OverflowError) as error:
        raise UsageError(f"{path} is no COCO data set: {error!r}") from error
    if len(set(keys.values())) < len(said["images"]):
        raise UsageError(f"{path}: two images have one id or one name")
    if images is not None:
        check_sizes({key: size for key, size in sizes.items() if all(size)}, images)
    drawn = {row["key"] for row in rows}
    rows += [{"key": key, "kind": "nothing"} for key in keys.values() if key not in drawn]
    columns = {name: [row.get(name) for row in rows] for name in _FIELDS}
    return Boxes.from_columns(columns, classes, run)


_EXTRA = ("reader", "score", "frame")


def parse_json(path: PathLike) -> Any:
    """What a JSON file holds, which may be gzipped; UsageError where it is none."""
    try:
        return json.loads(read_text(path))
    except (ValueError, RecursionError) as error:
        if isinstance(error, UsageError):
            raise
        raise UsageError(f"{path} is no JSON file: {error}") from error


def _key(image: Json) -> str:
    """What the image is called: our own key, or its file."""
    return str(image.get("key") or image["file_name"])


def _to_row(annotation: Json, keys: dict[Any, str], names: dict[Any, str]) -> Json:
    x, y, width, height = map(float, annotation["bbox"])
    kind = annotation.get("kind", "box")
    row = {"key": keys[annotation["image_id"]], "label": names[annotation["category_id"]]}
    corners = dict(zip(CORNERS, (x, y, x + width, y + height), strict=True))
    return row | corners | {"kind": kind} | {name: annotation.get(name) for name in _EXTRA}


def write_coco(boxes: Boxes, path: PathLike, index: IndexRows | None = None) -> None:
    """Writes a COCO data set; with `score`, `reader` and `frame` where they are known.

    Image and category ids are numbers from 1, or the classes' own where all of them are numbers.
    Rows "nothing" stand in a list `nothing`, which other programs pass over.

    Raises:
        StorageError: the file cannot be written.
        UsageError: a box without a place or a label, which COCO cannot say.
    """
    sizes = {} if index is None else sizes_of(boxes, index)
    ids = _category_ids(boxes)
    rows = boxes.table.to_pylist()
    numbers = {key: n for n, key in enumerate(dict.fromkeys(row["key"] for row in rows), 1)}
    drawn = [row for row in rows if row["kind"] != "nothing"]
    said = {
        "info": {"description": "written by wetread", "run": boxes.run},
        "images": [_image(number, key, sizes.get(key)) for key, number in numbers.items()],
        "categories": [{"id": number, "name": name} for name, number in ids.items()],
        "annotations": [_to_annotation(n, row, numbers, ids) for n, row in enumerate(drawn, 1)],
        "nothing": [
            {"image_id": numbers[row["key"]]} | _known(row)
            for row in rows
            if row["kind"] == "nothing"
        ],
    }
    with written(path) as file:
        file.write(json.dumps(said, indent=1, ensure_ascii=False).encode())


def _category_ids(boxes: Boxes) -> dict[str, int]:
    ids = {name: id_ for id_, name in boxes.classes}
    distinct = len(set(ids.values())) == len(ids)
    if distinct and all(name in ids and ids[name].isdecimal() for name in boxes.labels):
        return {name: int(ids[name]) for name in boxes.labels}
    return {name: number for number, name in enumerate(boxes.labels, 1)}


def _image(number: int, key: str, size: tuple[int, int] | None) -> Json:
    image: Json = {"id": number, "file_name": os.path.basename(key), "key": key}
    return image | ({} if size is None else {"height": size[0], "width": size[1]})


def _to_annotation(number: int, row: Json, images: dict[str, int], ids: dict[str, int]) -> Json:
    check_place(row)
    x0, y0, x1, y1 = (row[name] for name in CORNERS)
    annotation = {
        "id": number,
        "image_id": images[row["key"]],
        "category_id": ids[row["label"]],
        "bbox": [x0, y0, x1 - x0, y1 - y0],
        "area": (x1 - x0) * (y1 - y0),
        "iscrowd": 0,
    }
    return annotation | _known(row) | ({"kind": "point"} if row["kind"] == "point" else {})


def _known(row: Json) -> Json:
    return {name: row[name] for name in _EXTRA if row[name] is not None}

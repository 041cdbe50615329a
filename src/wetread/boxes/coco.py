"""COCO JSON: boxes as x, y, width and height."""

from __future__ import annotations

import json
import os
from collections.abc import Hashable, Iterable
from typing import TYPE_CHECKING, Any

from wetread.boxes.cells import check_readable, parse_frame, parse_number
from wetread.boxes.formats import check_complete, read_text
from wetread.boxes.sizes import Size, check_sizes, sizes_of
from wetread.boxes.table import CORNERS, KINDS, UNREADABLE, BoxTable, PathLike
from wetread.common.files import written
from wetread.errors import UsageError

if TYPE_CHECKING:
    from wetread.table.rows import IndexRows

Json = dict[str, Any]
_EXTRA = ("reader", "score", "frame")
_TRUE = ("1", "1.0", "True", "true")
_POINT: Json = {"keypoints": ["point"], "skeleton": []}
"""Entries of a category with points."""
_FIELDS = ("key", "label", "kind", "ignore", "flags", *_EXTRA, *CORNERS)


def read_coco(path: PathLike, images: IndexRows | None = None) -> BoxTable:
    """Boxes of a COCO data set; images without a box become rows of kind "nothing".

    Args:
        path: JSON file.
        images: index to check the image sizes of the file against.

    Raises:
        UsageError: not JSON, not a COCO data set (a list of COCO results has no image names), or
            image sizes that differ from the index.
    """
    return parse_coco(parse_json(path), path, images)


def parse_coco(data: Any, path: PathLike, images: IndexRows | None = None) -> BoxTable:
    """Boxes of a parsed COCO data set; see `read_coco`."""
    if not isinstance(data, dict) or not {"images", "annotations", "categories"} <= set(data):
        raise UsageError(
            f"{path} is not a COCO data set: it needs images, annotations and categories (a list "
            "of results does not name its images: give manifest= of the exported images; of any "
            "other list give the DataFrame, pandas.read_json(path, dtype=False))"
        )
    rows: list[Json] = []
    try:
        names = {c["id"]: str(c["name"]) for c in data["categories"]}
        keys = {i["id"]: _key(i) for i in data["images"]}
        rows += [_to_row(n, a, keys, names) for n, a in enumerate(data["annotations"])]
        rows += [
            {"key": keys[n["image_id"]], "kind": "nothing"} | _parse_extra(n)
            for n in data.get("nothing", ())
        ]
        classes = [(str(c["id"]), str(c["name"])) for c in data["categories"]]
        sizes = {
            _key(i): (int(i.get("height") or 0), int(i.get("width") or 0)) for i in data["images"]
        }
        run = (data.get("info") or {}).get("run")
    except (KeyError, TypeError, ValueError, AttributeError, OverflowError) as error:
        raise UsageError(f"{path} is not a COCO data set: {error!r}") from error
    if len(set(keys.values())) < len(data["images"]):
        raise UsageError(f"{path}: two images have the same id or name")
    if images is not None:
        check_sizes({key: size for key, size in sizes.items() if all(size)}, images)
    with_rows = {row["key"] for row in rows}
    rows += [{"key": key, "kind": "nothing"} for key in keys.values() if key not in with_rows]
    columns = {name: [row.get(name) for row in rows] for name in _FIELDS}
    boxes = BoxTable.from_columns(columns, classes, run)
    check_readable(path, boxes.table.slice(0, len(data["annotations"])))
    return boxes


def parse_json(path: PathLike) -> Any:
    """Parse a JSON file, optionally gzipped; raise UsageError if it is not JSON."""
    try:
        return json.loads(read_text(path))
    except (ValueError, RecursionError) as error:
        if isinstance(error, UsageError):
            raise
        raise UsageError(f"{path} is not a JSON file: {error}") from error


def _key(image: Json) -> str:
    """Key of an image: written by `write_coco`, else the file name."""
    return str(image.get("key") or image["file_name"])


def _to_row(number: int, annotation: Any, keys: dict[Any, str], names: dict[Any, str]) -> Json:
    """Row of an annotation; one that cannot be read has a flag with the reason."""
    known = annotation if isinstance(annotation, dict) else {}
    name = f"annotation {known.get('id', f'number {number}')}"
    try:
        return _parse_annotation(known, keys, names)
    except KeyError as error:
        reason = f"{name}: no or an unknown {error.args[0]}"
    except (TypeError, ValueError) as error:
        reason = f"{name}: {error}"
    key, label = _get(keys, known.get("image_id")), _get(names, known.get("category_id"))
    return {"key": key or "", "label": label, "kind": "box", "flags": [f"{UNREADABLE}{reason}"]}


def _get(names: dict[Any, str], number: Any) -> str | None:
    return names.get(number) if isinstance(number, Hashable) else None


def _parse_annotation(annotation: Json, keys: dict[Any, str], names: dict[Any, str]) -> Json:
    box, keypoints = annotation.get("bbox"), annotation.get("keypoints")
    if isinstance(keypoints, list) and len(keypoints) == 3 and (not box or not any(box[2:])):
        x, y = (parse_number(str(number)) + 0.5 for number in keypoints[:2])
        annotation, box = {**annotation, "kind": "point"}, [x, y, 0, 0]
    if not isinstance(box, list) or len(box) != 4:
        raise ValueError("no bbox of four numbers")
    x, y, width, height = map(parse_number, map(str, box))
    image, category = annotation.get("image_id"), annotation.get("category_id")
    for name, value, known in (("image_id", image, keys), ("category_id", category, names)):
        if not isinstance(value, Hashable) or value not in known:
            raise KeyError(f"{name} {value!r}")
    if (kind := annotation.get("kind", "box")) not in KINDS:
        raise ValueError(f"unknown kind {kind!r}")
    crowd, ignore = (str(annotation.get(name)) in _TRUE for name in ("iscrowd", "ignore"))
    flags = annotation.get("flags") or ["iscrowd"] * crowd
    flags = [flags] if isinstance(flags, str) else flags
    row: Json = {"key": keys[annotation["image_id"]], "label": names[annotation["category_id"]]}
    row |= {"ignore": crowd or ignore, "flags": [str(flag) for flag in flags]}
    corners = dict(zip(CORNERS, (x, y, x + width, y + height), strict=True))
    return row | corners | {"kind": kind} | _parse_extra(annotation)


def _parse_extra(annotation: Json) -> Json:
    reader, score, frame = (annotation.get(name) for name in _EXTRA)
    return {
        "reader": None if reader is None else str(reader),
        "score": None if score is None else parse_number(str(score)),
        "frame": None if frame is None else parse_frame(str(frame)),
    }


def write_coco(boxes: BoxTable, path: PathLike, index: IndexRows | None = None) -> None:
    """Write a COCO data set; annotations have `score`, `reader`, `frame` and `flags` if known.

    A point is a keypoint, with an empty box. A row to ignore has `iscrowd` 1, by which pycocotools
    ignores it. Image ids are numbered from 1; category ids are the class ids if all are numeric,
    else numbered from 1. Rows of kind "nothing" are in a list `nothing`, which other programs do
    not read.

    Raises:
        StorageError: the file cannot be written.
        UsageError: a box without coordinates or label, which COCO cannot store.
    """
    boxes = boxes.decided()
    sizes = {} if index is None else sizes_of(boxes, index)
    rows = boxes.table.to_pylist()
    numbers = {key: n for n, key in enumerate(dict.fromkeys(row["key"] for row in rows), 1)}
    images = [
        coco_image(number, os.path.basename(key), key, sizes.get(key))
        for key, number in numbers.items()
    ]
    data = coco_data(boxes, images, ((numbers[row["key"]], row) for row in rows))
    with written(path) as file:
        file.write(coco_text(data))


def coco_data(
    boxes: BoxTable, images: list[Json], rows: Iterable[tuple[int, Json]], renumber: bool = False
) -> Json:
    """COCO data set of images and rows.

    Args:
        boxes: the boxes, for their classes and run.
        images: list of images, from `coco_image`.
        rows: number of the image and row of BOX_SCHEMA.
        renumber: number the categories from 1, as detectors of torchvision expect.
    """
    ids = {n: i for i, n in enumerate(boxes.labels, 1)} if renumber else _category_ids(boxes)
    kept = list(rows)
    annotated = [(image, row) for image, row in kept if row["kind"] != "nothing"]
    points = {row["label"] for _, row in annotated if row["kind"] == "point"}
    return {
        "info": {"description": "written by wetread", "run": boxes.run},
        "images": images,
        "categories": [
            {"id": number, "name": name} | (_POINT if name in points else {})
            for name, number in ids.items()
        ],
        "annotations": [
            _to_annotation(n, image, row, ids) for n, (image, row) in enumerate(annotated, 1)
        ],
        "nothing": [
            {"image_id": image} | _known(row) for image, row in kept if row["kind"] == "nothing"
        ],
    }


def coco_text(data: Json) -> bytes:
    """Encode a data set as JSON."""
    return json.dumps(data, indent=1, ensure_ascii=False).encode()


def coco_image(number: int, file: str, key: str | None, size: Size | None) -> Json:
    """Entry of an image: id, file name, key and size in pixels."""
    image: Json = {"id": number, "file_name": file} | ({} if key is None else {"key": key})
    return image | ({} if size is None else {"height": size[0], "width": size[1]})


def _category_ids(boxes: BoxTable) -> dict[str, int]:
    ids = {name: id_ for id_, name in boxes.classes}
    distinct = len(set(ids.values())) == len(ids)
    if distinct and all(name in ids and ids[name].isdecimal() for name in boxes.labels):
        return {name: int(ids[name]) for name in boxes.labels}
    return {name: number for number, name in enumerate(boxes.labels, 1)}


def _to_annotation(number: int, image: int, row: Json, ids: dict[str, int]) -> Json:
    check_complete(row)
    x0, y0, x1, y1 = (row[name] for name in CORNERS)
    annotation = {
        "id": number,
        "image_id": image,
        "category_id": ids[row["label"]],
        "bbox": [x0, y0, x1 - x0, y1 - y0],
        "area": (x1 - x0) * (y1 - y0),
        "iscrowd": int(row["ignore"]),
    }
    flags = {"flags": row["flags"]} if row["flags"] else {}
    kind: Json = {}
    if row["kind"] == "point":  # keypoints count from the centre of a pixel, boxes from its edge
        kind = {"kind": "point", "keypoints": [x0 - 0.5, y0 - 0.5, 2], "num_keypoints": 1}
    return annotation | _known(row) | flags | kind


def _known(row: Json) -> Json:
    return {name: row[name] for name in _EXTRA if row[name] is not None}

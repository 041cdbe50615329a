"""Label files of exported pictures."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping, Sequence
from pathlib import Path, PurePosixPath
from typing import Any, Literal, NamedTuple, cast

from wetread.boxes.coco import coco_data, coco_image, coco_text
from wetread.boxes.formats import Picture, drop_flags
from wetread.boxes.table import CORNERS, BoxTable
from wetread.boxes.voc import voc_texts
from wetread.boxes.yolo import DATA_YAML, data_yaml, yolo_texts
from wetread.common.files import written
from wetread.datasets.layout import Entry, folder_of, parts_of

To = Literal["yolo", "coco", "voc"]
Row = dict[str, Any]
_ROUNDING = 1e-6
"""Pixels by which a box may extend outside the picture without counting as clipped."""
_VALID = ("valid", "validation")


class Placed(NamedTuple):
    """Labels of a picture, in its own pixels."""

    picture: Picture
    part: str | None
    nothing: list[Row]
    clipped: int
    """Boxes clipped at the edges of the picture."""
    left_out: int
    """Boxes without label, coordinates or area, and those outside the picture."""


def place(line: Row, entry: Entry) -> Placed:
    """Transform the rows of an image to pixels of a file of the manifest."""
    rows: list[Row] = []
    clipped = left_out = 0
    ours = [row for row in entry.rows if row["frame"] in (None, line["frame"])]
    for row in ours:
        if row["kind"] == "nothing":
            continue
        box = _to_picture(row, line)
        inside = box and _clip(box, line["columns"], line["rows"])
        if box is None or inside is None or row["label"] is None:
            left_out += 1
            continue
        clipped += max(abs(a - b) for a, b in zip(box, inside, strict=True)) > _ROUNDING
        rows.append({**row, "frame": None} | dict(zip(CORNERS, inside, strict=True)))
    nothing = [{**row, "frame": None} for row in ours if row["kind"] == "nothing"]
    depth = 3 if line["photometric"] == "RGB" else 1
    file = PurePosixPath(line["file"]).name
    picture = Picture(file, (line["rows"], line["columns"]), rows, depth)
    return Placed(picture, entry.part, nothing, clipped, left_out)


def _to_picture(row: Row, line: Row) -> tuple[float, ...] | None:
    corners = [row[name] for name in CORNERS]
    if None in corners:
        return None
    x0, y0, x1, y1 = corners
    across, down = line["scale_x"], line["scale_y"]
    left, top = line["left"], line["top"]
    return (x0 - left) * across, (y0 - top) * down, (x1 - left) * across, (y1 - top) * down


def _clip(box: tuple[float, ...], width: float, height: float) -> tuple[float, ...] | None:
    """Part of a box, or point, inside the picture; None without one."""
    x0, y0, x1, y1 = box
    if (x0, y0) == (x1, y1):
        return box if 0 <= x0 <= width and 0 <= y0 <= height else None
    inside = max(x0, 0.0), max(y0, 0.0), min(x1, float(width)), min(y1, float(height))
    return inside if inside[0] < inside[2] and inside[1] < inside[3] else None


def drop_ignored(placed: Mapping[str, Placed]) -> dict[str, Placed]:
    """Labels for YOLO, which has no flags: boxes to ignore are left out, with a warning."""
    pictures = drop_flags((one.picture for one in placed.values()), "YOLO")
    return {
        path: one._replace(
            picture=picture, left_out=one.left_out + len(one.picture.rows) - len(picture.rows)
        )
        for (path, one), picture in zip(placed.items(), pictures, strict=True)
    }


def write_labels(
    folder: Path, to: To, placed: Mapping[str, Placed], boxes: BoxTable
) -> dict[str, str]:
    """Write the label files; return that of each picture.

    Args:
        folder: output folder.
        to: format.
        placed: labels by path of the picture below `folder`.
        boxes: the boxes, for their classes.
    """
    if to == "coco":
        return _write_coco(folder, placed, boxes)
    pictures = [one.picture for one in placed.values()]
    if to == "yolo":
        texts, kind, suffix = yolo_texts(pictures, boxes.labels, scores=False), "labels", "txt"
        parts = parts_of(cast(Any, placed.values()))
        (folder / DATA_YAML).write_text(data_yaml(boxes.labels, _folders(parts)), "utf-8")
    else:
        texts, kind, suffix = voc_texts(pictures), "annotations", "xml"
    files = {}
    for path, one in placed.items():
        name = f"{one.picture.name}.{suffix}"
        files[path] = f"{folder_of(kind, one.part)}/{name}"
        (folder / files[path]).parent.mkdir(parents=True, exist_ok=True)
        (folder / files[path]).write_text(texts[name], "utf-8")
    return files


def _folders(parts: Sequence[str | None]) -> dict[str, str]:
    """Folders of images for `data.yaml`, by part: trainers call the validation part `val`."""
    if parts in ([], [None]):
        return {"train": "images", "val": "images"}
    return {"val" if p in _VALID else p: folder_of("images", p) for p in parts if p}


def _write_coco(folder: Path, placed: Mapping[str, Placed], boxes: BoxTable) -> dict[str, str]:
    by_part: dict[str | None, list[str]] = defaultdict(list)
    for path, one in placed.items():
        by_part[one.part].append(path)
    numbers = {path: number for number, path in enumerate(placed, 1)}  # unique over all parts
    files: dict[str, str] = {}
    for part, paths in by_part.items():
        ours = [(numbers[path], placed[path]) for path in paths]
        images = [coco_image(n, one.picture.file, None, one.picture.size) for n, one in ours]
        rows = [(n, row) for n, one in ours for row in (*one.picture.rows, *one.nothing)]
        file = f"{folder_of('annotations', part)}.json"
        (folder / file).parent.mkdir(parents=True, exist_ok=True)
        with written(folder / file) as out:
            out.write(coco_text(coco_data(boxes, images, rows, renumber=True)))
        files |= dict.fromkeys(paths, file)
    return files

"""Label files of any form, recognised by what is in them."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Literal, get_args

import numpy as np

from wetread.boxes.coco import read_coco
from wetread.boxes.collection import Boxes, PathLike
from wetread.boxes.kaggle import read_table
from wetread.boxes.sizes import Size, image_sizes
from wetread.boxes.sr import read_sr
from wetread.boxes.table import CORNERS
from wetread.boxes.voc import read_voc
from wetread.boxes.yolo import read_yolo
from wetread.errors import NotFoundError, UnknownNameError, UsageError
from wetread.table.rows import IndexLike, IndexRows

Format = Literal[
    "vinbigdata",
    "vindr",
    "rsna-pneumonia",
    "siim-covid",
    "submission",
    "coco",
    "yolo",
    "voc",
    "dicom-sr",
]
ImageSize = int | Size | Mapping[str, Size]


def read_boxes(
    path: PathLike,
    images: IndexLike | None = None,
    format: Format | None = None,
    image_size: ImageSize | None = None,
) -> Boxes:
    """Boxes of a label file, or a model's predictions, in one schema.

    The form is told by the columns or the kind of file: VinBigData and VinDr (CSV with corners),
    RSNA Pneumonia (x, y, width, height), SIIM-COVID, a competition's submission (PredictionString),
    COCO JSON, a folder of YOLO's text files, of Pascal VOC's XML or of DICOM SR, or what
    `Boxes.save` wrote. CSV and JSON may be gzipped. A column `score` or `confidence` makes the
    boxes predictions.

    Args:
        path: the file or folder.
        images: an index to join the boxes to, or its folder; see `Boxes.join`.
        format: the form, where it must be said.
        image_size: what the boxes were drawn on, if that was a resized copy: (rows, columns), the
            longest side, or (rows, columns) by key. They are scaled to the stored pixels.

    Raises:
        NotFoundError: there is no such file.
        UsageError: a form that is not known, or not clear; it says the columns found. Or a file
            that says other sizes of its images than the index.
        MissingExtraError: DICOM SR without the extra `sr`.
    """
    if not Path(path).exists():
        raise NotFoundError(f"{path}: no such file or folder")
    if format is not None and format not in get_args(Format):
        raise UnknownNameError("format", format, get_args(Format))
    images = None if images is None else IndexRows.of(images)
    form = format or _recognise(Path(path))
    if image_size is not None:
        _check_scaling(form, image_size, images)
    if form == "wetread":
        boxes = Boxes.open(path)
    elif form in _READERS:
        stated = images if image_size is None else None  # sizes that a file states must be true
        boxes = _READERS[form](path, stated).replace({}, dialect=form)
    else:
        boxes = read_table(str(path), format)
    if images is not None:
        boxes = boxes.join(images)
        if image_size is not None:
            boxes = _scale(boxes, image_sizes(images), image_size)
    return boxes


def open_boxes(boxes: Boxes | PathLike) -> Boxes:
    """Boxes, or what is in a file of them."""
    return boxes if isinstance(boxes, Boxes) else read_boxes(boxes)


_READERS = {"coco": read_coco, "yolo": read_yolo, "voc": read_voc, "dicom-sr": read_sr}
_FOLDERS = {".txt": "yolo", ".xml": "voc", ".dcm": "dicom-sr"}
_FILES = {".parquet": "wetread", ".json": "coco", ".xml": "voc", ".dcm": "dicom-sr"}


def _recognise(path: Path) -> str:
    if path.is_dir():
        kinds = {file.suffix.lower() for file in path.rglob("*")}
        labels = kinds & {".txt", ".xml"} or kinds & {".dcm"}  # .dcm beside labels are images
        if len(labels) != 1:
            found = " and ".join(sorted(labels)) or "none of them"
            raise UsageError(
                f"{path}: .txt files are YOLO's, .xml files Pascal VOC's, .dcm files DICOM SR; it "
                f"has {found}; give format="
            )
        return _FOLDERS[labels.pop()]
    name = path.name.lower().removesuffix(".gz")
    return _FILES.get(Path(name).suffix, "csv")


def _check_scaling(form: str, drawn: ImageSize, images: IndexRows | None) -> None:
    if images is None:
        raise UsageError("image_size needs images=index, which knows the sizes that are stored")
    if form in ("yolo", "dicom-sr", "wetread"):
        raise UsageError(f"boxes of {form} are of no copy: leave image_size out")
    sizes = drawn.values() if isinstance(drawn, Mapping) else [drawn]
    for size in sizes:
        sides = (size,) if isinstance(size, int) else tuple(size)
        if len(sides) != 1 + (not isinstance(size, int)) or min(sides) <= 0:
            raise UsageError(f"image_size {size!r}: give the longest side or (rows, columns)")


def _scale(boxes: Boxes, stored: Mapping[str, Size], drawn: ImageSize) -> Boxes:
    """Boxes of a resized copy on the stored pixels."""
    corners = boxes.corners
    placed = set(np.flatnonzero(np.isfinite(corners).any(axis=1)).tolist())
    factors = np.ones((len(boxes), 2))
    lost = []
    names = zip(boxes.table["image"].to_pylist(), boxes.table["key"].to_pylist(), strict=True)
    for at, (image, key) in enumerate(names):
        size, copy = stored.get(image), _drawn(drawn, key)
        if size and copy:
            factors[at] = _factors(size, copy)
        elif at in placed:
            lost.append(key)
    if lost:
        raise UsageError(
            f"{len(lost)} boxes cannot be scaled: no size of image {lost[0]!r}; scan these images "
            "too, or leave their rows out of the file"
        )
    scaled = corners * factors[:, [0, 1, 0, 1]]
    return boxes.replace(dict(zip(CORNERS, scaled.T, strict=True)))


def _drawn(drawn: ImageSize, key: str) -> int | Size | None:
    return drawn.get(key) if isinstance(drawn, Mapping) else drawn


def _factors(stored: Size, drawn: int | Size) -> tuple[float, float]:
    """(x, y) from the copy to the stored pixels."""
    if isinstance(drawn, int):
        return (max(stored) / drawn,) * 2
    return stored[1] / drawn[1], stored[0] / drawn[0]

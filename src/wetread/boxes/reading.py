"""Label files of any form, recognised by what is in them."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, get_args

import numpy as np

from wetread.boxes.coco import read_coco
from wetread.boxes.collection import Boxes, PathLike
from wetread.boxes.kaggle import read_table
from wetread.boxes.sizes import Size, image_sizes
from wetread.boxes.voc import read_voc
from wetread.boxes.yolo import read_yolo
from wetread.errors import NotFoundError, UnknownNameError, UsageError

if TYPE_CHECKING:
    from wetread.table.store import Indexed

Format = Literal[
    "vinbigdata", "vindr", "rsna-pneumonia", "siim-covid", "submission", "coco", "yolo", "voc"
]
ImageSize = int | Size | Mapping[str, Size]


def read_boxes(
    path: PathLike,
    images: Indexed | None = None,
    format: Format | None = None,  # noqa: A002
    image_size: ImageSize | None = None,
) -> Boxes:
    """Boxes of a label file, or a model's predictions, in one schema.

    The form is told by the columns or the kind of file: VinBigData and VinDr (CSV with corners),
    RSNA Pneumonia (x, y, width, height), SIIM-COVID, a competition's submission (PredictionString),
    COCO JSON, a folder of YOLO's text files or of Pascal VOC's XML, or what `Boxes.save` wrote. CSV
    may be gzipped. A column `score` or `confidence` makes the boxes predictions.

    Args:
        path: the file or folder.
        images: an index to join the boxes to; see `Boxes.join`.
        format: the form, where it must be said.
        image_size: what the boxes were drawn on, if that was a resized copy: (rows, columns), the
            longest side, or (rows, columns) by key. They are scaled to the stored pixels.

    Raises:
        NotFoundError: there is no such file.
        UsageError: a form that is not known, or not clear; it says the columns found.
    """
    if not Path(path).exists():
        raise NotFoundError(f"{path}: no such file or folder")
    if format is not None and format not in get_args(Format):
        raise UnknownNameError("format", format, get_args(Format))
    if image_size is not None and images is None:
        raise UsageError("image_size needs images=index, which knows the sizes that are stored")
    form = format or _recognise(Path(path))
    if form == "wetread":
        boxes = Boxes.open(path)
    elif form in _FOLDERS:
        boxes = _FOLDERS[form](path, images).replace({}, dialect=form)
    else:
        boxes = read_table(str(path), format)
    if images is not None:
        boxes = boxes.join(images)
    if image_size is not None:
        assert images is not None
        boxes = _scale(boxes, image_sizes(images), image_size)
    return boxes


_FOLDERS = {"coco": read_coco, "yolo": read_yolo, "voc": read_voc}


def _recognise(path: Path) -> str:
    if path.is_dir():
        kinds = {file.suffix for file in path.rglob("*") if file.suffix in (".txt", ".xml")}
        if len(kinds) != 1:
            found = " and ".join(sorted(kinds)) or "neither"
            raise UsageError(
                f"{path}: .txt files are YOLO's, .xml files Pascal VOC's; it has {found}"
            )
        return "yolo" if kinds == {".txt"} else "voc"
    return {".parquet": "wetread", ".json": "coco", ".xml": "voc"}.get(path.suffix.lower(), "csv")


def _scale(boxes: Boxes, stored: Mapping[str, Size], drawn: ImageSize) -> Boxes:
    """Boxes of a resized copy on the stored pixels."""
    pairs = zip(boxes.table["image"].to_pylist(), boxes.table["key"].to_pylist(), strict=True)
    places = [(stored.get(image), _drawn(drawn, key), key) for image, key in pairs]
    lost = [key for size, copy, key in places if size is None or copy is None]
    if lost:
        raise UsageError(f"{len(lost)} boxes cannot be scaled: no size of image {lost[0]!r}")
    factors = np.array([_factors(size, copy) for size, copy, _ in places if size and copy])
    corners = boxes.corners * factors.reshape(-1, 2)[:, [0, 1, 0, 1]]
    columns: dict[str, Any] = dict(zip(("x0", "y0", "x1", "y1"), corners.T, strict=True))
    return boxes.replace(columns)


def _drawn(drawn: ImageSize, key: str) -> int | Size | None:
    return drawn.get(key) if isinstance(drawn, Mapping) else drawn


def _factors(stored: Size, drawn: int | Size) -> tuple[float, float]:
    """(x, y) from the copy to the stored pixels."""
    if isinstance(drawn, int):
        return (max(stored) / drawn,) * 2
    return stored[1] / drawn[1], stored[0] / drawn[0]

"""Read label files of any format, recognised by their content."""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Literal, get_args

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from wetread.boxes.annotations import read_annotations
from wetread.boxes.coco import parse_coco, parse_json, read_coco
from wetread.boxes.collection import Boxes
from wetread.boxes.columns import Form
from wetread.boxes.join import joined
from wetread.boxes.manifest import Manifest, complete_results
from wetread.boxes.sizes import Size, check_sizes, image_sizes
from wetread.boxes.sr import read_sr
from wetread.boxes.table import CORNERS, BoxTable, PathLike, describe
from wetread.boxes.tables import Layout, read_table
from wetread.boxes.voc import read_voc
from wetread.boxes.yolo import read_yolo
from wetread.common.store import is_store
from wetread.common.text import counted
from wetread.errors import NotFoundError, UnknownNameError, UsageError
from wetread.table.rows import IndexLike, IndexRows

if TYPE_CHECKING:
    import pandas as pd

Format = Literal[
    "vinbigdata",
    "vindr",
    "rsna-pneumonia",
    "siim-covid",
    "rsna-spine",
    "rsna-aneurysm",
    "submission",
    "table",
    "coco",
    "yolo",
    "voc",
    "dicom-sr",
    "annotations",
]
ImageSize = int | Size | Mapping[str, Size]
_SHARES: Size = (1, 1)
"""Image size that makes shares of the image to pixels."""
_CSV = "csv"


def read_boxes(
    path: PathLike | pd.DataFrame,
    images: IndexLike | None = None,
    format: Format | None = None,
    image_size: ImageSize | None = None,
    manifest: PathLike | None = None,
    *,
    columns: Mapping[str, str] | None = None,
    form: Form | None = None,
    normalised: bool | None = None,
) -> Boxes:
    """Read bounding boxes from a label file, or a model's predictions.

    The format is recognised by the columns or the type of the file: VinBigData and VinDr (CSV with
    corners), RSNA Pneumonia (x, y, width, height), SIIM-COVID, competition submissions
    (PredictionString), COCO JSON, a folder of YOLO text files, of Pascal VOC XML, of DICOM SR or of
    annotations made in the viewer, or a Parquet file written by `Boxes.save`. CSV and JSON may be
    gzipped. A column `score` or `confidence` holds the scores of predictions. Any other table is
    read by the usual names of its columns (`filename, class, xmin, ymin, xmax, ymax`, `image,
    label, x, y, w, h`, ...), or by `columns` and `form`. A row that cannot be read is kept, with a
    problem BOX_UNREADABLE.

    Args:
        path: file or folder, or a DataFrame.
        images: index to join the boxes to; see `Boxes.join`.
        format: name of the format, if it cannot be recognised.
        image_size: size of the images that were annotated, if they had been resized: the longest
            side, (rows, columns), or (rows, columns) by key. Boxes are scaled to the stored pixels.
        manifest: folder or manifest of the `Index.export` whose images were annotated or given to a
            model: boxes are transformed to stored pixels. Label files in the folder of an export
            need no mention of it.
        columns: column of the table by role: image, label, reader, score, frame, part, ignore, and
            the numbers x0 y0 x1 y1, x y w h, or cx cy w h; or box for a column with all of them.
        form: form of the numbers: `"xyxy"` (corners), `"xywh"` (upper left corner and size),
            `"cxcywh"` (centre and size) or `"xy"` (points; whole numbers are centres of pixels).
        normalised: True if the numbers are shares of the image size, False if they are pixels.

    Raises:
        NotFoundError: no such file.
        UsageError: unknown or ambiguous format (the message lists the columns), or image sizes in
            the file that differ from the index.
        MissingExtraError: DICOM SR without the extra `sr`.
    """
    layout = Layout(columns, form, normalised, {})
    if format is not None and format not in get_args(Format):
        raise UnknownNameError("format", format, get_args(Format))
    images = None if images is None else IndexRows.of(images)
    if normalised:
        image_size = _check_normalised(image_size, images, manifest)
    if not isinstance(path, str | os.PathLike):
        boxes = Boxes(read_table(path, format, layout).table)
        return _finish(boxes, images, image_size, manifest, layout.sizes)
    if not Path(path).exists():
        raise NotFoundError(f"{path}: no such file or folder")
    exported = Manifest.find(Path(path)) if manifest is None else Manifest.open(manifest)
    name = format or _recognise(Path(path), exported)
    if layout.given and (name in _READERS or name == "wetread"):
        raise UsageError(f"columns, form and normalised are for tables, not for {name}")
    if exported is not None:
        return _finish(_read_exported(path, exported, name, layout), images, image_size, exported)
    if image_size is not None:
        _check_scaling(name, image_size, images)
    if name == "wetread":
        boxes = Boxes.open(path)
    elif name in _READERS:
        checked = images if image_size is None else None  # sizes in the file must be right
        boxes = Boxes(_READERS[name](path, checked).replace({}, dialect=name).table)
    else:
        boxes = Boxes(read_table(path, format, layout).table)
    return _finish(boxes, images, image_size, None, layout.sizes)


def _finish(
    boxes: Boxes,
    images: IndexRows | None,
    image_size: ImageSize | None,
    exported: Manifest | PathLike | None,
    stated: Mapping[str, Size] | None = None,
) -> Boxes:
    """Join boxes to the index, and transform them to stored pixels.

    Sizes of the images that the file states must be those of the index.
    """
    if exported is not None:
        if not isinstance(exported, Manifest):
            exported = Manifest.open(exported)
        if image_size not in (None, _SHARES):
            raise UsageError("image_size does not apply to exported images: their manifest has it")
        boxes = exported.to_stored(boxes, image_size == _SHARES)
        if images is None:
            return boxes
        keys = boxes.table["key"]  # ids are found in any index of the images
        with_ids = boxes.replace({"key": pc.coalesce(boxes.table["image"], keys)})
        return with_ids.join(images).replace({"key": keys})
    if images is not None:
        boxes = boxes.join(images)
        if stated and image_size is None:
            check_sizes(stated, images)
        if image_size is not None:
            boxes = _scale(boxes, image_sizes(images), image_size)
    return boxes


def _check_normalised(
    image_size: ImageSize | None, images: IndexRows | None, manifest: PathLike | None
) -> Size:
    if image_size is not None:
        raise UsageError("image_size does not apply to shares of the image (normalised=True)")
    if images is None and manifest is None:
        raise UsageError("normalised=True needs images=index for the sizes of the images")
    return _SHARES


def sql_tables(index: IndexRows, boxes: BoxTable | PathLike | None) -> dict[str, pa.Table]:
    """Table `boxes` for SQL over an index, joined to it; none without boxes."""
    if boxes is None:
        return {}
    found = boxes if isinstance(boxes, BoxTable) else read_boxes(boxes, index)
    return {"boxes": joined(found, index).sql_table}


def open_boxes(boxes: Boxes | PathLike, index: IndexRows | None = None) -> Boxes:
    """Read boxes from a path, with the sizes and names of an index; return Boxes unchanged.

    A file of `Boxes.save` keeps the images, groups and parts that it was saved with.
    """
    if isinstance(boxes, Boxes):
        return boxes
    return read_boxes(boxes, None if _FILES.get(Path(boxes).suffix) == "wetread" else index)


def _read_exported(path: PathLike, exported: Manifest, name: str, layout: Layout) -> Boxes:
    """Read labels of exported images, in pixels of these images."""
    path = Path(path)
    jsons = exported.data_sets(path)
    tables: list[BoxTable]
    if name == "yolo":
        tables = [read_yolo(path, sizes=exported.sizes, data=exported.folder)]
    elif name == "coco":
        tables = [_read_coco(file, exported) for file in jsons or [path]]
    elif name in _READERS:
        tables = [_READERS[name](path, None)]
    else:
        tables = [read_table(path, None if name == _CSV else name, layout)]
    rows = pa.concat_tables([table.table.replace_schema_metadata() for table in tables])
    return Boxes(describe(rows, tables[0].classes, tables[0].run, tables[0].dialect or name))


def _read_coco(path: Path, exported: Manifest) -> BoxTable:
    """Boxes of a COCO data set, or of results with the image numbers of the export."""
    data = parse_json(path)
    if isinstance(data, list):
        files = exported.data_sets(exported.folder)
        data = complete_results(data, [parse_json(file) for file in files])
    return parse_coco(data, path)


_READERS = {
    "coco": read_coco,
    "yolo": read_yolo,
    "voc": read_voc,
    "dicom-sr": read_sr,
    "annotations": read_annotations,
}
_FOLDERS = {".txt": "yolo", ".xml": "voc", ".dcm": "dicom-sr", ".jsonl": "annotations"}
_FILES = {
    ".parquet": "wetread",
    ".json": "coco",
    ".jsonl": "annotations",
    ".xml": "voc",
    ".dcm": "dicom-sr",
}


def _recognise(path: Path, exported: Manifest | None) -> str:
    if path.is_dir():
        if is_store(path):
            raise UsageError(f"{path} is an index or a cache: give a label file, and images=index")
        if exported is not None and exported.data_sets(path):
            return "coco"
        suffixes = {file.suffix.lower() for file in path.rglob("*")}
        labels = suffixes & {".txt", ".xml", ".jsonl"} or suffixes & {
            ".dcm"
        }  # .dcm beside labels are images
        if len(labels) != 1:
            present = " and ".join(sorted(labels)) or "none of them"
            raise UsageError(
                f"{path}: expected .txt files (YOLO), .xml files (Pascal VOC), .jsonl files "
                f"(annotations) or .dcm files (DICOM SR), found {present}; give format="
            )
        return _FOLDERS[labels.pop()]
    name = path.name.lower().removesuffix(".gz")
    return _FILES.get(Path(name).suffix, _CSV)


def _check_scaling(name: str, image_size: ImageSize, images: IndexRows | None) -> None:
    if images is None:
        raise UsageError("image_size needs images=index for the sizes of the stored images")
    if name in ("yolo", "dicom-sr", "annotations", "wetread"):
        raise UsageError(f"image_size does not apply to {name}")
    sizes = image_size.values() if isinstance(image_size, Mapping) else [image_size]
    for size in sizes:
        sides = (size,) if isinstance(size, int) else tuple(size)
        if len(sides) != 1 + (not isinstance(size, int)) or min(sides) <= 0:
            raise UsageError(f"image_size {size!r}: give the longest side or (rows, columns)")


def _scale(boxes: Boxes, stored: Mapping[str, Size], image_size: ImageSize) -> Boxes:
    """Scale boxes from the resized images to the stored pixels."""
    corners = boxes.corners
    with_corners = np.asarray(np.isfinite(corners).any(axis=1))
    factors = np.ones((len(boxes), 2))
    unknown = []
    names = zip(boxes.table["image"].to_pylist(), boxes.table["key"].to_pylist(), strict=True)
    for number, (image, key) in enumerate(names):
        size = stored.get(image)
        resized = image_size.get(key) if isinstance(image_size, Mapping) else image_size
        if size and resized:
            factors[number] = _factors(size, resized)
        elif with_corners[number]:
            unknown.append(key)
    if unknown:
        raise UsageError(
            f"{counted(len(unknown), 'box')} cannot be scaled: unknown size of image "
            f"{unknown[0]!r}; scan "
            "these images too, or remove their rows from the file"
        )
    scaled = corners * factors[:, [0, 1, 0, 1]]
    return boxes.replace(dict(zip(CORNERS, scaled.T, strict=True)))


def _factors(stored: Size, resized: int | Size) -> tuple[float, float]:
    """Scale factors (x, y) from the resized image to the stored pixels."""
    if isinstance(resized, int):
        return (max(stored) / resized,) * 2
    return stored[1] / resized[1], stored[0] / resized[0]

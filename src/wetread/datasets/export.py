"""Export of images, with labels as trainers read them."""

from __future__ import annotations

import os
import warnings
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, get_args

import pyarrow as pa

from wetread.boxes.consensus import check_readers
from wetread.boxes.join import joined
from wetread.boxes.manifest import read_manifest
from wetread.boxes.reading import read_boxes
from wetread.boxes.table import BoxTable
from wetread.boxes.yolo import DATA_YAML
from wetread.common.dataframe import to_frame
from wetread.common.files import MANIFEST, storage_errors
from wetread.datasets.labels import To, drop_ignored, place, write_labels
from wetread.datasets.layout import PART, Names, folder_of, plan_images
from wetread.errors import UnknownNameError, UsageError
from wetread.images.export import (
    SCHEMA,
    Crop,
    Form,
    Format,
    Target,
    export_images,
    write_images,
    write_manifest,
)
from wetread.table.query import query
from wetread.table.rows import IndexRows

if TYPE_CHECKING:
    import pandas as pd

    from wetread.display.render import WindowLike
    from wetread.series.export import VolumeFormat

LABELLED = pa.schema(
    [
        *SCHEMA,
        ("key", pa.string()),
        ("part", pa.string()),
        ("labels", pa.string()),
        ("boxes", pa.int64()),
        ("clipped", pa.int64()),
        ("left_out", pa.int64()),
    ]
)
"""Columns of the manifest of a data set."""


class Exporting(IndexRows):
    """Index with the method `export`."""

    def export(
        self,
        folder: str | os.PathLike[str],
        size: int | None = None,
        format: Format | VolumeFormat | None = None,
        window: WindowLike = None,
        workers: int | None = None,
        progress: bool = True,
        *,
        crop: Crop = None,
        boxes: BoxTable | str | os.PathLike[str] | None = None,
        to: To | Literal["nifti"] | None = None,
        names: Names = "key",
        parts: str | None = PART,
    ) -> pd.DataFrame:
        """Write every frame as an image file, with a table `manifest.csv`, and labels if given.

        With `boxes` and `to` it is a data set that trainers read: images in `images/`, labels in
        pixels of these images. YOLO has `labels/` (without scores) and `data.yaml`, Pascal VOC
        `annotations/`, COCO `annotations.json`. After `split`, each part has its own folder, as
        `images/train`. Images without a row in the label file are unread, not normal, and are not
        written.
        `wetread.read_boxes(folder)` reads labels or predictions of these images back, in stored
        pixels.

        With `to="nifti"` every volume of every series is written as `SERIES_ID.nii.gz`, see
        `Volume.save`; the manifest has a row per stack, and the reason if it is no volume.

        Args:
            folder: output folder; files of an earlier export are replaced.
            size: longest side in pixels; images are never enlarged.
            format: `"png16"`, `"tiff"` or `"npy"` are lossless: modality value = `slope` x pixel +
                `intercept`. `"png8"` and `"jpg"` hold the pixels of `Image.display`. Default:
                png16, with labels png8. Volumes: `"nii.gz"` or `"nii"`.
            window: window of png8 and jpg; see `Image.display`.
            workers: number of worker processes, at least 1 (default: one per core).
            progress: show a progress bar on stderr.
            crop: (x0, y0, x1, y1), edges in stored pixels, of all images; or a dictionary by id.
            boxes: labels, one set per image (merge several readers first), or a label file.
            to: format of the labels: `"yolo"`, `"coco"` or `"voc"`; `"nifti"` writes volumes.
            names: name files after the `"key"` of the label file, or by `"id"`. A key that is not
                unique or cannot be a file name is replaced by the id.
            parts: column of the index with the part of each image; None writes one part.

        Returns:
            The manifest, one row per frame: file name, path, scaling of values and coordinates, and
            the `status` of frames that were not written.

        Raises:
            UsageError: `size` or `workers` below 1, a window with a lossless format, `boxes`
                without `to`, points in a format that has none, or options of pictures with
                `to="nifti"`.
            UnknownNameError: no such format or column.
            MissingExtraError: nibabel is not installed, with `to="nifti"`.
            StorageError: the folder cannot be written.

        Warns:
            UserWarning: labels of several readers, or of images that are not in the index; and what
                the format cannot store.
        """
        if to == "nifti":
            if any(option is not None for option in (size, window, crop, boxes)):
                raise UsageError("size, window, crop and boxes are for pictures, not for volumes")
            from wetread.series.export import export_volumes

            kind: Any = format or "nii.gz"
            return to_frame(export_volumes(self, folder, kind, workers, progress))
        if (boxes is None) != (to is None):
            raise UsageError("labels need both: boxes=FILE and to=yolo, coco or voc")
        picture: Any = format
        if boxes is None or to is None:
            form = Form(size, picture or "png16", window, crop)
            return to_frame(export_images(self, folder, form, workers, progress))
        form = Form(size, picture or "png8", window, crop)
        choices = (to, names, parts)
        return to_frame(export_dataset(self, folder, boxes, form, choices, workers, progress))


def export_dataset(
    index: IndexRows,
    folder: str | os.PathLike[str],
    boxes: BoxTable | str | os.PathLike[str],
    form: Form,
    choices: tuple[To, Names, str | None],
    workers: int | None = None,
    progress: bool = True,
) -> pa.Table:
    """Write images and labels; see `Exporting.export`.

    Args:
        index: the images.
        folder: output folder.
        boxes: labels.
        form: size and values of the image files.
        choices: format of the labels, names of the files, column of the parts.
        workers: number of worker processes.
        progress: show a progress bar on stderr.
    """
    to, names, parts = choices
    for kind, value, known in (("format of labels", to, To), ("kind of names", names, Names)):
        if value not in get_args(known):
            raise UnknownNameError(kind, value, get_args(known))
    form.check()
    labels = (boxes if isinstance(boxes, BoxTable) else read_boxes(boxes, index)).decided()
    labels = joined(labels, index)
    entries = plan_images(index, labels, names, parts)
    _check_labels(labels, to, set(entries))
    targets = {
        id_: Target(f"{folder_of('images', entry.part)}/{entry.name}", entry.frames)
        for id_, entry in entries.items()
    }
    root = Path(os.path.abspath(folder))
    with storage_errors(root):
        before = _files(root)
        manifest = write_images(index, root, form, targets, workers, progress)
        lines = manifest.to_pylist()
        placed = {line["file"]: place(line, entries[line["id"]]) for line in lines if line["file"]}
        if to == "yolo":
            placed = drop_ignored(placed)
        files = write_labels(root, to, placed, labels)
    for line in lines:
        entry, one = entries[line["id"]], placed.get(line["file"])
        if line["status"] == "no_label" and line["frame"] in entry.bad_frames:
            line |= _BAD
        line |= {"key": entry.key, "part": entry.part, "labels": files.get(line["file"])}
        if one is not None:
            line |= {"boxes": len(one.picture.rows), "clipped": one.clipped}
            line |= {"left_out": one.left_out}
    lines += _left_out(index, set(labels.table["image"].to_pylist()), set(entries))
    written = pa.Table.from_pylist(lines, LABELLED)
    write_manifest(written, root)
    with storage_errors(root):
        for file in before - _files(root):
            (root / file).unlink(missing_ok=True)
    return written


def _check_labels(labels: BoxTable, to: To, ids: set[str]) -> None:
    """Check for labels that cannot be exported; warn about what a trainer would not expect."""
    table = labels.table
    if to != "coco" and "point" in table["kind"].to_pylist():
        raise UsageError(f'{to} has no points: use to="coco", or leave them out')
    unknown = sorted({key for key, image in _pairs(table) if image is None and key})
    if unknown:
        text = f"labels of {len(unknown)} images are left out, such as {unknown[0]!r}"
        warnings.warn(f"{text}: no image of the index has this key", stacklevel=4)
    if not ids:
        raise UsageError("no image of the index has a row in the label file that can be written")
    try:
        check_readers(table, "labels")
    except UsageError as error:
        warnings.warn(f"{error}; trainers take each box for a target of its own", stacklevel=4)


def _pairs(table: pa.Table) -> set[tuple[str | None, str | None]]:
    return set(zip(table["key"].to_pylist(), table["image"].to_pylist(), strict=True))


def _left_out(index: IndexRows, labelled: set[str], used: set[str]) -> list[dict[str, Any]]:
    """Rows of the manifest for images that are not written: without labels, or with bad ones."""
    sql = "SELECT id, path, member FROM index WHERE pixel_length IS NOT NULL"
    absent = {"status": "no_label", "text": "NO_LABEL: no row in the label file"}
    return [
        row | (_BAD if row["id"] in labelled else absent)
        for row in query(index, sql).to_pylist()
        if row["id"] not in used
    ]


_BAD = {"status": "bad_label", "text": "BOX_EMPTY: no row of the label file has a box inside"}
"""Status of images and frames whose rows cannot be written."""


def _files(folder: Path) -> set[str]:
    """Files of an earlier data set in a folder."""
    path = folder / MANIFEST
    lines = read_manifest(path) if path.is_file() else []
    named = {line.get(name) for line in lines for name in ("file", "labels")}
    if any(str(name).endswith(".txt") for name in named):
        named.add(DATA_YAML)
    return {
        name
        for name in named
        if name and (folder / name).resolve().is_relative_to(folder.resolve())
    }

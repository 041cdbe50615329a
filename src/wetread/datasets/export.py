"""Export of images, with labels as trainers read them."""

from __future__ import annotations

import os
import warnings
from pathlib import Path
from typing import Any, get_args

import pyarrow as pa

from wetread.boxes.consensus import check_readers
from wetread.boxes.join import joined
from wetread.boxes.reading import read_boxes
from wetread.boxes.table import BoxTable
from wetread.common.exports import replace_export
from wetread.common.files import storage_errors
from wetread.common.text import counted
from wetread.datasets.labels import To, drop_ignored, place, write_labels
from wetread.datasets.layout import Names, folder_of, plan_images
from wetread.errors import UnknownNameError, UsageError
from wetread.images.export import (
    SCHEMA,
    Form,
    Target,
    write_images,
    write_manifest,
)
from wetread.table.query import query
from wetread.table.rows import IndexRows

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


def export_dataset(
    index: IndexRows,
    folder: str | os.PathLike[str],
    boxes: BoxTable | str | os.PathLike[str],
    form: Form,
    choices: tuple[To, Names, str | None],
    workers: int | None = None,
    progress: bool = True,
) -> pa.Table:
    """Write images and labels; see `exporting.Exporting.export`.

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
    with replace_export(root):
        manifest = write_images(index, root, form, targets, workers, progress)
        lines = manifest.to_pylist()
        placed = {line["file"]: place(line, entries[line["id"]]) for line in lines if line["file"]}
        if to == "yolo":
            placed = drop_ignored(placed)
        with storage_errors(root):
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
    return written


def _check_labels(labels: BoxTable, to: To, ids: set[str]) -> None:
    """Check for labels that cannot be exported; warn about what a trainer would not expect."""
    table = labels.table
    if to != "coco" and "point" in table["kind"].to_pylist():
        raise UsageError(f'{to} has no points: use to="coco", or leave them out')
    unknown = sorted({key for key, image in _pairs(table) if image is None and key})
    if unknown:
        text = f"labels of {counted(len(unknown), 'image')} are left out, such as {unknown[0]!r}"
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

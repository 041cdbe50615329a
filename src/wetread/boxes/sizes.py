"""Image sizes, which some label formats need."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

from wetread.boxes.join import find_rows, joined, named_rows
from wetread.common.text import counted
from wetread.errors import UsageError
from wetread.table.query import query

if TYPE_CHECKING:
    from wetread.boxes.table import BoxTable
    from wetread.table.rows import IndexRows

Size = tuple[int, int]
"""(rows, columns)."""


def image_sizes(index: IndexRows) -> dict[str, Size]:
    """Size of every image of an index, by id."""
    rows = query(index, 'SELECT id, Rows, "Columns" FROM index WHERE pixel_length IS NOT NULL')
    columns = (rows[name].to_pylist() for name in ("id", "Rows", "Columns"))
    return {i: (r, c) for i, r, c in zip(*columns, strict=True) if r and c}


def stored_sizes(keys: list[str], index: IndexRows) -> dict[str, Size]:
    """Size of the image of every key that matches an image of the index."""
    rows = named_rows(index)
    known, ids = image_sizes(index), rows["id"].to_pylist()
    images = {key: ids[number] for key, number in find_rows(keys, rows).items()}
    return {key: known[id_] for key, id_ in images.items() if id_ in known}


def check_sizes(stated: Mapping[str, Size], index: IndexRows) -> None:
    """Compare the image sizes of a label file with those of the index.

    Raises:
        UsageError: sizes differ, so the boxes may belong to resized images.
    """
    stored = stored_sizes(list(stated), index)
    different = [key for key, size in stored.items() if size != stated[key]]
    if different:
        key = different[0]
        raise UsageError(
            f"{counted(len(different), 'image', 'have')} another size than in the label file: "
            f"{key!r} has "
            f"{stored[key]} (rows, columns), in the file {stated[key]}; if images of that size "
            f"were annotated, give image_size={stated[key]}, or a dictionary by key"
        )


def sizes_of(boxes: BoxTable, index: IndexRows) -> dict[str, Size]:
    """Size of the image of every key.

    Raises:
        UsageError: an image of unknown size.
    """
    known, table = image_sizes(index), joined(boxes, index).table
    images = dict(zip(table["key"].to_pylist(), table["image"].to_pylist(), strict=True))
    unknown = [key for key, image in images.items() if image not in known]
    if unknown:
        raise UsageError(
            f"{counted(len(unknown), 'image')} of unknown size, such as {unknown[0]!r}"
        )
    return {key: known[image] for key, image in images.items()}

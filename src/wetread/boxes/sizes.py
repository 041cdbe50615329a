"""The sizes of images, which some forms of label file need."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

from wetread.boxes.join import NAMES, find_rows, joined
from wetread.errors import UsageError
from wetread.table.query import query

if TYPE_CHECKING:
    from wetread.boxes.collection import Boxes
    from wetread.table.rows import IndexRows

Size = tuple[int, int]
"""(rows, columns)."""


def image_sizes(index: IndexRows) -> dict[str, Size]:
    """The size of every image of an index, by id."""
    rows = query(index, 'SELECT id, Rows, "Columns" FROM index WHERE pixel_length IS NOT NULL')
    columns = (rows[name].to_pylist() for name in ("id", "Rows", "Columns"))
    return {i: (r, c) for i, r, c in zip(*columns, strict=True) if r and c}


def stored_sizes(keys: list[str], index: IndexRows) -> dict[str, Size]:
    """The size of the image of every key that the index knows."""
    columns = ", ".join(f'"{name}"' for name in ("id", "path", "member", *NAMES[:2]))
    rows = query(index, f"SELECT {columns} FROM index WHERE pixel_length IS NOT NULL")
    known, ids = image_sizes(index), rows["id"].to_pylist()
    found = {key: ids[place] for key, place in find_rows(keys, rows).items()}
    return {key: known[id_] for key, id_ in found.items() if id_ in known}


def check_sizes(stated: Mapping[str, Size], index: IndexRows) -> None:
    """Compares what a label file says of its images with those of the index.

    Raises:
        UsageError: they are of other sizes, so the boxes may be those of resized copies.
    """
    stored = stored_sizes(list(stated), index)
    other = [key for key, size in stored.items() if size != stated[key]]
    if other:
        key = other[0]
        raise UsageError(
            f"{len(other)} images have another size than the file says: {key!r} has "
            f"{stored[key]} rows and columns, there {stated[key]}; if the boxes were drawn on "
            f"copies of that size, give image_size={stated[key]}, or a dictionary by key"
        )


def sizes_of(boxes: Boxes, index: IndexRows) -> dict[str, Size]:
    """The size of the image of every key.

    Raises:
        UsageError: an image whose size is not known.
    """
    known, table = image_sizes(index), joined(boxes, index).table
    images = dict(zip(table["key"].to_pylist(), table["image"].to_pylist(), strict=True))
    lost = [key for key, image in images.items() if image not in known]
    if lost:
        raise UsageError(f"{len(lost)} images of no known size, such as {lost[0]!r}")
    return {key: known[image] for key, image in images.items()}

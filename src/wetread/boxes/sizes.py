"""The sizes of images, which some forms of label file need."""

from __future__ import annotations

from typing import TYPE_CHECKING

from wetread.errors import UsageError
from wetread.table.store import query

if TYPE_CHECKING:
    from wetread.boxes.collection import Boxes
    from wetread.table.store import Indexed

Size = tuple[int, int]
"""(rows, columns)."""


def image_sizes(index: Indexed) -> dict[str, Size]:
    """The size of every image of an index, by id."""
    rows = query(
        index.content, 'SELECT id, Rows, "Columns" FROM index WHERE pixel_length IS NOT NULL'
    )
    columns = (rows[name].to_pylist() for name in ("id", "Rows", "Columns"))
    return {i: (r, c) for i, r, c in zip(*columns, strict=True) if r and c}


def sizes_of(boxes: Boxes, index: Indexed) -> dict[str, Size]:
    """The size of the image of every key.

    Raises:
        UsageError: an image whose size is not known.
    """
    joined = boxes if not boxes.table["image"].null_count else boxes.join(index)
    known = image_sizes(index)
    pairs = zip(joined.table["key"].to_pylist(), joined.table["image"].to_pylist(), strict=True)
    images = dict(pairs)
    lost = [key for key, image in images.items() if image not in known]
    if lost:
        raise UsageError(f"{len(lost)} images of no known size, such as {lost[0]!r}")
    return {key: known[image] for key, image in images.items()}

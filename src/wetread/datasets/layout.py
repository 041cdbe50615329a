"""Layout of an exported data set: images, file names and parts."""

from __future__ import annotations

import re
from collections import Counter, defaultdict
from collections.abc import Iterable
from typing import Any, Literal, NamedTuple

from wetread.boxes.join import stem
from wetread.boxes.sizes import Size, image_sizes
from wetread.boxes.table import CORNERS, BoxTable
from wetread.errors import UnknownNameError, UsageError
from wetread.table.query import name_column, query
from wetread.table.rows import IndexRows

Names = Literal["key", "id"]
"""Names of the files: as in the label file, or ids."""
Row = dict[str, Any]
PART = "part"
_LONGEST = 200
"""Longest file name in bytes, without frame number and suffix."""


class Entry(NamedTuple):
    """Image of a data set."""

    key: str
    part: str | None
    name: str
    """File name, without frame number and suffix."""
    rows: list[Row]
    """Rows of BOX_SCHEMA."""
    frames: list[int] | None
    """Frames with a row that can be written; None if such a row is of the whole image."""

    @property
    def bad_frames(self) -> set[int]:
        """Frames with rows of which none can be written."""
        return {row["frame"] for row in self.rows} - {None, *(self.frames or ())}


def plan_images(
    index: IndexRows, boxes: BoxTable, names: Names = "key", parts: str | None = PART
) -> dict[str, Entry]:
    """Images with a row in the labels that can be written, by id.

    An image or a frame of which no row can be written, for want of a label, coordinates or area
    inside it, is left out: without its boxes a trainer would take it for normal.

    Args:
        index: the images.
        boxes: labels, joined to the index.
        names: names of the files.
        parts: column of the index with the part of each image; None for one part. The part of the
            label file is used if the index has no column `part`.

    Raises:
        UnknownNameError: no such column.
        UsageError: a part that cannot be the name of a folder.
    """
    rows: dict[str, list[Row]] = defaultdict(list)
    for row in boxes.table.to_pylist():
        if row["image"] is not None:
            rows[row["image"]].append(row)
    found, sizes = _parts(index, parts), image_sizes(index)
    usable = {i: {r["frame"] for r in rows[i] if _is_usable(r, sizes.get(i))} for i in rows}
    keys = {id_: rows[id_][0]["key"] for id_ in found if usable.get(id_)}
    if parts == PART and PART not in index.schema.names:
        found |= {id_: next((r["part"] for r in rows[id_] if r["part"]), None) for id_ in keys}
    for part in {found[id_] for id_ in keys} - {None}:
        if not is_file_name(part):
            raise UsageError(f"part {part!r} cannot be the name of a folder")
    files = name_files(keys) if names == "key" else {id_: id_ for id_ in keys}
    frames = {id_: None if None in usable[id_] else sorted(usable[id_]) for id_ in keys}
    return {i: Entry(key, found[i], files[i], rows[i], frames[i]) for i, key in keys.items()}


def _is_usable(row: Row, size: Size | None) -> bool:
    """Return True for a row that a trainer can learn from."""
    if row["kind"] == "nothing":
        return True
    corners = [row[name] for name in CORNERS]
    if row["label"] is None or None in corners:
        return False
    if row["kind"] == "point" or size is None:
        return True
    x0, y0, x1, y1 = corners
    return bool(max(x0, 0) < min(x1, size[1]) and max(y0, 0) < min(y1, size[0]))


def _parts(index: IndexRows, column: str | None) -> dict[str, Any]:
    """Part of each image by id, as text."""
    value = "NULL"
    if column is not None and column in index.schema.names:
        value = f"CAST({name_column(column)} AS VARCHAR)"
    elif column not in (None, PART):
        raise UnknownNameError("column", str(column), index.schema.names)
    table = query(index, f"SELECT id, {value} AS part FROM index WHERE pixel_length IS NOT NULL")
    return dict(zip(table["id"].to_pylist(), table["part"].to_pylist(), strict=True))


def name_files(keys: dict[str, str]) -> dict[str, str]:
    """File name of each image, by id: the stem of its key, or its id.

    The id is used if the stem is not unique, is like the name of a frame of another image, or
    cannot be a file name.

    >>> name_files({"1a": "p1/scan 1.dcm", "2b": "a.png", "3c": "b/A.png", "4d": ".."})
    {'1a': 'scan 1', '2b': '2b', '3c': '3c', '4d': '4d'}
    """
    stems = {id_: stem(key) for id_, key in keys.items()}
    count = Counter(name.casefold() for name in stems.values())  # some disks ignore case

    def usable(name: str) -> bool:
        folded = name.casefold()
        base = re.sub(r"_[0-9]{4,}$", "", folded)
        return count[folded] == 1 and is_file_name(name) and (base == folded or base not in count)

    return {id_: name if usable(name) else id_ for id_, name in stems.items()}


def is_file_name(text: str) -> bool:
    r"""Return True for text that can name a visible file on Linux and macOS.

    >>> [is_file_name(text) for text in ("Thorax, p.a.", "a/b", ".hidden", "a\n")]
    [True, False, False, False]
    """
    return (
        text.isprintable()
        and not text.startswith((".", " "))
        and not text.endswith(" ")
        and not set(text) & set("/\\")
        and 0 < len(text.encode(errors="replace")) <= _LONGEST
    )


def folder_of(kind: str, part: str | None) -> str:
    """Folder of a part: `images/train`, or `images` without parts."""
    return f"{kind}/{part}" if part else kind


def parts_of(entries: Iterable[Entry]) -> list[str | None]:
    """Parts in order, with None for images without one."""
    return sorted({entry.part for entry in entries}, key=lambda part: (part is None, part or ""))

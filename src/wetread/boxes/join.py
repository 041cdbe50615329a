"""Label files joined to an index: which row each key means."""

from __future__ import annotations

import os
from collections import defaultdict
from collections.abc import Callable, Iterator, Mapping
from typing import TYPE_CHECKING, Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from wetread.boxes.collection import Boxes
from wetread.boxes.groups import KEYS, group_images
from wetread.errors import UsageError
from wetread.table.query import query

if TYPE_CHECKING:
    from wetread.images.image import Image
    from wetread.table.rows import IndexRows

NAMES = ("SOPInstanceUID", "MediaStorageSOPInstanceUID", "path", "bare path", "stem", "id")
"""What a label file may call an image, in the order in which it is tried."""
ENDINGS = (
    ".dcm",
    ".dicom",
    ".dic",
    ".ima",
    ".png",
    ".jpg",
    ".jpeg",
    ".tif",
    ".tiff",
    ".bmp",
    ".npy",
)
"""What of a file's name is no name, in small letters; a UID has dots too."""
_SHOWN = 3


def join_boxes(boxes: Boxes, index: IndexRows) -> Boxes:
    """The same rows with `image`, `group` and `part` from the index.

    A key is a SOP Instance UID, else the one in File Meta, else the path (of a member: its path in
    the archive), the path without its ending, the file's name without folder and ending, or the
    row's `id`, by which `Index.export` names pictures. A key that ends as a picture's name does,
    as in label files made on exported pictures, is tried without that ending too. A key that the
    index does not know keeps a null `image`; `boxes.check` says so.

    Raises:
        UsageError: no key is known, or one means several files; with examples of both sides.
    """
    have = index.schema.names
    extra = [name for name in ("group", "part") if name in have]
    columns = ["id", "path", "member", *NAMES[:2], *KEYS, *extra]
    names = ", ".join(f'"{name}"' for name in columns)
    rows = query(index, f"SELECT {names} FROM index WHERE pixel_length IS NOT NULL")
    keys = boxes.table["key"].unique().drop_null().to_pylist()
    place = find_rows(keys, rows)
    if keys and not place:
        known = ", ".join(map(repr, rows["path"][:_SHOWN].to_pylist())) or "no image"
        raise UsageError(
            f"no image of the index has a key of the label file, such as "
            f"{', '.join(map(repr, keys[:_SHOWN]))}; the index has {known}"
        )
    groups = pa.array(group_images(rows).names, pa.string())
    if "group" in extra:  # null of what came after the split
        groups = pc.coalesce(rows["group"], groups)
    at = pa.array([place.get(key) for key in boxes.table["key"].to_pylist()], pa.int64())
    more: dict[str, Any] = {
        "image": rows["id"].take(at),
        "group": groups.take(at),
    }
    if "part" in extra:
        more["part"] = rows["part"].take(at)
    return boxes.replace(more)


def joined(boxes: Boxes, index: IndexRows) -> Boxes:
    """The boxes, where rows know no image yet joined to the index; other rows stay as they are.

    Raises:
        UsageError: as `join_boxes`.
    """
    here, lost = boxes.table, boxes.table["image"].is_null()
    if not here["image"].null_count:
        return boxes
    there = join_boxes(boxes, index).table
    names = ("image", "group", "part")
    return boxes.replace({name: pc.if_else(lost, there[name], here[name]) for name in names})


def find_rows(keys: list[str], rows: pa.Table) -> dict[str, int]:
    """The row that each key means; a key that means none is left out.

    Raises UsageError for a key that means several and no better name tells apart.
    """
    found: dict[str, int] = {}
    several: dict[str, list[int]] = {}
    for spelled in (str, stem):  # as it stands, then without a picture's ending
        for name in NAMES:
            places: dict[str, list[int]] = defaultdict(list)
            for text, place in _texts(rows, name):
                places[text].append(place)
            for key in keys:
                match places.get(spelled(key), ()) if key not in found else ():
                    case [place]:
                        found[key] = place
                    case [_, _, *_] as many:
                        several.setdefault(key, many)
    unclear = [key for key in several if key not in found]
    if unclear:
        paths = rows["path"].take(several[unclear[0]][:_SHOWN]).to_pylist()
        raise UsageError(
            f"{len(unclear)} keys mean several files each: {unclear[0]!r} is "
            f"{', '.join(map(repr, paths))}; name images by path or SOP Instance UID"
        )
    return found


def _texts(rows: pa.Table, name: str) -> Iterator[tuple[str, int]]:
    """What the rows are called by `name`, with their places."""
    if name in rows.column_names and name != "path":
        texts = rows[name].to_pylist()
    else:
        spelled: dict[str, Callable[[str], str]] = {"path": str, "bare path": bare, "stem": stem}
        members = zip(rows["path"].to_pylist(), rows["member"].to_pylist(), strict=True)
        texts = [spelled[name](member or path) for path, member in members]
    return ((text, place) for place, text in enumerate(texts) if text)


def bare(path: str) -> str:
    """A path without its ending, if it has one that files of images have.

    >>> bare("train/1.2.840.dcm"), bare("train/1.2.840")
    ('train/1.2.840', 'train/1.2.840')
    """
    root, ending = os.path.splitext(path)
    return root if ending.lower() in ENDINGS else path


def stem(path: str) -> str:
    """The name of a file without folder and ending.

    >>> stem("train/000434271f63.dicom")
    '000434271f63'
    """
    return bare(os.path.basename(path))


def rows_of(table: pa.Table, image: Image) -> list[Mapping[str, Any]]:
    """The rows that lie on an image: by its id, or where they are not joined, by its names."""
    row = image.row
    whole = row["member"] or image.path
    names = {row.get(name) for name in NAMES[:2]} | {whole, bare(whole), stem(whole), image.id}
    mine = pc.equal(table["image"], image.id)
    named = pc.and_(
        pc.is_null(table["image"]),
        pc.is_in(table["key"], pa.array([name for name in names if name])),
    )
    mask = np.asarray(pc.fill_null(pc.or_kleene(mine, named), False))
    rows: list[Mapping[str, Any]] = table.filter(pa.array(mask)).to_pylist()
    return rows

"""Label files joined to an index: which row each key means."""

from __future__ import annotations

import os
from collections import defaultdict
from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING, Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from wetread.boxes.collection import Boxes
from wetread.boxes.groups import KEYS, group_images
from wetread.errors import UsageError
from wetread.table.store import query

if TYPE_CHECKING:
    from wetread.image import Image
    from wetread.table.store import Indexed

NAMES = ("SOPInstanceUID", "MediaStorageSOPInstanceUID", "path", "stem")
"""What a label file may call an image, in the order in which it is tried."""
_SHOWN = 3


def join_boxes(boxes: Boxes, index: Indexed) -> Boxes:
    """The same rows with `image`, `group` and `part` from the index.

    A key is a SOP Instance UID, else the one in File Meta, else the path (of a member: its path in
    the archive) with or without its ending, else the file's name without its ending. A key that
    the index does not know keeps a null `image`; `boxes.check` says so.

    Raises:
        UsageError: no key is known, or one means several files; with examples of both sides.
    """
    table = index.content
    have = table.schema.names
    extra = [name for name in ("group", "part") if name in have]
    columns = ["id", "path", "member", *NAMES[:2], *KEYS, *extra]
    names = ", ".join(f'"{name}"' for name in columns)
    rows = query(table, f"SELECT {names} FROM index WHERE pixel_length IS NOT NULL")
    keys = boxes.table["key"].unique().drop_null().to_pylist()
    place = find_rows(keys, rows)
    if keys and not place:
        known = ", ".join(map(repr, rows["path"][:_SHOWN].to_pylist())) or "no image"
        raise UsageError(
            f"no image of the index has a key of the label file, such as "
            f"{', '.join(map(repr, keys[:_SHOWN]))}; the index has {known}"
        )
    groups = rows["group"].to_pylist() if "group" in extra else group_images(rows).names
    at = pa.array([place.get(key) for key in boxes.table["key"].to_pylist()], pa.int64())
    joined: dict[str, Any] = {
        "image": rows["id"].take(at),
        "group": pa.array(groups, pa.string()).take(at),
    }
    if "part" in extra:
        joined["part"] = rows["part"].take(at)
    return boxes.replace(joined)


def find_rows(keys: list[str], rows: pa.Table) -> dict[str, int]:
    """The row that each key means; a key that means none is left out.

    Raises UsageError for a key that means several and no better name tells apart.
    """
    found: dict[str, int] = {}
    several: dict[str, list[int]] = {}
    for name in NAMES:
        places: dict[str, list[int]] = defaultdict(list)
        for text, place in _texts(rows, name):
            places[text].append(place)
        for key in keys:
            match places.get(key, ()) if key not in found else ():
                case [place]:
                    found[key] = place
                case [_, _, *_]:
                    several.setdefault(key, places[key])
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
    if name in NAMES[:2]:
        yield from ((t, p) for p, t in enumerate(rows[name].to_pylist()) if t)
        return
    members = zip(rows["path"].to_pylist(), rows["member"].to_pylist(), strict=True)
    for place, (path, member) in enumerate(members):
        whole = member or path
        texts = {whole, os.path.splitext(whole)[0]} if name == "path" else {stem(whole)}
        yield from ((text, place) for text in texts)


def stem(path: str) -> str:
    """The name of a file without folder and ending.

    >>> stem("train/000434271f63.dicom")
    '000434271f63'
    """
    return os.path.splitext(os.path.basename(path))[0]


def rows_of(table: pa.Table, image: Image) -> list[Mapping[str, Any]]:
    """The rows that lie on an image: by its id, or where they are not joined, by its names."""
    row = image.row
    whole = row["member"] or image.path
    names = {row.get(name) for name in NAMES[:2]} | {whole, os.path.splitext(whole)[0], stem(whole)}
    mine = pc.equal(table["image"], image.id)
    named = pc.and_(
        pc.is_null(table["image"]),
        pc.is_in(table["key"], pa.array([name for name in names if name])),
    )
    mask = np.asarray(pc.fill_null(pc.or_kleene(mine, named), False))
    rows: list[Mapping[str, Any]] = table.filter(pa.array(mask)).to_pylist()
    return rows

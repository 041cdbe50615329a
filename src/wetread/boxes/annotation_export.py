"""Write boxes as logs of strokes, to continue them in the viewer."""

from __future__ import annotations

import uuid
import warnings
from collections import Counter, defaultdict
from contextlib import ExitStack
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

from wetread.boxes.join import joined
from wetread.boxes.stroke_log import StrokeLog, image_key
from wetread.boxes.strokes import VERDICT, VERDICTS, parse_stroke
from wetread.boxes.table import CORNERS, BoxTable, PathLike
from wetread.errors import UsageError
from wetread.table.query import query

if TYPE_CHECKING:
    from wetread.table.rows import IndexRows

Row = dict[str, Any]
_NAMESPACE = uuid.UUID("6a2c1e0b-55c5-4a52-9d60-0f6f7a5b6d24")


def write_annotations(
    boxes: BoxTable, folder: PathLike, index: IndexRows, reader: str | None = None
) -> None:
    """Write one log per reader, which the viewer continues and `read_annotations` reads.

    UUIDs derive from the reader, the image and the box: what is written a second time is in the log
    already, and stays as the reader has changed it since, deleted boxes too.

    Args:
        boxes: boxes, points and rows of kind "nothing"; the flags "unsure" and "bad image" become
            verdicts. Scores and other flags are not written.
        folder: folder of the logs; created if needed.
        index: index of the images.
        reader: reader of the rows without one.

    Warns:
        UserWarning: flags that are not written.

    Raises:
        UsageError: a row without a reader, of an image that is not in the index, or that a log
            cannot store: a box without label or area, a name that is too long.
        StorageError: the folder cannot be written, or a viewer writes one of the logs.
    """
    others = sorted(set(boxes.flags) - set(VERDICTS))
    if others:
        warnings.warn(f"the flags {', '.join(others)} are not written", stacklevel=3)
    images = _images(index)
    by_reader: dict[str, list[Row]] = defaultdict(list)
    for row in joined(boxes, index).table.to_pylist():
        name = row["reader"] or reader
        if name is None:
            raise UsageError(f"{row['key']}: a row without a reader: give the name of the reader")
        if row["image"] not in images:
            raise UsageError(f"{row['key']}: no image of the index has this key")
        by_reader[name].append(row)
    strokes = {name: _to_strokes(name, rows) for name, rows in by_reader.items()}
    time = datetime.now(UTC).isoformat(timespec="milliseconds")
    with ExitStack() as opened:
        logs = [opened.enter_context(StrokeLog(Path(folder), name)) for name in strokes]
        for log in logs:
            for stroke in strokes[log.reader]:
                facts = {"time": time, "reader": log.reader, **images[stroke.image]}
                log.append(stroke, facts)


def _to_strokes(reader: str, rows: list[Row]) -> list[Any]:
    """Strokes of one reader: its boxes and points in order, then its verdicts."""
    seen: Counter[tuple[Any, ...]] = Counter()
    verdicts: dict[str, str] = {}
    strokes = []
    for row in rows:
        kind = row["kind"]
        corners = [row[name] for name in CORNERS]
        if verdict := next((flag for flag in row["flags"] if flag in VERDICTS), None):
            verdicts[row["image"]] = verdict
        if kind == "nothing":
            verdicts.setdefault(row["image"], kind)
            continue
        content = {"kind": kind, "label": row["label"], "frame": row["frame"], "corners": corners}
        unique = (row["image"], *map(str, content.values()))
        seen[unique] += 1
        strokes.append((row, content, (*unique, str(seen[unique]))))
    return [
        *(_make(row, reader, names, **content) for row, content, names in strokes),
        *(
            _make({"image": image, "key": image}, reader, (image, kind), VERDICT, kind=kind)
            for image, kind in verdicts.items()
        ),
    ]


def _make(row: Row, reader: str, names: tuple[str, ...], item: str = "", **content: Any) -> Any:
    made, new = (str(uuid.uuid5(_NAMESPACE, chr(0).join([what, reader, *names]))) for what in "si")
    stroke = {"uuid": made, "op": "put", "image": row["image"], "item": item or new, "base": 0}
    try:
        return parse_stroke({**stroke, **content, "blind": False})
    except UsageError as error:
        raise UsageError(f"{row['key']}: {error}; Boxes.check() lists such rows") from error


def _images(index: IndexRows) -> dict[str, dict[str, Any]]:
    """Key and file size of every image, as in the lines of a log."""
    names = "id, path, member, file_size"
    rows = query(index, f"SELECT {names} FROM index WHERE pixel_length IS NOT NULL").to_pylist()
    return {
        row["id"]: {
            "key": image_key(row),
            "file_size": row["file_size"],
            "file_hash": None,
        }
        for row in rows
    }

"""Read logs of strokes, the annotations made in the viewer, as boxes."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from wetread.boxes.stroke_log import SUFFIX, read_log
from wetread.boxes.strokes import Replay
from wetread.boxes.table import CHANGED, CONFLICTING, CORNERS, BoxTable, PathLike
from wetread.errors import UsageError
from wetread.table.query import query

if TYPE_CHECKING:
    from wetread.table.rows import IndexRows

Row = dict[str, Any]
_COLUMNS = ("key", "frame", "label", "reader", "kind", "ignore", "flags", *CORNERS)


def read_annotations(path: PathLike, images: IndexRows | None = None) -> BoxTable:
    """Boxes, points and verdicts of one log or of a folder of them, by image, then as drawn.

    A verdict "no finding" is a row of kind "nothing". The flags "unsure" and "bad image" are on
    every box and point of the reader on that image; without any, they are on a row of kind
    "nothing" that is ignored: it is no reading of the image. A box with an unresolved conflict has
    the flag "conflict". A box that a reader rejected is no row.

    Args:
        path: folder of logs, or a log.
        images: index of the images; rows of an image whose file has another size than at the last
            stroke get the flag "image changed".

    Raises:
        UsageError: no log, one that is damaged or of a newer version, or two logs of one reader.
    """
    path = Path(path)
    files = sorted(path.rglob(f"*{SUFFIX}")) if path.is_dir() else [path]
    if not files:
        raise UsageError(f"{path}: no log of strokes, *{SUFFIX}")
    sizes = {} if images is None else _file_sizes(images)
    rows: list[Row] = []
    readers: dict[str, Path] = {}
    for file in files:
        if not file.stat().st_size:  # created, and not written yet
            continue
        reader, lines = read_log(file)
        if reader in readers:
            raise UsageError(f"{readers[reader]} and {file} are both logs of reader {reader!r}")
        readers[reader] = file
        replay, facts = Replay(), dict[str, Mapping[str, Any]]()
        for line in lines:
            replay.apply(line.stroke)
            facts[line.stroke.image] = line.facts
        for image in replay.images.keys() & replay.read:
            known = sizes.get(image, facts[image].get("file_size"))
            flags = [CHANGED] * (known != facts[image].get("file_size"))
            key = facts[image].get("key", image)
            rows += ({"key": key, "reader": reader, **r} for r in _rows(replay, image, flags))
    rows.sort(key=lambda row: (row["key"], row["frame"] or 0))
    return BoxTable.from_columns({name: [row.get(name) for row in rows] for name in _COLUMNS})


def _rows(replay: Replay, image: str, flags: list[str]) -> Iterator[Row]:
    """Rows of one reader on one image."""
    verdict = replay.verdict(image)
    conflicts = {stroke.item for stroke in replay.conflicts.get(image, {}).values()}
    undecided = [verdict] if verdict not in (None, "nothing") else []
    marks = [stroke for stroke in replay.marks(image) if stroke.kind != "reject"]
    for stroke in marks:
        own = [*flags, *undecided, *[CONFLICTING] * (stroke.item in conflicts)]
        yield {
            "frame": stroke.frame,
            "label": stroke.label,
            "kind": stroke.kind,
            "flags": own,
            **dict(zip(CORNERS, stroke.corners or (), strict=True)),
        }
    if verdict == "nothing" or (undecided and not marks):
        own = [*flags, *undecided]
        yield {"frame": None, "kind": "nothing", "ignore": bool(undecided), "flags": own}


def _file_sizes(images: IndexRows) -> dict[str, int]:
    rows = query(images, "SELECT id, file_size FROM index WHERE pixel_length IS NOT NULL")
    return dict(zip(*(rows[name].to_pylist() for name in ("id", "file_size")), strict=True))

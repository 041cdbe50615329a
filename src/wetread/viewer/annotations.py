"""Annotations of the reader of a viewer: validation against the images, log, progress."""

from __future__ import annotations

import hashlib
import warnings
from collections.abc import Iterable, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, NamedTuple

import pyarrow.compute as pc

from wetread.boxes import Boxes
from wetread.boxes.stroke_log import StrokeLog, image_key
from wetread.boxes.strokes import CONFLICT, MOST_LABEL, Item, Outcome, Stroke, check_name
from wetread.boxes.table import PathLike
from wetread.common.text import counted
from wetread.errors import NotFoundError, UsageError
from wetread.settings import Settings
from wetread.sources.find import open_source, path_and_member
from wetread.viewer.catalogue import Catalogue, RowQuery
from wetread.viewer.memo import memoize

_SIZE = ("Rows", "Columns", "NumberOfFrames")
_ROUNDING = 1e-6
"""Pixels by which corners may lie outside the image: rounding in the browser."""


class Writing(NamedTuple):
    """Log of a reader, and the labels to choose from."""

    log: StrokeLog
    labels: tuple[str, ...]
    blind: bool
    """True if the boxes of other readers are not shown."""


def open_writing(
    folder: PathLike | None,
    reader: str | None,
    labels: Iterable[str],
    sides: Sequence[Boxes | None],
    show_others: bool,
) -> Writing | None:
    """Open the log of a reader; None if neither a folder nor a reader is given.

    Labels of the boxes and predictions follow the labels given.

    Raises:
        UsageError: one of the two without the other, or an invalid name.
        StorageError: the folder cannot be written, or another viewer writes this log.

    Warns:
        UserWarning: boxes of the reader, while the log has none.
    """
    labels = [check_name(label, "label", MOST_LABEL) for label in labels]
    if folder is None or reader is None:
        if (folder, reader) == (None, None) and not labels and not show_others:
            return None
        raise UsageError('to annotate, give both reader="NAME" and write="FOLDER"')
    labels += [label for boxes in sides if boxes is not None for label in boxes.labels]
    log = StrokeLog(Path(folder), reader)
    if not log.replay.images and sides and sides[0] is not None:
        _warn_of_own(sides[0], reader)
    return Writing(log, tuple(dict.fromkeys(labels)), not show_others)


def _warn_of_own(boxes: Boxes, reader: str) -> None:
    """Warn of rows of the reader that are not in the log."""
    if own := pc.sum(pc.equal(boxes.table["reader"], reader)).as_py():
        text = (
            f"{counted(own, f'row of reader {reader}', 'are')} not shown; to continue "
            f"them, stop the viewer and"
        )
        warnings.warn(f"{text} copy them: wetread boxes FILE --to annotations", stacklevel=4)


class Annotations:
    """Annotations of one reader on the images of an index; thread-safe."""

    def __init__(self, writing: Writing, catalogue: Catalogue, settings: Settings) -> None:
        self._writing, self._log = writing, writing.log
        self._catalogue, self._settings = catalogue, settings
        self._file = memoize(self._read_file, 64)

    def close(self) -> None:
        """Close the log."""
        self._log.close()

    def describe(self) -> dict[str, Any]:
        """Reader, labels and progress, for the page."""
        replay = self._log.replay
        strokes = (s for image in list(replay.read) for s in replay.marks(image))
        own = {stroke.label: None for stroke in strokes if stroke.label}
        return {
            "reader": self._log.reader,
            "labels": list(dict.fromkeys([*self._writing.labels, *own])),
            "blind": self._writing.blind,
            "read": self.count_read(),
        }

    def count_read(self) -> int:
        """Number of images of the index with a box, a point or a verdict."""
        return self._catalogue.count_known(self._log.replay.read)

    def on(self, image: str) -> dict[str, Any]:
        """Items of an image with their revisions, deleted ones included, and its conflicts."""
        replay = self._log.replay
        items = list(replay.images.get(image, {}).items())
        conflicts = list(replay.conflicts.get(image, {}).values())
        return {
            "items": [_describe(id_, item) for id_, item in items],
            "conflicts": [stroke.to_json() for stroke in conflicts],
        }

    def next_unread(self, row_query: RowQuery, image: str) -> str | None:
        """First image after another one, in the order of a query, that is not read."""
        return self._catalogue.next_image(row_query, image, set(self._log.replay.read))

    def save(self, stroke: Stroke) -> tuple[Outcome, dict[str, Any]]:
        """Write a stroke; return its outcome and the state for the page.

        Raises:
            NotFoundError: unknown image.
            UsageError: outside of the image, or a frame that does not exist.
            StorageError: it could not be written.
        """
        row = self._catalogue.row(stroke.image, _SIZE)
        if row is None:
            raise NotFoundError(f"no image has the id {stroke.image}")
        _check_place(stroke, row)
        stroke = stroke._replace(blind=self._writing.blind)
        time = datetime.now(UTC).isoformat(timespec="milliseconds")
        facts = {"time": time, "reader": self._log.reader, "key": image_key(row)}
        facts |= self._file(stroke.image)
        outcome = self._log.append(stroke, facts)
        state = {"status": outcome.status, "revision": outcome.revision, "read": self.count_read()}
        if outcome.status == CONFLICT:
            state["error"] = "another window has changed this item meanwhile"
        return outcome, state

    def _read_file(self, image: str) -> dict[str, Any]:
        """Size and hash of the file of an image; null if it cannot be read."""
        row = self._catalogue.row(image)
        assert row is not None
        path, member = path_and_member(row)
        root, size, etag = self._catalogue.index.root, row["file_size"], row["etag"]
        try:
            with open_source(root, path, member, self._settings, size, etag) as file:
                digest = hashlib.blake2b(digest_size=16)
                count = 0
                while piece := file.read(1 << 20):
                    digest.update(piece)
                    count += len(piece)
        except OSError:
            return {"file_size": row["file_size"], "file_hash": None}
        return {"file_size": count, "file_hash": digest.hexdigest()}


def _describe(id_: str, item: Item) -> dict[str, Any]:
    stroke = item.stroke.to_json() if item.stroke else None
    return {"item": id_, "revision": item.revision, "stroke": stroke}


def _check_place(stroke: Stroke, row: dict[str, Any]) -> None:
    """Raise UsageError for corners or a frame outside of the image."""
    if row["pixel_length"] is None:
        raise UsageError(f"{row['path']} has no pixels to annotate")
    frames = row["NumberOfFrames"] or 1
    if stroke.frame is not None and stroke.frame >= frames:
        raise UsageError(f"frame {stroke.frame} of {frames}; frames are counted from 0")
    if stroke.corners is None:
        return
    columns, rows = row["Columns"], row["Rows"]
    limits = (columns, rows, columns, rows)
    for corner, limit in zip(stroke.corners, limits, strict=True):
        if limit is not None and not -_ROUNDING <= corner <= limit + _ROUNDING:
            raise UsageError(f"corners {list(stroke.corners)} in {columns} x {rows} pixels")

"""Build a report of an index, its boxes and predictions as one HTML file."""

from __future__ import annotations

import os
import platform
import time
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

from wetread import __version__
from wetread.boxes.consensus import have_corners
from wetread.boxes.join import joined
from wetread.common.files import written
from wetread.common.progress import Progress
from wetread.common.text import counted
from wetread.errors import UnknownNameError
from wetread.reports import blocks, page, thumbnails
from wetread.reports.sections import list_sections
from wetread.reports.subject import Links, Subject
from wetread.table.query import RunQuery, open_queries
from wetread.table.rows import IndexLike, IndexRows, check_files

if TYPE_CHECKING:
    from wetread.boxes.collection import Boxes
    from wetread.segments.table import Segments

SCHEMA = "wetread.report/2"
"""Version of the JSON format, described in docs/report.md."""
MAX_BYTES = 1_950_000
"""Maximum size of a report with its thumbnails."""
PathLike = str | os.PathLike[str]
_HASH = """
SELECT bit_xor(md5_number_lower(id || ' ' || coalesce(file_size, -1) || ' ' ||
    coalesce(header_hash, -1))) AS hash FROM index
"""


@dataclass(frozen=True)
class Report:
    """Finished report."""

    html: str
    """HTML document."""
    data: dict[str, Any]
    """Machine-readable content; docs/report.md describes the format."""

    def save(self, to: PathLike) -> Path:
        """Write the HTML file atomically.

        Raises:
            StorageError: the file cannot be written.
        """
        path = Path(os.path.abspath(to))
        with written(path) as file:
            file.write(self.html.encode())
        return path


def report(
    index: IndexLike,
    boxes: Boxes | PathLike | None = None,
    predictions: Boxes | PathLike | None = None,
    to: PathLike = "report.html",
    *,
    segments: Segments | PathLike | None = None,
    split: str | None = None,
    show_phi: bool = False,
    workers: int | None = None,
    progress: bool = True,
) -> Path:
    """Write a data-set report as one HTML file.

    The file loads nothing from elsewhere, runs no script and is smaller than 2 MB. docs/report.md
    describes its sections and its JSON.

    Args:
        index: images; measurements and parts are reported too if the index has them.
        boxes: labels of the readers, or a label file.
        predictions: predicted boxes, or a file of them; scored against `boxes`, or against the
            consensus of several readers.
        to: path of the report.
        segments: masks and contours, or a file or folder of them.
        split: column with the part of each image (default: `part`, else `fold`).
        show_phi: show values that may identify patients, and images with burned-in text.
        workers: number of processes that decode thumbnails (default: one per core).
        progress: show a progress bar.

    Returns:
        Path of the report.

    Raises:
        UnknownNameError: no column `split`.
        UsageError: none of the boxes is on an image of the index.
        NotFoundError: none of the files of the index was found.
        StorageError: the file cannot be written.
    """
    index = IndexRows.of(index)
    check_files(index)
    result = build(
        index,
        boxes,
        predictions,
        segments=segments,
        split=split,
        show_phi=show_phi,
        workers=workers,
        progress=progress,
    )
    return result.save(to)


def build(
    index: IndexLike,
    boxes: Boxes | PathLike | None = None,
    predictions: Boxes | PathLike | None = None,
    *,
    segments: Segments | PathLike | None = None,
    split: str | None = None,
    show_phi: bool = False,
    links: Links = "command",
    workers: int | None = None,
    progress: bool = False,
    size: int = MAX_BYTES,
) -> Report:
    """Build a report in memory; see `report`.

    Args:
        index: as in `report`.
        boxes: as in `report`.
        predictions: as in `report`.
        segments: as in `report`.
        split: as in `report`.
        show_phi: as in `report`.
        links: `"command"` shows the command that opens an image, `"viewer"` links to it, relative
            to the viewer that serves the report.
        workers: as in `report`.
        progress: as in `report`.
        size: maximum size of the report in bytes; thumbnails are left out if it is exceeded.
    """
    start = time.perf_counter()
    index = IndexRows.of(index)
    with open_queries(index) as run_query:
        subject = _subject(index, run_query, boxes, predictions, split, show_phi, links)
        subject.segments = _open_segments(segments, index)
        listed = list_sections(subject)
        bar = Progress(progress, len(listed), "sections")
        sections = [describe(subject) for describe in bar.track(listed)]
        provenance = _provenance(subject)
    requests = [r for section in sections for block in section.blocks for r in block.requests()]
    data: dict[str, Any] = {
        "schema": SCHEMA,
        "title": subject.title,
        "provenance": {**provenance, "report_seconds": None},
        "sections": {section.key: section.data for section in sections},
    }
    now = datetime.now().astimezone()
    subtitle = (
        f"{counted(provenance['rows'], 'file')}, {counted(provenance['images'], 'image')}; "
        f"created on {now.day} "
        f"{now:%B %Y, %H:%M} with wetread {__version__}"
    )

    def assemble(pictures: blocks.Thumbnails) -> str:
        return page.assemble(subject.title, subtitle, sections, pictures, data)

    room = size - len(assemble({}).encode())
    pictures = thumbnails.draw(subject.index, requests, room, workers, progress)
    data["provenance"]["report_seconds"] = round(time.perf_counter() - start, 2)
    return Report(assemble(pictures), data)


def _subject(
    index: IndexRows,
    run_query: RunQuery,
    boxes: Boxes | PathLike | None,
    predictions: Boxes | PathLike | None,
    split: str | None,
    show_phi: bool,
    links: Links,
) -> Subject:
    sources = {
        name: os.path.basename(os.fspath(given))
        for name, given in (("boxes", boxes), ("predictions", predictions))
        if isinstance(given, str | os.PathLike)
    }
    labels, predicted = _open(boxes, index), _open(predictions, index)
    truth = labels
    if labels is not None and len(labels.readers) > 1:
        truth = labels.select(
            have_corners(labels)
        ).consensus()  # incomplete boxes are in the problems
    part = _find_part(index, run_query, split)
    return Subject(index, run_query, labels, truth, predicted, part, show_phi, links, sources)


def _open(boxes: Boxes | PathLike | None, index: IndexRows) -> Boxes | None:
    """Boxes joined to the index, with the part of each image."""
    if boxes is None:
        return None
    if isinstance(boxes, str | os.PathLike):
        from wetread.boxes.reading import read_boxes

        return read_boxes(boxes, images=index)
    table = boxes.table
    parts = "part" in index.schema.names and table["part"].null_count == len(boxes)
    keys = not table["key"].null_count
    return boxes.join(index) if keys and parts else joined(boxes, index)


def _open_segments(segments: Segments | PathLike | None, index: IndexRows) -> Segments | None:
    """Segments on the volumes of the index."""
    if isinstance(segments, str | os.PathLike):
        from wetread.segments.reading import read_segments

        return read_segments(segments, images=index, progress=False)
    return segments


def _find_part(index: IndexRows, run_query: RunQuery, split: str | None) -> str | None:
    """Column with the parts: the requested one, or the one written by `split`."""
    have = index.schema.names
    if split is not None:
        if split not in have:
            raise UnknownNameError("column", split, have)
        return split
    for name in ("part", "fold"):
        if name in have and run_query(f"SELECT count({name}) AS n FROM index")["n"][0].as_py():
            return name
    return None


def _provenance(subject: Subject) -> dict[str, Any]:
    """Provenance of the report: data, date, versions."""
    digest = subject.query(_HASH)[0]["hash"]
    index = subject.index
    return {
        "made": datetime.now().astimezone().isoformat(timespec="seconds"),
        "data": subject.title,
        "index": subject.name if index.folder else None,
        "rows": len(index),
        "images": subject.images,
        "part_of_the_index": bool(index.chosen) or None,
        "fingerprint": None if digest is None else f"{digest:016x}",
        "scan_seconds": index.scan.get("seconds"),
        "labels": subject.sources.get("boxes") or (subject.boxes is not None or None),
        "predictions": subject.sources.get("predictions")
        or (subject.predictions is not None or None),
        "split": subject.split,
        "values_of_patients": "shown" if subject.show_phi else "masked",
        "wetread": __version__,
        "python": platform.python_version(),
        "system": platform.system(),
    }

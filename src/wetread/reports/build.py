"""`report`: an index, its boxes and predictions as one HTML file."""

from __future__ import annotations

import os
import platform
import time
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

from wetread import __version__
from wetread.boxes.consensus import have_place
from wetread.boxes.join import joined
from wetread.common.files import written
from wetread.errors import UnknownNameError
from wetread.reports import blocks, page, thumbnails
from wetread.reports.sections import SECTIONS
from wetread.reports.subject import Links, Subject
from wetread.table.query import Ask, questions
from wetread.table.rows import IndexLike, IndexRows

if TYPE_CHECKING:
    from wetread.boxes.collection import Boxes

SCHEMA = "wetread.report/1"
"""The form of the JSON; docs/report.md describes it."""
MOST_BYTES = 1_950_000
"""Pictures fill a report up to here at most."""
PathLike = str | os.PathLike[str]
_HASH = """
SELECT bit_xor(md5_number_lower(id || ' ' || coalesce(file_size, -1) || ' ' ||
    coalesce(header_hash, -1))) AS hash FROM index
"""


@dataclass(frozen=True)
class Report:
    """A report that is made."""

    html: str
    """The whole file."""
    data: dict[str, Any]
    """The same for machines; docs/report.md has the form."""

    def save(self, to: PathLike) -> Path:
        """Writes the HTML, whole or not at all.

        Raises:
            StorageError: it cannot be written.
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
    split: str | None = None,
    show_phi: bool = False,
    workers: int | None = None,
    progress: bool = True,
) -> Path:
    """Writes what there is to say of an index as one HTML file, which opens anywhere.

    It loads nothing from elsewhere, needs no script and stays under 2 MB. See docs/report.md for
    its sections, and for the JSON in it.

    Args:
        index: the images, or their index folder; what `measure` and `wetread.split` added is
            reported too.
        boxes: the readers' labels, or a file of them.
        predictions: a model's boxes, or a file of them; judged by `boxes`, by their consensus
            where several readers saw an image.
        to: the file.
        split: the column that says which part an image is in; by default `part`, else `fold`,
            where the index has them.
        show_phi: show values that may tell who a patient is, and pictures with burned-in text.
        workers: processes that decode the pictures; None for one a core.
        progress: say on stderr how far it is.

    Returns:
        The path of the file.

    Raises:
        UnknownNameError: there is no column `split`.
        UsageError: boxes of which no image is in the index.
        StorageError: the file cannot be written.
    """
    made = build(
        index,
        boxes,
        predictions,
        split=split,
        show_phi=show_phi,
        workers=workers,
        progress=progress,
    )
    return made.save(to)


def build(
    index: IndexLike,
    boxes: Boxes | PathLike | None = None,
    predictions: Boxes | PathLike | None = None,
    *,
    split: str | None = None,
    show_phi: bool = False,
    links: Links = "command",
    workers: int | None = None,
    progress: bool = False,
) -> Report:
    """A report in memory; see `report`.

    Args:
        index: as in `report`, and so the others.
        boxes: labels.
        predictions: a model's.
        split: the column with the parts.
        show_phi: show values of patients.
        links: how an image is opened: `"command"`, a line to type, or `"viewer"`, links relative
            to a viewer that serves the report at `report` beside its page.
        workers: processes that decode.
        progress: say how far it is.
    """
    start = time.perf_counter()
    index = IndexRows.of(index)
    with questions(index) as answer:
        subject = _subject(index, answer, boxes, predictions, split, show_phi, links)
        sections = [describe(subject) for describe in SECTIONS]
        provenance = _provenance(subject)
    requests = [r for section in sections for block in section.blocks for r in block.requests()]
    data: dict[str, Any] = {
        "schema": SCHEMA,
        "title": subject.title,
        "provenance": {**provenance, "report_seconds": None},
        "sections": {section.key: section.data for section in sections},
    }
    made = datetime.now().astimezone()
    said = (
        f"{provenance['rows']:,} files, {provenance['images']:,} images; made on {made.day} "
        f"{made:%B %Y, %H:%M} by wetread {__version__}"
    )

    def assemble(pictures: blocks.Pictures) -> str:
        return page.assemble(subject.title, said, sections, pictures, data)

    room = MOST_BYTES - len(assemble({}).encode())
    pictures = thumbnails.draw(subject.content, requests, room, workers, progress)
    data["provenance"]["report_seconds"] = round(time.perf_counter() - start, 2)
    return Report(assemble(pictures), data)


def _subject(
    index: IndexRows,
    answer: Ask,
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
    labels, found = _open(boxes, index), _open(predictions, index)
    truth = labels
    if labels is not None and len(labels.readers) > 1:
        truth = labels.select(have_place(labels)).consensus()  # the others are problems
    part = _find_part(index, answer, split)
    return Subject(index, answer, labels, truth, found, part, show_phi, links, sources)


def _open(given: Boxes | PathLike | None, index: IndexRows) -> Boxes | None:
    """Boxes that know their images, and the parts of them."""
    if given is None:
        return None
    if isinstance(given, str | os.PathLike):
        from wetread.boxes.reading import read_boxes

        return read_boxes(given, images=index)
    table = given.table
    parts = "part" in index.schema.names and table["part"].null_count == len(given)
    named = not table["key"].null_count
    return given.join(index) if named and parts else joined(given, index)


def _find_part(content: IndexRows, answer: Ask, split: str | None) -> str | None:
    """The column with the parts: the one that is asked for, or what `split` has written."""
    have = content.schema.names
    if split is not None:
        if split not in have:
            raise UnknownNameError("column", split, have)
        return split
    for name in ("part", "fold"):
        if name in have and answer(f"SELECT count({name}) AS n FROM index")["n"][0].as_py():
            return name
    return None


def _provenance(subject: Subject) -> dict[str, Any]:
    """What was reported on, when, by what."""
    found = subject.ask(_HASH)[0]["hash"]
    content = subject.content
    return {
        "made": datetime.now().astimezone().isoformat(timespec="seconds"),
        "data": subject.title,
        "index": subject.name if content.folder else None,
        "rows": len(content),
        "images": subject.images,
        "part_of_the_index": bool(content.chosen) or None,
        "fingerprint": None if found is None else f"{found:016x}",
        "scan_seconds": content.scan.get("seconds"),
        "labels": subject.sources.get("boxes") or (subject.boxes is not None or None),
        "predictions": subject.sources.get("predictions")
        or (subject.predictions is not None or None),
        "split": subject.split,
        "values_of_patients": "shown" if subject.show_phi else "masked",
        "wetread": __version__,
        "python": platform.python_version(),
        "system": platform.system(),
    }

"""Section: a sample of the images or series, with the boxes of the readers."""

from __future__ import annotations

from typing import Any

import pyarrow.compute as pc

from wetread.boxes.table import CORNERS
from wetread.reports import blocks
from wetread.reports.blocks import Gallery, Mark, Section, Tile
from wetread.reports.markup import cut
from wetread.reports.subject import PIXELS, Subject
from wetread.series.table import SeriesTable
from wetread.series.tables import slice_table

SAMPLE = 12
"""Number of sample images or series, evenly spaced over the index."""
_SAMPLE = f"""
SELECT id, path, member, Modality, photometric, Rows, "Columns" FROM (
    SELECT id, path, member, Modality, PhotometricInterpretation AS photometric, Rows, "Columns",
        row_number() OVER (ORDER BY path, member) AS place, count(*) OVER () AS n
    FROM index WHERE {PIXELS} AND {{shown}})
WHERE floor(place * {SAMPLE} / n) > floor((place - 1) * {SAMPLE} / n) ORDER BY path, member
"""
_SERIES = f"""
SELECT id, path, member, Modality, photometric, Rows, "Columns", frame, slices FROM (
    SELECT i.id, i.path, i.member, i.Modality, i.PhotometricInterpretation AS photometric, i.Rows,
        i."Columns", s.frame, s.slices,
        row_number() OVER (ORDER BY i.path, i.member, s.frame) AS place, count(*) OVER () AS n
    FROM (
        SELECT id, frame, count(*) OVER one AS slices,
            row_number() OVER (one ORDER BY slice_index, id) AS at
        FROM slices WHERE coalesce(stack_index, 0) = 0
        WINDOW one AS (PARTITION BY CASE WHEN stack_index = 0 THEN series_id ELSE id END)) s
        JOIN "index" i USING (id)
    WHERE s.at = s.slices // 2 + 1 AND i.{PIXELS} AND i.{{shown}})
WHERE floor(place * {SAMPLE} / n) > floor((place - 1) * {SAMPLE} / n)
ORDER BY path, member, frame
"""
"""Middle slice of the largest stack of each series, and every image without a stack."""
_NO_RISK = "id NOT IN (SELECT id FROM problems WHERE code = 'BURNED_IN_RISK')"
_WITH_BOXES = "id IN (SELECT id FROM boxes WHERE kind = 'box')"
_BOXES = f"""
SELECT id, label, {", ".join(CORNERS)} FROM boxes
WHERE kind = 'box' AND coalesce(frame, 0) = 0 AND isfinite(x0 + y0 + x1 + y1)
    AND id IN ({{ids}}) ORDER BY id, label
"""


def describe(subject: Subject) -> Section:
    """Sample of the images with boxes; without labels of the series, or of the images."""
    marked = subject.boxes is not None and len(subject.boxes) > 0
    section = Section("pictures", "Images", ["headers", "labels"] if marked else ["headers"])
    conditions = ["true" if subject.show_phi else _NO_RISK, *([_WITH_BOXES] if marked else [])]
    if not marked and (found := _sample_series(subject, conditions[0])):
        return _add(section, subject, found[0], {}, found[1])
    sql = _SAMPLE.format(shown=" AND ".join(conditions))
    tables = {"boxes": subject.boxes.sql_table} if subject.boxes is not None else {}
    rows = subject.query(sql, **tables)
    if marked and not rows:  # readings without a finding only
        return _add(section, subject, subject.query(_SAMPLE.format(shown=conditions[0])), {}, "")
    boxes: dict[str, list[dict[str, Any]]] = {}
    if rows and marked:
        ids = ", ".join(f"'{row['id']}'" for row in rows)
        for box in subject.query(_BOXES.format(ids=ids), **tables):
            boxes.setdefault(box["id"], []).append(box)
    command = subject.command(sql, boxes=marked)
    return _add(section, subject, rows, boxes, command)


def _sample_series(subject: Subject, shown: str) -> tuple[list[dict[str, Any]], str] | None:
    """Middle slices of a sample of the series, and the command; None if none has two slices."""
    collection = SeriesTable(subject.index, progress=False).collection
    slices = slice_table(collection)
    if not pc.any(pc.greater(slices["slice_index"], 0)).as_py():
        return None
    sql = _SERIES.format(shown="id IS NOT NULL" if shown == "true" else shown)
    rows = subject.query(sql, slices=slices)
    return rows, subject.command(sql)


def _add(
    section: Section,
    subject: Subject,
    rows: list[dict[str, Any]],
    boxes: dict[str, list[dict[str, Any]]],
    command: str,
) -> Section:
    section.data = {"sample": [row["id"] for row in rows]}
    tiles = [_tile(subject, row, boxes.get(row["id"], [])) for row in rows]
    if not tiles:
        section.add(blocks.prose("No image can be shown."))
        return section
    caption = "Sample of the images, evenly spaced"
    if "slices" in rows[0]:
        caption = "Sample of the series, the middle slice of each"
    if boxes:
        caption = "Sample of the images with boxes, as the readers drew them"
    section.add(Gallery(caption, tiles, command or None))
    return section


def _tile(subject: Subject, row: dict[str, Any], boxes: list[dict[str, Any]]) -> Tile:
    labels = dict.fromkeys(box["label"] for box in boxes if box["label"])
    form = " ".join(filter(None, (row["Modality"], row["photometric"])))
    if row.get("slices", 1) > 1:
        form = f"{form}, {row['slices']} slices"
    note = ", ".join(cut(label, 28) for label in labels) or form
    if not (boxes and row["Rows"] and row["Columns"]):
        return subject.tile(row, note, frame=row.get("frame", 0))
    whole = (0.0, 0.0, float(row["Columns"]), float(row["Rows"]))
    marks = [Mark("truth", tuple(box[corner] for corner in CORNERS)) for box in boxes]
    return subject.tile(row, note, whole, marks)

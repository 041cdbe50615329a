"""Section: a sample of the images or series, with the boxes of the readers."""

from __future__ import annotations

from typing import Any

import pyarrow as pa
import pyarrow.compute as pc

from wetread.boxes.table import CORNERS
from wetread.common.text import counted
from wetread.reports import blocks
from wetread.reports.blocks import Gallery, Mark, Section, Tile
from wetread.reports.markup import cut
from wetread.reports.subject import PIXELS, Subject

Boxes = dict[tuple[str, int], list[dict[str, Any]]]
"""Boxes by image and frame."""
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
    FROM ({{slices}}) s JOIN "index" i USING (id)
    WHERE s.at = s.slices // 2 + 1 AND i.{PIXELS} AND i.{{shown}})
WHERE floor(place * {SAMPLE} / n) > floor((place - 1) * {SAMPLE} / n)
ORDER BY path, member, frame
"""
"""Sample of the middle ones of the slices `slices`, by series."""
_ALL = """
SELECT id, frame, count(*) OVER one AS slices,
    row_number() OVER (one ORDER BY slice_index, id) AS at
FROM slices WHERE coalesce(stack_index, 0) = 0
WINDOW one AS (PARTITION BY CASE WHEN stack_index = 0 THEN series_id ELSE id END)
"""
"""Slices of the largest stack of each series, and every image without a stack."""
_MARKED = """
SELECT id, frame, count(*) OVER one AS slices,
    row_number() OVER (one ORDER BY stack_index, slice_index, id, frame) AS at
FROM (SELECT DISTINCT id, coalesce(frame, 0) AS frame FROM boxes WHERE kind = 'box')
LEFT JOIN slices USING (id, frame)
WINDOW one AS (PARTITION BY CASE WHEN stack_index IS NOT NULL THEN series_id ELSE id END)
"""
"""Slices and frames with boxes."""
_NO_RISK = "id NOT IN (SELECT id FROM problems WHERE code = 'BURNED_IN_RISK')"
_WITH_BOXES = "id IN (SELECT id FROM boxes WHERE kind = 'box')"
_BOXES = f"""
SELECT id, coalesce(frame, 0) AS frame, label, {", ".join(CORNERS)} FROM boxes
WHERE kind = 'box' AND isfinite(x0 + y0 + x1 + y1) AND id IN ({{ids}}) ORDER BY id, label
"""


def describe(subject: Subject) -> Section:
    """Sample of the series, or of the images without series; with labels, of those with boxes."""
    marked = subject.boxes is not None and len(subject.boxes) > 0
    section = Section("pictures", "Images", ["headers", "labels"] if marked else ["headers"])
    conditions = ["true" if subject.show_phi else _NO_RISK, *([_WITH_BOXES] if marked else [])]
    tables = {"boxes": subject.boxes.sql_table} if subject.boxes is not None else {}
    sampled = _sample_series(subject, conditions[0], _MARKED if marked else _ALL, tables)
    if sampled is None:
        sql = _SAMPLE.format(shown=" AND ".join(conditions))
        sampled = subject.query(sql, **tables), sql
    rows, sql = sampled
    if marked and not rows:  # readings without a finding only
        return _add(section, subject, subject.query(_SAMPLE.format(shown=conditions[0])), {}, "")
    boxes: Boxes = {}
    if rows and marked:
        ids = ", ".join(f"'{row['id']}'" for row in rows)
        for box in subject.query(_BOXES.format(ids=ids), **tables):
            boxes.setdefault((box["id"], box["frame"]), []).append(box)
    return _add(section, subject, rows, boxes, subject.command(sql, boxes=marked))


def _sample_series(
    subject: Subject, shown: str, chosen: str, tables: dict[str, pa.Table]
) -> tuple[list[dict[str, Any]], str] | None:
    """Middle slices of a sample of the series, and the SQL; None if none has two slices."""
    slices = subject.slices
    if not pc.any(pc.greater(slices["slice_index"], 0)).as_py():
        return None
    sql = _SERIES.format(shown="id IS NOT NULL" if shown == "true" else shown, slices=chosen)
    return subject.query(sql, slices=slices, **tables), sql


def _add(
    section: Section,
    subject: Subject,
    rows: list[dict[str, Any]],
    boxes: Boxes,
    command: str,
) -> Section:
    section.data = {"sample": [row["id"] for row in rows]}
    tiles = [_tile(subject, row, boxes.get((row["id"], row.get("frame", 0)), [])) for row in rows]
    if not tiles:
        section.add(blocks.prose("No image can be shown."))
        return section
    caption = "Sample of the images, evenly spaced"
    if "slices" in rows[0]:
        caption = "Sample of the series, the middle slice of each"
    if boxes:
        caption = "Sample of the images with boxes, as the readers drew them"
        if "slices" in rows[0]:
            caption = "Sample of the series with boxes, the middle one of the slices with boxes"
    section.add(Gallery(caption, tiles, command or None))
    return section


def _tile(subject: Subject, row: dict[str, Any], boxes: list[dict[str, Any]]) -> Tile:
    labels = dict.fromkeys(box["label"] for box in boxes if box["label"])
    form = " ".join(filter(None, (row["Modality"], row["photometric"])))
    if row.get("slices", 1) > 1:
        form = f"{form}, {counted(row['slices'], 'slice')}"
    note = ", ".join(cut(label, 28) for label in labels) or form
    if boxes and row.get("slices", 1) > 1:
        note = f"{note}; boxes on {counted(row['slices'], 'slice')}"
    if not (boxes and row["Rows"] and row["Columns"]):
        return subject.tile(row, note, frame=row.get("frame", 0))
    whole = (0.0, 0.0, float(row["Columns"]), float(row["Rows"]))
    marks = [Mark("truth", tuple(box[corner] for corner in CORNERS)) for box in boxes]
    return subject.tile(row, note, whole, marks, row.get("frame", 0))

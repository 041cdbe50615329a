"""Section: masks and contours: sizes by label, alignment, problems, examples."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import pyarrow.compute as pc

from wetread.errors import SEGMENT_PROBLEMS, WetreadError
from wetread.reports import blocks
from wetread.reports.blocks import Gallery, Section, Tile
from wetread.reports.markup import cut, el
from wetread.reports.subject import MAX_LENGTH, Subject

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from wetread.segments.segment import Segment
    from wetread.segments.table import Segments

_TOTALS = """
SELECT count(*) AS segments, count(DISTINCT id) AS files, count(DISTINCT series_id) AS series,
    count(*) FILTER (WHERE aligned) AS aligned, count(*) FILTER (WHERE NOT aligned) AS not_aligned,
    count(*) FILTER (WHERE aligned IS NULL) AS unknown FROM segments
"""
_LABELS = """
SELECT coalesce(label, '') AS label, count(*) AS segments,
    count(*) FILTER (WHERE NOT aligned) AS not_aligned, min(volume_ml) AS least,
    median(volume_ml) AS median, max(volume_ml) AS most
FROM segments GROUP BY ALL ORDER BY segments DESC, label LIMIT 40
"""
_COUNTS = """
SELECT code, severity, count(DISTINCT id) AS files, count(*) AS n FROM segment_problems
GROUP BY ALL ORDER BY n DESC, code
"""
_EXAMPLES, _LONGEST = 8, 96
"""Number of pictures, and largest number of pixels along a side of their outlines."""


def describe(subject: Subject) -> Section:
    """Segments by label, their problems, and outlines on some slices."""
    section = Section("masks", "Masks and contours", ["segments"])
    segments = subject.segments
    if segments is None:
        command = subject.shell("report", "--segments labels/ -o report.html")
        section.add(blocks.missing("No masks were given.", command))
        return section
    tables = {"segments": segments.table, "segment_problems": segments.problem_rows()}
    (totals,) = subject.query(_TOTALS, **tables)
    labels, counts = (subject.query(sql, **tables) for sql in (_LABELS, _COUNTS))
    shown = [
        (totals["segments"], "segments"),
        (totals["files"], "label files"),
        (totals["series"], "series with segments"),
        (totals["aligned"], "aligned"),
        (totals["not_aligned"], "not aligned"),
        (totals["unknown"], "unknown: contours have no grid"),
    ]
    section.add(blocks.facts(shown))
    rows = [
        (cut(row["label"] or "without label", MAX_LENGTH), *list(row.values())[1:])
        for row in labels
    ]
    head: tuple[str, ...] = ("label", "segments", "not aligned", "least, ml", "median", "most")
    section.add(blocks.table("Segments by label", head, rows))
    lines = [
        (
            blocks.badge(row["severity"]),
            el("code", row["code"]),
            row["files"],
            row["n"],
            SEGMENT_PROBLEMS[row["code"]].meaning,
        )
        for row in counts
    ]
    head = ("severity", "problem", "files", "problems", "meaning")
    section.add(blocks.table("Problems of segments", head, lines))
    drawn = (_tile(subject, segment) for segment in _choose(segments))
    if tiles := [tile for tile in drawn if tile is not None]:
        section.add(Gallery("Middle slices of some segments", tiles))
    section.data = {"totals": totals, "labels": labels, "problems": counts}
    return section


def _choose(segments: Segments) -> list[Segment]:
    """Some segments with a mask, of as many labels as possible."""
    rows = segments.table
    usable = pc.and_(pc.is_valid(rows["x0"]), pc.invert(pc.equal(rows["aligned"], False)))
    usable = pc.fill_null(usable, pc.is_valid(rows["x0"]))
    seen: dict[Any, int] = {}
    ranked = []
    for number in np.flatnonzero(usable.to_numpy()).tolist():
        label = rows["label"][number].as_py()
        ranked.append((seen.get(label, 0), number))
        seen[label] = seen.get(label, 0) + 1
    return [segments[number] for _, number in sorted(ranked)[:_EXAMPLES]]


def _tile(subject: Subject, segment: Segment) -> Tile | None:
    """Picture of the middle slice of a segment."""
    row = segment.row
    k = (row["first_slice"] + row["last_slice"]) // 2
    try:
        mask = segment.read(slice(k, k + 1))[0]
    except WetreadError:  # its problem is in the table above
        return None
    id_, frame = segment.slices[k]
    sql = f"SELECT id, path, member FROM index WHERE id = '{id_}'"
    found = subject.query(sql)
    if not found:
        return None
    rows, columns = mask.shape
    crop = (0.0, 0.0, float(columns), float(rows))
    return subject.tile(found[0], cut(segment.caption, 60), crop, frame=frame, outlines=trace(mask))


def trace(mask: NDArray[np.bool_]) -> list[NDArray[np.float64]]:
    """Outlines of a mask in edges of pixels: closed lines (n, 2) of x and y.

    Large masks are traced on every second, third, ... pixel.

    >>> trace(np.ones((2, 2), bool))[0].min(), len(trace(np.eye(2, dtype=bool)))
    (np.float64(0.0), 2)
    """
    from contourpy import contour_generator

    step = -(-max(mask.shape) // _LONGEST)
    small = np.pad(mask[step // 2 :: step, step // 2 :: step], 1).astype(np.float64)
    lines = contour_generator(z=small).lines(0.5)
    return [(np.asarray(line) - 0.5) * step for line in lines]

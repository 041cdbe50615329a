"""Section: labels, positions and sizes of boxes, and their problems."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pyarrow as pa

from wetread.reports import blocks, charts
from wetread.reports.blocks import Section
from wetread.reports.markup import cut, el
from wetread.reports.subject import MAX_LENGTH, MAX_PARTS, Subject

if TYPE_CHECKING:
    from wetread.boxes.collection import Boxes

_GRID = 24
MAX_LABELS, MAX_IN_JSON = 40, 200
"""Maximum number of labels displayed, and in the JSON."""
_LABELS = """
SELECT coalesce(label, '') AS label, coalesce(CAST(part AS VARCHAR), '') AS part,
    count(DISTINCT coalesce(image, key)) AS images, count(*) AS boxes
FROM boxes WHERE kind <> 'nothing' GROUP BY ALL ORDER BY label, part
"""
_TOTALS = """
SELECT count(DISTINCT coalesce(image, key)) AS images, count(DISTINCT image) AS joined,
    count(DISTINCT CASE WHEN kind <> 'nothing' THEN coalesce(image, key) END) AS with_boxes,
    count(*) FILTER (WHERE kind <> 'nothing') AS boxes, count(DISTINCT label) AS labels
FROM boxes
"""
_EACH = """
SELECT n, count(*) AS images FROM (
    SELECT least(count(*) FILTER (WHERE kind <> 'nothing'), 15) AS n FROM boxes
    GROUP BY coalesce(image, key), frame, reader)
GROUP BY ALL ORDER BY n
"""
_PLACED = """
SELECT label, (x0 + x1) / 2 / "Columns" AS x, (y0 + y1) / 2 / Rows AS y,
    sqrt(greatest(x1 - x0, 0) * greatest(y1 - y0, 0) / (Rows * "Columns")) AS side
FROM boxes JOIN index ON index.id = boxes.image
WHERE kind = 'box' AND Rows > 0 AND "Columns" > 0 AND isfinite(x0 + x1 + y0 + y1)
"""
_PLACES = f"""
SELECT CAST(least(greatest(floor(x * {_GRID}), 0), {_GRID - 1}) AS INTEGER) AS x,
    CAST(least(greatest(floor(y * {_GRID}), 0), {_GRID - 1}) AS INTEGER) AS y, count(*) AS n
FROM ({_PLACED}) GROUP BY ALL
"""
_SIDES = f"""
SELECT CAST(least(floor(side * 20), 19) AS INTEGER) AS bin, count(*) AS n FROM ({_PLACED})
GROUP BY ALL ORDER BY bin
"""


def describe(subject: Subject) -> Section:
    """Labels per part, boxes per image, positions and sizes, problems."""
    section = Section("labels", "Labels", ["labels"])
    boxes = subject.boxes
    if boxes is None:
        command = subject.shell("report", "--boxes train.csv -o report.html")
        section.add(blocks.missing("No label file was given.", command))
        return section
    tables = {"boxes": boxes.sql_table}
    totals = subject.query(_TOTALS, **tables)[0]
    section.data = {"totals": totals}
    section.add(
        blocks.facts(
            [
                (totals["boxes"], "boxes"),
                (totals["labels"], "labels"),
                (totals["images"], "images in the label file"),
                (totals["with_boxes"], "images with a box"),
                (subject.images - totals["joined"], "images without a label"),
            ],
            subject.command(_TOTALS, boxes=True),
        )
    )
    _show_labels(subject, section, tables)
    places = _show_places(subject, section, tables)
    section.add(blocks.side_by_side(*places, _show_problems(subject, section, boxes)))
    return section


def in_python(subject: Subject, line: str) -> str:
    """Python lines that reproduce a figure."""
    source = subject.sources.get("boxes", "train.csv")
    return "\n".join(
        [
            "import wetread as wr",
            f"index = wr.Index.open({subject.name!r})",
            f"boxes = wr.read_boxes({source!r}, images=index)",
            line,
        ]
    )


def _show_labels(subject: Subject, section: Section, tables: dict[str, pa.Table]) -> None:
    found: dict[str, dict[str, tuple[int, int]]] = {}
    for row in subject.query(_LABELS, **tables):
        found.setdefault(row["label"], {})[row["part"]] = (row["images"], row["boxes"])
    parts = sorted({part for counts in found.values() for part in counts if part})[:MAX_PARTS]
    images = {label: sum(i for i, _ in counts.values()) for label, counts in found.items()}
    most = max(images.values(), default=0)
    ordered = sorted(found, key=lambda label: (-images[label], label))
    kept = ordered[:MAX_IN_JSON]
    section.data["labels"] = [
        [cut(label, MAX_LENGTH), images[label], sum(b for _, b in found[label].values())]
        for label in kept
    ]
    section.data["parts"] = {
        part: [[cut(label, MAX_LENGTH), *found[label].get(part, (0, 0))] for label in kept]
        for part in parts
    }
    rows: list[tuple[Any, ...]] = [
        (
            cut(label, MAX_LENGTH) or "without a label",
            images[label],
            el("span", charts.bar(images[label] / most if most else 0), class_="share"),
            sum(b for _, b in found[label].values()),
            *(found[label].get(part, (0, 0))[0] for part in parts),
        )
        for label in ordered[:MAX_LABELS]
    ]
    head = ("label", "images", "compared", "boxes", *(f"images in {part}" for part in parts))
    command = subject.command(_LABELS, boxes=True)
    section.add(blocks.table("Labels", head, rows, command))
    if (more := len(ordered) - MAX_LABELS) > 0:
        section.add(blocks.note(f"{more} more labels are not shown."))


def _show_places(
    subject: Subject, section: Section, tables: dict[str, pa.Table]
) -> list[blocks.Static]:
    """Charts of the number and the sizes of boxes; returns the plot of their positions."""
    each = [(row["n"], row["images"]) for row in subject.query(_EACH, **tables)]
    counts = dict(each)
    named = [
        (f"{n}" if n < 15 else "15+", counts.get(n, 0)) for n in range(max(counts, default=0) + 1)
    ]
    drawn = charts.columns(named, "Boxes per image and reader")
    command = subject.command(_EACH, boxes=True)
    figures = [blocks.figure("Boxes per image and reader", drawn, command)]
    sides = {row["bin"]: row["n"] for row in subject.query(_SIDES, **tables)}
    places: list[blocks.Static] = []
    section.data["boxes_per_reading"] = [list(pair) for pair in each]
    if sides:
        bins = [(b / 20, (b + 1) / 20, sides.get(b, 0)) for b in range(max(sides) + 1)]
        drawn = charts.histogram(bins, "Sizes of boxes", "of the image side")
        caption = "Sizes of boxes: square root of box area / image area"
        figures.append(blocks.figure(caption, drawn, subject.command(_SIDES, boxes=True)))
        cells = [[0] * _GRID for _ in range(_GRID)]
        for row in subject.query(_PLACES, **tables):
            cells[row["y"]][row["x"]] = row["n"]
        section.data["places"] = cells
        caption = "Centres of boxes of all labels; the square is the image"
        drawn = charts.density(cells, "Centres of boxes: darker for more")
        places = [blocks.figure(caption, drawn, subject.command(_PLACES, boxes=True))]
    section.add(blocks.side_by_side(*figures))
    return places


def _show_problems(subject: Subject, section: Section, boxes: Boxes) -> blocks.Static:
    from wetread.errors import BOX_PROBLEMS

    checked = boxes.check(subject.index)
    counts = {str(code): int(n) for code, n in checked["code"].value_counts().items()}
    ordered = [code for code in BOX_PROBLEMS if code in counts]
    ordered.sort(key=lambda code: ("error", "warning", "info").index(BOX_PROBLEMS[code].severity))
    section.data["problems"] = {code: counts[code] for code in ordered}
    rows = []
    for code in ordered:
        example = checked[checked["code"] == code].iloc[0]
        details = ", ".join(
            cut(str(example[name]), 80)
            for name in ("label", "reader", "text")
            if isinstance(example[name], str) and example[name]
        )
        meaning = BOX_PROBLEMS[code].meaning
        severity = blocks.badge(BOX_PROBLEMS[code].severity)
        text = el("span", meaning, el("span", details, class_="names name"))
        rows.append((severity, el("code", code), counts[code], text))
    head = ("severity", "problem", "count", "meaning, with an example")
    command = in_python(subject, "boxes.check(index)")
    return blocks.table("Problems of the labels", head, rows, command)

"""Section 12: what is labelled, where, how large, and what is wrong with it."""

from __future__ import annotations

import shlex
from typing import TYPE_CHECKING, Any

import pyarrow as pa

from wetread.reports import blocks, charts
from wetread.reports.blocks import Section
from wetread.reports.markup import cut, el
from wetread.reports.subject import LONGEST, MOST_PARTS, Subject

if TYPE_CHECKING:
    from wetread.boxes.collection import Boxes

_GRID = 24
MOST_LABELS, MOST_IN_JSON = 40, 200
"""Labels that are shown, and those in the JSON."""
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
    """Labels by part, boxes an image, places and sizes, what is wrong."""
    section = Section("labels", "Labels", ["labels"])
    boxes = subject.boxes
    if boxes is None:
        command = f"wetread report {shlex.quote(subject.name)} --boxes train.csv -o report.html"
        section.add(blocks.prose("No label file was given."), blocks.Words(blocks.how(command)))
        return section
    tables = {"boxes": boxes.table}
    totals = subject.ask(_TOTALS, **tables)[0]
    section.data = {"totals": totals}
    section.add(
        blocks.facts(
            [
                (totals["boxes"], "boxes"),
                (totals["labels"], "labels"),
                (totals["images"], "images in the label file"),
                (totals["with_boxes"], "of them with a box"),
                (subject.images - totals["joined"], "images without a row"),
            ],
            in_python(subject, "boxes.check(index)"),
        )
    )
    _show_labels(subject, section, tables)
    places = _show_places(subject, section, tables)
    section.add(blocks.beside(*places, _show_problems(subject, section, boxes)))
    return section


def in_python(subject: Subject, line: str) -> str:
    """The lines of Python that give a figure."""
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
    for row in subject.ask(_LABELS, **tables):
        found.setdefault(row["label"], {})[row["part"]] = (row["images"], row["boxes"])
    parts = sorted({part for counts in found.values() for part in counts if part})[:MOST_PARTS]
    images = {label: sum(i for i, _ in counts.values()) for label, counts in found.items()}
    most = max(images.values(), default=0)
    ordered = sorted(found, key=lambda label: (-images[label], label))
    kept = ordered[:MOST_IN_JSON]
    section.data["labels"] = [
        [cut(label, LONGEST), images[label], sum(b for _, b in found[label].values())]
        for label in kept
    ]
    section.data["parts"] = {
        part: [[cut(label, LONGEST), *found[label].get(part, (0, 0))] for label in kept]
        for part in parts
    }
    rows: list[tuple[Any, ...]] = [
        (
            cut(label, LONGEST) or "without a label",
            images[label],
            el("span", charts.bar(images[label] / most if most else 0), class_="share"),
            sum(b for _, b in found[label].values()),
            *(found[label].get(part, (0, 0))[0] for part in parts),
        )
        for label in ordered[:MOST_LABELS]
    ]
    head = ("label", "images", "compared", "boxes", *(f"images in {part}" for part in parts))
    command = in_python(subject, 'boxes.to_pandas().groupby(["label", "part"])["image"].nunique()')
    section.add(blocks.table("Labels", head, rows, command))
    if (more := len(ordered) - MOST_LABELS) > 0:
        section.add(blocks.note(f"{more} more labels are left out here."))


def _show_places(
    subject: Subject, section: Section, tables: dict[str, pa.Table]
) -> list[blocks.Words]:
    """Two charts, and the picture of where boxes lie."""
    each = [(row["n"], row["images"]) for row in subject.ask(_EACH, **tables)]
    counts = dict(each)
    named = [
        (f"{n}" if n < 15 else "15+", counts.get(n, 0)) for n in range(max(counts, default=0) + 1)
    ]
    line = 'boxes.to_pandas().groupby(["image", "reader"])["label"].count().value_counts()'
    drawn = charts.columns(named, "Boxes of an image and reader")
    figures = [blocks.figure("Boxes of an image and reader", drawn, in_python(subject, line))]
    sides = {row["bin"]: row["n"] for row in subject.ask(_SIDES, **tables)}
    places: list[blocks.Words] = []
    section.data["boxes_per_reading"] = [list(pair) for pair in each]
    if sides:
        bins = [(b / 20, (b + 1) / 20, sides.get(b, 0)) for b in range(max(sides) + 1)]
        drawn = charts.histogram(bins, "Sizes of boxes", "of the image's side")
        caption = "Sizes of boxes: the root of their share of the image"
        figures.append(blocks.figure(caption, drawn, in_python(subject, "boxes.corners")))
        cells = [[0] * _GRID for _ in range(_GRID)]
        for row in subject.ask(_PLACES, **tables):
            cells[row["y"]][row["x"]] = row["n"]
        section.data["places"] = cells
        caption = "Where the middles of boxes lie, of all labels; the picture is the image"
        drawn = charts.density(cells, "Where boxes lie: the darker, the more")
        places = [blocks.figure(caption, drawn, in_python(subject, "boxes.corners"))]
    section.add(blocks.beside(*figures))
    return places


def _show_problems(subject: Subject, section: Section, boxes: Boxes) -> blocks.Words:
    from wetread.errors import BOX_PROBLEMS

    checked = boxes.check(subject.content)
    counts = {str(code): int(n) for code, n in checked["code"].value_counts().items()}
    ordered = [code for code in BOX_PROBLEMS if code in counts]
    ordered.sort(key=lambda code: ("error", "warning", "info").index(BOX_PROBLEMS[code].severity))
    section.data["problems"] = {code: counts[code] for code in ordered}
    rows = []
    for code in ordered:
        example = checked[checked["code"] == code].iloc[0]
        place = ", ".join(
            cut(str(example[name]), 80)
            for name in ("label", "reader", "text")
            if isinstance(example[name], str) and example[name]
        )
        meaning = BOX_PROBLEMS[code].meaning
        severity = blocks.badge(BOX_PROBLEMS[code].severity)
        said = el("span", meaning, el("span", place, class_="names name"))
        rows.append((severity, el("code", code), counts[code], said))
    head = ("severity", "problem", "how many", "what it means, with an example")
    command = in_python(subject, "boxes.check(index)")
    return blocks.table("What is wrong with the labels", head, rows, command, "nothing")

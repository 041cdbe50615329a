"""Section: data elements, their coverage and most frequent values."""

from __future__ import annotations

from typing import Any

from wetread.common.text import counted
from wetread.reports import blocks
from wetread.reports.blocks import Section
from wetread.reports.coverage import MAX_LENGTH, Coverage
from wetread.reports.markup import MASKED, Html, cut, el
from wetread.reports.subject import Subject

MAX_COLUMNS = 500
_PRIVATE = """
SELECT left(p.tag, 4) AS "group", coalesce(p.creator, '') AS creator, count(DISTINCT id) AS files,
    count(*) AS elements
FROM (SELECT id, unnest(private) AS p FROM index) GROUP BY ALL
ORDER BY files DESC, "group", creator LIMIT 40
"""


def describe(subject: Subject) -> Section:
    """Coverage of all elements, then private elements."""
    section = Section("tags", "Elements", ["headers"])
    files = len(subject.index)
    used = [one for one in subject.coverage if one.present]
    constant = sum(one.kinds == 1 and one.present == files for one in used)
    always = sum(one.present == files for one in used)
    section.add(
        blocks.facts(
            [
                (len(used), "elements"),
                (always, "in every file"),
                (constant, "in every file with the same value"),
                (sum(one.masked for one in used), "with masked values"),
            ]
        )
    )
    listed = sorted(sorted(used, key=lambda one: -one.present)[:MAX_COLUMNS], key=lambda o: o.tag)
    section.data = {
        "columns": [one.to_dict() for one in listed],
        "absent": len(subject.coverage) - len(used),
        "left_out": len(used) - len(listed),
    }
    if more := len(used) - len(listed):
        section.add(blocks.note(f"The {more:,} least frequent elements are not shown."))
    rows = [_line(one, files) for one in listed]
    head = ("element", "tag", "VR", "files", "in", "values", "most frequent")
    example = subject.command("SELECT Modality, count(*) AS n FROM index GROUP BY ALL")
    section.add(
        blocks.collapsed(
            counted(len(listed), "element"),
            blocks.table("Top-level elements, sorted by tag", head, rows, example),
        )
    )
    section.add(_show_private(subject, section.data))
    return section


def _line(one: Coverage, files: int) -> tuple[Any, ...]:
    kinds: Any = f"{one.kinds:,}"
    if one.kinds == one.present and one.present > 1:
        kinds = "all different"
    elif one.kinds == 1:
        kinds = "one"
    if one.masked:
        shown: Html | list[Html] = MASKED
    else:
        shown = [
            el("span", el("code", value or "empty"), f" {n:,}", class_="value")
            for value, n in one.values
        ]
    return (
        one.name,
        one.tag,
        one.vr,
        one.present,
        blocks.share(one.present, files),
        kinds,
        el("span", shown, class_="values"),
    )


def _show_private(subject: Subject, data: dict[str, Any]) -> blocks.Static:
    """Private elements by group and creator, if the scan included them."""
    if not subject.has("private"):
        return blocks.prose("Private elements were not included in the scan.")
    rows = subject.query(_PRIVATE)
    lines = [
        (row["group"], cut(row["creator"], MAX_LENGTH), row["files"], row["elements"])
        for row in rows
    ]
    data["private"] = lines
    head = ("group", "creator", "files", "elements")
    return blocks.table("Private elements", head, lines, subject.command(_PRIVATE))

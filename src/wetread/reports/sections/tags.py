"""Section 8: which elements there are, how often, and their most frequent values."""

from __future__ import annotations

from typing import Any

from wetread.reports import blocks
from wetread.reports.blocks import Section
from wetread.reports.coverage import LONGEST, Coverage
from wetread.reports.markup import MASKED, Html, cut, el
from wetread.reports.subject import Subject

MOST_COLUMNS = 500
_PRIVATE = """
SELECT left(p.tag, 4) AS "group", coalesce(p.creator, '') AS creator, count(DISTINCT id) AS files,
    count(*) AS elements
FROM (SELECT id, unnest(private) AS p FROM index) GROUP BY ALL
ORDER BY files DESC, "group", creator LIMIT 40
"""


def describe(subject: Subject) -> Section:
    """Coverage of all elements; what is private."""
    section = Section("tags", "Elements", ["headers"])
    files = len(subject.content)
    used = [one for one in subject.coverage if one.present]
    constant = sum(one.kinds == 1 and one.present == files for one in used)
    always = sum(one.present == files for one in used)
    section.add(
        blocks.facts(
            [
                (len(used), "elements occur"),
                (always, "in every file"),
                (constant, "in every file with one value"),
                (sum(one.masked for one in used), "with values not shown"),
            ]
        )
    )
    listed = sorted(sorted(used, key=lambda one: -one.present)[:MOST_COLUMNS], key=lambda o: o.tag)
    section.data = {
        "columns": [one.to_dict() for one in listed],
        "absent": len(subject.coverage) - len(used),
        "left_out": len(used) - len(listed),
    }
    if more := len(used) - len(listed):
        section.add(blocks.note(f"The {more:,} elements in the fewest files are left out here."))
    rows = [_line(one, files) for one in listed]
    head = ("element", "tag", "VR", "files", "in", "values", "most frequent")
    example = subject.command("SELECT Modality, count(*) AS n FROM index GROUP BY ALL")
    section.add(
        blocks.unfold(
            f"{len(listed):,} elements",
            blocks.table("Elements of the top level, in order of tag", head, rows, example),
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


def _show_private(subject: Subject, data: dict[str, Any]) -> blocks.Words:
    """Private elements by group and creator, where the scan kept them."""
    if not subject.has("private"):
        return blocks.prose(
            "Private elements are not in this index: scan with --private to see who wrote which."
        )
    rows = subject.ask(_PRIVATE)
    data["private"] = [
        [row["group"], cut(row["creator"], LONGEST), row["files"], row["elements"]] for row in rows
    ]
    shown = [
        (row["group"], cut(row["creator"], LONGEST), row["files"], row["elements"]) for row in rows
    ]
    head = ("group", "creator", "files", "elements")
    return blocks.table("Private elements", head, shown, subject.command(_PRIVATE))

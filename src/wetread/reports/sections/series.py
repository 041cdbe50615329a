"""Section: series, their volumes and the problems of their slices."""

from __future__ import annotations

from typing import Any

from wetread.errors import SERIES_PROBLEMS
from wetread.reports import blocks
from wetread.reports.blocks import Section
from wetread.reports.markup import el
from wetread.reports.subject import Subject

_TOTALS = """
SELECT count(*) AS series, coalesce(CAST(sum(slices) AS BIGINT), 0) AS slices,
    coalesce(CAST(sum(volumes) AS BIGINT), 0) AS volumes,
    count(*) FILTER (WHERE slices = 0) AS without_images,
    count(*) FILTER (WHERE stacks > 0 AND slices > 1) AS stacked,
    count(*) FILTER (WHERE regularly_spaced_3d_volume) AS regular FROM series
"""
_KINDS = """
SELECT Modality AS modality, count(*) AS series, CAST(sum(slices) AS BIGINT) AS slices,
    CAST(sum(volumes) AS BIGINT) AS volumes, median(slice_spacing_mm) AS spacing
FROM series GROUP BY ALL ORDER BY series DESC, modality LIMIT 20
"""
_COUNTS = """
SELECT code, severity, count(DISTINCT series_id) AS series, count(*) AS n FROM series_problems
GROUP BY ALL ORDER BY series DESC, code
"""
_EXAMPLES = """
SELECT code, id, path, member FROM series_problems
QUALIFY row_number() OVER (PARTITION BY code ORDER BY path, member) <= 3 ORDER BY path, member
"""


def describe(subject: Subject) -> Section:
    """Number of series and volumes, by modality; problems with examples."""
    section = Section("series", "Series", ["headers"])
    series = subject.series
    tables = {"series": series.table, "series_problems": series.problem_rows()}

    def ask(sql: str) -> list[dict[str, Any]]:
        return subject.query(sql, **tables)

    (totals,) = ask(_TOTALS)
    kinds, counts = ask(_KINDS), ask(_COUNTS)
    shown = [
        (totals["series"], "series"),
        (totals["slices"], "slices"),
        (totals["stacked"], "series of several slices"),
        (totals["volumes"], "regularly spaced volumes"),
    ]
    if totals["without_images"]:
        shown.append((totals["without_images"], "series without images"))
    section.add(blocks.facts(shown, subject.command(_TOTALS)))
    rows = [
        (row["modality"] or "several or none", row["series"], row["slices"], row["volumes"],
         None if row["spacing"] is None else round(row["spacing"], 3))
        for row in kinds
    ]  # fmt: skip
    head: tuple[str, ...] = ("modality", "series", "slices", "volumes", "median spacing, mm")
    section.add(blocks.table("Series by modality", head, rows, subject.command(_KINDS)))
    examples = ask(_EXAMPLES)
    lines = [
        (
            blocks.badge(row["severity"]),
            el("code", row["code"]),
            row["series"],
            row["n"],
            SERIES_PROBLEMS[row["code"]].meaning,
            el(
                "span",
                [
                    el("span", subject.shown_path(one), class_="name")
                    for one in examples
                    if one["code"] == row["code"]
                ],
                class_="names",
            ),
        )
        for row in counts
    ]
    head = ("severity", "problem", "series", "problems", "meaning", "examples")
    section.add(blocks.table("Problems of series", head, lines, subject.command(_COUNTS)))
    section.data = {"totals": totals, "modalities": kinds, "problems": counts}
    return section

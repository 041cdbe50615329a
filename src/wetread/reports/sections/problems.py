"""Section: totals and problems."""

from __future__ import annotations

from typing import Any

from wetread.common.text import format_bytes
from wetread.errors import PROBLEMS
from wetread.reports import blocks
from wetread.reports.blocks import Gallery, Section
from wetread.reports.markup import el
from wetread.reports.subject import PIXELS, Subject

_TOTALS = f"""
SELECT count(*) AS files, count(*) FILTER (WHERE {PIXELS}) AS images,
    coalesce(CAST(sum(file_size) AS BIGINT), 0) AS bytes,
    count(DISTINCT PatientID) FILTER (WHERE PatientID <> '') AS patients,
    count(DISTINCT StudyInstanceUID) FILTER (WHERE StudyInstanceUID <> '') AS studies,
    (SELECT count(*) FROM series) AS series
FROM index
"""
_COUNTS = """
SELECT code, severity, count(*) AS n, count(DISTINCT id) AS files FROM problems
GROUP BY ALL ORDER BY n DESC, code
"""
_EXAMPLES = f"""
SELECT code, f.id AS id, f.path AS path, f.member AS member, tag, text, {PIXELS} AS picture
FROM (SELECT * FROM (SELECT * FROM problems QUALIFY row_number() OVER (PARTITION BY code, id
    ORDER BY "offset" NULLS LAST) = 1)
    QUALIFY row_number() OVER (PARTITION BY code ORDER BY path, member) <= 3) AS f
JOIN index ON index.id = f.id ORDER BY f.path, f.member
"""
_WORST = {"error": 0, "warning": 1, "info": 2}
_BLIND = ("UNDECODABLE", "CRASHED", "TIMEOUT", "BOMB", "BURNED_IN_RISK", "NO_ACCESS")
"""Codes without a thumbnail, or whose thumbnail must not be shown."""
_GALLERIES = 4
"""Maximum number of codes with thumbnails."""


def describe(subject: Subject) -> Section:
    """Totals, problems by severity, examples."""
    section = Section("problems", "Problems", ["headers"])
    totals = subject.query(_TOTALS, series=subject.series.table)[0]
    counts = subject.query(_COUNTS)
    counts.sort(key=lambda row: (_WORST[row["severity"]], -row["n"], row["code"]))
    section.data = {"totals": totals, "problems": counts}
    section.add(_show_totals(subject, totals))
    if not counts:
        section.add(blocks.prose("No problems were found."))
        return section
    examples: dict[str, list[dict[str, Any]]] = {}
    for row in subject.query(_EXAMPLES):
        examples.setdefault(row["code"], []).append(row)
    rows = [_line(subject, row, examples[row["code"]]) for row in counts]
    head = ("severity", "problem", "files", "problems", "meaning", "examples")
    section.add(blocks.table("Problems by severity", head, rows, subject.command(_COUNTS)))
    codes = [row["code"] for row in counts if row["code"] not in _BLIND]
    pictured = [code for code in codes if any(e["picture"] for e in examples[code])]
    for code in pictured[:_GALLERIES]:
        tiles = [subject.tile(e, subject.shown_text(e)) for e in examples[code] if e["picture"]]
        section.add(Gallery(f"Images with {code}", tiles, _query(subject, code)))
    return section


def _query(subject: Subject, code: str) -> str:
    """Query that lists the files with a problem."""
    return subject.command(f"SELECT id, path, tag, text FROM problems WHERE code = '{code}'")


def _show_totals(subject: Subject, totals: dict[str, Any]) -> blocks.Static:
    shown: list[tuple[Any, str]] = [
        (totals["files"], "files"),
        (totals["images"], "images"),
        (totals["patients"], "patients"),
        (totals["studies"], "studies"),
        (totals["series"], "series"),
        (format_bytes(totals["bytes"] or 0), "on disk"),
    ]
    return blocks.facts(shown, subject.command(_TOTALS))


def _line(subject: Subject, row: dict[str, Any], examples: list[dict[str, Any]]) -> tuple[Any, ...]:
    code = row["code"]
    names = [el("span", subject.shown_path(one), class_="name") for one in examples]
    return (
        blocks.badge(row["severity"]),
        el("code", code),
        row["files"],
        row["n"],
        el("span", PROBLEMS[code].meaning, blocks.query(_query(subject, code))),
        el("span", names, class_="names"),
    )

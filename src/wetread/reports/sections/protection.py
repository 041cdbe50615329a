"""Section: identifying information (PHI)."""

from __future__ import annotations

from typing import Any

from wetread.common.privacy import KINDS, names_in
from wetread.common.text import counted
from wetread.reports import blocks
from wetread.reports.blocks import Gallery, Section
from wetread.reports.coverage import Coverage
from wetread.reports.markup import MASKED
from wetread.reports.subject import PIXELS, Subject

_BURNED = f"""
SELECT Modality, count(*) AS images,
    count(*) FILTER (WHERE BurnedInAnnotation = 'YES') AS says_yes,
    count(*) FILTER (WHERE BurnedInAnnotation = 'NO') AS says_no,
    count(*) FILTER (WHERE id IN (SELECT id FROM problems WHERE code = 'BURNED_IN_RISK')) AS risk
FROM index WHERE {PIXELS} GROUP BY ALL ORDER BY risk DESC, images DESC, Modality LIMIT 20
"""
_RISKY = """
SELECT id, path, member, text FROM problems WHERE code = 'BURNED_IN_RISK'
ORDER BY path, member LIMIT 3
"""


def describe(subject: Subject) -> Section:
    """Identifying elements, names in paths, burned-in text, de-identification attributes."""
    section = Section("privacy", "Privacy", ["headers"])
    shown = "Values of patients are shown in this report." if subject.show_phi else (
        "Values are masked, here and in the JSON data. Images with a risk of burned-in names are "
        "not shown."
    )  # fmt: skip
    section.add(blocks.note(f"{shown} An empty list does not prove that a data set is anonymous.",
                            "warning" if subject.show_phi else "info"))  # fmt: skip
    used = [one for one in subject.coverage if one.present > one.blank]
    by_kind = {kind: [one for one in used if one.kind == kind] for kind in KINDS}
    for kind, found in by_kind.items():
        if found:
            section.add(_show_kind(subject, KINDS[kind], found, is_open=kind == "person"))
    section.data = {
        "show_phi": subject.show_phi,
        "elements": {k: [[o.name, o.present - o.blank, o.kinds] for o in f]
                     for k, f in by_kind.items()},
        "paths_with_names": subject.named_paths,
        "claims": _claims(subject, section),
    }  # fmt: skip
    _show_burned(subject, section)
    paths = f"SELECT count(*) AS n FROM index WHERE {names_in(subject.index.schema.names)}"
    text = "Files with the patient's name, number or date of birth in the path"
    row = (text, subject.named_paths, blocks.query(subject.command(paths)))
    section.add(blocks.table("File names", ("property", "files", "query"), [row]))
    if not subject.names_files:
        section.add(
            blocks.note("This report therefore shows ids instead of file names.", "warning")
        )
    return section


def _show_kind(subject: Subject, title: str, found: list[Coverage], is_open: bool) -> blocks.Static:
    rows = [
        (
            one.name,
            one.tag,
            one.present - one.blank,
            one.kinds,
            ", ".join(value for value, _ in one.values) if subject.show_phi else MASKED,
        )
        for one in found
    ]
    head = ("element", "tag", "files with a value", "different values", "values")
    example = f'SELECT count("{found[0].name}") AS files FROM index'
    table = blocks.table(title, head, rows, subject.command(example))
    return blocks.collapsed(f"{title}: {counted(len(found), 'element')}", table, is_open=is_open)


def _claims(subject: Subject, section: Section) -> dict[str, Any]:
    """Add tables of the de-identification attributes."""
    claims: dict[str, Any] = {}
    tables = []
    for column in ("PatientIdentityRemoved", "BurnedInAnnotation"):
        if subject.has(column):
            counts = subject.counts(column)
            tables.append(counts.table(column, "value", "missing"))
            claims[column] = counts.to_dict()
    if not subject.has("PatientIdentityRemoved"):
        section.add(blocks.prose("No file has the attribute Patient Identity Removed."))
    section.add(blocks.side_by_side(*tables))
    return claims


def _show_burned(subject: Subject, section: Section) -> None:
    """Add images with a risk of burned-in names, and overlays."""
    burned = subject.query(_BURNED)
    section.data["burned_in"] = burned
    rows = [
        (row["Modality"] or "missing", row["images"], row["says_yes"], row["says_no"], row["risk"])
        for row in burned
    ]
    head = ("modality", "images", "YES", "NO", "at risk")
    caption = "Burned In Annotation, and images of kinds that often have burned-in names"
    section.add(blocks.table(caption, head, rows, subject.command(_BURNED)))
    risky = subject.query(_RISKY)
    if risky and subject.show_phi:
        tiles = [subject.tile(row, subject.shown_text(row)) for row in risky]
        section.add(Gallery("Examples of images at risk", tiles))
    overlays = [f.name for f in subject.index.schema if f.name.startswith("OverlayRows")]
    if overlays:
        have = " OR ".join(f'"{name}" IS NOT NULL' for name in overlays)
        sql = f"SELECT count(*) AS n FROM index WHERE {have}"
        n = subject.query(sql)[0]["n"]
        section.data["overlays"] = n
        row = (
            "images with overlays, which may contain text",
            n,
            blocks.query(subject.command(sql)),
        )
        section.add(blocks.table("Overlays", ("property", "images", "query"), [row]))

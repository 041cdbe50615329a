"""Section 9: what may tell who the patients are."""

from __future__ import annotations

from typing import Any

from wetread.common.privacy import KINDS, names_in
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
    """Identifying elements, names in paths, names burned in, what the files say of themselves."""
    section = Section("privacy", "Privacy", ["headers"])
    shown = "Values are shown, as was asked for." if subject.show_phi else (
        "Values are not shown here, nor in the JSON below. Pictures with a risk of burned-in "
        "names are left out."
    )  # fmt: skip
    section.add(blocks.note(f"{shown} That nothing is listed does not mean that nothing is there.",
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
    paths = f"SELECT count(*) AS n FROM index WHERE {names_in(subject.content.schema.names)}"
    said = "Files whose path holds the patient's name, number or date of birth"
    row = (said, subject.named_paths, blocks.how(subject.command(paths)))
    section.add(blocks.table("Names of files", ("what", "files", "query"), [row]))
    if not subject.names_files:
        section.add(blocks.note("So this report calls all files by their id.", "warning"))
    return section


def _show_kind(subject: Subject, title: str, found: list[Coverage], is_open: bool) -> blocks.Words:
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
    return blocks.unfold(f"{title}: {len(found)} elements", table, is_open=is_open)


def _claims(subject: Subject, section: Section) -> dict[str, Any]:
    """What files say of their own de-identification."""
    claims: dict[str, Any] = {}
    tables = []
    for column in ("PatientIdentityRemoved", "BurnedInAnnotation"):
        if subject.has(column):
            counts = subject.counts(column)
            tables.append(counts.table(f"{column} says", "value", "nothing"))
            claims[column] = counts.to_dict()
    if not subject.has("PatientIdentityRemoved"):
        section.add(blocks.prose("No file says that Patient Identity Removed is YES or NO."))
    section.add(blocks.beside(*tables))
    return claims


def _show_burned(subject: Subject, section: Section) -> None:
    """Where names may stand in the picture itself."""
    burned = subject.ask(_BURNED)
    section.data["burned_in"] = burned
    rows = [
        (row["Modality"] or "missing", row["images"], row["says_yes"], row["says_no"], row["risk"])
        for row in burned
    ]
    head = ("modality", "images", "says YES", "says NO", "with a risk")
    caption = "Burned In Annotation, and images of kinds where names are often burned in"
    section.add(blocks.table(caption, head, rows, subject.command(_BURNED)))
    risky = subject.ask(_RISKY)
    if risky and subject.show_phi:
        tiles = [subject.tile(row, subject.shown_text(row)) for row in risky]
        section.add(Gallery("Look at some of them", tiles))
    overlays = [f.name for f in subject.content.schema if f.name.startswith("OverlayRows")]
    if overlays:
        have = " OR ".join(f'"{name}" IS NOT NULL' for name in overlays)
        sql = f"SELECT count(*) AS n FROM index WHERE {have}"
        n = subject.ask(sql)[0]["n"]
        section.data["overlays"] = n
        row = ("images with overlays, which may hold text", n, blocks.how(subject.command(sql)))
        section.add(blocks.table("Overlays", ("what", "images", "query"), [row]))

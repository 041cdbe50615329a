"""Section: acquisition: modality, machines, body parts, patients' ages, dates."""

from __future__ import annotations

from wetread.reports import blocks, charts
from wetread.reports.blocks import Section
from wetread.reports.markup import cut
from wetread.reports.subject import PIXELS, Subject
from wetread.table.summary import name_uid

_MACHINES = f"""
SELECT Manufacturer, ManufacturerModelName, count(*) AS n FROM index WHERE {PIXELS}
GROUP BY ALL ORDER BY n DESC, Manufacturer, ManufacturerModelName LIMIT 20
"""
_KINDS = f"""
SELECT Modality, coalesce(SOPClassUID, MediaStorageSOPClassUID) AS class, count(*) AS n
FROM index WHERE {PIXELS} GROUP BY ALL ORDER BY n DESC, Modality, class LIMIT 20
"""
_YEARS = f"""
SELECT year(coalesce(StudyDate, SeriesDate, AcquisitionDate, ContentDate)) AS year, count(*) AS n
FROM index WHERE {PIXELS} GROUP BY ALL ORDER BY year
"""
AGES = f"""
SELECT CASE WHEN patient_age_years < 1 THEN 0 WHEN patient_age_years < 10 THEN 1 ELSE
    CAST(least(floor(patient_age_years / 10) * 10, 90) AS INTEGER) END AS age, count(*) AS n
FROM index WHERE {PIXELS} AND patient_age_years IS NOT NULL GROUP BY ALL ORDER BY age
"""
NO_AGES = f"""
SELECT count(*) AS n FROM index WHERE {PIXELS} AND PatientAge <> '' AND patient_age_years IS NULL
"""
_CODES = (
    ("BodyPartExamined", "Body part"),
    ("ViewPosition", "View position"),
    ("ImageLaterality", "Laterality"),
    ("PatientSex", "Sex"),
)


def describe(subject: Subject) -> Section:
    """Modalities, machines, body parts, sexes, ages, years."""
    section = Section("origin", "Acquisition", ["headers"])
    kinds = subject.query(_KINDS)
    rows = [
        (row["Modality"] or "missing", name_uid(row["class"]) or "missing",
         row["n"], blocks.share(row["n"], subject.images))
        for row in kinds
    ]  # fmt: skip
    head = ("modality", "SOP class", "images", "share")
    section.add(blocks.table("Modality and SOP class", head, rows, subject.command(_KINDS)))
    section.data["modality"] = [[row["Modality"], row["class"], row["n"]] for row in kinds]
    unknown = [*_show_machines(subject, section), *_show_codes(subject, section)]
    if unknown and subject.images:
        section.add(blocks.prose(f"Missing in all images: {', '.join(unknown).lower()}."))
    _show_times(subject, section)
    return section


def _show_machines(subject: Subject, section: Section) -> list[str]:
    """Add a table; returns the attributes without a value."""
    machines = [(_cut(a), _cut(b), n) for a, b, n in map(dict.values, subject.query(_MACHINES))]
    section.data["machines"] = machines
    if not any(maker or model for maker, model, _ in machines):
        return ["Manufacturer"]
    rows = [
        (maker or "missing", model or "", n, blocks.share(n, subject.images))
        for maker, model, n in machines
    ]
    head = ("manufacturer", "model", "images", "share")
    section.add(blocks.table("Manufacturer and model", head, rows, subject.command(_MACHINES)))
    return []


def _show_codes(subject: Subject, section: Section) -> list[str]:
    """Add a table per attribute; returns the attributes without a value."""
    counts = {column: subject.counts(column) for column, _ in _CODES}
    section.data |= {column: found.to_dict() for column, found in counts.items()}
    known = [counts[c].table(name, c) for c, name in _CODES if counts[c].known]
    if known:
        section.add(blocks.side_by_side(*known, narrow=True))
    return [name for column, name in _CODES if not counts[column].known]


def _show_times(subject: Subject, section: Section) -> None:
    """Add charts of ages and years."""
    ages, years = subject.query(AGES), subject.query(_YEARS)
    section.data["ages"] = [[row["age"], row["n"]] for row in ages]
    section.data["years"] = [[row["year"], row["n"]] for row in years]
    dated = [(str(row["year"]), row["n"]) for row in years if row["year"] is not None]
    figures = []
    if ages:
        drawn = charts.columns([(name_age(row["age"]), row["n"]) for row in ages], "Age")
        figures.append(blocks.figure("Age in years", drawn, subject.command(AGES)))
    if unknown := subject.query(NO_AGES)[0]["n"]:
        section.data["ages_unknown"] = unknown
        text = f"Images with an age that is unknown or impossible, such as 000Y: {unknown:,}."
        section.add(blocks.prose(text), blocks.Static(blocks.query(subject.command(NO_AGES))))
    if dated:
        drawn = charts.columns(dated[-60:], "Year")
        figures.append(blocks.figure("Year of the study", drawn, subject.command(_YEARS)))
    if figures:
        section.add(blocks.side_by_side(*figures))


def name_age(low: int) -> str:
    """Name of an age group; ages of 90 and more are one group, as few patients are that old."""
    if low < 10:
        return "1–9" if low else "below 1"
    return "90+" if low >= 90 else f"{low}–{low + 9}"


def _cut(value: str | None) -> str | None:
    return None if value is None else cut(value, 40)

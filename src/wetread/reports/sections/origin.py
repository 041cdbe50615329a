"""Section 4: what was imaged, by what, and when."""

from __future__ import annotations

from wetread.reports import blocks, charts
from wetread.reports.blocks import Gallery, Section
from wetread.reports.markup import cut
from wetread.reports.subject import PIXELS, Subject, name_uid

SAMPLE = 12
"""Images that are shown, spread evenly over the index."""
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
_SAMPLE = f"""
SELECT id, path, member, Modality, photometric FROM (
    SELECT id, path, member, Modality, PhotometricInterpretation AS photometric,
        row_number() OVER (ORDER BY path, member) AS place, count(*) OVER () AS n
    FROM index WHERE {PIXELS} AND {{shown}})
WHERE floor(place * {SAMPLE} / n) > floor((place - 1) * {SAMPLE} / n) ORDER BY path, member
"""
_NO_RISK = "id NOT IN (SELECT id FROM findings WHERE code = 'BURNED_IN_RISK')"
_CODES = (
    ("BodyPartExamined", "Body part"),
    ("ViewPosition", "View position"),
    ("ImageLaterality", "Laterality"),
    ("PatientSex", "Sex"),
)


def describe(subject: Subject) -> Section:
    """Modalities, machines, body parts, sexes and ages, years."""
    section = Section("origin", "What was imaged, and by what", ["headers"])
    sql = _SAMPLE.format(shown="true" if subject.show_phi else _NO_RISK)
    sample = [
        subject.tile(row, " ".join(filter(None, (row["Modality"], row["photometric"]))))
        for row in subject.ask(sql)
    ]
    if sample:
        section.add(Gallery("Some of the images, spread evenly", sample, subject.command(sql)))
    kinds = subject.ask(_KINDS)
    rows = [
        (row["Modality"] or "missing", name_uid(row["class"]) or "missing",
         row["n"], blocks.share(row["n"], subject.images))
        for row in kinds
    ]  # fmt: skip
    head = ("modality", "SOP class", "images", "share")
    section.add(blocks.table("Modality and SOP class", head, rows, subject.command(_KINDS)))
    machines = subject.ask(_MACHINES)
    rows = [
        (cut(row["Manufacturer"] or "missing", 40), cut(row["ManufacturerModelName"] or "", 40),
         row["n"], blocks.share(row["n"], subject.images))
        for row in machines
    ]  # fmt: skip
    head = ("manufacturer", "model", "images", "share")
    section.add(blocks.table("Manufacturer and model", head, rows, subject.command(_MACHINES)))
    counts = {column: subject.counts(column) for column, _ in _CODES}
    section.add(blocks.beside(*(counts[c].table(name, c) for c, name in _CODES), narrow=True))
    ages, years = subject.ask(AGES), subject.ask(_YEARS)
    known = [(str(row["year"]), row["n"]) for row in years if row["year"] is not None]
    figures = []
    if ages:
        named = [(name_age(row["age"]), row["n"]) for row in ages]
        drawn = charts.columns(named, "Age")
        figures.append(blocks.figure("Age in years", drawn, subject.command(AGES)))
    if known:
        drawn = charts.columns(known[-60:], "Year")
        figures.append(blocks.figure("Year of the study", drawn, subject.command(_YEARS)))
    if figures:
        section.add(blocks.beside(*figures))
    section.data = {
        "modality": [[row["Modality"], row["class"], row["n"]] for row in kinds],
        "machines": [[*map(_cut, list(row.values())[:2]), row["n"]] for row in machines],
        **{column: counts[column].to_dict() for column, _ in _CODES},
        "ages": [[row["age"], row["n"]] for row in ages],
        "years": [[row["year"], row["n"]] for row in years],
    }
    return section


def name_age(low: int) -> str:
    """A decade of ages; those of 90 and more are together, as few are that old."""
    if low < 10:
        return "1–9" if low else "below 1"
    return "90+" if low >= 90 else f"{low}–{low + 9}"


def _cut(value: str | None) -> str | None:
    return None if value is None else cut(value, 40)

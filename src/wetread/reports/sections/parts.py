"""Section: parts of a split, leakage between them, and distribution shift."""

from __future__ import annotations

from typing import Any

from wetread.reports import blocks
from wetread.reports.blocks import Section
from wetread.reports.markup import Fixed, cut, el
from wetread.reports.subject import MAX_LENGTH, MAX_PARTS, PIXELS, Subject
from wetread.splits import find_leaks
from wetread.table.query import name_column

_CATEGORIES = (
    "Modality",
    "Manufacturer",
    "ManufacturerModelName",
    "PhotometricInterpretation",
    "BodyPartExamined",
    "ViewPosition",
    "PatientSex",
)
_NUMBERS = {
    "age": "patient_age_years",
    "rows": "Rows",
    "columns": '"Columns"',
    "spacing": "coalesce(PixelSpacing[1], ImagerPixelSpacing[1])",
    "bits stored": "BitsStored",
}
FAR, APART = 0.1, 0.2
"""Thresholds of a warning: total variation, and standardised mean difference."""
_COUNTS = """
SELECT CAST({part} AS VARCHAR) AS part, count(*) AS images,
    count(DISTINCT coalesce(nullif(trim(PatientID), ''), nullif(StudyInstanceUID, ''), id))
        AS groups
FROM index WHERE {pixels} GROUP BY ALL ORDER BY part NULLS LAST
"""
_LEAKS = """
SELECT code, count(*) AS images, count(DISTINCT shared) AS shared FROM leaks GROUP BY ALL
ORDER BY code
"""
_VALUES = """
SELECT CAST({part} AS VARCHAR) AS part, coalesce(nullif({column}, ''), 'missing') AS value,
    count(*) AS n
FROM index WHERE {pixels} AND {part} IS NOT NULL GROUP BY ALL ORDER BY part, n DESC, value
"""
_NUMBER = """
SELECT CAST({part} AS VARCHAR) AS part, count({column}) AS n, avg({column}) AS mean,
    stddev_samp({column}) AS std, quantile_cont({column}, 0.25) AS q25, median({column}) AS q50,
    quantile_cont({column}, 0.75) AS q75
FROM index WHERE {pixels} AND {part} IS NOT NULL GROUP BY ALL ORDER BY part
"""
_MEANS = {
    "LEAK_GROUP": "images of one patient (or study) in several parts",
    "LEAK_PIXELS": "images with equal pixels in several parts",
}


def describe(subject: Subject) -> Section:
    """Sizes of the parts, leaks between them, and distribution shift."""
    section = Section("split", "Split", ["headers", "split"])
    section.data = {"column": subject.split}
    if subject.split is None:
        text = "The index has not been split into parts."
        section.add(blocks.missing(text, subject.shell("split")))
        return section
    part = name_column(subject.split)
    counts_sql = _COUNTS.format(part=part, pixels=PIXELS)
    counts = subject.query(f"{counts_sql} LIMIT {MAX_PARTS + 2}")
    if len(counts) > MAX_PARTS + 1:
        text = f"The column {subject.split} has more than {MAX_PARTS} values: not a split."
        section.add(blocks.note(text, "error"))
        return section
    rows = [
        (row["part"] or "no part", row["images"],
         blocks.share(row["images"], subject.images), row["groups"])
        for row in counts
    ]  # fmt: skip
    head = ("part", "images", "share", "groups (patients, studies or images)")
    section.add(blocks.table("Parts", head, rows, subject.command(counts_sql)))
    section.data["parts"] = counts
    _show_leaks(subject, section)
    _show_shift(subject, section, part)
    return section


def _show_leaks(subject: Subject, section: Section) -> None:
    assert subject.split is not None
    leaks = find_leaks(subject.index, subject.split)
    found = {row["code"]: row for row in subject.query(_LEAKS, leaks=leaks)}
    rows: list[tuple[Any, ...]] = []
    for code, meaning in _MEANS.items():
        images = found[code]["images"] if code in found else 0
        shared = found[code]["shared"] if code in found else 0
        sign = blocks.badge("error", "leak") if images else blocks.badge("info", "none")
        rows.append((el("code", code), sign, meaning, images, shared))
    command = f"index.leaks({subject.split!r})"
    head = ("code", "found", "meaning", "images", "shared by")
    section.add(blocks.table("Leaks between parts", head, rows, command))
    section.data["leaks"] = {code: row["images"] for code, row in found.items()}
    if not subject.measured:
        section.add(
            blocks.prose(
                "Images with equal pixels were compared by their encoded bytes. In a measured "
                "index, copies with different transfer syntaxes are found too."
            )
        )


def _show_shift(subject: Subject, section: Section, part: str) -> None:
    """Largest distance between any two parts, per column."""
    shifts: list[tuple[Any, ...]] = []
    unknown: list[str] = []
    data: dict[str, Any] = {"categories": {}, "numbers": {}, "unknown": unknown}
    for column in _CATEGORIES:
        sql = _VALUES.format(part=part, column=column, pixels=PIXELS)
        found: dict[str, dict[str, int]] = {}
        for row in subject.query(sql):
            found.setdefault(row["part"], {})[row["value"]] = row["n"]
        if {value for counts in found.values() for value in counts} <= {"missing"}:
            unknown.append(column)
            continue
        distance: float | None = total_variation(found)
        data["categories"][column] = distance
        shifts.append((column, "category", Fixed(distance), _sign(distance, FAR),
                       _summarise(found), blocks.query(subject.command(sql))))  # fmt: skip
    for name, column in _NUMBERS.items():
        sql = _NUMBER.format(part=part, column=column, pixels=PIXELS)
        rows = subject.query(sql)
        if not any(row["n"] for row in rows):
            unknown.append(name)
            continue
        distance = standardised(rows)
        data["numbers"][name] = {"difference": distance, "parts": rows}
        summary = "; ".join(
            f"{row['part']} {row['q50']:.4g} ({row['q25']:.4g} to {row['q75']:.4g})"
            for row in rows
            if row["q50"] is not None
        )
        shifts.append((name, "number", Fixed(distance), _sign(distance, APART), summary,
                       blocks.query(subject.command(sql))))  # fmt: skip
    section.data["shift"] = data
    head = ("column", "kind", "distance", "verdict", "in each part", "query")
    caption = "Distribution shift between the parts"
    section.add(blocks.table(caption, head, shifts))
    section.add(
        blocks.prose(
            f"Distance of categories: total variation (warning from {FAR}); of numbers: "
            f"standardised mean difference (warning from {APART}); the largest of any two parts. "
            "Numbers are shown as median (interquartile range)."
            + (f" Missing in all images: {', '.join(unknown)}." if unknown else "")
        )
    )


def total_variation(found: dict[str, dict[str, int]]) -> float:
    """Largest total variation distance between any two parts.

    >>> total_variation({"train": {"F": 1, "M": 1}, "valid": {"F": 1}})
    0.5
    """
    shares = [{v: n / sum(c.values()) for v, n in c.items()} for c in found.values()]
    return max(
        (
            sum(abs(a.get(v, 0) - b.get(v, 0)) for v in {*a, *b}) / 2
            for number, a in enumerate(shares)
            for b in shares[:number]
        ),
        default=0.0,
    )


def standardised(rows: list[dict[str, Any]]) -> float | None:
    """Largest standardised mean difference between any two parts; None without values.

    >>> standardised([{"mean": 1.0, "std": 1.0}, {"mean": 3.0, "std": 1.0}])
    2.0
    """
    known = [row for row in rows if row["mean"] is not None and row["std"] is not None]
    differences = []
    for number, a in enumerate(known):
        for b in known[:number]:
            std = ((a["std"] ** 2 + b["std"] ** 2) / 2) ** 0.5
            difference = abs(a["mean"] - b["mean"])
            differences.append(difference / std if std else float(difference > 0))
    return max(differences, default=None)


def _sign(distance: float | None, limit: float) -> Any:
    if distance is None:
        return "unknown"
    return (
        blocks.badge("warning", "differs") if distance >= limit else blocks.badge("info", "similar")
    )


def _summarise(found: dict[str, dict[str, int]]) -> str:
    """Two most frequent values of each part."""
    summaries = []
    for part, counts in found.items():
        total = sum(counts.values())
        top = list(counts.items())[:2]
        shares = ", ".join(f"{cut(value, 24)} {100 * n / total:.0f} %" for value, n in top)
        summaries.append(f"{cut(part, MAX_LENGTH)} {shares}")
    return "; ".join(summaries)

"""Section: patients, studies, series and images, and inconsistencies between them."""

from __future__ import annotations

from wetread.reports import blocks, charts
from wetread.reports.blocks import Section
from wetread.reports.subject import PIXELS, Subject

_PER = """
SELECT count(*) AS units, coalesce(min(n), 0) AS fewest, coalesce(median(n), 0) AS middle,
    coalesce(max(n), 0) AS most FROM ({sizes})
"""
_SIZES = "SELECT {key}, count(*) AS n FROM index WHERE {PIXELS} AND {key} <> '' GROUP BY ALL"
_LEVELS = {
    "patient": _SIZES.format(key="PatientID", PIXELS=PIXELS),
    "study": _SIZES.format(key="StudyInstanceUID", PIXELS=PIXELS),
    "series": "SELECT series_id, count(DISTINCT id) AS n FROM slices GROUP BY ALL",
}
"""Images per patient, study and series; those of series as `index.series` groups them."""
_ODD = {
    "images without Patient ID": (
        f"SELECT count(*) AS n FROM index WHERE {PIXELS} AND coalesce(trim(PatientID), '') = ''"
    ),
    "images without Study Instance UID": (
        f"SELECT count(*) AS n FROM index WHERE {PIXELS} AND coalesce(StudyInstanceUID, '') = ''"
    ),
    "images without Series Instance UID": (
        f"SELECT count(*) AS n FROM index WHERE {PIXELS} AND coalesce(SeriesInstanceUID, '') = ''"
    ),
    "series in several studies": (
        "SELECT count(*) AS n FROM (SELECT SeriesInstanceUID FROM index WHERE SeriesInstanceUID "
        "<> '' GROUP BY ALL HAVING count(DISTINCT StudyInstanceUID) > 1)"
    ),
    "studies of several patients": (
        "SELECT count(*) AS n FROM (SELECT StudyInstanceUID FROM index WHERE StudyInstanceUID "
        "<> '' GROUP BY ALL HAVING count(DISTINCT PatientID) > 1)"
    ),
    "series of several modalities": (
        "SELECT count(*) AS n FROM (SELECT SeriesInstanceUID FROM index WHERE SeriesInstanceUID "
        "<> '' GROUP BY ALL HAVING count(DISTINCT Modality) > 1)"
    ),
}
_POWERS = """
SELECT CAST(floor(log2(n)) AS INTEGER) AS power, count(*) AS units FROM ({sizes})
GROUP BY ALL ORDER BY power
"""


def describe(subject: Subject) -> Section:
    """Counts and sizes of each level, then inconsistencies."""
    section = Section("hierarchy", "Patients, studies, series", ["headers"])
    rows, data = [], {}
    for name, sizes in _LEVELS.items():
        sql = _PER.format(sizes=sizes)
        found = subject.query(sql, slices=subject.slices)[0]
        data[name] = found
        numbers = [found[k] for k in ("units", "fewest", "middle", "most")]
        rows.append((name, *numbers, blocks.query(subject.command(sql))))
    head: tuple[str, ...] = ("level", "count", "fewest images", "median", "most", "query")
    section.add(blocks.table("Images per patient, study and series", head, rows))
    for name in ("study", "series"):
        sql = _POWERS.format(sizes=_LEVELS[name])
        rows_of = subject.query(sql, slices=subject.slices)
        found_powers = {row["power"]: row["units"] for row in rows_of}
        if len(found_powers) > 1:
            bins = [
                (f"{2**p}" if p == 0 else f"{2**p}–{2 ** (p + 1) - 1}", found_powers.get(p, 0))
                for p in range(max(found_powers) + 1)
            ]
            caption = f"Images per {name}"
            drawn = charts.columns(bins, caption)
            section.add(blocks.figure(caption, drawn, subject.command(sql)))
    odd = {name: subject.query(sql)[0]["n"] for name, sql in _ODD.items()}
    lines = [(n, odd[n], blocks.query(subject.command(sql))) for n, sql in _ODD.items() if odd[n]]
    head = ("inconsistency", "count", "query")
    section.add(blocks.table("Inconsistencies", head, lines))
    section.data = {"levels": data, "odd": odd}
    return section

"""Section: pixel statistics, if the index has been measured."""

from __future__ import annotations

from typing import Any

from wetread.common.text import counted
from wetread.reports import blocks, charts
from wetread.reports.blocks import Gallery, Section
from wetread.reports.markup import percent
from wetread.reports.subject import Subject

_OK = "px_status IN ('ok', 'partial')"
_BLURRED = """px_sharpness < 0.25 * (
    SELECT median(o.px_sharpness) FROM index AS o
    WHERE o.Modality IS NOT DISTINCT FROM index.Modality)"""
_ODD: dict[str, tuple[str, str, str]] = {
    "constant": ("One value everywhere", "px_min = px_max", "px_min"),
    "dark": ("More than half at the lowest value", "px_saturated_low > 0.5", "px_saturated_low"),
    "bright": (
        "More than a tenth at the highest value",
        "px_saturated_high > 0.1",
        "px_saturated_high",
    ),
    "flat": ("Little information: entropy below 2 bits", "px_entropy < 2", "px_entropy"),
    "window": (
        "The window of the file covers less than a third of the values",
        "px_in_window < 0.33",
        "px_in_window",
    ),
    "padded": ("More than half is padding", "px_padding > 0.5", "px_padding"),
    "border": ("More than a third is a uniform border", "px_border > 0.33", "px_border"),
    "inverted": (
        "Radiograph with corners brighter than the centre: possibly inverted",
        "px_corners > 0.1 AND coalesce(Modality, 'DX') IN ('CR', 'DX', 'MG', 'PX', 'RF', 'RG')",
        "px_corners",
    ),
    "blurred": (
        "Sharpness below a quarter of the median of the modality: possibly blurred",
        _BLURRED,
        "px_sharpness",
    ),
}
"""Name -> meaning, SQL condition, and the column to sort by."""
_RISING = ("px_entropy", "px_in_window", "px_min", "px_sharpness")
_AS_NUMBER = ("px_entropy", "px_min", "px_corners", "px_sharpness")
_COLUMNS = ("px_min", "px_p01", "px_p50", "px_p99", "px_max", "px_std", "px_entropy")
_RANGES = f"""
SELECT coalesce(Modality, 'missing') AS modality, count(*) AS n,
    {", ".join(f"median({name}) AS {name}" for name in _COLUMNS)}
FROM index WHERE {_OK} GROUP BY ALL ORDER BY n DESC, modality LIMIT 20
"""
_HISTOGRAM = f"""
WITH known AS (SELECT px_entropy AS value FROM index WHERE {_OK} AND isfinite(px_entropy))
SELECT CAST(floor(value * 2) AS INTEGER) AS bin, count(*) AS n FROM known GROUP BY ALL ORDER BY bin
"""
_EQUAL = """
SELECT px_xxh3, count(*) AS n, min(path) AS path, arg_min(id, path || chr(0) || member) AS id,
    arg_min(member, path || chr(0) || member) AS member, count(DISTINCT PatientID) AS patients
FROM index WHERE px_xxh3 IS NOT NULL GROUP BY px_xxh3, px_scale HAVING count(*) > 1
ORDER BY n DESC, path LIMIT 6
"""


_ALIKE = """
SELECT px_dhash, count(*) AS n, min(path) AS path, arg_min(id, path || chr(0) || member) AS id,
    arg_min(member, path || chr(0) || member) AS member, count(DISTINCT PatientID) AS patients
FROM index WHERE px_dhash IS NOT NULL AND px_min < px_max GROUP BY px_dhash
HAVING count(DISTINCT px_xxh3) > 1 ORDER BY n DESC, path LIMIT 6
"""


def describe(subject: Subject) -> Section:
    """Value ranges, unusual images, duplicates; or the command that measures them."""
    section = Section("pixels", "Pixels", ["headers", "pixels"])
    section.data = {"measured": subject.measured}
    if not subject.measured:
        text = "The pixels have not been measured yet. Measuring decodes every image once."
        section.add(blocks.missing(text, subject.shell("measure")))
        return section
    status = subject.counts("px_status", "px_status IS NOT NULL")
    section.data["px_status"] = status.to_dict()
    section.add(status.table("Results of the measurement", "px_status"))
    ranges = subject.query(_RANGES)
    section.data["medians"] = ranges
    head = ("modality", "images", *(name.removeprefix("px_") for name in _COLUMNS))
    rows = [(row["modality"], row["n"], *(row[name] for name in _COLUMNS)) for row in ranges]
    caption = "Typical values: median over images of minimum, percentiles, and so on"
    section.add(blocks.table(caption, head, rows, subject.command(_RANGES)))
    counts = {row["bin"]: row["n"] for row in subject.query(_HISTOGRAM)}
    if counts:
        bins = [(b / 2, (b + 1) / 2, counts.get(b, 0)) for b in range(min(counts), max(counts) + 1)]
        drawn = charts.histogram(bins, "Entropy of images", "bits")
        caption = "Entropy of the stored values"
        section.add(blocks.figure(caption, drawn, subject.command(_HISTOGRAM)))
    _show_odd(subject, section)
    _show_equal(subject, section)
    return section


def _show_odd(subject: Subject, section: Section) -> None:
    """Unusual images."""
    counts: dict[str, int] = {}
    rows: list[tuple[Any, ...]] = []
    galleries = []
    for key, (meaning, condition, column) in _ODD.items():
        where = f"{_OK} AND {condition}"
        counts[key] = subject.query(f"SELECT count(*) AS n FROM index WHERE {where}")[0]["n"]
        order = f"{column} {'' if column in _RISING else 'DESC'}, path, member"
        sql = (
            f"SELECT id, path, member, {column} AS value FROM index WHERE {where} ORDER BY {order}"
        )
        command = subject.command(sql)
        rows.append(
            (meaning, counts[key], blocks.share(counts[key], subject.images), blocks.query(command))
        )
        if counts[key]:
            chosen = subject.query(f"{sql} LIMIT 3")
            tiles = [subject.tile(row, _describe_value(column, row["value"])) for row in chosen]
            galleries.append(Gallery(meaning, tiles, command))
    section.data["odd"] = counts
    head = ("property", "images", "share", "query")
    section.add(blocks.table("Images to check", head, rows))
    section.add(*galleries)


def _describe_value(column: str, value: float) -> str:
    if column in _AS_NUMBER:
        return f"{column} {value:.3g}"
    return f"{column} {percent(value)}"


def _show_equal(subject: Subject, section: Section) -> None:
    """Images with equal pixels, and images that look alike."""
    for key, sql, caption in (
        ("equal", _EQUAL, "Images with equal pixels"),
        ("alike", _ALIKE, "Images that look alike but have different pixels"),
    ):
        found = subject.query(sql)
        section.data[key] = [[row["id"], row["n"]] for row in found]
        if found:
            tiles = [
                subject.tile(
                    row, f"{counted(row['n'], 'image')}, {counted(row['patients'], 'Patient ID')}"
                )
                for row in found
            ]
            section.add(Gallery(caption, tiles, subject.command(sql)))

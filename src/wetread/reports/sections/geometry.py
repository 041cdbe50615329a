"""Section: image sizes and pixel spacing."""

from __future__ import annotations

from wetread.common.text import counted
from wetread.reports import blocks, charts
from wetread.reports.blocks import Section
from wetread.reports.subject import PIXELS, Subject

_TOP = 8
"""Number of sizes and spacings listed."""
_SIZES = f"""
SELECT Rows AS height, "Columns" AS width, count(*) AS n FROM index
WHERE {PIXELS} AND Rows > 0 AND "Columns" > 0 GROUP BY ALL ORDER BY n DESC, height, width LIMIT 300
"""
_SOURCE = """CASE WHEN PixelSpacing[1] > 0 AND ImagerPixelSpacing[1] > 0 THEN
CASE WHEN PixelSpacing[1] = ImagerPixelSpacing[1] AND PixelSpacing[2] = ImagerPixelSpacing[2]
THEN 'both, equal' ELSE 'both, different: calibrated' END
WHEN PixelSpacing[1] > 0 THEN 'PixelSpacing' WHEN ImagerPixelSpacing[1] > 0
THEN 'ImagerPixelSpacing' ELSE 'no spacing' END"""
_MEANING = {
    "PixelSpacing": "at the patient, or calibrated",
    "ImagerPixelSpacing": "at the detector: sizes in the patient are smaller",
    "both, equal": "not corrected for magnification",
    "both, different: calibrated": "PixelSpacing is corrected",
    "no spacing": "no measurements in mm",
}
_SPACING = f"""
SELECT round(coalesce(PixelSpacing[1], ImagerPixelSpacing[1]), 3) AS spacing, count(*) AS n
FROM index WHERE {PIXELS} AND coalesce(PixelSpacing[1], ImagerPixelSpacing[1]) > 0
GROUP BY ALL ORDER BY n DESC, spacing LIMIT 20
"""
_ASPECT = f"""
SELECT count(*) AS n FROM index WHERE {PIXELS} AND (PixelAspectRatio[1] <> PixelAspectRatio[2]
    OR abs(PixelSpacing[1] / PixelSpacing[2] - 1) > 0.001)
"""


def describe(subject: Subject) -> Section:
    """Sizes, spacing and its source, non-square pixels."""
    section = Section("geometry", "Geometry", ["headers"])
    sizes = subject.query(_SIZES)
    if sizes:
        points = [(row["width"], row["height"], row["n"]) for row in sizes]
        kinds = counted(len(sizes), "size") if len(sizes) < 300 else "300 most frequent sizes"
        label = f"{kinds} of images; the most frequent is {points[0][0]} x {points[0][1]}"
        drawn = charts.bubbles(points, "columns", "rows", label)
        section.add(
            blocks.figure(f"{label}; bubble area: number of images", drawn, subject.command(_SIZES))
        )
    source = subject.counts(_SOURCE)
    rows = [
        (name, n, blocks.share(n, source.total), _MEANING[str(name)]) for name, n in source.values
    ]
    head = ("spacing from", "images", "share", "meaning")
    section.add(blocks.table("Source of the pixel spacing", head, rows, source.command))
    spacing = subject.query(_SPACING)
    section.add(
        blocks.side_by_side(
            blocks.table(
                "Most frequent sizes",
                ("columns x rows", "images", "share"),
                [(f"{r['width']} x {r['height']}", r["n"], blocks.share(r["n"], subject.images))
                 for r in sizes[:_TOP]],
                subject.command(_SIZES),
            ),
            blocks.table(
                "Pixel spacing between rows",
                ("mm", "images", "share"),
                [(f"{r['spacing']:g}", r["n"], blocks.share(r["n"], subject.images))
                 for r in spacing[:_TOP]],
                subject.command(_SPACING),
                "not available",
            ),
        )
    )  # fmt: skip
    oblong = subject.query(_ASPECT)[0]["n"]
    lines = [("images with non-square pixels", oblong, blocks.query(subject.command(_ASPECT)))]
    section.add(blocks.table("Pixel shape", ("property", "count", "query"), lines))
    section.data = {
        "sizes": [[row["width"], row["height"], row["n"]] for row in sizes],
        "spacing_source": source.to_dict(),
        "spacing": [[row["spacing"], row["n"]] for row in spacing],
        "not_square": oblong,
    }
    return section

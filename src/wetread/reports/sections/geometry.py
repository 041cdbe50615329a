"""Section 6: image sizes, pixel spacing and slice spacing."""

from __future__ import annotations

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
_SLICES = """
WITH slices AS (
    SELECT SeriesInstanceUID AS series, ImageOrientationPatient AS o,
        ImagePositionPatient[1] * (o[2] * o[6] - o[3] * o[5])
        + ImagePositionPatient[2] * (o[3] * o[4] - o[1] * o[6])
        + ImagePositionPatient[3] * (o[1] * o[5] - o[2] * o[4]) AS depth
    FROM index WHERE pixel_length IS NOT NULL AND SeriesInstanceUID <> ''
        AND len(ImagePositionPatient) = 3 AND len(ImageOrientationPatient) = 6
), gaps AS (
    SELECT series, o, depth - lag(depth) OVER (PARTITION BY series, o ORDER BY depth) AS gap
    FROM slices
), stacks AS (
    SELECT series, o, count(*) AS n, min(gap) AS low, max(gap) AS high FROM gaps
    GROUP BY ALL HAVING count(*) > 2
)
SELECT count(*) AS stacks, coalesce(CAST(sum(n) AS BIGINT), 0) AS images,
    count(*) FILTER (WHERE high - low <= 0.01 + 0.01 * high AND low > 0.001) AS regular,
    count(*) FILTER (WHERE low <= 0.001) AS repeated,
    count(*) FILTER (WHERE high - low > 0.01 + 0.01 * high AND low > 0.001) AS irregular
FROM stacks
"""


def describe(subject: Subject) -> Section:
    """Sizes, spacing and its source, non-square pixels, distances between slices."""
    section = Section("geometry", "Geometry", ["headers"])
    sizes = subject.query(_SIZES)
    if sizes:
        points = [(row["width"], row["height"], row["n"]) for row in sizes]
        kinds = f"{len(sizes)} sizes" if len(sizes) < 300 else "300 most frequent sizes"
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
    stacks = subject.query(_SLICES)[0]
    lines = [
        ("images with non-square pixels", oblong, blocks.query(subject.command(_ASPECT))),
        ("stacks of slices (one series, one orientation)", stacks["stacks"],
         blocks.query(subject.command(_SLICES))),
        ("with equal distances", stacks["regular"], ""),
        ("with unequal distances: slices are missing or tilted", stacks["irregular"], ""),
        ("with several images at one position: phases, echoes or copies", stacks["repeated"], ""),
    ]  # fmt: skip
    section.add(blocks.table("Pixel shape and slice stacks", ("property", "count", "query"), lines))
    section.data = {
        "sizes": [[row["width"], row["height"], row["n"]] for row in sizes],
        "spacing_source": source.to_dict(),
        "spacing": [[row["spacing"], row["n"]] for row in spacing],
        "not_square": oblong,
        "stacks": stacks,
    }
    return section

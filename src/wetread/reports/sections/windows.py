"""Section: grey-scale pipeline: windows, rescale, padding."""

from __future__ import annotations

from wetread.reports import blocks
from wetread.reports.blocks import Section
from wetread.reports.subject import PIXELS, Subject

_WINDOWS = """CASE WHEN coalesce(len(WindowCenter), 0) = 0 OR coalesce(len(WindowWidth), 0) = 0
THEN 'no window' WHEN len(WindowCenter) <> len(WindowWidth)
THEN 'centres and widths differ in number' WHEN WindowWidth[1] <= 0 THEN 'no width'
WHEN len(WindowCenter) = 1 THEN 'one window' ELSE 'several windows' END"""
_MEANING = {
    "no window": "automatic window, or the VOI LUT of the file",
    "centres and widths differ in number": "complete pairs are used",
    "no width": "invalid: the next window of the file, else the automatic one",
    "one window": "",
    "several windows": "the first is used",
}
_RESCALE = f"""
SELECT RescaleSlope AS slope, RescaleIntercept AS intercept, RescaleType AS type, count(*) AS n
FROM index WHERE {PIXELS} GROUP BY ALL ORDER BY n DESC, slope, intercept, type LIMIT 12
"""
_PADDING = f"""
SELECT PixelPaddingValue AS padding, count(*) AS n FROM index
WHERE {PIXELS} AND PixelPaddingValue IS NOT NULL GROUP BY ALL ORDER BY n DESC, padding LIMIT 12
"""
_COMMON = f"""
SELECT WindowCenter[1] AS center, WindowWidth[1] AS width, count(*) AS n FROM index
WHERE {PIXELS} AND len(WindowCenter) > 0 AND len(WindowWidth) > 0
GROUP BY ALL ORDER BY n DESC, center, width LIMIT 10
"""


def describe(subject: Subject) -> Section:
    """Windows and their kinds, rescale, padding."""
    section = Section("windows", "Windows and rescale", ["headers"])
    kinds = subject.counts(_WINDOWS)
    rows = [
        (name, n, blocks.share(n, kinds.total), _MEANING[str(name)]) for name, n in kinds.values
    ]
    head: tuple[str, ...] = ("window", "images", "share", "display")
    section.add(blocks.table("Windows (Window Center and Width)", head, rows, kinds.command))
    common = subject.query(_COMMON)
    pairs = [
        (f"{r['center']:.6g} / {r['width']:.6g}", r["n"], blocks.share(r["n"], subject.images))
        for r in common
        if r["center"] is not None and r["width"] is not None
    ]
    function = subject.counts("VOILUTFunction")
    windows = blocks.table(
        "Most frequent windows",
        ("center / width", "images", "share"),
        pairs,
        subject.command(_COMMON),
    )
    section.add(
        blocks.side_by_side(windows, function.table("VOI LUT Function", "function", "LINEAR"))
    )
    rescale, padding = subject.query(_RESCALE), subject.query(_PADDING)
    shown = [
        (_rescale(row), row["type"] or "", row["n"], blocks.share(row["n"], subject.images))
        for row in rescale
    ]
    head = ("modality value", "type", "images", "share")
    section.add(blocks.table("Rescale", head, shown, subject.command(_RESCALE)))
    padded = [
        (str(row["padding"]), row["n"], blocks.share(row["n"], subject.images)) for row in padding
    ]
    head = ("value", "images", "share")
    caption = "Pixel Padding Value: pixels outside the image"
    section.add(blocks.table(caption, head, padded, subject.command(_PADDING)))
    section.data = {
        "windows": kinds.to_dict(),
        "common": [list(row.values()) for row in common],
        "function": function.to_dict(),
        "rescale": [list(row.values()) for row in rescale],
        "padding": [list(row.values()) for row in padding],
    }
    if not subject.has("sequences"):
        section.add(
            blocks.prose(
                "Look-up tables (VOI LUT, Modality LUT) are applied to displayed images but not "
                "listed here: sequences were not included in the scan."
            )
        )
    return section


def _rescale(row: dict[str, float | None]) -> str:
    slope, intercept = row["slope"], row["intercept"]
    if slope is None and intercept is None:
        return "stored value (no rescale)"
    return f"{_g(slope, 1)} x stored value + {_g(intercept, 0)}"


def _g(value: float | None, default: float) -> str:
    return f"{default if value is None else value:.6g}"

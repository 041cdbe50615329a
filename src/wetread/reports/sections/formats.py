"""Section: pixel formats and transfer syntaxes, and available decoders."""

from __future__ import annotations

from wetread.reports import blocks
from wetread.reports.blocks import Section
from wetread.reports.subject import PIXELS, Subject
from wetread.table.summary import name_uid

_MATRIX = f"""
SELECT transfer_syntax, PhotometricInterpretation AS photometric, BitsAllocated AS allocated,
    BitsStored AS stored, CASE PixelRepresentation WHEN 0 THEN 'unsigned' WHEN 1 THEN 'signed' END
    AS sign, SamplesPerPixel AS samples, decodable, count(*) AS n
FROM index WHERE {PIXELS} GROUP BY ALL ORDER BY n DESC, 1, 2, 3, 4, 5, 6, 7 LIMIT 60
"""
_GROUPS = """
SELECT count(*) FILTER (WHERE PhotometricInterpretation = 'MONOCHROME1') AS monochrome1,
    count(*) FILTER (WHERE decodable = 'no') AS undecodable,
    count(*) FILTER (WHERE NumberOfFrames > 1) AS multiframe,
    count(*) FILTER (WHERE SamplesPerPixel > 1 OR PhotometricInterpretation = 'PALETTE COLOR')
        AS colour,
    count(*) FILTER (WHERE LossyImageCompression = '01') AS lossy
FROM index WHERE pixel_length IS NOT NULL
"""

_SHOWN = 20
_DECODABLE = {"yes": "info"}


def describe(subject: Subject) -> Section:
    """Totals such as MONOCHROME1, then the table of pixel formats."""
    section = Section("formats", "Pixel formats", ["headers"])
    groups = subject.query(_GROUPS)[0]
    matrix = subject.query(_MATRIX)
    section.data = {"counts": groups, "matrix": matrix}
    section.add(
        blocks.facts(
            [
                (groups["monochrome1"], "MONOCHROME1 images"),
                (groups["undecodable"], "cannot be decoded"),
                (groups["multiframe"], "multi-frame"),
                (groups["colour"], "in colour"),
                (groups["lossy"], "lossy compressed"),
            ],
            subject.command(_GROUPS),
        )
    )
    if groups["monochrome1"]:
        text = (
            f"{groups['monochrome1']:,} of {subject.images:,} images are MONOCHROME1: low stored "
            "values are bright. wetread displays them correctly; a model trained on the stored "
            "values sees negatives."
        )
        section.add(blocks.note(text, "warning"))
    rows = [
        (
            name_uid(row["transfer_syntax"]) or "unknown",
            row["photometric"] or "missing",
            row["stored"],
            row["allocated"],
            row["sign"] or "",
            row["samples"],
            blocks.badge(_DECODABLE.get(row["decodable"], "error"), row["decodable"]),
            row["n"],
            blocks.share(row["n"], subject.images),
        )
        for row in matrix
    ]  # fmt: skip
    head = (
        "transfer syntax",
        "photometric",
        "bits stored",
        "allocated",
        "sign",
        "samples",
        "decodable",
        "images",
        "share",
    )
    command = subject.command(_MATRIX)
    section.add(blocks.table("Pixel formats", head, rows[:_SHOWN], command))
    if more := rows[_SHOWN:]:
        section.add(
            blocks.collapsed(f"{len(more)} more", blocks.table("Less frequent formats", head, more))
        )
    return section

"""Section: read status of the files, sizes, duplicates."""

from __future__ import annotations

from wetread.common.text import counted, format_bytes
from wetread.reports import blocks, charts
from wetread.reports.blocks import Section
from wetread.reports.subject import PIXELS, Subject

_STATUS = {
    "ok": "read without problems",
    "repaired": "read completely, with a repair",
    "partial": "incomplete",
    "not_dicom": "not DICOM",
    "refused": "not opened because of a limit",
    "no_access": "could not be opened",
    "timeout": "took too long",
    "crashed": "crashed its worker",
}
_SIGNS = {"ok": "info", "repaired": "info", "not_dicom": "info", "partial": "warning"}
_KINDS = f"""
SELECT count(*) FILTER (WHERE {PIXELS}) AS images,
    count(*) FILTER (WHERE read_status IN ('ok', 'repaired', 'partial') AND NOT ({PIXELS}))
        AS without_pixels,
    count(*) FILTER (WHERE coalesce(MediaStorageSOPClassUID, SOPClassUID)
        = '1.2.840.10008.1.3.10') AS dicomdir,
    count(*) FILTER (WHERE member <> '') AS in_archives,
    count(DISTINCT CASE WHEN member <> '' THEN path END) AS archives
FROM index
"""
_SIZES = """
SELECT CAST(floor(log2(greatest(file_size, 1))) AS INTEGER) AS power, count(*) AS n
FROM index WHERE file_size IS NOT NULL GROUP BY ALL ORDER BY power
"""
_TWICE = """
SELECT count(*) AS uids, coalesce(CAST(sum(n) AS BIGINT), 0) AS files FROM (
    SELECT SOPInstanceUID, count(*) AS n FROM index WHERE SOPInstanceUID <> ''
    GROUP BY ALL HAVING count(*) > 1)
"""
_ALIKE = "SELECT count(DISTINCT id) AS files FROM problems WHERE code = 'POSSIBLE_DUPLICATE'"
_SAME_PIXELS = """
SELECT count(*) AS pictures, coalesce(CAST(sum(n) AS BIGINT), 0) AS files,
    count(*) FILTER (WHERE uids > 1) AS other_uids FROM (
    SELECT px_xxh3, count(*) AS n, count(DISTINCT SOPInstanceUID) AS uids FROM index
    WHERE px_xxh3 IS NOT NULL GROUP BY px_xxh3, px_scale HAVING count(*) > 1)
"""


def describe(subject: Subject) -> Section:
    """Statuses, kinds, sizes, duplicates."""
    section = Section("files", "Files", ["headers"])
    status = subject.counts("read_status", "true")
    rows = [
        (blocks.badge(_SIGNS.get(str(name), "error"), str(name)), n, blocks.share(n, status.total),
         _STATUS.get(str(name), ""))
        for name, n in status.values
    ]  # fmt: skip
    head = ("read_status", "files", "share", "meaning")
    section.add(blocks.table("Read status", head, rows, status.command))
    kinds = subject.query(_KINDS)[0]
    shown = [
        (kinds["images"], "with pixels"),
        (kinds["without_pixels"], "DICOM without pixels"),
        (kinds["dicomdir"], "DICOMDIR"),
    ]
    if kinds["archives"]:
        shown.append((kinds["in_archives"], f"in {counted(kinds['archives'], 'archive')}"))
    section.add(blocks.facts(shown, subject.command(_KINDS)))
    sizes = subject.query(_SIZES)
    if len(sizes) > 1:
        counts = {row["power"]: row["n"] for row in sizes}
        powers = range(min(counts), max(counts) + 1)
        names = [(format_bytes(2.0**p), counts.get(p, 0)) for p in powers]
        drawn = charts.columns(names, "File sizes")
        caption = "File sizes: each bar is for the labelled size up to its double"
        section.add(blocks.figure(caption, drawn, subject.command(_SIZES)))
    twice, alike = subject.query(_TWICE)[0], subject.query(_ALIKE)[0]
    lines = [
        ("the same SOP Instance UID in several files", twice["files"], subject.command(_TWICE)),
        ("equal headers and sizes", alike["files"], subject.command(_ALIKE)),
    ]
    section.data = {
        "read_status": status.to_dict(),
        "kinds": kinds,
        "same_uid": twice,
        "alike": alike["files"],
    }
    if subject.measured:
        same = subject.query(_SAME_PIXELS)[0]
        lines.append(("equal pixels", same["files"], subject.command(_SAME_PIXELS)))
        section.data["same_pixels"] = same
    table = [(name, n, blocks.query(command)) for name, n, command in lines]
    section.add(blocks.table("Duplicates", ("property", "files", "query"), table))
    return section

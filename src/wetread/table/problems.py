"""The SQL view `problems`: those of each file, and those that only show across files.

The latter are computed per query, from its rows:

- UID_CLASH: one SOP Instance UID, but another header or size.
- POSSIBLE_DUPLICATE: equal header bytes and sizes; only a comparison of the files can confirm it.
"""

from __future__ import annotations

COLUMNS = (
    "path",
    "member",
    "id",
    "SOPInstanceUID",
    "header_hash",
    "file_size",
    "read_status",
    "problems",
)
"""Columns of the index that the view needs."""
_VIEW = """
CREATE VIEW problems AS
WITH named AS (
    SELECT path, member, id, SOPInstanceUID AS uid, header_hash, file_size,
        path || CASE member WHEN '' THEN '' ELSE ' ' || member END AS name
    FROM "index" WHERE read_status IN ('ok', 'repaired', 'partial')
), clashes AS (
    SELECT uid, count(*) || ' files have this UID; the first is ' || min(name) AS text
    FROM named WHERE uid <> '' GROUP BY uid
    HAVING min(header_hash) <> max(header_hash) OR min(file_size) <> max(file_size)
), alike AS (
    SELECT header_hash, file_size,
        count(*) || ' files have this header and size; the first is ' || min(name) AS text
    FROM named GROUP BY header_hash, file_size HAVING count(*) > 1
), every AS (
    SELECT path, member, id, f.code AS code, f.tag AS tag, f."offset" AS "offset", f.text AS text
    FROM (SELECT path, member, id, unnest({problems}) AS f FROM "index")
    UNION ALL
    SELECT path, member, id, 'UID_CLASH', '0008,0018', NULL, text
    FROM named JOIN clashes USING (uid)
    UNION ALL
    SELECT path, member, id, 'POSSIBLE_DUPLICATE', NULL, NULL, text
    FROM named JOIN alike USING (header_hash, file_size)
)
SELECT path, member, id, code, severity, tag, "offset", text
FROM every LEFT JOIN problem_codes USING (code)
"""


def make_view(columns: list[str]) -> str:
    """SQL of the view, with the problems of decoding if the index has been measured."""
    measured = "px_problems" in columns
    both = "list_concat(problems, px_problems)"
    return _VIEW.format(problems=both if measured else "problems")

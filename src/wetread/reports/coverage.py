"""Coverage of data elements: files with a value, distinct values, most frequent values."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import pyarrow as pa

from wetread.common.privacy import Kind, kind_of_column
from wetread.reports.markup import cut
from wetread.table.query import RunQuery, name_column

TOP = 5
"""Number of values listed per column."""
MAX_LENGTH = 40
"""Maximum length of a displayed value, in characters."""
_AT_ONCE = 40
_COLUMN = """
(SELECT {name} AS name, left(CAST(value AS VARCHAR), {longest}) AS value, n,
CAST(sum(n) OVER () AS BIGINT) AS present, count(*) OVER () AS kinds,
CAST(sum(n) FILTER ({blank}) OVER () AS BIGINT) AS blank
FROM (SELECT {column} AS value, count(*) AS n FROM some_columns WHERE {column} IS NOT NULL
GROUP BY ALL) AS one ORDER BY n DESC, one.value LIMIT {top})
"""


@dataclass(frozen=True)
class Coverage:
    """Coverage of one column."""

    name: str
    tag: str
    vr: str
    present: int
    blank: int
    kinds: int
    top: list[tuple[str, int]]
    """Most frequent values and their counts, not masked."""
    kind: Kind | None
    """Category of identifying information in the values."""
    masked: bool
    """True if the values must not be shown."""

    @property
    def values(self) -> list[tuple[str, int]]:
        """Most frequent values, for display; () if masked."""
        return [] if self.masked else [(cut(value, MAX_LENGTH), n) for value, n in self.top]

    def to_dict(self) -> dict[str, Any]:
        """Convert to JSON-compatible data."""
        return {
            "column": self.name,
            "tag": self.tag,
            "vr": self.vr,
            "present": self.present,
            "blank": self.blank,
            "distinct": self.kinds,
            "masked": self.masked,
            "top": [list(pair) for pair in self.values],
        }


def elements(schema: pa.Schema) -> list[pa.Field]:
    """Columns of standard elements, without derived columns."""
    named = [field for field in schema if b"tag" in (field.metadata or {})]
    names = {field.name for field in named}
    derived = {f"{name}_parsed" for name in names} | {"patient_age_years"}
    return [field for field in named if field.name not in derived]


def cover(run_query: RunQuery, schema: pa.Schema, show_phi: bool) -> Iterator[Coverage]:
    """Compute the coverage of every element."""
    fields = elements(schema)
    counted = ", ".join(f"count({name_column(field.name)})" for field in fields)
    present = run_query(f"SELECT {counted} FROM index").to_pydict().values() if fields else ()
    nonempty = {field.name for field, (n,) in zip(fields, present, strict=True) if n}
    for start in range(0, len(fields), _AT_ONCE):
        chunk = fields[start : start + _AT_ONCE]
        used = [field for field in chunk if field.name in nonempty]
        rows = _rank(run_query, used) if used else {}
        yield from (_describe(field, rows.get(field.name, []), show_phi) for field in chunk)


def _rank(run_query: RunQuery, fields: list[pa.Field]) -> dict[str, list[dict[str, Any]]]:
    """Most frequent values of each column, with total counts."""
    # Read the columns once: each subquery would scan the index again.
    columns = run_query(
        f"SELECT {', '.join(name_column(field.name) for field in fields)} FROM index"
    )
    sql = " UNION ALL ".join(
        _COLUMN.format(
            name="'" + field.name.replace("'", "''") + "'",
            column=name_column(field.name),
            blank=_blank(field.type),
            longest=MAX_LENGTH + 1,
            top=TOP,
        )
        for field in fields
    )
    ranked: dict[str, list[dict[str, Any]]] = {}
    for row in run_query(sql, some_columns=columns).to_pylist():
        ranked.setdefault(row["name"], []).append(row)
    return ranked


def _blank(kind: pa.DataType) -> str:
    """SQL condition for an empty value."""
    if pa.types.is_string(kind):
        return "value = ''"
    return "len(value) = 0" if pa.types.is_list(kind) else "false"


def _describe(field: pa.Field, rows: list[dict[str, Any]], show_phi: bool) -> Coverage:
    rows.sort(key=lambda row: (-row["n"], row["value"]))
    metadata = {key: (field.metadata or {}).get(key, b"").decode() for key in (b"tag", b"vr")}
    first = rows[0] if rows else {"present": 0, "blank": 0, "kinds": 0}
    kind = kind_of_column(field)
    return Coverage(
        field.name,
        metadata[b"tag"],
        metadata[b"vr"],
        first["present"],
        first["blank"] or 0,
        first["kinds"],
        [(row["value"], row["n"]) for row in rows],
        kind,
        kind is not None and not show_phi,
    )

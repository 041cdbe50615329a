"""How the values of a column are distributed, in the database."""

from __future__ import annotations

import math
from datetime import date, timedelta
from typing import Any

import pyarrow as pa

from wetread.table.store import Content, query

MOST_VALUES, BINS = 50, 40
FEW = 12
"""A number with so many different values or fewer is counted by value."""
_EPOCH = date(1970, 1, 1)


def kind_of(type_: pa.DataType) -> str:
    """What a browser needs to know of a column's type.

    >>> kind_of(pa.list_(pa.float64())), kind_of(pa.int32()), kind_of(pa.date32())
    ('list', 'number', 'date')
    """
    if pa.types.is_list(type_) or pa.types.is_large_list(type_):
        return "list"
    if pa.types.is_boolean(type_):
        return "bool"
    if pa.types.is_date(type_) or pa.types.is_timestamp(type_):
        return "date"
    numbers = (pa.types.is_integer, pa.types.is_floating, pa.types.is_decimal)
    return "number" if any(is_(type_) for is_ in numbers) else "text"


def count_values(
    content: Content, column: str, condition: str, values: list[str]
) -> dict[str, Any]:
    """The most frequent values of a column, or a histogram of its numbers or dates.

    A column of lists counts each value of a list. `condition` is a WHERE clause for `values`.
    """
    type_ = content.schema.field(column).type
    name = '"' + column.replace('"', '""') + '"'
    source = f"SELECT {name} AS x FROM index {condition}"
    if kind_of(type_) == "list":
        type_ = type_.value_type
        inner = "x"
        if pa.types.is_struct(type_):
            field = "code" if type_.get_field_index("code") >= 0 else type_.field(0).name
            inner, type_ = f"list_distinct(list_transform(x, lambda f: f.{field}))", pa.string()
        source = f"SELECT unnest(CASE WHEN len(x) > 0 THEN {inner} ELSE [NULL] END) AS x FROM ({source})"
    kind = kind_of(type_)
    if kind in ("number", "date"):
        number = "x::DATE - DATE '1970-01-01'" if kind == "date" else "x"
        found = _histogram(content, source, f"({number})::DOUBLE", values)
        if found is not None:
            return _with_dates(found) if kind == "date" else found
    return _frequent(content, source, values)


def _frequent(content: Content, source: str, values: list[str]) -> dict[str, Any]:
    sql = (
        f"WITH v AS ({source}), c AS (SELECT x, count(*) AS n FROM v GROUP BY x) "
        "SELECT x, n, sum(n) OVER () AS total FROM c ORDER BY x IS NULL DESC, n DESC, x "
        f"LIMIT {MOST_VALUES + 1}"
    )
    rows = query(content, sql, values).to_pylist()
    total = int(rows[0]["total"]) if rows else 0
    missing = sum(row["n"] for row in rows if row["x"] is None)
    shown = [[_plain(row["x"]), row["n"]] for row in rows if row["x"] is not None][:MOST_VALUES]
    other = total - missing - sum(count for _, count in shown)
    return {"kind": "values", "values": shown, "other": other, "missing": missing}


def _histogram(
    content: Content, source: str, number: str, values: list[str]
) -> dict[str, Any] | None:
    """Equal bins from the smallest to the largest; None for few different values."""
    sql = (
        f"WITH v AS MATERIALIZED (SELECT {number} AS x FROM ({source})), "
        "r AS (SELECT min(x) AS low, max(x) AS high, approx_count_distinct(x) AS n "
        "FROM v WHERE isfinite(x)), "
        f"b AS (SELECT CASE WHEN isfinite(x) THEN least({BINS - 1}, "
        f"floor((x - low) / nullif(high - low, 0) * {BINS})) END AS bin, count(*) AS count "
        "FROM v, r GROUP BY bin) SELECT bin, count, low, high, n FROM b, r"
    )
    rows = query(content, sql, values).to_pylist()
    if not rows or not rows[0]["n"] or rows[0]["n"] <= FEW or rows[0]["low"] == rows[0]["high"]:
        return None
    low, high = rows[0]["low"], rows[0]["high"]
    counts = {int(row["bin"]): row["count"] for row in rows if row["bin"] is not None}
    missing = sum(row["count"] for row in rows if row["bin"] is None)
    edges = [low + (high - low) * i / BINS for i in range(BINS)] + [high]
    bins = [[edges[i], edges[i + 1], counts.get(i, 0)] for i in range(BINS)]
    return {"kind": "histogram", "bins": bins, "missing": missing}


def _with_dates(found: dict[str, Any]) -> dict[str, Any]:
    """The edges of the bins as ISO dates."""

    def day(number: float) -> str:
        return (_EPOCH + timedelta(days=math.floor(number))).isoformat()

    bins = [[day(low), day(high), count] for low, high, count in found["bins"]]
    return {**found, "bins": bins}


def _plain(value: Any) -> Any:
    """What JSON can say."""
    if isinstance(value, float):
        return value if math.isfinite(value) else str(value)
    if isinstance(value, bytes):
        return value.hex()
    return value if isinstance(value, str | int | bool | None) else str(value)

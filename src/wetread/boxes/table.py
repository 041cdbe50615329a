"""The box schema: one row per box, or per "nothing found", whatever file the boxes came from."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc

from wetread.errors import UsageError

BOX_SCHEMA = pa.schema(
    [
        ("image", pa.string()),
        ("key", pa.string()),
        ("frame", pa.int32()),
        ("label", pa.string()),
        ("reader", pa.string()),
        ("x0", pa.float64()),
        ("y0", pa.float64()),
        ("x1", pa.float64()),
        ("y1", pa.float64()),
        ("score", pa.float64()),
        ("kind", pa.string()),
        ("group", pa.string()),
        ("part", pa.string()),
    ]
)
"""`image` is the id of an index row, `key` how the label file names it; coordinates are edges of
stored pixels (0 is the left edge of the first column); `kind` is box, point or nothing."""
CORNERS = ("x0", "y0", "x1", "y1")
KINDS = ("box", "point", "nothing")
METADATA = b"wetread.boxes"
Classes = tuple[tuple[str, str], ...]
"""(id, name) of every class, in the order of the data set."""


def make_table(columns: Mapping[str, Any]) -> pa.Table:
    """Columns as a table of BOX_SCHEMA; those that are not given are null, `kind` is "box".

    NaN is null.

    Raises:
        UsageError: a column that the schema does not have, values of another type, another kind.

    >>> make_table({"key": ["a"], "label": ["Nodule"]})["kind"].to_pylist()
    ['box']
    """
    unknown = sorted(set(columns) - set(BOX_SCHEMA.names))
    if unknown:
        raise UsageError(f"no box column {unknown[0]!r}; there are {', '.join(BOX_SCHEMA.names)}")
    rows = len(next(iter(columns.values()), ()))
    given = {"kind": ["box"] * rows, **columns}
    try:
        arrays = [_array(given.get(f.name), f.type, rows) for f in BOX_SCHEMA]
        table = pa.table(arrays, schema=BOX_SCHEMA)
    except (pa.ArrowInvalid, pa.ArrowTypeError, pa.ArrowNotImplementedError) as error:
        raise UsageError(f"box columns of another type or length: {error}") from error
    if strange := set(table["kind"].unique().to_pylist()) - set(KINDS):
        raise UsageError(f"a kind {strange.pop()!r}; there are {', '.join(KINDS)}")
    return table


def _array(values: Any, type_: pa.DataType, rows: int) -> pa.Array | pa.ChunkedArray:
    if values is None:
        return pa.nulls(rows, type_)
    if isinstance(values, pa.Array | pa.ChunkedArray):
        values = values.cast(type_)
        if pa.types.is_floating(type_):
            values = pc.if_else(pc.is_nan(values), pa.scalar(None, type_), values)
        return values
    return pa.array(values, type_, from_pandas=True)


def describe(
    table: pa.Table, classes: Iterable[Sequence[Any]], run: str | None, dialect: str
) -> pa.Table:
    """The table with what else is known of it, in its metadata."""
    said = {"classes": [[str(i), str(n)] for i, n in classes], "run": run, "dialect": dialect}
    return table.cast(BOX_SCHEMA).replace_schema_metadata({METADATA: json.dumps(said).encode()})


def description(table: pa.Table) -> dict[str, Any]:
    """What `describe` wrote: classes, run, dialect; defaults where it wrote nothing."""
    said = (table.schema.metadata or {}).get(METADATA)
    found: dict[str, Any] = json.loads(said) if said else {}
    return {"classes": [], "run": None, "dialect": "", **found}

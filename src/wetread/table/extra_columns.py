"""Columns added after the scan: stored in a table next to the parts, then joined to them."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pyarrow as pa
import pyarrow.compute as pc

from wetread.common.files import storage_errors
from wetread.headers.schema import unify
from wetread.table.merge import conform, write_parts
from wetread.table.parts import (
    GROUP_ROWS,
    Generation,
    Options,
    Part,
    check_parts,
    commit_generation,
    part_path,
    read_state,
    write_part,
)


def read_extra(folder: Path) -> pa.Table | None:
    """Rows of a table of extra columns, the latest per id; None if it has none."""
    import pyarrow.parquet as pq

    state = read_state(folder)
    parts = [*(state.generation.parts if state.generation else ()), *(p for p, _ in state.loose)]
    check_parts(folder, parts, f"delete {folder}; its columns are then computed again")
    tables = [pq.read_table(part_path(folder, part.name)) for part in parts]
    return latest(tables) if tables else None


def latest(tables: list[pa.Table]) -> pa.Table:
    """Last row of each id."""
    rows = pa.concat_tables(tables, promote_options="default")
    numbered = rows.append_column("at", pa.array(range(rows.num_rows), pa.int64()))
    last = numbered.group_by("id").aggregate([("at", "max")])["at_max"]
    return rows.take(last.sort())


def write_extra(folder: Path, rows: pa.Table, options: Options) -> None:
    """Replace a table of extra columns, as one generation."""
    state = read_state(folder)
    number = state.generation.number + 1 if state.generation else 1
    part = write_part(folder, rows, options)
    commit_generation(folder, Generation(number, options, rows.schema, (part,), {}))


def join(rows: pa.Table, columns: pa.Table, schema: pa.Schema) -> pa.Table:
    """Join `columns` to the rows by id; other rows get null."""
    at = pc.index_in(rows["id"], value_set=columns["id"].combine_chunks())
    added = columns.drop_columns(["id"]).take(at)
    rows = rows.select([name for name in rows.column_names if name not in added.column_names])
    for name in added.column_names:
        rows = rows.append_column(name, added[name])
    return conform(rows, schema)


def joined_schema(schema: pa.Schema, columns: pa.Schema) -> pa.Schema:
    """Schema of the result of `join`."""
    return unify([schema, pa.schema([f for f in columns if f.name != "id"])])


def join_index(folder: Path, columns: pa.Table) -> None:
    """Add columns to an index, as a new generation; parts of an interrupted scan stay.

    Args:
        folder: an index folder that is locked.
        columns: `id`, and the columns to add or to replace.

    Raises:
        StorageError: the disk is full or the folder cannot be written; the index is unchanged.
    """
    state = read_state(folder)
    assert state.generation is not None
    before = state.generation
    schema = joined_schema(before.schema, columns.schema)

    def tables(path: Path) -> Iterator[pa.Table]:
        import pyarrow.parquet as pq

        with pq.ParquetFile(path, pre_buffer=False) as file:
            for batch in file.iter_batches(GROUP_ROWS):
                yield join(conform(pa.table(batch), before.schema), columns, schema)

    parts: list[Part] = []
    for part in before.parts:
        path = part_path(folder, part.name)
        with storage_errors(folder):
            parts += write_parts(folder, tables(path), schema, part.rows)
    after = replace(before, number=before.number + 1, schema=schema, parts=tuple(parts))
    commit_generation(folder, after, keep=[part.name for part, _ in state.loose])

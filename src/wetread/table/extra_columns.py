"""Columns that are made after the scan: kept in a table beside the parts, then joined to them."""

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


def read_beside(folder: Path) -> pa.Table | None:
    """All rows that a table beside the index has, the latest of each id; None without any."""
    import pyarrow.parquet as pq

    state = read_state(folder)
    parts = [*(state.generation.parts if state.generation else ()), *(p for p, _ in state.loose)]
    check_parts(folder, parts, f"delete {folder}, and what it holds is made again")
    tables = [pq.read_table(part_path(folder, part.name)) for part in parts]
    return latest(tables) if tables else None


def latest(tables: list[pa.Table]) -> pa.Table:
    """The last row of every id."""
    rows = pa.concat_tables(tables, promote_options="default")
    last = rows.append_column("at", pa.array(range(rows.num_rows), pa.int64()))
    places = last.group_by("id").aggregate([("at", "max")])["at_max"]
    return rows.take(places.sort())


def finish_beside(folder: Path, rows: pa.Table, options: Options) -> None:
    """Keeps these rows alone, as one generation."""
    state = read_state(folder)
    number = state.generation.number + 1 if state.generation else 1
    part = write_part(folder, rows, options)
    commit_generation(folder, Generation(number, options, rows.schema, (part,), {}))


def join(rows: pa.Table, columns: pa.Table, schema: pa.Schema) -> pa.Table:
    """The rows, with the values that `columns` has of their ids, null for the others."""
    at = pc.index_in(rows["id"], value_set=columns["id"].combine_chunks())
    added = columns.drop_columns(["id"]).take(at)
    kept = [name for name in rows.column_names if name not in added.column_names]
    rows = rows.select(kept)
    for name in added.column_names:
        rows = rows.append_column(name, added[name])
    return conform(rows, schema)


def joined_schema(schema: pa.Schema, columns: pa.Schema) -> pa.Schema:
    """The schema of `join`."""
    return unify([schema, pa.schema([f for f in columns if f.name != "id"])])


def join_index(folder: Path, columns: pa.Table) -> None:
    """A new generation of an index whose rows have more columns; a stopped scan is left in peace.

    Args:
        folder: an index folder that is locked.
        columns: `id`, and the columns to add or to replace.

    Raises:
        StorageError: the disk is full or the folder cannot be written; the index is as before.
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

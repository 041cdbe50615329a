"""Read headers: one row per source."""

from __future__ import annotations

from typing import NamedTuple

import pyarrow as pa

from wetread.errors import DecodeError, WetreadError
from wetread.headers.blocks import thread_registry, walk_block
from wetread.headers.columns import build_columns
from wetread.headers.empties import list_empties
from wetread.headers.endian import swap_values
from wetread.headers.failures import describe_exception, failed_row
from wetread.headers.rows import Answer, assemble
from wetread.headers.schema import CORE, unify
from wetread.headers.vendors import vendor_columns
from wetread.settings import Settings


class _Extra(NamedTuple):
    """Optional columns."""

    private: bool
    sequences: bool
    empties: bool
    groups: bool


def read_headers(
    root: str,
    sources: pa.RecordBatch | pa.Table,
    *,
    private: bool = False,
    sequences: bool = False,
    empties: bool = False,
    groups: bool = True,
    settings: Settings = Settings(),
) -> pa.Table:
    """Read the headers of sources (`sources.find.SOURCE_SCHEMA`): one row each, in their order.

    What the bytes hold never raises: it becomes `read_status`, `problems` and `invalid`.
    The schema is `headers.schema.CORE`, then the other elements by tag; with `empties` a column
    `empties` lists the columns whose element is there without a value; without `groups` no column
    is filled from functional groups.

    >>> from wetread.sources.find import SOURCE_SCHEMA
    >>> read_headers("/", SOURCE_SCHEMA.empty_table()).num_rows
    0
    """
    return _read_all(root, sources, _Extra(private, sequences, empties, groups), settings)


def _read_all(
    root: str,
    sources: pa.RecordBatch | pa.Table,
    extra: _Extra,
    settings: Settings,
) -> pa.Table:
    """Read sources in blocks."""
    tables, at = [], 0
    while at < sources.num_rows:
        part = sources.slice(at, settings.part_files)
        tables.append(_read_safely(root, part, extra, settings))
        at += tables[-1].num_rows
    return _join(tables) if tables else pa.Table.from_batches([], CORE)


def _join(tables: list[pa.Table]) -> pa.Table:
    if len(tables) == 1:
        return tables[0]
    schema = unify(table.schema for table in tables)
    return pa.concat_tables(tables, promote_options="default").select(schema.names)


def _read_safely(
    root: str,
    sources: pa.RecordBatch | pa.Table,
    extra: _Extra,
    settings: Settings,
) -> pa.Table:
    """Read a block; an exception affects only the row that causes it."""
    try:
        return _read_block(root, sources, extra, settings)
    except Exception as error:  # the last resort: a scan ends for no file
        if isinstance(error, WetreadError) and not isinstance(error, DecodeError):
            raise  # it concerns the root, not a row
        if sources.num_rows == 1:
            return failed_row(sources, "crashed", describe_exception(error))
    half = sources.slice(0, sources.num_rows // 2)
    return _read_safely(root, half, extra, settings)


def _read_block(
    root: str,
    sources: pa.RecordBatch | pa.Table,
    extra: _Extra,
    settings: Settings,
) -> pa.Table:
    """Read the first sources, as many as the memory of a block holds."""
    block = walk_block(root, sources, settings, whole=extra.private or extra.sequences)
    walked, arena, rows = block.walked, block.memory.arena, block.sources.num_rows
    registry = thread_registry()
    answer = Answer.of(walked, arena)
    if extra.private or extra.sequences:
        answer.convert_nested(walked, arena, extra.private, extra.sequences)
    elements = walked.elements
    if extra.groups:
        elements = answer.fill_from_groups(walked, arena, settings)
    swap_values(arena, elements, walked)
    built = build_columns(block.memory, elements, rows, registry)
    answer.extra |= vendor_columns(walked, arena, built)
    answer.check_frames(built.arrays, walked)
    if extra.empties:
        answer.extra["empties"] = list_empties(arena, elements, rows, registry)
    return assemble(answer, block.sources, built, walked, settings)

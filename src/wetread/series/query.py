"""SQL over an index with its series: the tables `series`, `series_problems`, `slices`, `frames`.

`slices` is a view: the columns of `index` for every slice, with its place in the series.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import cached_property
from types import MappingProxyType
from typing import TYPE_CHECKING, Any

import pyarrow as pa

from wetread.common.dataframe import to_frame
from wetread.table.query import check_select
from wetread.table.rows import IndexRows, database

if TYPE_CHECKING:
    import duckdb
    import pandas as pd

    from wetread.boxes import Boxes
    from wetread.series.table import SeriesTable
    from wetread.sources.find import PathLike

_SLICES = """
CREATE VIEW slices AS
SELECT series_id, stack_index, slice_index, slice_position_mm, frame, "index".*
FROM slice_rows JOIN "index" USING (id)
"""
TABLES = ("series", "series_problems", "slices", "frames")
"""Tables that are computed when a query names them."""


class SeriesIndex(IndexRows):
    """Rows of an index, and their series."""

    @cached_property
    def series(self) -> SeriesTable:
        """Table with one row per series: attributes, geometry, problems; computed on first use."""
        from wetread.series.table import SeriesTable

        return SeriesTable(self)

    def query(self, sql: str, boxes: Boxes | PathLike | None = None) -> pd.DataFrame:
        """Run one SELECT statement (DuckDB's SQL).

        The tables are `index`, `problems` (one row per problem), `problem_codes`, `series`,
        `series_problems`, `slices` (the index, one row per slice, with its place in the series) and
        `frames` (one row per frame of a multi-frame image).

        Args:
            sql: the statement.
            boxes: boxes or a label file, the table `boxes`, whose `id` is that of the index:
                `"SELECT label, count(*) FROM boxes JOIN index USING (id) GROUP BY ALL"`.

        Raises:
            QueryError: not one SELECT statement, or an unknown column or table.
        """
        from wetread.boxes.reading import sql_tables

        return to_frame(query(self, sql, tables=sql_tables(self, boxes)), "keep")


def query(
    index: IndexRows,
    sql: str,
    values: Sequence[Any] = (),
    seconds: float | None = None,
    tables: Mapping[str, pa.Table] = MappingProxyType({}),
) -> pa.Table:
    """Run one SELECT statement over an index and its series; see `table.query.query`."""
    from wetread.series.table import SeriesTable

    series = index.series if isinstance(index, SeriesIndex) else SeriesTable(index)
    with database(index, seconds) as connection:
        for name, table in tables.items():
            connection.register(name, table)
        for name in sorted(check_select(connection, sql).intersection(TABLES)):
            _add(connection, name, _make(series, name))
        return connection.sql(sql, params=list(values)).to_arrow_table()


def _make(series: SeriesTable, name: str) -> pa.Table:
    if name == "series":
        return series.table
    if name == "series_problems":
        return series.problem_rows()
    from wetread.series.tables import slice_table

    return series.collection.frames if name == "frames" else slice_table(series.collection)


def _add(connection: duckdb.DuckDBPyConnection, name: str, table: pa.Table) -> None:
    connection.register("slice_rows" if name == "slices" else name, table)
    if name == "slices":
        connection.execute(_SLICES)

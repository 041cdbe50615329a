"""SQL queries of an index: one SELECT statement, or one expression over its columns."""

from __future__ import annotations

import contextlib
import json
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from types import MappingProxyType
from typing import TYPE_CHECKING, Any, NamedTuple, Protocol

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from wetread.errors import PROBLEMS, QueryError, UnknownNameError
from wetread.table.database import ALL_ROWS
from wetread.table.rows import AnyIndex, IndexRows, database

if TYPE_CHECKING:
    import duckdb


Tables = Mapping[str, pa.Table]
_NO_TABLES: Tables = MappingProxyType({})


def query(
    index: IndexRows,
    sql: str,
    values: Sequence[Any] = (),
    seconds: float | None = None,
    tables: Tables = _NO_TABLES,
) -> pa.Table:
    """Run one SELECT statement over the tables `index`, `problems` and `problem_codes`.

    Args:
        index: the rows.
        sql: the statement, in DuckDB's SQL.
        values: parameters, one per question mark in `sql`.
        seconds: time limit; None for no limit.
        tables: further tables by name, such as `boxes`.

    Raises:
        QueryError: not one SELECT statement, an unknown column or table, or over the time limit.
    """
    with database(index, seconds) as connection:
        for name, table in tables.items():
            connection.register(name, table)
        check_select(connection, sql)
        return connection.sql(sql, params=list(values)).to_arrow_table()


def name_column(name: str) -> str:
    """Column name quoted for SQL."""
    return '"' + name.replace('"', '""') + '"'


class RunQuery(Protocol):
    """Function that runs one SELECT statement; `tables` are others that it may name."""

    def __call__(self, sql: str, **tables: pa.Table) -> pa.Table:
        """Rows of the result."""


@contextlib.contextmanager
def open_queries(index: IndexRows) -> Iterator[RunQuery]:
    """Run many queries on one database, which is faster than one database each; see `query`."""
    with database(index) as connection:

        def run_query(sql: str, **tables: pa.Table) -> pa.Table:
            for name, table in tables.items():
                connection.register(name, table)
            check_select(connection, sql)
            return connection.sql(sql).to_arrow_table()

        yield run_query


_PLACE = "place in the table"


def find_rows(rows: pa.Table, expression: str) -> NDArray[np.int64]:
    """Numbers of the rows of a table that fulfil an SQL expression over its columns.

    >>> find_rows(pa.table({"label": ["a", "b", "b"]}), "label = 'b'").tolist()
    [1, 2]

    Raises:
        QueryError: not one expression, or an unknown column.
    """
    numbered = rows.append_column(_PLACE, pa.array(np.arange(len(rows))))
    found = where(IndexRows("", rows.schema, rows=numbered), expression)
    assert found.rows is not None
    numbers: NDArray[np.int64] = found.rows[_PLACE].to_numpy()
    return numbers


def where(
    index: AnyIndex,
    expression: str,
    seconds: float | None = None,
    tables: Tables = _NO_TABLES,
) -> AnyIndex:
    """Select the rows that fulfil an SQL expression over the columns, in order.

    Args:
        index: the rows.
        expression: the condition, in DuckDB's SQL.
        seconds: time limit; None for no limit.
        tables: further tables by name, for subqueries.

    Raises:
        QueryError: not one expression, an unknown column, or over the time limit.
    """
    with database(index, seconds) as connection:
        for name, table in tables.items():
            connection.register(name, table)
        _check_expression(connection, expression)
        condition = f"({expression}\n)"  # the line break ends a comment
        if index.rows is None:
            connection.sql(f"SELECT 1 FROM index WHERE {condition} LIMIT 0").to_arrow_table()
            if tables:  # they are not kept with the selection, the ids are
                ids = connection.sql(f"SELECT id FROM index WHERE {condition}").to_arrow_table()
                listed = ", ".join(f"'{id_}'" for id_ in ids["id"].to_pylist())
                condition = f"id IN ({listed or 'NULL'})"
            before = index.chosen or ALL_ROWS
            chosen = f'WITH "index" AS ({before}) SELECT * FROM "index" WHERE {condition}'
            return replace(index, chosen=chosen, scan={})
        numbered = index.rows.append_column("row number", pa.array(np.arange(len(index.rows))))
        connection.register("numbered", numbered)
        sql = f'SELECT "row number" FROM numbered WHERE {condition} ORDER BY ALL'
        return replace(
            index, rows=index.rows.take(connection.sql(sql).to_arrow_table()[0]), scan={}
        )


def compute(index: IndexRows, expressions: Sequence[str]) -> pa.Table:
    """Evaluate SQL expressions over the columns, for every row.

    Args:
        index: the rows.
        expressions: expressions in DuckDB's SQL, such as a column name.

    Returns:
        `id`, then the values of each expression, as columns 0, 1, ...

    Raises:
        QueryError: not one expression each, or an unknown column.
    """
    with database(index) as connection:
        for expression in expressions:
            _check_expression(connection, expression)
        values = "".join(f', ({one}\n) AS "{n}"' for n, one in enumerate(expressions))
        return connection.sql(f'SELECT "index".id{values} FROM "index"').to_arrow_table()


def problems(index: IndexRows, code: str | None = None) -> pa.Table:
    """One row per problem, across files too: path, member, id, code, severity, tag, offset, text.

    Raises:
        UnknownNameError: there is no such code.
    """
    if code is not None and code not in PROBLEMS:
        raise UnknownNameError("problem code", code, PROBLEMS)
    condition = "" if code is None else f"WHERE code = '{code}'"
    order = 'ORDER BY path, member, "offset" NULLS LAST, code'
    return query(index, f"SELECT * FROM problems {condition} {order}")


def check_select(connection: duckdb.DuckDBPyConnection, sql: str) -> set[str]:
    """Names of the tables in a SELECT statement, in lower case; rejects anything else."""
    statements = connection.extract_statements(sql)
    if len(statements) != 1:
        raise QueryError(f"expected one SELECT statement, found {len(statements)}")
    kind = str(statements[0].type).rpartition(".")[2]
    if kind != "SELECT":
        raise QueryError(f"an index takes only SELECT statements, not {kind}")
    return {name.lower() for name in _TABLE.findall(_parse(connection, sql))}


class Names(NamedTuple):
    """Names in an expression, in lower case."""

    columns: set[str]
    """Columns, and whatever may qualify them, such as a table."""
    tables: set[str]
    """Tables of its subqueries."""


def parse_expression(expression: str) -> Names:
    """Names in one SQL expression, which is parsed but not evaluated.

    Raises:
        QueryError: not one expression.

    >>> parse_expression("index.Rows > 2000 AND id IN (SELECT id FROM boxes)").tables
    {'boxes'}
    """
    import duckdb

    with duckdb.connect(":memory:") as connection:
        tree = _check_expression(connection, expression)
    lists = (json.loads(names) for names in _COLUMN_NAMES.findall(tree))
    columns = {name.lower() for names in lists for name in names}
    return Names(columns, {name.lower() for name in _TABLE.findall(tree)})


def _check_expression(connection: duckdb.DuckDBPyConnection, expression: str) -> str:
    """Syntax tree of an expression; rejects more, such as `1) UNION ALL SELECT (2`.

    In brackets it must parse as the only item of a SELECT.
    """
    text = _parse(connection, f"SELECT ({expression}\n)")
    tree = json.loads(text)
    nodes = [statement["node"] for statement in tree["statements"]]
    if len(nodes) == 1:
        node = nodes[0]
        plain = node["type"] == "SELECT_NODE" and len(node["select_list"]) == 1
        bare = not any(node.get(k) for k in _CLAUSES) and not node["cte_map"]["map"]
        if plain and bare and node["from_table"]["type"] == "EMPTY":
            return text
    raise QueryError(f"expected one SQL expression, not {expression}")


_CLAUSES = ("modifiers", "where_clause", "group_expressions", "having", "sample", "qualify")


def _parse(connection: duckdb.DuckDBPyConnection, sql: str) -> str:
    """Syntax tree as JSON."""
    result = connection.execute("SELECT json_serialize_sql(?::VARCHAR)", [sql]).fetchall()
    tree = str(result[0][0])
    if tree.startswith('{"error":true'):
        raise QueryError(f"not SQL: {json.loads(tree)['error_message']}")
    if _WRITES.search(tree):
        raise QueryError("an index takes only SELECT statements")
    return tree


_TABLE = re.compile(r'"table_name":"((?:[^"\\]|\\.)+)"')
_COLUMN_NAMES = re.compile(r'"column_names":(\[(?:"(?:[^"\\]|\\.)*",?)*\])')
# DuckDB 2 has INSERT, UPDATE and DELETE inside WITH. No text in a query can look like this, as the
# tree has its quotes escaped.
_WRITES = re.compile(r'"type":"[A-Z]+_QUERY_NODE"')

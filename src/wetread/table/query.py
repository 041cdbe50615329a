"""SQL queries of an index: one SELECT statement, or one expression over its columns."""

from __future__ import annotations

import contextlib
import json
import re
from collections.abc import Iterator, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, Any, Protocol

import numpy as np
import pyarrow as pa

from wetread.errors import PROBLEMS, QueryError, UnknownNameError
from wetread.table.database import ALL_ROWS
from wetread.table.rows import AnyIndex, IndexRows, database

if TYPE_CHECKING:
    import duckdb


def query(
    index: IndexRows, sql: str, values: Sequence[Any] = (), seconds: float | None = None
) -> pa.Table:
    """Run one SELECT statement over the tables `index`, `problems` and `problem_codes`.

    Args:
        index: the rows.
        sql: the statement, in DuckDB's SQL.
        values: parameters, one per question mark in `sql`.
        seconds: time limit; None for no limit.

    Raises:
        QueryError: not one SELECT statement, an unknown column or table, or over the time limit.
    """
    with database(index, seconds) as connection:
        check_select(connection, sql)
        return connection.sql(sql, params=list(values)).to_arrow_table()


def name_column(name: str) -> str:
    """Column name quoted for SQL."""
    return '"' + name.replace('"', '""') + '"'


class Ask(Protocol):
    """Function that runs one SELECT statement; `tables` are others that it may name."""

    def __call__(self, sql: str, **tables: pa.Table) -> pa.Table:
        """Rows of the result."""


@contextlib.contextmanager
def questions(index: IndexRows) -> Iterator[Ask]:
    """Run many queries on one database, which is faster than one database each; see `query`."""
    with database(index) as connection:

        def ask(sql: str, **tables: pa.Table) -> pa.Table:
            for name, table in tables.items():
                connection.register(name, table)
            check_select(connection, sql)
            return connection.sql(sql).to_arrow_table()

        yield ask


def where(index: AnyIndex, expression: str, seconds: float | None = None) -> AnyIndex:
    """Select the rows that fulfil an SQL expression over the columns, in order.

    Args:
        index: the rows.
        expression: the condition, in DuckDB's SQL.
        seconds: time limit; None for no limit.

    Raises:
        QueryError: not one expression, an unknown column, or over the time limit.
    """
    with database(index, seconds) as connection:
        _check_expression(connection, expression)
        condition = f"({expression}\n)"  # the line break ends a comment
        if index.rows is None:
            connection.sql(f"SELECT 1 FROM index WHERE {condition} LIMIT 0").to_arrow_table()
            before = index.chosen or ALL_ROWS
            chosen = f'WITH "index" AS ({before}) SELECT * FROM "index" WHERE {condition}'
            return replace(index, chosen=chosen, scan={})
        numbered = index.rows.append_column("row number", pa.array(np.arange(len(index.rows))))
        connection.register("numbered", numbered)
        sql = f'SELECT "row number" FROM numbered WHERE {condition} ORDER BY ALL'
        return replace(
            index, rows=index.rows.take(connection.sql(sql).to_arrow_table()[0]), scan={}
        )


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
        raise QueryError(f"one SELECT statement is needed, not {len(statements)}")
    kind = str(statements[0].type).rpartition(".")[2]
    if kind != "SELECT":
        raise QueryError(f"an index takes only SELECT statements, not {kind}")
    return {name.lower() for name in _TABLE.findall(_parse(connection, sql))}


def _check_expression(connection: duckdb.DuckDBPyConnection, expression: str) -> None:
    """Reject more than an expression, such as `1) UNION ALL SELECT (2`.

    In brackets it must parse as the only item of a SELECT.
    """
    tree = json.loads(_parse(connection, f"SELECT ({expression}\n)"))
    nodes = [statement["node"] for statement in tree["statements"]]
    if len(nodes) == 1:
        node = nodes[0]
        plain = node["type"] == "SELECT_NODE" and len(node["select_list"]) == 1
        bare = not any(node.get(k) for k in _CLAUSES) and not node["cte_map"]["map"]
        if plain and bare and node["from_table"]["type"] == "EMPTY":
            return
    raise QueryError(f"not one SQL expression: {expression}")


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
# DuckDB 2 has INSERT, UPDATE and DELETE inside WITH. No text in a query can look like this, as the
# tree has its quotes escaped.
_WRITES = re.compile(r'"type":"[A-Z]+_QUERY_NODE"')

"""`wetread query`."""

from __future__ import annotations

import click

from wetread.cli.options import json_option
from wetread.cli.output import open_index, print_json, print_table


@click.command()
@click.argument("index", type=click.Path())
@click.argument("sql")
@json_option
def query(index: str, sql: str, as_json: bool) -> None:
    """Query an INDEX with SQL.

    SQL is one SELECT statement (DuckDB); the tables are index, problems, problem_codes, series,
    series_problems, slices and frames.

    \b
    wetread query train.index "SELECT PhotometricInterpretation, count(*) FROM index GROUP BY ALL"
    """
    from wetread.series.query import query as run_query

    table = run_query(open_index(index), sql)
    if as_json:
        print_json(table.to_pylist())
    else:
        print_table(table)

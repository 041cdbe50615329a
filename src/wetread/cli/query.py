"""`wetread query`."""

from __future__ import annotations

import click

from wetread.cli.options import json_option
from wetread.cli.output import open_index, print_json, print_table


@click.command()
@click.argument("index", type=click.Path())
@click.argument("sql")
@click.option("--boxes", type=click.Path(), metavar="FILE", help="Boxes of the readers.")
@json_option
def query(index: str, sql: str, boxes: str | None, as_json: bool) -> None:
    """Query an INDEX with SQL.

    SQL is one SELECT statement (DuckDB); the tables are index, problems, problem_codes, series,
    series_problems, slices and frames, and boxes with --boxes, whose id is that of the index.

    \b
    wetread query train.index "SELECT PhotometricInterpretation, count(*) FROM index GROUP BY ALL"
    """
    from wetread.boxes.reading import sql_tables
    from wetread.series.query import query as run_query

    content = open_index(index)
    table = run_query(content, sql, tables=sql_tables(content, boxes))
    if as_json:
        print_json(table.to_pylist())
    else:
        print_table(table)

"""`wetread series`."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from wetread.cli.options import json_option, root_option
from wetread.cli.output import echo, open_index, print_json, print_table
from wetread.cli.problems import print_problems

if TYPE_CHECKING:
    import pyarrow as pa

_SHOWN = (
    "series_id",
    "Modality",
    "SeriesDescription",
    "files",
    "slices",
    "stacks",
    "volumes",
    "slice_spacing_mm",
)


@click.command()
@click.argument("index", type=click.Path())
@click.option("--problems", is_flag=True, help="List the problems, with the slice that is wrong.")
@click.option("--where", metavar="SQL", help="Only rows for which this expression is true.")
@root_option
@json_option
def series(index: str, problems: bool, where: str | None, as_json: bool) -> None:
    """List the series of an INDEX: slices, volumes, problems.

    \b
    wetread series train.index --where "regularly_spaced_3d_volume IS NOT TRUE"
    """
    from wetread.series.table import SeriesTable

    table = SeriesTable(open_index(index))
    if where is not None:
        table = table.where(where)
    if problems:
        found = table.problem_rows()
        if as_json:
            print_json(found.to_pylist())
        elif not len(found):
            echo(f"No problems in {len(table):,} series.")
        else:
            print_problems(found)
    elif as_json:
        print_json(table.table.to_pylist())
    else:
        print_series(table.table)


def print_series(rows: pa.Table) -> None:
    """Print a series table: the columns that fit on a terminal, and the codes of problems."""
    import pyarrow.compute as pc

    codes = pc.binary_join(rows["problems"], " ")
    shown = rows.select(_SHOWN).append_column("problems", codes)
    at, spacing = _SHOWN.index("slice_spacing_mm"), rows["slice_spacing_mm"]
    print_table(shown.set_column(at, "slice_spacing_mm", pc.round(spacing, 4)))

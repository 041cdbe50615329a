"""`wetread report`."""

from __future__ import annotations

import click

from wetread.cli.options import (
    OutputFile,
    json_option,
    marks_options,
    phi_option,
    quiet_option,
    root_option,
    workers_option,
)
from wetread.cli.output import (
    echo,
    open_index,
    print_json,
)


@click.command()
@click.argument("index", type=click.Path())
@click.option(
    "-o",
    "--output",
    "to",
    type=OutputFile(),
    default="report.html",
    show_default=True,
    metavar="HTML",
    help="Output file.",
)
@marks_options
@click.option("--segments", type=click.Path(), metavar="FILES", help="Masks and contours.")
@click.option(
    "--split",
    is_flag=False,
    flag_value="part",
    metavar="[COLUMN]",
    help="Column with the parts of the split (default: part, else fold).",
)
@root_option
@phi_option
@workers_option
@quiet_option
@json_option
def report(
    index: str,
    to: str,
    boxes: str | None,
    predictions: str | None,
    segments: str | None,
    split: str | None,
    show_phi: bool,
    workers: int | None,
    quiet: bool,
    as_json: bool,
) -> None:
    """Write a data-set report of an INDEX as one HTML file.

    The file is self-contained and smaller than 2 MB. Values that identify patients are not shown.

    \b
    wetread report train.index -o report.html
    wetread report train.index --boxes train.csv --predictions predictions.parquet
    """
    from wetread.index import Index
    from wetread.reports.build import build
    from wetread.table.rows import check_files

    rows = open_index(index)
    check_files(rows)
    made = build(
        Index.of(rows),
        boxes,
        predictions,
        segments=segments,
        split=split,
        show_phi=show_phi,
        workers=workers,
        progress=not quiet,
    )
    path = made.save(to)
    if as_json:
        print_json(made.data)
    else:
        echo(f"{path.stat().st_size / 1000:,.0f} kB in {to}")

"""`wetread shortcuts`."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from wetread.cli.options import json_option, marks_options, quiet_option, resampling_options
from wetread.cli.output import echo, open_index, print_json
from wetread.errors import UsageError

if TYPE_CHECKING:
    import pandas as pd


@click.command()
@click.argument("index", type=click.Path())
@marks_options
@click.option(
    "--column",
    "columns",
    metavar="COLUMN|SQL",
    multiple=True,
    help="Measure this column, instead of the usual ones; more than once.",
)
@resampling_options
@quiet_option
@json_option
def shortcuts(
    index: str,
    boxes: str | None,
    predictions: str | None,
    columns: tuple[str, ...],
    resamples: int,
    seed: int,
    quiet: bool,
    as_json: bool,
) -> None:
    """Predict labels from header and image quality alone.

    A model may learn the scanner instead of the disease. With --predictions, a column that comes
    near the AUC of the model is reported.

    \b
    wetread shortcuts train.index --boxes truth.parquet
    wetread shortcuts test.index --boxes truth.parquet --predictions predictions.parquet
    wetread shortcuts test.index --boxes truth.parquet --column "Rows > 2500"
    """
    from wetread.evaluation.shortcuts import shortcuts as measure
    from wetread.measure.statistics import COLUMNS

    if boxes is None:
        raise UsageError("shortcuts are measured against labels: give --boxes FILE")
    rows = open_index(index)
    table = measure(
        rows,
        boxes,
        predictions,
        columns=columns or None,
        resamples=resamples,
        seed=seed,
        progress=not quiet,
    )
    if as_json:
        print_json(table.to_dict("records"))
        return
    echo(_format(table))
    if not columns and not set(COLUMNS) & set(rows.schema.names):
        echo("\nThe index is not measured: `wetread measure` adds columns of image quality.")


def _format(table: pd.DataFrame) -> str:
    """Table for a terminal, with each interval in one cell."""
    from wetread.evaluation.result import format_interval

    shown = table[["label", "source", "column", "images", "positives"]].copy()
    values = zip(table["auc"], table["low"], table["high"], strict=True)
    shown["AUC (95 % CI)"] = [format_interval(*row) for row in values]
    if "near" in table:
        shown["model"] = table["model_auc"].map(format_interval)
        shown["near"] = table["near"].map({True: "near", False: ""})
    if (table["status"] != "ok").any():
        shown["note"] = table["status"].replace("ok", "")
    return str(shown.to_string(index=False))

"""`wetread evaluate`."""

from __future__ import annotations

import click

from wetread.cli.options import json_option, resampling_options
from wetread.cli.output import echo, open_index, print_json


@click.command()
@click.argument("predictions", type=click.Path())
@click.argument("truth", type=click.Path())
@click.option(
    "--metric",
    metavar="NAME",
    default="vinbigdata",
    show_default=True,
    help="vinbigdata, siim-covid, rsna-pneumonia, voc2010@IOU, coco, froc, classification.",
)
@resampling_options
@click.option("--allow-train", is_flag=True, help='Score images of the part "train" too.')
@click.option(
    "--prevalence",
    metavar="SHARE",
    type=click.FloatRange(0, 1, min_open=True, max_open=True),
    help="Predictive values at this prevalence (with classification).",
)
@click.option(
    "--by",
    metavar="COLUMN|SQL",
    multiple=True,
    help="Score subgroups: a column of the index, SQL, or COLUMN:EDGE,EDGE; more than once.",
)
@click.option(
    "--index",
    metavar="INDEX",
    type=click.Path(),
    help="Index of the images, to match names and for --by (default: that of the predictions).",
)
@click.option(
    "--sensitivity",
    metavar="SHARE",
    type=click.FloatRange(0, 1, min_open=True),
    help="Operating point with this sensitivity.",
)
@click.option(
    "--false-positives",
    metavar="X",
    type=click.FloatRange(0),
    help="Operating point with at most this many false positives per image.",
)
@click.option(
    "--threshold-from",
    metavar="PART",
    help="Part on which the threshold is chosen, such as valid; others are scored.",
)
@json_option
def evaluate(
    predictions: str,
    truth: str,
    metric: str,
    resamples: int,
    seed: int,
    allow_train: bool,
    prevalence: float | None,
    by: tuple[str, ...],
    index: str | None,
    sensitivity: float | None,
    false_positives: float | None,
    threshold_from: str | None,
    as_json: bool,
) -> None:
    """Score PREDICTIONS against a TRUTH.

    Both are files of boxes: a CSV or submission of a competition, COCO JSON, a folder of YOLO or
    VOC files, or a Parquet file of `wetread boxes`. The truth has one set of boxes per image:
    merge several readers first (`wetread boxes --consensus`).

    \b
    wetread evaluate submission.csv test_truth.csv
    wetread evaluate predictions.parquet truth.parquet --metric voc2010@0.5 --json
    wetread evaluate predictions.parquet truth.csv --by PatientSex --by "Rows > 2500"
    wetread evaluate predictions.parquet truth.csv --sensitivity 0.9 --threshold-from valid
    """
    from wetread.evaluation import evaluate as judge

    result = judge(
        predictions,
        truth,
        metric,
        by=by,
        index=None if index is None else open_index(index),
        sensitivity=sensitivity,
        false_positives=false_positives,
        threshold_from=threshold_from,
        resamples=resamples,
        seed=seed,
        allow_train=allow_train,
        prevalence=prevalence,
    )
    if as_json:
        print_json(result.to_dict())
    else:
        echo(str(result))

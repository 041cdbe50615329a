"""`wetread evaluate`."""

from __future__ import annotations

import click

from wetread.cli.options import json_option, number_option
from wetread.cli.output import (
    echo,
    print_json,
)


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
@number_option(
    "--resamples",
    "Bootstrap resamples for the 95 % confidence intervals; 0 disables them.",
    1000,
    least=0,
)
@number_option("--seed", "Random seed.", 0)
@click.option("--allow-train", is_flag=True, help='Score images of the part "train" too.')
@click.option(
    "--prevalence",
    metavar="SHARE",
    type=click.FloatRange(0, 1, min_open=True, max_open=True),
    help="Predictive values at this prevalence (with classification).",
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
    as_json: bool,
) -> None:
    """Score PREDICTIONS against a TRUTH.

    Both are files of boxes: a CSV or submission of a competition, COCO JSON, a folder of YOLO or
    VOC files, or a Parquet file of `wetread boxes`. The truth has one set of boxes per image:
    merge several readers first (`wetread boxes --consensus`).

    \b
    wetread evaluate submission.csv test_truth.csv
    wetread evaluate predictions.parquet truth.parquet --metric voc2010@0.5 --json
    """
    from wetread.evaluation import evaluate as judge

    result = judge(
        predictions,
        truth,
        metric,
        resamples=resamples,
        seed=seed,
        allow_train=allow_train,
        prevalence=prevalence,
    )
    if as_json:
        print_json(result.to_dict())
    else:
        echo(str(result))

"""`wetread predict`."""

from __future__ import annotations

import shlex
from collections import Counter
from typing import TYPE_CHECKING

import click

from wetread.cli.options import (
    OutputFile,
    engine_options,
    json_option,
    number_option,
    quiet_option,
    root_option,
)
from wetread.cli.output import (
    echo,
    print_json,
)
from wetread.cli.train import device_option, load_builder, open_images
from wetread.common.text import counted

if TYPE_CHECKING:
    from wetread.learn.run_folder import Weights
    from wetread.workers import Engine


@click.command()
@click.argument("run", type=click.Path())
@click.argument("images", metavar="INDEX|CACHE", type=click.Path())
@click.option(
    "-o",
    "--output",
    "to",
    required=True,
    type=OutputFile(),
    metavar="PARQUET",
    help="Output file.",
)
@click.option(
    "--filter",
    "normal",
    metavar="RUN",
    type=click.Path(),
    help="Classifier run used as a normal filter.",
)
@click.option(
    "--weights",
    type=click.Choice(["best", "last"]),
    default="best",
    show_default=True,
    help="Weights of the best or the last epoch.",
)
@click.option(
    "--calibrated", is_flag=True, help="Scale scores with the temperature fitted on valid."
)
@click.option("--model", metavar="FILE.py", help="Model definition, if the run used its own.")
@number_option("--batch", "Batch size.", 8, least=1)
@number_option("--workers", "Number of processes that load images.", 0)
@root_option
@device_option
@engine_options
@quiet_option
@json_option
def predict(
    run: str,
    images: str,
    to: str,
    normal: str | None,
    weights: Weights,
    calibrated: bool,
    model: str | None,
    batch: int,
    workers: int,
    device: str | None,
    engine: Engine | None,
    quiet: bool,
    as_json: bool,
) -> None:
    """Run a trained model on an INDEX.

    Writes boxes in stored pixels with scores. An image without boxes has a row of kind "nothing".
    Every row has the part of its image, so that `evaluate` rejects images used for training.

    \b
    wetread predict run/ test.index -o predictions.parquet
    wetread predict run/ test.index -o predictions.parquet --filter normal/
    wetread evaluate predictions.parquet truth.parquet
    """
    from wetread.learn.run import Run

    if not quiet:
        echo("loading PyTorch", err=True)  # which takes seconds
    trained = Run.open(run, load_builder(model) if model else None)
    classifier = Run.open(normal) if normal else None
    chosen = trained.thresholds(classifier) if classifier else None
    boxes = trained.predict(
        open_images(images),
        filter=classifier,
        thresholds=chosen and chosen[:2],
        calibrated=calibrated,
        weights=weights,
        device=device,
        batch=batch,
        workers=workers,
        engine=engine,
        progress=not quiet,
    )
    boxes.save(to)
    kinds = Counter(boxes.table["kind"].to_pylist())
    count = len(set(boxes.images.to_pylist()))
    summary = {"file": to, "run": trained.id, "images": count, "boxes": kinds["box"]}
    if as_json:
        thresholds = chosen and chosen._asdict()
        print_json({**summary, "nothing": kinds["nothing"], "filter": thresholds})
        return
    echo(f"{counted(kinds['box'], 'box')} on {counted(count, 'image')} in {to}")
    if chosen:
        echo(
            "filter: normal below {low:.3f}, uncertain below {high:.3f}; vinbigdata {before:.3f} "
            "without and {value:.3f} with the filter, on the images used to choose it".format(
                **chosen._asdict()
            )
        )
    echo(f"\nNext: wetread evaluate {shlex.quote(to)} TRUTH")

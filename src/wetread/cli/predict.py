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
    help="Write them there.",
)
@click.option(
    "--filter",
    "normal",
    metavar="RUN",
    type=click.Path(),
    help="A run that classifies says where there is nothing.",
)
@click.option(
    "--weights",
    type=click.Choice(["best", "last"]),
    default="best",
    show_default=True,
    help="Of the best epoch or of the last one.",
)
@click.option("--model", metavar="FILE.py", help="The run's model, if it is not wetread's.")
@number_option("--batch", "Images at once.", 8, least=1)
@number_option("--workers", "Processes that read images.", 0)
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
    model: str | None,
    batch: int,
    workers: int,
    device: str | None,
    engine: Engine | None,
    quiet: bool,
    as_json: bool,
) -> None:
    """Find what is on images, with the model of a RUN.

    The boxes are in stored pixels, with scores; an image where nothing is found has a row that
    says so, and each says what it was for in the run, so that `evaluate` refuses those of "train".

    \b
    wetread predict run/ test.index -o predictions.parquet
    wetread predict run/ test.index -o predictions.parquet --filter normal/
    wetread evaluate predictions.parquet truth.parquet
    """
    from wetread.learn.run import Run

    trained = Run.open(run, load_builder(model) if model else None)
    classifier = Run.open(normal) if normal else None
    chosen = trained.thresholds(classifier) if classifier else None
    boxes = trained.predict(
        open_images(images),
        filter=classifier,
        thresholds=chosen and chosen[:2],
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
    said = {"file": to, "run": trained.id, "images": count, "boxes": kinds["box"]}
    if as_json:
        chance = chosen and chosen._asdict()
        print_json({**said, "nothing": kinds["nothing"], "filter": chance})
        return
    echo(f"{kinds['box']:,} boxes on {count:,} images in {to}")
    if chosen:
        echo(
            "filter: nothing below {low:.3f}, doubt below {high:.3f}; vinbigdata {before:.3f} "
            "without it, {value:.3f} with it, on the images it was chosen on".format(
                **chosen._asdict()
            )
        )
    echo(f"\nNext: wetread evaluate {shlex.quote(to)} TRUTH")

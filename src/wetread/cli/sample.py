"""`wetread sample`."""

from __future__ import annotations

import shlex

import click

from wetread.cli.options import json_option, number_option, quiet_option
from wetread.cli.output import (
    echo,
    print_json,
)


@click.command()
@click.argument("folder", type=click.Path())
@number_option("--images", "Number of training images.", 200, least=1)
@number_option("--test", "Number of test images (default: a quarter of --images).", least=0)
@number_option("--seed", "Random seed.", 0)
@click.option(
    "--size",
    metavar="N",
    type=click.IntRange(32, 4096),
    default=640,
    show_default=True,
    help="Longest side in pixels.",
)
@quiet_option
@json_option
def sample(
    folder: str, images: int, test: int | None, seed: int, size: int, quiet: bool, as_json: bool
) -> None:
    """Write synthetic chest radiographs with boxes into FOLDER.

    The form is that of the VinBigData competition: DICOM files, train.csv of three simulated
    readers, a test set with its truth. The images exercise the pipeline; a model trained on them
    has no medical meaning.

    \b
    wetread sample phantoms
    wetread scan phantoms/train -o phantoms/train.index
    wetread boxes phantoms/train.csv --images phantoms/train.index --agreement
    """
    from wetread.sample import write_sample

    written = write_sample(folder, images, seed, size, test=test, progress=not quiet)
    count = len(list((written / "test").glob("*.dicom")))
    if as_json:
        print_json({"folder": str(written), "train": images, "test": count})
        return
    echo(f"{images} phantoms for training and {count} for testing in {written}")
    train = shlex.quote(str(written / "train"))
    echo(f"\nNext: wetread scan {train} -o {train}.index")

"""`wetread submit`."""

from __future__ import annotations

import click

from wetread.cli.options import json_option
from wetread.cli.output import (
    echo,
    open_index,
    print_json,
)
from wetread.common.text import counted


@click.command()
@click.argument("predictions", type=click.Path())
@click.option(
    "-o",
    "--output",
    "to",
    required=True,
    type=click.Path(dir_okay=False),
    metavar="CSV",
    help="Output file.",
)
@click.option(
    "--format",
    metavar="NAME",
    default="vinbigdata",
    show_default=True,
    help="vinbigdata, rsna-pneumonia or siim-covid.",
)
@click.option(
    "--images",
    type=click.Path(),
    metavar="INDEX",
    help="Index of the test set: one row per image (default: images with predictions).",
)
@json_option
def submit(predictions: str, to: str, format: str, images: str | None, as_json: bool) -> None:
    """Write a competition submission from PREDICTIONS.

    Nothing is written if a box extends beyond its image, a class or an image is unknown, or a score
    is missing. With --images every image of the test set has one row, and boxes are checked against
    the sizes of the images.

    \b
    wetread submit predictions.parquet -o submission.csv --images test.index
    wetread submit predictions.parquet -o submission.csv --images test.index --format siim-covid
    """
    import pyarrow.compute as pc

    from wetread.boxes.reading import open_boxes
    from wetread.evaluation.submission import count_entries
    from wetread.evaluation.submission import submit as write_submission
    from wetread.index import Index

    index = None if images is None else Index.of(open_index(images))
    boxes = open_boxes(predictions, index)
    frame = write_submission(boxes, to, format, images=index)
    counts = count_entries(frame, format)
    spread = {name: float(getattr(counts, name)()) for name in ("min", "median", "max")}
    if as_json:
        print_json({"file": to, "format": format, "rows": len(frame), "entries_per_image": spread})
        return
    echo(f"{counted(len(frame), 'row')} in {to}")
    if len(counts):
        echo("entries per image: {min:g} to {max:g}, median {median:g}".format(**spread))
    nothing = boxes.table.filter(pc.equal(boxes.table["kind"], "nothing"))
    if format == "vinbigdata" and nothing["score"].null_count == len(nothing):
        echo(
            "No image has a score for No finding; wetread predict --filter RUN adds it, from a run "
            "with --task classify."
        )

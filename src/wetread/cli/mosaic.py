"""`wetread mosaic`."""

from __future__ import annotations

import click

from wetread.cli.options import (
    number_option,
    root_option,
)
from wetread.cli.output import (
    echo,
    open_index,
)
from wetread.cli.picture import check_output, output_option, put_picture, window_option


@click.command()
@click.argument("index", type=click.Path())
@output_option
@number_option("-n", "How many images.", 24)
@click.option(
    "--columns",
    multiple=True,
    default=("path", "PhotometricInterpretation"),
    metavar="COLUMN",
    show_default=True,
    help="What stands below each; may be given more than once.",
)
@click.option("--where", metavar="SQL", help="Only the rows that fulfil it.")
@root_option
@window_option
def mosaic(
    index: str,
    to: str | None,
    n: int,
    columns: tuple[str, ...],
    where: str | None,
    window: str | tuple[float, float] | None,
) -> None:
    """Draw many images of an INDEX as one picture.

    They are spread evenly over the rows with pixels; a file that cannot be decoded says why.

    \b
    wetread mosaic train.index -o mosaic.png
    wetread mosaic train.index -o ct.png --where "Modality = 'CT'" --columns path --window lung
    """
    import numpy as np

    from wetread.index import Index

    check_output(to)
    rows = Index.of(open_index(index))
    picture = (rows.where(where) if where else rows).mosaic(n, columns, window)
    put_picture(np.asarray(picture), to)
    if to:
        echo(to, err=True)

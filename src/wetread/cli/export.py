"""`wetread export`."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from wetread.cli.options import (
    fail_on_option,
    json_option,
    quiet_option,
    root_option,
    workers_option,
)
from wetread.cli.output import (
    echo,
    exit_on,
    list_failures,
    open_index,
    print_json,
)
from wetread.cli.picture import size_option, window_option

if TYPE_CHECKING:
    from wetread.images.export import Format


@click.command()
@click.argument("index", type=click.Path())
@click.option("-o", "--output", "to", required=True, type=click.Path(), help="Output folder.")
@size_option
@click.option(
    "--format",
    default="png16",
    show_default=True,
    help="png16, tiff or npy (all values); png8 or jpg (display).",
)
@window_option
@click.option("--where", metavar="SQL", help="Only rows for which this expression is true.")
@root_option
@workers_option
@quiet_option
@json_option
@fail_on_option
def export(
    index: str,
    to: str,
    size: int | None,
    format: Format,
    window: str | tuple[float, float] | None,
    where: str | None,
    workers: int | None,
    quiet: bool,
    as_json: bool,
    fail_on: list[str],
) -> None:
    """Export the images of an INDEX as picture files.

    Writes one file per frame, named by id, and manifest.csv, which maps every file to its source.
    png16, tiff and npy keep all values; png8 and jpg contain the displayed image.

    \b
    wetread export train.index -o png/ --size 1024
    wetread export train.index -o lung/ --format jpg --window lung --where "Modality = 'CT'"
    """
    from wetread.images.export import export_images
    from wetread.table.query import where as choose
    from wetread.table.summary import say_without_pixels

    source = open_index(index)
    source = choose(source, where) if where else source
    lines = export_images(source, to, size, format, window, workers, not quiet)
    failures = list_failures(lines.to_pylist())
    if as_json:
        print_json(lines.to_pylist())
    else:
        files = lines.num_rows - lines["file"].null_count
        echo(f"{files:,} files in {to}, listed in its manifest.csv")
        for _, text in failures:
            echo(f"not written: {text}")
        for line in say_without_pixels(source):
            echo(line)
    exit_on(fail_on, (code for code, _ in failures))

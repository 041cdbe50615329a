"""`wetread show`."""

from __future__ import annotations

import shlex

import click

from wetread.cli.options import number_option
from wetread.cli.output import echo
from wetread.cli.picture import (
    TERMINAL,
    check_output,
    output_option,
    put_picture,
    size_option,
    window_option,
)
from wetread.errors import NoPixelsError


@click.command()
@click.argument("file", type=click.Path())
@output_option
@window_option
@number_option("--frame", "Frame number, from 0.", 0)
@size_option
@click.option("--short", is_flag=True, help="Show the available part of a truncated frame.")
def show(
    file: str,
    to: str | None,
    window: str | tuple[float, float] | None,
    frame: int,
    size: int | None,
    short: bool,
) -> None:
    """Display the image of a FILE.

    The first window of the file is used unless --window is given; pixels are made square. For an
    object without pixels, such as a report or a plan, one line names its type.

    \b
    wetread show train/0001.dicom -o 0001.png
    wetread show ct.dcm --window lung --size 512 -o ct.png
    wetread show scans.zip::ct/0001.dcm -o 0001.png
    """
    import wetread
    from wetread.display.plot import square_pixels

    check_output(to)
    image = wetread.read(file)
    if to is None:
        size = size or TERMINAL
    try:
        picture = image.render(window, size, frame, short=short)
    except NoPixelsError as error:
        name = shlex.quote(file)
        echo(f"{error}; to print its header: wetread header {name}", err=True)
        return
    put_picture(square_pixels(picture.pixels, image.aspect), to)
    echo(", ".join([to or image.name, *picture.steps]), err=True)
    for code, text in picture.notes:
        echo(f"{code}: {text}", err=True)

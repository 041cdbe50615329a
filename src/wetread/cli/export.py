"""`wetread export`."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Literal

import click

from wetread.cli.options import consensus_option, job_options
from wetread.cli.output import echo, exit_on, list_failures, open_index, print_json
from wetread.cli.picture import size_option, window_option
from wetread.common.text import counted
from wetread.errors import UsageError

if TYPE_CHECKING:
    from wetread.boxes.consensus import Method
    from wetread.datasets.labels import To
    from wetread.datasets.layout import Names
    from wetread.images.export import Format
    from wetread.series.export import VolumeFormat


def _crop_of(
    ctx: click.Context, param: click.Parameter, text: str | None
) -> tuple[float, ...] | None:
    """Parse `x0,y0,x1,y1`."""
    if text is None:
        return None
    try:
        x0, y0, x1, y1 = map(float, text.split(","))
    except ValueError as error:
        raise click.BadParameter(f"{text!r}: give X0,Y0,X1,Y1") from error
    return x0, y0, x1, y1


@click.command()
@click.argument("index", type=click.Path())
@click.option(
    "-o",
    "--output",
    "to",
    metavar="FOLDER",
    required=True,
    type=click.Path(),
    help="Output folder.",
)
@size_option
@click.option(
    "--format",
    metavar="NAME",
    help="png16, tiff, npy (all values); png8, jpg (display). Default: png16, with labels png8. "
    "Volumes: nii.gz (default), nii.",
)
@window_option
@click.option(
    "--crop",
    metavar="X0,Y0,X1,Y1",
    callback=_crop_of,
    help="Part of each image, as edges in stored pixels.",
)
@click.option("--boxes", metavar="FILE", help="Labels of the images, one set per image.")
@consensus_option()
@click.option(
    "--to",
    "form",
    metavar="FORMAT",
    help="Format of the labels: yolo, coco or voc; nifti writes volumes.",
)
@click.option(
    "--names",
    default="key",
    show_default=True,
    metavar="key|id",
    help="Names of the files: as in the label file, or ids.",
)
@click.option(
    "--parts",
    metavar="COLUMN",
    is_flag=False,
    flag_value="part",
    default="part",
    help="Column with the part of each image, which gets its own folder (default: part).",
)
@click.option("--where", metavar="SQL", help="Only rows for which this expression is true.")
@job_options
def export(
    index: str,
    to: str,
    size: int | None,
    format: Format | VolumeFormat | None,
    window: str | tuple[float, float] | None,
    crop: tuple[float, float, float, float] | None,
    boxes: str | None,
    consensus: Method | None,
    form: To | Literal["nifti"] | None,
    names: Names,
    parts: str,
    where: str | None,
    workers: int | None,
    quiet: bool,
    as_json: bool,
    fail_on: list[str],
) -> None:
    """Export images of an INDEX, with labels if given, or volumes.

    Writes one file per frame, named by id, and manifest.csv, which maps every file to its source.
    png16, tiff and npy keep all values; png8 and jpg contain the displayed image.

    With --boxes and --to, it writes a data set that trainers read: images named as in the label
    file, labels in their pixels, a folder per part of the split. "wetread boxes" reads labels or
    predictions of these images back.

    With --to nifti, it writes each volume of each series as one file, named by series id. Stacks
    that are not volumes are listed in manifest.csv, with the reason.

    \b
    wetread export train.index -o png/ --size 1024
    wetread export train.index -o lung/ --format jpg --window lung --where "Modality = 'CT'"
    wetread export train.index -o data/ --boxes train.csv --consensus wbf --to yolo --size 1024
    wetread export train.index -o nifti/ --to nifti --where "Modality = 'MR'"
    """
    from wetread.boxes.reading import read_boxes
    from wetread.index import Index
    from wetread.table.summary import say_without_pixels

    source = Index.of(open_index(index))
    labels = None if boxes is None else read_boxes(boxes, source)
    if consensus is not None:
        if labels is None:
            raise UsageError("--consensus merges the readers of --boxes: add --boxes FILE")
        labels = labels.consensus(consensus)
    source = source.where(where, labels) if where else source
    written = source.export(
        to,
        size,
        format,
        window,
        workers,
        not quiet,
        crop=crop,
        boxes=labels,
        to=form,
        names=names,
        parts=parts,
    )
    lines = written.astype(object).where(written.notna(), None).to_dict("records")
    left_out = ("no_label", "no_volume")
    failures = list_failures(line for line in lines if line["status"] not in left_out)
    if as_json:
        print_json(lines)
    elif form == "nifti":
        _print_volumes(lines, to, failures)
    else:
        _print(lines, to)
        if labels is not None and form == "yolo" and labels.table["score"].null_count < len(labels):
            echo("scores are not written: YOLO labels for training have none")
        for _, text in failures:
            echo(f"not written: {text}")
        for line in say_without_pixels(source):
            echo(line)
    exit_on(fail_on, (code for code, _ in failures))


def _print_volumes(lines: list[dict[str, Any]], to: str, failures: list[tuple[str, str]]) -> None:
    """Print the number of volumes, and of stacks that are none."""
    files = sum(line["file"] is not None for line in lines)
    echo(f"{counted(files, 'volume')} in {to}, listed in its manifest.csv")
    for _, text in failures:
        echo(f"not written: {text}")
    if refused := sum(line["status"] == "no_volume" for line in lines):
        echo(
            f"not written, because not a volume: {counted(refused, 'stack')}; the manifest "
            f"has the reasons"
        )


def _print(lines: list[dict[str, Any]], to: str) -> None:
    """Print the number of files, and of boxes that are not as in the label file."""
    files = sum(line["file"] is not None for line in lines)
    echo(f"{counted(files, 'file')} in {to}, listed in its manifest.csv")
    if "labels" not in lines[0] if lines else True:
        return
    boxes, clipped, left = (
        sum(line[name] or 0 for line in lines) for name in ("boxes", "clipped", "left_out")
    )
    echo(
        f"{counted(boxes, 'box')}; {clipped:,} clipped at the edge of the image, {left:,} left out"
    )
    if unread := sum(line["status"] == "no_label" for line in lines):
        echo(f"not written: {unread:,} images or frames without a row in the label file")

"""`wetread segments`."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from wetread.cli.options import json_option, quiet_option, root_option
from wetread.cli.output import echo, open_index, print_json, print_table
from wetread.cli.problems import print_problems
from wetread.common.text import counted

if TYPE_CHECKING:
    from wetread.segments.table import Form, Segments

_SHOWN = ("path", "number", "label", "series_id", "aligned", "voxels", "volume_ml", "slices")


@click.command()
@click.argument("files", nargs=-1, required=True, type=click.Path())
@click.option("--images", metavar="INDEX", help="Index of the images of the masks.")
@click.option("--problems", is_flag=True, help="List the problems of each segment.")
@click.option("--where", metavar="SQL", help="Only rows for which this expression is true.")
@click.option("--agreement", is_flag=True, help="Compare segments of one label and volume.")
@click.option("--accept", metavar="CODE", multiple=True, help="Use segments with this problem.")
@click.option(
    "--threshold",
    metavar="N",
    type=click.FloatRange(0, 1),
    default=0.5,
    show_default=True,
    help="Lowest fraction of a voxel in the mask of a FRACTIONAL segment.",
)
@click.option(
    "-o", "--output", "out", metavar="FOLDER", type=click.Path(), help="Write NIfTI masks."
)
@click.option(
    "--to",
    type=click.Choice(["nifti", "nnunet"]),
    default="nifti",
    show_default=True,
    help="Layout of FOLDER.",
)
@root_option
@quiet_option
@json_option
def segments(
    files: tuple[str, ...],
    images: str | None,
    problems: bool,
    where: str | None,
    agreement: bool,
    accept: tuple[str, ...],
    threshold: float,
    out: str | None,
    to: Form,
    quiet: bool,
    as_json: bool,
) -> None:
    """List masks and contours of FILES: size, alignment.

    FILES are DICOM SEG, RTSTRUCT and NIfTI, or folders of them.

    \b
    wetread segments labels/ --images train.index --problems
    wetread segments labels/ --images train.index -o Dataset001/ --to nnunet
    """
    from wetread.segments.reading import read_segments

    index = None if images is None else open_index(images)
    table = read_segments(files, index, threshold=threshold, accept=accept, progress=not quiet)
    if where is not None:
        table = table.where(where)
    if out is not None:
        rows = table.save(out, to, progress=not quiet).to_pylist()
        written = sum(row["status"] == "ok" for row in rows)
        if as_json:
            print_json(rows)
        else:
            echo(
                f"{written:,} of {counted(len(rows), 'segment')} written to {out}; see its manifest"
            )
    elif problems:
        _print_problems(table, as_json)
    elif agreement:
        _print_agreement(table, as_json)
    elif as_json:
        print_json(table.table.to_pylist())
    else:
        _print_segments(table)


def _print_problems(table: Segments, as_json: bool) -> None:
    rows = table.problem_rows()
    if as_json:
        print_json(rows.to_pylist())
    elif len(rows):
        print_problems(rows)
    else:
        echo(f"No problems in {counted(len(table), 'segment')}.")


def _print_agreement(table: Segments, as_json: bool) -> None:
    import pyarrow as pa

    frame = table.agreement()
    if as_json:
        print_json(frame.to_dict("records"))
    elif len(frame):
        print_table(pa.Table.from_pandas(frame.round(3), preserve_index=False))
    else:
        echo("No two segments with one label on one volume.")


def _print_segments(table: Segments) -> None:
    import pyarrow.compute as pc

    rows = table.table
    at = rows.column_names.index("volume_ml")
    rows = rows.set_column(at, "volume_ml", pc.round(rows["volume_ml"], 3))
    codes = pc.binary_join(rows["problems"], " ")
    print_table(rows.select(_SHOWN).append_column("problems", codes))

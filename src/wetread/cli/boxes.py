"""`wetread boxes`."""

from __future__ import annotations

from collections import Counter
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from wetread.cli.options import (
    box_fail_on_option,
    consensus_option,
    json_option,
    quiet_option,
    root_option,
)
from wetread.cli.output import (
    SEVERITY_COLOURS,
    echo,
    exit_on,
    open_index,
    print_json,
    print_table,
)
from wetread.common.text import counted, printable
from wetread.errors import UsageError

if TYPE_CHECKING:
    import pandas as pd

    from wetread.boxes import Boxes
    from wetread.boxes.columns import Form
    from wetread.boxes.reading import Format, ImageSize
    from wetread.index import Index

_LINES, _PAIRS = 20, 3
"""Most problems printed per code, and pairs of readers per label."""
FORMS = ("coco", "yolo", "voc", "dicom-sr", "annotations")


def _size_of(ctx: click.Context, param: click.Parameter, text: str | None) -> ImageSize | None:
    """Parse an image size: `1024` is the longest side, `512x640` rows and columns."""
    sides = (text or "").lower().split("x")
    if text is None:
        return None
    if len(sides) > 2 or not all(side.isdecimal() for side in sides):
        raise click.BadParameter(f"{text!r}: give the longest side or ROWSxCOLUMNS")
    rows, *columns = map(int, sides)
    return (rows, columns[0]) if columns else rows


def _columns_of(
    ctx: click.Context, param: click.Parameter, text: str | None
) -> dict[str, str] | None:
    """Parse `image=id,label=finding`."""
    if text is None:
        return None
    pairs = [pair.partition("=") for pair in text.split(",")]
    if not all(equals and column for _, equals, column in pairs):
        raise click.BadParameter(f"{text!r}: give ROLE=COLUMN,ROLE=COLUMN")
    return {role.strip(): column.strip() for role, _, column in pairs}


@click.command()
@click.argument("files", metavar="FILE...", nargs=-1, required=True, type=click.Path())
@click.option("--images", "index", metavar="INDEX", help="Index of the annotated images.")
@click.option("--format", "form", metavar="NAME", help="Format of FILE, if it is not recognised.")
@click.option(
    "--image-size",
    metavar="N|ROWSxCOLUMNS",
    callback=_size_of,
    help="Size of the images that were annotated, if they had been resized: longest side, or both.",
)
@click.option(
    "--manifest",
    metavar="FOLDER",
    help="Export whose images were annotated, or given to a model.",
)
@click.option(
    "--columns",
    metavar="ROLE=COLUMN,...",
    callback=_columns_of,
    help="Columns of a table, such as image=id,label=finding,x=left,y=top,w=width,h=height.",
)
@click.option(
    "--form",
    "box_form",
    metavar="xyxy|xywh|cxcywh|xy",
    help="Numbers of a box: corners; corner and size; centre and size; a point.",
)
@click.option(
    "--normalised/--pixels",
    default=None,
    help="Coordinates are shares of the image size, or pixels although all are at most 1.",
)
@click.option("--check", is_flag=True, help="List the problems of the boxes.")
@click.option("--agreement", is_flag=True, help="Report the agreement of the readers.")
@consensus_option()
@click.option(
    "--iou",
    metavar="SHARE",
    default=0.4,
    show_default=True,
    help="IoU above which two boxes match.",
)
@click.option(
    "-o",
    "--output",
    "out",
    metavar="OUT",
    help="Output: a .parquet, a .json (COCO), or a folder in the format of --to.",
)
@click.option("--to", type=click.Choice(FORMS), help="Format of OUT.")
@click.option("--reader", metavar="NAME", help="Reader of the rows that name none.")
@root_option
@quiet_option
@json_option
@box_fail_on_option
def boxes(
    files: tuple[str, ...],
    index: str | None,
    form: Format | None,
    image_size: ImageSize | None,
    manifest: str | None,
    columns: dict[str, str] | None,
    box_form: Form | None,
    normalised: bool | None,
    check: bool,
    agreement: bool,
    consensus: Any,
    iou: float,
    out: str | None,
    to: str | None,
    reader: str | None,
    quiet: bool,
    as_json: bool,
    fail_on: list[str],
) -> None:
    """Read, check, compare and merge bounding boxes of label files.

    Several files are concatenated; a file without reader names counts as one reader.

    \b
    wetread boxes train.csv --images train.index --check --agreement
    wetread boxes train.csv --images train.index --consensus wbf -o truth.parquet
    wetread boxes truth.parquet --images train.index -o truth.json
    wetread boxes older.csv --images train.index -o reads/ --to annotations
    """
    from wetread.boxes import Boxes
    from wetread.boxes.reading import read_boxes
    from wetread.index import Index

    images = None if index is None else Index.of(open_index(index))
    if out is not None:
        to = _check_output(out, to, images)
    elif to is not None:
        raise UsageError("--to is the format of OUT: add -o OUT")
    layout: Any = {"columns": columns, "form": box_form, "normalised": normalised}
    read = [read_boxes(file, images, form, image_size, manifest, **layout) for file in files]
    read = [_name(one, reader) for one in read]
    found = read[0] if len(read) == 1 else Boxes.concat(read)
    result: dict[str, Any] = _count(found)
    problems = [found.check(images)] if check or fail_on else []
    if agreement:
        result["agreement"] = found.agreement(iou)
    if consensus is not None:
        found = _name(found.consensus(consensus, iou), reader)
        result["consensus"] = _count(found)
    if out is not None and to is not None:
        problems += _write(found, out, to, images, not quiet)
        result["file"] = out
    if problems:
        result["problems"] = [row for frame in problems for row in frame.to_dict("records")]
    if as_json:
        print_json({k: _rows(v) if k == "agreement" else v for k, v in result.items()})
    else:
        _print(result)
    exit_on(fail_on, (row["code"] for row in result.get("problems", ())))


def _name(found: Boxes, reader: str | None) -> Boxes:
    """Name the reader of the rows that have none."""
    if reader is None:
        return found
    return found.replace({"reader": found.table["reader"].fill_null(reader)})


def _check_output(out: str, to: str | None, images: Index | None) -> str:
    """Return the format of OUT; raise UsageError before anything is read."""
    known = {".parquet": "parquet", ".json": "coco"}
    ending = Path(out).suffix.lower()
    form = to or known.get(ending)
    if form is None or (ending in known and known[ending] != form):
        known_to = ", ".join(FORMS)
        raise UsageError(f"{out}: OUT is a .parquet, a .json, or a folder with --to {known_to}")
    if form in ("yolo", "voc", "dicom-sr", "annotations") and images is None:
        raise UsageError(f"--to {form} needs --images, the index of the annotated images")
    return form


def _write(
    found: Boxes, out: str, to: str, images: Index | None, progress: bool
) -> list[pd.DataFrame]:
    """Write the boxes; return problems found while writing."""
    if to == "parquet":
        found.save(out)
    elif to == "coco":
        found.to_coco(out, images)
    elif images is not None:
        if to == "dicom-sr":
            return [found.to_dicom_sr(out, images, progress)]
        write = {"yolo": found.to_yolo, "voc": found.to_voc, "annotations": found.to_annotations}
        write[to](out, images)
    return []


def _count(found: Boxes) -> dict[str, Any]:
    import pyarrow.compute as pc

    kinds = Counter(found.table["kind"].to_pylist())
    labels = Counter(found.table["label"].drop_null().to_pylist())
    drawn = pc.not_equal(found.table["kind"], "nothing")
    unlabelled = pc.and_(drawn, found.table["label"].is_null())
    readers = Counter(found.table["reader"].drop_null().to_pylist())
    return {
        "dialect": found.dialect,
        "images": len(set(found.images.to_pylist())),
        "boxes": kinds["box"],
        "points": kinds["point"],
        "nothing": kinds["nothing"],
        "labels": {label: labels[label] for label in found.labels},
        "unlabelled": pc.sum(unlabelled).as_py() or 0,
        "readers": {reader: readers[reader] for reader in found.readers},
    }


def _rows(frame: pd.DataFrame) -> list[dict[str, Any]]:
    rows: list[dict[str, Any]] = frame.to_dict("records")
    return rows


def _print(result: dict[str, Any]) -> None:
    _print_counts(result)
    if "problems" in result:
        _print_problems(result["problems"])
    if "agreement" in result:
        _print_agreement(result["agreement"])
    if "consensus" in result:
        echo("\nConsensus of all readers:")
        _print_counts({**result["consensus"], "dialect": "", "labels": {}, "unlabelled": 0})
    if "file" in result:
        echo(f"\nWritten to {result['file']}")


def _print_agreement(frame: pd.DataFrame) -> None:
    """Print the pairs of readers with most common images, per label."""
    import pyarrow as pa

    seen = frame[frame["present_a"] + frame["present_b"] > 0]
    most = seen.sort_values("images", ascending=False, kind="stable").groupby("label").head(_PAIRS)
    echo()
    print_table(pa.Table.from_pandas(most.sort_index().round(3), preserve_index=False))
    if more := len(frame) - len(most):
        echo(f"{counted(more, 'more pair')}; --json lists all")


def _print_counts(result: dict[str, Any]) -> None:
    points = f", {counted(result['points'], 'point')}" if result["points"] else ""
    form = f" ({result['dialect']})" if result["dialect"] else ""
    echo(
        f'{counted(result["boxes"], "box")}{points}, {result["nothing"]:,} "nothing found", on '
        f"{counted(result['images'], 'image')}{form}"
    )
    for label, count in result["labels"].items():
        echo(f"{count:9,}  {printable(label)}")
    if count := result["unlabelled"]:
        echo(f"{count:9,}  without a label: name its column with --columns label=COLUMN")
    if result["readers"]:
        each = ", ".join(
            f"{printable(name)} {count:,}" for name, count in result["readers"].items()
        )
        echo(f"{counted(len(result['readers']), 'reader')}, by rows: {each}")


def _print_problems(rows: list[dict[str, Any]]) -> None:
    """Print one line per problem, at most 20 per code."""
    counts = Counter(row["code"] for row in rows)
    if not rows:
        echo("\nNo problems.")
    for code, count in counts.items():
        echo()
        for row in [row for row in rows if row["code"] == code][:_LINES]:
            severity = click.style(f"{row['severity']:7}", SEVERITY_COLOURS[row["severity"]])
            place = [row[name] for name in ("key", "label", "reader") if row[name]]
            click.echo(f"{severity}  {code}  {printable(', '.join([*place, row['text']]))}")
        if count > _LINES:
            echo(f"{'':7}  {code}  {count - _LINES:,} more; --json lists all")

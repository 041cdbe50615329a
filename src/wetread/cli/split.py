"""`wetread split`."""

from __future__ import annotations

from collections import Counter, defaultdict
from typing import TYPE_CHECKING, Any

import click

from wetread.cli.options import (
    box_fail_on_option,
    json_option,
    number_option,
    root_option,
)
from wetread.cli.output import (
    echo,
    exit_on,
    open_index,
    print_json,
    print_table,
)
from wetread.common.text import printable
from wetread.errors import UsageError

if TYPE_CHECKING:
    from wetread.boxes import Boxes
    from wetread.index import Index

SIDES = 'SELECT id, part, fold, "group" FROM index WHERE part IS NOT NULL OR fold IS NOT NULL'


def _shares_of(
    ctx: click.Context, param: click.Parameter, text: str | None
) -> dict[str, float] | None:
    """Parse `train=.8,valid=.2` into a dictionary."""
    if text is None:
        return None
    try:
        pairs = [item.split("=") for item in text.split(",")]
        shares = {name.strip(): float(share) for name, share in pairs}
    except ValueError as error:
        raise click.BadParameter(f"{text!r}: give NAME=SHARE,NAME=SHARE") from error
    if len(shares) < len(pairs):
        raise click.BadParameter(f"{text!r}: a name is given twice")
    return shares


@click.command()
@click.argument("index", type=click.Path())
@click.option("--boxes", "labels", metavar="FILE", help="Boxes whose labels are stratified.")
@click.option(
    "--parts",
    metavar="NAME=SHARE,...",
    callback=_shares_of,
    help="Parts and their shares (default: train=.8,valid=.2).",
)
@number_option("--folds", "Number of folds of equal size, instead of parts.", least=2)
@click.option("--by", metavar="COLUMN", help="Grouping column (default: the patient).")
@click.option("--seed", metavar="N", default=0, show_default=True, help="Random seed.")
@click.option("--check", is_flag=True, help="List leaks of the existing split.")
@root_option
@json_option
@box_fail_on_option
def split(
    index: str,
    labels: str | None,
    parts: dict[str, float] | None,
    folds: int | None,
    by: str | None,
    seed: int,
    check: bool,
    as_json: bool,
    fail_on: list[str],
) -> None:
    """Split an INDEX into parts without patient leakage.

    Labels are stratified. The columns part, fold and group are added to INDEX. --check keeps the
    existing split and lists patients and duplicates that are in two parts.

    \b
    wetread split train.index --boxes train.csv
    wetread split train.index --boxes train.csv --folds 5 --json
    wetread split train.index --check --fail-on any
    """
    import wetread
    from wetread.index import Index

    if fail_on and not check:
        raise UsageError("--fail-on needs --check: a new split has no leaks")
    images = Index.of(open_index(index))
    if check:
        if labels or parts or folds:
            raise UsageError(
                "--check examines the existing split: remove --boxes, --parts and --folds"
            )
        leaks = _find_leaks(images, by)
        _print_leaks(leaks, as_json)
        exit_on(fail_on, (row["code"] for row in leaks))
        return
    boxes = None if labels is None else wetread.read_boxes(labels, images)
    result = _count(wetread.split(images, boxes, parts, folds, by, seed), boxes)
    if as_json:
        print_json(result)
        return
    import pyarrow as pa

    rows = [
        {"fold" if folds else "part": name, "images": side["images"], "groups": side["groups"]}
        | side.get("labels", {})
        for name, side in result["parts"].items()
    ]
    print_table(pa.Table.from_pylist(rows))
    echo(f"split by {result['by']}, seed {result['seed']}; stored in {index}")


def _count(index: Index, boxes: Boxes | None) -> dict[str, Any]:
    """Count images, groups and labels per part; add the parameters of the split."""
    parameters = {k.decode(): v.decode() for k, v in index.schema.field("group").metadata.items()}
    frame = index.query(SIDES)
    name = "part" if frame["part"].notna().any() else "fold"
    sides = frame[name].astype(str if name == "part" else int)
    parts: dict[str, dict[str, Any]] = {
        str(side): {"images": len(rows), "groups": rows["group"].nunique()}
        for side, rows in frame.groupby(sides)
    }
    if boxes is not None:
        part_of = dict(zip(frame["id"], sides.astype(str), strict=True))
        pairs = zip(boxes.table["image"].to_pylist(), boxes.table["label"].to_pylist(), strict=True)
        counts: dict[str, Counter[str]] = defaultdict(Counter)
        for image, label in {pair for pair in pairs if pair[0] in part_of}:
            counts[part_of[image]][label or "nothing found"] += 1
        names = [*boxes.labels, "nothing found"]
        for side, row in parts.items():
            row["labels"] = {label: counts[side][label] for label in names}
    seed = int(parameters["seed"])
    return {"parts": parts, "by": parameters["by"], "why": parameters["why"], "seed": seed}


def _find_leaks(images: Index, by: str | None) -> list[dict[str, Any]]:
    """One row per image; a number replaces the shared value, which may identify a patient."""
    filled = [name for name in ("part", "fold") if name in images.columns]
    if not filled:
        raise UsageError("the index has no split; create one without --check")
    counts = images.query(f"SELECT {', '.join(f'count({n}) AS {n}' for n in filled)} FROM index")
    column = next((name for name in filled if counts[name][0]), filled[0])
    frame = images.leaks(column, by)
    numbers: dict[tuple[str, str], int] = {}
    rows = []
    for row in frame.to_dict("records"):
        number = numbers.setdefault((row["code"], row["shared"]), len(numbers) + 1)
        rows.append({"leak": number, **{k: v for k, v in row.items() if k != "shared"}})
    return rows


def _print_leaks(leaks: list[dict[str, Any]], as_json: bool) -> None:
    if as_json:
        print_json(leaks)
        return
    if not leaks:
        echo("No patient and no duplicate image is in two parts.")
    for row in leaks:
        number, code, part = row["leak"], row["code"], row["part"]
        echo(f"{number:4}  {code:11}  {printable(part)}  {printable(row['path'])}")

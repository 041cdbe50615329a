"""`wetread demo`."""

from __future__ import annotations

import warnings
from collections import defaultdict
from io import BytesIO
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING

import click

from wetread.cli.output import (
    echo,
    open_console,
    print_headline,
    print_table,
)
from wetread.cli.picture import to_bytes
from wetread.cli.problems import print_problems
from wetread.cli.scan_summary import print_summary
from wetread.errors import MissingExtraError, StorageError

if TYPE_CHECKING:
    import pandas as pd
    from rich.console import Console

    from wetread.boxes.collection import Boxes
    from wetread.images.image import Image
    from wetread.index import Index

HEAD = """
SELECT parse_filename(path) AS file, Modality, StudyDate, Rows, "Columns",
    PhotometricInterpretation, WindowCenter
FROM index WHERE Rows > 0
QUALIFY row_number() OVER (PARTITION BY Modality ORDER BY Rows * "Columns" DESC, path) = 1
ORDER BY Rows * "Columns" DESC LIMIT 8
"""
"""The largest image of each modality."""
WORST = """
SELECT * FROM problems WHERE code <> 'UID_CLASH'
ORDER BY list_position(['error', 'warning', 'info'], severity), path LIMIT 8
"""
CHEST = "path LIKE '%/RG1_UNCR.dcm'"
PHANTOMS, SIZE = 60, 320
AGREEMENT = """
SELECT label, (SELECT count(*) FROM boxes WHERE boxes.label = pairs.label) AS boxes,
    round(sum(kappa * images) / sum(images) FILTER (kappa IS NOT NULL), 2) AS kappa,
    round(2 * sum(matched) / sum(boxes_a + boxes_b), 2) AS matched,
    round(sum(mean_iou * matched) / sum(matched), 2) AS mean_iou
FROM pairs GROUP BY label ORDER BY label
"""
PARTS = """
SELECT part, count(DISTINCT image) AS images, {}
FROM truth GROUP BY part ORDER BY part
"""
NEXT = """\
wetread scan FOLDER -o train.index       your own files, kept in a folder
wetread problems train.index             what is wrong, file by file
wetread query train.index "SELECT PhotometricInterpretation, count(*) FROM index GROUP BY ALL"
wetread header FILE PatientAge Rows      one file, all of its header or some
wetread show FILE -o picture.png         the image in it; wetread mosaic train.index: many
wetread sample phantoms                  200 phantoms with boxes, to try the rest on
"""


@click.command()
@click.option("--train", is_flag=True, help="Only: phantoms, a model, a submission; minutes.")
def demo(train: bool) -> None:
    """Show what wetread makes of real files.

    They come with the packages pydicom and pydicom-data. What boxes are for is shown on phantoms,
    computed radiographs of nobody. Two pictures are written here, xray.png and readers.png, unless
    files of that name are there. With --train a detector and a classifier learn from phantoms
    instead, and submission.csv, curves.png and examples.png are written.
    """
    if train:
        _train()
        return
    folders = _folders()

    from wetread.index import Index
    from wetread.table.query import query
    from wetread.table.scan import scan
    from wetread.table.summary import summarise

    console = open_console()
    content = scan(folders, progress=False)
    print_headline(console, "Every file is read, whatever it holds")
    for place in folders:
        console.print(f"[dim]{place}[/]", soft_wrap=True)
    console.print()
    print_summary(summarise(content))
    print_headline(console, "Every header is a row of a typed table")
    console.print(f"{len(content):,} rows, {len(content.schema):,} columns; some of them:")
    print_table(query(content, HEAD))
    print_headline(console, "A chest radiograph: several masses, MONOCHROME1, 15 bit")
    chest = Index.of(content).where(CHEST)[0]
    echo(str(chest.header))
    _draw(chest)
    print_headline(console, "What is wrong is said, file by file")
    print_problems(query(content, WORST))
    with TemporaryDirectory(prefix="wetread-demo-") as folder:
        _show_boxes(console, Path(folder))
    print_headline(console, "Now yours")
    echo(NEXT)


def _train() -> None:
    """From DICOM files to a submission."""
    from wetread.cli.demo_train import show_training

    with TemporaryDirectory(prefix="wetread-demo-") as folder:
        show_training(open_console(), Path(folder), _keep)


def _draw(image: Image) -> None:
    """The picture, in the folder where the user is; a file of theirs is left as it is."""
    picture = image.render(size=1024)
    said = f"as a radiologist sees it: {', '.join(picture.steps)}"
    _keep(Path("xray.png"), to_bytes(picture.pixels, ".png"), said)


def _keep(path: Path, made: bytes, said: str) -> None:
    if path.exists() and path.read_bytes() != made:
        echo(f"\n{path} is there already, and left as it is.")
        return
    try:
        path.write_bytes(made)
    except OSError as error:
        raise StorageError(f"{path} cannot be written here: {error.strerror}") from error
    echo(f"\nWritten to {path}, {said}")


def _show_boxes(console: Console, folder: Path) -> None:
    """From the marks of three readers to one truth and an honest split."""
    from wetread.boxes.reading import read_boxes
    from wetread.index import scan, split
    from wetread.sample import write_sample

    write_sample(folder, PHANTOMS, size=SIZE, test=0, progress=False)
    index = scan(folder / "train", progress=False)
    boxes = read_boxes(folder / "train.csv", images=index)
    print_headline(console, "Boxes: what three readers marked")
    echo(
        f"{PHANTOMS} phantoms are computed for this, radiographs of nobody, in VinBigData's form;\n"
        f"three of 17 simulated readers marked each: {boxes!r}"
    )
    _draw_boxes(index, boxes)
    print_headline(console, "How far they agree, pair by pair: kappa, boxes matched, overlap")
    _print(AGREEMENT, pairs=boxes.agreement(), boxes=boxes.to_pandas())
    truth = boxes.consensus("wbf", iou=0.4)
    print_headline(console, "One truth, and a split by patient where the files tell")
    count, kept = (sum(k == "box" for k in b.table["kind"].to_pylist()) for b in (boxes, truth))
    echo(f"{count} boxes of the readers become {kept} by weighted boxes fusion.")
    with warnings.catch_warnings(record=True) as said:
        warnings.simplefilter("always")
        index = split(index, truth)
    for warning in said:
        echo(f"What it says: {warning.message}.")
    labels = ", ".join(
        f"count(DISTINCT image) FILTER (label = '{label}') AS \"{label}\"" for label in truth.labels
    )
    _print(PARTS.format(labels), truth=truth.join(index).to_pandas())


def _print(statement: str, **tables: pd.DataFrame) -> None:
    """What a statement says of tables that are no index."""
    import duckdb

    with duckdb.connect() as database:
        for name, frame in tables.items():
            database.register(name, frame)
        print_table(database.sql(statement).to_arrow_table())


def _draw_boxes(index: Index, boxes: Boxes) -> None:
    """The image with most labels that all its readers saw; without pyplot, which may pop up."""
    from matplotlib.figure import Figure

    def seen(image: Image) -> tuple[int, int]:
        who: dict[str, set[str]] = defaultdict(set)
        for *_, label, reader in boxes.on(image):
            who[label].add(reader)
        return min(map(len, who.values())), len(who)

    figure = Figure(figsize=(6.4, 6.4), layout="constrained")
    image = max((image for image in index if boxes.on(image)), key=seen)
    image.show(boxes=boxes, ax=figure.subplots())
    made = BytesIO()
    figure.savefig(made, format="png", dpi=150)
    _keep(Path("readers.png"), made.getvalue(), "a colour a reader")


def _folders() -> list[Path]:
    """Where the two packages keep their files."""
    import pydicom.data

    try:
        import data_store
    except ImportError as error:
        raise MissingExtraError("wetread demo", "demo") from error
    tests, more = Path(pydicom.data.__file__).parent, Path(data_store.__file__).parent
    return [tests / "test_files", more / "data"]

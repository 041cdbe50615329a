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
from wetread.cli.series import print_series
from wetread.common.text import counted
from wetread.errors import GeometryError, MissingExtraError, StorageError

if TYPE_CHECKING:
    import pandas as pd
    from rich.console import Console

    from wetread.boxes.collection import Boxes
    from wetread.images.image import Image
    from wetread.index import Index
    from wetread.series.table import SeriesTable

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
REFUSED = "list_contains(problems, 'SPACING_UNEVEN')"
PHANTOMS, SIZE = 60, 320
MOST_SERIES = 10
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
wetread scan FOLDER -o train.index       one row per file, stored in a folder
wetread problems train.index             the problems of each file
wetread query train.index "SELECT PhotometricInterpretation, count(*) FROM index GROUP BY ALL"
wetread series train.index               series: missing and misplaced slices
wetread export train.index -o nifti --to nifti   the volumes as NIfTI
wetread header FILE PatientAge Rows      header of one file, or some elements
wetread show FILE -o picture.png         its image; wetread mosaic train.index: many
wetread sample phantoms                  200 phantoms with bounding boxes
wetread view train.index --reader ME --write reads/ --label Nodule   draw boxes in the browser
"""


@click.command()
@click.option("--train", is_flag=True, help="Train on phantoms and write a submission (minutes).")
def demo(train: bool) -> None:
    """Run the demo on real files.

    The files come with the packages pydicom and pydicom-data; the bounding boxes are those of
    synthetic radiographs (phantoms). Writes xray.png, volume.png and readers.png into the current
    folder unless files of that name exist. With --train a detector and a classifier are trained on
    phantoms instead, and submission.csv, curves.png and examples.png are written.
    """
    if train:
        _train()
        return
    folders = _folders()

    from wetread.index import Index
    from wetread.series.table import SeriesTable
    from wetread.table.query import query
    from wetread.table.scan import scan
    from wetread.table.summary import summarise

    console = open_console()
    index = scan(folders, progress=False)
    print_headline(console, "One row per file, readable or not")
    for place in folders:
        console.print(f"[dim]{place}[/]", soft_wrap=True)
    console.print()
    print_summary(summarise(index))
    print_headline(console, "Every header in one typed table")
    console.print(f"{counted(len(index), 'row')}, {len(index.schema):,} columns, for example:")
    print_table(query(index, HEAD))
    print_headline(console, "Series: slices, stacks, volumes and problems")
    series = SeriesTable(index, progress=False).where("slices > 3 AND Modality IN ('CT', 'MR')")
    print_series(series.table.slice(0, MOST_SERIES))
    print_headline(console, "A volume, or the reason why there is none")
    _show_volumes(series)
    print_headline(console, "A chest radiograph: several masses, MONOCHROME1, 15 bit")
    chest = Index.of(index).where(CHEST)[0]
    echo(str(chest.header))
    _draw(chest)
    print_headline(console, "The problems of each file")
    print_problems(query(index, WORST))
    with TemporaryDirectory(prefix="wetread-demo-") as folder:
        _show_boxes(console, Path(folder))
    print_headline(console, "Next steps")
    echo(NEXT)


def _train() -> None:
    """Run the training demo, from DICOM files to a submission."""
    from wetread.cli.demo_train import show_training

    with TemporaryDirectory(prefix="wetread-demo-") as folder:
        show_training(open_console(), Path(folder), _write)


def _show_volumes(series: SeriesTable) -> None:
    """Draw the volume with the most slices, and print the problems of a series without one."""
    volume = max((v for one in series for v in one.volumes), key=lambda volume: volume.shape)
    echo(f"{volume!r}, values {volume.array.min():g} to {volume.array.max():g}")
    echo(f"Voxel (slice, row, column, 1) to LPS mm:\n{volume.affine.round(3)}")
    _write(Path("volume.png"), to_bytes(volume.render(), ".png"), "axial, coronal, sagittal")
    try:
        series.where(REFUSED)[0].volume  # noqa: B018
    except GeometryError as error:
        echo(f"\n{error}")


def _draw(image: Image) -> None:
    """Write the picture into the current folder unless another file has that name."""
    picture = image.render(size=1024)
    _write(Path("xray.png"), to_bytes(picture.pixels, ".png"), ", ".join(picture.steps))


def _write(path: Path, content: bytes, text: str) -> None:
    """Write a file unless another one of that name exists."""
    if path.exists() and path.read_bytes() != content:
        echo(f"\n{path} exists and is not replaced.")
        return
    try:
        path.write_bytes(content)
    except OSError as error:
        raise StorageError(f"{path} cannot be written here: {error.strerror}") from error
    echo(f"\nWritten to {path}: {text}")


def _show_boxes(console: Console, folder: Path) -> None:
    """Show boxes of three readers, their agreement, the consensus and a split."""
    from wetread.boxes.reading import read_boxes
    from wetread.index import scan, split
    from wetread.sample import write_sample

    write_sample(folder, PHANTOMS, size=SIZE, test=0, progress=False)
    index = scan(folder / "train", progress=False)
    boxes = read_boxes(folder / "train.csv", images=index)
    print_headline(console, "Bounding boxes of three readers")
    echo(
        f"{PHANTOMS} synthetic radiographs (phantoms) in the form of VinBigData, each read by\n"
        f"three of 17 simulated readers: {boxes!r}"
    )
    _draw_boxes(index, boxes)
    print_headline(console, "Agreement of readers: kappa, share of matched boxes, mean IoU")
    _print(AGREEMENT, pairs=boxes.agreement(), boxes=boxes.to_pandas())
    truth = boxes.consensus("wbf", iou=0.4)
    print_headline(console, "Consensus, and a split into parts")
    before, after = (sum(k == "box" for k in b.table["kind"].to_pylist()) for b in (boxes, truth))
    echo(f"{before} boxes of the readers become {after} by Weighted Boxes Fusion.")
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        index = split(index, truth)
    for warning in caught:
        echo(f"Warning: {warning.message}.")
    labels = ", ".join(
        f"count(DISTINCT image) FILTER (label = '{label}') AS \"{label}\"" for label in truth.labels
    )
    _print(PARTS.format(labels), truth=truth.join(index).to_pandas())


def _print(statement: str, **tables: pd.DataFrame) -> None:
    """Print the result of an SQL statement over data frames."""
    import duckdb

    with duckdb.connect() as database:
        for name, frame in tables.items():
            database.register(name, frame)
        print_table(database.sql(statement).to_arrow_table())


def _draw_boxes(index: Index, boxes: Boxes) -> None:
    """Write the image with the most labels marked by all its readers (without pyplot)."""
    from matplotlib.figure import Figure

    def seen(image: Image) -> tuple[int, int]:
        readers: dict[str, set[str]] = defaultdict(set)
        for *_, label, reader in boxes.on(image):
            readers[label].add(reader)
        return min(map(len, readers.values())), len(readers)

    figure = Figure(figsize=(6.4, 6.4), layout="constrained")
    image = max((image for image in index if boxes.on(image)), key=seen)
    image.show(boxes=boxes, ax=figure.subplots())
    file = BytesIO()
    figure.savefig(file, format="png", dpi=150)
    _write(Path("readers.png"), file.getvalue(), "one colour per reader")


def _folders() -> list[Path]:
    """Folders of the test files of both packages."""
    import pydicom.data

    try:
        import data_store
    except ImportError as error:
        raise MissingExtraError("wetread demo", "demo") from error
    tests, more = Path(pydicom.data.__file__).parent, Path(data_store.__file__).parent
    return [tests / "test_files", more / "data"]

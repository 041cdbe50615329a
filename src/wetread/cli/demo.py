"""`wetread demo`."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import click

from wetread.cli.findings import print_findings
from wetread.cli.output import open_console, print_table
from wetread.cli.picture import to_bytes
from wetread.cli.summary import print_summary
from wetread.errors import MissingExtraError, StorageError

if TYPE_CHECKING:
    from rich.console import Console

    from wetread.image import Image

HEAD = """
SELECT parse_filename(path) AS file, Modality, StudyDate, Rows, "Columns",
    PhotometricInterpretation, WindowCenter
FROM index WHERE Rows > 0
QUALIFY row_number() OVER (PARTITION BY Modality ORDER BY Rows * "Columns" DESC, path) = 1
ORDER BY Rows * "Columns" DESC LIMIT 8
"""
"""The largest image of each modality."""
WORST = """
SELECT * FROM findings WHERE code <> 'UID_CLASH'
ORDER BY list_position(['error', 'warning', 'info'], severity), path LIMIT 8
"""
CHEST = "path LIKE '%/RG1_UNCR.dcm'"
NEXT = """\
wetread scan FOLDER -o train.index       your own files, kept in a folder
wetread findings train.index             what is wrong, file by file
wetread query train.index "SELECT Modality, count(*) FROM index GROUP BY ALL"
wetread header FILE PatientAge Rows      one file, all of its header or some
wetread show FILE -o picture.png         the image in it; wetread mosaic train.index: many
"""


@click.command()
def demo() -> None:
    """Show what wetread makes of real files.

    They come with the packages pydicom and pydicom-data. One picture, xray.png, is written here.
    """
    folders = _folders()

    from wetread.index import Index
    from wetread.table.scan import scan
    from wetread.table.store import query
    from wetread.table.summary import summarise

    console = open_console()
    content = scan(folders, progress=False)
    _headline(console, "Every file is read, whatever it holds")
    for folder in folders:
        console.print(f"[dim]{folder}[/]", soft_wrap=True)
    console.print()
    print_summary(summarise(content))
    _headline(console, "Every header is a row of a typed table")
    console.print(f"{len(content):,} rows, {len(content.schema):,} columns; some of them:")
    print_table(query(content, HEAD))
    _headline(console, "A chest radiograph: several masses, MONOCHROME1, 15 bit")
    chest = Index(content).where(CHEST)[0]
    click.echo(str(chest.header))
    _draw(chest)
    _headline(console, "What is wrong is said, file by file")
    print_findings(query(content, WORST))
    _headline(console, "Now yours")
    click.echo(NEXT)


def _draw(image: Image) -> None:
    """The picture, in the folder where the user is; a file of theirs is left as it is."""
    picture = image.render(size=1024)
    path, made = Path("xray.png"), to_bytes(picture.pixels, ".png")
    if path.exists() and path.read_bytes() != made:
        click.echo(f"\n{path} is there already, and left as it is.")
        return
    try:
        path.write_bytes(made)
    except OSError as error:
        raise StorageError(f"{path} cannot be written here: {error.strerror}") from error
    click.echo(f"\nDrawn in {path}, as a radiologist sees it: {', '.join(picture.steps)}")


def _headline(console: Console, text: str) -> None:
    console.print()
    console.rule(f"[bold]{text}[/]", align="left", style="cyan")


def _folders() -> list[Path]:
    """Where the two packages keep their files."""
    import pydicom.data

    try:
        import data_store
    except ImportError as error:
        raise MissingExtraError("wetread demo", "demo") from error
    tests, more = Path(pydicom.data.__file__).parent, Path(data_store.__file__).parent
    return [tests / "test_files", more / "data"]

"""Label files and folders of other programs: common reading and writing."""

from __future__ import annotations

import gzip
import warnings
import zlib
from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from io import BufferedReader, TextIOWrapper
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple, TextIO, cast

from wetread.boxes.join import stem
from wetread.boxes.sizes import Size, sizes_of
from wetread.boxes.table import CORNERS, BoxTable, PathLike
from wetread.common.text import counted
from wetread.errors import StorageError, UsageError

if TYPE_CHECKING:
    from wetread.table.rows import IndexRows

Row = dict[str, Any]
_ARCHIVES = (b"PK\x03\x04", b"\xd0\xcf\x11\xe0")
"""First bytes of zip files, such as .xlsx, and of the older .xls."""


class Picture(NamedTuple):
    """Image file with its boxes in pixels of the file."""

    file: str
    """Name of the file, with its extension."""
    size: Size
    rows: list[Row]
    """Rows of BOX_SCHEMA, without those of kind "nothing"."""
    depth: int = 1
    """Samples per pixel."""

    @property
    def name(self) -> str:
        """Name of the file, without its extension."""
        return Path(self.file).stem


@contextmanager
def open_text(path: PathLike) -> Iterator[TextIO]:
    """Open a text file in UTF-8, or in UTF-16 with a byte order mark, optionally gzipped.

    Line endings are not translated. Raises UsageError, also while reading, if it is not such a
    file.
    """
    try:
        with open(path, "rb") as file:
            if file.peek(4).startswith(_ARCHIVES):
                raise UsageError(
                    f"{path} is an Excel workbook or a zip archive: save the table as CSV in "
                    "UTF-8, or give the DataFrame, pandas.read_excel(path, dtype=str)"
                )
            zipped = file.peek(2).startswith(b"\x1f\x8b")
            data = BufferedReader(cast(Any, gzip.GzipFile(fileobj=file))) if zipped else file
            wide = data.peek(2).startswith((b"\xff\xfe", b"\xfe\xff"))
            with TextIOWrapper(data, "utf-16" if wide else "utf-8-sig", newline="") as text:
                yield text
    except (OSError, EOFError, zlib.error, UnicodeError) as error:
        raise UsageError(
            f"{path} is not a text file in UTF-8: {error}; save it as UTF-8"
        ) from error


def read_text(path: PathLike) -> str:
    """Read a whole text file; see `open_text`."""
    with open_text(path) as text:
        return text.read()


def write_folder(folder: PathLike, texts: Mapping[str, str]) -> None:
    """Write UTF-8 text files into a folder."""
    try:
        Path(folder).mkdir(parents=True, exist_ok=True)
        for name, text in texts.items():
            (Path(folder) / name).write_text(text, encoding="utf-8")
    except OSError as error:
        raise StorageError(f"{folder} cannot be written: {error.strerror or error}") from error


def check_complete(row: Row) -> None:
    """Raise UsageError for a box without a label or coordinates, which no other format allows."""
    if None in (row["label"], *(row[name] for name in CORNERS)):
        raise UsageError(
            f"{row['key']}: a box without {'a label' if row['label'] is None else 'coordinates'}; "
            "Boxes.check() lists them"
        )


def group_by_file(boxes: BoxTable, index: IndexRows) -> list[Picture]:
    """Every image with its boxes, named by the file name of its key.

    Raises:
        UsageError: rows that a format with one file per image cannot store: two images with the
            same file name, an image of unknown size, a point, a box on one frame, or a box without
            a label or coordinates.
    """
    boxes = boxes.decided()
    sizes = sizes_of(boxes, index)
    rows: dict[str, list[Row]] = defaultdict(list)
    for row in boxes.table.to_pylist():
        if row["kind"] == "nothing":
            continue
        if row["kind"] == "point" or row["frame"]:
            what = "points" if row["kind"] == "point" else "frames"
            raise UsageError(f"{row['key']}: this format cannot store {what}; COCO JSON can")
        check_complete(row)
        rows[row["key"]].append(row)
    pictures = [Picture(f"{stem(key)}.png", size, rows[key]) for key, size in sizes.items()]
    if len({picture.file for picture in pictures}) < len(sizes):
        raise UsageError("two images have the same file name, which this format does not allow")
    return pictures


def drop_flags(pictures: Iterable[Picture], form: str) -> list[Picture]:
    """Pictures for a format without flags: boxes to ignore are left out.

    So do the converters of Ultralytics: an ordinary box would be a target.

    Warns:
        UserWarning: boxes to ignore, and other flags that are not written.
    """
    pictures = list(pictures)
    rows = [row for picture in pictures for row in picture.rows]
    ignored = sum(row["ignore"] for row in rows)
    flags = sorted({flag for row in rows if not row["ignore"] for flag in row["flags"]})
    losses = [f"{counted(ignored, 'box to ignore', 'are')} left out"] * bool(ignored)
    losses += [f"the flags {', '.join(flags)} are not written"] * bool(flags)
    if not losses:
        return pictures
    text = f"{form} cannot store flags: {', '.join(losses)}; COCO and Pascal VOC store them"
    warnings.warn(text, stacklevel=3)
    return [p._replace(rows=[row for row in p.rows if not row["ignore"]]) for p in pictures]


def list_files(folder: Path, ending: str) -> dict[str, Path]:
    """Files with this extension by stem; by relative path if a stem occurs in several folders.

    Raises:
        UsageError: there are none.
    """
    files = [file for file in sorted(folder.rglob("*")) if file.suffix.lower() == ending]
    if not files:
        raise UsageError(f"{folder}: no {ending} file")
    stems = {file.stem: file for file in files}
    if len(stems) == len(files):
        return stems
    return {file.relative_to(folder).with_suffix("").as_posix(): file for file in files}

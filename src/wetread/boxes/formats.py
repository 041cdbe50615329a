"""Files and folders in the forms of other programs."""

from __future__ import annotations

import gzip
import zlib
from collections import defaultdict
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from io import TextIOWrapper
from pathlib import Path
from typing import IO, TYPE_CHECKING, Any, TextIO, cast

from wetread.boxes.join import stem
from wetread.boxes.sizes import Size, sizes_of
from wetread.boxes.table import CORNERS
from wetread.errors import StorageError, UsageError

if TYPE_CHECKING:
    from wetread.boxes.collection import Boxes, PathLike
    from wetread.table.rows import IndexRows

Row = dict[str, Any]


@contextmanager
def open_text(path: PathLike) -> Iterator[TextIO]:
    """A text file in UTF-8, which may be gzipped and start with a byte order mark.

    Lines keep their ends. Raises UsageError, also while it is read, where it is no such file.
    """
    try:
        with open(path, "rb") as file:
            zipped = file.peek(2).startswith(b"\x1f\x8b")
            data = cast(IO[bytes], gzip.GzipFile(fileobj=file)) if zipped else file
            with TextIOWrapper(data, "utf-8-sig", newline="") as text:
                yield text
    except (OSError, EOFError, zlib.error, UnicodeDecodeError) as error:
        raise UsageError(f"{path} is no text file: {error}") from error


def read_text(path: PathLike) -> str:
    """The whole text of a file; see `open_text`."""
    with open_text(path) as text:
        return text.read()


def write_folder(folder: PathLike, texts: Mapping[str, str]) -> None:
    """Text files into a folder, in UTF-8."""
    try:
        Path(folder).mkdir(parents=True, exist_ok=True)
        for name, text in texts.items():
            (Path(folder) / name).write_text(text, encoding="utf-8")
    except OSError as error:
        raise StorageError(f"{folder} cannot be written: {error.strerror or error}") from error


def check_place(row: Row) -> None:
    """Raises UsageError for a box that no other form can say: without a place or a label."""
    if None in (row["label"], *(row[name] for name in CORNERS)):
        raise UsageError(
            f"{row['key']}: a box without {'a label' if row['label'] is None else 'a place'}; "
            "Boxes.check() lists them"
        )


def by_file(boxes: Boxes, index: IndexRows) -> dict[str, tuple[Size, list[Row]]]:
    """The size and the boxes of every image, by the name of its file without ending.

    Raises:
        UsageError: what a file an image cannot say: two images of one name, an image of no known
            size, points, boxes of frames, or without a place or a label.
    """
    sizes = sizes_of(boxes, index)
    rows: dict[str, list[Row]] = defaultdict(list)
    for row in boxes.table.to_pylist():
        if row["kind"] == "nothing":
            continue
        if row["kind"] == "point" or row["frame"]:
            what = "points" if row["kind"] == "point" else "frames"
            raise UsageError(f"{row['key']}: this form has no {what}; COCO JSON has")
        check_place(row)
        rows[row["key"]].append(row)
    files = {stem(key): (size, rows[key]) for key, size in sizes.items()}
    if len(files) < len(sizes):
        raise UsageError("two images have one file name; this form cannot tell them apart")
    return files


def list_files(folder: Path, ending: str) -> dict[str, Path]:
    """Files that are named as their images, by name; by path where a name repeats in folders.

    Raises:
        UsageError: there is none.
    """
    files = [file for file in sorted(folder.rglob("*")) if file.suffix.lower() == ending]
    if not files:
        raise UsageError(f"{folder}: no {ending} file")
    stems = {file.stem: file for file in files}
    if len(stems) == len(files):
        return stems
    return {file.relative_to(folder).with_suffix("").as_posix(): file for file in files}

"""Files and folders in the forms of other programs."""

from __future__ import annotations

import gzip
import zlib
from collections import defaultdict
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from wetread.boxes.join import stem
from wetread.boxes.sizes import Size, sizes_of
from wetread.boxes.table import CORNERS
from wetread.errors import StorageError, UsageError

if TYPE_CHECKING:
    from wetread.boxes.collection import Boxes, PathLike
    from wetread.table.store import Indexed

Row = dict[str, Any]


def read_text(path: PathLike) -> str:
    """The text of a file in UTF-8, which may be gzipped and start with a byte order mark.

    Raises:
        UsageError: it is none.
    """
    try:
        data = Path(path).read_bytes()
        data = gzip.decompress(data) if data.startswith(b"\x1f\x8b") else data
        return data.decode("utf-8-sig")
    except (OSError, EOFError, zlib.error, UnicodeDecodeError) as error:
        raise UsageError(f"{path} is no text file: {error}") from error


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


def by_file(boxes: Boxes, index: Indexed) -> dict[str, tuple[Size, list[Row]]]:
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

"""YOLO's text files: class, centre and size as shares of the image."""

from __future__ import annotations

import re
from pathlib import Path
from typing import TYPE_CHECKING, Any

from wetread.boxes.collection import Boxes, PathLike
from wetread.boxes.join import find_rows, stem
from wetread.boxes.sizes import Size, image_sizes, sizes_of
from wetread.boxes.table import CORNERS
from wetread.errors import StorageError, UsageError
from wetread.table.store import query

if TYPE_CHECKING:
    from wetread.table.store import Indexed

CLASSES = "classes.txt"


def read_yolo(path: PathLike, images: Indexed | None = None) -> Boxes:
    """Boxes of a folder of text files, one an image, named as the images are.

    A sixth number is a score. The classes' names are the lines of `classes.txt`, or `names` of
    `data.yaml`, there or in the folder above; a file without a line is a row "nothing".

    Raises:
        UsageError: no index, whose images' sizes are needed; or lines of another form.
    """
    if images is None:
        raise UsageError(f"{path}: YOLO's boxes are shares of the image; give images=index")
    folder = Path(path)
    names = _read_names(folder)
    files = [f for f in sorted(folder.rglob("*.txt")) if f.name != CLASSES]
    sizes = _sizes([f.stem for f in files], images)
    rows: dict[str, list[Any]] = {n: [] for n in ("key", "label", "kind", "score", *CORNERS)}
    for file in files:
        for values in _parse(file, names, sizes.get(file.stem)):
            for column, value in zip(rows.values(), (file.stem, *values), strict=True):
                column.append(value)
    return Boxes.from_columns(rows, [(str(n), name) for n, name in enumerate(names)])


def _read_names(folder: Path) -> list[str]:
    for place in (folder, folder.parent):
        if (listed := place / CLASSES).is_file():
            return [line.strip() for line in listed.read_text().splitlines() if line.strip()]
        for yaml in sorted(place.glob("*.yaml")):
            if names := _parse_yaml(yaml.read_text()):
                return names
    raise UsageError(f"{folder}: no {CLASSES} and no data.yaml with names, here or above")


def _parse_yaml(text: str) -> list[str]:
    """`names` of data.yaml: a list in brackets, or lines with a dash or a number."""
    if bracket := re.search(r"^names:\s*\[(.*?)\]", text, flags=re.MULTILINE | re.DOTALL):
        return [name.strip().strip("'\"") for name in bracket[1].split(",") if name.strip()]
    lines = re.search(r"^names:\s*\n((?:\s*(?:-|\d+:).*\n?)+)", text, flags=re.MULTILINE)
    found = re.findall(r"^\s*(?:-|\d+:)\s*(.+?)\s*$", lines[1], flags=re.MULTILINE) if lines else []
    return [name.strip("'\"") for name in found]


def _sizes(keys: list[str], images: Indexed) -> dict[str, Size]:
    rows = query(
        images.content,
        "SELECT id, path, member, SOPInstanceUID, MediaStorageSOPInstanceUID FROM index "
        "WHERE pixel_length IS NOT NULL",
    )
    known, ids = image_sizes(images), rows["id"].to_pylist()
    found = {key: ids[place] for key, place in find_rows(keys, rows).items()}
    return {key: known[id_] for key, id_ in found.items() if id_ in known}


def _parse(file: Path, names: list[str], size: Size | None) -> list[tuple[Any, ...]]:
    """(label, kind, score, x0, y0, x1, y1) of every line."""
    lines = [line.split() for line in file.read_text().splitlines() if line.strip()]
    if not lines:
        return [(None, "nothing", None, None, None, None, None)]
    if size is None:
        raise UsageError(f"{file.name}: no image of the index is called so, and its size is needed")
    rows, columns = size
    found = []
    for words in lines:
        try:
            number, (x, y, w, h, *score) = int(words[0]), map(float, words[1:])
            label = names[number]
        except (ValueError, IndexError) as error:
            raise UsageError(f"{file.name}: {' '.join(words)[:60]!r} is no box: {error}") from error
        corners = ((x - w / 2) * columns, (y - h / 2) * rows, (x + w / 2) * columns)
        place = (*corners, (y + h / 2) * rows)
        found.append((label, "box", score[0] if score else None, *place))
    return found


def write_yolo(boxes: Boxes, folder: PathLike, index: Indexed) -> None:
    """Writes a text file an image and `classes.txt`; see `read_yolo`.

    Raises:
        StorageError: the folder cannot be written.
        UsageError: an image of no known size, or two images of one name.
    """
    sizes = sizes_of(boxes, index)
    numbers = {name: number for number, name in enumerate(boxes.labels)}
    lines: dict[str, list[str]] = {key: [] for key in sizes}
    for row in boxes.table.to_pylist():
        if row["kind"] == "box":
            lines[row["key"]].append(_line(row, numbers, sizes[row["key"]]))
    write_files(folder, {f"{stem_of(key)}.txt": text for key, text in lines.items()}, len(lines))
    (Path(folder) / CLASSES).write_text("".join(f"{name}\n" for name in boxes.labels))


def _line(row: dict[str, Any], numbers: dict[str, int], size: Size) -> str:
    x0, y0, x1, y1 = (row[name] for name in CORNERS)
    rows, columns = size
    shares = (x0 + x1) / 2 / columns, (y0 + y1) / 2 / rows, (x1 - x0) / columns, (y1 - y0) / rows
    score = () if row["score"] is None else (row["score"],)
    return f"{numbers[row['label']]} {' '.join(f'{v:.17g}' for v in (*shares, *score))}\n"


def stem_of(key: str) -> str:
    """The name of an image's file; a UID has dots and no ending."""
    return key if re.fullmatch(r"[\d.]+", key) else stem(key)


def write_files(folder: PathLike, texts: dict[str, list[str]], count: int) -> None:
    """Text files into a folder; `count` of them, or two would have had one name."""
    if len(texts) != count:
        raise UsageError("two images have one file name; the form cannot tell them apart")
    try:
        Path(folder).mkdir(parents=True, exist_ok=True)
        for name, lines in texts.items():
            (Path(folder) / name).write_text("".join(lines))
    except OSError as error:
        raise StorageError(f"{folder} cannot be written: {error}") from error

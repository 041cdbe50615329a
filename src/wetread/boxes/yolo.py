"""YOLO's text files: class, centre and size as shares of the image."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import TYPE_CHECKING, Any

from wetread.boxes.collection import Boxes, PathLike
from wetread.boxes.formats import by_file, list_files, read_text, write_folder
from wetread.boxes.sizes import Size, stored_sizes
from wetread.boxes.table import CORNERS
from wetread.errors import UsageError

if TYPE_CHECKING:
    from wetread.table.rows import IndexRows

CLASSES = "classes.txt"


def read_yolo(path: PathLike, images: IndexRows | None = None) -> Boxes:
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
    files = {key: f for key, f in list_files(folder, ".txt").items() if f.name != CLASSES}
    sizes = stored_sizes(list(files), images)
    rows: dict[str, list[Any]] = {n: [] for n in ("key", "label", "kind", "score", *CORNERS)}
    for key, file in files.items():
        for values in _parse(file, names, sizes.get(key)):
            for column, value in zip(rows.values(), (key, *values), strict=True):
                column.append(value)
    return Boxes.from_columns(rows, [(str(n), name) for n, name in enumerate(names)])


def _read_names(folder: Path) -> list[str]:
    for place in (folder, folder.parent):
        if (listed := place / CLASSES).is_file():
            return [line.strip() for line in read_text(listed).rstrip().splitlines()]
        for yaml in sorted(place.glob("*.yaml")):
            if names := _parse_yaml(read_text(yaml)):
                return names
    raise UsageError(f"{folder}: no {CLASSES} and no data.yaml with names, here or above")


def _parse_yaml(text: str) -> list[str]:
    """`names` of data.yaml: a list in brackets, or lines with a dash or a number."""
    if bracket := re.search(r"^names:\s*\[(.*?)\]", text, flags=re.MULTILINE | re.DOTALL):
        return [name.strip().strip("'\"") for name in bracket[1].split(",") if name.strip()]
    lines = re.search(r"^names:\s*\n((?:\s*(?:-|\d+:).*\n?)+)", text, flags=re.MULTILINE)
    line = re.compile(r"^\s*(?:-|(\d+):)\s*(.+?)\s*$", flags=re.MULTILINE)
    found = line.findall(lines[1]) if lines else []
    named = {int(n or at): name.strip("'\"") for at, (n, name) in enumerate(found)}
    return [named[n] for n in sorted(named)] if sorted(named) == list(range(len(found))) else []


def _parse(file: Path, names: list[str], size: Size | None) -> list[tuple[Any, ...]]:
    """(label, kind, score, x0, y0, x1, y1) of every line."""
    lines = [line.split() for line in read_text(file).splitlines() if line.strip()]
    if not lines:
        return [(None, "nothing", None, None, None, None, None)]
    if size is None:
        raise UsageError(f"{file.name}: no image of the index is called so, and its size is needed")
    rows, columns = size
    found = []
    for words in lines:
        try:
            number, (x, y, w, h, *score) = int(words[0]), map(float, words[1:])
            if len(score) > 1 or not 0 <= number < len(names):
                raise ValueError(f"{len(words)} numbers, class {number} of {len(names)}")
        except (ValueError, IndexError) as error:
            said = " ".join(words)[:60]
            raise UsageError(f"{file.name}: {said!r} is no box of YOLO's: {error}") from error
        corners = ((x - w / 2) * columns, (y - h / 2) * rows, (x + w / 2) * columns)
        place = (*corners, (y + h / 2) * rows)
        found.append((names[number], "box", score[0] if score else None, *place))
    return found


def write_yolo(boxes: Boxes, folder: PathLike, index: IndexRows) -> None:
    """Writes a text file an image, `classes.txt` and `data.yaml`; see `read_yolo`.

    The form says nothing of readers: those of an image are together in its file.

    Raises:
        StorageError: the folder cannot be written.
        UsageError: what the form cannot say; see `boxes.files.by_file`.
    """
    numbers = {name: number for number, name in enumerate(boxes.labels)}
    texts = {
        f"{name}.txt": "".join(_line(row, numbers, size) for row in rows)
        for name, (size, rows) in by_file(boxes, index).items()
    }
    if CLASSES in texts:
        raise UsageError(f"an image is called {CLASSES}, as is the file of the classes' names")
    texts[CLASSES] = "".join(f"{name}\n" for name in boxes.labels)
    listed = json.dumps(boxes.labels, ensure_ascii=False)  # which is YAML too
    texts["data.yaml"] = f"nc: {len(boxes.labels)}\nnames: {listed}\n"
    write_folder(folder, texts)


def _line(row: dict[str, Any], numbers: dict[str, int], size: Size) -> str:
    x0, y0, x1, y1 = (row[name] for name in CORNERS)
    rows, columns = size
    shares = (x0 + x1) / 2 / columns, (y0 + y1) / 2 / rows, (x1 - x0) / columns, (y1 - y0) / rows
    score = () if row["score"] is None else (row["score"],)
    return f"{numbers[row['label']]} {' '.join(f'{v:.17g}' for v in (*shares, *score))}\n"

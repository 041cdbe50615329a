"""YOLO text files: class, centre and size relative to the image size."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from wetread.boxes.cells import check_readable, parse_number
from wetread.boxes.formats import (
    Picture,
    drop_flags,
    group_by_file,
    list_files,
    open_text,
    read_text,
    write_folder,
)
from wetread.boxes.sizes import Size, stored_sizes
from wetread.boxes.table import CORNERS, UNREADABLE, BoxTable, PathLike
from wetread.common.text import counted, parse_id
from wetread.errors import UsageError

if TYPE_CHECKING:
    from wetread.table.rows import IndexRows

CLASSES = "classes.txt"
DATA_YAML = "data.yaml"
_MAX_YAML = 1 << 18
"""Maximum length of data.yaml in characters; longer ones take seconds to parse."""


def read_yolo(
    path: PathLike,
    images: IndexRows | None = None,
    sizes: Mapping[str, Size] | None = None,
    data: Path | None = None,
) -> BoxTable:
    """Boxes of a folder of text files, one per image and named like it.

    A sixth number is a score. Class names are the lines of `classes.txt`, or `names` of
    `data.yaml`, in the folder or one of the two above. An empty file becomes a row of kind
    "nothing".

    Args:
        path: folder.
        images: index for the sizes of the images.
        sizes: rows and columns of the images by file name without extension, in place of the index.
        data: folder of the data set whose images these are, for the class names.

    Lines that cannot be read become rows with a flag that gives the reason.

    Raises:
        UsageError: no index (image sizes are needed), no class names, or no line can be read.
    """
    if images is None and sizes is None:
        raise UsageError(f"{path}: YOLO boxes are relative to the image size; give images=index")
    folder = Path(path)
    names = _read_names(folder, data)
    files = {key: f for key, f in list_files(folder, ".txt").items() if f.name != CLASSES}
    if images is not None and sizes is None:
        sizes = stored_sizes(list(files), images)
    columns = ("key", "label", "kind", "score", *CORNERS, "flags")
    rows: dict[str, list[Any]] = {name: [] for name in columns}
    for key, file in files.items():
        for values in _parse(file, names, (sizes or {}).get(key)):
            for column, value in zip(rows.values(), (key, *values), strict=True):
                column.append(value)
    boxes = BoxTable.from_columns(rows, [(str(n), name) for n, name in enumerate(names)])
    check_readable(path, boxes.table)
    return boxes


def _read_names(folder: Path, data: Path | None) -> list[str]:
    errors = []
    for parent in (folder, *folder.absolute().parents[:2], *filter(None, [data])):
        if (path := parent / CLASSES).is_file():
            return [line.strip() for line in read_text(path).rstrip().splitlines()]
        for path in sorted(parent.glob("*.yaml")):
            try:
                return _read_yaml(path)
            except UsageError as error:
                errors.append(f"; {error}")
    raise UsageError(
        f"{folder}: no {CLASSES} and no data.yaml with names, here or in the two folders above"
        f"{''.join(errors[:1])}; copy the {DATA_YAML} of the training there"
    )


def _read_yaml(path: Path) -> list[str]:
    """Class names of data.yaml: `names` is a list, or a dictionary by class number."""
    import yaml

    with open_text(path) as file:
        text = file.read(_MAX_YAML + 1)
    if len(text) > _MAX_YAML:
        raise UsageError(f"{path.name} is longer than {_MAX_YAML:,} characters")
    try:
        # BaseLoader makes strings, lists and dictionaries only, so that a class may be called "no".
        data = yaml.load(text, yaml.BaseLoader)  # noqa: S506 - safer than the safe loader
    except (yaml.YAMLError, RecursionError) as error:
        raise UsageError(f"{path.name} is not YAML: {' '.join(str(error).split())}") from error
    names = data.get("names") if isinstance(data, dict) else None
    if isinstance(names, dict) and set(names) == set(map(str, range(len(names)))):
        names = [names[str(number)] for number in range(len(names))]
    if not isinstance(names, list) or not names or not all(isinstance(n, str) for n in names):
        raise UsageError(f"{path.name}: names must be a list, or a dictionary numbered from 0")
    return names


def _parse(file: Path, names: list[str], size: Size | None) -> list[tuple[Any, ...]]:
    """Lines as (label, kind, score, x0, y0, x1, y1, flags)."""
    boxes: list[tuple[Any, ...]] = []
    try:
        lines = [line.split() for line in read_text(file).splitlines() if line.strip()]
        if lines and size is None:
            raise UsageError("the index has no image of this name, and its size is needed")
    except UsageError as error:
        return [(*(None, "box", *(None,) * 5), [f"{UNREADABLE}{file.name}: {error}"])]
    rows, columns = size or (0, 0)
    for words in lines:
        try:
            number, numbers = int(parse_id(words[0])), [*map(parse_number, words[1:])]
            if len(numbers) not in (4, 5) or not 0 <= number < len(names):
                raise ValueError(f"{counted(len(words), 'number')}, class {number} of {len(names)}")
            x, y, w, h, *score = numbers
        except ValueError as error:
            line = " ".join(words)[:60]
            reason = f"{UNREADABLE}{file.name}: {line!r} is not a YOLO box: {error}"
            boxes.append((*(None, "box", *(None,) * 5), [reason]))
            continue
        low = (x - w / 2) * columns, (y - h / 2) * rows
        high = (x + w / 2) * columns, (y + h / 2) * rows
        boxes.append((names[number], "box", score[0] if score else None, *low, *high, []))
    return boxes or [(None, "nothing", *(None,) * 5, [])]


def write_yolo(boxes: BoxTable, folder: PathLike, index: IndexRows) -> None:
    """Write one text file per image, `classes.txt` and `data.yaml`; see `read_yolo`.

    The format has no readers: the boxes of all readers of an image are in one file.

    Raises:
        StorageError: the folder cannot be written.
        UsageError: rows the format cannot store; see `boxes.formats.group_by_file`.
    """
    pictures = drop_flags(group_by_file(boxes, index), "YOLO")
    texts = yolo_texts(pictures, boxes.labels)
    if CLASSES in texts:
        raise UsageError(f"an image is named {CLASSES}, like the file of class names")
    texts[CLASSES] = "".join(f"{name}\n" for name in boxes.labels)
    texts[DATA_YAML] = data_yaml(boxes.labels)
    write_folder(folder, texts)


def yolo_texts(
    pictures: Iterable[Picture], labels: Sequence[str], scores: bool = True
) -> dict[str, str]:
    """Label file of each picture, by file name.

    Args:
        pictures: pictures with their boxes.
        labels: class names in the order of their numbers.
        scores: write scores as a sixth number, which trainers do not accept.
    """
    numbers = {name: number for number, name in enumerate(labels)}
    return {
        f"{picture.name}.txt": "".join(
            _line(row, numbers, picture.size, scores) for row in picture.rows
        )
        for picture in pictures
    }


def data_yaml(labels: Sequence[str], folders: Mapping[str, str] | None = None) -> str:
    """Text of `data.yaml`: class names, and the folder of images by part.

    >>> print(data_yaml(["no", "mass, large"], {"train": "images/train"}), end="")
    train: images/train
    nc: 2
    names:
    - 'no'
    - mass, large
    """
    import yaml

    data = {**(folders or {}), "nc": len(labels), "names": list(labels)}
    text: str = yaml.safe_dump(data, allow_unicode=True, sort_keys=False, width=1 << 20)
    return text


def _line(row: dict[str, Any], numbers: dict[str, int], size: Size, scores: bool) -> str:
    x0, y0, x1, y1 = (row[name] for name in CORNERS)
    rows, columns = size
    relative = (x0 + x1) / 2 / columns, (y0 + y1) / 2 / rows, (x1 - x0) / columns, (y1 - y0) / rows
    score = (row["score"],) if scores and row["score"] is not None else ()
    return f"{numbers[row['label']]} {' '.join(f'{v:.17g}' for v in (*relative, *score))}\n"

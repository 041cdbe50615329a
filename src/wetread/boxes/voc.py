"""Pascal VOC XML files."""

from __future__ import annotations

import xml.etree.ElementTree as ElementTree
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

from wetread.boxes.cells import check_readable, parse_number
from wetread.boxes.formats import Picture, group_by_file, list_files, write_folder
from wetread.boxes.sizes import Size, check_sizes
from wetread.boxes.table import CORNERS, UNREADABLE, BoxTable, PathLike

if TYPE_CHECKING:
    from wetread.table.rows import IndexRows

_TAGS = ("xmin", "ymin", "xmax", "ymax")
IGNORED = "difficult"
"""Flag of objects that the development kit counts neither as right nor as wrong."""
FLAGS = ("truncated", "occluded", IGNORED)
"""Elements of an object that are 0 or 1."""
_TRUE, _FALSE = ("1", "true", "yes"), ("", "0", "false", "no", "unspecified")


def read_voc(path: PathLike, images: IndexRows | None = None) -> BoxTable:
    """Boxes of a folder of XML files, one per image and named like it, or of one file.

    VOC counts pixels from 1 and includes the last: xmin 1, xmax 10 are the edges 0 and 10. A file
    without an object becomes a row of kind "nothing". `difficult` sets `ignore`; `difficult`,
    `truncated` and `occluded` are flags.

    Args:
        path: folder or file.
        images: index to check the image sizes of the files against.

    Raises:
        UsageError: no file or object can be read (single ones become rows with a flag that gives
            the reason), or sizes that differ from the index.
    """
    path = Path(path)
    files = {path.stem: path} if path.is_file() else list_files(path, ".xml")
    names = ("key", "label", "kind", "reader", "score", "ignore", "flags", *CORNERS)
    rows: dict[str, list[Any]] = {name: [] for name in names}
    sizes: dict[str, Size] = {}
    for key, file in files.items():
        objects, sizes[key] = _parse(file)
        for values in objects:
            for column, value in zip(rows.values(), (key, *values), strict=True):
                column.append(value)
    if images is not None:
        check_sizes({key: size for key, size in sizes.items() if all(size)}, images)
    boxes = BoxTable.from_columns(rows)
    check_readable(path, boxes.table)
    return boxes


def _parse(file: Path) -> tuple[list[tuple[Any, ...]], Size]:
    """Objects as rows without the key, and the image size, 0 if absent."""
    try:
        text = file.read_bytes()
        if b"\0" in text or b"<!" in text.replace(b"<!--", b""):
            raise ValueError("it declares a document type or is not UTF-8")
        root = ElementTree.fromstring(text)  # noqa: S314 - no entities: see above
        objects = [_read_object(item, file.name) for item in root.iter("object")]
        rows, columns = (int(float(root.findtext(f"size/{n}") or 0)) for n in ("height", "width"))
    except (ElementTree.ParseError, ArithmeticError, ValueError, OSError) as error:
        return [_unreadable(None, f"{file.name} is not a Pascal VOC file: {error}")], (0, 0)
    return objects or [(None, "nothing", None, None, False, [], *(None,) * 4)], (rows, columns)


def _read_object(item: ElementTree.Element, name: str) -> tuple[Any, ...]:
    try:
        return _parse_object(item)
    except (ArithmeticError, ValueError) as error:
        return _unreadable(_name(item), f"an object of {name}: {error}")


def _name(item: ElementTree.Element) -> str | None:
    return (item.findtext("name") or "").strip() or None


def _unreadable(label: str | None, reason: str) -> tuple[Any, ...]:
    return (label, "box", None, None, False, [f"{UNREADABLE}{reason}"], *(None,) * 4)


def _parse_object(item: ElementTree.Element) -> tuple[Any, ...]:
    texts = [item.findtext(f"bndbox/{name}") for name in _TAGS]
    if None in texts:
        raise ValueError(f"no {_TAGS[texts.index(None)]}")
    x0, y0, x1, y1 = (parse_number(text or "") for text in texts)
    text = item.findtext("score")
    score = None if text is None else parse_number(text)
    flags = [*_flags(item), *(flag.text or "" for flag in item.findall("flag"))]
    corners = x0 - 1, y0 - 1, x1, y1
    return (
        *(_name(item), "box", item.findtext("reader"), score),
        *(IGNORED in flags, flags, *corners),
    )


def _flags(item: ElementTree.Element) -> Iterator[str]:
    """Flags that are set; one with another value than 0 or 1 is kept with it."""
    for name in FLAGS:
        value = (item.findtext(name) or "").strip()
        if value.lower() in _TRUE:
            yield name
        elif value.lower() not in _FALSE:
            yield f"{name}: {value}"


def write_voc(boxes: BoxTable, folder: PathLike, index: IndexRows) -> None:
    """Write one XML file per image; see `read_voc`. Readers and scores are extra elements.

    Raises:
        StorageError: the folder cannot be written.
        UsageError: rows the format cannot store; see `boxes.formats.group_by_file`.
    """
    write_folder(folder, voc_texts(group_by_file(boxes, index)))


def voc_texts(pictures: Iterable[Picture]) -> dict[str, str]:
    """Label file of each picture, by file name; flags that VOC does not name are extra elements."""
    return {f"{picture.name}.xml": _write(picture) for picture in pictures}


def _write(picture: Picture) -> str:
    root = ElementTree.Element("annotation")
    _add(root, "filename", picture.file)
    element = ElementTree.SubElement(root, "size")
    rows, columns = picture.size
    for name, value in (("width", columns), ("height", rows), ("depth", picture.depth)):
        _add(element, name, value)
    for row in picture.rows:
        item = ElementTree.SubElement(root, "object")
        _add(item, "name", row["label"])
        for name in FLAGS:
            _add(item, name, int(name in row["flags"] or (name == IGNORED and row["ignore"])))
        for name in row["flags"]:
            if name not in FLAGS:
                _add(item, "flag", name)
        for extra in ("reader", "score"):
            if row[extra] is not None:
                _add(item, extra, row[extra])
        box = ElementTree.SubElement(item, "bndbox")
        x0, y0, x1, y1 = (row[name] for name in CORNERS)
        for tag, value in zip(_TAGS, (x0 + 1, y0 + 1, x1, y1), strict=True):
            _add(box, tag, f"{value:.17g}")
    ElementTree.indent(root)
    return ElementTree.tostring(root, encoding="unicode") + "\n"


def _add(parent: ElementTree.Element, name: str, value: Any) -> None:
    ElementTree.SubElement(parent, name).text = str(value)

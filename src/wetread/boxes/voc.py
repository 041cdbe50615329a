"""Pascal VOC XML files."""

from __future__ import annotations

import xml.etree.ElementTree as ElementTree
from pathlib import Path
from typing import TYPE_CHECKING, Any

from wetread.boxes.formats import group_by_file, list_files, write_folder
from wetread.boxes.sizes import Size, check_sizes
from wetread.boxes.table import CORNERS, BoxTable, PathLike
from wetread.errors import UsageError

if TYPE_CHECKING:
    from wetread.table.rows import IndexRows

_TAGS = ("xmin", "ymin", "xmax", "ymax")


def read_voc(path: PathLike, images: IndexRows | None = None) -> BoxTable:
    """Boxes of a folder of XML files, one per image and named like it, or of one file.

    VOC counts pixels from 1 and includes the last: xmin 1, xmax 10 are the edges 0 and 10. A file
    without an object becomes a row of kind "nothing".

    Args:
        path: folder or file.
        images: index to check the image sizes of the files against.

    Raises:
        UsageError: not VOC XML, a document type declaration, or sizes that differ from the index.
    """
    path = Path(path)
    files = {path.stem: path} if path.is_file() else list_files(path, ".xml")
    rows: dict[str, list[Any]] = {n: [] for n in ("key", "label", "kind", "reader", "score")}
    rows |= {name: [] for name in CORNERS}
    sizes: dict[str, Size] = {}
    for key, file in files.items():
        objects, sizes[key] = _parse(file)
        for values in objects:
            for column, value in zip(rows.values(), (key, *values), strict=True):
                column.append(value)
    if images is not None:
        check_sizes({key: size for key, size in sizes.items() if all(size)}, images)
    return BoxTable.from_columns(rows)


def _parse(file: Path) -> tuple[list[tuple[Any, ...]], Size]:
    """Objects as (label, kind, reader, score, x0, y0, x1, y1), and the image size, 0 if absent."""
    try:
        text = file.read_bytes()
        if b"\0" in text or b"<!" in text.replace(b"<!--", b""):
            raise UsageError(f"{file.name}: must be UTF-8 without a document type declaration")
        root = ElementTree.fromstring(text)  # noqa: S314 - no entities: see above
        objects = [_parse_object(item) for item in root.iter("object")]
        rows, columns = (int(float(root.findtext(f"size/{n}") or 0)) for n in ("height", "width"))
    except (ElementTree.ParseError, ArithmeticError, ValueError, OSError) as error:
        if isinstance(error, UsageError):
            raise
        raise UsageError(f"{file.name} is not a Pascal VOC file: {error}") from error
    return objects or [(None, "nothing", *(None,) * 6)], (rows, columns)


def _parse_object(item: ElementTree.Element) -> tuple[Any, ...]:
    x0, y0, x1, y1 = (float(item.findtext(f"bndbox/{name}") or "") for name in _TAGS)
    text = item.findtext("score")
    score = None if text is None else float(text)
    return item.findtext("name"), "box", item.findtext("reader"), score, x0 - 1, y0 - 1, x1, y1


def write_voc(boxes: BoxTable, folder: PathLike, index: IndexRows) -> None:
    """Write one XML file per image; see `read_voc`. Readers and scores are extra elements.

    Raises:
        StorageError: the folder cannot be written.
        UsageError: rows the format cannot store; see `boxes.formats.group_by_file`.
    """
    files = group_by_file(boxes, index)
    texts = {f"{name}.xml": _write(name, size, rows) for name, (size, rows) in files.items()}
    write_folder(folder, texts)


def _write(name: str, size: Size, rows: list[dict[str, Any]]) -> str:
    root = ElementTree.Element("annotation")
    _add(root, "filename", f"{name}.png")
    element = ElementTree.SubElement(root, "size")
    for name, value in (("width", size[1]), ("height", size[0]), ("depth", 1)):
        _add(element, name, value)
    for row in rows:
        item = ElementTree.SubElement(root, "object")
        _add(item, "name", row["label"])
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

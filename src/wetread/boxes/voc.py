"""Pascal VOC's XML files."""

from __future__ import annotations

import xml.etree.ElementTree as ElementTree
from pathlib import Path
from typing import TYPE_CHECKING, Any

from wetread.boxes.collection import Boxes, PathLike
from wetread.boxes.sizes import Size, sizes_of
from wetread.boxes.table import CORNERS
from wetread.boxes.yolo import stem_of, write_files
from wetread.errors import UsageError

if TYPE_CHECKING:
    from wetread.table.store import Indexed

_ENDS = ("xmin", "ymin", "xmax", "ymax")


def read_voc(path: PathLike, images: Indexed | None = None) -> Boxes:
    """Boxes of a folder of XML files, one an image, or of one file.

    VOC counts pixels from 1 and includes the last: xmin 1, xmax 10 are the edges 0 and 10. A file
    without an object is a row "nothing".

    Raises:
        UsageError: a file that is no XML of this form, or declares entities.
    """
    files = [Path(path)] if Path(path).is_file() else sorted(Path(path).rglob("*.xml"))
    rows: dict[str, list[Any]] = {n: [] for n in ("key", "label", "kind", "reader", "score")}
    rows |= {name: [] for name in CORNERS}
    for file in files:
        for values in _parse(file):
            for column, value in zip(rows.values(), values, strict=True):
                column.append(value)
    return Boxes.from_columns(rows)


def _parse(file: Path) -> list[tuple[Any, ...]]:
    text = file.read_bytes()
    if b"<!" in text.replace(b"<!--", b""):
        raise UsageError(f"{file.name} declares a document type: refused")
    try:
        root = ElementTree.fromstring(text)  # noqa: S314 - no entities: see above
        key = Path(root.findtext("filename") or file.name).stem
        found = [_parse_object(key, item) for item in root.iter("object")]
    except (ElementTree.ParseError, TypeError, ValueError) as error:
        raise UsageError(f"{file.name} is no Pascal VOC file: {error}") from error
    return found or [(key, None, "nothing", None, None, None, None, None, None)]


def _parse_object(key: str, item: ElementTree.Element) -> tuple[Any, ...]:
    x0, y0, x1, y1 = (float(item.findtext(f"bndbox/{name}") or "") for name in _ENDS)
    score = item.findtext("score")
    sure = None if score is None else float(score)
    return key, item.findtext("name"), "box", item.findtext("reader"), sure, x0 - 1, y0 - 1, x1, y1


def write_voc(boxes: Boxes, folder: PathLike, index: Indexed) -> None:
    """Writes an XML file an image; see `read_voc`. Readers and scores are extra elements.

    Raises:
        StorageError: the folder cannot be written.
        UsageError: an image of no known size, or two images of one name.
    """
    sizes = sizes_of(boxes, index)
    drawn: dict[str, list[dict[str, Any]]] = {key: [] for key in sizes}
    for row in boxes.table.to_pylist():
        if row["kind"] == "box":
            drawn[row["key"]].append(row)
    texts = {f"{stem_of(key)}.xml": [_write(key, sizes[key], drawn[key])] for key in sizes}
    write_files(folder, texts, len(sizes))


def _write(key: str, size: Size, rows: list[dict[str, Any]]) -> str:
    root = ElementTree.Element("annotation")
    _add(root, "filename", f"{stem_of(key)}.png")
    place = ElementTree.SubElement(root, "size")
    for name, value in (("width", size[1]), ("height", size[0]), ("depth", 1)):
        _add(place, name, value)
    for row in rows:
        item = ElementTree.SubElement(root, "object")
        _add(item, "name", row["label"])
        for name in ("reader", "score"):
            if row[name] is not None:
                _add(item, name, row[name])
        box = ElementTree.SubElement(item, "bndbox")
        x0, y0, x1, y1 = (row[name] for name in CORNERS)
        for name, value in zip(_ENDS, (x0 + 1, y0 + 1, x1, y1), strict=True):
            _add(box, name, f"{value:.17g}")
    ElementTree.indent(root)
    return ElementTree.tostring(root, encoding="unicode") + "\n"


def _add(parent: ElementTree.Element, name: str, value: Any) -> None:
    ElementTree.SubElement(parent, name).text = str(value)

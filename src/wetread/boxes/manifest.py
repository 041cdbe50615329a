"""Manifest of an export: from its pictures back to the images of an index and stored pixels."""

from __future__ import annotations

import csv
from collections import Counter, defaultdict
from collections.abc import Mapping, Sequence
from pathlib import Path, PurePosixPath
from typing import Any

import numpy as np

from wetread.boxes.formats import open_text
from wetread.boxes.join import stem
from wetread.boxes.table import CORNERS, AnyBoxes, PathLike
from wetread.common.files import MANIFEST
from wetread.common.text import unguard_cell
from wetread.errors import NotFoundError, UsageError

Line = dict[str, Any]
_NUMBERS = ("frame", "rows", "columns", "scale_x", "scale_y", "left", "top")
_NEEDED = ("id", "file", *_NUMBERS)
_LEVELS = 3
"""Folders above a label file that may have the manifest."""


def read_manifest(path: Path) -> list[Line]:
    """Lines of a manifest, with numbers parsed and empty cells as None.

    Raises:
        UsageError: not a manifest of `Index.export`.
    """
    with open_text(path) as text:
        try:
            lines = [_parse(line) for line in csv.DictReader(text)]
        except (csv.Error, ValueError) as error:
            raise UsageError(f"{path} is not a manifest of an export: {error}") from error
    if lines and not set(_NEEDED) <= set(lines[0]):
        raise UsageError(f"{path} is not a manifest of an export: it needs {', '.join(_NEEDED)}")
    return lines


def _parse(cells: Mapping[str, Any]) -> Line:
    line: Line = {n: unguard_cell(v) if v else None for n, v in cells.items() if n is not None}
    return line | {n: float(line[n]) for n in _NUMBERS if line.get(n) is not None}


class Manifest:
    """Files of an export."""

    def __init__(self, path: Path) -> None:
        self.folder = path.absolute().parent
        lines = read_manifest(path)
        self.lines = {_name(line["file"]): line for line in lines if line["file"]}
        """Lines by name of the picture without extension."""
        self.labels = list(dict.fromkeys(line["labels"] for line in lines if line.get("labels")))
        """Label files, relative to the folder."""
        self._count = Counter(line["id"] for line in lines)

    @classmethod
    def open(cls, path: PathLike) -> Manifest:
        """Open a manifest, or the one in a folder."""
        path = Path(path)
        path = path / MANIFEST if path.is_dir() else path
        if not path.is_file():
            raise NotFoundError(f"{path}: no such file")
        return cls(path)

    @classmethod
    def find(cls, path: Path) -> Manifest | None:
        """Manifest of the export that has written a label file, or label files below a folder."""
        path = path.absolute()
        for folder in [path, *path.parents][: _LEVELS + 1]:
            if (folder / MANIFEST).is_file():
                try:
                    manifest = cls(folder / MANIFEST)
                except UsageError:  # of another program
                    continue
                files = {folder / file for file in manifest.labels}
                if path in files or any(file.is_relative_to(path) for file in files):
                    return manifest
        return None

    def data_sets(self, path: Path) -> list[Path]:
        """COCO data sets of the export that are below a folder."""
        files = [self.folder / file for file in self.labels if file.endswith(".json")]
        return [file for file in files if file.is_relative_to(path.absolute())]

    @property
    def sizes(self) -> dict[str, tuple[int, int]]:
        """Rows and columns of each picture, by name."""
        return {n: (int(line["rows"]), int(line["columns"])) for n, line in self.lines.items()}

    def to_stored(self, boxes: AnyBoxes, shares: bool = False) -> AnyBoxes:
        """Transform boxes on pictures to stored pixels, with image, key, frame and part.

        Boxes on other pictures are kept as they are, without an image.

        Args:
            boxes: boxes in pixels of the pictures.
            shares: True if they are shares of the size of the pictures.
        """
        keys = boxes.table["key"].to_pylist()
        lines: list[Mapping[str, Any]] = [self.lines.get(stem(key), {}) for key in keys]
        columns = boxes.table.to_pydict()
        values: dict[str, list[Any]] = defaultdict(list)
        for number, (key, line) in enumerate(zip(keys, lines, strict=True)):
            frame = int(line["frame"]) if self._count[line.get("id")] > 1 else None
            values["image"].append(line.get("id"))
            values["key"].append(line.get("key") or line.get("path") or key)
            values["frame"].append(frame if line else columns["frame"][number])
            values["part"].append(line.get("part") or columns["part"][number])
        scale, offset = (
            np.array([[line.get(name, default) for name in names] for line in lines])
            for names, default in ((("scale_x", "scale_y"), 1.0), (("left", "top"), 0.0))
        )
        if shares:
            sizes = [(line.get("columns", 1.0), line.get("rows", 1.0)) for line in lines]
            scale = scale / np.array(sizes).reshape(scale.shape)
        corners = boxes.corners / np.tile(scale, 2) + np.tile(offset, 2) if keys else boxes.corners
        return boxes.replace({**values, **dict(zip(CORNERS, corners.T, strict=True))})


def complete_results(results: Sequence[Any], data_sets: Sequence[Any]) -> dict[str, Any]:
    """COCO data set from a list of results and the data sets that they are results of.

    A data set without any result, such as the part that the model was trained on, is left out.
    """
    seen = {one.get("image_id") for one in results if isinstance(one, dict)}
    images = [
        image
        for data in data_sets
        if any(image["id"] in seen for image in data["images"])
        for image in data["images"]
    ]
    categories = data_sets[0]["categories"] if data_sets else []
    return {"images": images, "categories": categories, "annotations": list(results)}


def _name(file: str) -> str:
    return PurePosixPath(file).stem

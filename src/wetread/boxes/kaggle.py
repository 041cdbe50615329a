"""CSV files of the Kaggle and VinDr data sets: labels of readers, and submissions."""

from __future__ import annotations

import ast
import csv
import math
from collections.abc import Callable, Generator, Iterable, Mapping, Sequence
from contextlib import closing
from dataclasses import dataclass
from itertools import islice
from typing import TYPE_CHECKING, Any

import pyarrow as pa

from wetread.boxes.formats import open_text
from wetread.boxes.table import CORNERS, BoxTable, make_table
from wetread.common.text import unguard_cell
from wetread.errors import UsageError

if TYPE_CHECKING:
    import pandas as pd

NOTHING = "No finding"
_NOTHING = ("no finding", "none", "normal")
"""Labels of a reading without a finding, in lower case."""
OPACITY = "Lung Opacity"
"""Label of RSNA's Target 1 and SIIM's "opacity", the only class of these formats."""
Rows = dict[str, list[Any]]
ClassSet = dict[tuple[str, str], None]
"""(id, name) of classes, unordered."""
Chunk = tuple[pa.Table, ClassSet | None]
"""Rows of a chunk of the file, and its classes; None if they have no ids."""
_ROWS = 1 << 15
"""Rows per chunk of a CSV file; limits the memory used by Python objects."""
_PARSE_ERRORS = (ValueError, SyntaxError, LookupError, TypeError, RecursionError, MemoryError)


@dataclass(frozen=True, slots=True)
class Dialect:
    """Table format: the columns by which it is recognised, and its parser."""

    name: str
    columns: tuple[frozenset[str], ...]
    """Sets of columns; a table with all columns of one set has this format."""
    read: Callable[[pd.DataFrame], Chunk]


def read_table(path: str, format: str | None = None) -> BoxTable:
    """Boxes of a CSV file, optionally gzipped, in the format of its columns.

    Raises:
        UsageError: columns that match no format, or several.
    """
    tables: list[pa.Table] = []
    classes: ClassSet | None = {}
    with closing(_read_csv(path)) as frames:
        for frame in frames:
            dialect = _recognise(path, set(frame.columns), format)
            try:
                table, chunk_classes = dialect.read(frame)
                tables.append(table)
                classes = (
                    None if chunk_classes is None or classes is None else classes | chunk_classes
                )
            except _PARSE_ERRORS as error:
                if isinstance(error, UsageError):
                    raise UsageError(f"{path}: {error}") from error
                raise UsageError(f"{path}: not in the format {dialect.name}: {error}") from error
    rows = pa.concat_tables(tables)
    columns = {name: rows[name] for name in rows.column_names}
    in_order = classes and sorted(classes, key=lambda pair: (int(pair[0]), pair[1]))
    return BoxTable.from_columns(columns, in_order, dialect=dialect.name)


def _read_csv(path: str) -> Generator[pd.DataFrame]:
    """Read a CSV file in chunks, every field as stripped text; the index numbers the rows.

    A large file would take gigabytes as Python objects. A file without rows gives one empty chunk.
    """
    import pandas as pd

    with open_text(path) as text:
        try:
            lines = (
                [unguard_cell(field.strip()) for field in line] for line in csv.reader(text) if line
            )
            names = next(lines, None)
            if names is None:
                raise UsageError(f"{path} is empty")
            if len(set(names)) < len(names):
                raise UsageError(
                    f"{path}: two columns have the same name; its columns: {', '.join(names)}"
                )
            start = 0
            while (rows := list(islice(lines, _ROWS))) or not start:
                for number, row in enumerate(rows, start + 2):
                    if len(row) != len(names):
                        raise UsageError(
                            f"{path}: line {number} has {len(row)} fields, the first {len(names)}"
                        )
                index = range(start, start + len(rows))
                yield pd.DataFrame(rows, index, names, dtype=object)
                start += max(len(rows), 1)
        except csv.Error as error:
            raise UsageError(f"{path} is not a CSV file: {error}") from error


def _recognise(path: str, columns: set[str], format: str | None) -> Dialect:
    matched = {
        d.name: max((names for names in d.columns if names <= columns), key=len, default=None)
        for d in DIALECTS
        if format in (None, d.name)
    }
    sets = [names for names in matched.values() if names is not None]
    # Of two matching formats the one with more columns is meant.
    best = {n for n, names in matched.items() if names and not any(names < s for s in sets)}
    dialects = [d for d in DIALECTS if d.name in best]
    if len(dialects) == 1:
        return dialects[0]
    known = "; ".join(f"{d.name}: {', '.join(sorted(d.columns[0]))}" for d in DIALECTS)
    if dialects:
        problem = "matches several formats, give format="
    else:
        problem = f"does not have the format {format}" if format else "has an unknown format"
    raise UsageError(f"{path} {problem}; its columns: {', '.join(sorted(columns))}; known: {known}")


def _read_corners(frame: pd.DataFrame) -> Chunk:
    """Parse one row per box, with corners: VinBigData, VinDr-CXR, VinDr-SpineXR, VinDr-Mammo."""
    names = ("x_min", "y_min", "x_max", "y_max")
    if "x_min" not in frame:
        names = ("xmin", "ymin", "xmax", "ymax")
    corners = {to: _numbers(frame[name]) for to, name in zip(CORNERS, names, strict=True)}
    frame = frame.assign(**corners, score=_score(frame))
    if "finding_categories" in frame:
        frame = frame.assign(class_name=frame["finding_categories"].map(_literal_list))
        frame = frame.explode("class_name", ignore_index=True)
    elif "lesion_type" in frame:
        frame = frame.rename(columns={"lesion_type": "class_name"})
    nothing = frame["class_name"].str.lower().isin(_NOTHING)
    columns = {
        "key": frame["image_id"],
        "label": frame["class_name"].where(~nothing & (frame["class_name"] != ""), None),
        "kind": _kinds(nothing),
        "reader": _optional(frame, "rad_id"),
        "part": _optional(frame, "split", {"training": "train"}),
        "score": frame["score"],
        **{name: frame[name] for name in CORNERS},
    }
    return _make(columns, _classes(frame[~nothing]))


def _make(columns: dict[str, Any], classes: Iterable[Sequence[Any]] | None) -> Chunk:
    """Build the table; placeholder boxes of kind "nothing" (no area, or 0 0 1 1) are removed.

    Other boxes of kind "nothing" stay, and `Boxes.check` lists them.
    """
    import numpy as np

    columns = {name: np.asarray(c) for name, c in columns.items() if c is not None}
    corners = [columns[name].astype(float) for name in CORNERS]
    x0, y0, x1, y1 = map(np.nan_to_num, corners)
    empty = (x1 <= x0) | (y1 <= y0) | ((x0 == 0) & (y0 == 0) & (x1 == 1) & (y1 == 1))
    placeholder = empty & (columns["kind"] == "nothing")
    corners = [np.where(placeholder, np.nan, values) for values in corners]
    table = make_table(columns | dict(zip(CORNERS, corners, strict=True)))
    return table, None if classes is None else {(str(i), str(n)): None for i, n in classes}


def _classes(frame: pd.DataFrame) -> list[tuple[str, str]] | None:
    """(id, name) of the classes, sorted by id; None without ids."""
    if "class_id" not in frame:
        return None
    pairs = frame[["class_id", "class_name"]].drop_duplicates().itertuples(index=False)
    return sorted((tuple(pair) for pair in pairs), key=lambda pair: (int(pair[0]), pair[1]))


def _read_rsna(frame: pd.DataFrame) -> Chunk:
    """Parse one row per box, as x, y, width, height; rows with Target 0 have no box."""
    x, y, width, height = (_numbers(frame[name]) for name in ("x", "y", "width", "height"))
    blank = x.isna() & y.isna() & width.isna() & height.isna()
    nothing = _numbers(frame["Target"]) == 0 if "Target" in frame else blank
    columns = {
        "key": frame["patientId"],
        "label": nothing.map({True: None, False: OPACITY}),
        "kind": _kinds(nothing),
        **dict(zip(CORNERS, (x, y, x + width, y + height), strict=True)),
        "score": _score(frame),
    }
    return _make(columns, [("1", OPACITY)])


def _read_siim(frame: pd.DataFrame) -> Chunk:
    """Parse one row per image: `label` has corners, `boxes` has sizes; both must agree."""
    rows = _new_rows()
    for name, text, listed in zip(frame["id"], frame["label"], frame["boxes"], strict=True):
        boxes = _parse_siim(text)
        labelled = [box[2:] for box in boxes if box[0]]
        if listed and not _same_boxes(labelled, ast.literal_eval(listed)):
            raise UsageError(f"{name}: the columns label and boxes have different boxes")
        for label, _, *corners in boxes:
            _add(rows, name.removesuffix("_image"), label, None, corners)
    return _make(rows, [("1", OPACITY)])


def _parse_siim(text: str) -> list[tuple[Any, ...]]:
    """Parse `opacity 1 x y x y none 1 0 0 1 1`: (label or None, confidence, x0, y0, x1, y1)."""
    words = text.split()
    if len(words) % 6:
        raise UsageError(f"{text[:60]!r}: expected six words per box, label confidence x0 y0 x1 y1")
    groups = [words[at : at + 6] for at in range(0, len(words), 6)]
    return [
        (None if name.lower() in _NOTHING else OPACITY, *map(_number, rest))
        for name, *rest in groups
    ]


def _same_boxes(corners: Sequence[Sequence[float]], listed: Any) -> bool:
    """Compare corners with dictionaries of x, y, width, height, to half a pixel."""
    sizes = [(b["x"], b["y"], b["x"] + b["width"], b["y"] + b["height"]) for b in listed]
    pairs = zip(sorted(map(tuple, corners)), sorted(sizes), strict=False)
    near = all(abs(p - q) <= 0.5 for a, b in pairs for p, q in zip(a, b, strict=True))
    return len(sizes) == len(corners) and near


def _read_submission(frame: pd.DataFrame) -> Chunk:
    """Parse one row per image: `PredictionString` in the format of one of three competitions."""
    name = next(n for n in ("image_id", "patientId", "id") if n in frame)
    rows, classes = _new_rows(), set()
    for key, text in zip(frame[name], frame["PredictionString"], strict=True):
        if key.endswith("_study"):
            continue  # study-level classes have no boxes
        if name == "id":
            boxes = _parse_siim(text)
        else:
            boxes = _parse_numbers(key, text, 5 if name == "patientId" else 6)
        for label, score, *corners in boxes or [(None, None, None, None, None, None)]:
            _add(rows, key.removesuffix("_image"), label, score, corners)
            classes.add(label)
    if name != "image_id":
        return _make(rows, [("1", OPACITY)])
    numbered = {int(label) for label in classes - {None}} | set(VINBIGDATA)
    return _make(rows, [(n, VINBIGDATA.get(n, n)) for n in sorted(numbered)])


def _parse_numbers(key: str, text: str, count: int) -> list[tuple[Any, ...]]:
    """Parse six numbers per box (class and corners, VinBigData), or five (width and height)."""
    words = text.split()
    if len(words) % count:
        raise UsageError(f"{key}: {len(words)} numbers, which is not a multiple of {count}")
    groups = [words[at : at + count] for at in range(0, len(words), count)]
    if count == 6:
        return [(None if c == "14" else str(int(c)), *map(_number, rest)) for c, *rest in groups]
    boxes = [tuple(map(_number, group)) for group in groups]
    return [(OPACITY, s, x, y, x + w, y + h) for s, x, y, w, h in boxes]


VINBIGDATA = dict(
    enumerate(
        (
            "Aortic enlargement",
            "Atelectasis",
            "Calcification",
            "Cardiomegaly",
            "Consolidation",
            "ILD",
            "Infiltration",
            "Lung Opacity",
            "Nodule/Mass",
            "Other lesion",
            "Pleural effusion",
            "Pleural thickening",
            "Pneumothorax",
            "Pulmonary fibrosis",
        )
    )
)
"""Classes of VinBigData by id; 14 is "No finding"."""


def _new_rows() -> Rows:
    return {n: [] for n in ("key", "label", "kind", "score", "x0", "y0", "x1", "y1")}


def _add(rows: Rows, key: str, label: str | None, score: float | None, corners: Any) -> None:
    """Append a row; without a label its kind is "nothing"."""
    if label is not None and label.isdecimal():
        label = VINBIGDATA.get(int(label), label)
    values = (key, label, "box" if label is not None else "nothing", score, *corners)
    for column, value in zip(rows.values(), values, strict=True):
        column.append(value)


def _numbers(column: pd.Series[str]) -> pd.Series[float]:
    """Parse numbers; empty fields become NaN. Raises UsageError for other text."""
    import numpy as np
    import pandas as pd

    empty = column.str.lower().isin(["", "nan", "none", "null"])
    numbers = pd.to_numeric(column.where(~empty), errors="coerce").astype(float)
    invalid = ~np.isfinite(numbers) & ~empty
    if invalid.any():
        raise UsageError(f"{column.name} of line {int(invalid.idxmax()) + 2} is not a number")
    return numbers


def _number(text: str) -> float:
    if not math.isfinite(number := float(text)):
        raise ValueError(f"{text!r} is not a number")
    return number


def _kinds(nothing: pd.Series[bool]) -> pd.Series[str]:
    return nothing.map({True: "nothing", False: "box"})


def _optional(frame: pd.DataFrame, name: str, renamed: Mapping[str, str] | None = None) -> Any:
    """Text column with some values renamed and empty fields null; None without the column."""
    if name not in frame:
        return None
    return frame[name].replace(renamed or {}).where(frame[name] != "", None)


def _score(frame: pd.DataFrame) -> Any:
    """Scores of predictions; None without such a column."""
    names = [name for name in ("score", "confidence", "conf") if name in frame]
    return _numbers(frame[names[0]]) if names else None


def _literal_list(text: str) -> list[str]:
    values = ast.literal_eval(text) if text.startswith("[") else [text]
    return [str(value) for value in values] or [NOTHING]


_CORNERS = {"x_min", "y_min", "x_max", "y_max"}
_SHORT = {"xmin", "ymin", "xmax", "ymax"}
DIALECTS = (
    Dialect(
        "vinbigdata",
        (
            frozenset({"image_id", "class_name", "class_id", "rad_id", *_CORNERS}),
            frozenset({"image_id", "class_name", "class_id", *_CORNERS}),
        ),
        _read_corners,
    ),
    Dialect(
        "vindr",
        (
            frozenset({"image_id", "class_name", "rad_id", *_CORNERS}),
            frozenset({"image_id", "class_name", *_CORNERS}),
            frozenset({"image_id", "lesion_type", *_SHORT}),
            frozenset({"image_id", "finding_categories", *_SHORT}),
        ),
        _read_corners,
    ),
    Dialect("rsna-pneumonia", (frozenset({"patientId", "x", "y", "width", "height"}),), _read_rsna),
    Dialect("siim-covid", (frozenset({"id", "label", "boxes"}),), _read_siim),
    Dialect(
        "submission",
        tuple(frozenset({n, "PredictionString"}) for n in ("image_id", "patientId", "id")),
        _read_submission,
    ),
)

"""The tables of the competitions: labels of readers, and submissions."""

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

from wetread.boxes.collection import Boxes
from wetread.boxes.formats import open_text
from wetread.boxes.table import CORNERS, make_table
from wetread.common.text import unguard_cell
from wetread.errors import UsageError

if TYPE_CHECKING:
    import pandas as pd

NOTHING = "No finding"
_NOTHING = ("no finding", "none", "normal")
"""How label files say that a reader found nothing, in lower case."""
OPACITY = "Lung Opacity"
"""What RSNA's Target 1 and SIIM's "opacity" mean; the forms have no other class."""
Rows = dict[str, list[Any]]
Named = dict[tuple[str, str], None]
"""(id, name) of classes, without order."""
Read = tuple[pa.Table, Named | None]
"""Rows of a part of a table, and its classes; None where they have no ids."""
_ROWS = 1 << 15
"""Rows of a CSV file that are Python's objects at once."""
_WRONG = (ValueError, SyntaxError, LookupError, TypeError, RecursionError, MemoryError)


@dataclass(frozen=True, slots=True)
class Dialect:
    """A form of table: how to know it by its columns, and how to read it."""

    name: str
    columns: tuple[frozenset[str], ...]
    """Sets of columns; a table that has all of one of them is of this form."""
    read: Callable[[pd.DataFrame], Read]


def read_table(path: str, format: str | None = None) -> Boxes:
    """Boxes from a CSV file, which may be gzipped, in the form its columns tell.

    Raises:
        UsageError: columns that fit no form, or several.
    """
    tables: list[pa.Table] = []
    classes: dict[tuple[str, str], None] | None = {}
    with closing(_read_csv(path)) as frames:
        for frame in frames:
            dialect = _recognise(path, set(frame.columns), format)
            try:
                table, named = dialect.read(frame)
                tables.append(table)
                classes = None if named is None or classes is None else classes | named
            except _WRONG as error:
                if isinstance(error, UsageError):
                    raise UsageError(f"{path}: {error}") from error
                raise UsageError(f"{path}: not in the form {dialect.name}: {error}") from error
    rows = pa.concat_tables(tables)
    columns = {name: rows[name] for name in rows.column_names}
    in_order = classes and sorted(classes, key=lambda pair: (int(pair[0]), pair[1]))
    return Boxes.from_columns(columns, in_order, dialect=dialect.name)


def _read_csv(path: str) -> Generator[pd.DataFrame]:
    """Every field as text, without spaces around it; some rows at a time, numbered by the index.

    All of a large file as Python's objects takes gigabytes. Of a file without rows there is one
    frame, without rows.
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
                said = ", ".join(names)
                raise UsageError(f"{path}: two columns have one name; its columns: {said}")
            start = 0
            while (rows := list(islice(lines, _ROWS))) or not start:
                for number, row in enumerate(rows, start + 2):
                    if len(row) != len(names):
                        said = f"line {number} has {len(row)} fields, the first {len(names)}"
                        raise UsageError(f"{path}: {said}")
                index = range(start, start + len(rows))
                yield pd.DataFrame(rows, index, names, dtype=object)
                start += max(len(rows), 1)
        except csv.Error as error:
            raise UsageError(f"{path} is no CSV file: {error}") from error


def _recognise(path: str, columns: set[str], format: str | None) -> Dialect:
    matched = {
        d.name: max((w for w in d.columns if w <= columns), key=len, default=None)
        for d in DIALECTS
        if format in (None, d.name)
    }
    sets = [want for want in matched.values() if want is not None]
    # A form that asks for less than another that fits too is not meant.
    names = [n for n, want in matched.items() if want and not any(want < other for other in sets)]
    fitting = [d for d in DIALECTS if d.name in names]
    if len(fitting) == 1:
        return fitting[0]
    known = "; ".join(f"{d.name}: {', '.join(sorted(d.columns[0]))}" for d in DIALECTS)
    what = "fits several forms, give format=" if fitting else f"is not in the form {format or ''}"
    if not fitting and format is None:
        what = "is in no form that is known"
    raise UsageError(f"{path} {what}; its columns: {', '.join(sorted(columns))}; known: {known}")


def _read_corners(frame: pd.DataFrame) -> Read:
    """A row a box with its corners: VinBigData, VinDr-CXR, VinDr-SpineXR, VinDr-Mammo."""
    ends = ("x_min", "y_min", "x_max", "y_max")
    if "x_min" not in frame:
        ends = ("xmin", "ymin", "xmax", "ymax")
    corners = {to: _numbers(frame[name]) for to, name in zip(CORNERS, ends, strict=True)}
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


def _make(columns: dict[str, Any], classes: Iterable[Sequence[Any]] | None) -> Read:
    """Rows of boxes; where nothing was found, one without area or of one pixel at 0, 0 is no place.

    Another stays, for `Boxes.check` to say so.
    """
    import numpy as np

    columns = {name: np.asarray(c) for name, c in columns.items() if c is not None}
    places = [columns[name].astype(float) for name in CORNERS]
    x0, y0, x1, y1 = map(np.nan_to_num, places)
    empty = (x1 <= x0) | (y1 <= y0) | ((x0 == 0) & (y0 == 0) & (x1 == 1) & (y1 == 1))
    blank = empty & (columns["kind"] == "nothing")
    corners = [np.where(blank, np.nan, place) for place in places]
    table = make_table(columns | dict(zip(CORNERS, corners, strict=True)))
    named = None if classes is None else {(str(i), str(n)): None for i, n in classes}
    return table, named


def _classes(frame: pd.DataFrame) -> list[tuple[str, str]] | None:
    """(id, name) in the order of the ids, where there are ids."""
    if "class_id" not in frame:
        return None
    pairs = frame[["class_id", "class_name"]].drop_duplicates().itertuples(index=False)
    return sorted((tuple(pair) for pair in pairs), key=lambda pair: (int(pair[0]), pair[1]))


def _read_rsna(frame: pd.DataFrame) -> Read:
    """A row a box as x, y, width, height; Target 0 has none."""
    x, y, width, height = (_numbers(frame[name]) for name in ("x", "y", "width", "height"))
    without = x.isna() & y.isna() & width.isna() & height.isna()
    nothing = _numbers(frame["Target"]) == 0 if "Target" in frame else without
    columns = {
        "key": frame["patientId"],
        "label": nothing.map({True: None, False: OPACITY}),
        "kind": _kinds(nothing),
        **dict(zip(CORNERS, (x, y, x + width, y + height), strict=True)),
        "score": _score(frame),
    }
    return _make(columns, [("1", OPACITY)])


def _read_siim(frame: pd.DataFrame) -> Read:
    """A row an image: `label` with corners, and `boxes` with width and height; they must agree."""
    rows = _new_rows()
    for name, text, listed in zip(frame["id"], frame["label"], frame["boxes"], strict=True):
        found = _parse_siim(text)
        drawn = [b[2:] for b in found if b[0]]
        if listed and not _same_boxes(drawn, ast.literal_eval(listed)):
            raise UsageError(f"{name}: the columns label and boxes do not agree")
        for label, _, *corners in found:
            _add(rows, name.removesuffix("_image"), label, None, corners)
    return _make(rows, [("1", OPACITY)])


def _parse_siim(text: str) -> list[tuple[Any, ...]]:
    """(label or None, confidence, x0, y0, x1, y1) of `opacity 1 x y x y none 1 0 0 1 1`."""
    words = text.split()
    if len(words) % 6:
        raise UsageError(f"{text[:60]!r}: six words a box, label confidence x0 y0 x1 y1")
    groups = [words[at : at + 6] for at in range(0, len(words), 6)]
    return [
        (None if name.lower() in _NOTHING else OPACITY, *map(_number, rest))
        for name, *rest in groups
    ]


def _same_boxes(corners: Sequence[Sequence[float]], listed: Any) -> bool:
    """Whether corners are the listed dictionaries of x, y, width, height, to half a pixel."""
    sizes = [(b["x"], b["y"], b["x"] + b["width"], b["y"] + b["height"]) for b in listed]
    pairs = zip(sorted(map(tuple, corners)), sorted(sizes), strict=False)
    near = all(abs(p - q) <= 0.5 for a, b in pairs for p, q in zip(a, b, strict=True))
    return len(sizes) == len(corners) and near


def _read_submission(frame: pd.DataFrame) -> Read:
    """A row an image: `PredictionString`, in one of three competitions' forms."""
    name = next(n for n in ("image_id", "patientId", "id") if n in frame)
    rows, classes = _new_rows(), set()
    for key, text in zip(frame[name], frame["PredictionString"], strict=True):
        if key.endswith("_study"):
            continue  # a study's classes; they have no boxes
        if name == "id":
            found: list[tuple[Any, ...]] = _parse_siim(text)
        else:
            found = _parse_numbers(key, text, 5 if name == "patientId" else 6)
        for label, score, *corners in found or [(None, None, None, None, None, None)]:
            _add(rows, key.removesuffix("_image"), label, score, corners)
            classes.add(label)
    if name != "image_id":
        return _make(rows, [("1", OPACITY)])
    numbered = {int(label) for label in classes - {None}} | set(VINBIGDATA)
    return _make(rows, [(n, VINBIGDATA.get(n, n)) for n in sorted(numbered)])


def _parse_numbers(key: str, text: str, count: int) -> list[tuple[Any, ...]]:
    """Six numbers a box with class and corners (VinBigData), or five with width and height."""
    words = text.split()
    if len(words) % count:
        raise UsageError(f"{key}: {len(words)} numbers, which is no multiple of {count}")
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
"""VinBigData's classes by id; 14 is No finding."""


def _new_rows() -> Rows:
    return {n: [] for n in ("key", "label", "kind", "score", "x0", "y0", "x1", "y1")}


def _add(rows: Rows, key: str, label: str | None, score: float | None, corners: Any) -> None:
    """One row; without a label it is "nothing"."""
    if label is not None and label.isdecimal():
        label = VINBIGDATA.get(int(label), label)
    values = (key, label, "box" if label is not None else "nothing", score, *corners)
    for column, value in zip(rows.values(), values, strict=True):
        column.append(value)


def _numbers(column: pd.Series[str]) -> pd.Series[float]:
    """Numbers; NaN where a field is empty. Raises UsageError for what is neither."""
    import numpy as np
    import pandas as pd

    empty = column.str.lower().isin(["", "nan", "none", "null"])
    numbers = pd.to_numeric(column.where(~empty), errors="coerce").astype(float)
    wrong = ~np.isfinite(numbers) & ~empty
    if wrong.any():
        raise UsageError(f"{column.name} of line {int(wrong.idxmax()) + 2} is no number")
    return numbers


def _number(text: str) -> float:
    if not math.isfinite(number := float(text)):
        raise ValueError(f"{text!r} is no number")
    return number


def _kinds(nothing: pd.Series[bool]) -> pd.Series[str]:
    return nothing.map({True: "nothing", False: "box"})


def _optional(frame: pd.DataFrame, name: str, words: Mapping[str, str] | None = None) -> Any:
    """A column of texts, some of which are ours in other words; null where a field is empty."""
    if name not in frame:
        return None
    return frame[name].replace(words or {}).where(frame[name] != "", None)


def _score(frame: pd.DataFrame) -> Any:
    """A column of scores makes the boxes predictions."""
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

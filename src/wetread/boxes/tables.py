"""Tables of boxes: files and DataFrames, in a known format or any other."""

from __future__ import annotations

import os
import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from contextlib import closing
from typing import TYPE_CHECKING, Any, NamedTuple

import pyarrow as pa

from wetread.boxes.cells import (
    EMPTY,
    NOTHING,
    REASON,
    Chunk,
    ClassSet,
    check_readable,
    make_rows,
    mark,
    optional,
    parse_cells,
    parse_frame,
    parse_literal,
    parse_number,
    parse_numbers,
)
from wetread.boxes.columns import Form, map_roles, normal_name
from wetread.boxes.delimited import from_frame, read_delimited
from wetread.boxes.kaggle import DIALECTS, Dialect
from wetread.boxes.sizes import Size
from wetread.boxes.table import BOX_SCHEMA, CORNERS, KINDS, BoxTable, PathLike
from wetread.common.text import counted, parse_id
from wetread.errors import UnknownNameError, UsageError, suggest

if TYPE_CHECKING:
    import pandas as pd

_OWN = frozenset({"key", "kind", *CORNERS})
"""Columns of `Boxes.to_pandas`."""
TABLE = "table"
"""Name of the format of tables that are not of a known data set."""
_MOST_SHARE = 1.01
"""Coordinates up to it may be shares of the image, with rounding."""
_NO_SHARE = 2.0
"""If all boxes end beyond it, coordinates are no shares of the image."""
_TRUE, _FALSE = ("1", "1.0", "true", "yes"), (*EMPTY, "0", "0.0", "false", "no")


class Layout(NamedTuple):
    """Meaning of the columns of a table that is not in the format of a known data set."""

    columns: Mapping[str, str] | None = None
    """Column by role; see `columns.map_roles`."""
    form: Form | None = None
    normalised: bool | None = None
    """True if coordinates are shares of the image; None refuses such values."""
    sizes: dict[str, Size] | None = None
    """Filled with the sizes of the images that the table states, by key."""

    @property
    def given(self) -> bool:
        """True if any of the meanings is given."""
        return any(value is not None for value in self[:3])


def read_table(
    source: PathLike | pd.DataFrame, format: str | None = None, layout: Layout | None = None
) -> BoxTable:
    """Boxes of a CSV file or a DataFrame, in the format of its columns.

    A row that cannot be read is kept with the flag "unreadable"; see `cells.make_rows`.

    Raises:
        UsageError: columns that match no format, or several, or a file of which no row can be read.
    """
    layout = layout or Layout()
    path = os.fspath(source) if isinstance(source, str | os.PathLike) else "the DataFrame"
    tables: list[pa.Table] = []
    classes: ClassSet | None = {}
    name = TABLE
    frames = read_delimited(path) if isinstance(source, str | os.PathLike) else _once(source)
    with closing(frames):
        for frame in frames:
            columns = [column for column in frame.columns if column != REASON]
            dialect = None if layout.given else _recognise(path, columns, format)
            try:
                chunk = dialect.read(frame) if dialect else _read_any(frame, columns, layout)
            except UnknownNameError:
                raise
            except UsageError as error:
                raise UsageError(f"{path}: {error}") from error
            name = dialect.name if dialect else TABLE
            tables.append(chunk[0])
            classes = None if chunk[1] is None or classes is None else classes | chunk[1]
    rows = pa.concat_tables(tables)
    check_readable(path, rows)
    in_order = classes and sorted(classes, key=_class_key)
    return BoxTable.from_columns(
        {name: rows[name] for name in rows.column_names}, in_order, dialect=name
    )


def _once(frame: pd.DataFrame) -> Any:
    return (text for text in [from_frame(frame)])


def _class_key(pair: tuple[str, str]) -> tuple[bool, int, str, str]:
    """Sort key of (id, name); ids that are numbers are sorted as numbers."""
    number = int(pair[0]) if re.fullmatch(r"\d{1,18}", pair[0]) else 0
    return (not pair[0].isdecimal(), number, *pair)


def _recognise(path: str, columns: Sequence[str], format: str | None) -> Dialect | None:
    """Format of the columns; None for a table that is not of a known data set."""
    if format == TABLE:
        return None
    have = set(columns)
    matched = {
        d.name: max((names for names in d.columns if names <= have), key=len, default=None)
        for d in DIALECTS
        if format in (None, d.name)
    }
    sets = [names for names in matched.values() if names is not None]
    # Of two matching formats the one with more columns is meant.
    best = {n for n, names in matched.items() if names and not any(names < s for s in sets)}
    dialects = [d for d in DIALECTS if d.name in best]
    if len(dialects) == 1:
        return dialects[0]
    if not dialects and format is None:
        return None
    if dialects:
        names = ", ".join(d.name for d in dialects)
        raise UsageError(f"{path} matches several formats, give format= of {names}")
    (wanted,) = (d for d in DIALECTS if d.name == format)
    missing = sorted(min(wanted.columns, key=lambda names: len(names - have)) - have)
    near = [f"{n!r}: did you mean {c}?" for n in missing for c in suggest(n, columns)[:1]]
    raise UsageError(
        f"{path} does not have the format {format}: {', '.join(missing)} missing"
        f"{'; ' * bool(near)}{' '.join(near)}; its columns: {', '.join(columns)}"
    )


def _read_any(frame: pd.DataFrame, columns: Sequence[str], layout: Layout) -> Chunk:
    """Parse a table by the roles of its columns."""
    import pandas as pd

    if set(columns) >= _OWN and not layout.given:
        return _read_own(frame)
    roles = map_roles(columns, layout.columns, layout.form)
    names = roles.names
    if roles.numbers:
        numbers = [parse_numbers(frame, name) for name in roles.numbers]
        frame = frame.assign(**{f"\0{n}": values for n, values in enumerate(numbers)})
        form = roles.form or "xyxy"
    else:
        frame, form = _explode(frame, names["box"], names.get("label"), roles.form)
    numbers = [frame[f"\0{n}"] for n in range(2 if form == "xy" else 4)]
    corners = _to_corners(numbers, form, 0.0 if layout.normalised else 0.5)
    label = frame[names["label"]] if "label" in names else frame[REASON].map(lambda _: "")
    label = label.astype(object)  # without rows, pandas has made it numbers
    absent = label.str.lower().isin(EMPTY)
    blank = pd.DataFrame(corners).isna().all(axis=1)
    nothing = label.str.lower().isin(NOTHING) | (absent & blank)
    label = label.map(parse_id).where(~nothing & ~absent, None)
    mark(frame, frame[names["image"]].isin(EMPTY), "{place} names no image")
    _check_range(corners, nothing, layout.normalised)
    columns_: dict[str, Any] = {
        "key": frame[names["image"]],
        "label": label,
        "kind": nothing.map({True: "nothing", False: "point" if form == "xy" else "box"}),
        "reader": optional(frame, names.get("reader", "")),
        "part": optional(frame, names.get("part", ""), {"training": "train"}),
        **corners,
    }
    if "score" in names:
        columns_["score"] = parse_numbers(frame, names["score"])
    if "frame" in names:
        columns_["frame"] = parse_cells(frame, names["frame"], parse_frame)
    if "ignore" in names:
        columns_["ignore"] = parse_cells(frame, names["ignore"], _parse_flag)
    if layout.sizes is not None:
        layout.sizes.update(_stated_sizes(frame, names["image"], {*roles.numbers, *names.values()}))
    classes = None
    if "class_id" in names and names["class_id"] != names.get("label"):
        pairs = zip(frame[names["class_id"]], label, strict=True)
        classes = [(i, n) for i, n in dict.fromkeys(pairs) if i.lower() not in EMPTY and n]
    return make_rows(frame, columns_, classes)


def _stated_sizes(frame: pd.DataFrame, image: str, used: set[str]) -> dict[str, Size]:
    """Sizes of the images by key, if there are columns of width and height beside the boxes."""
    names = {normal_name(column): column for column in frame.columns if column not in used}
    for prefix in ("", "image", "img"):
        if f"{prefix}width" in names and f"{prefix}height" in names:
            columns = image, names[f"{prefix}height"], names[f"{prefix}width"]
            stated = frame[list(columns)].drop_duplicates().itertuples(index=False)
            pairs = ((key, parse_id(rows), parse_id(width)) for key, rows, width in stated)
            return {k: (int(r), int(c)) for k, r, c in pairs if r.isdecimal() and c.isdecimal()}
    return {}


def _parse_flag(text: str) -> bool:
    if text.lower() not in (*_TRUE, *_FALSE):
        raise ValueError(f"{text!r} is neither 0 nor 1")
    return text.lower() in _TRUE


def _read_own(frame: pd.DataFrame) -> Chunk:
    """Parse columns of BOX_SCHEMA, as `Boxes.to_pandas` names them."""
    columns: dict[str, Any] = {}
    for field in BOX_SCHEMA:
        if field.name not in frame:
            continue
        if field.name in _OWN_CELLS:
            columns[field.name] = parse_cells(frame, field.name, _OWN_CELLS[field.name])
        elif pa.types.is_string(field.type):
            columns[field.name] = optional(frame, field.name)
        else:
            numbers = parse_numbers(frame, field.name)
            columns[field.name] = numbers.astype(object).where(numbers.notna(), None)
    return make_rows(frame, columns, None)


def _parse_flags(text: str) -> list[str]:
    value = parse_literal(text)
    if isinstance(value, str):
        return [value] * bool(value)
    return [str(flag) for flag in value]


def _parse_kind(text: str) -> str:
    if text.lower() not in KINDS:
        raise ValueError(f"{text!r} is none of {', '.join(KINDS)}")
    return text.lower()


_OWN_CELLS: Mapping[str, Callable[[str], Any]] = {
    "kind": _parse_kind,
    "ignore": _parse_flag,
    "flags": _parse_flags,
    "frame": parse_frame,
}
"""Parsers of columns of `Boxes.to_pandas` that are neither text nor numbers."""


def _to_corners(numbers: Sequence[pd.Series[float]], form: Form, centre: float) -> dict[str, Any]:
    """Edges from the numbers of a box; `centre` is that of the pixel 0, for points."""
    if form == "xy":
        x, y = (values + centre for values in numbers)
        return dict(zip(CORNERS, (x, y, x, y), strict=True))
    a, b, c, d = numbers
    if form == "xywh":
        c, d = a + c, b + d
    elif form == "cxcywh":
        a, b, c, d = a - c / 2, b - d / 2, a + c / 2, b + d / 2
    return dict(zip(CORNERS, (a, b, c, d), strict=True))


def _check_range(corners: Mapping[str, Any], nothing: Any, normalised: bool | None) -> None:
    """Refuse shares of the image that are not declared, and declared ones that are none."""
    values = [corners[name][~nothing].dropna() for name in CORNERS]
    fractions = any((v % 1 != 0).any() for v in values)
    if normalised is None and fractions and max(v.max() for v in values) <= _MOST_SHARE:
        raise UsageError(
            "all coordinates are at most 1: give normalised=True if they are shares of the image, "
            "normalised=False if they are pixels"
        )
    if normalised and len(values[2]) and values[2].min() > _NO_SHARE < values[3].min():
        raise UsageError(
            f"normalised=True, but the coordinates are up to {max(v.max() for v in values):g}: "
            "shares of the image are from 0 to 1; of percentages give image_size=(100, 100) instead"
        )


def _explode(
    frame: pd.DataFrame, name: str, label: str | None, form: Form | None
) -> tuple[pd.DataFrame, Form]:
    """One row per box of a column with numbers, lists or dictionaries; and their form."""
    forms: dict[Form, None] = {}

    def parse(text: str) -> list[tuple[float, ...]]:
        boxes, own = parse_boxes(text)
        forms.update({own: None} if own else {})
        return boxes

    found = parse_cells(frame, name, parse)
    if len(forms) > 1:
        raise UsageError(f"column {name} has boxes of several forms: {', '.join(forms)}")
    form = form or next(iter(forms), None)
    if form is None and any(map(bool, found)):
        raise UsageError(
            f"column {name} has four numbers per box: give form=xywh, form=xyxy or form=cxcywh"
        )
    form = form or "xyxy"
    count = 2 if form == "xy" else 4
    frame = frame.assign(**{"\0box": found})
    if label is not None:
        frame[label] = _spread(frame, label, found)
    wrong = [any(len(box) != count for box in boxes or ()) for boxes in found]
    mark(frame, wrong, f"a box of {{place}} does not have {count} numbers")
    both = ["\0box", label] if label else ["\0box"]
    frame["\0box"] = [[None] if not b or bad else b for b, bad in zip(found, wrong, strict=True)]
    if label is not None:
        frame[label] = [
            list(t) if len(t) == len(b) else [t[0] if t else ""] * len(b)
            for t, b in zip(frame[label], frame["\0box"], strict=True)
        ]
    frame = frame.explode(both)
    if label is not None:
        frame[label] = frame[label].map(lambda v: "" if v is None or v != v else str(v))
    for number in range(count):
        values = [None if box is None else box[number] for box in frame["\0box"]]
        frame[f"\0{number}"] = [float("nan") if v is None else v for v in values]
    return frame, form


def _spread(frame: pd.DataFrame, label: str, found: Sequence[Any]) -> list[list[str]]:
    """Labels of each row: one per box, or one for all."""
    listed = parse_cells(frame, label, parse_literal)
    labels = [list(value) if isinstance(value, list | tuple) else [value] for value in listed]
    wrong = [
        len(names) not in (1, len(boxes or ())) for names, boxes in zip(labels, found, strict=True)
    ]
    mark(frame, wrong, "{place} does not have one label per box")
    return [[str(n) for n in names if n is not None] for names in labels]


_KEYS: dict[Form, tuple[str, ...]] = {
    "xyxy": ("x0 y0 x1 y1", "x1 y1 x2 y2", "xmin ymin xmax ymax", "x_min y_min x_max y_max"),
    "xywh": ("x y width height", "x y w h", "left top width height"),
    "cxcywh": ("cx cy w h", "x_center y_center width height"),
    "xy": ("x y",),
}
"""Keys of the dictionaries of a cell, by form."""


def parse_boxes(text: str) -> tuple[list[tuple[float, ...]], Form | None]:
    """Boxes of a cell, and their form if dictionaries name it.

    >>> parse_boxes("[[1, 2, 3, 4], [5, 6, 7, 8]]")
    ([(1.0, 2.0, 3.0, 4.0), (5.0, 6.0, 7.0, 8.0)], None)
    >>> parse_boxes("1 2 3 4; 5 6 7 8")[0] == parse_boxes("1,2,3,4,5,6,7,8")[0]
    True
    >>> parse_boxes("{'x': 1, 'y': 2, 'width': 3, 'height': 4}")
    ([(1.0, 2.0, 3.0, 4.0)], 'xywh')
    """
    if text.lower() in (*EMPTY, "[]", "{}"):
        return [], None
    value = parse_literal(text)
    if isinstance(value, str):
        numbers = [parse_number(word) for word in re.split(r"[\s,;|]+", value) if word]
        if len(numbers) % 4 and len(numbers) != 2:
            raise UsageError(f"{counted(len(numbers), 'number')}, which is not a multiple of 4")
        step = 2 if len(numbers) == 2 else 4
        return [tuple(numbers[at : at + step]) for at in range(0, len(numbers), step)], None
    if isinstance(value, dict) or not any(isinstance(v, list | tuple | dict) for v in value):
        value = [value]
    return _parse_items(value)


def _parse_dictionary(item: Mapping[Any, Any]) -> tuple[Form, list[Any]]:
    for form, sets in _KEYS.items():
        for keys in map(str.split, sets):
            if set(keys) <= set(item):
                return form, [item[key] for key in keys]
    raise UsageError(f"a box with the keys {', '.join(map(str, item))[:100]}")


def _parse_items(items: Iterable[Any]) -> tuple[list[tuple[float, ...]], Form | None]:
    boxes: list[tuple[float, ...]] = []
    form: Form | None = None
    for item in items:
        if isinstance(item, dict):
            form, item = _parse_dictionary(item)
        boxes.append(tuple(parse_number(str(number)) for number in item))
    return boxes, form

"""Cells of label tables: parse columns of text, and mark rows that cannot be read."""

from __future__ import annotations

import ast
import math
import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

import pyarrow as pa

from wetread.boxes.table import CORNERS, UNREADABLE, PathLike, make_table
from wetread.common.text import parse_id
from wetread.errors import UsageError

if TYPE_CHECKING:
    import pandas as pd

REASON = "\0reason"
"""Column with the reason why a row cannot be read; empty for the others."""
NOTHING = ("no finding", "no findings", "none", "normal", "nothing")
"""Labels of a reading without a finding, in lower case."""
EMPTY = ("", "nan", "none", "null", "na", "n/a", "<na>", "nat")
"""Texts of an absent value, in lower case."""
ClassSet = dict[tuple[str, str], None]
"""(id, name) of classes, unordered."""
Chunk = tuple[pa.Table, ClassSet | None]
"""Rows of a part of the table, and its classes; None if they have no ids."""
_SHOWN = 60
"""Characters of a cell that an error shows."""
_LAST_FRAME = (1 << 31) - 1
PARSE_ERRORS = (ValueError, SyntaxError, LookupError, TypeError, RecursionError, MemoryError)


def mark(frame: pd.DataFrame, rows: Any, text: str, values: Sequence[Any] = ()) -> None:
    """Give a reason to rows of a boolean mask that have none.

    `{place}` in the text is the line or row, `{value}` that of `values`, which has one per row.
    """
    import numpy as np

    reasons = frame[REASON].to_numpy(object, copy=True)
    for number in np.flatnonzero(np.asarray(rows, bool) & (reasons == "")).tolist():
        reason = text.replace("{place}", f"{frame.index.name} {frame.index[number]}")
        reasons[number] = reason.replace("{value}", str(values[number])) if values else reason
    frame[REASON] = reasons


def parse_numbers(frame: pd.DataFrame, name: str) -> pd.Series[float]:
    """Column as numbers; empty cells become NaN, other text marks its row."""
    import numpy as np
    import pandas as pd

    empty = frame[name].str.lower().isin(EMPTY)
    numbers = pd.to_numeric(frame[name].where(~empty), errors="coerce").astype(float)
    numbers = numbers.where(np.isfinite(numbers))
    texts = [repr(text[:_SHOWN]) for text in frame[name]] if numbers.isna().any() else ()
    mark(frame, numbers.isna() & ~empty, f"{name} of {{place}} is not a number: {{value}}", texts)
    return numbers


def parse_cells(frame: pd.DataFrame, name: str, parse: Callable[[str], Any]) -> pd.Series[Any]:
    """Apply a function to each cell; where it fails the row is marked and the value None."""
    import pandas as pd

    values, reasons = [], []
    for text in frame[name]:
        reason = ""
        try:
            value = parse(text)
        except PARSE_ERRORS as error:
            value, reason = None, str(error)[:200]
        values.append(value)
        reasons.append(reason)
    mark(frame, [bool(reason) for reason in reasons], f"{name} of {{place}}: {{value}}", reasons)
    return pd.Series(values, frame.index, dtype=object)


def parse_number(text: str) -> float:
    """Finite number; ValueError for other text."""
    if not math.isfinite(number := float(text)):
        raise ValueError(f"{text!r} is not a number")
    return number


def parse_frame(text: str) -> int | None:
    """Frame number, counted from 0; None for an empty cell.

    Raises:
        ValueError: not a whole number from 0.

    >>> parse_frame("3.0"), parse_frame("")
    (3, None)
    """
    if text.lower() in EMPTY:
        return None
    number = float(text)
    if not 0 <= number <= _LAST_FRAME or number % 1:
        raise ValueError(f"{text[:_SHOWN]!r} is not a frame number from 0")
    return int(number)


def parse_literal(text: str) -> Any:
    """Python or JSON literal, never executed; other text unchanged.

    Raises ValueError for text that begins like a list but is none.

    >>> parse_literal("['Mass', 'ILD']"), parse_literal("Mass")
    (['Mass', 'ILD'], 'Mass')
    """
    if not text.startswith(("[", "{", "(")):
        return text
    try:
        return ast.literal_eval(re.sub(r"\b(nan|NaN|null)\b", "None", text))
    except PARSE_ERRORS as error:
        raise ValueError(f"{text[:_SHOWN]!r} is not a list or dictionary") from error


def optional(frame: pd.DataFrame, name: str, renamed: Mapping[str, str] | None = None) -> Any:
    """Text column with some values renamed and empty cells null; None without the column."""
    if name not in frame:
        return None
    return frame[name].replace(renamed or {}).where(~frame[name].str.lower().isin(EMPTY), None)


def parse_scores(frame: pd.DataFrame) -> Any:
    """Scores of predictions; None without such a column."""
    names = [name for name in ("score", "confidence", "conf") if name in frame]
    return parse_numbers(frame, names[0]) if names else None


def make_rows(
    frame: pd.DataFrame, columns: Mapping[str, Any], classes: Iterable[tuple[Any, Any]] | None
) -> Chunk:
    """Build the table from columns of boxes.

    Placeholder boxes of kind "nothing" (no area, or 0 0 1 1) are removed; other boxes of kind
    "nothing" stay, and `Boxes.check` lists them. Rows with a reason keep their name and get the
    flag "unreadable" in place of coordinates.
    """
    import numpy as np

    values: dict[str, Any] = {}
    for name, column in columns.items():
        if column is not None:
            values[name] = np.empty(len(frame), object)
            values[name][:] = list(column)
    corners = np.stack([values[name].astype(float) for name in CORNERS])
    x0, y0, x1, y1 = np.nan_to_num(corners)
    empty = (x1 <= x0) | (y1 <= y0) | ((x0 == 0) & (y0 == 0) & (x1 == 1) & (y1 == 1))
    placeholder = empty & (values["kind"] == "nothing")
    reasons = frame[REASON].to_numpy()
    unreadable = reasons != ""
    corners[:, placeholder | unreadable] = np.nan
    values["kind"] = np.where(unreadable, "box", values["kind"])
    flags = [f or [] for f in values.get("flags", [None] * len(frame))]
    pairs = zip(flags, reasons.tolist(), strict=True)
    values["flags"] = [[*f, f"{UNREADABLE}{text}"] if text else f for f, text in pairs]
    if "score" in values:
        values["score"] = values["score"].astype(float)
    table = make_table(values | dict(zip(CORNERS, corners, strict=True)))
    return table, None if classes is None else {
        (parse_id(str(i)), str(n)): None for i, n in classes
    }


def check_readable(path: PathLike, table: pa.Table) -> None:
    """Raise UsageError if no row of a file can be read: the file itself is wrong."""
    texts = [flag for flags in table["flags"].to_pylist() for flag in flags]
    texts = [text.removeprefix(UNREADABLE) for text in texts if text.startswith(UNREADABLE)]
    if texts and len(texts) == table.num_rows:
        raise UsageError(f"{path}: no row can be read: {texts[0]}")

"""Delimited text files (CSV) and DataFrames as columns of text."""

from __future__ import annotations

import csv
import re
from collections.abc import Generator, Iterable, Iterator
from itertools import chain
from typing import TYPE_CHECKING, Any

from wetread.boxes.cells import REASON
from wetread.boxes.formats import open_text
from wetread.common.text import counted, unguard_cell
from wetread.errors import UsageError

if TYPE_CHECKING:
    import pandas as pd

ROWS = 1 << 15
"""Rows per chunk of a file; limits the memory used by Python objects."""
_DELIMITERS = (",", ";", "\t", "|")
_EXCEL_TEXT = re.compile(r'^="([^"]*)"$')
"""Formula by which a file for Excel keeps leading zeros: ="007"."""
_DECIMAL_COMMA = re.compile(r"([+-]?\d+),(\d+)")


def read_delimited(path: str) -> Generator[pd.DataFrame]:
    """Read a file in chunks, every field as stripped text; the index has the line numbers.

    The delimiter is a comma, semicolon, tab or vertical bar, by the first line; with another one
    than the comma, numbers may have a decimal comma. Rows with more or fewer fields than the first
    line are marked (see `cells.mark`). A file without rows gives one empty chunk.

    Raises:
        UsageError: not text, empty, or two columns of the same name.
    """
    with open_text(path) as text:
        try:
            lines = _split(text)
            first = next(lines, None)
            if first is None:
                raise UsageError(f"{path} is empty")
            if first[1][0].startswith(("{", "[{")):
                raise UsageError(
                    f"{path} is JSON, not a table: give the DataFrame, pandas.read_json(path, "
                    "lines=True, dtype=False)"
                )
            names = _check_names(path, first[1])
            if any("\0" in name for name in names):
                raise UsageError(f"{path} is not a text file in UTF-8: save it as UTF-8")
            rows: list[tuple[int, list[str]]] = []
            some = False
            for number, fields in lines:
                rows.append((number, fields))
                if len(rows) == ROWS:
                    yield _to_frame(rows, names)
                    rows, some = [], True
            if rows or not some:
                yield _to_frame(rows, names)
        except csv.Error as error:
            raise UsageError(f"{path} is not a CSV file: {error}") from error


def _split(text: Iterable[str]) -> Iterator[tuple[int, list[str]]]:
    """Line number and fields of every row that is not blank."""
    lines = iter(text)
    skipped = 0
    for line in lines:
        skipped += 1
        stated = re.fullmatch(r"sep=(.)\s*", line)  # Excel
        if stated or line.strip():
            break
    else:
        return
    start = chain([] if stated else [line], lines)
    delimiter = stated[1] if stated else _find_delimiter(line)
    reader = csv.reader(start, delimiter=delimiter)
    for fields in reader:
        cells = [unguard_cell(field.strip()) for field in fields]
        cells = [_EXCEL_TEXT.sub(r"\1", c) if c.startswith("=") else c for c in cells]
        if delimiter != ",":
            cells = [_DECIMAL_COMMA.sub(r"\1.\2", c) if _is_decimal(c) else c for c in cells]
        if any(cells):
            yield reader.line_num + skipped - (not stated), cells


def _is_decimal(cell: str) -> bool:
    return "," in cell and _DECIMAL_COMMA.fullmatch(cell) is not None


def _find_delimiter(line: str) -> str:
    """Delimiter that gives the most fields.

    >>> _find_delimiter("image;label;'x, y'")
    ';'
    """
    counts = {d: len(next(csv.reader([line], delimiter=d), ())) for d in _DELIMITERS}
    return max(_DELIMITERS, key=lambda d: counts[d])


def _check_names(path: str, names: list[str]) -> list[str]:
    named = [name for name in names if name]
    if len(set(named)) < len(named):
        raise UsageError(f"{path}: two columns have the same name; its columns: {', '.join(names)}")
    return names


def _to_frame(rows: list[tuple[int, list[str]]], names: list[str]) -> pd.DataFrame:
    import pandas as pd

    reasons, cells = [], []
    for number, fields in rows:
        extra = any(fields[len(names) :])
        wrong = extra or len(fields) < len(names)
        text = f"line {number} has {counted(len(fields), 'field')}, the first line {len(names)}"
        hint = "; quote texts that contain the delimiter" if extra else ""
        reasons.append(text + hint if wrong else "")
        cells.append((fields + [""] * len(names))[: len(names)])
    index = pd.Index([number for number, _ in rows], dtype=object, name="line")
    frame = pd.DataFrame(cells, index, range(len(names)), dtype=object)
    kept = [number for number, name in enumerate(names) if name]
    frame = frame[kept].set_axis([names[number] for number in kept], axis=1)
    frame[REASON] = pd.Series(reasons, index, dtype=object)
    return frame


def from_frame(frame: pd.DataFrame) -> pd.DataFrame:
    """Columns of a DataFrame as text, as `read_delimited` gives those of a file.

    Raises:
        UsageError: two columns of the same name.
    """
    import pandas as pd

    names = _check_names("the DataFrame", [str(name) for name in frame.columns])
    index = pd.RangeIndex(len(frame)).astype(object)
    index.name = "row"
    columns = {
        name: pd.Series([_to_text(v) for v in frame.iloc[:, n].tolist()], index, dtype=object)
        for n, name in enumerate(names)
    }
    return pd.DataFrame({**columns, REASON: pd.Series([""] * len(frame), index, dtype=object)})


def _to_text(value: Any) -> str:
    if hasattr(value, "tolist"):  # NumPy
        value = value.tolist()
    if value is None or type(value).__name__ in ("NAType", "NaTType") or value != value:
        return ""
    return str(value).strip()

"""Facets: distribution of the values of a column."""

from __future__ import annotations

import math
from datetime import date, timedelta
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from wetread.common.text import natural_key
from wetread.table.query import name_column
from wetread.viewer.orders import distinct

MAX_VALUES, BINS = 50, 40
MAX_DISTINCT = 12
"""Numeric columns with at most this many distinct values are counted by value."""
_EPOCH = date(1970, 1, 1)


def column_type(type_: pa.DataType) -> str:
    """Type of a column, as sent to the browser.

    >>> column_type(pa.list_(pa.float64())), column_type(pa.int32()), column_type(pa.date32())
    ('list', 'number', 'date')
    """
    if pa.types.is_list(type_):
        return "list"
    if pa.types.is_boolean(type_):
        return "bool"
    if pa.types.is_date(type_) or pa.types.is_timestamp(type_):
        return "date"
    numbers = (pa.types.is_integer, pa.types.is_floating, pa.types.is_decimal)
    return "number" if any(is_(type_) for is_ in numbers) else "text"


def count_values(column: pa.ChunkedArray, name: str = "x") -> dict[str, Any]:
    """Count the most frequent values, or a histogram of numbers or dates with many distinct values.

    The items of lists are counted one by one, problems by their code; each comes with the SQL
    condition that selects it in the column `name`.

    >>> count_values(pa.chunked_array([["CT", "MR", "CT", None]]))
    {'kind': 'values', 'values': [['CT', 2], ['MR', 1]], 'other': 0, 'missing': 1}
    """
    missing, condition = 0, ""
    if pa.types.is_list(column.type):
        listed = name_column(name)
        if pa.types.is_struct(column.type.value_type) or name == "problems":
            listed = f"list_transform({listed}, lambda f: f.code)"
        condition = f"list_contains({listed}, {{}})"
        missing = int(pc.sum(pc.equal(pc.list_value_length(column).fill_null(0), 0)).as_py() or 0)
        column = pc.list_flatten(column)
        if pa.types.is_struct(column.type):
            column = pc.struct_field(column, 0)
    missing += column.null_count
    column = column.drop_null()
    if (kind := column_type(column.type)) in ("number", "date"):
        days = column.cast(pa.date32()).cast(pa.int32()) if kind == "date" else column
        numbers = np.asarray(days, np.float64)
        finite = numbers[np.isfinite(numbers)]
        if len(finite) and len(np.unique(finite[:100_000])) > MAX_DISTINCT:
            missing += len(numbers) - len(finite)
            return _histogram(finite, missing, kind == "date")
    counted = _frequent(column, missing)
    if condition:
        for value in counted["values"]:
            value.append(condition.format(_literal(value[0])))
    return counted


def count_images(boxes: pa.Table) -> dict[str, Any]:
    """Count the images of each value of a column of boxes: an image counts once per value.

    Args:
        boxes: row number of each box, and the column.

    >>> count_images(pa.table({"row": [0, 0, 1], "label": ["ILD", "ILD", None]}))
    {'kind': 'values', 'values': [['ILD', 1]], 'other': 0, 'missing': 0}
    """
    boxes = boxes.filter(boxes[1].is_valid())
    rows, column = boxes[0].to_numpy().astype(np.int64), boxes[1]
    if pa.types.is_floating(column.type) and len(column):
        edges = np.histogram_bin_edges(column.to_numpy(), BINS)
        codes = np.clip(np.searchsorted(edges, column.to_numpy(), "right") - 1, 0, BINS - 1)
        counts = np.bincount(_unique(rows, codes, BINS), minlength=BINS)
        ends = edges.tolist()
        bins = [[ends[i], ends[i + 1], int(count)] for i, count in enumerate(counts)]
        return {"kind": "histogram", "bins": bins, "missing": 0}
    names = column.combine_chunks()
    if not pa.types.is_dictionary(names.type):
        names = names.dictionary_encode()
    codes = _unique(rows, names.indices.to_numpy(), max(1, len(names.dictionary)))
    kept = pa.DictionaryArray.from_arrays(pa.array(codes.astype(np.int32)), names.dictionary)
    return _frequent(pa.chunked_array([kept]), 0)


def _unique(rows: NDArray[Any], codes: NDArray[Any], size: int) -> NDArray[Any]:
    """Codes below `size`, each once per row."""
    return distinct(rows * size + codes) % size


def _frequent(column: pa.ChunkedArray, missing: int) -> dict[str, Any]:
    """Counts in descending order; ties are sorted by value."""
    counted = pc.value_counts(column)
    values, counts = counted.field("values"), np.asarray(counted.field("counts"))
    if pa.types.is_dictionary(values.type):
        values = values.dictionary_decode()
    threshold = np.sort(counts)[-MAX_VALUES] if len(counts) > MAX_VALUES else 0
    shown = [
        (-int(counts[i]), _plain(values[int(i)].as_py()))
        for i in np.flatnonzero(counts > threshold)
    ]
    if threshold:
        ties = np.flatnonzero(counts == threshold)[: MAX_VALUES - len(shown)]
        shown += [(-int(counts[i]), _plain(values[int(i)].as_py())) for i in ties]
    shown.sort(key=lambda item: (item[0], natural_key(str(item[1]))))
    other = len(column) + sum(count for count, _ in shown)
    return {
        "kind": "values",
        "values": [[value, -count] for count, value in shown],
        "other": other,
        "missing": missing,
    }


def _histogram(numbers: np.ndarray[Any, Any], missing: int, dates: bool) -> dict[str, Any]:
    """Histogram with bins of equal width."""
    counts, edges = np.histogram(numbers, BINS)
    ends = [_day(edge) if dates else float(edge) for edge in edges]
    bins = [[ends[i], ends[i + 1], int(count)] for i, count in enumerate(counts)]
    return {"kind": "histogram", "bins": bins, "missing": missing}


def _day(number: float) -> str:
    return (_EPOCH + timedelta(days=math.floor(number))).isoformat()


def _literal(value: Any) -> str:
    """SQL literal of a value."""
    if isinstance(value, str):
        return "'" + value.replace("'", "''") + "'"
    return str(value)


def _plain(value: Any) -> Any:
    """Value as a JSON type."""
    if isinstance(value, float):
        return value if math.isfinite(value) else str(value)
    if isinstance(value, bytes):
        return value.hex()
    return value if isinstance(value, str | int | bool) else str(value)

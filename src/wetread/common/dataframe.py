"""Conversion of Arrow tables to pandas without loss of precision."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Literal, get_args

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from wetread.errors import UnknownNameError

if TYPE_CHECKING:
    import pandas as pd

Lists = Literal["first", "split", "keep"]


def to_frame(rows: pa.Table, lists: Lists = "first") -> pd.DataFrame:
    """Convert to a DataFrame: nullable integers if values are missing, dates as datetime64.

    Args:
        rows: any table.
        lists: columns of lists: `"first"` takes the first value, `"split"` makes columns X_0, X_1,
            ..., `"keep"` keeps them. Lists of records (problems, invalid, private) are kept.

    Raises:
        UnknownNameError: another value of `lists`.
    """
    import pandas as pd

    if lists not in get_args(Lists):
        raise UnknownNameError("value of lists", lists, get_args(Lists))
    columns: dict[str, Any] = {}
    for name, column in zip(rows.column_names, rows.itercolumns(), strict=True):
        is_list = pa.types.is_list(column.type)
        if lists == "keep" or not is_list or pa.types.is_struct(column.type.value_type):
            columns[name] = _series(column)
        elif lists == "first":
            columns[name] = _series(_value(column, 0))
        else:
            longest = pc.max(pc.list_value_length(column)).as_py() or 0
            for position in range(longest):
                columns[f"{name}_{position}"] = _series(_value(column, position))
    return pd.DataFrame(columns, copy=False)


def _value(column: pa.ChunkedArray, position: int) -> pa.ChunkedArray:
    """Value at one position of every list; null if the list is shorter."""
    chunks = []
    for chunk in column.chunks:
        starts = chunk.offsets.to_numpy()[:-1].astype(np.int64) + position
        lengths = pc.list_value_length(chunk).fill_null(0).to_numpy()
        chunks.append(chunk.values.take(pa.array(starts, mask=lengths <= position)))
    return pa.chunked_array(chunks, column.type.value_type)


def _series(column: pa.ChunkedArray) -> pd.Series[Any]:
    import pandas as pd

    kind = column.type
    if pa.types.is_decimal(kind):  # sums in SQL
        column = column.cast(pa.float64() if kind.scale else pa.int64(), safe=False)
    if pa.types.is_integer(column.type) and column.null_count:
        unsigned = column.type == pa.uint64()
        nullable = pd.UInt64Dtype() if unsigned else pd.Int64Dtype()
        whole = column.cast(pa.uint64() if unsigned else pa.int64())
        return pd.Series(nullable.__from_arrow__(whole))
    series: pd.Series[Any] = column.to_pandas(date_as_object=False)
    return series

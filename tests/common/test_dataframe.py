from __future__ import annotations

from datetime import date

import numpy as np
import pyarrow as pa
import pytest

from wetread.common.dataframe import to_frame
from wetread.errors import UnknownNameError

ROWS = pa.table(
    {
        "n": pa.array([2**62 + 1, None], pa.int64()),
        "u": pa.array([2**64 - 1, None], pa.uint64()),
        "whole": pa.array([1, 2], pa.int32()),
        "day": [date(1899, 12, 31), None],
        "text": ["a", None],
        "window": pa.array([[1.0, 2.0], []], pa.list_(pa.float64())),
        "size": pa.array([None, [3, None, 5]], pa.list_(pa.int64())),
        "records": pa.array([[{"code": "X"}], None], pa.list_(pa.struct([("code", pa.string())]))),
    }
)


def test_precision_is_kept() -> None:
    frame = to_frame(ROWS)
    assert frame["n"][0] == 2**62 + 1
    assert frame["u"][0] == 2**64 - 1
    assert [str(frame[c].dtype) for c in ("n", "u", "whole")] == ["Int64", "UInt64", "int32"]
    assert frame["day"].dtype.kind == "M"
    assert frame["day"][0].year == 1899


def test_lists() -> None:
    first = to_frame(ROWS, "first")
    assert first["window"][0] == 1.0
    assert np.isnan(first["window"][1])
    assert first["size"][1] == 3
    split = to_frame(ROWS, "split")
    assert [c for c in split.columns if c.startswith(("window", "size"))] == [
        "window_0", "window_1", "size_0", "size_1", "size_2",
    ]  # fmt: skip
    assert split["size_2"][1] == 5
    assert split["records"][0][0] == {"code": "X"}
    assert list(to_frame(ROWS, "keep")["window"][0]) == [1.0, 2.0]
    with pytest.raises(UnknownNameError, match="did you mean first"):
        to_frame(ROWS, "frist")  # type: ignore[arg-type]


def test_slices_and_chunks() -> None:
    rows = pa.concat_tables([ROWS.slice(1), ROWS.slice(0, 1), ROWS.slice(0, 0)])
    assert to_frame(rows)["window"][1] == 1.0
    assert to_frame(rows, "split")["size_2"][0] == 5
    assert to_frame(ROWS.slice(0, 0), "split").shape == (0, 6)


def test_sums_of_sql() -> None:
    from decimal import Decimal

    sums = pa.table({"s": pa.array([Decimal(7), None], pa.decimal128(38, 0))})
    assert to_frame(sums)["s"][0] == 7

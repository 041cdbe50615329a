from __future__ import annotations

import numpy as np
import pyarrow as pa
import pytest

from wetread.boxes.table import BOX_SCHEMA, describe, description, make_table
from wetread.errors import UsageError


def test_the_schema_is_the_contract() -> None:
    names = "image key frame label reader x0 y0 x1 y1 score kind ignore flags group part"
    assert BOX_SCHEMA.names == names.split()


def test_missing_columns_are_null() -> None:
    table = make_table({"key": ["a", "b"], "x0": np.array([1, 2])})
    assert table.schema == BOX_SCHEMA
    assert table["x0"].to_pylist() == [1.0, 2.0]
    assert table["score"].null_count == 2
    assert table["kind"].to_pylist() == ["box", "box"]
    assert table["ignore"].to_pylist() == [False, False]
    assert table["flags"].to_pylist() == [[], []]


@pytest.mark.parametrize(
    "values", [[1.0, np.nan], np.array([1, np.nan]), pa.array([1.0, np.nan]), [1.0, None]]
)
def test_nan_becomes_null(values: object) -> None:
    assert make_table({"key": ["a", "b"], "x0": values})["x0"].to_pylist() == [1.0, None]


@pytest.mark.parametrize(
    ("columns", "message"),
    [
        ({"xmin": [1]}, "unknown box column 'xmin'; known: image, key"),
        ({"x0": ["left"]}, "wrong type"),
        ({"key": ["a", "b"], "x0": [1]}, "length"),
        ({"key": ["a"], "kind": ["circle"]}, "unknown kind 'circle'; known: box, point, nothing"),
        ({"key": ["a"], "kind": [None]}, "kind None"),
    ],
)
def test_invalid_columns(columns: dict[str, object], message: str) -> None:
    with pytest.raises(UsageError, match=message):
        make_table(columns)


def test_metadata_of_the_table() -> None:
    table = describe(make_table({"key": ["a"]}), [(3, "Nodule")], "run-1", "vinbigdata")
    assert description(table) == {
        "classes": [["3", "Nodule"]],
        "run": "run-1",
        "dialect": "vinbigdata",
        "index": None,
    }
    assert description(make_table({})) == {"classes": [], "run": None, "dialect": "", "index": None}

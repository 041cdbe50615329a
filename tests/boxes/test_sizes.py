from __future__ import annotations

from collections.abc import Callable

import pytest

import wetread as wr
from wetread.boxes import Boxes
from wetread.boxes.sizes import image_sizes, sizes_of
from wetread.errors import UsageError


def test_sizes_are_rows_and_columns(make_index: Callable[..., wr.Index]) -> None:
    index = make_index({"a.dcm": {"rows": 40, "columns": 60}, "b.dcm": {"rows": 7, "columns": 5}})
    assert image_sizes(index) == {index[0].id: (40, 60), index[1].id: (7, 5)}
    boxes = Boxes.from_columns({"key": ["b", "a.dcm", "b"]})
    assert sizes_of(boxes, index) == {"b": (7, 5), "a.dcm": (40, 60)}
    assert sizes_of(boxes.join(index), index) == sizes_of(boxes, index)
    with pytest.raises(UsageError, match="1 image of unknown size, such as 'z'"):
        sizes_of(Boxes.from_columns({"key": ["a", "z"]}), index)

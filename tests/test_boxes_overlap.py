from __future__ import annotations

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st
from pycocotools import mask

from wetread.boxes.overlap import overlap

side = st.integers(0, 200)
boxes = st.lists(st.tuples(side, side, side, side), min_size=1, max_size=8)


@settings(deadline=None)
@given(boxes, boxes)
def test_as_pycocotools(first: list[tuple[int, ...]], second: list[tuple[int, ...]]) -> None:
    a, b = (np.array(some, float) for some in (first, second))
    a[:, 2:] += a[:, :2] + 1
    b[:, 2:] += b[:, :2] + 1

    def as_xywh(some: np.ndarray) -> np.ndarray:
        return np.hstack([some[:, :2], some[:, 2:] - some[:, :2]])

    expected = mask.iou(as_xywh(a), as_xywh(b), [0] * len(b))
    assert np.allclose(overlap(a, b), expected, rtol=1e-12, atol=0)


def test_what_has_no_area_overlaps_nothing() -> None:
    flat = np.array([[0.0, 0, 0, 5], [5, 5, 1, 1]])
    assert not overlap(flat, np.array([[0.0, 0, 9, 9], [0, 0, 0, 5]])).any()

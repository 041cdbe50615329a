from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pycocotools import mask

from wetread.boxes import iou
from wetread.boxes.iou import find_overlaps, overlap_pairs

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
    assert np.allclose(overlap_pairs(a[:, None], b), expected, rtol=1e-12, atol=0)


def test_boxes_without_area_overlap_nothing() -> None:
    flat = np.array([[0.0, 0, 0, 5], [5, 5, 1, 1]])
    assert not overlap_pairs(flat[:, None], np.array([[0.0, 0, 9, 9], [0, 0, 0, 5]])).any()


sides = st.floats(0, 30, width=16) | st.just(np.nan)
boxes_and_groups = st.lists(st.tuples(*[sides] * 4, st.integers(0, 2)), max_size=12)


@settings(deadline=None)
@given(boxes_and_groups, boxes_and_groups, st.sampled_from([0.0, 0.4]), st.sampled_from([1, 99]))
def test_find_overlaps_equals_brute_force(
    first: list[tuple[float, ...]], second: list[tuple[float, ...]], threshold: float, chunk: int
) -> None:
    a, b = (np.array(rows, float).reshape(-1, 5) for rows in (first, second))
    group_a, group_b = a[:, 4].astype(np.int64), b[:, 4].astype(np.int64)
    ratios = overlap_pairs(a[:, None, :4], b[:, :4])
    i, j = np.nonzero((ratios > threshold) & (group_a[:, None] == group_b))
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(iou, "_CHUNK", chunk)
        found = find_overlaps(a[:, :4], b[:, :4], group_a, group_b, threshold)
    assert found.first.tolist() == i.tolist()
    assert found.second.tolist() == j.tolist()
    assert np.array_equal(found.iou, ratios[i, j])

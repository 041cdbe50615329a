from __future__ import annotations

import warnings

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.optimize import linear_sum_assignment
from sklearn.metrics import cohen_kappa_score

from wetread.boxes import Boxes
from wetread.boxes.agreement import cohen_kappa, match
from wetread.boxes.iou import overlap_pairs


@settings(deadline=None)
@given(st.lists(st.tuples(st.booleans(), st.booleans()), min_size=1, max_size=50))
def test_kappa_as_scikit_learn(pairs: list[tuple[bool, bool]]) -> None:
    first, second = np.array(pairs).T
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of scikit-learn, for undefined kappa
        expected = cohen_kappa_score(first, second, labels=[False, True])
    assert cohen_kappa(first, second) == pytest.approx(expected, abs=1e-12, nan_ok=True)


def test_agreement_of_two_readers() -> None:
    rows = [
        # image a: both readers, matching boxes
        ("a", "R1", "ILD", 0, 10),
        ("a", "R2", "ILD", 0, 8),
        # image b: two boxes of R1, none of R2
        ("b", "R1", "ILD", 0, 10),
        ("b", "R1", "ILD", 50, 60),
        ("b", "R2", None, None, None),
        # image c: no boxes; image d: read by R2 only
        ("c", "R1", None, None, None),
        ("c", "R2", None, None, None),
        ("d", "R2", "ILD", 0, 10),
    ]
    key, reader, label, low, high = zip(*rows, strict=True)
    columns = {"key": key, "reader": reader, "label": label, "x0": low, "x1": high}
    columns |= {"kind": ["nothing" if x is None else "box" for x in low]}
    columns |= {"y0": low, "y1": [None if x is None else y for x, y in zip(low, high, strict=True)]}
    found = Boxes.from_columns(columns).agreement()
    assert len(found) == 1
    row = found.iloc[0].to_dict()
    assert (row["label"], row["reader_a"], row["reader_b"]) == ("ILD", "R1", "R2")
    assert (row["images"], row["present_a"], row["present_b"]) == (3, 2, 1)
    assert row["kappa"] == pytest.approx(cohen_kappa_score([1, 1, 0], [1, 0, 0]))
    assert (row["boxes_a"], row["boxes_b"], row["matched"]) == (3, 1, 1)
    assert (row["matched_share"], row["mean_iou"]) == (0.5, pytest.approx(0.64))


def test_readers_without_a_common_image_are_left_out() -> None:
    boxes = Boxes.from_columns({"key": ["a", "b"], "reader": ["R1", "R2"], "label": ["X", "X"]})
    assert boxes.agreement().empty
    assert "kappa" in boxes.agreement().columns


place = st.tuples(*[st.integers(0, 20)] * 2).map(lambda p: [*p, p[0] + 8, p[1] + 8])


@settings(deadline=None)
@given(*[st.lists(place, min_size=1, max_size=6)] * 2)
def test_matching_is_one_to_one(first: list[list[int]], second: list[list[int]]) -> None:
    a, b = np.array(first, float), np.array(second, float)
    found = match(a, b, 0.3)
    assert (found > 0.3).all()
    # a greedy matching has between half as many pairs as the optimum and as many
    possible = overlap_pairs(a[:, None], b) > 0.3
    best = possible[linear_sum_assignment(-possible.astype(int))].sum()
    assert best / 2 <= len(found) <= best
    assert np.allclose(found, match(b, a, 0.3))


def match_one_by_one(a: np.ndarray, b: np.ndarray, iou: float) -> list[float]:
    """Reference implementation: take the pair with the largest IoU, remove both boxes, repeat."""
    ratios = overlap_pairs(a[:, None], b)
    matched = []
    while ratios.size and (best := ratios.max()) > iou:
        matched.append(best)
        row, column = np.unravel_index(ratios.argmax(), ratios.shape)
        ratios[row, :] = ratios[:, column] = 0
    return matched


@settings(deadline=None)
@given(*[st.lists(place, min_size=1, max_size=12)] * 2, st.sampled_from([0.0, 0.3, 0.9]))
def test_matching_in_order_of_decreasing_iou(
    first: list[list[int]], second: list[list[int]], iou: float
) -> None:
    a, b = np.array(sorted(first), float), np.array(sorted(second), float)
    assert match(a, b, iou).tolist() == match_one_by_one(a, b, iou)
    twice = np.repeat([0, 1], len(a)), np.repeat([0, 1], len(b))  # the same on two images
    both = match(np.vstack([a, a]), np.vstack([b, b]), iou, *twice)
    assert both.tolist() == np.repeat(match(a, b, iou), 2).tolist()


def test_equal_boxes_are_counted() -> None:
    a, b = np.array([[0.0, 0, 10, 10]] * 5000), np.array([[0.0, 0, 10, 9]] * 3000)
    assert match(a, b, 0.4).tolist() == [0.9] * 3000


def test_boxes_without_coordinates_are_ignored() -> None:
    a = np.array([[0.0, 0, 10, 10], [np.nan] * 4])
    assert match(a, a, 0.4).tolist() == [1.0]


def test_readers_are_sorted_naturally() -> None:
    names = ["R10", "R1", "R2"]
    boxes = Boxes.from_columns({"key": ["a"] * 3, "reader": names, "label": ["X"] * 3})
    assert boxes.readers == ("R1", "R2", "R10")
    found = boxes.agreement()
    pairs = list(zip(found["reader_a"], found["reader_b"], strict=True))
    assert pairs == [("R1", "R2"), ("R1", "R10"), ("R2", "R10")]

"""Evaluated images, and input that is an error."""

from __future__ import annotations

import numpy as np
import pytest

from wetread.boxes.collection import Boxes
from wetread.errors import UsageError
from wetread.evaluation import evaluate

HERE = {"x0": 0, "y0": 0, "x1": 10, "y1": 10}


def boxes_of(*rows, **every):
    """Boxes from the given columns; by default in the corner of the image."""
    full = [{"label": "n", **HERE, **every, **row} for row in rows]
    names = dict.fromkeys(name for row in full for name in row)
    return Boxes.from_columns({name: [row.get(name) for row in full] for name in names})


def value(found, truth, **options):
    return evaluate(found, truth, "voc2010@0.4", resamples=0, **options).value


def test_images_match_by_id_if_both_sides_have_it_else_by_key():
    truth = boxes_of({"image": "i1", "key": "a"}, {"image": "i2", "key": "b"})
    by_id = boxes_of({"image": "i1", "key": "x"}, {"image": "i2", "key": "y"}, score=0.5)
    by_key = boxes_of({"key": "a"}, {"key": "b"}, score=0.5)
    mixed = boxes_of({"image": "i1", "key": "b"}, {"key": "b"}, score=0.5)
    assert value(by_id, truth) == value(by_key, truth) == value(mixed, truth) == 1
    unjoined = boxes_of({"key": "a"}, {"key": "b"})
    assert value(boxes_of({"image": "i1", "key": "a"}, score=0.5), unjoined) == 0.5
    with pytest.raises(UsageError, match="1 image with predictions is not in the ground truth"):
        value(boxes_of({"image": "other", "key": "a"}, score=0.5), truth)


def test_ambiguous_key_is_an_error():
    truth = boxes_of({"image": "i1", "key": "000001"}, {"image": "i2", "key": "000001"})
    with pytest.raises(UsageError, match="several images: 000001"):
        value(boxes_of({"key": "000001"}, score=0.5), truth)


def test_frames_count_as_images():
    truth = boxes_of({"frame": 0}, {"frame": 3}, key="a")
    assert value(boxes_of({"frame": 3}, {"frame": None}, key="a", score=0.5), truth) == 1
    with pytest.raises(UsageError, match="a frame 2"):
        value(boxes_of({"frame": 2}, key="a", score=0.5), truth)


def test_image_missing_in_the_truth_is_an_error_with_examples():
    found = boxes_of(*({"key": key} for key in "abcdef"), score=0.5)
    with pytest.raises(
        UsageError,
        match=r"5 images .*: b, c, d, \.\.\.; .*nothing",
    ):
        value(found, boxes_of({"key": "a"}))


def test_training_images_are_an_error_unless_allowed():
    truth = boxes_of({"key": "a", "part": "train"}, {"key": "b", "part": "valid"})
    both = boxes_of({"key": "a"}, {"key": "b"}, score=0.5)
    with pytest.raises(UsageError, match=r'1 image .* part "train" \(a\)'):
        value(both, truth)
    assert value(both, truth, allow_train=True) == 1
    with pytest.raises(UsageError, match="train"):
        value(boxes_of({"key": "a", "part": "train"}, score=0.5), boxes_of({"key": "a"}))


def test_parts_with_predictions_are_evaluated_completely():
    truth = boxes_of(
        {"key": "a", "part": "train"},
        {"key": "b", "part": "valid"},
        {"key": "c", "part": "valid"},
        {"key": "d", "part": "test"},
    )
    result = evaluate(boxes_of({"key": "b"}, score=0.5), truth, "voc2010@0.4", resamples=0)
    assert (result.value, result.images) == (0.5, 2)
    assert result.notes[0] == "evaluated: valid; 2 images of other parts are left out"
    nobody = boxes_of({"key": "b"}, score=0.5).select(np.array([False]))
    assert evaluate(nobody, truth, "voc2010@0.4", resamples=0).images == 3  # all but train


def test_several_readers_as_truth_are_an_error():
    truth = boxes_of({"reader": "R1"}, {"reader": "R2"}, key="a")
    with pytest.raises(
        UsageError, match=r"1 image has truth of several readers, such as a; .*consensus"
    ):
        value(boxes_of({"key": "a"}, score=0.5), truth)
    each = boxes_of({"key": "a", "reader": "R1"}, {"key": "b", "reader": "R2"})
    assert value(boxes_of({"key": "a"}, {"key": "b"}, score=0.5), each) == 1


@pytest.mark.parametrize(
    "wrong", [{"score": None}, {"score": np.nan}, {"x1": np.inf}, {"x0": None}, {"y1": -1}]
)
def test_predictions_without_score_or_coordinates_are_an_error(wrong):
    found = boxes_of({"key": "a", "score": 0.5}, {"key": "b", "score": 0.5, **wrong})
    with pytest.raises(UsageError, match="1 box of the predictions lacks"):
        value(found, boxes_of({"key": "a"}, {"key": "b"}))


def test_no_common_label_is_an_error():
    with pytest.raises(UsageError, match="predictions have N; the ground truth has n"):
        value(boxes_of({"key": "a", "label": "N"}, score=0.5), boxes_of({"key": "a"}))


def test_truth_without_images_is_an_error():
    with pytest.raises(UsageError, match="neither image nor key"):
        value(boxes_of({"key": "a"}, score=0.5), boxes_of({"key": None}))

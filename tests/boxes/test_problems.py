from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import wetread as wr
from wetread.boxes import Boxes
from wetread.errors import BOX_PROBLEMS

Make = Callable[..., wr.Index]
GOOD = {"key": "a", "label": "ILD", "reader": "R1", "x0": 1, "y0": 1, "x1": 5, "y1": 5}


def make(*rows: dict[str, Any], **more: Any) -> Boxes:
    full = [{"kind": "box", **GOOD, **row} for row in rows]
    names = list(dict.fromkeys(name for row in full for name in row))
    return Boxes.from_columns({name: [row.get(name) for row in full] for name in names}, **more)


def codes(boxes: Boxes, index: wr.Index | None = None) -> list[str]:
    found = boxes.check(index)
    assert found["severity"].tolist() == [BOX_PROBLEMS[code].severity for code in found["code"]]
    return found["code"].tolist()


def nothing(**more: Any) -> dict[str, Any]:
    return {"kind": "nothing", "label": None, **dict.fromkeys(("x0", "y0", "x1", "y1")), **more}


def test_no_problems() -> None:
    assert codes(make({}, {"reader": "R2"}, nothing(key="b"))) == []


def test_single_boxes() -> None:
    assert codes(make({"x1": 1})) == ["BOX_EMPTY"]
    assert codes(make({"x1": 0})) == ["BOX_EMPTY"]
    assert codes(make({"x1": None})) == ["BOX_EMPTY"]
    assert codes(make({"x1": 1, "y1": 1, "kind": "point"})) == []
    assert codes(make({"label": None})) == ["BOX_UNLABELLED"]


def test_boxes_of_one_reader() -> None:
    assert codes(make({}, {"label": "Mass"})) == ["TWO_LABELS"]
    assert codes(make({}, {"label": "Mass", "reader": "R2"})) == []
    found = make({}, {}, {"label": "Mass"}).check()
    assert found["code"].tolist() == ["TWO_LABELS", "BOX_TWICE"]
    assert found["text"].tolist() == ["ILD, Mass", "ILD, 2 times"]
    assert codes(make({}, nothing())) == ["NOTHING_AND_BOX"]
    assert codes(make({}, nothing(reader="R2"))) == []
    assert codes(make({}, {"x1": 1, "y1": 1, "kind": "point"})) == []
    # a model may give both boxes and a score of "nothing"
    assert codes(make({"score": 0.5}, nothing(score=0.5))) == []


def test_labels_and_classes() -> None:
    found = make({}, {"label": "ild ", "key": "b"}, {"label": "Mass", "key": "c"}).check()
    assert found["code"].tolist() == ["LABEL_SPELLING"]
    assert found["text"].tolist() == ["'ILD', 'ild '"]
    clash = make({}, {"label": "Mass", "key": "b"}, classes=[(1, "ILD"), (1, "Mass"), (2, "ILD")])
    assert codes(clash) == ["CLASS_CLASH"] * 3


def test_outlier_reader() -> None:
    rows = [
        {"key": f"k{image}", "reader": f"R{reader}", "x0": n, "x1": n + 5}
        for reader, boxes in enumerate([2, 2, 2, 9])
        for image in range(12)
        for n in range(boxes)
    ]
    found = make(*rows).check()
    assert found["code"].tolist() == ["READER_OUTLIER"]
    assert found["reader"].tolist() == ["R3"]
    assert "9.00 boxes per image, the median reader 2.00" in found["text"][0]
    assert codes(make(*[row for row in rows if row["key"] < "k5"])) == []  # too few images


def test_boxes_against_images(make_index: Make) -> None:
    index = make_index({"a.dcm": {"rows": 40, "columns": 60}, "b.dcm": {}, "c.dcm": {}})
    inside = {"x0": 0, "y0": 0, "x1": 60, "y1": 40}
    boxes = make(inside, {**inside, "x1": 60.5, "label": "Mass"}, nothing(key="b"), {"key": "z"})
    found = boxes.check(index)
    assert found["code"].tolist() == ["NO_FILE", "NO_LABEL", "BOX_OUTSIDE"]
    assert found["key"].tolist() == ["z", "c.dcm", "a"]
    assert found["text"][2] == "0, 0, 60.5, 40 in 60 x 40 pixels"
    # the same if already joined
    assert boxes.join(index).check(index).equals(found)
    # and if joined in part
    half = Boxes.concat([make(inside).join(index), make(nothing(key="b"), {"key": "z"})])
    assert codes(half, index) == ["NO_FILE", "NO_LABEL"]


def test_boxes_outside_the_image(make_index: Make) -> None:
    index = make_index({"a.dcm": {"rows": 40, "columns": 60}})
    for corner, value in (("x0", -0.5), ("y0", -1), ("x1", 61), ("y1", 40.1)):
        assert codes(make({corner: value}), index) == ["BOX_OUTSIDE"]


def test_percentages_and_pixels_of_smaller_copies(make_index: Make) -> None:
    """All boxes of ten images in the upper left quarter: 100 x 150 pixels read as 40 x 60."""
    index = make_index({f"{n}.dcm": {"rows": 100, "columns": 150} for n in range(10)})
    columns = {"key": [str(n) for n in range(10)], "label": ["ILD"] * 10}
    columns |= {"x0": [2.0] * 10, "y0": [2.0] * 10}
    corner = Boxes.from_columns(columns | {"x1": [60.0] * 10, "y1": [40.0] * 10})
    (row,) = corner.check(index).to_dict("records")
    assert (row["code"], row["text"][:22]) == ("BOX_CORNER", "10 boxes on 10 images;")
    inside = Boxes.from_columns(columns | {"x1": [60.0] * 9 + [80.0], "y1": [40.0] * 10})
    assert not len(inside.check(index))


def test_frames_outside_the_image(make_index: Make) -> None:
    index = make_index({"a.dcm": {"NumberOfFrames": 3}, "b.dcm": {}})
    found = make({"frame": 2}, {"frame": 3, "label": "X"}, {"frame": 9, "key": "b"}).check(index)
    assert found["code"].tolist() == ["BOX_OUTSIDE"]  # b has no Number of Frames
    assert found["text"].tolist() == ["frame 3 (counted from 0) of 3"]


def test_every_code_is_documented() -> None:
    text = (Path(__file__).parents[2] / "docs" / "boxes.md").read_text()
    at = [
        text.index(f"### {code.code}\n**{code.severity}** · {code.meaning} ")
        for code in BOX_PROBLEMS.values()
    ]
    assert at == sorted(at)

from __future__ import annotations

from collections import defaultdict
from typing import Any

import numpy as np
import pytest
from ensemble_boxes import nms, weighted_boxes_fusion
from hypothesis import given, settings
from hypothesis import strategies as st

from wetread.boxes import Boxes, consensus
from wetread.boxes.consensus import METHODS, check_readers
from wetread.errors import UnknownNameError, UsageError

SIDE = 1000.0


def box(key: str, reader: str | None, *corners: float, **more: Any) -> dict[str, Any]:
    named = dict(zip(("x0", "y0", "x1", "y1"), corners, strict=True))
    return {"key": key, "reader": reader, "label": "ILD", "kind": "box", **named, **more}


def nothing(key: str, reader: str | None, **more: Any) -> dict[str, Any]:
    return {"key": key, "reader": reader, "kind": "nothing", **more}


def make(rows: list[dict[str, Any]]) -> Boxes:
    names = list(dict.fromkeys(name for row in rows for name in row))
    return Boxes.from_columns({name: [row.get(name) for row in rows] for name in names})


def merged(rows: list[dict[str, Any]], *args: Any) -> list[tuple[Any, ...]]:
    names = ("key", "label", "kind", "x0", "y0", "x1", "y1", "score")
    table = make(rows).consensus(*args).table
    return list(zip(*(table[name].to_pylist() for name in names), strict=True))


THREE = [
    box("a", "R1", 0, 0, 10, 10),
    box("a", "R2", 0, 0, 10, 12),
    nothing("a", "R3"),
]


def test_flags_of_merged_boxes() -> None:
    """All flags are kept; a merged box is ignored if all of its boxes are."""
    columns = {"key": ["a"] * 4, "label": ["X"] * 4, "reader": ["R1", "R2", "R1", "R2"]}
    columns |= {"x0": [0, 1, 50, 51], "y0": [0] * 4, "x1": [10, 11, 60, 61], "y1": [10] * 4}
    boxes = Boxes.from_columns(
        {
            **columns,
            "ignore": [True, False, True, True],
            "flags": [["difficult"], ["truncated"], ["difficult"], ["difficult"]],
        }
    )
    merged = boxes.consensus().table
    assert merged["ignore"].to_pylist() == [False, True]
    assert [sorted(flags) for flags in merged["flags"].to_pylist()] == [
        ["difficult", "truncated"],
        ["difficult"],
    ]
    union = boxes.consensus("union").table
    assert sorted(union["ignore"].to_pylist()) == [False, True, True, True]


@pytest.mark.parametrize(
    ("method", "boxes"),
    [
        ("wbf", [(0, 0, 10, 11, 2 / 3)]),
        ("majority", [(0, 0, 10, 11, 2 / 3)]),
        ("nms", [(0, 0, 10, 10, 1)]),
        ("union", [(0, 0, 10, 10, 1), (0, 0, 10, 12, 1)]),
    ],
)
def test_methods(method: str, boxes: list[tuple[float, ...]]) -> None:
    assert merged(THREE, method) == [("a", "ILD", "box", *b) for b in boxes]


def test_readers_count_not_boxes() -> None:
    rows = [box("a", "R1", 0, 0, 10, 10), box("a", "R1", 0, 0, 10, 11), nothing("a", "R2")]
    assert merged(rows)[0][-1] == 0.5
    assert merged([*rows, box("a", "R3", 0, 0, 10, 12)], "majority")[0][-1] == pytest.approx(2 / 3)
    assert merged(rows, "majority") == [("a", None, "nothing", None, None, None, None, 0.5)]


def test_image_without_boxes() -> None:
    rows = [nothing("a", "R1"), nothing("a", "R2")]
    assert merged(rows) == [("a", None, "nothing", None, None, None, None, 1.0)]


def test_the_threshold_is_exclusive() -> None:
    rows = [box("a", "R1", 0, 0, 10, 10), box("a", "R2", 0, 0, 10, 5)]
    assert len(merged(rows, "wbf", 0.5)) == 2
    assert len(merged(rows, "wbf", 0.49)) == 1


def test_labels_and_frames_are_separate_but_readers_count_per_image() -> None:
    rows = [
        box("a", "R1", 0, 0, 10, 10, frame=3),
        box("a", "R2", 0, 0, 10, 10, frame=2),
        box("a", "R3", 0, 0, 10, 10, frame=3, label="Mass"),
        nothing("a", "R4"),
    ]
    table = make(rows).consensus().table
    assert table["frame"].to_pylist() == [2, 3, 3]
    assert table["label"].to_pylist() == ["ILD", "ILD", "Mass"]
    assert table["score"].to_pylist() == [0.25] * 3


def test_scored_rows_of_nothing_are_kept_beside_boxes() -> None:
    rows = [
        box("a", "m1", 0, 0, 10, 10, score=0.8),
        nothing("a", "m1", score=0.2),
        nothing("a", "m2", score=0.6),
    ]
    assert [(row[2], row[-1]) for row in merged(rows)] == [("box", 0.4), ("nothing", 0.4)]


def test_runs_of_models_are_ensembled() -> None:
    """Three runs without readers, one file each, compared with ensemble-boxes."""
    runs = [
        Boxes.from_columns(
            {"key": ["a"], "label": ["ILD"], "score": [score], "x0": [x], "y0": [0.0]}
            | {"x1": [x + 100], "y1": [100.0]}
        )
        for x, score in ((0.0, 0.9), (10.0, 0.6), (20.0, 0.3))
    ]
    got = Boxes.concat(runs).consensus("wbf", 0.4).table.to_pylist()
    corners = [[[x / SIDE, 0, (x + 100) / SIDE, 0.1]] for x in (0, 10, 20)]
    want, scores, _ = weighted_boxes_fusion(corners, [[0.9], [0.6], [0.3]], [[0]] * 3, iou_thr=0.4)
    assert [got[0][n] for n in ("x0", "y0", "x1", "y1")] == pytest.approx(want[0] * SIDE, rel=1e-6)
    assert got[0]["score"] == pytest.approx(scores[0])


def test_points_group_part_and_classes_are_kept() -> None:
    rows = [
        box("a", "R1", 5, 5, 5, 5, kind="point", image="0f", group="P1", part="train"),
        box("a", "R2", 0, 0, 10, 10, image="0f", group="P1", part="train"),
    ]
    table = make(rows).consensus().table
    assert table["kind"].to_pylist() == ["box", "point"]
    assert {(r["image"], r["group"], r["part"]) for r in table.to_pylist()} == {
        ("0f", "P1", "train")
    }
    assert table["reader"].null_count == 2
    boxes = Boxes.from_columns({"key": ["a"], "kind": ["nothing"]}, [("7", "X")], "run", "coco")
    assert boxes.consensus().classes == (("7", "X"),)


def test_check_readers() -> None:
    def check(*rows: dict[str, Any]) -> None:
        check_readers(make(list(rows)).table)

    one, two = ({"image": "i", **box("a", reader, 0, 0, 9, 9)} for reader in ("R1", "R2"))
    check(one, one, {**two, "image": "j"})
    check({**one, "frame": 0}, {**two, "frame": 1})
    check({**one, "image": None}, {**two, "image": None})
    for other in (two, {**two, "frame": 1}, {**two, "reader": None}):
        with pytest.raises(UsageError, match="1 image has truth of several readers"):
            check(one, other)


def test_wrong_usage() -> None:
    with pytest.raises(UnknownNameError, match="did you mean wbf"):
        make(THREE).consensus("wbff")  # type: ignore[arg-type]
    for iou in (-0.1, 1.0):
        with pytest.raises(UsageError, match="iou must be"):
            make(THREE).consensus(iou=iou)
    with pytest.raises(UsageError, match="1 box has no coordinates, such as one on 'b'"):
        make([*THREE, {"key": "b", "label": "ILD", "kind": "box"}]).consensus()


def test_no_rows() -> None:
    for method in METHODS:
        assert len(Boxes.from_columns({}).consensus(method)) == 0


@settings(deadline=None)
@given(st.data())
def test_as_ensemble_boxes(data: st.DataObject) -> None:
    """Equal results if no scores tie and each reader has one box per label."""
    readers = data.draw(st.integers(1, 5))
    labels = ["A", "B"]
    count = readers * len(labels)
    scores = data.draw(st.lists(st.integers(1, 10**6), min_size=count, max_size=count, unique=True))
    side = st.integers(0, 300)
    rows, lists = [], defaultdict(lambda: ([], [], []))
    for number, score in enumerate(scores):
        reader, label = divmod(number, len(labels))
        x, y, w, h = (data.draw(side) for _ in range(4))
        corners = (x, y, x + w + 50, y + h + 50)
        made = box("a", f"R{reader}", *corners, label=labels[label], score=score / 10**6)
        rows.append(made)
        corner, sure, number_of = lists[reader]
        corner.append([c / SIDE for c in corners])
        sure.append(score / 10**6)
        number_of.append(label)
    iou = data.draw(st.sampled_from([0.2, 0.4, 0.55]))
    want = weighted_boxes_fusion(*zip(*lists.values(), strict=True), iou_thr=iou)
    expected = sorted(
        (label, *(corners * SIDE), score) for corners, score, label in zip(*want, strict=True)
    )
    got = sorted(
        (labels.index(r["label"]), r["x0"], r["y0"], r["x1"], r["y1"], r["score"])
        for r in make(rows).consensus("wbf", iou).table.to_pylist()
    )
    assert np.allclose(got, expected, rtol=1e-4, atol=1e-3)  # they keep 32 bits


kinds = st.sampled_from(["box", "box", "box", "point", "nothing"])
small = st.integers(0, 6)
drawn = st.builds(
    lambda key, reader, label, kind, frame, x, y, score: {
        "key": key,
        "reader": reader,
        "label": None if kind == "nothing" else label,
        "kind": kind,
        "frame": frame,
        **dict.fromkeys(("x0", "y0", "x1", "y1"))
        | ({} if kind == "nothing" else {"x0": x, "y0": y, "x1": x + 5, "y1": y + 5}),
        "score": score,
    },
    st.sampled_from("ab"),
    st.sampled_from(["R1", "R2", "R3", None]),
    st.sampled_from(["ILD", "Mass"]),
    kinds,
    st.sampled_from([None, 0, 1]),
    small,
    small,
    st.sampled_from([None, 0.0, 0.3, 0.5, 1.0]),
)


@settings(deadline=None)
@given(st.lists(drawn, min_size=1, max_size=25), st.randoms(), st.sampled_from(METHODS))
def test_neither_the_order_of_rows_nor_of_readers_matters(
    rows: list[dict[str, Any]], random: Any, method: Any
) -> None:
    shuffled = random.sample(rows, len(rows))
    table = make(rows).consensus(method).table
    assert make(shuffled).consensus(method).table.equals(table)
    # every image stays, and every label of a box with "union", "nms" and "wbf"
    assert set(table["key"].to_pylist()) == {row["key"] for row in rows}
    if method != "majority":
        assert set(table["label"].to_pylist()) >= {
            row["label"] for row in rows if row["kind"] == "box"
        }


@settings(deadline=None)
@given(st.lists(drawn, min_size=1, max_size=20), st.sampled_from(METHODS))
def test_result_does_not_depend_on_reader_names(rows: list[dict[str, Any]], method: Any) -> None:
    other = {"R1": "z", "R2": "y", "R3": "x", None: "w"}
    renamed = [{**row, "reader": other[row["reader"]]} for row in rows]
    got, want = (merged(some, method) for some in (renamed, rows))
    assert [row[:3] for row in got] == [row[:3] for row in want]
    assert np.allclose(
        np.array([row[3:] for row in got], float),
        np.array([row[3:] for row in want], float),
        rtol=1e-12,
        equal_nan=True,
    )


def many_boxes(count: int, seed: int = 0) -> list[dict[str, Any]]:
    """Many boxes on one image, each by another reader, with distinct scores."""
    random = np.random.default_rng(seed)
    low = random.uniform(0, 700, (count, 2))
    corners = np.hstack([low, low + random.uniform(20, 300, (count, 2))])
    scores = (random.permutation(count) + 1) / (count + 1)
    return [
        box("a", f"R{n}", *place, score=float(score))
        for n, (place, score) in enumerate(zip(corners.tolist(), scores, strict=True))
    ]


def corners_of(rows: list[dict[str, Any]]) -> list[list[float]]:
    return [[row[name] / SIDE for name in ("x0", "y0", "x1", "y1")] for row in rows]


@pytest.mark.parametrize("iou", [0.2, 0.5])
def test_many_boxes_on_one_image_as_ensemble_boxes(iou: float) -> None:
    rows = many_boxes(400)
    lists = [[[c] for c in corners_of(rows)], [[r["score"]] for r in rows], [[0]] * len(rows)]
    for method, theirs in (("wbf", weighted_boxes_fusion), ("nms", nms)):
        want = [c * SIDE for c in theirs(*lists, iou_thr=iou)[0]]
        got = [row[3:7] for row in merged(rows, method, iou)]
        assert len(got) > consensus._FEW
        assert np.allclose(sorted(got), sorted(map(tuple, want)), rtol=1e-4, atol=1e-3)


@settings(deadline=None, max_examples=50)
@given(st.lists(drawn, min_size=1, max_size=25), st.sampled_from(METHODS))
def test_loop_and_numpy_give_the_same_result(rows: list[dict[str, Any]], method: Any) -> None:
    table = make(rows).consensus(method, 0.3).table
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(consensus, "_FEW", 0)
        assert make(rows).consensus(method, 0.3).table.equals(table)

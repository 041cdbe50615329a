"""Boxes by image, and images with false positives or false negatives."""

from __future__ import annotations

from typing import Any

import httpx
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import wetread as wr
from wetread.boxes import Boxes
from wetread.boxes.iou import overlap_pairs
from wetread.testing import dicom_file
from wetread.testing.boxes import make_boxes
from wetread.testing.dicom import radiograph
from wetread.viewer import serve
from wetread.viewer.marks import BoxesByImage, Marks, Matched, match

A, B, C = "00000000000000aa", "00000000000000bb", "00000000000000cc"


def box(image: str, label: str = "Nodule", x: float = 0, **more: Any) -> dict[str, Any]:
    corners = {"x0": x, "y0": 0.0, "x1": x + 10, "y1": 10.0}
    return {"image": image, "key": image, "label": label, **corners, **more}


def boxes_of(*rows: dict[str, Any]) -> Boxes:
    names = list(dict.fromkeys(name for row in rows for name in row))
    columns = {name: [row.get(name) for row in rows] for name in names}
    if "kind" in columns:
        columns["kind"] = [kind or "box" for kind in columns["kind"]]
    return Boxes.from_columns(columns)


READERS = boxes_of(
    box(B, x=0, reader="R1"),
    box(B, x=1, reader="R2"),
    box(A, x=0, reader="R1"),
    box(A, x=1, reader="R1"),
    {"image": B, "key": B, "reader": "R3", "kind": "nothing"},
    {"image": C, "key": C, "reader": "R1", "kind": "nothing"},
    {"image": C, "key": C, "reader": "R2", "kind": "nothing"},
    box(B, x=50, reader="R1", frame=3),
)


def test_boxes_of_an_image_and_a_frame() -> None:
    marks = BoxesByImage(READERS)
    assert [row["x0"] for row in marks.on(B, 0)] == [0, 1]
    assert [row["x0"] for row in marks.on(B, 3)] == [0, 1, 50]
    assert [row["x0"] for row in marks.on(B)] == [0, 1, 50]
    assert marks.on("0" * 16) == []
    assert marks.negative_readers(B) == ["R3"]
    assert marks.count([A, "0" * 16, B, C]) == [2, 0, 3, 0]


def test_consensus_of_two_or_more_readers() -> None:
    marks = BoxesByImage(READERS)
    assert marks.consensus(A, 0, "wbf") is None
    merged = marks.consensus(B, 0, "wbf")
    assert merged is not None
    assert [row["x0"] for row in merged] == [0.5]
    assert marks.consensus(C, 0, "wbf") == []
    opinion = marks.ground_truth("wbf")
    assert sorted(row["x0"] for row in BoxesByImage(opinion).on(A)) == [
        0,
        1,
    ]  # one reader: as drawn


def test_boxes_without_coordinates_are_ignored() -> None:
    without_coordinates = {"image": B, "key": B, "label": "Nodule", "reader": "R2"}
    marks = BoxesByImage(Boxes.concat([READERS, boxes_of(without_coordinates)]))
    assert marks.consensus(B, 0, "wbf") == BoxesByImage(READERS).consensus(B, 0, "wbf")
    assert marks.ground_truth("wbf").table.equals(BoxesByImage(READERS).ground_truth("wbf").table)


def test_no_boxes() -> None:
    marks = BoxesByImage(None)
    assert not marks.available
    assert (marks.on(A), marks.count([A]), marks.consensus(A, 0, "wbf")) == ([], [0], None)


def test_misses_of_one_image() -> None:
    truth = boxes_of(box(A), box(A, x=100), box(B))
    found = boxes_of(
        box(A, x=1, score=0.9),
        box(A, x=2, score=0.8),  # the same box again
        box(B, label="ILD", score=0.9),
        box(C, score=0.3),
    )
    assert Marks(truth, found, "wbf").misses(0.5, 0.0) == {
        A: {"fp": 1, "fn": 1},
        B: {"fp": 1, "fn": 1},
        C: {"fp": 1, "fn": 0},
    }
    assert Marks(truth, found, "wbf").misses(0.5, 0.85) == {
        A: {"fp": 0, "fn": 1},
        B: {"fp": 1, "fn": 1},
    }
    assert Marks(truth, truth, "wbf").misses(0.5, 0.0) == {}


def test_misses_keep_frames_apart() -> None:
    truth, found = boxes_of(box(A, frame=0)), boxes_of(box(A, frame=1, score=1.0))
    assert Marks(truth, found, "wbf").misses(0.5, 0.0) == {A: {"fp": 1, "fn": 1}}


@pytest.mark.parametrize("iou", [0.3, 0.5])
def test_misses_agree_with_a_plain_loop(iou: float) -> None:
    found, truth = make_boxes(40, 5, labels=3)
    found, truth = (
        side.replace({"image": [key[:16] for key in side.table["key"].to_pylist()]})
        for side in (found, truth)
    )
    expected = {}
    for image in sorted({*found.table["image"].to_pylist(), *truth.table["image"].to_pylist()}):
        fp = fn = 0
        for label in truth.labels:
            mine, real = (
                side.select(
                    np.array(
                        [
                            row["image"] == image and row["label"] == label
                            for row in side.table.to_pylist()
                        ]
                    )
                )
                for side in (found, truth)
            )
            shared = overlap_pairs(mine.corners[:, None], real.corners)
            free = np.ones(len(real), bool)
            for at in np.argsort(-np.asarray(mine.table["score"]), kind="stable"):
                best = np.where(free, shared[at], -1.0)
                if len(best) and best.max() >= iou:
                    free[best.argmax()] = False
                else:
                    fp += 1
            fn += int(free.sum())
        if fp or fn:
            expected[image] = {"fp": fp, "fn": fn}
    assert Marks(truth, found, "wbf").misses(iou, 0.0) == expected


_BOXES = st.lists(
    st.builds(
        box,
        st.sampled_from([A, B]),
        st.sampled_from(["Nodule", "Mass"]),
        st.integers(0, 12).map(float),
        score=st.sampled_from([0.1, 0.2, 0.5, 0.9, None]),
        frame=st.sampled_from([None, 0, 1]),
        ignore=st.booleans(),
    ),
    min_size=1,
    max_size=12,
)


@given(_BOXES, _BOXES, st.sampled_from([0.3, 0.5, 0.9]))
def test_one_matching_serves_every_minimum_score(
    expected: list[dict[str, Any]], predicted: list[dict[str, Any]], iou: float
) -> None:
    truth = boxes_of(*({**row, "score": None} for row in expected))
    found = boxes_of(*({**row, "ignore": False} for row in predicted))
    scores = found.table["score"].fill_null(1.0).to_numpy()
    once = match(truth, found, iou)
    for score in (0.0, 0.1, 0.15, 0.2, 0.7, 1.0, 2.0):
        shown = np.flatnonzero(scores >= score)
        afresh = match(truth, found.select(scores >= score), iou)
        selected = once.above(score)
        assert describe(selected, np.arange(len(found))) == describe(afresh, shown)
        assert missed_by_cell(selected, truth) == missed_by_cell(afresh, truth)


def describe(matched: Matched, rows: Any) -> set[tuple[int, bool, bool]]:
    columns = (rows[matched.predicted], matched.hit, matched.counted)
    return set(zip(*(column.tolist() for column in columns), strict=True))


def missed_by_cell(matched: Matched, truth: Boxes) -> list[tuple[str, str, int]]:
    rows = truth.table.take(matched.expected[np.isnan(matched.found)]).to_pylist()
    return sorted((row["image"], row["label"], row["frame"] or 0) for row in rows)


def test_over_http(tmp_path: Any) -> None:
    for name in "abc":
        (tmp_path / f"{name}.dcm").write_bytes(dicom_file(radiograph(), "1.2.840.10008.1.2.4.90"))
    index = wr.scan(tmp_path, workers=0, progress=False)
    a, b, c = (image.id for image in index)

    def named(key: str, **more: Any) -> dict[str, Any]:
        return {**box("", **more), "image": None, "key": key}

    truth = boxes_of(named("a", reader="R1"), named("a", x=1, reader="R2"), named("b", reader="R1"))
    found = boxes_of(named("a", score=0.9), named("c", score=0.7), named("c", x=50, score=0.2))
    with serve(index, truth, found) as handle:
        client = httpx.Client(
            base_url=f"http://127.0.0.1:{handle.port}/", headers={"X-Wetread-Token": handle.token}
        )
        with client:
            about = client.get("api/about").json()
            assert about["readers"] == ["R1", "R2"]
            assert (about["boxes"], about["predictions"], about["consensus"]) == (True, True, True)
            rows = client.get("api/rows").json()["rows"]
            assert [row["boxes"] for row in rows] == [2, 1, 0]
            boxes = client.get(f"api/images/{a}/boxes").json()
            assert [row["reader"] for row in boxes["truth"]] == ["R1", "R2"]
            assert [row["x0"] for row in boxes["consensus"]] == [0.5]
            assert [row["score"] for row in boxes["predictions"]] == [0.9]
            assert client.get(f"api/images/{b}/boxes").json()["consensus"] is None
            missed = client.get("api/misses?score=0.5&desc=1").json()
            assert missed == {
                "total": 2,
                "images": [
                    {"id": c, "offset": 0, "fp": 1, "fn": 0},
                    {"id": b, "offset": 1, "fp": 0, "fn": 1},
                ],
            }
    with serve(index, truth) as handle:
        answer = httpx.get(
            f"http://127.0.0.1:{handle.port}/api/misses",
            headers={"X-Wetread-Token": handle.token},
        )
        assert answer.status_code == 404

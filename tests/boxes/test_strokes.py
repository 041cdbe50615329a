"""Strokes: validation, revisions, conflicts."""

from __future__ import annotations

import uuid
from typing import Any

import pytest

from wetread.boxes.strokes import Outcome, Replay, Stroke, check_reader, parse_stroke
from wetread.errors import UsageError
from wetread.testing.strokes import IMAGE, make_stroke


def box(**values: Any) -> Stroke:
    return parse_stroke(make_stroke(**values))


def test_json_round_trip() -> None:
    target = {"from": "R2", "label": "Nodule", "corners": [0, 0, 1, 1]}
    for stroke in (
        box(frame=3, target=target, blind=False),
        box(kind="point", corners=[2, 2, 2, 2]),
        box(kind="reject", target=target),
        box(item="verdict", kind="bad image"),
        box(op="delete", base=2),
    ):
        assert parse_stroke(stroke.to_json()) == stroke


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ({"uuid": "1"}, "not a UUID"),
        ({"uuid": str(uuid.uuid4()).upper()}, "not a UUID"),
        ({"op": "draw"}, "none of put, delete, resolve"),
        ({"image": "../../etc/passwd"}, "not an image id"),
        ({"item": "x"}, "neither a UUID"),
        ({"base": -1}, "not a revision"),
        ({"base": True}, "not a revision"),
        ({"kind": "circle"}, "none of box, point, reject"),
        ({"item": "verdict", "kind": "box"}, "none of nothing, unsure, bad image"),
        ({"label": ""}, "no name"),
        ({"label": " Nodule"}, "no name"),
        ({"label": 3}, "no name"),
        ({"label": "a" * 65}, "longer than 64"),
        ({"label": "a\nb"}, "invisible"),
        ({"label": "\ud800"}, "invisible"),
        ({"corners": [0, 0, 1]}, "not four numbers"),
        ({"corners": [0, 0, float("nan"), 1]}, "not four numbers"),
        ({"corners": [0, 0, "1", 1]}, "not four numbers"),
        ({"corners": [3, 0, 1, 1]}, "not a box"),
        ({"kind": "point"}, "not a point"),
        ({"frame": -1}, "not a frame number"),
        ({"kind": "reject"}, "name the box"),
        ({"target": {"from": "R2"}}, "not an object of from, label and corners"),
        ({"path": "x"}, "no value 'path'"),
    ],
)
def test_invalid_strokes(values: dict[str, Any], message: str) -> None:
    with pytest.raises(UsageError, match=message):
        parse_stroke(make_stroke(**values))


@pytest.mark.parametrize("name", ["", "../R1", "a\\b", "Ann^Lee", "a=b", "\u202eR1", "R" * 63])
def test_invalid_readers(name: str) -> None:
    with pytest.raises(UsageError):
        check_reader(name)


def test_a_label_is_data() -> None:
    assert box(label="../../<b>; DROP").label == "../../<b>; DROP"


def test_revisions_and_conflicts() -> None:
    replay = Replay()
    first = box()
    assert replay.apply(first) == Outcome("saved", 1)
    assert replay.apply(first) == Outcome("saved", 1)  # the same stroke again
    moved = box(item=first.item, base=1, corners=[5, 5, 9, 9])
    assert replay.apply(moved) == Outcome("saved", 2)
    stale = box(item=first.item, base=1, label="Mass")
    assert replay.apply(stale) == Outcome("conflict", 2)
    assert replay.marks(IMAGE) == [moved]
    assert list(replay.conflicts[IMAGE].values()) == [stale]
    assert replay.apply(box(op="resolve", item=stale.uuid)).status == "saved"
    assert not replay.conflicts[IMAGE]
    assert replay.apply(box(op="delete", item=first.item, base=2)) == Outcome("saved", 3)
    assert replay.marks(IMAGE) == []
    assert IMAGE not in replay.read
    assert replay.apply(box(item=first.item, base=0)).status == "conflict"  # deleted, not new


def test_images_with_a_verdict_are_read() -> None:
    replay = Replay()
    replay.apply(
        box(kind="reject", target={"from": "model", "label": "A", "corners": [0, 0, 1, 1]})
    )
    assert not replay.read
    replay.apply(box(item="verdict", kind="nothing"))
    assert replay.read == {IMAGE}
    assert replay.verdict(IMAGE) == "nothing"
    replay.apply(box(op="delete", item="verdict", base=1))
    assert replay.verdict(IMAGE) is None
    assert not replay.read

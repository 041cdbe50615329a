"""The "normal" filter: the published rule, and optimal thresholds."""

from __future__ import annotations

from itertools import pairwise
from typing import Any

import numpy as np
import pytest

from wetread.boxes.collection import Boxes
from wetread.errors import UsageError
from wetread.evaluation import evaluate
from wetread.learn.filter import choose_thresholds, filter_normal, probabilities

BOX = {"x0": 1.0, "y0": 1.0, "x1": 9.0, "y1": 9.0}


def boxes(rows: list[dict[str, Any]]) -> Boxes:
    names = {name: None for row in rows for name in row}
    return Boxes.from_columns({name: [row.get(name) for row in rows] for name in names})


def found(key: str, score: float | None = 0.5, label: str | None = "ILD") -> dict[str, Any]:
    if label is None:
        return {"key": key, "kind": "nothing", "score": score, "frame": None}
    return {"key": key, "kind": "box", "label": label, "score": score, **BOX}


def classified(**p: float) -> Boxes:
    return boxes([found(key, 1 - value, None) for key, value in p.items()])


def rows(made: Boxes) -> list[tuple[str, str, float | None]]:
    return [(r["key"], r["kind"], r["score"]) for r in made.table.to_pylist()]


def test_published_rule() -> None:
    made = filter_normal(
        boxes([found("a"), found("b"), found("b", 0.2), found("c"), found("d", None, None)]),
        classified(a=0.1, b=0.3, c=0.9, d=0.9),
        0.25,
        0.5,
    )
    assert rows(made) == [
        ("b", "box", 0.5),
        ("b", "box", 0.2),
        ("c", "box", 0.5),
        ("d", "nothing", None),
        ("a", "nothing", 1.0),
        ("b", "nothing", pytest.approx(0.3)),
    ]


def test_thresholds_of_the_rule() -> None:
    normal, one = classified(a=0.25), boxes([found("a")])
    assert rows(filter_normal(one, normal, 0.25, 0.25)) == [("a", "box", 0.5)]
    assert rows(filter_normal(one, normal, 0.25, 0.26)) == [
        ("a", "box", 0.5),
        ("a", "nothing", 0.25),
    ]
    assert rows(filter_normal(one, normal, 0.26, 0.26)) == [("a", "nothing", 1.0)]


def test_classes_and_run_are_kept() -> None:
    one = Boxes.from_columns(
        {
            "key": ["a"],
            "label": ["ILD"],
            "score": [0.5],
            **{name: [value] for name, value in BOX.items()},
        },
        [("5", "ILD")],
        "run7",
    )
    made = filter_normal(one, classified(a=0.9), 0.1, 0.2)
    assert (made.classes, made.run) == ((("5", "ILD"),), "run7")
    assert made.table.equals(one.table)


def test_wrong_usage() -> None:
    one = boxes([found("a")])
    with pytest.raises(UsageError, match="low must not be above high"):
        filter_normal(one, classified(a=0.5), 0.5, 0.4)
    with pytest.raises(UsageError, match="1 image was not classified, such as 'a'"):
        filter_normal(one, classified(b=0.5), 0.4, 0.5)
    with pytest.raises(UsageError, match="not predictions of a classifier"):
        probabilities(one, "key")


def test_thresholds_are_optimal() -> None:
    chance = np.random.default_rng(4)
    keys = [f"k{number:02}" for number in range(9)]
    sick = chance.random(9) < 0.5
    truth = boxes([found(k, None, "ILD" if s else None) for k, s in zip(keys, sick, strict=True)])
    detected = boxes([found(k, float(chance.random())) for k in keys])
    p = dict(zip(keys, np.clip(sick * 0.4 + chance.random(9) * 0.6, 0, 1).tolist(), strict=True))
    chosen = choose_thresholds(detected, classified(**p), truth, steps=40)
    edges = [0.0, *sorted(p.values()), 1.0]
    cuts = [(a + b) / 2 for a, b in pairwise(edges)]
    best = max(
        evaluate(filter_normal(detected, classified(**p), a, b), truth, resamples=0).value or 0
        for a in cuts
        for b in cuts
        if a <= b
    )
    assert chosen.value == pytest.approx(best)
    assert chosen.before is not None
    assert chosen.value >= chosen.before


def test_useless_filter_changes_nothing() -> None:
    truth = boxes([found("a", None), found("b", None)])
    detected = boxes([found("a"), found("b")])
    chosen = choose_thresholds(detected, classified(a=0.1, b=0.2), truth)
    assert (chosen.low, chosen.high) == (0.0, 0.0)
    assert chosen.value == chosen.before == 1.0

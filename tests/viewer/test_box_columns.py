"""Filters, facets and orders by boxes agree with plain loops over the rows of the boxes."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import closing
from typing import Any

import numpy as np
import pyarrow as pa
import pytest

from wetread.boxes import Boxes
from wetread.boxes.iou import overlap_pairs
from wetread.boxes.table import BOX_SCHEMA
from wetread.errors import QueryError, UnknownNameError
from wetread.headers.schema import CORE
from wetread.table.rows import IndexRows
from wetread.viewer.catalogue import Catalogue, RowQuery
from wetread.viewer.marks import BoxesByImage, Marks, best_score, disagreement, match

IMAGES, LABELS, READERS = 60, ("Mass", "Nodule", "it's"), ("R1", "R2", "R10")
Row = dict[str, Any]


def name(number: int) -> str:
    return f"{((number + 1) * 0x9E3779B97F4A7C15) % 2**64:016x}"


def draw(rng: np.random.Generator, **more: Any) -> Row:
    x, y = rng.integers(0, 40, 2)
    corners = {"x0": x, "y0": y, "x1": x + 20, "y1": y + rng.integers(15, 25)}
    return {**{k: float(v) for k, v in corners.items()}, "kind": "box", **more}


def make_rows() -> tuple[list[Row], list[Row]]:
    """Boxes of one reader per image, with readings of nothing, and predictions."""
    rng = np.random.default_rng(0)
    truth, found = [], []
    for number in range(0, IMAGES, 2):
        own = {"image": name(number), "key": str(number), "reader": READERS[number % 3]}
        boxes = [draw(rng, **own, label=str(rng.choice(LABELS))) for _ in range(number % 5)]
        truth += boxes or [{**own, "kind": "nothing"}]
        for box in boxes[::2]:
            shift = float(rng.integers(0, 8))
            moved = {c: box[c] + shift for c in ("x0", "x1")}
            found.append({**box, **moved, "reader": None, "score": float(rng.uniform())})
    for number in range(0, IMAGES, 3):
        own = {"image": name(number), "key": str(number), "label": "Mass"}
        found.append(draw(rng, **own, score=float(rng.uniform())))
    return truth, found


def to_boxes(rows: list[Row]) -> Boxes:
    names = list(dict.fromkeys(key for row in rows for key in row))
    return Boxes.from_columns({key: [row.get(key) for row in rows] for key in names})


TRUTH, FOUND = make_rows()


@pytest.fixture(scope="module")
def catalogue() -> Iterator[Catalogue]:
    numbers = range(IMAGES)
    values: dict[str, list[Any]] = {
        "id": [name(n) for n in numbers],
        "path": [f"{n:03d}.dcm" for n in numbers],
        "Modality": [("CT", "MR")[n % 2 * (n // 7 % 2)] for n in numbers],
        "problems": [[] for _ in numbers],
        "member": [""] * IMAGES,
    }
    arrays = [pa.array(values.get(f.name, [None] * IMAGES), f.type) for f in CORE]
    index = IndexRows("/data", CORE, rows=pa.table(arrays, schema=CORE))
    with closing(Catalogue(index, marks=Marks(to_boxes(TRUTH), to_boxes(FOUND), "wbf"))) as made:
        yield made


def outcomes(iou: float, score: float) -> list[Row]:
    """Every reader's box, prediction with TP or FP, and missed box with FN, by a plain loop."""
    rows = [{**row, "outcome": None} for row in TRUTH]
    shown = sorted((r for r in FOUND if r["score"] >= score), key=lambda r: -r["score"])
    free = [row for row in TRUTH if row["kind"] == "box"]
    for row in shown:
        fits = [
            (overlap_pairs(corners(row)[0], corners(box)[0]), -at)
            for at, box in enumerate(free)
            if (box["image"], box["label"]) == (row["image"], row["label"])
        ]
        best = max(fits, default=(0.0, 0))
        if best[0] >= iou:
            free.pop(-best[1])
        rows.append({**row, "reader": None, "outcome": "TP" if best[0] >= iou else "FP"})
    missed = ({k: r[k] for k in ("image", "label")} | {"outcome": "FN"} for r in free)
    return rows + list(missed)


def corners(row: Row) -> Any:
    return np.array([[row[c] for c in ("x0", "y0", "x1", "y1")]])


def ids(catalogue: Catalogue, row_query: RowQuery) -> list[str]:
    return [row["id"] for row in catalogue.page(row_query, 0, 500, [])["rows"]]


def images(rows: list[Row], condition: Callable[[Row], Any]) -> list[str]:
    some = {row["image"] for row in rows if condition(row)}
    return [name(n) for n in range(IMAGES) if name(n) in some]


CASES: dict[str, Callable[[Row], Any]] = {
    "label = 'Mass'": lambda r: r.get("label") == "Mass",
    "label = 'it''s' AND reader = 'R1'": lambda r: (
        (r.get("label"), r.get("reader")) == ("it's", "R1")
    ),
    "reader IN ('R1', 'R10')": lambda r: r.get("reader") in ("R1", "R10"),
    "score > 0.6": lambda r: (r.get("score") or 0) > 0.6,
    "outcome = 'FP' AND label = 'Mass'": lambda r: (r["outcome"], r.get("label")) == ("FP", "Mass"),
    "outcome = 'FN'": lambda r: r["outcome"] == "FN",
    "boxes.label = 'Nodule' AND outcome IS NULL": lambda r: (
        (r.get("label"), r["outcome"]) == ("Nodule", None)
    ),
    "x1 - x0 > 10 AND LABEL LIKE 'N%'": lambda r: (
        (r.get("label") or "").startswith("N") and "x0" in r
    ),
}


@pytest.mark.parametrize("iou", [0.3, 0.7])
@pytest.mark.parametrize("where", CASES)
def test_filters_by_boxes(catalogue: Catalogue, where: str, iou: float) -> None:
    expected = images(outcomes(iou, 0.25), CASES[where])
    assert 0 < len(expected) < IMAGES
    assert ids(catalogue, RowQuery(where, iou=iou, score=0.25)) == expected


def test_filters_by_the_number_of_boxes(catalogue: Catalogue) -> None:
    counts = {
        n: sum(r["image"] == name(n) and r["kind"] == "box" for r in TRUTH) for n in range(IMAGES)
    }
    for where, condition in (("boxes > 2", lambda n: n > 2), ("boxes = 0", lambda n: n == 0)):
        expected = [name(n) for n, count in counts.items() if condition(count)]
        assert ids(catalogue, RowQuery(where)) == expected
    both = "boxes > 2 AND Modality = 'CT' AND label = 'Mass'"
    assert set(ids(catalogue, RowQuery(both))) == (
        set(ids(catalogue, RowQuery("boxes > 2")))
        & set(ids(catalogue, RowQuery("Modality = 'CT'")))
        & set(ids(catalogue, RowQuery("label = 'Mass'")))
    )


def test_several_labels_on_one_image_by_a_subquery(catalogue: Catalogue) -> None:
    where = "label = 'Mass' AND id IN (SELECT id FROM boxes WHERE label = 'Nodule')"
    rows = outcomes(0.5, 0.0)
    masses, nodules = (images(rows, lambda r, x=x: r.get("label") == x) for x in ("Mass", "Nodule"))
    expected = [id_ for id_ in masses if id_ in nodules]
    assert expected
    assert ids(catalogue, RowQuery(where)) == expected


def test_the_table_boxes_has_the_columns_of_every_table_of_boxes(catalogue: Catalogue) -> None:
    names = ", ".join(f'"{name}"' for name in (*BOX_SCHEMA.names, "outcome"))
    inner = f"SELECT id FROM (SELECT id, {names} FROM boxes) WHERE kind = 'nothing' AND key > '2'"
    nothing = images(TRUTH, lambda r: r["kind"] == "nothing" and r["key"] > "2")
    assert ids(catalogue, RowQuery(f"id IN ({inner})")) == nothing
    assert ids(catalogue, RowQuery("kind = 'nothing' AND key > '2'")) == nothing
    wrong = images(outcomes(0.5, 0.0), lambda r: r["outcome"] == "FP" and r["image"] in nothing)
    expected = [id_ for id_ in wrong if id_ in nothing]
    own = f"id IN ({inner}) AND outcome = 'FP'"
    assert expected
    assert ids(catalogue, RowQuery(own)) == expected


def test_images_without_boxes(catalogue: Catalogue) -> None:
    marked = {row["image"] for row in [*TRUTH, *FOUND] if row.get("label")}
    nothing = {row["image"] for row in TRUTH if row["kind"] == "nothing"}
    expected = [name(n) for n in range(IMAGES) if name(n) in nothing or name(n) not in marked]
    assert ids(catalogue, RowQuery("label IS NULL")) == expected


def test_facets_count_images(catalogue: Catalogue) -> None:
    row_query = RowQuery("outcome = 'FP' AND Modality = 'CT'", iou=0.5, score=0.25)
    shown = set(ids(catalogue, row_query))
    rows = [r for r in outcomes(0.5, 0.25) if r["image"] in shown and r["outcome"] == "FP"]
    expected = {x: len({r["image"] for r in rows if r["label"] == x}) for x in LABELS}
    facet = catalogue.facet("label", row_query)
    assert dict(facet["values"]) == {x: n for x, n in expected.items() if n}
    for label, count in facet["values"]:
        where = row_query.where + f" AND label = '{label.replace(chr(39), 2 * chr(39))}'"
        assert len(ids(catalogue, row_query._replace(where=where))) == count
    readers = dict(catalogue.facet("reader", RowQuery())["values"])
    assert readers == {r: len({x["image"] for x in TRUTH if x["reader"] == r}) for r in READERS}
    scores = catalogue.facet("score", RowQuery(score=0.25))
    assert scores["kind"] == "histogram"
    below = [row["score"] for row in FOUND if row["score"] < 0.25]
    noted = [scores[key] for key in ("predictions", "hidden", "highest")]
    assert noted == [len(FOUND), len(below), max(below)]
    some = set(ids(catalogue, RowQuery("Modality = 'CT'")))
    noted = catalogue.facet("score", RowQuery("Modality = 'CT'", score=2.0))
    assert noted["hidden"] == sum(row["image"] in some for row in FOUND) < len(FOUND)
    assert scores["bins"][0][0] >= 0.25
    assert dict(catalogue.facet("boxes", RowQuery())["values"])[0] > IMAGES // 2


def test_orders(catalogue: Catalogue) -> None:
    rows = outcomes(0.5, 0.25)
    best: dict[str, float] = {}
    for row in rows:
        if row["outcome"] == "FP":
            best[row["image"]] = max(best.get(row["image"], 0.0), row["score"])
    ordered = sorted(best, key=lambda id_: -best[id_])
    row_query = RowQuery(order="false_positive", desc=True, score=0.25)
    assert ids(catalogue, row_query)[: len(best)] == ordered
    assert list(catalogue.page(row_query, 0, 1, ["missed"])["rows"][0]["columns"]) == ["missed"]
    page = catalogue.page(row_query, 0, 1, ["false_positive", "Modality"])["rows"][0]
    assert page["columns"]["false_positive"] == pytest.approx(best[ordered[0]], abs=1e-6)
    missed = [
        sum(r["image"] == name(n) and r["outcome"] == "FN" for r in rows) for n in range(IMAGES)
    ]
    expected = [name(n) for n in np.argsort(-np.array(missed), kind="stable").tolist()]
    assert ids(catalogue, RowQuery(order="missed", desc=True, score=0.25)) == expected


def test_outlines_of_a_page(catalogue: Catalogue) -> None:
    row_query = RowQuery("outcome = 'TP'", iou=0.5, score=0.25)
    page, outlines = ids(catalogue, row_query), catalogue.outlines(row_query, 0, 500)
    rows = outcomes(0.5, 0.25)
    for id_, shown in zip(page, outlines, strict=True):
        own = [r for r in rows if r["image"] == id_ and "x0" in r]
        expected = [[*corners(r)[0], r["outcome"] or r["reader"] or ""] for r in own]
        assert sorted(shown) == sorted(expected)


def test_disagreement_of_readers() -> None:
    def box(image: str, reader: str, x: float, label: str = "Mass") -> Row:
        own = {"image": image, "key": image, "reader": reader, "label": label, "kind": "box"}
        return {**own, "x0": x, "y0": 0.0, "x1": x + 10, "y1": 10.0}

    a, b, c, d = map(name, range(4))
    rows = [box(a, "R1", 0), box(a, "R2", 1)]
    rows += [box(b, "R1", 0), {"image": b, "key": b, "reader": "R2", "kind": "nothing"}]
    rows += [box(c, "R1", 0), box(c, "R2", 0), box(c, "R2", 50), box(c, "R3", 0, "ILD")]
    rows += [box(d, "R1", 0)]
    found, values = disagreement(BoxesByImage(to_boxes(rows)), 0.5)
    got = {f"{int(id_):016x}": value for id_, value in zip(found, values, strict=True)}
    # c: of 4 boxes with 2 other readers each, R1's and R2's first are shared by one other
    assert got == pytest.approx({a: 0.0, b: 1.0, c: 1 - 2 / 8})


def test_best_score_maximises_f1() -> None:
    truth, found = to_boxes(TRUTH), to_boxes(FOUND)
    best = best_score(match(truth, found, 0.5))
    assert best is not None
    f1 = {}
    for score in {row["score"] for row in FOUND}:
        kinds = [row["outcome"] for row in outcomes(0.5, score)]
        tp, fp, fn = (kinds.count(kind) for kind in ("TP", "FP", "FN"))
        f1[score] = 2 * tp / (2 * tp + fp + fn)
    assert best[1] == pytest.approx(max(f1.values()))
    assert f1[best[0]] == pytest.approx(best[1])
    none_right = to_boxes([{**row, "label": "ILD"} for row in FOUND])
    assert best_score(match(truth, none_right, 0.5)) is None
    alone = Marks(None, to_boxes(FOUND * 9), "wbf").start
    scores = sorted((row["score"] for row in FOUND * 9), reverse=True)
    assert alone["f1"] is None
    shown = sum(score >= alone["score"] for score in scores)
    assert shown == pytest.approx(10 * len({row["image"] for row in FOUND}), abs=9)


def test_columns_without_boxes() -> None:
    index = IndexRows("/data", CORE, rows=CORE.empty_table())
    with closing(Catalogue(index)) as catalogue:
        assert (catalogue.box_columns, catalogue.image_columns) == ([], [])
        with pytest.raises(UnknownNameError):
            catalogue.facet("label", RowQuery())
        with pytest.raises(QueryError, match="label"):
            catalogue.page(RowQuery("label = 'Mass'"), 0, 1, [])

"""VOC 2010 against a direct implementation of the kit, map-boxes and faster-coco-eval."""

from __future__ import annotations

import contextlib
import io
import warnings

import numpy as np
import pyarrow.compute as pc
import pytest
from hypothesis import given
from hypothesis import strategies as st

import wetread as wr
from wetread.boxes.collection import Boxes
from wetread.errors import UsageError
from wetread.evaluation import evaluate
from wetread.testing.boxes import make_boxes

NAMES = ("key", "label", "kind", "score", "ignore", "x0", "y0", "x1", "y1")


def rows_of(boxes):
    return boxes.table.to_pylist()


def corners_of(row):
    return tuple(row[name] for name in ("x0", "y0", "x1", "y1"))


def iou_of(one, other):
    width = min(one[2], other[2]) - max(one[0], other[0])
    height = min(one[3], other[3]) - max(one[1], other[1])
    if width <= 0 or height <= 0:
        return 0.0
    area = sum((box[2] - box[0]) * (box[3] - box[1]) for box in (one, other))
    return width * height / (area - width * height)


def devkit_ap(found, truth, label, iou):
    """VOCevaldet.m step by step: no pixel is added, the IoU must exceed the threshold."""
    taken = {}
    for row in truth:
        if row["label"] == label:
            difficult = bool(row.get("ignore"))
            taken.setdefault(row["key"], []).append([corners_of(row), False, difficult])
    positives = sum(not place[2] for places in taken.values() for place in places)
    if not positives:
        return None
    right = []
    mine = [row for row in found if row["label"] == label]
    for row in sorted(mine, key=lambda row: -row["score"]):
        best, largest = None, -np.inf
        for place in taken.get(row["key"], []):
            overlap = iou_of(corners_of(row), place[0])
            if overlap > largest:
                best, largest = place, overlap
        if largest > iou and best[2]:
            continue  # neither tp nor fp
        right.append(largest > iou and not best[1])
        if largest > iou:
            best[1] = True
    right = np.array(right, bool)
    recall = np.cumsum(right) / positives
    precision = np.cumsum(right) / np.arange(1, len(right) + 1)
    recall = np.concatenate([[0.0], recall, [1.0]])
    precision = np.concatenate([[0.0], precision, [0.0]])
    for i in range(len(precision) - 2, -1, -1):
        precision[i] = max(precision[i], precision[i + 1])
    steps = np.flatnonzero(recall[1:] != recall[:-1]) + 1
    return float(((recall[steps] - recall[steps - 1]) * precision[steps]).sum())


@pytest.mark.parametrize("sparse", [True, False])
@pytest.mark.parametrize("difficult", [0, 0.3])
@pytest.mark.parametrize("iou", [0.1, 0.4, 0.75])
def test_average_precision_equals_the_development_kit(sparse, difficult, iou):
    found, truth = make_boxes(60, 12, labels=3, seed=3, sparse=sparse)
    marks = np.random.default_rng(4).random(len(truth)) < difficult
    truth = truth.replace({"ignore": marks.tolist()})
    result = evaluate(found, truth, f"voc2010@{iou}", resamples=0)
    for label in truth.labels:
        expected = devkit_ap(rows_of(found), rows_of(truth), label, iou)
        assert result.per_label["ap"][label] == pytest.approx(expected, abs=1e-9)
    assert result.map == pytest.approx(result.per_label["ap"].mean(), abs=1e-12)


def few_boxes(scored):
    """Boxes of two labels on two images, on a small grid, so that they touch, nest and coincide."""
    edge = st.integers(0, 6)
    box = st.tuples(st.sampled_from("ab"), st.sampled_from("mn"), *[edge] * 4)
    return st.lists(box, min_size=1, max_size=8).flatmap(
        lambda rows: st.permutations(range(len(rows))).map(
            lambda ranks: [
                {
                    "key": key,
                    "label": label,
                    "x0": min(x, u),
                    "y0": min(y, v),
                    "x1": max(x, u) + 1,
                    "y1": max(y, v) + 1,
                    **({"score": 1 - rank / 10} if scored else {"ignore": rank > 5}),
                }
                for (key, label, x, y, u, v), rank in zip(rows, ranks, strict=True)
            ]
        )
    )


@given(found=few_boxes(scored=True), truth=few_boxes(scored=False), iou=st.sampled_from([0, 0.4]))
def test_average_precision_of_touching_nested_and_equal_boxes(found, truth, iou):
    truth.sort(key=corners_of)  # of two that overlap alike, the kit takes the first
    truth += [{"key": key, "kind": "nothing"} for key in "ab"]
    boxes = [
        Boxes.from_columns(
            {
                name: [row.get(name, "box" if name == "kind" else None) for row in rows]
                for name in NAMES
            }
        )
        for rows in (found, truth)
    ]
    labels = [{row["label"] for row in rows if "label" in row} for rows in (found, truth)]
    if not labels[0] & labels[1]:
        with pytest.raises(UsageError, match="no label in common"):
            evaluate(*boxes, f"voc2010@{iou}", resamples=0)
        return
    result = evaluate(*boxes, f"voc2010@{iou}", resamples=0).to_dict()
    for row in result["per_label"]:
        expected = devkit_ap(found, truth[:-2], row["label"], iou)
        assert row["ap"] == (None if expected is None else pytest.approx(expected, abs=1e-9))


@pytest.fixture(scope="module")
def many():
    """1,500 images x 14 labels, sparse truth."""
    return make_boxes(1500, 6, labels=14, seed=1)


def test_average_precision_equals_map_boxes(many):
    with warnings.catch_warnings(), contextlib.redirect_stdout(io.StringIO()):
        warnings.simplefilter("ignore")  # of an import that looks for a compiler
        from map_boxes import mean_average_precision_for_boxes

    def columns(boxes, *names):
        ordered = boxes.to_pandas().sort_values(
            "score", ascending=False
        )  # it matches in this order
        return ordered[["key", "label", *names, "x0", "x1", "y0", "y1"]].to_numpy(object)

    found, truth = many
    expected, each = mean_average_precision_for_boxes(
        columns(truth), columns(found, "score"), iou_threshold=0.4, verbose=False
    )
    result = evaluate(found, truth, "voc2010@0.4", resamples=0)
    assert result.map == pytest.approx(expected, abs=1e-4)
    for label, (ap, _) in each.items():
        assert result.per_label["ap"][label] == pytest.approx(ap, abs=1e-4)


def coco_map(found, truth):
    """faster-coco-eval's area under the curve."""
    from faster_coco_eval import COCO, COCOeval_faster

    def boxes(side):
        for number, row in enumerate(rows_of(side), start=1):
            x0, y0, x1, y1 = corners_of(row)
            yield {
                "id": number,
                "image_id": int(row["key"], 16),
                "category_id": side.labels.index(row["label"]),
                "bbox": [x0, y0, x1 - x0, y1 - y0],
                "area": (x1 - x0) * (y1 - y0),
                "iscrowd": 0,
                "score": row["score"],
            }

    base = {
        "images": [{"id": i} for i in range(1500)],
        "categories": [{"id": i, "name": name} for i, name in enumerate(truth.labels)],
    }
    sides = [COCO({**base, "annotations": list(boxes(side))}) for side in (truth, found)]
    judge = COCOeval_faster(*sides, "bbox", print_function=lambda *_: None)
    judge.params.iouThrs = np.array([0.4])
    judge.params.recThrs = np.linspace(0, 1, 20001)
    judge.params.maxDets = [1, 10, 1000]
    judge.evaluate()
    judge.accumulate()
    return float(judge.eval["precision"][:, :, :, 0, -1].mean())


def test_average_precision_equals_faster_coco_eval_and_not_its_misuse(many):
    value = evaluate(*many, "voc2010@0.4", resamples=0).map
    assert value == pytest.approx(coco_map(*many), abs=1e-4)
    misread = [
        side.replace({f"{a}1": pc.add(side.table[f"{a}0"], side.table[f"{a}1"]) for a in "xy"})
        for side in many
    ]  # the mistake that is copied around: corners given to COCO, which wants width and height
    assert evaluate(*misread, "voc2010@0.4", resamples=0).map > value + 0.02


def boxes_of(*corners, key="a", label="n", score=None):
    columns = {name: [box[i] for box in corners] for i, name in enumerate(("x0", "y0", "x1", "y1"))}
    columns |= {"key": [key] * len(corners), "label": [label] * len(corners)}
    return Boxes.from_columns(columns | ({"score": score} if score else {}))


def test_iou_equal_to_the_threshold_is_no_match():
    truth, found = boxes_of((0, 0, 10, 10)), boxes_of((0, 0, 5, 10), score=[1.0])
    assert evaluate(found, truth, "voc2010@0.5", resamples=0).map == 0
    assert evaluate(found, truth, "voc2010@0.49", resamples=0).map == 1


def test_second_box_on_a_matched_truth_is_a_false_positive():
    truth = boxes_of((0, 0, 10, 10), (0, 3, 10, 13))
    found = boxes_of((0, 0, 10, 10), (0, 1, 10, 11), score=[0.9, 0.8])
    assert evaluate(found, truth, "voc2010@0.4", resamples=0).map == 0.5


def test_order_of_boxes_with_equal_scores_does_not_matter():
    truth = boxes_of((0, 0, 10, 10))
    for corners in ([(0, 0, 10, 10), (50, 50, 60, 60)], [(50, 50, 60, 60), (0, 0, 10, 10)]):
        found = boxes_of(*corners, score=[0.5, 0.5])
        assert evaluate(found, truth, "voc2010@0.4", resamples=0).map == 0.5
    found, truth = make_boxes(40, 6, labels=2, seed=5, sparse=False)
    found = found.replace({"score": np.round(found.table["score"].to_numpy(), 1)})
    shuffled = [
        Boxes(side.table.take(np.random.default_rng(1).permutation(len(side))))
        for side in (found, truth)
    ]
    for metric in ("voc2010@0.4", "rsna-pneumonia", "coco", "froc", "classification"):
        one = evaluate(found, truth, metric, resamples=5).to_dict()
        assert evaluate(*shuffled, metric, resamples=5).to_dict() == one


def test_no_finding_is_a_label_of_vinbigdata_only():
    truth = Boxes.from_columns(
        {
            "key": ["a", "b", "c"],
            "label": ["n", None, None],
            "kind": ["box", "nothing", "nothing"],
            "x0": [0, None, None],
            "y0": [0, None, None],
            "x1": [10, None, None],
            "y1": [10, None, None],
        }
    )
    found = Boxes.from_columns(
        {
            "key": ["a", "a", "b", "c"],
            "label": ["n", None, None, "n"],
            "kind": ["box", "nothing", "nothing", "box"],
            "x0": [0, None, None, 0],
            "y0": [0, None, None, 0],
            "x1": [10, None, None, 10],
            "y1": [10, None, None, 10],
            "score": [0.9, 0.2, None, 0.1],
        }
    )
    result = evaluate(found, truth, "vinbigdata", resamples=0)
    assert result.per_label["ap"].to_dict() == {"n": 1.0, "No finding": 0.5}
    assert result.map == 0.75
    assert list(evaluate(found, truth, "siim-covid", resamples=0).per_label.index) == ["n", "none"]
    assert evaluate(found, truth, "voc2010@0.4", resamples=0).map == 1.0


def as_vinbigdata(boxes, nothing):
    """Labels of the competition, with a box for images without findings."""
    from wetread.boxes.kaggle import VINBIGDATA

    rows = [
        {**row, "label": VINBIGDATA[int(row["label"].split()[1])]}
        for row in boxes.table.to_pylist()
    ]
    rows += [{"key": f"{n:032x}", "kind": "nothing", "score": s} for n, s in nothing.items()]
    columns = {name: [row.get(name) for row in rows] for name in boxes.table.column_names}
    return Boxes.from_columns(columns, VINBIGDATA.items())


def test_no_finding_is_the_15th_class_of_vinbigdata():
    found, truth = make_boxes(60, 8, labels=14, seed=21)
    chance = np.random.default_rng(0)
    scored = dict(zip(chance.permutation(90)[:70].tolist(), chance.random(70), strict=True))
    silent = set(range(60, 90)) - set(scored)  # and no box either: `submit` hands in 14 1 0 0 1 1
    found = as_vinbigdata(found, scored)
    truth = as_vinbigdata(truth, dict.fromkeys(range(60, 90)))

    def corners(rows):
        box = {"label": "No finding", "x0": 0, "y0": 0, "x1": 1, "y1": 1}
        return [{**row, **box} if row["kind"] == "nothing" else row for row in rows]

    everything = corners(rows_of(found))
    everything += corners([{"key": f"{n:032x}", "kind": "nothing", "score": 1.0} for n in silent])
    result = evaluate(found, truth, "vinbigdata", resamples=0)
    labels = list(result.per_label.index)
    assert (len(labels), labels[14]) == (15, "No finding")
    expected = [devkit_ap(everything, corners(rows_of(truth)), label, 0.4) for label in labels]
    assert result.per_label["ap"].tolist() == pytest.approx(expected, abs=1e-9)
    assert result.map == pytest.approx(np.mean(expected), abs=1e-12)
    spoken = {row["key"] for row in rows_of(found)}
    silent = [key for key in set(truth.table["key"].to_pylist()) if key not in spoken]
    assert f"{len(silent)} images without a prediction count as nothing found" in str(result)
    plain = evaluate(found, truth, "voc2010@0.4", resamples=0)
    assert plain.map == pytest.approx(np.mean(expected[:14]), abs=1e-12)


def test_predictions_without_any_box_are_scored():
    truth = boxes_of((0, 0, 10, 10))
    nothing = Boxes.from_columns({"key": ["a"], "kind": ["nothing"]})
    assert evaluate(nothing, truth, "vinbigdata", resamples=0).map == 0


def test_studies_of_siim_are_labels():
    study = boxes_of((0, 0, 1, 1), key="s_study", label="typical").table.to_pylist()
    image = boxes_of((0, 0, 9, 9), key="a", label="Lung Opacity").table.to_pylist()
    rows = [*study, *image, {"key": "b", "kind": "nothing"}]
    truth = Boxes.from_columns({name: [row.get(name) for row in rows] for name in NAMES})
    result = evaluate(
        boxes_of((0, 0, 9, 9), label="Lung Opacity", score=[0.5]), truth, "siim-covid"
    )
    expected = {"Lung Opacity": 1.0, "typical": 0.0, "none": 1.0}
    assert result.per_label["ap"].to_dict() == expected


def test_difficult_objects_of_pascal_voc(shared_case):
    """One object is found, the difficult one is not: nothing is missed."""
    case = shared_case("12")
    truth = wr.read_boxes(case / "voc")
    assert truth.table["ignore"].to_pylist() == [False, True]
    result = evaluate(case / "found.csv", truth, "voc2010@0.5", resamples=0)
    assert result.map == 1.0
    assert result.per_label["truth"].tolist() == [1]
    assert result.notes[-1].startswith("1 box to ignore is no target")


@pytest.mark.parametrize("metric", ["voc2010@0.4", "froc@0.4", "rsna-pneumonia", "coco"])
def test_boxes_to_ignore_change_no_score(metric):
    """Neither the box to ignore nor a prediction on it, of any score, changes anything."""
    found, truth = make_boxes(20, 4, labels=1, seed=5)
    alone = evaluate(found, truth, metric, resamples=50)
    keys = sorted(set(truth.table["key"].to_pylist()))
    far = {"key": keys, "label": truth.labels[:1] * len(keys), "kind": ["box"] * len(keys)}
    far |= {name: [5000 + 100 * (name[1] == "1")] * len(keys) for name in ("x0", "y0", "x1", "y1")}
    ignored = Boxes.from_columns({**far, "ignore": [True] * len(keys)}, truth.classes)
    on_it = Boxes.from_columns({**far, "score": [0.99] * len(keys)}, truth.classes)
    both = [Boxes.concat(pair).replace({"reader": [None] * (len(pair[0]) + len(keys))})
            for pair in ((found, on_it), (truth, ignored))]  # fmt: skip
    result = evaluate(*both, metric, resamples=50)
    assert (result.value, result.interval) == (alone.value, alone.interval)


def test_images_whose_boxes_are_all_ignored_are_left_out_of_classification():
    truth = Boxes.from_columns(
        {
            "key": list("abcd"),
            "label": ["m", None, "m", None],
            "kind": ["box", "nothing", "box", "nothing"],
            "ignore": [False, False, True, False],
            **{n: [1, None, 1, None] for n in ("x0", "y0")},
            **{n: [5, None, 5, None] for n in ("x1", "y1")},
        }
    )
    scores = {"a": 0.8, "b": 0.1, "c": 0.05, "d": 0.4}
    columns = {"key": list(scores), "label": ["m"] * 4, "score": list(scores.values())}
    found = Boxes.from_columns(
        {**columns, **dict.fromkeys(("x0", "y0"), [1] * 4), "x1": [5] * 4, "y1": [5] * 4}
    )
    result = evaluate(found, truth, "classification", resamples=0)
    assert result.map == 1.0
    row = result.per_label.loc["m"]
    assert (row["sensitivity"], row["specificity"]) == (1.0, 1.0)

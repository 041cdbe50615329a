"""Section: scores of the predictions, false positives and false negatives."""

from __future__ import annotations

import shlex
from collections.abc import Iterator
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from wetread.boxes.collection import Boxes
from wetread.common.text import counted
from wetread.errors import UsageError
from wetread.evaluation import evaluate
from wetread.evaluation.bootstrap import Floats
from wetread.evaluation.cases import Cases, Side, read_cases
from wetread.evaluation.curves import draw_curves
from wetread.evaluation.images import TRAIN, match_images
from wetread.evaluation.matching import Judged, Pairs, judge_largest, pair_boxes
from wetread.reports import blocks, charts
from wetread.reports.blocks import Gallery, Mark, Section, Tile
from wetread.reports.charts import Line
from wetread.reports.markup import Fixed, cut
from wetread.reports.sections.labels import MAX_IN_JSON, MAX_LABELS
from wetread.reports.subject import MAX_LENGTH, Subject

IOU = 0.4
RESAMPLES = 200
"""Bootstrap resamples; fewer than the default of `evaluate`, for speed."""
MAX_RATE = 8.0
"""Right end of the FROC curve: false positives per image."""
_LINES = 6
_MISSES = 6
Corners = tuple[float, float, float, float]


def describe(subject: Subject) -> Section:
    """Average precision, FROC and precision-recall curves, worst errors."""
    section = Section("predictions", "Predictions", ["labels", "predictions"])
    predictions, truth = subject.predictions, subject.truth
    if predictions is None or truth is None:
        text = "No predictions were given."
        if predictions is not None:
            text = "Predictions were given without a label file, so they cannot be scored."
        options = "--boxes train.csv --predictions predictions.parquet -o report.html"
        section.add(blocks.missing(text, subject.shell("report", options)))
        return section
    predictions, left = held_out(predictions, truth)
    if left:
        section.data["left_out"] = left
        section.add(
            blocks.note(
                f"{counted(left, f'image of the part {TRAIN}', 'are')} excluded: scores on "
                f"training images are "
                "too optimistic."
            )
        )
    if left and not len(predictions):
        section.add(blocks.prose("All predictions are on training images."))
        return section
    try:
        cases = read_cases(predictions, truth)
        section.data |= _score(predictions, truth)
    except UsageError as error:
        reason = cut(str(error), 400) if subject.names_files else "the reason contains file names"
        section.add(blocks.note(f"The predictions could not be scored: {reason}", "error"))
        section.data["error"] = reason
        return section
    pairs = pair_boxes(cases)
    judged = judge_largest(pairs, cases, IOU)
    _show_scores(subject, section)
    _show_curves(section, cases, judged)
    names = match_images(predictions.table, truth.table, allow_train=False).names
    _show_misses(subject, section, _Scored(cases, pairs, judged, names))
    return section


def held_out(predictions: Boxes, truth: Boxes) -> tuple[Boxes, int]:
    """Predictions on images outside the part train, and the number of images in it."""
    sides = [boxes.table for boxes in (predictions, truth)]
    names = [pc.coalesce(table["image"], table["key"]) for table in sides]
    train = [
        name.filter(pc.fill_null(pc.equal(table["part"], TRAIN), False))
        for name, table in zip(names, sides, strict=True)
    ]
    trained = pa.chunked_array([c for one in train for c in one.chunks], pa.string())
    out = pc.is_in(names[0], value_set=trained.unique())
    kept = predictions.select(np.asarray(pc.invert(out), bool))
    return kept, int(pc.count_distinct(names[0].filter(out)).as_py())


def _score(predictions: Boxes, truth: Boxes) -> dict[str, Any]:
    ap = evaluate(predictions, truth, f"voc2010@{IOU}", resamples=RESAMPLES)
    froc = evaluate(predictions, truth, f"froc@{IOU}", resamples=0)
    results = {"ap": ap.to_dict(), "froc": froc.to_dict()}
    for result in results.values():
        result["per_label"] = result["per_label"][:MAX_IN_JSON]
    return results


def _show_scores(subject: Subject, section: Section) -> None:
    ap, froc = section.data["ap"], section.data["froc"]
    file = shlex.quote(subject.sources.get("predictions", "predictions.parquet"))
    labels = shlex.quote(subject.sources.get("boxes", "train.csv"))
    low, high = ap["interval"] or (None, None)
    shown = "–" if ap["value"] is None else f"{ap['value']:.3f}"
    interval = "" if low is None else f" (95 % CI: {low:.3f} to {high:.3f})"
    section.add(
        blocks.facts(
            [
                (shown, f"mean AP at IoU {IOU}{interval}"),
                ("–" if froc["value"] is None else f"{froc['value']:.3f}", "mean of FROC (CPM)"),
                (ap["images"], "images scored"),
                (ap["patients"], "groups (patients or images)"),
            ],
            f"wetread evaluate {file} {labels} --metric voc2010@{IOU}",
        )
    )
    for text in ap["notes"]:
        section.add(blocks.note(text))
    sensitivity = {row["label"]: row for row in froc["per_label"]}
    rows = [
        (
            cut(row["label"], MAX_LENGTH),
            row["truth"],
            row["predictions"],
            Fixed(row["ap"]),
            "–" if row["low"] is None else f"{row['low']:.3f} to {row['high']:.3f}",
            Fixed(sensitivity[row["label"]]["at 1"]),
            Fixed(sensitivity[row["label"]]["cpm"]),
        )
        for row in ap["per_label"][:MAX_LABELS]
    ]
    head = ("label", "boxes", "predicted", "AP", "95 % CI", "sensitivity at 1 FP/image", "CPM")
    caption = "By label, with 95 % bootstrap confidence intervals, resampled by patient"
    section.add(blocks.table(caption, head, rows))


def _show_curves(section: Section, cases: Cases, judged: Judged) -> None:
    """Add FROC and precision-recall curves of the labels with most ground-truth boxes."""
    curves = draw_curves(cases, judged)
    ones = np.ones(cases.images)
    totals = [curve.count(ones) for curve in curves]
    order = sorted(range(len(totals)), key=lambda i: -totals[i][2])[:_LINES]
    froc, recall, kept = [], [], {}
    for i in order:
        hits, predicted, truth = totals[i]
        found, boxes = hits[:, 0], predicted[:, 0]
        if not truth or not boxes.any():
            continue
        found, boxes = found[boxes > 0], boxes[boxes > 0]
        name = cut(cases.labels[i], MAX_LENGTH)
        sensitivity, rate = found / truth, (boxes - found) / cases.images
        kept[cases.labels[i]] = {
            "recall": _round(sensitivity), "precision": _round(found / boxes),
            "false_positives": _round(rate),
        }  # fmt: skip
        inside = rate <= MAX_RATE
        froc.append(Line(name, [(0, 0), *zip(rate[inside], sensitivity[inside], strict=True)]))
        recall.append(Line(name, list(zip(sensitivity, found / boxes, strict=True))))
    section.data["curves"] = kept
    if not froc:
        return
    furthest = max((x for line in froc for x, _ in line.points), default=0.0)
    right = min(MAX_RATE, charts.round_up(float(furthest)))
    names = [line.name for line in froc]
    first = charts.lines(
        froc, "false positives per image", "sensitivity", "FROC curves", right=right
    )
    second = charts.lines(recall, "recall", "precision", "Precision-recall curves")
    section.add(
        blocks.side_by_side(
            blocks.figure(f"FROC at IoU {IOU}", first),
            blocks.figure(f"Precision and recall at IoU {IOU}", second),
        ),
        blocks.Static(charts.legend(names)),
    )


def _round(values: Floats, most: int = 60) -> list[float]:
    """Subsampled and rounded values, for the JSON."""
    places = np.unique(np.linspace(0, len(values) - 1, min(most, len(values))).round().astype(int))
    return [round(float(v), 4) for v in values[places]]


class _Scored:
    """Boxes by image, as true positives, false positives and false negatives."""

    def __init__(self, cases: Cases, pairs: Pairs, judged: Judged, names: tuple[str, ...]) -> None:
        self.cases, self.hit = cases, judged.hit[:, 0]
        self.wrong = judged.counted[:, 0] & ~self.hit
        # As `match_images` names them: the id, and the frame where there are several.
        self.places = [name.partition(" frame ")[::2] for name in names]
        best = np.zeros(len(cases.truth))
        np.maximum.at(best, pairs.truth, pairs.iou)
        self.best = best
        self.missed = (best <= IOU) & ~cases.truth.ignore

    def false(self) -> list[int]:
        """False positives, by decreasing score."""
        wrong = np.flatnonzero(self.wrong)
        order = np.argsort(-self.cases.predicted.score[wrong], kind="stable")
        return [int(i) for i in wrong[order]]

    def lost(self) -> list[int]:
        """False negatives, by increasing IoU and decreasing area."""
        lost, box = np.flatnonzero(self.missed), self.cases.truth.box
        area = (box[:, 2] - box[:, 0]) * (box[:, 3] - box[:, 1])
        return [int(i) for i in lost[np.lexsort((-area[lost], self.best[lost].round(2)))]]

    def marks(self, image: int, label: int) -> Iterator[Mark]:
        """All boxes of an image and a label."""
        truth, found = self.cases.truth, self.cases.predicted
        for i in _of(truth, image, label):
            yield Mark("missed" if self.missed[i] else "truth", _corners(truth, i))
        for i in _of(found, image, label):
            yield Mark("hit" if self.hit[i] else "false", _corners(found, i))


def _of(side: Side, image: int, label: int) -> list[int]:
    return [int(i) for i in np.flatnonzero((side.image == image) & (side.label == label))]


def _corners(side: Side, place: int) -> Corners:
    x0, y0, x1, y1 = side.box[place].tolist()
    return x0, y0, x1, y1


def _show_misses(subject: Subject, section: Section, scored: _Scored) -> None:
    false, lost = scored.false(), scored.lost()
    section.data["misses"] = {"false_positives": len(false), "false_negatives": len(lost)}
    found, truth = scored.cases.predicted, scored.cases.truth
    made_up = _tiles(subject, scored, found, false, lambda i: f"score {found.score[i]:.2f}")
    missed = _tiles(subject, scored, truth, lost, lambda i: f"best IoU {scored.best[i]:.2f}")
    if made_up or missed:
        section.add(
            blocks.prose(
                "Ground truth: thin line if found, dotted if missed. Predictions: thick line if "
                "true positive, dashed if false positive. Only boxes of the label are drawn."
            )
        )
    for caption, tiles in (
        (f"False positives with the highest scores, of {len(false):,}", made_up),
        (f"False negatives with the lowest IoU, of {len(lost):,}", missed),
    ):
        if tiles:
            section.add(Gallery(caption, tiles))


def _tiles(subject: Subject, scored: _Scored, side: Side, order: list[int], say: Any) -> list[Tile]:
    """Crops around boxes, at most one per image."""
    chosen: dict[str, int] = {}
    for place in order:
        id_ = scored.places[side.image[place]][0]
        chosen.setdefault(id_, place)
        if len(chosen) == _MISSES:
            break
    listed = ", ".join("'" + id_.replace("'", "''") + "'" for id_ in chosen)
    if not listed:
        return []
    sql = f'SELECT id, path, member, Rows, "Columns" FROM index WHERE id IN ({listed})'
    rows = {row["id"]: row for row in subject.query(sql)}
    tiles = []
    for id_, place in chosen.items():
        row = rows.get(id_)
        if row is None or not row["Rows"] or not row["Columns"]:
            continue
        image, label = int(side.image[place]), int(side.label[place])
        crop = around(_corners(side, place), (row["Rows"], row["Columns"]))
        marks = list(scored.marks(image, label))
        note = f"{cut(scored.cases.labels[label], 28)}, {say(place)}"
        frame = int(scored.places[image][1] or 0)
        tiles.append(subject.tile(row, note, crop, marks, frame))
    return tiles


def around(corners: Corners, shape: tuple[int, int]) -> Corners:
    """Square crop around a box, about twice as large, in an image of (rows, columns).

    >>> around((40, 40, 60, 50), (100, 80))
    (16.0, 13.0, 80.0, 77.0)
    """
    x0, y0, x1, y1 = corners
    rows, columns = shape
    side = min(max(2.2 * max(x1 - x0, y1 - y0), 64.0), float(rows), float(columns))
    left = min(max((x0 + x1 - side) / 2, 0.0), columns - side)
    top = min(max((y0 + y1 - side) / 2, 0.0), rows - side)
    return left, top, left + side, top + side

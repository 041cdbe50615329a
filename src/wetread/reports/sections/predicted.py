"""Section 14: what a model found, missed and made up."""

from __future__ import annotations

import shlex
from collections.abc import Iterator
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from wetread.boxes.collection import Boxes
from wetread.errors import UsageError
from wetread.evaluation import evaluate
from wetread.evaluation.bootstrap import Flags, Floats
from wetread.evaluation.cases import Cases, Side, read_cases
from wetread.evaluation.curves import draw_curves
from wetread.evaluation.detection import first_over
from wetread.evaluation.images import TRAIN, match_images
from wetread.evaluation.matching import Pairs, match_largest, pair_boxes
from wetread.reports import blocks, charts
from wetread.reports.blocks import Gallery, Mark, Section, Tile
from wetread.reports.charts import Line
from wetread.reports.markup import Fixed, cut
from wetread.reports.sections.labels import MOST_IN_JSON, MOST_LABELS
from wetread.reports.subject import LONGEST, Subject

IOU = 0.4
RESAMPLES = 200
"""Fewer than `evaluate` makes by default, as a report shall be quick."""
MOST_RATE = 8.0
"""The right end of FROC: false positives an image."""
_LINES = 6
_MISSES = 6
_BINS = 10
Corners = tuple[float, float, float, float]


def describe(subject: Subject) -> Section:
    """Average precision, FROC and precision-recall curves, calibration, the worst misses."""
    section = Section("predictions", "Predictions", ["labels", "predictions"])
    predictions, truth = subject.predictions, subject.truth
    if predictions is None or truth is None:
        lacks = "No predictions were given." if predictions is None else (
            "Predictions were given, and no label file to judge them by."
        )  # fmt: skip
        section.add(blocks.prose(lacks), blocks.Words(blocks.how(
            f"wetread report {shlex.quote(subject.name)} --boxes train.csv "
            "--predictions predictions.parquet -o report.html")))  # fmt: skip
        return section
    predictions, left = _held_out(predictions, truth)
    if left:
        section.data["left_out"] = left
        section.add(
            blocks.note(
                f"{left:,} images of the part {TRAIN} are left out: a score on images that the "
                "model has learnt from promises too much. wetread evaluate --allow-train scores "
                "them too."
            )
        )
    if left and not len(predictions):
        section.add(blocks.prose("No prediction is left to be judged."))
        return section
    try:
        cases = read_cases(predictions, truth)
        section.data |= _judge(predictions, truth)
    except UsageError as error:
        why = cut(str(error), 400) if subject.names_files else "wetread evaluate says why"
        section.add(blocks.note(f"The predictions could not be judged: {why}", "error"))
        section.data["error"] = why
        return section
    pairs = pair_boxes(cases)
    hit = first_over(match_largest(pairs), len(cases.predicted), IOU)
    _show_scores(subject, section)
    _show_curves(section, cases, hit)
    _show_calibration(section, cases.predicted.score, hit)
    names = match_images(predictions.table, truth.table, allow_train=False).names
    _show_misses(subject, section, _Judged(cases, pairs, hit, names))
    return section


def _held_out(predictions: Boxes, truth: Boxes) -> tuple[Boxes, int]:
    """Predictions on images that are not of the part train, and the number of those that are."""
    sides = [boxes.table for boxes in (predictions, truth)]
    names = [pc.coalesce(table["image"], table["key"]) for table in sides]
    train = [
        name.filter(pc.fill_null(pc.equal(table["part"], TRAIN), False))
        for name, table in zip(names, sides, strict=True)
    ]
    learnt = pa.chunked_array([c for one in train for c in one.chunks], pa.string())
    out = pc.is_in(names[0], value_set=learnt.unique())
    kept = predictions.select(np.asarray(pc.invert(out), bool))
    return kept, int(pc.count_distinct(names[0].filter(out)).as_py())


def _judge(predictions: Boxes, truth: Boxes) -> dict[str, Any]:
    ap = evaluate(predictions, truth, f"voc2010@{IOU}", resamples=RESAMPLES)
    froc = evaluate(predictions, truth, f"froc@{IOU}", resamples=0)
    said = {"ap": ap.to_dict(), "froc": froc.to_dict()}
    for one in said.values():
        one["per_label"] = one["per_label"][:MOST_IN_JSON]
    return said


def _show_scores(subject: Subject, section: Section) -> None:
    ap, froc = section.data["ap"], section.data["froc"]
    file = shlex.quote(subject.sources.get("predictions", "predictions.parquet"))
    labels = shlex.quote(subject.sources.get("boxes", "train.csv"))
    low, high = ap["interval"] or (None, None)
    shown = "–" if ap["value"] is None else f"{ap['value']:.3f}"
    sure = "" if low is None else f" (95 %: {low:.3f} to {high:.3f})"
    section.add(
        blocks.facts(
            [
                (shown, f"mean AP at IoU {IOU}{sure}"),
                ("–" if froc["value"] is None else f"{froc['value']:.3f}", "mean of FROC (CPM)"),
                (ap["images"], "images judged"),
                (ap["groups"], "patients, or images apart"),
            ],
            f"wetread evaluate {file} {labels} --metric voc2010@{IOU}",
        )
    )
    for said in ap["notes"]:
        section.add(blocks.note(said))
    sensitivity = {row["label"]: row for row in froc["per_label"]}
    rows = [
        (
            cut(row["label"], LONGEST),
            row["truth"],
            row["predictions"],
            Fixed(row["ap"]),
            "–" if row["low"] is None else f"{row['low']:.3f} to {row['high']:.3f}",
            Fixed(sensitivity[row["label"]]["at 1"]),
            Fixed(sensitivity[row["label"]]["cpm"]),
        )
        for row in ap["per_label"][:MOST_LABELS]
    ]
    head = ("label", "boxes", "predicted", "AP", "95 %", "sensitivity at 1 FP an image", "CPM")
    caption = "By label; intervals draw patients anew"
    section.add(blocks.table(caption, head, rows))


def _show_curves(section: Section, cases: Cases, hit: Flags) -> None:
    """FROC and precision over recall, of the labels with the most truth boxes."""
    curves = draw_curves(cases, hit[:, None])
    ones = np.ones(cases.images)
    totals = [curve.count(ones) for curve in curves]
    order = sorted(range(len(totals)), key=lambda i: -totals[i][2])[:_LINES]
    froc, recall, kept = [], [], {}
    for i in order:
        hits, boxes, truth = totals[i]
        if not truth or not len(boxes):
            continue
        found, name = hits[:, 0], cut(cases.labels[i], LONGEST)
        sensitivity, rate = found / truth, (boxes - found) / cases.images
        kept[cases.labels[i]] = {
            "recall": _round(sensitivity), "precision": _round(found / boxes),
            "false_positives": _round(rate),
        }  # fmt: skip
        inside = rate <= MOST_RATE
        froc.append(Line(name, [(0, 0), *zip(rate[inside], sensitivity[inside], strict=True)]))
        recall.append(Line(name, list(zip(sensitivity, found / boxes, strict=True))))
    section.data["curves"] = kept
    if not froc:
        return
    furthest = max((x for line in froc for x, _ in line.points), default=0.0)
    right = min(MOST_RATE, charts.round_up(float(furthest)))
    names = [line.name for line in froc]
    first = charts.lines(
        froc, "false positives an image", "sensitivity", "FROC curves", right=right
    )
    second = charts.lines(recall, "recall", "precision", "Precision over recall")
    section.add(
        blocks.beside(
            blocks.figure(f"FROC at IoU {IOU}", first),
            blocks.figure(f"Precision and recall at IoU {IOU}", second),
        ),
        blocks.Words(charts.legend(names)),
    )


def _round(values: Floats, most: int = 60) -> list[float]:
    """So many of the values, for machines."""
    places = np.unique(np.linspace(0, len(values) - 1, min(most, len(values))).round().astype(int))
    return [round(float(v), 4) for v in values[places]]


def _show_calibration(section: Section, score: Floats, hit: Flags) -> None:
    """Whether a score of 0.8 is right four times of five."""
    if not len(score) or score.min() < 0 or score.max() > 1:
        section.add(blocks.note("Scores are not between 0 and 1, so calibration is not shown."))
        return
    bins = np.minimum((score * _BINS).astype(int), _BINS - 1)
    points = [
        (float(score[bins == b].mean()), float(hit[bins == b].mean()), int((bins == b).sum()))
        for b in range(_BINS)
        if (bins == b).any()
    ]
    error = sum(n * abs(x - y) for x, y, n in points) / len(score)
    section.data["calibration"] = {"bins": [list(p) for p in points], "expected_error": error}
    drawn = charts.calibration(points, "Share of hits over score")
    caption = (
        f"Calibration: scores that mean what they say lie on the line; on average they are "
        f"{error:.2f} off it"
    )
    rows = [(f"{x:.2f}", n, blocks.share(y, 1)) for x, y, n in points]
    head = ("mean score", "boxes", "hits")
    section.add(blocks.beside(blocks.figure(caption, drawn), blocks.table("By score", head, rows)))


class _Judged:
    """Boxes by image, with what became of them."""

    def __init__(self, cases: Cases, pairs: Pairs, hit: Flags, names: tuple[str, ...]) -> None:
        self.cases, self.hit = cases, hit
        # As `match_images` names them: the id, and the frame where there are several.
        self.places = [name.partition(" frame ")[::2] for name in names]
        best = np.zeros(len(cases.truth))
        np.maximum.at(best, pairs.truth, pairs.iou)
        self.best = best
        self.missed = best <= IOU

    def false(self) -> list[int]:
        """Predictions that found nothing, the surest first."""
        wrong = np.flatnonzero(~self.hit)
        order = np.argsort(-self.cases.predicted.score[wrong], kind="stable")
        return [int(i) for i in wrong[order]]

    def lost(self) -> list[int]:
        """Boxes of the truth that nothing found, the least overlapped and largest first."""
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


def _show_misses(subject: Subject, section: Section, judged: _Judged) -> None:
    false, lost = judged.false(), judged.lost()
    section.data["misses"] = {"false_positives": len(false), "false_negatives": len(lost)}
    found, truth = judged.cases.predicted, judged.cases.truth
    made_up = _tiles(subject, judged, found, false, lambda i: f"score {found.score[i]:.2f}")
    missed = _tiles(subject, judged, truth, lost, lambda i: f"best IoU {judged.best[i]:.2f}")
    if made_up or missed:
        section.add(
            blocks.prose(
                "Boxes: truth found, thin line; truth missed, dotted; prediction that hits, thick "
                "line; prediction that does not, dashed. Only boxes of the label are drawn."
            )
        )
    for caption, tiles in (
        (f"The surest of {len(false):,} false positives", made_up),
        (f"The clearest of {len(lost):,} misses", missed),
    ):
        if tiles:
            section.add(Gallery(caption, tiles))


def _tiles(subject: Subject, judged: _Judged, side: Side, order: list[int], say: Any) -> list[Tile]:
    """Parts of images around some boxes, one an image."""
    chosen: dict[str, int] = {}
    for place in order:
        id_ = judged.places[side.image[place]][0]
        chosen.setdefault(id_, place)
        if len(chosen) == _MISSES:
            break
    listed = ", ".join("'" + id_.replace("'", "''") + "'" for id_ in chosen)
    if not listed:
        return []
    sql = f'SELECT id, path, member, Rows, "Columns" FROM index WHERE id IN ({listed})'
    rows = {row["id"]: row for row in subject.ask(sql)}
    tiles = []
    for id_, place in chosen.items():
        row = rows.get(id_)
        if row is None or not row["Rows"] or not row["Columns"]:
            continue
        image, label = int(side.image[place]), int(side.label[place])
        crop = around(_corners(side, place), (row["Rows"], row["Columns"]))
        marks = list(judged.marks(image, label))
        said = f"{cut(judged.cases.labels[label], 28)}, {say(place)}"
        frame = int(judged.places[image][1] or 0)
        tiles.append(subject.tile(row, said, crop, marks, frame))
    return tiles


def around(corners: Corners, shape: tuple[int, int]) -> Corners:
    """A square part of an image of (rows, columns) around a box, about twice as large as it.

    >>> around((40, 40, 60, 50), (100, 80))
    (16.0, 13.0, 80.0, 77.0)
    """
    x0, y0, x1, y1 = corners
    rows, columns = shape
    side = min(max(2.2 * max(x1 - x0, y1 - y0), 64.0), float(rows), float(columns))
    left = min(max((x0 + x1 - side) / 2, 0.0), columns - side)
    top = min(max((y0 + y1 - side) / 2, 0.0), rows - side)
    return left, top, left + side, top + side

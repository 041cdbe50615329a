"""COCO's average precision, by faster-coco-eval."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np

from wetread.errors import MissingExtraError
from wetread.evaluation.bootstrap import Floats
from wetread.evaluation.cases import Cases, Curve, Scores, Side
from wetread.evaluation.curves import draw_curves, precisions
from wetread.evaluation.matching import match_free, pair_boxes, rank_in_cell

THRESHOLDS = np.linspace(0.5, 0.95, 10)
RECALLS = np.linspace(0, 1, 101)
MOST = 100
"""Maximum number of boxes per image and label."""


def score_coco(cases: Cases) -> Scores:
    """Mean precision at 101 recalls and ten IoUs, .50 to .95, of the best 100 boxes per image.

    Ground truth to ignore is a crowd. Scores are those of faster-coco-eval. It cannot weight
    images, so the confidence interval comes from our own matching and curves; the tests hold the
    two equal.

    Raises:
        MissingExtraError: faster-coco-eval is not installed.
    """
    whole, columns, details = _evaluate(cases)
    judged = match_free(pair_boxes(cases), cases, tuple(THRESHOLDS), at_threshold=True, most=MOST)
    used = rank_in_cell(cases) < MOST
    curves = [replace(curve, tied=False) for curve in draw_curves(cases, judged, used)]

    def score(weights: Floats) -> Floats:
        if np.all(weights == 1):
            return whole
        return np.array([_read(curve, weights) for curve in curves])

    first = draw_curves(cases, judged.first(), used)
    return Scores("ap", score, columns, first, details=details)


def _read(curve: Curve, weights: Floats) -> float:
    """Mean precision at all recalls and IoUs."""
    hits, boxes, total = curve.count(weights)
    if not total:
        return np.nan
    envelope = np.vstack([precisions(hits, boxes), np.zeros((1, hits.shape[1]))])
    recall = hits / total
    return float(
        np.mean([envelope[np.searchsorted(one, RECALLS), i] for i, one in enumerate(recall.T)])
    )


def _evaluate(cases: Cases) -> tuple[Floats, dict[str, Floats], dict[str, float]]:
    """AP of every label, at all and at two IoUs, and the twelve values of COCO's summary."""
    try:
        from faster_coco_eval import COCO, COCOeval_faster
    except ImportError as error:
        raise MissingExtraError('metric="coco"', "metrics") from error

    if not len(cases.predicted) or not len(cases.truth):
        targets = cases.truth.label[~cases.truth.ignore]
        zero = np.where(np.bincount(targets, minlength=len(cases.labels)), 0.0, np.nan)
        return zero, {"ap50": zero, "ap75": zero}, {}
    truth = COCO(
        {
            "images": [{"id": image} for image in range(cases.images)],
            "categories": [{"id": i, "name": name} for i, name in enumerate(cases.labels)],
            "annotations": _list_boxes(cases.truth),
        }
    )
    predicted = COCO({**truth.dataset, "annotations": _list_boxes(cases.predicted)})
    evaluation = COCOeval_faster(truth, predicted, "bbox", print_function=lambda *_: None)
    evaluation.run()
    precision = evaluation.eval["precision"][:, :, :, 0, -1]  # IoUs, recalls, labels
    precision = np.where(precision < 0, np.nan, precision)
    columns = {"ap50": precision[0].mean(axis=0), "ap75": precision[5].mean(axis=0)}
    details = {name: float(value) for name, value in evaluation.stats_as_dict.items()}
    return precision.mean(axis=(0, 1)), columns, details


def _list_boxes(side: Side) -> list[dict[str, Any]]:
    """Boxes in COCO format: x, y, width, height; ids from 1."""
    size = side.box[:, 2:] - side.box[:, :2]
    columns = (
        side.image.tolist(),
        side.label.tolist(),
        np.hstack([side.box[:, :2], size]).tolist(),
        np.prod(size, axis=1).tolist(),
        side.score.tolist(),
        side.ignore.astype(int).tolist(),
    )
    names = ("image_id", "category_id", "bbox", "area", "score", "iscrowd")
    return [
        {"id": number, **dict(zip(names, row, strict=True))}
        for number, row in enumerate(zip(*columns, strict=True), start=1)
    ]

"""Scores of predictions, with 95 % bootstrap confidence intervals, resampled by patient."""

from __future__ import annotations

import os
from collections.abc import Callable
from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from wetread.boxes.kaggle import NOTHING
from wetread.boxes.reading import open_boxes
from wetread.errors import UnknownNameError, UsageError
from wetread.evaluation.bootstrap import Floats, mean, percentile_interval, resample
from wetread.evaluation.cases import Cases, Scores, read_cases
from wetread.evaluation.classification import score_classification
from wetread.evaluation.coco import score_coco
from wetread.evaluation.detection import score_voc
from wetread.evaluation.froc import score_froc
from wetread.evaluation.pneumonia import score_pneumonia
from wetread.evaluation.result import Result

if TYPE_CHECKING:
    import pandas as pd

    from wetread.boxes.collection import Boxes

__all__ = ["METRICS", "Result", "evaluate"]


class Metric(NamedTuple):
    """Definition of a metric."""

    score: Callable[[Cases, float, float | None], Scores]
    """Function of the cases, the number after @, and the prevalence."""
    number: float | None = None
    """Default of the number after @; None requires one."""
    parametric: bool = False
    """True if the name takes a number after @."""
    nothing: str | None = None
    """Label of images without findings, if the metric has one."""


METRICS = {
    "voc2010": Metric(lambda cases, iou, _: score_voc(cases, iou), parametric=True),
    "vinbigdata": Metric(lambda cases, iou, _: score_voc(cases, iou), 0.4, nothing=NOTHING),
    "siim-covid": Metric(lambda cases, iou, _: score_voc(cases, iou), 0.5, nothing="none"),
    "rsna-pneumonia": Metric(lambda cases, *_: score_pneumonia(cases), 0.0),
    "coco": Metric(lambda cases, *_: score_coco(cases), 0.0),
    "froc": Metric(lambda cases, iou, _: score_froc(cases, iou), 0.4, parametric=True),
    "classification": Metric(score_classification, 0.5, parametric=True, nothing=NOTHING),
}


def evaluate(
    predictions: Boxes | str | os.PathLike[str],
    truth: Boxes | str | os.PathLike[str],
    metric: str = "vinbigdata",
    *,
    resamples: int = 1000,
    seed: int = 0,
    allow_train: bool = False,
    prevalence: float | None = None,
) -> Result:
    """Evaluate predictions: one score per label, and the mean over labels with ground truth.

    - `voc2010@0.4`, or any IoU: average precision as in PASCAL VOC 2010. A predicted box matches
      the ground-truth box of the largest IoU, strictly above the threshold; further predictions
      for the same box are false positives.
    - `vinbigdata`: `voc2010@0.4` with "No finding" as a label: rows of kind "nothing" are boxes
      0 0 1 1 of it, on both sides, with their score (default 1). An image without a row in the
      predictions has one too, as in the file that `submit` writes.
    - `siim-covid`: `voc2010@0.5` with "none" as such a label. The four classes of studies, which
      `read_boxes` leaves out, count too if given as boxes 0 0 1 1 with the study as key.
    - `rsna-pneumonia`: TP / (TP + FP + FN) per image, averaged over IoUs of .40 to .75.
    - `coco`: AP at IoUs of .50 to .95, by faster-coco-eval (extra `metrics`).
    - `froc`, or `froc@0.2`: mean sensitivity at 1/8 to 8 false positives per image; a hit has an
      IoU of at least .4, or the number given.
    - `classification`, or `classification@0.3`: AUC of each label over images with DeLong's
      interval, and sensitivity, specificity, predictive values and accuracy at the threshold (.5).

    Ground-truth boxes to ignore (`difficult`, `iscrowd`) are no targets, and predictions on them
    are neither right nor wrong. Boxes of equal score enter a curve together, so the order of rows
    never matters (`coco` sorts them by image and coordinates). Rows match on `image` if both sides
    have it, else on `key`, and on `frame`. If the ground truth has parts, each part with
    predictions is evaluated completely.

    Args:
        predictions: boxes with scores, or a file that `read_boxes` reads.
        truth: ground-truth boxes, one set per image (merge several readers first), or a file.
        metric: name of the metric, as above.
        resamples: bootstrap resamples for the 95 % confidence intervals, by patient (`group`); 0
            disables them.
        seed: random seed of the bootstrap.
        allow_train: evaluate images of the part "train" too.
        prevalence: share of positives for which `classification` adjusts the predictive values.

    Raises:
        UnknownNameError: there is no such metric.
        UsageError: predictions on images that are not in the ground truth, or of the part "train";
            several readers per image; boxes without score or with inverted edges; no label in
            common; points where boxes are needed.
        MissingExtraError: `coco` without faster-coco-eval.

    >>> from wetread.boxes.collection import Boxes
    >>> box = {"key": ["a", "b"], "label": ["Nodule/Mass"] * 2, "x0": [0, 0], "y0": [0, 0],
    ...        "x1": [10, 10], "y1": [10, 10]}
    >>> truth = Boxes.from_columns(box)
    >>> predictions = Boxes.from_columns({**box, "x1": [9, 2], "score": [0.9, 0.8]})
    >>> evaluate(predictions, truth, "voc2010@0.4", resamples=0).map
    0.5
    """
    definition, number = _parse(metric)
    if resamples < 0:
        raise UsageError(f"resamples must be 0 or more, not {resamples}")
    by_image = definition.score is score_classification
    if prevalence is not None and not by_image:
        raise UsageError('prevalence requires metric="classification"')
    predicted, expected = open_boxes(predictions), open_boxes(truth)
    nothing = definition.nothing
    if by_image and "nothing" not in predicted.table["kind"].unique().to_pylist():
        nothing = None  # "no finding" was not predicted
    cases = read_cases(predicted, expected, nothing, by_image, allow_train, fill=not by_image)
    scores = definition.score(cases, number, prevalence)
    return _summarise(cases, scores, metric, resamples, seed)


def _parse(metric: str) -> tuple[Metric, float]:
    """Definition of a metric, and the number after @."""
    name, at, text = metric.partition("@")
    definition = METRICS.get(name)
    if (
        definition is None
        or (at and not definition.parametric)
        or (not at and definition.number is None)
    ):
        raise UnknownNameError("metric", metric, [*METRICS, "voc2010@0.4", "voc2010@0.5"][1:])
    if not at:
        assert definition.number is not None
        return definition, definition.number
    try:
        number = float(text)
    except ValueError:
        number = np.nan
    if not 0 <= number < 1:
        raise UsageError(f"{metric}: the number after @ must be from 0 to below 1, as in @0.4")
    return definition, number


def _summarise(cases: Cases, scores: Scores, metric: str, resamples: int, seed: int) -> Result:
    """Result with bootstrap confidence intervals."""
    values = scores.score(np.ones(cases.images))
    value = float(mean(values))
    low, high = np.full((2, len(values)), np.nan)
    interval = None
    groups = len(np.unique(cases.group))
    notes = cases.notes
    if resamples and groups > 1 and not np.isnan(value):
        samples = resample(scores.score, cases.group, resamples, seed)
        low, high = percentile_interval(samples)
        bounds = percentile_interval(mean(samples))
        interval = (float(bounds[0]), float(bounds[1]))
    elif resamples:
        notes = (*notes, "no confidence interval: it needs ground truth and at least two groups")
    return Result(
        metric,
        None if np.isnan(value) else value,
        interval,
        _tabulate(cases, scores, {scores.name: values, "low": low, "high": high}),
        cases.images,
        groups,
        resamples if interval else 0,
        seed,
        scores.details,
        notes,
    )


def _tabulate(cases: Cases, scores: Scores, values: dict[str, Floats]) -> pd.DataFrame:
    """One row per label."""
    import pandas as pd

    count = len(cases.labels)
    boxes = {
        "truth": np.bincount(cases.truth.label[~cases.truth.ignore], minlength=count),
        "predictions": np.bincount(cases.predicted.label, minlength=count),
    }
    index = pd.Index(cases.labels, name="label", dtype=object)
    return pd.DataFrame({**values, **boxes, **scores.columns}, index=index)

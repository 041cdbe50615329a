"""Scores of predictions, with 95 % bootstrap confidence intervals, resampled by patient."""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np

from wetread.boxes.join import joined
from wetread.boxes.reading import open_boxes
from wetread.errors import UsageError
from wetread.evaluation.bootstrap import Floats, mean, percentile_interval, resample
from wetread.evaluation.calibration import fit_temperature, measure_calibration
from wetread.evaluation.cases import Cases, Scores, read_cases
from wetread.evaluation.metrics import METRICS, Metric, parse_metric
from wetread.evaluation.operating import (
    check_goal,
    choose_thresholds,
    split_cases,
    tabulate_points,
)
from wetread.evaluation.result import Result
from wetread.evaluation.subgroups import Grouping, read_groupings, score_groups
from wetread.table.rows import IndexLike, IndexRows

if TYPE_CHECKING:
    import pandas as pd

    from wetread.boxes.collection import Boxes

__all__ = ["METRICS", "Result", "calibrate", "evaluate"]


def evaluate(
    predictions: Boxes | str | os.PathLike[str],
    truth: Boxes | str | os.PathLike[str],
    metric: str = "vinbigdata",
    *,
    by: str | Sequence[str] = (),
    index: IndexLike | None = None,
    sensitivity: float | None = None,
    false_positives: float | None = None,
    threshold_from: str | None = None,
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
    have it, else on `key`, and on `frame`. An image of which every reading is undecided ("unsure",
    "bad image") has no ground truth: it is left out with its predictions, and `notes` has the
    number. If the ground truth has parts, each part with
    predictions is evaluated completely.

    Args:
        predictions: boxes with scores, or a file that `read_boxes` reads.
        truth: ground-truth boxes, one set per image (merge several readers first), or a file.
        metric: name of the metric, as above.
        by: subgroups to score: columns of the index, SQL expressions over them, or
            `patient_age_decade`. Numbers with more than 10 distinct values are divided at their
            quartiles, or at the edges after a colon, as in `patient_age_years:18,40,65`.
        index: index of the images, or its folder, to which both sides are joined; `by` needs it
            (default: the index that the predictions or the ground truth were joined to).
        sensitivity: sensitivity of the operating point of each label.
        false_positives: false positives per image of the operating point, instead.
        threshold_from: part on which the thresholds of the operating points are chosen, such as
            "valid". They are applied to the other images, which alone are scored then.
        resamples: bootstrap resamples for the 95 % confidence intervals, by patient (`group`); 0
            disables them.
        seed: random seed of the bootstrap.
        allow_train: evaluate images of the part "train" too.
        prevalence: share of positives for which `classification` adjusts the predictive values.

    Raises:
        UnknownNameError: there is no such metric.
        UsageError: predictions on images that are not in the ground truth, or of the part "train";
            several readers per image; boxes without score or with inverted edges; no label in
            common; points where boxes are needed; an operating point without a part to choose its
            threshold on, or subgroups without an index.
        QueryError: a subgroup is not an expression over the columns of the index.
        MissingExtraError: `coco` without faster-coco-eval.

    >>> from wetread.boxes.collection import Boxes
    >>> box = {"key": ["a", "b"], "label": ["Nodule/Mass"] * 2, "x0": [0, 0], "y0": [0, 0],
    ...        "x1": [10, 10], "y1": [10, 10]}
    >>> truth = Boxes.from_columns(box)
    >>> predictions = Boxes.from_columns({**box, "x1": [9, 2], "score": [0.9, 0.8]})
    >>> evaluate(predictions, truth, "voc2010@0.4", resamples=0).map
    0.5
    """
    definition, number = parse_metric(metric)
    if resamples < 0:
        raise UsageError(f"resamples must be 0 or more, not {resamples}")
    if prevalence is not None and not definition.by_image:
        raise UsageError('prevalence goes with metric="classification"')
    check_goal(sensitivity, false_positives, threshold_from)
    expressions = [by] if isinstance(by, str) else list(dict.fromkeys(by))
    images = None if index is None else IndexRows.of(index)
    predicted, expected = open_boxes(predictions, images), open_boxes(truth, images)
    if images is None and expressions:
        images = _find_index(predicted, expected)
    if images is not None:
        predicted, expected = joined(predicted, images), joined(expected, images)
    cases = _read_cases(predicted, expected, definition, allow_train)
    parts = [cases] if threshold_from is None else split_cases(cases, threshold_from)
    scored = [(part, definition.score(part, number, prevalence)) for part in parts]
    cases, scores = scored[-1]
    result = _summarise(cases, scores, metric, resamples, seed)
    groupings: list[Grouping] = []
    if expressions and images is not None:
        groupings, notes = read_groupings(images, expressions, cases.names)
        groups, more = score_groups(scores.score, cases.group, groupings, resamples, seed)
        result = replace(result, groups=groups, notes=(*result.notes, *notes, *more))
    if threshold_from is not None:
        limits = choose_thresholds(scored[0][1], parts[0].images, sensitivity, false_positives)
        points = tabulate_points(scored, limits, groupings, resamples, seed)
        result = replace(result, operating_points=points)
    return result


def calibrate(predictions: Boxes, truth: Boxes, metric: str) -> float | None:
    """Temperature that calibrates the scores; see `fit_temperature`.

    Args:
        predictions: boxes with scores, of images that the model was not trained on.
        truth: ground truth.
        metric: metric of `evaluate` that says which predictions are hits.

    Raises:
        UsageError: as `evaluate`.
    """
    definition, number = parse_metric(metric)
    cases = _read_cases(predictions, truth, definition)
    return fit_temperature(definition.score(cases, number, None))


def _read_cases(
    predicted: Boxes, expected: Boxes, definition: Metric, allow_train: bool = False
) -> Cases:
    nothing, by_image = definition.nothing, definition.by_image
    if by_image and "nothing" not in predicted.table["kind"].unique().to_pylist():
        nothing = None  # "no finding" was not predicted
    return read_cases(predicted, expected, nothing, by_image, allow_train, fill=not by_image)


def _find_index(*sides: Boxes) -> IndexRows:
    """Index that the boxes were joined to."""
    folder = next((boxes.index for boxes in sides if boxes.index), None)
    if folder is None:
        raise UsageError("subgroups need the index of the images: give index=index")
    return IndexRows.of(folder)


def _summarise(cases: Cases, scores: Scores, metric: str, resamples: int, seed: int) -> Result:
    """Result with bootstrap confidence intervals."""
    values = scores.score(np.ones(cases.images))
    value = float(mean(values))
    low, high = np.full((2, len(values)), np.nan)
    interval, drawn = None, 0
    patients = len(np.unique(cases.group))
    notes = cases.notes
    if resamples and patients > 1 and not np.isnan(value):
        samples = resample(scores.score, cases.group, resamples, seed)
        drawn = resamples
        low, high = percentile_interval(samples)
        bounds = percentile_interval(mean(samples))
        if np.isnan(bounds[0]):
            notes = (*notes, "no confidence interval: every resample has the same score")
        else:
            interval = (float(bounds[0]), float(bounds[1]))
    elif resamples:
        notes = (*notes, "no confidence interval: it needs ground truth and at least two groups")
    notes = (*notes, *_note_range(cases, scores))
    return Result(
        metric,
        None if np.isnan(value) else value,
        interval,
        _tabulate(cases, scores, {scores.name: values, "low": low, "high": high}),
        cases.images,
        patients,
        drawn,
        seed,
        scores.details,
        notes,
        calibration=measure_calibration(cases.labels, scores, cases.group, resamples, seed),
    )


def _note_range(cases: Cases, scores: Scores) -> Iterator[str]:
    """Note on scores that are not between 0 and 1."""
    given = cases.predicted.score
    if len(given) and (given.min() < 0 or given.max() > 1):
        text = f"scores from {given.min():g} to {given.max():g}, not 0 to 1: no calibration error"
        threshold = scores.details.get("threshold")
        yield text if threshold is None else f"{text}; check the threshold {threshold:g}"


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

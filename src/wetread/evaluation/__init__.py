"""Scores of predictions against a truth, with intervals that draw patients anew."""

from __future__ import annotations

import os
from collections.abc import Callable
from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from wetread.boxes.kaggle import NOTHING
from wetread.boxes.reading import open_boxes
from wetread.errors import UnknownNameError, UsageError
from wetread.evaluation.bootstrap import Floats, mean, resample, spread
from wetread.evaluation.cases import Cases, Judgement, read_cases
from wetread.evaluation.classification import judge_classification
from wetread.evaluation.coco import judge_coco
from wetread.evaluation.detection import judge_voc
from wetread.evaluation.froc import judge_froc
from wetread.evaluation.pneumonia import judge_pneumonia
from wetread.evaluation.result import Result

if TYPE_CHECKING:
    import pandas as pd

    from wetread.boxes.collection import Boxes

__all__ = ["METRICS", "Result", "evaluate"]


class Metric(NamedTuple):
    """How a metric is computed."""

    judge: Callable[[Cases, float, float | None], Judgement]
    """From cases, the number after @, and the prevalence."""
    number: float | None = None
    """What stands for the number after @ where none is given."""
    asks: bool = False
    """Whether a number may be given."""
    nothing: str | None = None
    """The label of images where nothing is found, where that is a label."""


METRICS = {
    "voc2010": Metric(lambda cases, iou, _: judge_voc(cases, iou), asks=True),
    "vinbigdata": Metric(lambda cases, iou, _: judge_voc(cases, iou), 0.4, nothing=NOTHING),
    "siim-covid": Metric(lambda cases, iou, _: judge_voc(cases, iou), 0.5, nothing="none"),
    "rsna-pneumonia": Metric(lambda cases, *_: judge_pneumonia(cases), 0.0),
    "coco": Metric(lambda cases, *_: judge_coco(cases), 0.0),
    "froc": Metric(lambda cases, iou, _: judge_froc(cases, iou), 0.4, asks=True),
    "classification": Metric(judge_classification, 0.5, asks=True, nothing=NOTHING),
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
    """Scores predictions; every metric is a figure a label and the mean over labels with truth.

    - `voc2010@0.4`, or any IoU: average precision as PASCAL VOC 2010 has it. A box stands for the
      truth box that it overlaps most, strictly more than the IoU; a second one on it is wrong.
    - `vinbigdata`: `voc2010@0.4` with "No finding" as a label of its own: rows of kind "nothing"
      are boxes 0 0 1 1 of it, on both sides, with their score (1 where they have none). An image
      without a row in the predictions has one too, as in the file that `submit` writes.
    - `siim-covid`: `voc2010@0.5` with "none" as such a label. The four classes of studies, which
      `read_boxes` leaves out, count too if given as boxes 0 0 1 1 with the study as key.
    - `rsna-pneumonia`: TP / (TP + FP + FN) an image, averaged over IoUs of .40 to .75.
    - `coco`: AP at IoUs of .50 to .95, by faster-coco-eval (extra `metrics`).
    - `froc`, or `froc@0.2`: mean sensitivity at 1/8 to 8 false positives an image; a hit has an IoU
      of at least .4, or what is given.
    - `classification`, or `classification@0.3`: the AUC of each label over images, DeLong's
      interval, and at the threshold (.5) sensitivity, specificity, predictive values, accuracy.

    Boxes of equal score enter a curve together, so the order of rows never matters (`coco` takes
    them by image and coordinates). Rows match on `image` where both sides have it, else on `key`,
    and on `frame`. Where the truth has parts, the whole of each part with predictions is judged.

    Args:
        predictions: boxes with scores, or a file that `read_boxes` reads.
        truth: boxes of one reader an image or of a consensus, or a file.
        metric: a name as above.
        resamples: how often patients (`group`) are drawn anew for the 95 % intervals; 0: never.
        seed: the same seed, the same intervals.
        allow_train: judge images of the part "train" too.
        prevalence: `classification` says the predictive values for this share of positives too.

    Raises:
        UnknownNameError: no such metric.
        UsageError: predictions on images that the truth does not mention, or of the part "train";
            several readers for an image; boxes without score or whose end is before their
            beginning; no label in common; points where boxes are needed.
        MissingExtraError: `coco` without faster-coco-eval.

    >>> from wetread.boxes.collection import Boxes
    >>> box = {"key": ["a", "b"], "label": ["Nodule/Mass"] * 2, "x0": [0, 0], "y0": [0, 0],
    ...        "x1": [10, 10], "y1": [10, 10]}
    >>> truth = Boxes.from_columns(box)
    >>> found = Boxes.from_columns({**box, "x1": [9, 2], "score": [0.9, 0.8]})
    >>> evaluate(found, truth, "voc2010@0.4", resamples=0).map
    0.5
    """
    how, number = _parse(metric)
    if resamples < 0:
        raise UsageError(f"resamples must be 0 or more, not {resamples}")
    by_image = how.judge is judge_classification
    if prevalence is not None and not by_image:
        raise UsageError('prevalence goes with metric="classification"')
    found, expected = open_boxes(predictions), open_boxes(truth)
    nothing = how.nothing
    if by_image and "nothing" not in found.table["kind"].unique().to_pylist():
        nothing = None  # who never says that there is nothing is not judged on it
    cases = read_cases(found, expected, nothing, by_image, allow_train, fill=not by_image)
    return _score(cases, how.judge(cases, number, prevalence), metric, resamples, seed)


def _parse(metric: str) -> tuple[Metric, float]:
    """The metric of a name, and the number after its @."""
    name, at, text = metric.partition("@")
    how = METRICS.get(name)
    if how is None or (at and not how.asks) or (not at and how.number is None):
        raise UnknownNameError("metric", metric, [*METRICS, "voc2010@0.4", "voc2010@0.5"][1:])
    if not at:
        assert how.number is not None
        return how, how.number
    try:
        number = float(text)
    except ValueError:
        number = np.nan
    if not 0 <= number < 1:
        raise UsageError(f"{metric}: what follows the @ is a number from 0 to below 1, as in @0.4")
    return how, number


def _score(cases: Cases, judgement: Judgement, metric: str, resamples: int, seed: int) -> Result:
    """The figures of a judgement, and how sure they are."""
    figures = judgement.score(np.ones(cases.images))
    value = float(mean(figures))
    low, high = np.full((2, len(figures)), np.nan)
    interval = None
    groups = len(np.unique(cases.group))
    notes = cases.notes
    if resamples and groups > 1 and not np.isnan(value):
        drawn = resample(judgement.score, cases.group, resamples, seed)
        low, high = spread(drawn)
        bounds = spread(mean(drawn))
        interval = (float(bounds[0]), float(bounds[1]))
    elif resamples:
        notes = (*notes, "no interval: it needs truth and at least two groups")
    return Result(
        metric,
        None if np.isnan(value) else value,
        interval,
        _tabulate(cases, judgement, {judgement.figure: figures, "low": low, "high": high}),
        cases.images,
        groups,
        resamples if interval else 0,
        seed,
        judgement.details,
        notes,
    )


def _tabulate(cases: Cases, judgement: Judgement, figures: dict[str, Floats]) -> pd.DataFrame:
    """A row a label."""
    import pandas as pd

    count = len(cases.labels)
    boxes = {
        "truth": np.bincount(cases.truth.label, minlength=count),
        "predictions": np.bincount(cases.found.label, minlength=count),
    }
    index = pd.Index(cases.labels, name="label", dtype=object)
    return pd.DataFrame({**figures, **boxes, **judgement.columns}, index=index)

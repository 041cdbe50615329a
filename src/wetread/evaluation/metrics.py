"""Metrics by name."""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

import numpy as np

from wetread.boxes.kaggle import NOTHING
from wetread.errors import UnknownNameError, UsageError
from wetread.evaluation.cases import Cases, Scores
from wetread.evaluation.classification import score_classification
from wetread.evaluation.coco import score_coco
from wetread.evaluation.detection import score_voc
from wetread.evaluation.froc import score_froc
from wetread.evaluation.pneumonia import score_pneumonia


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
    by_image: bool = False
    """True if images are classified, whatever the position of the boxes."""


METRICS = {
    "voc2010": Metric(lambda cases, iou, _: score_voc(cases, iou), parametric=True),
    "vinbigdata": Metric(lambda cases, iou, _: score_voc(cases, iou), 0.4, nothing=NOTHING),
    "siim-covid": Metric(lambda cases, iou, _: score_voc(cases, iou), 0.5, nothing="none"),
    "rsna-pneumonia": Metric(lambda cases, *_: score_pneumonia(cases), 0.0),
    "coco": Metric(lambda cases, *_: score_coco(cases), 0.0),
    "froc": Metric(lambda cases, iou, _: score_froc(cases, iou), 0.4, parametric=True),
    "classification": Metric(score_classification, 0.5, True, NOTHING, by_image=True),
}


def parse_metric(metric: str) -> tuple[Metric, float]:
    """Definition of a metric, and the number after @.

    Raises:
        UnknownNameError: there is no such metric.
        UsageError: the number is not from 0 to below 1.
    """
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

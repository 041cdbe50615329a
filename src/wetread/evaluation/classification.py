"""Whether an image has a finding, wherever it is: AUC, and what one threshold makes of it."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from wetread.errors import UsageError
from wetread.evaluation.bootstrap import QUANTILE, Flags, Floats, wilson
from wetread.evaluation.cases import Cases, Judgement


def judge_classification(cases: Cases, threshold: float, prevalence: float | None) -> Judgement:
    """The area under the ROC curve of every label, over images.

    An image's score for a label is that of its best box; without one it is below every other.

    Args:
        cases: what is judged.
        threshold: an image is called positive from this score on.
        prevalence: where the predictive values shall hold; None: in these images.
    """
    if prevalence is not None and not 0 < prevalence < 1:
        raise UsageError(f"prevalence must be between 0 and 1, not {prevalence}")
    shape = (cases.images, len(cases.labels))
    positive = np.zeros(shape, bool)
    positive[cases.truth.image, cases.truth.label] = True
    scores = np.full(shape, -np.inf)
    np.maximum.at(scores, (cases.found.image, cases.found.label), cases.found.score)
    places = [np.unique(column, return_inverse=True)[1] for column in scores.T]

    def score(weights: Floats) -> Floats:
        labels = zip(places, positive.T, strict=True)
        return np.array([_area(place, has, weights) for place, has in labels])

    bounds = [delong(column, has) for column, has in zip(scores.T, positive.T, strict=True)]
    low, high = np.array(bounds).reshape(-1, 3).T[1:]
    columns = {"auc_low": low, "auc_high": high}
    columns |= _tabulate(positive, scores >= threshold, prevalence)
    return Judgement("auc", score, columns, {"threshold": threshold, "prevalence": prevalence})


def delong(scores: Floats, positive: Flags) -> tuple[float, float, float]:
    """The area under the ROC curve and its 95 % interval (DeLong, DeLong & Clarke-Pearson 1988).

    Args:
        scores: (n) higher for positive.
        positive: (n) what is true.

    Returns:
        The area, which is NaN without positives or negatives, and the interval, which is NaN with
        fewer than two of either and holds for independent images.

    >>> delong(np.array([0.1, 0.4, 0.35, 0.8]), np.array([False, False, True, True]))[0]
    0.75
    """
    place = np.unique(scores, return_inverse=True)[1]
    counts = [np.bincount(place[side], minlength=len(scores)) for side in (positive, ~positive)]
    total, rest = (int(count.sum()) for count in counts)
    if not total or not rest:
        return np.nan, np.nan, np.nan
    below, above = np.cumsum(counts[1]) - counts[1] / 2, np.cumsum(counts[0]) - counts[0] / 2
    won = below[place[positive]] / rest  # of a positive: the share of negatives that it outranks
    lost = above[place[~positive]] / total
    area = float(won.mean())
    if min(total, rest) < 2:
        return area, np.nan, np.nan
    half = QUANTILE * float(np.sqrt(won.var(ddof=1) / total + lost.var(ddof=1) / rest))
    return area, max(area - half, 0.0), min(area + half, 1.0)


def _area(place: NDArray[np.intp], positive: Flags, weights: Floats) -> float:
    """The area under the ROC curve where each image counts so many times."""
    has = np.bincount(place, weights * positive)
    lacks = np.bincount(place, weights * ~positive)
    product = has.sum() * lacks.sum()
    return float(has @ (np.cumsum(lacks) - lacks / 2) / product) if product else np.nan


def _tabulate(positive: Flags, called: Flags, prevalence: float | None) -> dict[str, Floats]:
    """The shares that a threshold makes, with Wilson's intervals."""
    tp, fn = (called & positive).sum(axis=0), (~called & positive).sum(axis=0)
    fp, tn = (called & ~positive).sum(axis=0), (~called & ~positive).sum(axis=0)
    columns: dict[str, Floats] = {}
    for name, hits, trials in (
        ("sensitivity", tp, tp + fn),
        ("specificity", tn, tn + fp),
        ("ppv", tp, tp + fp),
        ("npv", tn, tn + fn),
        ("accuracy", tp + tn, tp + fn + fp + tn),
    ):
        columns[name] = hits / np.where(trials > 0, trials, np.nan)
        columns[f"{name}_low"], columns[f"{name}_high"] = wilson(hits, trials)
    if prevalence is not None:
        columns |= adjust(columns["sensitivity"], columns["specificity"], prevalence)
    return columns


def adjust(sensitivity: Floats, specificity: Floats, prevalence: float) -> dict[str, Floats]:
    """Predictive values and accuracy where so many of all images are positive (Bayes' rule).

    >>> float(adjust(np.array(0.9), np.array(0.9), 0.01)["ppv_adjusted"].round(4))
    0.0833
    """
    true, missed = sensitivity * prevalence, (1 - sensitivity) * prevalence
    false, right = (1 - specificity) * (1 - prevalence), specificity * (1 - prevalence)
    called, passed = true + false, missed + right
    return {
        "ppv_adjusted": true / np.where(called > 0, called, np.nan),
        "npv_adjusted": right / np.where(passed > 0, passed, np.nan),
        "accuracy_adjusted": np.asarray(true + right),
    }

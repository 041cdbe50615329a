"""Classification of images: AUC, and sensitivity and specificity at a threshold."""

from __future__ import annotations

import numpy as np

from wetread.errors import UsageError
from wetread.evaluation.bootstrap import QUANTILE, Flags, Floats, drop_degenerate, wilson
from wetread.evaluation.cases import Cases, Curve, Scores


def score_classification(cases: Cases, threshold: float, prevalence: float | None) -> Scores:
    """Area under the ROC curve (AUC) of every label, over images.

    The score of an image for a label is that of its best box, or minus infinity without one. An
    image whose boxes of a label are all to be ignored is left out for that label.

    Args:
        cases: predictions and ground truth.
        threshold: minimum score of a positive image.
        prevalence: share of positives for adjusted predictive values; None skips them.
    """
    if prevalence is not None and not 0 < prevalence < 1:
        raise UsageError(f"prevalence must be between 0 and 1, not {prevalence}")
    positive, valid = label_images(cases)
    scores = np.full(positive.shape, -np.inf)
    np.maximum.at(scores, (cases.predicted.image, cases.predicted.label), cases.predicted.score)
    areas = [RocArea(column, hit) for column, hit in zip(scores.T, positive.T, strict=True)]

    def score(weights: Floats) -> Floats:
        labels = zip(areas, valid.T, strict=True)
        return np.array([area(weights * known) for area, known in labels])

    labels = zip(scores.T, positive.T, valid.T, strict=True)
    bounds = [delong(column[known], hit[known]) for column, hit, known in labels]
    low, high = drop_degenerate(*np.array(bounds).reshape(-1, 3).T[1:])
    columns = {"auc_low": low, "auc_high": high}
    columns |= _tabulate(positive, scores >= threshold, valid, prevalence)
    labels = zip(scores.T, positive.T, valid.T, strict=True)
    curves = [_draw_curve(column, hit, known) for column, hit, known in labels]
    details = {"threshold": threshold, "prevalence": prevalence}
    return Scores("auc", score, columns, curves, by_image=True, details=details)


def label_images(cases: Cases) -> tuple[Flags, Flags]:
    """Images with a label, and images that count for it, each (images, labels).

    An image whose boxes of a label are all to be ignored does not count.
    """
    truth = cases.truth
    positive, valid = np.zeros((2, cases.images, len(cases.labels)), bool)
    valid[:] = True
    valid[truth.image, truth.label] = False
    image, label = truth.image[~truth.ignore], truth.label[~truth.ignore]
    positive[image, label] = valid[image, label] = True
    return positive, valid


def _draw_curve(scores: Floats, positive: Flags, valid: Flags) -> Curve:
    """Images by falling score; images without one, of minus infinity, are left out."""
    order = np.argsort(-scores, kind="stable")[: int(np.isfinite(scores).sum())]
    order = order[valid[order]]
    return Curve(
        order, scores[order], positive[order, None].astype(float), np.flatnonzero(positive)
    )


def delong(scores: Floats, positive: Flags) -> tuple[float, float, float]:
    """AUC and its 95 % confidence interval (DeLong, DeLong & Clarke-Pearson 1988).

    Args:
        scores: (n,): higher for positive.
        positive: (n,): ground truth.

    Returns:
        AUC, NaN without positives or negatives; and its interval for independent images, NaN with
        fewer than two positives or negatives.

    >>> delong(np.array([0.1, 0.4, 0.35, 0.8]), np.array([False, False, True, True]))[0]
    0.75
    """
    rank = np.unique(scores, return_inverse=True)[1]
    counts = [np.bincount(rank[side], minlength=len(scores)) for side in (positive, ~positive)]
    total, rest = (int(count.sum()) for count in counts)
    if not total or not rest:
        return np.nan, np.nan, np.nan
    below, above = np.cumsum(counts[1]) - counts[1] / 2, np.cumsum(counts[0]) - counts[0] / 2
    wins = below[rank[positive]] / rest  # share of negatives that each positive outranks
    losses = above[rank[~positive]] / total
    area = float(wins.mean())
    if min(total, rest) < 2:
        return area, np.nan, np.nan
    half = QUANTILE * float(np.sqrt(wins.var(ddof=1) / total + losses.var(ddof=1) / rest))
    return area, max(area - half, 0.0), min(area + half, 1.0)


class RocArea:
    """Area under the ROC curve (AUC) with weighted images.

    >>> RocArea(np.array([0.1, 0.4, 0.35, 0.8]), np.array([False, False, True, True]))(np.ones(4))
    0.75
    """

    def __init__(self, scores: Floats, positive: Flags) -> None:
        self._positive, negative = np.flatnonzero(positive), np.flatnonzero(~positive)
        self._negative = negative[np.argsort(scores[negative], kind="stable")]
        below = scores[self._negative]
        values = scores[self._positive]
        self._less = np.searchsorted(below, values, side="left")
        self._equal = np.searchsorted(below, values, side="right")

    def __call__(self, weights: Floats) -> float:
        """Area with weighted images; NaN without positives or negatives."""
        wins, pairs = self.count(weights)
        return wins / pairs if pairs else np.nan

    def count(self, weights: Floats) -> tuple[float, float]:
        """Pairs in which the positive image has the higher score, and all pairs.

        Args:
            weights: (images,): weight of each image. A tie is half.
        """
        total = np.append(0.0, np.cumsum(weights[self._negative]))
        weight = weights[self._positive]
        pairs = weight.sum() * total[-1]
        wins = (weight * (total[self._less] + total[self._equal])).sum() / 2
        return float(wins), float(pairs)


def _tabulate(
    positive: Flags, called: Flags, valid: Flags, prevalence: float | None
) -> dict[str, Floats]:
    """Proportions at a threshold, with Wilson intervals."""
    tp, fn = (called & positive).sum(axis=0), (~called & positive).sum(axis=0)
    negative = ~positive & valid
    fp, tn = (called & negative).sum(axis=0), (~called & negative).sum(axis=0)
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
    """Predictive values and accuracy at another prevalence (Bayes' rule).

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

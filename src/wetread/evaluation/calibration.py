"""Calibration of scores: reliability diagram, expected calibration error, temperature scaling."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from wetread.evaluation.bootstrap import Floats, Ints, percentile_interval, resample_sums
from wetread.evaluation.cases import Curve, Scores

if TYPE_CHECKING:
    import pandas as pd

BINS = 10
ALL = "all labels"
_EDGES = np.linspace(0, 1, BINS + 1)
_BLOCK = 16
"""Labels that are resampled together, which bounds the memory."""
_SMALLEST = 1e-6
"""Distance of a score from 0 and 1, for a finite logit."""


@dataclass(frozen=True)
class Calibration:
    """Expected calibration error and reliability of the scores."""

    table: pd.DataFrame
    """One row per label, and one of all labels: ece, low, high (95 %, by patient), predictions,
    mean_score, share (of hits)."""
    bins: pd.DataFrame
    """One row per label and bin of scores, unless it is empty: label, above, up_to, predictions,
    mean_score, share, low, high. An interval without width, of hits or misses only, is null."""


def measure_calibration(
    labels: tuple[str, ...], scores: Scores, group: Ints, resamples: int, seed: int
) -> Calibration | None:
    """Compare scores with the share of hits: boxes that match, or images that are positive.

    The expected calibration error (ECE; Naeini, Cooper & Hauskrecht 2015, AAAI) is the mean
    distance of the mean score to the share of hits, over ten bins of equal width, weighted by their
    predictions. A bin includes its upper edge, as in scikit-learn.

    Args:
        labels: names of the labels.
        scores: predictions.
        group: (images,): patient of each image, from 0.
        resamples: bootstrap resamples; 0 gives no intervals.
        seed: random seed.

    Returns:
        None if there is no prediction, or a score is not between 0 and 1.
    """
    curves = list(scores.curves)
    used = [curve.score for curve in curves if len(curve.score)]
    if not used or min(map(np.min, used)) < 0 or max(map(np.max, used)) > 1:
        return None
    table, bins = [], []
    whole = np.zeros((len(group), 3 * BINS))
    for start in range(0, len(curves), _BLOCK):
        sums = [_sum_images(curve, len(group)) for curve in curves[start : start + _BLOCK]]
        whole += np.sum(sums, axis=0)
        for name, one in zip(labels[start:], _measure(sums, group, resamples, seed), strict=False):
            table.append({"label": name, **one[0]})
            bins += [{"label": name, **row} for row in one[1]]
    row, rows = _measure([whole], group, resamples, seed)[0]
    return _to_calibration(
        [*table, {"label": ALL, **row}], bins + [{"label": ALL, **r} for r in rows]
    )


def _to_calibration(table: list[dict[str, Any]], bins: list[dict[str, Any]]) -> Calibration:
    import pandas as pd

    return Calibration(pd.DataFrame(table).set_index("label"), pd.DataFrame(bins))


def _sum_images(curve: Curve, images: int) -> Floats:
    """(images, 3 * bins): number of predictions, their scores and hits, of each image and bin."""
    sums = np.zeros((images, 3, BINS))
    score, hit = curve.score[curve.known], curve.hit[curve.known, 0]
    place = bin_scores(score)
    for number, values in enumerate((np.ones(len(place)), score, hit)):
        np.add.at(sums[:, number], (curve.image[curve.known], place), values)
    return sums.reshape(images, -1)


def bin_scores(scores: ArrayLike) -> NDArray[np.intp]:
    """Bin of each score, from 0; a bin includes its upper edge.

    >>> bin_scores([0.0, 0.1, 0.11, 1.0]).tolist()
    [0, 0, 1, 9]
    """
    return np.searchsorted(_EDGES[1:-1], np.asarray(scores, float))


def _measure(
    sums: list[Floats], group: Ints, resamples: int, seed: int
) -> list[tuple[dict[str, Any], list[dict[str, Any]]]]:
    """Row of the table and rows of the bins, for each label."""
    addends = np.hstack(sums)
    drawn = np.full((1, addends.shape[1]), np.nan)
    if resamples and len(np.unique(group)) > 1:
        drawn = resample_sums(addends, group, resamples, seed)
    results = []
    for number, one in enumerate(sums):
        count, score, hits = one.sum(axis=0).reshape(3, BINS)
        some = drawn[:, number * 3 * BINS : (number + 1) * 3 * BINS].reshape(-1, 3, BINS)
        low, high = percentile_interval(_error(some))
        shares = some[:, 2] / np.where(some[:, 0] > 0, some[:, 0], np.nan)
        ends = np.array(percentile_interval(shares))
        total = count.sum() or np.nan
        row = {"ece": float(_error(one.sum(axis=0).reshape(3, BINS)))}
        row |= {"low": float(low), "high": float(high), "predictions": int(count.sum())}
        row |= {"mean_score": score.sum() / total, "share": hits.sum() / total}
        bins = [
            {
                "above": _EDGES[b],
                "up_to": _EDGES[b + 1],
                "predictions": int(count[b]),
                "mean_score": score[b] / count[b],
                "share": hits[b] / count[b],
                "low": ends[0, b],
                "high": ends[1, b],
            }
            for b in np.flatnonzero(count)
        ]
        results.append((row, bins))
    return results


def _error(sums: Floats) -> Floats:
    """Expected calibration error from sums (..., 3, bins)."""
    count = sums[..., 0, :].sum(axis=-1)
    distance = np.abs(sums[..., 1, :] - sums[..., 2, :]).sum(axis=-1)
    return np.asarray(distance / np.where(count > 0, count, np.nan))


def fit_temperature(scores: Scores) -> float | None:
    """Temperature that makes scores the most likely probabilities of hits (Guo et al. 2017, ICML).

    The score p becomes the logistic function of logit(p) / temperature: above 1 scores move towards
    .5, below 1 away from it. One temperature for all labels does not change the order of scores.

    Args:
        scores: predictions with ground truth, which the model was not trained on.

    Returns:
        None without hits or without misses, and for scores that are not between 0 and 1.
    """
    score = np.concatenate([curve.score[curve.known] for curve in scores.curves] or [np.empty(0)])
    hit = np.concatenate([curve.hit[curve.known, 0] for curve in scores.curves] or [np.empty(0)])
    if not len(hit) or hit.min() == hit.max() or score.min() < 0 or score.max() > 1:
        return None
    logit = _logit(np.clip(score, _SMALLEST, 1 - _SMALLEST))

    def slope(inverse: float) -> float:
        """Derivative of the loss, which rises with 1 / temperature."""
        return float(logit @ (_logistic(inverse * logit) - hit))

    low, high = -_WIDEST, _WIDEST  # of the logarithm of 1 / temperature
    for _ in range(64):
        middle = (low + high) / 2
        low, high = (low, middle) if slope(np.exp(middle)) > 0 else (middle, high)
    return float(np.exp(-low))


_WIDEST = np.log(100)
"""Temperatures are from 1/100 to 100."""


def scale_scores(scores: ArrayLike, temperature: float) -> Floats:
    """Apply temperature scaling to scores between 0 and 1.

    >>> scale_scores([0.5, 0.9], 2.0).round(3).tolist()
    [0.5, 0.75]
    """
    return _logistic(_logit(np.asarray(scores, float)) / temperature)


def _logit(score: Floats) -> Floats:
    with np.errstate(divide="ignore"):  # 0 and 1 stay as they are
        return np.asarray(np.log(score) - np.log1p(-score))


def _logistic(value: Floats) -> Floats:
    return np.asarray(0.5 + 0.5 * np.tanh(value / 2))

"""Confidence intervals: bootstrap by patient, and Wilson's interval of a proportion."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from itertools import islice
from statistics import NormalDist

import numpy as np
from numpy.typing import ArrayLike, NDArray

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]
Flags = NDArray[np.bool_]

LEVEL = 0.95
QUANTILE = NormalDist().inv_cdf((1 + LEVEL) / 2)


def wilson(hits: ArrayLike, trials: ArrayLike) -> tuple[Floats, Floats]:
    """95 % confidence interval of a proportion (Wilson 1927, without continuity correction).

    Args:
        hits: number of successes.
        trials: number of trials; 0 gives NaN.

    >>> low, high = wilson(8, 10)
    >>> round(float(low), 3), round(float(high), 3)
    (0.49, 0.943)
    """
    n = np.asarray(trials, float)
    n = np.where(n > 0, n, np.nan)
    share, extra = np.asarray(hits, float) / n, QUANTILE**2 / n
    middle = (share + extra / 2) / (1 + extra)
    half = np.sqrt(share * (1 - share) * extra + extra**2 / 4) / (1 + extra)
    return np.maximum(middle - half, 0), np.minimum(middle + half, 1)


def resample(score: Callable[[Floats], Floats], group: Ints, resamples: int, seed: int) -> Floats:
    """Bootstrap distribution of a score, resampled by patient.

    Images of one patient resemble each other, so patients are drawn with replacement, each with
    all images; resampling images or boxes would give intervals that are too narrow.

    Args:
        score: scores from the weight of each image.
        group: (images,): patient group of each image, from 0.
        resamples: number of bootstrap resamples.
        seed: random seed.

    Returns:
        (resamples, scores).
    """
    draws = _draw(int(group.max()) + 1, resamples, seed)
    return np.array([score(draw[group]) for draw in draws])


def resample_sums(values: Floats, group: Ints, resamples: int, seed: int) -> Floats:
    """Bootstrap distribution of sums over images, with the patients that `resample` draws.

    Args:
        values: (images, k): addends of each image.
        group: (images,): patient group of each image, from 0.
        resamples: number of bootstrap resamples.
        seed: random seed.

    Returns:
        (resamples, k).

    >>> resample_sums(np.ones((3, 1)), np.arange(3), resamples=2, seed=0)
    array([[3.],
           [3.]])
    """
    count = int(group.max()) + 1
    of_patient = np.zeros((count, values.shape[1]))
    np.add.at(of_patient, group, values)
    sums = np.empty((resamples, values.shape[1]))
    draws = _draw(count, resamples, seed)
    for start in range(0, resamples, _CHUNK):
        chunk = np.array(list(islice(draws, _CHUNK)))
        sums[start : start + _CHUNK] = chunk @ of_patient
    return sums


def _draw(count: int, resamples: int, seed: int) -> Iterator[Floats]:
    """Number of times that each of `count` patients is drawn, for each resample."""
    random = np.random.default_rng(seed)
    for _ in range(resamples):
        yield np.bincount(random.integers(count, size=count), minlength=count).astype(float)


_CHUNK = 64
"""Resamples per matrix product."""


def mean(values: Floats) -> Floats:
    """Mean along the last axis, ignoring NaN; NaN if all values are.

    >>> float(mean(np.array([0.5, np.nan, 1.0])))
    0.75
    """
    known = ~np.isnan(values)
    count = known.sum(axis=-1)
    total = np.where(known, values, 0.0).sum(axis=-1)
    return np.asarray(total / np.where(count, count, np.nan))


def percentile_interval(values: Floats) -> tuple[Floats, Floats]:
    """95 % percentile interval along the first axis, ignoring NaN; NaN if all values are.

    NaN too for an interval without width, as of patients without an error: it would state a
    certainty that the number of patients does not give.

    >>> [float(end) for end in percentile_interval(np.array([1.0, 1.0, 1.0]))]
    [nan, nan]
    """
    columns = values.reshape(len(values), -1).T
    bounds = [
        np.quantile(known, [(1 - LEVEL) / 2, (1 + LEVEL) / 2]) if len(known) else [np.nan] * 2
        for known in (column[~np.isnan(column)] for column in columns)
    ]
    low, high = drop_degenerate(*np.array(bounds).reshape(-1, 2).T)
    return low.reshape(values.shape[1:]), high.reshape(values.shape[1:])


def drop_degenerate(low: Floats, high: Floats) -> tuple[Floats, Floats]:
    """Bounds of intervals, NaN for those without width."""
    return np.where(low < high, low, np.nan), np.where(low < high, high, np.nan)

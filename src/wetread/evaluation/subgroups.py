"""Scores by subgroup of the images, and their differences to the other images."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import TYPE_CHECKING, Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import ArrayLike

from wetread.common.text import counted, natural_key
from wetread.errors import UsageError
from wetread.evaluation.bootstrap import Flags, Floats, Ints, mean, percentile_interval, resample
from wetread.table.query import compute
from wetread.table.rows import IndexRows

if TYPE_CHECKING:
    import pandas as pd

MIN_PATIENTS = 10
"""Smaller groups have no score."""
MAX_NUMBERS = 10
"""Numeric columns with more distinct values are divided into bins."""
UNKNOWN = "unknown"
TOO_SMALL = f"fewer than {MIN_PATIENTS} patients"
DERIVED = {
    "patient_age_decade": (
        "CASE WHEN patient_age_years >= 0 THEN format('{} to {} years', "
        "CAST(floor(patient_age_years / 10) * 10 AS INTEGER), "
        "CAST(floor(patient_age_years / 10) * 10 AS INTEGER) + 9) END"
    )
}
"""Groupings by name, as SQL."""
_WITH_EDGES = re.compile(r"(?s)(.+?)\s*:\s*(-?[\d.]+(?:\s*,\s*-?[\d.]+)*)\s*")


@dataclass(frozen=True)
class Grouping:
    """Division of the images into groups by one expression."""

    by: str
    """The expression."""
    names: tuple[str, ...]
    number: Ints
    """(images,): number of the group of each image."""

    def masks(self) -> Iterator[tuple[str, Flags]]:
        """Name and images of each group."""
        return ((name, self.number == n) for n, name in enumerate(self.names))


def read_groupings(
    index: IndexRows, by: Sequence[str], names: Sequence[str], bins: int = 4
) -> tuple[list[Grouping], tuple[str, ...]]:
    """Group images by SQL expressions over the columns of their index.

    Text and truth values are groups as they are, and so are numbers with at most 10 distinct
    values. Other numbers are divided into bins: at their quantiles, rounded to 4 digits, or at the
    edges after a colon, as in `patient_age_years:18,40,65`. Null, blank text and images that are
    not in the index are the group "unknown".

    Args:
        index: the rows.
        by: expressions, or names of `DERIVED`.
        names: id of each image, which a frame may follow, as in `Cases.names`.
        bins: number of bins of numbers, unless edges are given.

    Returns:
        Groups of each expression; and notes, if images are not in the index.

    Raises:
        QueryError: not an expression, or an unknown column.
        UsageError: edges of bins that do not rise.
    """
    parsed = [_parse(one, index.schema.names) for one in by]
    table = compute(index, [expression for expression, _ in parsed])
    ids = pa.array([name.partition(" frame ")[0] for name in names], pa.string())
    at = pc.index_in(ids, value_set=table["id"].combine_chunks())
    columns = [table[str(n)].take(at) for n in range(len(parsed))]
    groupings = [
        Grouping(name, *group_values(column, edges, bins))
        for name, column, (_, edges) in zip(by, columns, parsed, strict=True)
    ]
    missing = at.null_count
    note = f"{counted(missing, 'image', 'are')} not in the index: their subgroups are unknown"
    return groupings, (note,) * bool(missing)


def _parse(text: str, columns: Sequence[str]) -> tuple[str, Floats | None]:
    """Expression, and the edges of its bins."""
    match = _WITH_EDGES.fullmatch(text)
    expression = match[1] if match else text
    if expression not in columns:
        expression = DERIVED.get(expression.strip(), expression)
    if match is None:
        return expression, None
    try:
        edges = np.array([float(edge) for edge in match[2].split(",")])
    except ValueError:
        edges = np.zeros(2)
    if (np.diff(edges) <= 0).any():
        raise UsageError(f"{text}: the edges of bins must be rising numbers, as in COLUMN:18,40,65")
    return expression, edges


def group_values(
    values: pa.ChunkedArray, edges: Floats | None = None, bins: int = 4
) -> tuple[tuple[str, ...], Ints]:
    """Names of the groups, and the number of the group of each value.

    >>> group_values(pa.chunked_array([["M", None, "F"]]))
    (('F', 'M', 'unknown'), array([1, 2, 0]))
    >>> group_values(pa.chunked_array([[30, 70, 18]]), np.array([18.0, 65.0]))
    (('18 to below 65', '65 and above'), array([0, 1, 0]))
    """
    kind = values.type
    if not (pa.types.is_integer(kind) or pa.types.is_floating(kind) or pa.types.is_decimal(kind)):
        return _number([_to_text(value) for value in values.to_pylist()])
    numbers = pc.cast(values, pa.float64()).to_numpy().astype(np.float64)  # NaN for null
    known = np.isfinite(numbers)
    distinct = np.unique(numbers[known])
    if edges is None and len(distinct) <= MAX_NUMBERS:
        return _number([f"{n:.15g}" if k else "" for n, k in zip(numbers, known, strict=True)])
    if edges is None:
        quantiles = np.quantile(numbers[known], np.arange(1, bins) / bins)
        edges = np.unique([float(f"{edge:.4g}") for edge in quantiles])
    shown = [f"{edge:.15g}" for edge in edges]
    inside = [f"{low} to below {high}" for low, high in pairwise(shown)]
    names = [f"below {shown[0]}", *inside, f"{shown[-1]} and above", UNKNOWN]
    number = np.where(known, np.searchsorted(edges, numbers, side="right"), len(names) - 1)
    used, number = np.unique(number, return_inverse=True)
    return tuple(names[n] for n in used), number.astype(np.int64)


def _to_text(value: Any) -> str:
    """Value as text: lists as in DICOM, with a backslash between the values; "" for null."""
    if value is None:
        return ""
    if isinstance(value, list):
        return "\\".join(map(_to_text, value))
    return str(value).lower() if isinstance(value, bool) else str(value).strip()


def _number(texts: list[str]) -> tuple[tuple[str, ...], Ints]:
    """Names in natural order, unknown last, and the number of each text."""
    texts = [text or UNKNOWN for text in texts]
    names = sorted(set(texts), key=lambda text: (text == UNKNOWN, *_sort_key(text)))
    numbers = {name: number for number, name in enumerate(names)}
    return tuple(names), np.array([numbers[text] for text in texts], np.int64)


def _sort_key(text: str) -> tuple[float, list[tuple[str, int]]]:
    try:
        return float(text), []
    except ValueError:
        return np.inf, natural_key(text)


def score_groups(
    score: Callable[[Floats], Floats],
    group: Ints,
    groupings: Sequence[Grouping],
    resamples: int,
    seed: int,
) -> tuple[pd.DataFrame, tuple[str, ...]]:
    """Score of each group, and its difference to the images outside of it.

    The difference is the mean over labels that have a score on both sides. p is that of a
    permutation test: groups are shuffled between patients, and between the images of a patient who
    is in several. It is at least 1 / (resamples + 1).

    Args:
        score: score of each label from the weights of the images.
        group: (images,): patient of each image, from 0.
        groupings: the groups.
        resamples: number of bootstrap resamples, and of permutations; 0 gives no intervals and
            no p.
        seed: random seed.

    Returns:
        One row per group: by, group, images, patients, status ("ok", or the reason why there is no
        score), value, low, high, difference, difference_low, difference_high, p, and p_holm, which
        is adjusted for the number of comparisons (Holm 1979). An interval without width, as of a
        group without an error, is null. And a note, if no p_holm can be below .05.
    """
    import pandas as pd

    sets = _ImageSets(group, len(score(np.ones(len(group)))))
    rows: list[dict[str, Any]] = []
    pairs = []
    for grouping in groupings:
        for name, mask in grouping.masks():
            counts = {"images": int(mask.sum()), "patients": sets.count_patients(mask)}
            rows.append({"by": grouping.by, "group": name, **counts})
            pairs.append(sets.add(mask))
    resamples = resamples if len(group) else 0
    values, samples = sets.score(score, resamples, seed)
    p_values = [p for one in groupings for p in _test(score, group, one, resamples, seed)]
    for row, (own, rest), p in zip(rows, pairs, p_values, strict=True):
        value, drawn = mean(values[own]), mean(samples[:, own])
        row["status"] = TOO_SMALL if own == NONE else NO_SCORE if np.isnan(value) else "ok"
        row |= _with_interval("value", "", value, drawn)
        difference, drawn = (
            mean(values[own] - values[rest]),
            mean(samples[:, own] - samples[:, rest]),
        )
        row |= _with_interval("difference", "difference_", difference, drawn)
        row["p"] = np.nan if np.isnan(difference) else p
    # The two groups of an expression are one comparison.
    tests = {frozenset(pair): row["p"] for row, pair in zip(rows, pairs, strict=True)}
    adjusted = dict(zip(tests, adjust_holm(list(tests.values())), strict=True))
    for row, pair in zip(rows, pairs, strict=True):
        row["p_holm"] = adjusted[frozenset(pair)]
    least = int(np.isfinite([*tests.values()]).sum()) / (resamples + 1)
    note = f"{resamples} {TOO_FEW} {least:.2g}"
    notes = (note,) * (resamples > 0 and least > _SIGNIFICANT)
    return pd.DataFrame(rows, columns=list(_COLUMNS)), notes


TOO_FEW = "resamples are too few: no p_holm can be below"
_SIGNIFICANT = 0.05
_COLUMNS = (
    *("by", "group", "images", "patients", "status", "value", "low", "high"),
    *("difference", "difference_low", "difference_high", "p", "p_holm"),
)


class _ImageSets:
    """Distinct sets of images that have enough patients, scored on the same resamples."""

    def __init__(self, group: Ints, labels: int) -> None:
        self.group = group
        self.labels = labels
        self.masks: list[Flags] = []
        self._numbers: dict[bytes, int] = {}

    def count_patients(self, mask: Flags) -> int:
        """Number of patients with an image in the set."""
        return len(np.unique(self.group[mask]))

    def add(self, mask: Flags) -> tuple[int, int]:
        """Numbers of the set and its complement; `NONE` if there are too few patients."""
        own = self._add(mask)
        return own, NONE if own == NONE else self._add(~mask)

    def _add(self, mask: Flags) -> int:
        if self.count_patients(mask) < MIN_PATIENTS:
            return NONE
        number = self._numbers.setdefault(mask.tobytes(), len(self.masks))
        if number == len(self.masks):
            self.masks.append(mask)
        return number

    def score(
        self, score: Callable[[Floats], Floats], resamples: int, seed: int
    ) -> tuple[Floats, Floats]:
        """Scores (sets + 1, labels), and the same of each resample; the last set has none."""
        absent = np.full(self.labels, np.nan)

        def score_all(weights: Floats) -> Floats:
            return np.stack([*(score(weights * mask) for mask in self.masks), absent])

        values = score_all(np.ones(len(self.group)))
        if not resamples:
            return values, np.empty((0, *values.shape))
        return values, resample(score_all, self.group, resamples, seed)


NONE = -1
"""Set of images without a score, and the last row of `_ImageSets.score`."""
NO_SCORE = "no score: a label needs ground truth"


def _with_interval(name: str, prefix: str, value: Floats, samples: Floats) -> dict[str, float]:
    """Value and its 95 % interval, by name."""
    low, high = percentile_interval(samples) if len(samples) else (np.nan, np.nan)
    return {name: float(value), f"{prefix}low": float(low), f"{prefix}high": float(high)}


def _test(
    score: Callable[[Floats], Floats], group: Ints, grouping: Grouping, permutations: int, seed: int
) -> Floats:
    """Two-sided p of each group's difference to the other images, by permutation."""
    names = range(len(grouping.names))
    sides = ([grouping.number == n, grouping.number != n] for n in names)
    patients = [min(len(np.unique(group[side])) for side in both) for both in sides]
    tested = [n for n in names if patients[n] >= MIN_PATIENTS]
    p = np.full(len(names), np.nan)
    if not permutations or not tested:
        return p
    shown = tested[:1] if len(names) == 2 else tested  # two groups have the same distance

    def differ(number: Ints) -> Floats:
        """Distance of each tested group's score to that of the others."""
        pairs = [(score((number == n) * 1.0), score((number != n) * 1.0)) for n in shown]
        return np.array([np.abs(mean(own - rest)) for own, rest in pairs])

    observed = differ(grouping.number)
    reached = np.ones(len(observed))
    for number in _shuffle(grouping.number, group, permutations, seed):
        reached += differ(number) >= observed - _ROUNDING
    p[tested] = reached / (permutations + 1)
    return p


_ROUNDING = 1e-12
"""Tolerance of equal scores."""


def _shuffle(number: Ints, group: Ints, permutations: int, seed: int) -> Iterator[Ints]:
    """Group numbers shuffled between the patients of one group, and within the other patients."""
    random = np.random.default_rng(seed)
    patients = int(group.max()) + 1
    low, high = np.full(patients, number.max()), np.zeros(patients, np.int64)
    np.minimum.at(low, group, number)
    np.maximum.at(high, group, number)
    pure = low == high
    mixed = np.flatnonzero(~pure[group])
    mixed = mixed[np.argsort(group[mixed], kind="stable")]
    for _ in range(permutations):
        label = low.copy()
        label[pure] = random.permutation(low[pure])
        shuffled = label[group]
        order = np.argsort(group[mixed] + random.random(len(mixed)))
        shuffled[mixed] = number[mixed[order]]
        yield shuffled


def adjust_holm(p: ArrayLike) -> Floats:
    """P-values adjusted for their number (Holm 1979, Scand J Statist 6: 65-70); NaN stays.

    >>> adjust_holm([0.01, 0.04, 0.03]).round(3).tolist()
    [0.03, 0.06, 0.06]
    """
    values = np.asarray(p, float)
    known = np.flatnonzero(~np.isnan(values))
    order = known[np.argsort(values[known])]
    factors = np.arange(len(order), 0, -1)
    adjusted = np.full(len(values), np.nan)
    adjusted[order] = np.minimum(np.maximum.accumulate(factors * values[order]), 1.0)
    return adjusted

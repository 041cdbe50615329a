"""Operating points: thresholds chosen on one part of the images, and their rates on another."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING

import numpy as np

from wetread.errors import UsageError
from wetread.evaluation.bootstrap import (
    Flags,
    Floats,
    Ints,
    percentile_interval,
    resample_sums,
    wilson,
)
from wetread.evaluation.cases import Cases, Scores
from wetread.evaluation.subgroups import MIN_PATIENTS, TOO_SMALL, Grouping

if TYPE_CHECKING:
    import pandas as pd

SIDES = ("hits", "called", "truth")


def check_goal(
    sensitivity: float | None, false_positives: float | None, threshold_from: str | None
) -> None:
    """Raise UsageError unless one goal and a part are given, or none of them."""
    goals = [goal for goal in (sensitivity, false_positives) if goal is not None]
    if len(goals) > 1:
        raise UsageError("give sensitivity or false_positives, not both")
    if bool(goals) != (threshold_from is not None):
        raise UsageError(
            "an operating point needs threshold_from, the part on which its threshold is chosen, "
            "and sensitivity or false_positives, such as threshold_from=valid"
        )
    if sensitivity is not None and not 0 < sensitivity <= 1:
        raise UsageError(f"sensitivity must be above 0 and at most 1, not {sensitivity}")
    if false_positives is not None and not 0 <= false_positives < np.inf:
        raise UsageError(f"false_positives must be 0 or more per image, not {false_positives}")


def split_cases(cases: Cases, part: str) -> tuple[Cases, Cases]:
    """Cases of the part on which thresholds are chosen, and all others.

    Raises:
        UsageError: no evaluated image is of that part, or all are.
    """
    chosen = np.asarray(cases.part == part, bool)
    if not chosen.any() or chosen.all():
        parts = ", ".join(sorted({str(one) or "no part" for one in cases.part}))
        hint = "" if any(cases.part) else "; split the index and give it, or boxes joined to it"
        raise UsageError(
            f"threshold_from={part!r} needs predictions on that part, and on another to apply the "
            f"thresholds to; the evaluated images are of: {parts}{hint}"
        )
    return cases.select(chosen), cases.select(~chosen)


def choose_thresholds(
    scores: Scores, images: int, sensitivity: float | None, false_positives: float | None
) -> Floats:
    """Threshold of each label; a prediction counts if its score is at least that.

    For a sensitivity: the highest threshold that reaches it. For a number of false positives per
    image: the lowest threshold that does not exceed it. NaN if there is none.

    Args:
        scores: predictions of the part on which thresholds are chosen.
        images: number of its images.
        sensitivity: wanted sensitivity.
        false_positives: accepted false positives per image, if no sensitivity is given.
    """
    thresholds = np.full(len(scores.curves), np.nan)
    for label, curve in enumerate(scores.curves):
        hits, called, truth = curve.count(np.ones(images))
        if sensitivity is not None:
            reached = np.flatnonzero(hits[:, 0] >= np.ceil(sensitivity * truth - _ROUNDING))[:1]
            reached = reached[: int(truth > 0)]
        else:
            assert false_positives is not None
            reached = np.flatnonzero(called[:, 0] - hits[:, 0] <= false_positives * images)[-1:]
        if len(reached):
            thresholds[label] = curve.score[curve.ends[reached[0]]]
    return thresholds


_ROUNDING = 1e-9
"""Tolerance of a product that should be a whole number, such as .7 * 10."""


def tabulate_points(
    parts: Sequence[tuple[Cases, Scores]],
    thresholds: Floats,
    groupings: Sequence[Grouping],
    resamples: int,
    seed: int,
) -> pd.DataFrame:
    """Rates of each label at its threshold, on each part; on the last part also by group.

    Sensitivity is that of boxes, or of images for a metric of images, which also has a
    specificity. Where the bootstrap interval of a share has no width, at 0 and 1, it is Wilson's
    interval for the number of patients; false positives then have none.

    Args:
        parts: cases and predictions of the part with the thresholds, then of the other images.
        thresholds: threshold of each label; NaN has no rates.
        groupings: groups of the images of the last part.
        resamples: bootstrap resamples; 0 gives no intervals.
        seed: random seed.

    Returns:
        One row per part, group and label: part, by, group, label, images, patients, threshold, then
        sensitivity, false_positives (per image), precision and specificity, each with _low and
        _high. `by` and `group` are empty for a whole part.
    """
    import pandas as pd

    tables = []
    for number, (cases, scores) in enumerate(parts):
        part = ", ".join(sorted({str(one) or "no part" for one in cases.part}))
        sums = _sum_images(scores, thresholds, cases.images)
        groups = groupings if number == len(parts) - 1 else ()
        for by, name, mask in _list_sets(groups, cases.images):
            patients = len(np.unique(cases.group[mask]))
            small = bool(by) and patients < MIN_PATIENTS
            chosen = sums * np.where(mask, np.nan if small else 1.0, 0.0)[:, None, None]
            drawn = 0 if small or patients < 2 else resamples
            rates = _tabulate(chosen, mask, cases.group, scores.by_image, drawn, seed)
            status = np.where(np.isnan(thresholds), "no threshold", TOO_SMALL if small else "ok")
            counts = {"images": int(mask.sum()), "patients": patients, "status": status}
            head = {"part": part, "by": by, "group": name, "label": list(cases.labels)}
            tables.append(pd.DataFrame({**head, **counts, "threshold": thresholds, **rates}))
    return pd.concat(tables, ignore_index=True)


def _list_sets(groupings: Sequence[Grouping], images: int) -> Iterator[tuple[str, str, Flags]]:
    """The whole part, then each group: expression, name, mask of its images."""
    yield "", "", np.ones(images, bool)
    for grouping in groupings:
        for name, mask in grouping.masks():
            yield grouping.by, name, mask


def _sum_images(scores: Scores, thresholds: Floats, images: int) -> Floats:
    """(images, labels, 3): hits, predictions at the threshold, and ground truth of each image."""
    sums = np.zeros((images, len(thresholds), len(SIDES)))
    for label, (curve, threshold) in enumerate(zip(scores.curves, thresholds, strict=True)):
        if np.isnan(threshold):
            sums[:, label] = np.nan
            continue
        called = (curve.score >= threshold) & curve.known
        np.add.at(sums[:, label, 0], curve.image[called], curve.hit[called, 0])
        np.add.at(sums[:, label, 1], curve.image[called], 1.0)
        np.add.at(sums[:, label, 2], curve.truth, 1.0)
    return sums


def _tabulate(
    sums: Floats, mask: Flags, group: Ints, by_image: bool, resamples: int, seed: int
) -> dict[str, Floats]:
    """Rates of each label with their intervals."""
    labels = sums.shape[1]
    addends = np.column_stack([sums.reshape(len(sums), -1), mask])

    def fractions(totals: Floats) -> dict[str, tuple[Floats, Floats]]:
        """Numerator and denominator (..., labels) of each rate."""
        hits, called, truth = np.moveaxis(totals[..., :-1].reshape(-1, labels, 3), -1, 0)
        images = np.broadcast_to(totals[..., -1].reshape(-1, 1), hits.shape)
        known = {
            "sensitivity": (hits, truth),
            "false_positives": (called - hits, images),
            "precision": (hits, called),
        }
        if by_image:
            known["specificity"] = (images - truth - called + hits, images - truth)
        return known

    whole = fractions(addends.sum(axis=0))
    of_images = fractions(addends)
    drawn = fractions(resample_sums(addends, group, resamples, seed)) if resamples else {}
    columns: dict[str, Floats] = {}
    for name, pair in whole.items():
        value = _divide(*pair)[0]
        low, high = np.full((2, labels), np.nan)
        if resamples:
            low, high = percentile_interval(_divide(*drawn[name]))
            patients = _count_patients(of_images[name][1], group)
            share = name != "false_positives"
            bounds = wilson(np.where(share, value, np.nan) * patients, patients)
            low, high = np.where(np.isnan(low), bounds, (low, high))
        columns |= {name: value, f"{name}_low": low, f"{name}_high": high}
    return columns


def _divide(part: Floats, whole: Floats) -> Floats:
    return np.asarray(part / np.where(whole > 0, whole, np.nan))


def _count_patients(counts: Floats, group: Ints) -> Floats:
    """Number of patients with a count above 0, for each label."""
    return np.array([len(np.unique(group[column > 0])) for column in counts.T], float)

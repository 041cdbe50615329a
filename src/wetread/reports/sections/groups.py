"""Section: scores by subgroup, and calibration of the scores."""

from __future__ import annotations

import shlex
from typing import Any

import numpy as np

from wetread.boxes.collection import Boxes
from wetread.errors import UsageError
from wetread.evaluation import Result, evaluate
from wetread.evaluation.calibration import ALL
from wetread.evaluation.result import format_interval
from wetread.evaluation.subgroups import TOO_FEW
from wetread.reports import blocks, charts
from wetread.reports.blocks import Section
from wetread.reports.charts import Effect
from wetread.reports.markup import Fixed, cut
from wetread.reports.sections.predicted import IOU, held_out
from wetread.reports.subject import MAX_LENGTH, Subject

BY = {
    "PatientSex": "Sex",
    "patient_age_decade": "Age",
    "Manufacturer": "Manufacturer",
    "ViewPosition": "View position",
    "Modality": "Modality",
}
"""Subgroups of the report and their names; others are in `wetread evaluate --by`."""
_FEWEST, _MOST = 100, 1000
"""Bootstrap resamples and permutations: the default of `evaluate`, fewer for speed."""
BUDGET = 1_000_000
"""Images times resamples."""
_LISTED = 12
"""Largest groups that are listed per column."""


def describe(subject: Subject) -> Section:
    """Forest plot of the scores by subgroup, and reliability diagram."""
    section = Section("groups", "Subgroups and calibration", ["labels", "predictions"])
    predictions, truth = subject.predictions, subject.truth
    result = None
    if predictions is not None and truth is not None:
        result = _score(subject, *held_out(predictions, truth), truth)
    if result is None:
        section.add(blocks.prose("Scores by subgroup need labels, and predictions for them."))
        return section
    _show_groups(subject, section, result)
    _show_calibration(section, result)
    return section


def _score(subject: Subject, predictions: Boxes, left: int, truth: Boxes) -> Result | None:
    """Scores by subgroup; None if there are none, for the reason in the section before."""
    if left and not len(predictions):
        return None
    metric = "classification" if _are_classified(predictions, truth) else f"voc2010@{IOU}"
    images = len(truth.images.unique())
    resamples = min(max(BUDGET // max(images, 1), _FEWEST), _MOST)
    try:
        return evaluate(
            predictions, truth, metric, by=tuple(BY), index=subject.index, resamples=resamples
        )
    except UsageError:
        return None


def _are_classified(predictions: Boxes, truth: Boxes) -> bool:
    """True for labels of images: without boxes in the truth, or predicted for whole images."""
    boxed, expected = (
        boxes.select(np.asarray(boxes.table["kind"]) == "box") for boxes in (predictions, truth)
    )
    return not len(expected) or bool(len(boxed) and (boxed.corners[:, :2] == 0).all())


def _show_groups(subject: Subject, section: Section, result: Result) -> None:
    """Add the forest plot and the table."""
    assert result.groups is not None
    counts = result.groups.groupby("by")["group"].transform("size")
    rows = [row for row, n in zip(result.to_dict()["groups"], counts, strict=True) if n > 1]
    section.data["groups"] = {"metric": result.metric, "value": result.value, "rows": rows}
    if not rows or result.value is None:
        section.add(blocks.prose("All scored images are in one subgroup, or none has a score."))
        return
    effects: list[Effect] = []
    table: list[tuple[Any, ...]] = []
    for by in dict.fromkeys(row["by"] for row in rows):
        effects.append(Effect(BY[by]))
        listed = [row for row in rows if row["by"] == by]
        largest = sorted(listed, key=lambda row: -row["images"])[:_LISTED]
        for row in (row for row in listed if row in largest):
            name = cut(row["group"], MAX_LENGTH)
            note = "" if row["status"] == "ok" else row["status"]
            share = row["images"] / result.images
            effects.append(Effect(name, row["value"], row["low"], row["high"], share, note))
            table.append(_tabulate(BY[by], name, row))
    file = shlex.quote(subject.sources.get("predictions", "predictions.parquet"))
    labels = shlex.quote(subject.sources.get("boxes", "train.csv"))
    options = " ".join(f"--by {by}" for by in dict.fromkeys(row["by"] for row in rows))
    command = (
        f"wetread evaluate {file} {labels} --metric {result.metric} "
        f"--index {shlex.quote(subject.name)} {options}"
    )
    name = "AUC" if result.metric == "classification" else f"AP at IoU {IOU}"
    caption = f"Mean {name} by subgroup, with 95 % intervals; dashed: all images"
    drawn = charts.forest(effects, result.value, "Forest plot of the scores by subgroup")
    section.add(blocks.figure(caption, drawn, command))
    head = (
        "column",
        "group",
        "images",
        "patients",
        "score",
        "difference to the others",
        "p (Holm)",
    )
    section.add(blocks.table("Subgroups", head, table))
    section.add(
        blocks.prose(
            "A difference is to all images outside of the group. Intervals are bootstrap intervals "
            f"of {result.resamples:,} resamples by patient, p is that of a permutation test, "
            "adjusted for the number of comparisons. Groups of fewer than 10 patients have no "
            "score. Groups may differ in more than the column: see Split and Labels."
        )
    )
    for note in (note for note in result.notes if TOO_FEW in note):
        section.add(blocks.note(f"{note}. The command below the plot has {_MOST:,}."))


def _tabulate(by: str, name: str, row: dict[str, Any]) -> tuple[Any, ...]:
    """Row of the table of subgroups."""
    nan = float("nan")
    keys = ("difference", "difference_low", "difference_high")
    difference = format_interval(*(nan if row[key] is None else row[key] for key in keys))
    score = row["status"] if row["value"] is None else f"{row['value']:.3f}"
    return by, name, row["images"], row["patients"], score, difference, Fixed(row["p_holm"])


def _show_calibration(section: Section, result: Result) -> None:
    """Add the reliability diagram: a score of 0.8 should be right in 80 % of cases."""
    calibration = result.calibration
    if calibration is None:
        section.add(blocks.note("Scores are not between 0 and 1: no reliability diagram."))
        return
    bins = calibration.bins[calibration.bins["label"] == ALL]
    names = ["mean_score", "share", "predictions"]
    points = [(float(x), float(y), int(n)) for x, y, n in bins[names].itertuples(index=False)]
    limits = bins[["low", "high"]].fillna({"low": bins["share"], "high": bins["share"]})
    bounds = [(float(low), float(high)) for low, high in limits.itertuples(index=False)]
    error = [float(value) for value in calibration.table.loc[ALL, ["ece", "low", "high"]]]
    section.data["calibration"] = {
        "bins": [list(point) for point in points],
        "expected_error": error[0],
        "interval": error[1:],
    }
    drawn = charts.calibration(points, "Share of hits over score", bounds)
    caption = (
        "Reliability of the scores of all labels: calibrated ones are on the diagonal. Expected "
        f"calibration error {format_interval(*error)}"
    )
    rows = [
        (f"{x:.2f}", n, blocks.share(y, 1), f"{low:.2f} to {high:.2f}" if low < high else "–")
        for (x, y, n), (low, high) in zip(points, bounds, strict=True)
    ]
    head = ("mean score", "predictions", "hits", "95 % CI")
    section.add(blocks.figure(caption, drawn), blocks.table("By score", head, rows))

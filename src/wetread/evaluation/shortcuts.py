"""Shortcuts: labels that the header, or the quality of the image, predicts on its own."""

from __future__ import annotations

import os
import warnings
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
import pyarrow as pa

from wetread.boxes.join import joined
from wetread.boxes.reading import open_boxes
from wetread.common.progress import Progress
from wetread.common.text import counted
from wetread.errors import UsageError
from wetread.evaluation.bootstrap import Flags, Floats, Ints, percentile_interval, resample
from wetread.evaluation.cases import Cases, read_cases
from wetread.evaluation.classification import RocArea, label_images, score_classification
from wetread.evaluation.subgroups import MIN_PATIENTS, TOO_SMALL, read_groupings
from wetread.measure.statistics import COLUMNS as MEASURED
from wetread.measure.statistics import HASHES
from wetread.table.query import name_column
from wetread.table.rows import IndexLike, IndexRows

if TYPE_CHECKING:
    import pandas as pd

    from wetread.boxes.collection import Boxes

HEADER = (
    "Modality",
    "Manufacturer",
    "ManufacturerModelName",
    "InstitutionName",
    "StationName",
    "DeviceSerialNumber",
    "SoftwareVersions",
    "StudyDescription",
    "SeriesDescription",
    "ProtocolName",
    "BodyPartExamined",
    "ViewPosition",
    "PatientPosition",
    "PatientOrientation",
    "ImageLaterality",
    "PatientSex",
    "patient_age_years",
    "PatientSize",
    "PatientWeight",
    "KVP",
    "ExposureTime",
    "Exposure",
    "SliceThickness",
    "PhotometricInterpretation",
    "Rows",
    "Columns",
    "PixelSpacing",
    "ImagerPixelSpacing",
    "BitsStored",
    "TransferSyntaxUID",
    "BurnedInAnnotation",
)
"""Columns of the header, unless the index lacks them or they are the same everywhere."""
QUALITY = tuple(name for name in MEASURED if name.startswith("px_") and name not in HASHES)
"""Columns of `Index.measure`, unless the index lacks them or they are the same everywhere."""
SOURCES: Mapping[str, Sequence[str]] = {"header": HEADER, "image quality": QUALITY}
NEAR = 0.05
"""Distance to the AUC of the model, within which a shortcut is reported."""
FOLDS = 5
_BINS = 10
_PRIOR = 10.0
"""Images of the mean rate that are added to each value, so that rare values have no weight."""


def shortcuts(
    index: IndexLike,
    truth: Boxes | str | os.PathLike[str],
    predictions: Boxes | str | os.PathLike[str] | None = None,
    *,
    columns: Sequence[str] | None = None,
    resamples: int = 1000,
    seed: int = 0,
    progress: bool = True,
) -> pd.DataFrame:
    """Measure how well single columns of the index predict each label.

    The score of an image is the rate of the label among the other patients with the same value of
    the column, as log odds; numbers are divided into ten bins, and unknown is a value. Scores of
    several columns are added (naive Bayes). Rates are from four fifths of the patients, the area
    under the ROC curve (AUC) is of pairs of images in the other fifth: five-fold cross-validation.

    Args:
        index: index of the images, or its folder.
        truth: ground-truth boxes, one set per image, or a file. Images without a row are left out.
        predictions: predictions of a model, for its AUC on the same images; only images that
            `wetread.evaluate` would evaluate are used then.
        columns: columns of the index or SQL expressions, instead of `HEADER` and `QUALITY`.
        resamples: bootstrap resamples for the 95 % intervals, by patient; 0 disables them.
        seed: random seed of the folds and the bootstrap.
        progress: show a progress bar.

    Returns:
        One row per label and column, and one for all columns of a source, by falling AUC: label,
        source ("header", "image quality" or "given"), column, images, positives, status ("ok", or
        the reason why there is no AUC), auc, low, high. With predictions also model_auc, and near:
        True if auc is within .05 of it, or above, and its interval is above .5.

    Raises:
        UsageError: no image of the index has a label; several readers per image; no column.
        QueryError: an unknown column.

    Warns:
        UserWarning: images that are not in the index, and labels with a column near the model.
    """
    images = IndexRows.of(index)
    cases = _read_cases(images, open_boxes(truth, images), predictions)
    codes = _read_columns(images, columns, cases.names)
    positive, valid = label_images(cases)
    labels = np.flatnonzero(positive.any(axis=0))
    models = np.full(len(cases.labels), np.nan)
    if predictions is not None:
        models = score_classification(cases, 0.5, None).score(np.ones(cases.images))
    rows: list[dict[str, Any]] = []
    with Progress(progress, len(labels) * len(codes), "columns") as bar:
        for label in labels:
            head = {"label": cases.labels[label], "model": models[label]}
            known = valid[:, label]
            group = np.unique(cases.group[known], return_inverse=True)[1]
            values = {key: code[known] for key, code in codes.items()}
            found = _measure(positive[known, label], group, values, resamples, seed, bar)
            rows += [{**head, **row} for row in found]
    return _rank(rows, with_model=predictions is not None)


def _read_cases(
    index: IndexRows, truth: Boxes, predictions: Boxes | str | os.PathLike[str] | None
) -> Cases:
    """Images with a label that are in the index, and the predictions, if there are any."""
    truth = joined(truth, index)
    known = np.asarray(truth.table["image"].is_valid(), bool)
    if not known.all():
        lost = len(truth.table["key"].filter(pa.array(~known)).unique())
        text = f"{counted(lost, 'image of the ground truth', 'are')} not in the index, and left out"
        warnings.warn(text, UserWarning, stacklevel=3)
        truth = truth.select(known)
    if predictions is not None:
        return read_cases(joined(open_boxes(predictions, index), index), truth, points=True)
    certain = truth.replace({"score": np.ones(len(truth))})
    return read_cases(certain, truth, points=True, allow_train=True)


def _read_columns(
    index: IndexRows, columns: Sequence[str] | None, names: Sequence[str]
) -> dict[tuple[str, str], Ints]:
    """Number of the value of each image, by source and column."""
    if columns is not None:
        given = [columns] if isinstance(columns, str) else list(dict.fromkeys(columns))
        wanted = [("given", name, name) for name in given]
    else:
        have = set(index.schema.names)
        wanted = [
            (source, name, name_column(name))
            for source, listed in SOURCES.items()
            for name in listed
            if name in have
        ]
    groupings, _ = read_groupings(index, [sql for *_, sql in wanted], names, bins=_BINS)
    codes = {
        (source, name): grouping.number
        for (source, name, _), grouping in zip(wanted, groupings, strict=True)
        if columns is not None or len(grouping.names) > 1
    }
    if not codes:
        raise UsageError("no column to measure: every column is the same on all images")
    return codes


def _measure(
    positive: Flags,
    group: Ints,
    codes: Mapping[tuple[str, str], Ints],
    resamples: int,
    seed: int,
    bar: Progress,
) -> list[dict[str, Any]]:
    """AUC of each column, and of all columns of a source, for one label."""
    counts = {"images": len(positive), "positives": int(positive.sum())}
    few = min(len(np.unique(group[side])) for side in (positive, ~positive)) < MIN_PATIENTS
    fold = _deal_patients(positive, group, seed)
    scores = {key: _score_images(code, positive, fold) for key, code in codes.items()}
    for source in dict.fromkeys(source for source, _ in codes):
        members = [score for (one, _), score in scores.items() if one == source]
        if len(members) > 1:
            scores[source, f"all {len(members)} columns"] = np.sum(members, axis=0)
    rows = []
    for number, ((source, column), score) in enumerate(scores.items()):
        row = {"source": source, "column": column, **counts}
        if few:
            rows.append({**row, "status": TOO_SMALL, "auc": np.nan, "low": np.nan, "high": np.nan})
        else:
            area = _FoldArea(score, positive, fold)
            low = high = np.array(np.nan)
            if resamples:
                low, high = percentile_interval(resample(area, group, resamples, seed)[:, 0])
            auc = float(area(np.ones(len(group)))[0])
            bounds = {"low": float(low), "high": float(high)}
            rows.append({**row, "status": "ok", "auc": auc, **bounds})
        bar.add(int(number < len(codes)))
    return rows


def _deal_patients(positive: Flags, group: Ints, seed: int) -> Ints:
    """Fold of each image: patients with and without the label are dealt to the folds in turn."""
    patients = int(group.max()) + 1
    ill = np.zeros(patients, bool)
    ill[group[positive]] = True
    order = np.lexsort((np.random.default_rng(seed).random(patients), ill))
    fold = np.empty(patients, np.int64)
    fold[order] = np.arange(patients) % FOLDS
    return fold[group]


def _score_images(code: Ints, positive: Flags, fold: Ints) -> Floats:
    """Log odds of the label by the value of a column, from the other folds; 0 is their mean."""
    size = int(code.max()) + 1
    score = np.zeros(len(code))
    for one in range(FOLDS):
        train, test = fold != one, fold == one
        mean = np.clip(positive[train].mean(), 1e-6, 1 - 1e-6)
        hits = np.bincount(code[train & positive], minlength=size)
        rate = (hits + _PRIOR * mean) / (np.bincount(code[train], minlength=size) + _PRIOR)
        odds = np.log(rate / (1 - rate)) - np.log(mean / (1 - mean))
        score[test] = odds[code[test]]
    return score


class _FoldArea:
    """AUC over the pairs of images within a fold, of all folds."""

    def __init__(self, score: Floats, positive: Flags, fold: Ints) -> None:
        parts = [np.flatnonzero(fold == one) for one in range(FOLDS)]
        self._parts = [(part, RocArea(score[part], positive[part])) for part in parts]

    def __call__(self, weights: Floats) -> Floats:
        """AUC (1,), from the weight of each image."""
        counts = [area.count(weights[part]) for part, area in self._parts]
        wins, pairs = np.sum(counts, axis=0)
        return np.array([wins / pairs if pairs else np.nan])


def _rank(rows: list[dict[str, Any]], with_model: bool) -> pd.DataFrame:
    """Sort by label and AUC; compare with the model, and warn."""
    import pandas as pd

    names = ["label", "source", "column", "images", "positives", "status", "auc", "low", "high"]
    table = pd.DataFrame(rows, columns=[*names, "model"])
    order = pd.Series({label: n for n, label in enumerate(dict.fromkeys(table["label"]))})
    keys = table.assign(order=table["label"].map(order), minus=-table["auc"])
    table = table.loc[keys.sort_values(["order", "minus"], kind="stable").index]
    table = table.reset_index(drop=True)
    if not with_model:
        return table.drop(columns="model")
    above = table["low"].fillna(table["auc"]) > 0.5
    table["near"] = above & (table["auc"] >= table["model"] - NEAR)
    for label, found in table[table["near"]].groupby("label", sort=False):
        first = found.iloc[0]
        warnings.warn(
            f"{label}: {first['column']} of the {first['source']} alone has an AUC of "
            f"{first['auc']:.3f}, the model {first['model']:.3f}: it may have learned a shortcut",
            UserWarning,
            stacklevel=3,
        )
    return table.rename(columns={"model": "model_auc"})

"""Competition submissions, checked before they are written."""

from __future__ import annotations

import os
import warnings
from collections import defaultdict
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, NamedTuple

import numpy as np
import pyarrow.compute as pc

from wetread.boxes.join import NAMES, find_rows, stem
from wetread.boxes.kaggle import OPACITY, VINBIGDATA
from wetread.boxes.reading import open_boxes
from wetread.common.files import written
from wetread.common.text import counted, guard_cell
from wetread.errors import UnknownNameError, UsageError
from wetread.evaluation.bootstrap import Floats, Ints
from wetread.evaluation.cases import STUDY
from wetread.evaluation.images import show_some
from wetread.table.query import query
from wetread.table.rows import IndexLike, IndexRows

if TYPE_CHECKING:
    import pandas as pd

    from wetread.boxes.collection import Boxes

IMAGE = "_image"
"""Suffix of the image ids of SIIM-COVID."""
STUDY_LABELS = ("negative", "typical", "indeterminate", "atypical")
UNREADABLE = """
SELECT path FROM index WHERE pixel_length IS NULL AND read_status NOT IN ('ok', 'not_dicom')
"""
"""Files without pixels that are neither valid reports nor other file types."""


class Form(NamedTuple):
    """Submission format of a competition."""

    column: str
    """Name of the image column."""
    nothing: str
    """Format string of an image without boxes, from its score; may be empty."""
    box: Callable[[str, str, Floats], str]
    """Entry of a box, from its label, its score as text and its corners."""
    labels: tuple[str, ...]
    """Labels of the competition."""


def _corners(corners: Floats) -> str:
    return " ".join(f"{value:.7g}" for value in corners)


_CLASSES = {name: str(number) for number, name in VINBIGDATA.items()}
FORMS = {
    "vinbigdata": Form(
        "image_id",
        "14 {} 0 0 1 1",
        lambda label, score, box: f"{_CLASSES[label]} {score} {_corners(box)}",
        tuple(_CLASSES),
    ),
    "rsna-pneumonia": Form(
        "patientId",
        "",
        lambda _, score, box: f"{score} {_corners(np.append(box[:2], box[2:] - box[:2]))}",
        (OPACITY,),
    ),
    "siim-covid": Form(
        "id",
        "none {} 0 0 1 1",
        lambda _, score, box: f"opacity {score} {_corners(box)}",
        (OPACITY,),
    ),
}


@dataclass(frozen=True)
class _Targets:
    """Rows of the submission."""

    names: Sequence[str]
    """Names of the images."""
    row: Ints
    """(predictions,): row of each prediction, -1 if there is none."""
    sizes: Floats
    """(rows, 2): columns and rows of the image, infinite if unknown."""


def submit(
    predictions: Boxes | str | os.PathLike[str],
    to: str | os.PathLike[str],
    format: str,
    images: IndexLike | Iterable[str] | None = None,
) -> pd.DataFrame:
    """Write a competition submission, checked first.

    - `vinbigdata`: `class score x0 y0 x1 y1`, with the competition's class numbers by name, and
      `14 1 0 0 1 1` for an image without boxes.
    - `rsna-pneumonia`: `score x y width height`, and an empty string for an image without boxes.
    - `siim-covid`: `opacity score x0 y0 x1 y1` and `none 1 0 0 1 1`. Rows whose key ends in
      `_study` (labels negative, typical, indeterminate, atypical) are studies; a study of
      an index without one gets `negative 1 0 0 1 1`, as in the competition's sample.

    An id that a spreadsheet would interpret as a formula gets a leading quote, which `read_boxes`
    removes; ids of the competitions do not look like that.

    The score of a row of kind "nothing" replaces the 1, also next to boxes.

    Args:
        predictions: boxes with scores, or a file that `read_boxes` reads.
        to: the CSV file to write.
        format: format, as above.
        images: images of the test set: its index or index folder, or their names (default: those
            with predictions). Only with an index are boxes checked against the image size; a
            warning names its files that cannot be read as images.

    Returns:
        Content of the file.

    Raises:
        UnknownNameError: no such format, or an unknown label.
        UsageError: predictions on other images, boxes that are empty or reach outside their image,
            scores that are not finite, several readers, duplicate names. Nothing is written.
        StorageError: the file cannot be written.
    """
    if format not in FORMS:
        raise UnknownNameError("format of submission", format, FORMS)
    if isinstance(images, str | os.PathLike):
        images = IndexRows.open(images)
    boxes = open_boxes(predictions, images if isinstance(images, IndexRows) else None)
    targets = _list_targets(boxes, format, images)
    _check(boxes, targets, format)
    frame = _compose(boxes, targets, format)
    with written(to) as file:
        frame.map(guard_cell).to_csv(file, index=False, lineterminator="\n")
    return frame


def count_entries(frame: pd.DataFrame, format: str) -> pd.Series[int]:
    """Number of entries of each image in a submission; "nothing found" is an entry too.

    Args:
        frame: as `submit` returns it; rows of studies are left out.
        format: the same name.

    >>> import pandas as pd
    >>> strings = ["7 0.5 1 2 7 8 3 0.4 1 2 7 8", "14 1 0 0 1 1"]
    >>> frame = pd.DataFrame({"image_id": ["a", "b"], "PredictionString": strings})
    >>> count_entries(frame, "vinbigdata").tolist()
    [2, 1]
    """
    studies = frame[FORMS[format].column].str.endswith(STUDY) & (format == "siim-covid")
    words = frame["PredictionString"][~studies].str.split().str.len()
    return words // (5 if format == "rsna-pneumonia" else 6)


def _list_targets(boxes: Boxes, form: str, images: IndexRows | Iterable[str] | None) -> _Targets:
    """Rows of the submission, and the row of each prediction."""
    keys = boxes.table["key"].to_pylist()
    if form == "siim-covid":
        keys = [key and key.removesuffix(IMAGE) for key in keys]
    if isinstance(images, IndexRows):
        return _list_rows(boxes, keys, form, images)
    names = list(dict.fromkeys(keys) if images is None else images)
    if None in names:
        raise UsageError("predictions without a key; pass the images: images=index")
    if form == "siim-covid":
        names = [name.removesuffix(IMAGE) for name in names]
    rows = {name: number for number, name in enumerate(names)}
    if len(rows) < len(names):
        duplicates = sorted(name for name in rows if names.count(name) > 1)
        raise UsageError(f"images named more than once: {show_some(duplicates)}")
    row = np.array([rows.get(key, -1) for key in keys], np.int64)
    return _Targets(names, row, np.full((len(names), 2), np.inf))


def _list_rows(boxes: Boxes, keys: list[str], form: str, index: IndexRows) -> _Targets:
    """Rows from an index; images are named by their files, as in the competitions."""
    columns = ("id", "path", "member", *NAMES[:2], "StudyInstanceUID", "Columns", "Rows")
    listed = ", ".join(f'"{name}"' for name in columns)
    rows = query(index, f"SELECT {listed} FROM index WHERE pixel_length IS NOT NULL")
    unreadable = query(index, UNREADABLE)["path"].to_pylist()
    if unreadable:
        warnings.warn(
            f"{counted(len(unreadable), 'file of the index')} cannot be read as images and "
            f"get no row: "
            f"{show_some(unreadable)}; pass all names as images= if they must have one",
            stacklevel=4,
        )
    members = zip(rows["path"].to_pylist(), rows["member"].to_pylist(), strict=True)
    names = [stem(member or path) for path, member in members]
    if len(set(names)) < len(names):
        duplicates = sorted({name for name in names if names.count(name) > 1})
        raise UsageError(f"several files of the index have the name {show_some(duplicates)}")
    sizes = np.stack([rows[name].to_numpy().astype(float) for name in ("Columns", "Rows")], axis=1)
    sizes[np.isnan(sizes)] = np.inf
    if form == "siim-covid":
        studies = [f"{uid}{STUDY}" for uid in rows["StudyInstanceUID"].unique().to_pylist() if uid]
        names += studies
        sizes = np.vstack([sizes, np.full((len(studies), 2), np.inf)])
    at = {name: number for number, name in enumerate(names) if name.endswith(STUDY)}
    at |= find_rows(sorted(set(filter(None, keys)) - set(at)), rows)
    ids = {id_: number for number, id_ in enumerate(rows["id"].to_pylist())}
    both = zip(boxes.table["image"].to_pylist(), keys, strict=True)
    row = [ids.get(image, at.get(key, -1)) for image, key in both]
    return _Targets(names, np.array(row, np.int64), sizes)


def _check(boxes: Boxes, targets: _Targets, form: str) -> None:
    """Raise UsageError for predictions that the competition would reject or misread."""
    table = boxes.table
    names = pc.coalesce(table["key"], table["image"]).to_pylist()

    def refuse(invalid: np.ndarray, text: str, remedy: str) -> None:
        if invalid.any():
            examples = dict.fromkeys(str(names[row]) for row in np.flatnonzero(invalid))
            raise UsageError(f"{int(invalid.sum())} {text} ({show_some(examples)}); {remedy}")

    if len(boxes.readers) > 1:
        raise UsageError(
            f"predictions of {len(boxes.readers)} runs ({show_some(boxes.readers)}); merge them "
            "first: Boxes.consensus(), or on the command line wetread boxes --consensus wbf"
        )
    refuse(targets.row < 0, "predictions on images that are not in the test set", "leave them out")
    frame = table["frame"].fill_null(0).to_numpy()
    refuse(frame > 0, "predictions on later frames", "the formats have no frames")
    kind = np.asarray(table["kind"].to_numpy(zero_copy_only=False), str)
    score = table["score"].to_numpy().astype(float)
    is_box = kind != "nothing"
    refuse(is_box & ~np.isfinite(score), "boxes without a finite score", "they are ranked by it")
    study = np.array([str(name).endswith(STUDY) for name in names], bool) & (form == "siim-covid")
    for label in dict.fromkeys(table.filter(is_box & ~study)["label"].to_pylist()):
        if label not in FORMS[form].labels:
            raise UnknownNameError(f"label of {form}", str(label), FORMS[form].labels)
    for label in dict.fromkeys(table.filter(is_box & study)["label"].to_pylist()):
        if label not in STUDY_LABELS:
            raise UnknownNameError(f"label of a study of {form}", str(label), STUDY_LABELS)
    corners = boxes.corners
    inside = (corners[:, :2] >= 0).all(axis=1) & (corners[:, :2] < corners[:, 2:]).all(axis=1)
    inside &= (corners[:, 2:] <= targets.sizes[targets.row]).all(axis=1)
    inside &= np.isfinite(corners).all(axis=1)
    remedy = "clip or drop them; boxes of a resized copy must be scaled back"
    refuse(is_box & ~study & ~inside, "boxes that are empty or reach outside their image", remedy)


def _compose(boxes: Boxes, targets: _Targets, form: str) -> pd.DataFrame:
    """One row per image; boxes by falling score."""
    import pandas as pd

    definition = FORMS[form]
    texts: dict[int, list[str]] = defaultdict(list)
    nothing: dict[int, float] = {}
    table = boxes.table
    score = np.nan_to_num(table["score"].to_numpy().astype(float), nan=1.0)
    labels, kinds, corners = table["label"].to_pylist(), table["kind"].to_pylist(), boxes.corners
    for row in np.lexsort((*corners.T[::-1], -score)):
        target, text = int(targets.row[row]), f"{score[row]:.7g}"
        if kinds[row] == "nothing":
            nothing.setdefault(target, score[row])
        elif form == "siim-covid" and targets.names[target].endswith(STUDY):
            texts[target].append(f"{labels[row]} {text} 0 0 1 1")
        else:
            texts[target].append(definition.box(labels[row], text, corners[row]))
    strings, names = [], []
    for target, name in enumerate(targets.names):
        study = form == "siim-covid" and name.endswith(STUDY)
        empty = "negative {} 0 0 1 1" if study else definition.nothing
        if target in nothing or target not in texts:
            texts[target].append(empty.format(f"{nothing.get(target, 1.0):.7g}"))
        strings.append(" ".join(texts[target]))
        names.append(name + IMAGE if form == "siim-covid" and not study else name)
    return pd.DataFrame({definition.column: names, "PredictionString": strings})

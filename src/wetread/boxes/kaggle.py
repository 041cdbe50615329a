"""Tables of the Kaggle and VinDr data sets: labels of readers, and submissions."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from wetread.boxes.cells import (
    NOTHING as _NOTHING,
)
from wetread.boxes.cells import (
    Chunk,
    make_rows,
    mark,
    optional,
    parse_cells,
    parse_frame,
    parse_literal,
    parse_number,
    parse_numbers,
    parse_scores,
)
from wetread.boxes.table import CORNERS
from wetread.common.text import counted, parse_id
from wetread.errors import UsageError

if TYPE_CHECKING:
    import pandas as pd

NOTHING = "No finding"
OPACITY = "Lung Opacity"
"""Label of RSNA's Target 1 and SIIM's "opacity", the only class of these formats."""
Box = tuple[Any, ...]
"""(label, score, x0, y0, x1, y1); label None is a reading without a finding."""
_NO_BOX: Box = (None,) * 6


@dataclass(frozen=True, slots=True)
class Dialect:
    """Table format: the columns by which it is recognised, and its parser."""

    name: str
    columns: tuple[frozenset[str], ...]
    """Sets of columns; a table with all columns of one set has this format."""
    read: Callable[[pd.DataFrame], Chunk]


def _read_corners(frame: pd.DataFrame) -> Chunk:
    """Parse one row per box, with corners: VinBigData, VinDr-CXR, VinDr-SpineXR, VinDr-Mammo."""
    names = ("x_min", "y_min", "x_max", "y_max")
    if "x_min" not in frame:
        names = ("xmin", "ymin", "xmax", "ymax")
    corners = {to: parse_numbers(frame, name) for to, name in zip(CORNERS, names, strict=True)}
    frame = frame.assign(**corners, score=parse_scores(frame))
    if "finding_categories" in frame:
        frame["class_name"] = parse_cells(frame, "finding_categories", _literal_list)
        frame = frame.explode("class_name")
    elif "lesion_type" in frame:
        frame = frame.rename(columns={"lesion_type": "class_name"})
    nothing = frame["class_name"].str.lower().isin(_NOTHING)
    columns = {
        "key": frame["image_id"],
        "label": frame["class_name"].where(~nothing & (frame["class_name"] != ""), None),
        "kind": _kinds(nothing),
        "reader": optional(frame, "rad_id"),
        "part": optional(frame, "split", {"training": "train"}),
        "score": frame["score"],
        **{name: frame[name] for name in CORNERS},
    }
    return make_rows(frame, columns, _classes(frame[~nothing]))


def _classes(frame: pd.DataFrame) -> list[tuple[str, str]] | None:
    """(id, name) of the classes; None without ids."""
    if "class_id" not in frame:
        return None
    pairs = frame[["class_id", "class_name"]].drop_duplicates().itertuples(index=False)
    return [(str(i), str(name)) for i, name in pairs if i and name]


def _read_rsna(frame: pd.DataFrame) -> Chunk:
    """Parse one row per box, as x, y, width, height; rows with Target 0 have no box."""
    x, y, width, height = (parse_numbers(frame, name) for name in ("x", "y", "width", "height"))
    blank = x.isna() & y.isna() & width.isna() & height.isna()
    nothing = parse_numbers(frame, "Target") == 0 if "Target" in frame else blank
    columns = {
        "key": frame["patientId"],
        "label": nothing.map({True: None, False: OPACITY}),
        "kind": _kinds(nothing),
        **dict(zip(CORNERS, (x, y, x + width, y + height), strict=True)),
        "score": parse_scores(frame),
    }
    return make_rows(frame, columns, [("1", OPACITY)])


def _read_siim(frame: pd.DataFrame) -> Chunk:
    """Parse one row per image: `label` has corners, `boxes` has sizes; both must agree."""
    found = parse_cells(frame, "label", _parse_siim)
    listed = parse_cells(frame, "boxes", lambda text: parse_literal(text) if text else None)
    different = []
    for boxes, sizes in zip(found, listed, strict=True):
        corners = [box[2:] for box in boxes or () if box[0]]
        try:
            different.append(bool(sizes) and not _same_boxes(corners, sizes))
        except (TypeError, LookupError):
            different.append(True)
    mark(frame, different, "the columns label and boxes of {place} do not agree")
    return _list_boxes(frame, "id", found, [("1", OPACITY)])


def _parse_siim(text: str) -> list[Box]:
    """Parse `opacity 1 x y x y none 1 0 0 1 1`, six words per box."""
    words = text.split()
    if len(words) % 6:
        raise UsageError(f"{text[:60]!r}: expected six words per box, label confidence x0 y0 x1 y1")
    groups = [words[at : at + 6] for at in range(0, len(words), 6)]
    return [
        (None if name.lower() in _NOTHING else OPACITY, *map(parse_number, rest))
        for name, *rest in groups
    ]


def _same_boxes(corners: Sequence[Sequence[float]], listed: Any) -> bool:
    """Compare corners with dictionaries of x, y, width, height, to half a pixel."""
    sizes = [(b["x"], b["y"], b["x"] + b["width"], b["y"] + b["height"]) for b in listed]
    pairs = zip(sorted(map(tuple, corners)), sorted(sizes), strict=False)
    near = all(abs(p - q) <= 0.5 for a, b in pairs for p, q in zip(a, b, strict=True))
    return len(sizes) == len(corners) and near


def _read_spine(frame: pd.DataFrame) -> Chunk:
    """Parse one row per point: study, series and instance number, condition and level."""
    names = ("study_id", "series_id", "instance_number")
    ids = zip(*(frame[name].map(parse_id) for name in names), strict=True)
    x, y = (parse_numbers(frame, name) for name in ("x", "y"))
    level = frame.get("level", "")
    columns = {
        "key": ["/".join(one) for one in ids],
        "label": (frame["condition"] + " " + level).str.strip().replace("", None),
        "kind": ["point"] * len(frame),
        **_points(x, y),
    }
    return make_rows(frame, columns, None)


def _read_aneurysm(frame: pd.DataFrame) -> Chunk:
    """Parse one row per point: `coordinates` has x, y and for multi-frame files f."""
    import numpy as np

    found = parse_cells(frame, "coordinates", _parse_point)
    points = [point or (np.nan, np.nan, None) for point in found]
    x, y, number = ([point[n] for point in points] for n in range(3))
    columns = {
        "key": frame["SOPInstanceUID"],
        "label": optional(frame, "location"),
        "kind": ["point"] * len(frame),
        "frame": number,
        **_points(np.array(x, float), np.array(y, float)),
    }
    return make_rows(frame, columns, None)


def _parse_point(text: str) -> tuple[float, float, int | None]:
    value = parse_literal(text)
    if not isinstance(value, dict) or not {"x", "y"} <= set(value):
        raise UsageError(f"{text[:60]!r}: expected a dictionary with x and y")
    frame = value.get("f")
    x, y = (parse_number(str(value[name])) for name in ("x", "y"))
    return x, y, None if frame is None else parse_frame(str(frame))


def _points(x: Any, y: Any) -> dict[str, Any]:
    """Corners of points; whole numbers are the centres of pixels."""
    x, y = x + 0.5, y + 0.5
    return dict(zip(CORNERS, (x, y, x, y), strict=True))


def _read_submission(frame: pd.DataFrame) -> Chunk:
    """Parse one row per image: `PredictionString` in the format of one of three competitions."""
    name = next(n for n in ("image_id", "patientId", "id") if n in frame)
    frame = frame[~frame[name].str.endswith("_study")]  # study-level classes have no boxes
    parse = {"image_id": _parse_classes, "patientId": _parse_sizes, "id": _parse_siim}[name]
    found = parse_cells(frame, "PredictionString", parse)
    if name != "image_id":
        return _list_boxes(frame, name, found, [("1", OPACITY)])
    labels = {box[0] for boxes in found for box in boxes or () if box[0] is not None}
    numbered = {n: VINBIGDATA.get(n, str(n)) for n in sorted({*map(int, labels), *VINBIGDATA})}
    named = [[(_name(label), *rest) for label, *rest in boxes or ()] for boxes in found]
    return _list_boxes(frame, name, named, list(numbered.items()))


def _name(number: str | None) -> str | None:
    return None if number is None else VINBIGDATA.get(int(number), number)


def _parse_classes(text: str) -> list[Box]:
    """Parse six numbers per box: class, score and corners (VinBigData)."""
    groups = _split_numbers(text, 6)
    return [(None if c == "14" else str(int(c)), *map(parse_number, rest)) for c, *rest in groups]


def _parse_sizes(text: str) -> list[Box]:
    """Parse five numbers per box: score, x, y, width and height (RSNA)."""
    boxes = [tuple(map(parse_number, group)) for group in _split_numbers(text, 5)]
    return [(OPACITY, s, x, y, x + w, y + h) for s, x, y, w, h in boxes]


def _split_numbers(text: str, count: int) -> list[list[str]]:
    words = text.split()
    if len(words) % count:
        raise UsageError(f"{counted(len(words), 'number')}, which is not a multiple of {count}")
    groups = [words[at : at + count] for at in range(0, len(words), count)]
    return [[parse_id(group[0]), *group[1:]] for group in groups]


def _list_boxes(
    frame: pd.DataFrame,
    name: str,
    found: Sequence[Sequence[Box] | None],
    classes: Sequence[tuple[Any, str]],
) -> Chunk:
    """One row per box; an image without one has a row of kind "nothing"."""
    frame = frame.assign(box=[list(boxes or [_NO_BOX]) for boxes in found]).explode("box")
    boxes = frame["box"].tolist()
    columns: dict[str, Any] = {
        "key": [key.removesuffix("_image") for key in frame[name]],
        "kind": ["nothing" if box[0] is None else "box" for box in boxes],
    }
    for number, column in enumerate(("label", "score", *CORNERS)):
        columns[column] = [box[number] for box in boxes]
    return make_rows(frame, columns, classes)


VINBIGDATA = dict(
    enumerate(
        (
            "Aortic enlargement",
            "Atelectasis",
            "Calcification",
            "Cardiomegaly",
            "Consolidation",
            "ILD",
            "Infiltration",
            "Lung Opacity",
            "Nodule/Mass",
            "Other lesion",
            "Pleural effusion",
            "Pleural thickening",
            "Pneumothorax",
            "Pulmonary fibrosis",
        )
    )
)
"""Classes of VinBigData by id; 14 is "No finding"."""


def _kinds(nothing: pd.Series[bool]) -> pd.Series[str]:
    return nothing.map({True: "nothing", False: "box"})


def _literal_list(text: str) -> list[str]:
    values = parse_literal(text) if text.startswith("[") else [text]
    return [str(value) for value in values] or [NOTHING]


_CORNERS = {"x_min", "y_min", "x_max", "y_max"}
_SHORT = {"xmin", "ymin", "xmax", "ymax"}
DIALECTS = (
    Dialect(
        "vinbigdata",
        (
            frozenset({"image_id", "class_name", "class_id", "rad_id", *_CORNERS}),
            frozenset({"image_id", "class_name", "class_id", *_CORNERS}),
        ),
        _read_corners,
    ),
    Dialect(
        "vindr",
        (
            frozenset({"image_id", "class_name", "rad_id", *_CORNERS}),
            frozenset({"image_id", "class_name", *_CORNERS}),
            frozenset({"image_id", "lesion_type", *_SHORT}),
            frozenset({"image_id", "finding_categories", *_SHORT}),
        ),
        _read_corners,
    ),
    Dialect("rsna-pneumonia", (frozenset({"patientId", "x", "y", "width", "height"}),), _read_rsna),
    Dialect("siim-covid", (frozenset({"id", "label", "boxes"}),), _read_siim),
    Dialect(
        "rsna-spine",
        (frozenset({"study_id", "series_id", "instance_number", "condition", "x", "y"}),),
        _read_spine,
    ),
    Dialect("rsna-aneurysm", (frozenset({"SOPInstanceUID", "coordinates"}),), _read_aneurysm),
    Dialect(
        "submission",
        tuple(frozenset({n, "PredictionString"}) for n in ("image_id", "patientId", "id")),
        _read_submission,
    ),
)

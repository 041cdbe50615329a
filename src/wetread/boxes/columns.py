"""Roles of the columns of any table of boxes: by a map, or by their usual names."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from itertools import product
from typing import Literal, NamedTuple, get_args

from wetread.errors import UnknownNameError, UsageError, suggest

Form = Literal["xyxy", "xywh", "cxcywh", "xy"]
"""Numbers of a box: two corners; the upper left corner and size; the centre and size; a point."""
_ALIASES = {
    "image": "sopinstanceuid sopuid imageuid image imageid imageindex filename imagename imagefile "
    "imagepath file filepath path img imgid imgname imgpath dicomid dicom dicomfile dicompath key "
    "externalid patientid id name",
    "label": "classname label labelname class category categoryname finding findingname "
    "findinglabel lesiontype lesion pathology diagnosis condition cls tag classid categoryid name",
    "class_id": "classid categoryid",
    "reader": "radid reader readerid radiologist annotator annotatorid rater doctor",
    "score": "score confidence conf probability prob",
    "frame": "frame frameindex framenumber",
    "part": "part split",
    "ignore": "ignore iscrowd difficult",
    "box": "bbox box boxes bboxes boundingbox boundingboxes coordinates",
}
"""Usual names of the column of each role, in lower case without punctuation, best first."""
_STARTS = [
    ("x", "y"),
    ("xmin", "ymin"),
    ("x0", "y0"),
    ("x1", "y1"),
    ("left", "top"),
    ("xtl", "ytl"),
]
_ENDS = [("xmax", "ymax"), ("x1", "y1"), ("x2", "y2"), ("right", "bottom"), ("xbr", "ybr")]
_CENTRES = [("cx", "cy"), ("xc", "yc"), ("xcenter", "ycenter"), ("centerx", "centery")]
_CENTRES += [("xcentre", "ycentre"), ("centrex", "centrey")]
_SIZES = [("w", "h"), ("width", "height")]
_SETS: dict[Form, list[tuple[str, ...]]] = {
    "xyxy": [(*a, *b) for a, b in zip(_STARTS[1:], _ENDS, strict=True)],
    "cxcywh": [(*a, *b) for a, b in product(_CENTRES, _SIZES)],
    "xywh": [(*a, *b) for a, b in product(_STARTS, _SIZES)],
    "xy": [("x", "y")],
}
_PREFIX = re.compile(r"^(boundingbox|bbox|box)(?=.)")
_SLOTS = (
    "x0 x cx xmin left",
    "y0 y cy ymin top",
    "x1 w width xmax right",
    "y1 h height ymax bottom",
)
"""Roles of the four numbers in a map of columns."""
ROLES = ("image", "label", "reader", "score", "frame", "part", "ignore", "class_id", "box")


class Roles(NamedTuple):
    """Columns of a table by role."""

    names: Mapping[str, str]
    """Column of each role."""
    numbers: tuple[str, ...]
    """Columns of the numbers; empty if a column `box` has them."""
    form: Form | None
    """None if it is not known: see the cells."""


def map_roles(columns: Sequence[str], given: Mapping[str, str] | None, form: Form | None) -> Roles:
    """Roles of columns.

    Args:
        columns: names of the columns of the table.
        given: column by role: image, label, reader, score, frame, part, ignore, box, and the
            numbers x0 y0 x1 y1, x y w h, or cx cy w h (also width, height). Roles that are not
            given are found by the usual names of columns, but for numbers.
        form: form of the numbers.

    Raises:
        UnknownNameError: unknown role, column or form.
        UsageError: no column for the image or the box; names what comes close.
    """
    if form is not None and form not in get_args(Form):
        raise UnknownNameError("form", form, get_args(Form))
    given = dict(given or {})
    slots = {role: n for n, roles in enumerate(_SLOTS) for role in roles.split()}
    for role, column in given.items():
        if role not in (*ROLES, *slots):
            raise UnknownNameError(
                "role of a column", role, (*ROLES, "x0", "y0", "x1", "y1", "w", "h")
            )
        if column not in columns:
            raise UnknownNameError("column", column, columns)
    usual = {normal_name(column): column for column in reversed(columns)}
    used = {role: given[role] for role in given if role in ROLES}
    for role, aliases in _ALIASES.items():
        taken = {*given.values(), *(column for name, column in used.items() if name != "class_id")}
        taken = set(given.values()) if role == "class_id" else taken
        free = [usual[a] for a in aliases.split() if a in usual and usual[a] not in taken]
        if free and role not in used and not (role == "box" and given.keys() & slots):
            used[role] = free[0]
    numbers, found = _find_numbers(usual, given, slots, form)
    if numbers:
        used.pop("box", None)
    if "image" not in used or not (numbers or "box" in used):
        raise UsageError(_explain(columns, usual, "image" in used))
    return Roles(used, numbers, form or found)


def _find_numbers(
    usual: Mapping[str, str], given: Mapping[str, str], slots: Mapping[str, int], form: Form | None
) -> tuple[tuple[str, ...], Form | None]:
    mapped = {slots[role]: column for role, column in given.items() if role in slots}
    if mapped:
        missing = [roles.split()[0] for n, roles in enumerate(_SLOTS) if n not in mapped]
        if missing and (sorted(mapped) != [0, 1] or form not in (None, "xy")):
            raise UsageError(f"columns= lacks {', '.join(missing)}: a box has four numbers")
        roles = {role for role in given if role in slots}
        by_role: Form = "xywh" if roles & {"w", "h", "width", "height"} else "xyxy"
        by_role = "cxcywh" if roles & {"cx", "cy"} else "xy" if missing else by_role
        return tuple(mapped[n] for n in sorted(mapped)), by_role
    if "box" in given:
        return (), None
    for known, sets in _SETS.items():
        for names in sets:
            if all(name in usual for name in names):
                if form not in (None, known) and (form == "xy") != (known == "xy"):
                    continue
                return tuple(usual[name] for name in names), known
    return (), None


def normal_name(column: str) -> str:
    """Name in lower case without punctuation, and without the prefix `bbox`.

    >>> normal_name("X-Min"), normal_name("bbox_x1"), normal_name("Bbox [x")
    ('xmin', 'x1', 'x')
    """
    name = re.sub(r"[^0-9a-z]", "", column.lower())
    return name if name in _ALIASES["box"].split() else _PREFIX.sub("", name)


def _explain(columns: Sequence[str], usual: Mapping[str, str], has_image: bool) -> str:
    """Missing columns, and those that come close."""
    listed = f"its columns: {', '.join(columns)}"
    if len(columns) == 1:
        return f"one column only; {listed}: are they separated by another character?"
    parts = [] if has_image else ["no column names the image"]
    sets = [names for several in _SETS.values() for names in several if len(names) == 4]
    best = max(sets, key=lambda names: sum(name in usual for name in names))
    missing = [name for name in best if name not in usual]
    if missing:
        near = [
            f"{n!r}: did you mean {c}?" for n in missing for c in suggest(n, usual.values())[:1]
        ]
        have = sum(name in usual for name in best)
        detail = f" ({', '.join(missing)} are missing{'; ' * bool(near)}{' '.join(near)})"
        parts.append("no columns of a box" + detail * (have > 0))
    numeric = any(re.fullmatch(r"[+-]?[\d.]+", column) for column in columns)
    hint = "the first line must name the columns" if numeric else "name them with columns="
    if has_image and not numeric and not any(name in usual for name in best):
        hint += ", or give labels of whole images the size of the image as box"
    return f"{' and '.join(parts)}; {listed}; {hint}"

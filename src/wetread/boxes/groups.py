"""Whose images are whose."""

from __future__ import annotations

from dataclasses import dataclass

import pyarrow as pa

KEYS = ("PatientID", "StudyInstanceUID")
"""What tells whose an image is, the best first; then each image is its own group."""


@dataclass(frozen=True, slots=True)
class Grouping:
    """Whose each image is."""

    names: list[str]
    """The key of the group, for each image."""
    by: str
    """The column that it comes from; "id" where each image is its own group."""
    why: str
    certain: bool
    """Whether a patient is known to be in one group."""


def group_images(images: pa.Table, by: str | None = None) -> Grouping:
    """Whose each image is: the patient's, else the study's, else its own.

    A key that is absent, blank or the same everywhere tells nobody apart and is passed over; an
    image without it falls back to the next one.
    """
    ids = images["id"].to_pylist()
    if by is not None:
        values = _texts(images[by])
        names = [value or id_ for value, id_ in zip(values, ids, strict=True)]
        return Grouping(names, by, "as asked", True)
    passed = []
    usable: list[tuple[str, list[str]]] = []
    for key in KEYS:
        values = _texts(images[key])
        distinct = set(values) - {""}
        if len(distinct) > 1 or (len(ids) == 1 and distinct):
            usable.append((key, values))
        else:
            passed.append(f"{key} is {'the same everywhere' if distinct else 'absent or blank'}")
    choices = [*(values for _, values in usable), ids]
    names = [next(filter(None, row)) for row in zip(*choices, strict=True)]
    found = usable[0][0] if usable else "id"
    why = [*passed]
    if usable and (blank := usable[0][1].count("")):
        why.append(f"{blank} of {len(ids)} images have no {found}")
    certain = found == "PatientID" and not why
    if not certain:
        why.append("images of one patient may be on two sides")
    return Grouping(names, found, "; ".join(why) or "every image has one", certain)


def _texts(column: pa.ChunkedArray) -> list[str]:
    return ["" if value is None else str(value).strip() for value in column.to_pylist()]

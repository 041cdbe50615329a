"""Patient group of each image."""

from __future__ import annotations

from dataclasses import dataclass

import pyarrow as pa

from wetread.common.text import counted

KEYS = ("PatientID", "StudyInstanceUID")
"""Columns that identify the patient, in order of preference; else each image is its own group."""


@dataclass(frozen=True, slots=True)
class Grouping:
    """Group of each image."""

    names: list[str]
    """Key of the group, per image."""
    by: str
    """Column of the keys; "image" if each image is its own group."""
    why: str
    """Reasons why another column was not used, or why a patient may be in several groups."""
    certain: bool
    """True if every patient is known to be in one group."""


def group_images(images: pa.Table, by: str | None = None) -> Grouping:
    """Group images by patient, else by study, else each image on its own.

    A column that is absent, blank or constant is not used. An image without a Patient ID joins the
    patient of its study if there is one; else the study is its group, else the image itself.

    Args:
        images: table with the columns `id`, KEYS and `by`.
        by: column to group by instead.
    """
    ids = images["id"].to_pylist()
    keys = KEYS if by is None else (by,)
    values = {key: _texts(images[key]) for key in keys}
    distinct = {key: set(values[key]) - {""} for key in keys}
    usable = [key for key in keys if by or len(distinct[key]) > min(1, len(ids) - 1)]
    unused: dict[str, list[str]] = {}
    for key in keys[: keys.index(usable[0]) if usable else None]:
        state = "the same everywhere" if distinct[key] else "absent or blank"
        unused.setdefault(state, []).append(key)
    why = [
        f"{' and '.join(names)} {'are' if len(names) > 1 else 'is'} {state}"
        for state, names in unused.items()
    ]
    used = usable[0] if usable else "image"
    if usable and (blank := values[used].count("")):
        why.append(f"{blank} of {counted(len(ids), 'image')} without {used}")
    names = _fall_back([values[key] for key in usable], ids)
    certain = used == (by or "PatientID") and not why
    if not certain:
        why.append("images of one patient may be in several parts")
    return Grouping(names, used, "; ".join(why) or "every image has one", certain)


def _fall_back(choices: list[list[str]], ids: list[str]) -> list[str]:
    """First name that an image has, or that images with the same next name have."""
    if not choices:
        return ids
    best, *others = choices
    rest = _fall_back(others, ids)
    owners: dict[str, str] = {}
    for name, other in sorted(zip(best, rest, strict=True)):
        if name:
            owners.setdefault(other, name)
    return [name or owners.get(other, other) for name, other in zip(best, rest, strict=True)]


def _texts(column: pa.ChunkedArray) -> list[str]:
    return ["" if value is None else str(value).strip() for value in column.to_pylist()]

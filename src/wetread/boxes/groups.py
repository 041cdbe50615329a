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

    A key that is absent, blank or the same everywhere tells nobody apart and is passed over. An
    image without the patient that others have is theirs with whom it shares a study; else the
    study is its group, else the image itself.

    Args:
        images: columns `id`, those of KEYS, and `by`.
        by: the column to use instead.
    """
    ids = images["id"].to_pylist()
    keys = KEYS if by is None else (by,)
    values = {key: _texts(images[key]) for key in keys}
    distinct = {key: set(values[key]) - {""} for key in keys}
    usable = [key for key in keys if by or len(distinct[key]) > min(1, len(ids) - 1)]
    why = [
        f"{key} is {'the same everywhere' if distinct[key] else 'absent or blank'}"
        for key in keys[: keys.index(usable[0]) if usable else None]
    ]
    found = usable[0] if usable else "id"
    if usable and (blank := values[found].count("")):
        why.append(f"{blank} of {len(ids)} images have no {found}")
    names = _fall_back([values[key] for key in usable], ids)
    certain = found == (by or "PatientID") and not why
    if not certain:
        why.append("images of one patient may be on two sides")
    return Grouping(names, found, "; ".join(why) or "every image has one", certain)


def _fall_back(choices: list[list[str]], ids: list[str]) -> list[str]:
    """The first name that each image has, or that images with the same next name have."""
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

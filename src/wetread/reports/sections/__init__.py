"""Sections of the report; each module has one function `describe`."""

from __future__ import annotations

from collections.abc import Callable

from wetread.reports.blocks import Section
from wetread.reports.sections import (
    formats,
    geometry,
    groups,
    hierarchy,
    labels,
    masks,
    measured,
    origin,
    parts,
    pictures,
    predicted,
    problems,
    protection,
    readers,
    series,
    sources,
    tags,
    windows,
)
from wetread.reports.subject import Subject

Describe = Callable[[Subject], Section]
LABELLED: tuple[Describe, ...] = (
    labels.describe,
    readers.describe,
    predicted.describe,
    groups.describe,
)
"""Sections that need labels: the first ones after the images if there are any."""
OTHERS: tuple[Describe, ...] = (
    problems.describe,
    sources.describe,
    hierarchy.describe,
    origin.describe,
    formats.describe,
    geometry.describe,
    series.describe,
    windows.describe,
    tags.describe,
    protection.describe,
    measured.describe,
    parts.describe,
    masks.describe,
)


def list_sections(subject: Subject) -> tuple[Describe, ...]:
    """All sections in order, except the last one, the JSON data."""
    if subject.boxes is None and subject.predictions is None:
        return (pictures.describe, *OTHERS, *LABELLED)
    return (pictures.describe, *LABELLED, *OTHERS)

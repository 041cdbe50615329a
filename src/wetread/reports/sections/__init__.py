"""Sections of the report, in order; each module has one function `describe`."""

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

SECTIONS: tuple[Callable[[Subject], Section], ...] = (
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
    labels.describe,
    readers.describe,
    predicted.describe,
    groups.describe,
    masks.describe,
)
"""All sections except the last one, the JSON data."""

"""Synthetic series: one dictionary of elements per slice, changed by each test, then scanned."""

from __future__ import annotations

import random
from collections.abc import Callable
from pathlib import Path

import pytest

import wetread as wr
from wetread.testing.series import Rows, stack, write


@pytest.fixture
def scan_series(tmp_path: Path) -> Callable[..., wr.Index]:
    """Write slices into a folder and scan it."""

    def scan(*series: Rows, folder: str = "images") -> wr.Index:
        for number, slices in enumerate(series):
            write(tmp_path / folder, slices, f"{number}-{{:03}}.dcm")
        return wr.scan(tmp_path / folder, workers=0, progress=False)

    return scan


@pytest.fixture
def ct() -> Callable[..., Rows]:
    """See `stack`."""
    return stack


def clean(rows: Rows) -> Rows:
    return rows


def shuffled(rows: Rows) -> Rows:
    return random.Random(1).sample(rows, len(rows))


def random_numbers(rows: Rows) -> Rows:
    numbers = random.Random(2).sample(range(1000), len(rows))
    return [{**row, "InstanceNumber": str(n)} for row, n in zip(rows, numbers, strict=True)]


def wrong_thickness(rows: Rows) -> Rows:
    return [{**row, "SliceThickness": "5"} for row in rows]


def slopes(rows: Rows) -> Rows:
    return [{**row, "RescaleSlope": f"{1 + n / 100}"} for n, row in enumerate(rows)]


def no_frame_of_reference(rows: Rows) -> Rows:
    return [{**row, "FrameOfReferenceUID": None} for row in rows]


HARMLESS = [clean, shuffled, random_numbers, wrong_thickness, slopes, no_frame_of_reference]


@pytest.fixture(params=HARMLESS, ids=lambda change: change.__name__)
def harmless(request: pytest.FixtureRequest) -> Callable[[Rows], Rows]:
    """Change of the rows that leaves the volume as it is."""
    return request.param

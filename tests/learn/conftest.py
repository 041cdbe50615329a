"""Phantoms as a cache, unsplit and split, and their ground truth."""

from __future__ import annotations

import warnings
from pathlib import Path

import pytest

import wetread as wr
from wetread.boxes.collection import Boxes
from wetread.cache.cache import Cache


@pytest.fixture(scope="session")
def unsplit(phantom_cache: Path) -> Cache:
    return Cache.open(phantom_cache)


@pytest.fixture(scope="session")
def truth(phantoms: Path, unsplit: Cache) -> Boxes:
    return wr.read_boxes(phantoms / "train.csv", images=unsplit.index).consensus()


@pytest.fixture(scope="session")
def cache(unsplit: Cache, truth: Boxes) -> Cache:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # phantoms have no patients
        return unsplit.split(truth)

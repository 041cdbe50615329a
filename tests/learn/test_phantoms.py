"""Both models learn from scratch on phantoms, evaluated on other phantoms. Slow.

Slow: it trains in earnest, on one thread. What it proves is the path from file to score; phantoms
say nothing about medicine.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

import wetread as wr
from wetread.boxes.collection import Boxes
from wetread.cache.cache import Cache
from wetread.sample import write_sample

pytestmark = [
    pytest.mark.slow,
    pytest.mark.timeout(1500),
    pytest.mark.filterwarnings("ignore:split by image:UserWarning"),
]
QUIET: dict[str, Any] = {"augment": False, "progress": False}
"""A schedule so short learns more from pictures as they are."""


@pytest.fixture(scope="module")
def sample(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("sample")
    return write_sample(folder, 200, size=192, test=60, progress=False)


@pytest.fixture(scope="module")
def train(sample: Path) -> tuple[Cache, Boxes]:
    index = wr.scan(sample / "train", workers=0, progress=False)
    cache = wr.prepare(index, sample / "train.cache", 192, progress=False)
    truth = wr.read_boxes(sample / "train.csv", images=index).consensus("majority")
    return cache.split(truth), truth


@pytest.fixture(scope="module")
def held_out(sample: Path) -> tuple[Cache, Boxes]:
    index = wr.scan(sample / "test", workers=0, progress=False)
    cache = wr.prepare(index, sample / "test.cache", 192, progress=False)
    return cache, wr.read_boxes(sample / "test_truth.csv", images=index)


def test_a_detector_learns_in_100_steps(
    train: tuple[Cache, Boxes], held_out: tuple[Cache, Boxes], tmp_path: Path
) -> None:
    run = wr.train(*train, to=tmp_path / "run", size=192, epochs=5, **QUIET)
    cache, truth = held_out
    found = run.predict(cache, progress=False)
    result = wr.evaluate(found, truth, "voc2010@0.4", resamples=0)
    assert result.images == 60
    assert result.value is not None
    assert result.value > 0.6, result


def test_a_classifier_learns_in_150_steps(
    train: tuple[Cache, Boxes], held_out: tuple[Cache, Boxes], tmp_path: Path
) -> None:
    how: dict[str, Any] = {"size": 96, "batch": 16, "epochs": 15, **QUIET}
    run = wr.train(*train, "classify", to=tmp_path / "run", **how)
    cache, truth = held_out
    result = wr.evaluate(run.predict(cache, progress=False), truth, "classification", resamples=0)
    assert result.value is not None
    assert result.value > 0.9, result

"""Ground truth and statistics of training data, and the error without PyTorch."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest

import wetread as wr
from wetread.boxes.collection import Boxes
from wetread.cache.cache import Cache
from wetread.errors import MissingExtraError
from wetread.learn.examples import hash_truth, read_data


def test_hash_of_a_truth_depends_on_its_content(truth: Boxes) -> None:
    turned = Boxes(truth.table.take(pa.array(range(len(truth)))[::-1]))
    assert hash_truth(turned) == hash_truth(truth)
    moved = truth.replace({"x0": [x and x + 1 for x in truth.table["x0"].to_pylist()]})
    assert hash_truth(moved) != hash_truth(truth)


def test_statistics_equal_those_of_the_pixels(cache: Cache, truth: Boxes) -> None:
    items = read_data(cache, truth).examples("train", 64, "auto")
    pixels = np.stack([items[number][0].numpy() for number in range(len(items))])
    assert items.statistics() == pytest.approx((pixels.mean(), pixels.std()), rel=1e-5)
    labels = np.stack([items[number][1]["present"].numpy() for number in range(len(items))])
    assert (labels == items.dataset.labels).all()


def test_missing_pytorch_names_the_pip_command(
    phantoms: Path, phantom_cache: Path, tmp_path: Path
) -> None:
    how = [str(phantom_cache), str(phantoms / "train.csv"), "--consensus", "wbf", "-o", "run"]
    program = (
        "import sys; sys.modules['torch'] = None\n"
        "import wetread as wr\n"
        "from wetread.cli import main\n"
        f"try: wr.train({str(phantom_cache)!r}, 'x')\n"
        "except wr.errors.MissingExtraError as error: print(error)\n"
        f"main({['train', *how]!r})"
    )
    home = str(Path(wr.__file__).parents[1])
    done = subprocess.run(
        [sys.executable, "-c", program],
        capture_output=True,
        text=True,
        env={**os.environ, "PYTHONPATH": home},
        cwd=tmp_path,
    )
    assert "pip install '.[train]' in the clone of wetread" in done.stdout
    assert "pip install '.[train]' in the clone of wetread" in done.stderr
    assert done.returncode == 1
    assert issubclass(MissingExtraError, ImportError)

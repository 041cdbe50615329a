"""Training and prediction on a GPU: `WETREAD_GPU=1 pytest tests/learn/test_gpu.py`."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

import wetread as wr
from wetread.boxes.collection import Boxes
from wetread.cache.cache import Cache
from wetread.errors import WetreadError
from wetread.learn import loop
from wetread.learn.loop import Precision
from wetread.learn.run import Run

pytestmark = pytest.mark.skipif(not torch.cuda.is_available(), reason="no GPU, or not WETREAD_GPU")
SMALL: dict[str, Any] = {"size": 64, "batch": 4, "augment": False, "progress": False}


def losses(run: Run) -> np.ndarray:
    """Loss of each step."""
    metrics = run.metrics
    return metrics["value"][metrics["name"] == "loss"].to_numpy()


@pytest.mark.parametrize("precision", ["float32", "bfloat16"])
@pytest.mark.parametrize("task", ["detect", "classify"])
def test_a_model_learns_and_predicts_as_on_the_cpu(
    task: Any, precision: Precision, cache: Cache, truth: Boxes, tmp_path: Path
) -> None:
    run = wr.train(cache, truth, task, precision=precision, epochs=15, to=tmp_path, **SMALL)
    assert run.config["device"] == "cuda"
    assert losses(run)[-5:].mean() < losses(run)[:5].mean()
    gpu, cpu = (run.predict(cache, device=name, progress=False) for name in ("cuda", "cpu"))
    one, two = (
        np.sort(boxes.table["score"].drop_null().to_numpy())[::-1][:20] for boxes in (gpu, cpu)
    )
    assert one == pytest.approx(two, abs=0.01 if precision == "float32" else 0.1)


def test_interrupted_training_is_resumed(
    cache: Cache, truth: Boxes, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    whole = wr.train(cache, truth, epochs=3, to=tmp_path / "whole", **SMALL)
    step = loop._step

    def interrupt(*arguments: Any) -> dict[str, float]:
        if arguments[-1] == 7:
            raise KeyboardInterrupt
        return step(*arguments)

    monkeypatch.setattr(loop, "_step", interrupt)
    with pytest.raises(KeyboardInterrupt):
        wr.train(cache, truth, epochs=3, to=tmp_path / "cut", **SMALL)
    monkeypatch.setattr(loop, "_step", step)
    resumed = wr.train(cache, truth, epochs=3, to=tmp_path / "cut", **SMALL)
    assert losses(resumed) == pytest.approx(losses(whole), rel=0.2)


def test_too_little_memory_is_an_error(cache: Cache, truth: Boxes, tmp_path: Path) -> None:
    total = torch.cuda.get_device_properties(0).total_memory
    torch.cuda.empty_cache()
    torch.cuda.set_per_process_memory_fraction((torch.cuda.memory_reserved() + 2**28) / total)
    try:
        with pytest.raises(WetreadError, match=r"too little memory for batch=512 .*out of memory"):
            wr.train(cache, truth, to=tmp_path, **{**SMALL, "batch": 512})
        assert torch.cuda.memory_allocated() < 2**28
    finally:
        torch.cuda.set_per_process_memory_fraction(1.0)


def test_a_gpu_that_is_not_there(cache: Cache, truth: Boxes, tmp_path: Path) -> None:
    count = torch.cuda.device_count()
    with pytest.raises(ValueError, match=f"no device 'cuda:{count}': PyTorch finds {count} GPU"):
        wr.train(cache, truth, to=tmp_path, device=f"cuda:{count}", **SMALL)

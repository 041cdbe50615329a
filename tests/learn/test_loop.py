"""Training loop: every step is determined by its number, also after resuming."""

from __future__ import annotations

import os
import re
import signal
import socket
import weakref
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from wetread.errors import UsageError, WetreadError
from wetread.learn.checkpoint import load_tensors
from wetread.learn.distributed import (
    ProcessGroup,
    count_threads,
    explain_memory,
    find_device,
    free_cores,
    process_group,
    use_threads,
)
from wetread.learn.loop import (
    Epoch,
    Hyperparameters,
    draw_order,
    epoch_steps,
    fit,
    one_cycle,
    predict_items,
)
from wetread.learn.signals import Signals
from wetread.testing.forks import Fork

torch.set_num_threads(1)
ALONE = ProcessGroup(0, 1, torch.device("cpu"))


class Noisy(nn.Module):
    """Small model whose loss draws from the global generator, as a detector's does."""

    def __init__(self) -> None:
        super().__init__()
        self.layer = nn.Linear(4, 1)
        self.norm = nn.BatchNorm1d(4)

    def forward(self, images: list[Tensor], targets: Any = None) -> Any:
        batch = torch.stack(images)
        if not self.training:
            return [{"scores": row} for row in self.layer(self.norm(batch))]
        made = self.layer(self.norm(batch) + 0.1 * torch.randn(batch.shape))
        return {"loss_one": (made**2).mean(), "loss_two": made.abs().mean()}


class Points(list[Tensor]):
    """Items that change with the epoch."""

    epoch = 0

    def set_epoch(self, epoch: int) -> None:
        self.epoch = epoch

    def __getitem__(self, item: int) -> Any:
        return super().__getitem__(item) + self.epoch, {"image_id": torch.tensor(item)}


def points(count: int = 13) -> Points:
    return Points(torch.from_numpy(np.random.default_rng(0).normal(size=(count, 4))).float())


def noisy() -> Noisy:
    torch.manual_seed(3)
    return Noisy()


def learn(
    folder: Path, steps: int = 9, advance: Callable[[int], None] = lambda step: None
) -> tuple[dict[str, Tensor], list[Epoch]]:
    model, epochs = noisy(), list[Epoch]()
    fit(
        model,
        points(),
        Hyperparameters(steps, 3, 0.05),
        ALONE,
        folder / "state",
        epochs.append,
        advance,
    )
    return model.state_dict(), epochs


def interrupt(at: int, number: int = signal.SIGINT) -> Callable[[int], None]:
    def advance(step: int) -> None:
        if step == at:
            signal.raise_signal(number)

    return advance


def test_learning_rate_equals_one_cycle_of_pytorch() -> None:
    optimiser = torch.optim.SGD([nn.Parameter(torch.zeros(1))], 0.3)
    schedule = torch.optim.lr_scheduler.OneCycleLR(
        optimiser, 0.3, total_steps=50, pct_start=0.2, cycle_momentum=False
    )
    expected = []
    for _ in range(50):
        expected.append(optimiser.param_groups[0]["lr"])
        optimiser.step()
        schedule.step()
    found = [0.3 * one_cycle(step, 50) for step in range(50)]
    assert found == pytest.approx(expected)


def test_learning_rate_of_a_single_step() -> None:
    assert 0 < one_cycle(0, 1) <= 1


@pytest.mark.parametrize(("count", "batch", "world"), [(13, 3, 1), (64, 4, 2), (3, 8, 2)])
def test_each_image_occurs_at_most_once_per_epoch(count: int, batch: int, world: int) -> None:
    order = draw_order(count, batch, world, 0, 5)
    assert order.shape == (epoch_steps(count, batch, world), world, batch)
    seen = np.bincount(order.ravel(), minlength=count)
    assert seen.max() - seen.min() <= 1
    assert (draw_order(count, batch, world, 0, 5) == order).all()
    assert (draw_order(count, batch, world, 0, 6) != order).any()
    assert (draw_order(count, batch, world, 1, 5) != order).any()


def test_epochs_are_evaluated_at_their_end(tmp_path: Path) -> None:
    _, epochs = learn(tmp_path)
    assert [(e.number, e.first, e.step) for e in epochs] == [(0, 0, 4), (1, 4, 8), (2, 8, 9)]
    names = {name for epoch in epochs for _, _, name, _ in epoch.rows}
    assert names == {"loss", "lr", "loss_one", "loss_two"}
    assert [step for step, _, name, _ in epochs[1].rows if name == "loss"] == [5, 6, 7, 8]


@pytest.mark.parametrize("at", [1, 4, 6, 8])
def test_resumed_training_equals_an_uninterrupted_one(tmp_path: Path, at: int) -> None:
    whole, told = learn(tmp_path)
    folder = tmp_path / "stopped"
    folder.mkdir()
    with pytest.raises(KeyboardInterrupt):
        learn(folder, advance=interrupt(at))
    assert load_tensors(folder / "state")[1]["step"] == at
    torch.manual_seed(99)  # what was drawn elsewhere does not matter
    resumed, rest = learn(folder)
    assert all(torch.equal(whole[name], resumed[name]) for name in whole)
    first = -(-at // 4) if at % 4 else at // 4
    assert rest == told[first - 1 if at % 4 else first :]


def test_finished_training_does_nothing(tmp_path: Path) -> None:
    whole, _ = learn(tmp_path)
    again, epochs = learn(tmp_path)
    assert epochs == []
    assert all(torch.equal(whole[name], again[name]) for name in whole)


def test_global_generator_is_restored(tmp_path: Path) -> None:
    torch.manual_seed(5)
    noisy()
    before = torch.random.get_rng_state()
    model = Noisy()
    torch.random.set_rng_state(before)
    fit(model, points(), Hyperparameters(2, 3, 0.05), ALONE, tmp_path / "state", lambda epoch: None)
    assert torch.equal(torch.random.get_rng_state(), before)


def test_loss_that_is_not_finite_is_an_error(tmp_path: Path) -> None:
    items = points()
    list.__getitem__(items, 0).fill_(float("nan"))
    with pytest.raises(WetreadError, match="lower lr than"):
        fit(
            Noisy(),
            items,
            Hyperparameters(9, 3, 0.05),
            ALONE,
            tmp_path / "state",
            lambda epoch: None,
        )


def test_predictions_by_item_number() -> None:
    model, items = noisy(), points()
    found = predict_items(model, items, [4, 0, 7, 12, 2], ALONE, batch=2)
    assert sorted(found) == [0, 2, 4, 7, 12]
    assert model.training
    model.train(False)
    with torch.no_grad():
        one = model([items[7][0]])[0]["scores"]
    assert found[7]["scores"] == pytest.approx(one.numpy())


def test_second_ctrl_c_takes_effect_at_once() -> None:
    with Signals() as signals:
        signal.raise_signal(signal.SIGTERM)
        signal.raise_signal(signal.SIGTERM)
        assert signals.seen == signal.SIGTERM
        signal.raise_signal(signal.SIGINT)
        assert signals.seen == signal.SIGINT
        with pytest.raises(KeyboardInterrupt):
            signal.raise_signal(signal.SIGINT)
    assert signal.getsignal(signal.SIGINT) is signal.default_int_handler


def test_process_group_without_torchrun() -> None:
    with process_group("cpu") as processes:
        assert (processes.rank, processes.world, processes.is_main) == (0, 1, True)
        assert processes.gather(3) == [3]
        assert processes.reduce_any(True)
        assert processes.broadcast("a") == "a"


def test_at_least_one_core(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("PYTHON_CPU_COUNT")
    have = len(os.sched_getaffinity(0))
    assert 1 <= free_cores() <= have
    assert free_cores(lambda: 100) == 1
    assert free_cores(lambda: 0) == have


def test_number_of_threads(monkeypatch: pytest.MonkeyPatch) -> None:
    for text, count in (("3", 3), ("2,1", 2)):
        monkeypatch.setenv("OMP_NUM_THREADS", text)
        assert count_threads(processes=8) == count
    monkeypatch.delenv("PYTHON_CPU_COUNT")
    for text in ("", "0", "many"):
        monkeypatch.setenv("OMP_NUM_THREADS", text)
        assert 1 <= count_threads() <= len(os.sched_getaffinity(0))
        assert count_threads(processes=100) == 1


def test_number_of_threads_is_restored() -> None:
    before = torch.get_num_threads()
    with use_threads(before + 1):
        assert torch.get_num_threads() == before + 1
    assert torch.get_num_threads() == before


@pytest.mark.parametrize(
    ("gpus", "given", "message"),
    [
        (0, ("tpu9",), "no device 'tpu9'"),
        (0, ("cuda",), "no device 'cuda': PyTorch finds no GPU; \"cpu\" always works"),
        (1, ("cuda:1",), "no device 'cuda:1': PyTorch finds 1 GPU;"),
        (2, (None, 2, 3), "no device 'cuda': PyTorch finds 2 GPUs for 3 processes;"),
        (8, ("cuda:0", 0, 2), "device='cuda:0' is one GPU for 2 processes: device='cuda'"),
    ],
)
def test_missing_device_is_an_error(
    gpus: int, given: tuple[Any, ...], message: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(torch.cuda, "is_available", lambda: gpus > 0)
    monkeypatch.setattr(torch.cuda, "device_count", lambda: gpus)
    with pytest.raises(UsageError, match=re.escape(message)):
        find_device(*given)


def test_too_little_memory_is_an_error_that_keeps_no_tensor() -> None:
    kept = []

    def allocate(text: str) -> None:
        tensor = torch.zeros(1)
        kept.append(weakref.ref(tensor))
        raise torch.OutOfMemoryError(text)

    text = "CUDA out of memory. Tried to allocate 2.00 GiB. GPU 0 has 1.06 GiB free. See the rest."
    message = r"batch=64 of 512 x 512 pixels: less \(CUDA out of memory.*1.06 GiB free\)"
    with pytest.raises(WetreadError, match=message) as caught, explain_memory(64, 512, "less"):
        allocate(text)
    assert caught.value.__cause__ is not None
    assert kept[0]() is None
    with pytest.raises(RuntimeError, match="another error"), explain_memory(64, 512, "less"):
        allocate("another error")


SCRIPT = """
import sys, torch
from pathlib import Path
from safetensors.torch import save_file
from wetread.learn.detector import Shape, build_small
from wetread.learn.loop import Hyperparameters, fit, predict_items
from wetread.learn.distributed import process_group

torch.set_num_threads(1)

class Four(list):
    def set_epoch(self, epoch): pass

def item(number):
    image = torch.rand((1, 64, 64), generator=torch.Generator().manual_seed(number))
    boxes = torch.tensor([[10.0, 10.0, 40.0, 40.0]]) if number == 0 else torch.zeros((0, 4))
    labels = torch.ones(len(boxes), dtype=torch.int64)
    return image, {"boxes": boxes, "labels": labels, "image_id": torch.tensor(number)}

folder = Path(sys.argv[1])
items = Four(item(number) for number in range(4))
with process_group("cpu") as processes:
    torch.manual_seed(0)
    model = build_small(Shape(1, 64, 0.5, 0.3))
    calls = []
    fit(model, items, Hyperparameters(3, 2, 1e-3), processes, folder / "state", calls.append)
    found = predict_items(model, items, range(4), processes)
    save_file(model.state_dict(), folder / f"rank{processes.rank}.safetensors")
    (folder / f"rank{processes.rank}.txt").write_text(f"{len(calls)} {sorted(found)}")
"""


def test_one_of_two_processes_has_normal_images_only(tmp_path: Path) -> None:
    """Four images, one of them with a box: at every step one process has no box."""
    with socket.socket() as free:
        free.bind(("", 0))
        port = free.getsockname()[1]
    world = {"MASTER_ADDR": "127.0.0.1", "MASTER_PORT": str(port), "WORLD_SIZE": "2"}
    processes = [
        Fork(SCRIPT, [str(tmp_path)], tmp_path, {**world, "RANK": rank}) for rank in ("0", "1")
    ]
    errors = [process.communicate(timeout=240)[1] for process in processes]
    assert not any(process.returncode for process in processes), "\n".join(errors)
    from safetensors.torch import load_file

    one, two = (load_file(tmp_path / f"rank{rank}.safetensors") for rank in (0, 1))
    assert all(torch.equal(one[name], two[name]) for name in one)
    assert (tmp_path / "rank0.txt").read_text() == "3 [0, 1, 2, 3]"
    assert (tmp_path / "rank1.txt").read_text() == "3 []"

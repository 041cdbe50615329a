"""Training loop: plain PyTorch, in one process or under torchrun.

A step depends only on its number: the order of images, their augmentation, the learning rate and
PyTorch's global generator (from which detectors draw their samples) are set from the seed and the
step. Resumed training therefore equals uninterrupted training; on a CPU bit for bit.
"""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, NamedTuple, Protocol, cast

import numpy as np
from numpy.typing import NDArray

from wetread.errors import UsageError, WetreadError
from wetread.learn.checkpoint import load_tensors, restore_state, save_state
from wetread.learn.detector import Detector, Prediction, Target
from wetread.learn.distributed import ProcessGroup
from wetread.learn.signals import Signals

if TYPE_CHECKING:
    from torch import Tensor, nn
    from torch.optim import Optimizer
    from torch.utils.data import DataLoader

Precision = Literal["float32", "bfloat16"]
_CLIP = 5.0
_DECAY = 1e-4
_WARM = 0.2
"""Share of the steps with rising learning rate."""
_CHECKPOINT_SECONDS = 300.0
"""Interval of checkpoints within a long epoch, in seconds."""


class Items(Protocol):
    """Training images: a map-style torch Dataset with epochs."""

    def __len__(self) -> int: ...

    def __getitem__(self, item: int) -> tuple[Tensor, Target]: ...

    def set_epoch(self, epoch: int) -> None:
        """Set the epoch, which determines the augmentation."""


@dataclass(frozen=True)
class Hyperparameters:
    """Length, batch size, learning rate and precision of a training."""

    steps: int
    """Total number of steps."""
    batch: int
    """Batch size per process."""
    lr: float
    """Peak learning rate."""
    seed: int = 0
    """Random seed."""
    precision: Precision = "float32"
    """Precision of the forward pass."""
    workers: int = 0
    """Number of DataLoader workers per process."""


class Epoch(NamedTuple):
    """Metrics of one training epoch; the last one may be shorter."""

    number: int
    first: int
    """Number of steps before it."""
    step: int
    """Number of steps until its end."""
    rows: list[Row]


Row = tuple[int, int, str, float]
"""(step, epoch, name, value) of a loss, the learning rate or a score."""


EndEpoch = Callable[[Epoch], None]
"""Callback of every process at the end of an epoch, before the checkpoint."""


def fit(
    model: Detector,
    items: Items,
    params: Hyperparameters,
    processes: ProcessGroup,
    state: Path,
    end_epoch: EndEpoch,
    advance: Callable[[int], None] = lambda step: None,
) -> None:
    """Train a model in place with AdamW (Loshchilov & Hutter 2019), resuming from `state`.

    Args:
        model: model on the device of `processes`.
        items: training images, the same in every process.
        params: hyperparameters.
        processes: process group.
        state: checkpoint file; the main process writes it at the end of each epoch, every few
            minutes, and on SIGTERM or SIGINT, after which the signal takes effect.
        end_epoch: callback at the end of an epoch.
        advance: callback with the number of finished steps.

    Raises:
        WetreadError: the loss is not finite.
        StorageError: the checkpoint cannot be written.
    """
    import torch

    optimiser = torch.optim.AdamW(model.parameters(), params.lr, weight_decay=_DECAY)
    length = epoch_steps(len(items), params.batch, processes.world)
    done, rows = _resume(state, model, optimiser, processes)
    learner = _wrap(model, processes)
    saved = time.monotonic()
    with Signals() as signals, torch.random.fork_rng(_devices(processes)):
        batches = _load(items, params, processes, done)
        for step, (epoch, images, targets) in enumerate(batches, done + 1):
            values = _step(learner, optimiser, images, targets, params, processes, step)
            rows += [(step, epoch, name, value) for name, value in values.items()]
            advance(step)
            ends = step % length == 0 or step == params.steps
            if ends:
                processes.broadcast_buffers(model)
                end_epoch(Epoch(epoch, epoch * length, step, rows))
                rows = []
            stop = processes.reduce_any(bool(signals.seen))
            if processes.is_main and (
                ends or stop or time.monotonic() - saved > _CHECKPOINT_SECONDS
            ):
                save_state(state, model, optimiser, {"step": step, "rows": rows})
                saved = time.monotonic()
            if stop:
                signals.stop()


def _resume(
    state: Path, model: Detector, optimiser: Optimizer, processes: ProcessGroup
) -> tuple[int, list[Row]]:
    """Restore the checkpoint of the main process: finished steps, and rows since the last epoch."""
    checkpoint = processes.broadcast(
        load_tensors(state) if processes.is_main and state.is_file() else None
    )
    if checkpoint is None:
        return 0, []
    tensors, metadata = checkpoint
    try:
        restore_state(tensors, metadata, model, optimiser)
        return int(metadata["step"]), [tuple(row) for row in metadata["rows"]]
    except (KeyError, TypeError, ValueError, RuntimeError) as error:
        raise UsageError(
            f"{state} is damaged: {error!r}; train into a new folder, or delete it to start over"
        ) from error


def _wrap(model: Detector, processes: ProcessGroup) -> Any:
    """Wrap the model to average gradients over all processes."""
    model.train()
    if processes.world == 1:
        return model
    from torch.nn.parallel import DistributedDataParallel

    return DistributedDataParallel(
        cast("nn.Module", model),
        device_ids=[processes.device] if processes.device.type == "cuda" else None,
    )


def _step(
    learner: Any,
    optimiser: Any,
    images: Sequence[Tensor],
    targets: Sequence[Target],
    params: Hyperparameters,
    processes: ProcessGroup,
    step: int,
) -> dict[str, float]:
    """Run one step, counted from 1; losses and learning rate by name."""
    import torch

    torch.manual_seed(_mix(params.seed, step, processes.rank))
    rate = params.lr * one_cycle(step - 1, params.steps)
    for parameters in optimiser.param_groups:
        parameters["lr"] = rate
    batch = [image.to(processes.device) for image in images]
    expected = [{name: value.to(processes.device) for name, value in t.items()} for t in targets]
    learner.train()
    with autocast(processes, params.precision):
        losses = learner(batch, expected)
        loss = sum(losses.values())
    optimiser.zero_grad()
    loss.backward()
    norm = torch.nn.utils.clip_grad_norm_(learner.parameters(), _CLIP)
    values = {name: float(value.detach()) for name, value in losses.items()}
    if not math.isfinite(sum(values.values())) or not math.isfinite(float(norm)):
        raise WetreadError(
            f"the loss of step {step} is {values}: not finite; train with a lower lr than "
            f"{params.lr:g}"
        )
    optimiser.step()
    return {"loss": float(loss.detach()), "lr": rate, **values}


def autocast(processes: ProcessGroup, precision: Precision) -> Any:
    """Autocast context for the precision."""
    import torch

    return torch.autocast(processes.device.type, torch.bfloat16, enabled=precision == "bfloat16")


def one_cycle(step: int, steps: int) -> float:
    """One-cycle schedule (Smith 2018), as a share of the peak learning rate.

    >>> [round(one_cycle(step, 100), 3) for step in (0, 19, 99)]
    [0.04, 1.0, 0.0]
    """
    top = max(_WARM * steps - 1, 0.0)
    rising = step < top
    low, high = (1 / 25, 1.0) if rising else (1.0, 1 / 25e4)
    progress = step / top if rising else (step - top) / max(steps - 1 - top, 1.0)
    return low + (high - low) * (1 - math.cos(math.pi * progress)) / 2


def epoch_steps(count: int, batch: int, world: int) -> int:
    """Number of steps per epoch; the last, incomplete batch is dropped.

    >>> epoch_steps(100, 8, 2), epoch_steps(3, 8, 1)
    (6, 1)
    """
    return max(count // (batch * world), 1)


def draw_order(count: int, batch: int, world: int, seed: int, epoch: int) -> NDArray[np.int64]:
    """Shuffled item numbers, (steps, world, batch); repeated if there are fewer than one batch."""
    steps = epoch_steps(count, batch, world)
    order = np.random.default_rng([seed, epoch]).permutation(count)
    return np.resize(order, steps * world * batch).reshape(steps, world, batch)


def _load(
    items: Items, params: Hyperparameters, processes: ProcessGroup, done: int
) -> Iterator[tuple[int, list[Tensor], list[Target]]]:
    """Iterate over the remaining steps of this process: epoch, images, targets."""
    length = epoch_steps(len(items), params.batch, processes.world)
    while done < params.steps:
        epoch, first = divmod(done, length)
        last = min(length, first + params.steps - done)
        items.set_epoch(epoch)
        order = draw_order(len(items), params.batch, processes.world, params.seed, epoch)
        batches = order[first:last, processes.rank].tolist()
        for images, targets in make_loader(items, batches, params.workers):
            yield epoch, images, targets
        done += last - first


def make_loader(items: Any, batches: list[list[int]], workers: int) -> DataLoader[Any]:
    """DataLoader of (images, targets) for given batches; leaves global generators unchanged."""
    import torch
    from torch.utils.data import DataLoader

    return DataLoader(
        items,
        batch_sampler=batches,
        num_workers=workers,
        collate_fn=_collate,
        generator=torch.Generator(),
    )


def _collate(batch: list[tuple[Tensor, Target]]) -> tuple[list[Tensor], list[Target]]:
    return [image for image, _ in batch], [target for _, target in batch]


def _mix(*numbers: int) -> int:
    """Seed from several numbers."""
    return int(np.random.SeedSequence(numbers).generate_state(1, np.uint64)[0] >> np.uint64(1))


def _devices(processes: ProcessGroup) -> list[Any]:
    """GPUs whose random state is restored afterwards."""
    return [processes.device] if processes.device.type == "cuda" else []


def predict_items(
    model: Detector,
    items: Any,
    numbers: Sequence[int],
    processes: ProcessGroup,
    precision: Precision = "float32",
    batch: int = 8,
    workers: int = 0,
    advance: Callable[[int], None] = lambda images: None,
) -> dict[int, Prediction]:
    """Predict items, as NumPy arrays by item number; the main process gets all of them.

    Each process predicts its share. The mode of the model is restored.
    """
    import torch

    mine = list(numbers[processes.rank :: processes.world])
    batches = [mine[start : start + batch] for start in range(0, len(mine), batch)]
    predictions: dict[int, Prediction] = {}
    before = model.training
    model.train(False)
    try:
        with torch.inference_mode():
            for batch_numbers, (images, _) in zip(
                batches, make_loader(items, batches, workers), strict=True
            ):
                with autocast(processes, precision):
                    outputs = model([image.to(processes.device) for image in images])
                for number, output in zip(batch_numbers, outputs, strict=True):
                    arrays = {k: v.float().cpu().numpy() for k, v in output.items()}
                    predictions[number] = arrays
                advance(len(batch_numbers))
    finally:
        model.train(before)
    shares = processes.gather(predictions)
    return {number: one for share in shares for number, one in share.items()}

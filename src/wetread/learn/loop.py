"""The training loop: plain PyTorch, in one process or in those that torchrun started.

A step is the same whatever happened before it: the order of images, their augmentation, the
learning rate and PyTorch's global generator (from which detectors draw their samples) follow from
the seed and the number of the step. So training that was stopped goes on as if it had not been;
on a CPU bit for bit.
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
from wetread.learn.checkpoint import load_tensors, put_state, save_state
from wetread.learn.detector import Detector, Found, Target
from wetread.learn.distributed import Team
from wetread.learn.signals import Signals

if TYPE_CHECKING:
    from torch import Tensor, nn
    from torch.optim import Optimizer
    from torch.utils.data import DataLoader

Precision = Literal["float32", "bfloat16"]
_CLIP = 5.0
_DECAY = 1e-4
_WARM = 0.2
"""Share of the steps in which the learning rate rises."""
_KEEP_SECONDS = 300.0
"""A long epoch keeps its state this often."""


class Items(Protocol):
    """The images to learn from: a map-style torch Dataset with epochs."""

    def __len__(self) -> int: ...

    def __getitem__(self, item: int) -> tuple[Tensor, Target]: ...

    def set_epoch(self, epoch: int) -> None:
        """What is drawn at random is drawn anew for this epoch."""


@dataclass(frozen=True)
class Plan:
    """How to learn."""

    steps: int
    """In all."""
    batch: int
    """Images a step and process."""
    lr: float
    """The highest learning rate."""
    seed: int = 0
    precision: Precision = "float32"
    workers: int = 0
    """Processes that read images, for each that trains."""


class Epoch(NamedTuple):
    """What an epoch came to; the last one may be shorter."""

    number: int
    first: int
    """Steps before it."""
    step: int
    """Steps until its end."""
    rows: list[Row]


Row = tuple[int, int, str, float]
"""(step, epoch, name, value) of a loss, the learning rate or a score."""


Judge = Callable[[Epoch], None]
"""Called in every process at the end of an epoch, before the state is kept."""


def fit(
    model: Detector,
    items: Items,
    plan: Plan,
    team: Team,
    state: Path,
    judge: Judge,
    advance: Callable[[int], None] = lambda step: None,
) -> None:
    """Trains a model in place with AdamW (Loshchilov & Hutter 2019), from where `state` has it.

    Args:
        model: on the team's device.
        items: the images to learn from, the same in every process.
        plan: how.
        team: the processes.
        state: the file that training goes on from; the first process writes it at the end of each
            epoch, every few minutes, and when SIGTERM or SIGINT comes. The signal then does what
            it would have.
        judge: what is to be done at the end of an epoch.
        advance: called with the number of steps done.

    Raises:
        WetreadError: the loss is not a number.
        StorageError: the state cannot be written.
    """
    import torch

    optimiser = torch.optim.AdamW(model.parameters(), plan.lr, weight_decay=_DECAY)
    length = epoch_steps(len(items), plan.batch, team.world)
    done, rows = _go_on(state, model, optimiser, team)
    learner = _wrap(model, team)
    kept = time.monotonic()
    with Signals() as signals, torch.random.fork_rng(_devices(team)):
        batches = _load(items, plan, team, done)
        for step, (epoch, images, targets) in enumerate(batches, done + 1):
            values = _step(learner, optimiser, images, targets, plan, team, step)
            rows += [(step, epoch, name, value) for name, value in values.items()]
            advance(step)
            ends = step % length == 0 or step == plan.steps
            if ends:
                team.spread(model)
                judge(Epoch(epoch, epoch * length, step, rows))
                rows = []
            stop = team.agree(bool(signals.seen))
            if team.leads and (ends or stop or time.monotonic() - kept > _KEEP_SECONDS):
                save_state(state, model, optimiser, {"step": step, "rows": rows})
                kept = time.monotonic()
            if stop:
                signals.stop()


def _go_on(state: Path, model: Detector, optimiser: Optimizer, team: Team) -> tuple[int, list[Row]]:
    """The steps done, and the rows since the last epoch; only the first process sees the file."""
    kept = team.share(load_tensors(state) if team.leads and state.is_file() else None)
    if kept is None:
        return 0, []
    tensors, said = kept
    try:
        put_state(tensors, said, model, optimiser)
        return int(said["step"]), [tuple(row) for row in said["rows"]]
    except (KeyError, TypeError, ValueError, RuntimeError) as error:
        raise UsageError(
            f"{state} is damaged: {error!r}; train into a new folder, or delete it to begin anew"
        ) from error


def _wrap(model: Detector, team: Team) -> Any:
    """The model, with gradients averaged over the team."""
    model.train()
    if team.world == 1:
        return model
    from torch.nn.parallel import DistributedDataParallel

    return DistributedDataParallel(
        cast("nn.Module", model),
        device_ids=[team.device] if team.device.type == "cuda" else None,
    )


def _step(
    learner: Any,
    optimiser: Any,
    images: Sequence[Tensor],
    targets: Sequence[Target],
    plan: Plan,
    team: Team,
    step: int,
) -> dict[str, float]:
    """One step, counted from 1; its losses and learning rate by name."""
    import torch

    torch.manual_seed(_mix(plan.seed, step, team.rank))
    rate = plan.lr * one_cycle(step - 1, plan.steps)
    for group in optimiser.param_groups:
        group["lr"] = rate
    held = [image.to(team.device) for image in images]
    wanted = [{name: value.to(team.device) for name, value in t.items()} for t in targets]
    learner.train()
    with autocast(team, plan.precision):
        losses = learner(held, wanted)
        loss = sum(losses.values())
    optimiser.zero_grad()
    loss.backward()
    norm = torch.nn.utils.clip_grad_norm_(learner.parameters(), _CLIP)
    values = {name: float(value.detach()) for name, value in losses.items()}
    if not math.isfinite(sum(values.values())) or not math.isfinite(float(norm)):
        raise WetreadError(
            f"the loss of step {step} is {values}: not finite; train with a lower lr than "
            f"{plan.lr:g}"
        )
    optimiser.step()
    return {"loss": float(loss.detach()), "lr": rate, **values}


def autocast(team: Team, precision: Precision) -> Any:
    """Where PyTorch computes in bfloat16 what may be."""
    import torch

    return torch.autocast(team.device.type, torch.bfloat16, enabled=precision == "bfloat16")


def one_cycle(step: int, steps: int) -> float:
    """The share of the highest learning rate: up in a fifth of the steps, then down (Smith 2018).

    >>> [round(one_cycle(step, 100), 3) for step in (0, 19, 99)]
    [0.04, 1.0, 0.0]
    """
    top = max(_WARM * steps - 1, 0.0)
    rises = step < top
    low, high = (1 / 25, 1.0) if rises else (1.0, 1 / 25e4)
    way = step / top if rises else (step - top) / max(steps - 1 - top, 1.0)
    return low + (high - low) * (1 - math.cos(math.pi * way)) / 2


def epoch_steps(count: int, batch: int, world: int) -> int:
    """Steps in an epoch: a batch that is not full is left out, another one each time.

    >>> epoch_steps(100, 8, 2), epoch_steps(3, 8, 1)
    (6, 1)
    """
    return max(count // (batch * world), 1)


def draw_order(count: int, batch: int, world: int, seed: int, epoch: int) -> NDArray[np.int64]:
    """(steps, world, batch): which images each process takes at each step; few are taken again."""
    steps = epoch_steps(count, batch, world)
    order = np.random.default_rng([seed, epoch]).permutation(count)
    return np.resize(order, steps * world * batch).reshape(steps, world, batch)


def _load(
    items: Items, plan: Plan, team: Team, done: int
) -> Iterator[tuple[int, list[Tensor], list[Target]]]:
    """The epoch, images and targets of each step of this process that is still to be done."""
    length = epoch_steps(len(items), plan.batch, team.world)
    while done < plan.steps:
        epoch, first = divmod(done, length)
        last = min(length, first + plan.steps - done)
        items.set_epoch(epoch)
        order = draw_order(len(items), plan.batch, team.world, plan.seed, epoch)
        batches = order[first:last, team.rank].tolist()
        for images, targets in make_loader(items, batches, plan.workers):
            yield epoch, images, targets
        done += last - first


def make_loader(items: Any, batches: list[list[int]], workers: int) -> DataLoader[Any]:
    """Lists of images and of targets, batch by batch; nothing is drawn from global generators."""
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
    """A seed from several numbers."""
    return int(np.random.SeedSequence(numbers).generate_state(1, np.uint64)[0] >> np.uint64(1))


def _devices(team: Team) -> list[Any]:
    """The GPUs whose generators are given back as they were."""
    return [team.device] if team.device.type == "cuda" else []


def find(
    model: Detector,
    items: Any,
    places: Sequence[int],
    team: Team,
    precision: Precision = "float32",
    batch: int = 8,
    workers: int = 0,
    advance: Callable[[int], None] = lambda images: None,
) -> dict[int, Found]:
    """What a model finds on images, as NumPy arrays by place; the first process gets all of it.

    Each process takes its share. The model's mode is given back as it was.
    """
    import torch

    mine = list(places[team.rank :: team.world])
    batches = [mine[start : start + batch] for start in range(0, len(mine), batch)]
    found: dict[int, Found] = {}
    before = model.training
    model.train(False)
    try:
        with torch.inference_mode():
            for chosen, (images, _) in zip(
                batches, make_loader(items, batches, workers), strict=True
            ):
                with autocast(team, precision):
                    made = model([image.to(team.device) for image in images])
                for place, one in zip(chosen, made, strict=True):
                    found[place] = {k: v.float().cpu().numpy() for k, v in one.items()}
                advance(len(chosen))
    finally:
        model.train(before)
    shares = team.gather(found)
    return {place: one for share in shares for place, one in share.items()}

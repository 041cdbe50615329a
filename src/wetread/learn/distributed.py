"""The processes that train one model: this one alone, or those that torchrun started."""

from __future__ import annotations

import contextlib
import os
import time
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Any

from wetread.errors import EngineError, UsageError
from wetread.workers.local import count_cores

if TYPE_CHECKING:
    import torch

_SILENCE = timedelta(minutes=30)
"""A machine that says nothing for so long is lost; the first one judges an epoch in less."""
_PATIENCE = timedelta(hours=12)
"""The others wait while the first prepares the images."""


@dataclass(frozen=True)
class Team:
    """This process among those that train one model."""

    rank: int
    """From 0; the first one keeps and says things."""
    world: int
    """How many there are."""
    device: torch.device
    here: int = 1
    """How many of them are on this machine."""
    patient: Any = None
    """The group of processes in which `wait` waits."""

    @property
    def leads(self) -> bool:
        """Whether this is the first."""
        return self.rank == 0

    def gather(self, thing: Any) -> list[Any]:
        """What every process has, by rank; only the first gets it, the others an empty list."""
        if self.world == 1:
            return [thing]
        import torch.distributed as dist

        found: list[Any] | None = [None] * self.world if self.leads else None
        dist.gather_object(thing, found)
        return found or []

    def share(self, thing: Any) -> Any:
        """What the first process has."""
        if self.world == 1:
            return thing
        import torch.distributed as dist

        held = [thing]
        dist.broadcast_object_list(held)
        return held[0]

    def wait(self) -> None:
        """Until the first process has prepared the images, and all have come so far."""
        if self.world == 1:
            return
        import torch.distributed as dist

        dist.barrier(self.patient)

    def spread(self, model: Any) -> None:
        """Gives all processes the first one's running statistics, which are not parameters."""
        if self.world == 1:
            return
        import torch.distributed as dist

        for buffer in model.buffers():
            dist.broadcast(buffer, 0)

    def agree(self, flag: bool) -> bool:
        """Whether any process says so."""
        if self.world == 1:
            return flag
        import torch
        import torch.distributed as dist

        said = torch.tensor(int(flag), device=self.device)
        dist.all_reduce(said, dist.ReduceOp.MAX)
        return bool(said.item())


@contextlib.contextmanager
def join_team(device: str | None) -> Iterator[Team]:
    """The team as torchrun's environment has it; without torchrun this process alone.

    Args:
        device: "cpu", "cuda", ...; None is a GPU where there is one.

    Raises:
        UsageError: there is no such device.
        EngineError: another process has ended.
    """
    import torch
    import torch.distributed as dist

    world = int(os.environ.get("WORLD_SIZE", "1"))
    local = int(os.environ.get("LOCAL_RANK", "0"))
    place = find_device(device, local)
    if place.type == "cuda":
        torch.cuda.set_device(place)
    if world == 1:
        yield Team(0, 1, place)
        return
    ours = not dist.is_initialized()
    if ours:
        # nccl, and with it everything on GPUs, is written after PyTorch's documentation, untested.
        dist.init_process_group("nccl" if place.type == "cuda" else "gloo", timeout=_SILENCE)
    try:
        patient = dist.new_group(timeout=_PATIENCE, backend="gloo")
        here = int(os.environ.get("LOCAL_WORLD_SIZE", "1"))
        yield Team(dist.get_rank(), world, place, here, patient)
    except RuntimeError as error:
        if not _is_loss(error):
            raise
        raise EngineError(
            "another process of the training has ended or is silent: see what it says; the same "
            "commands go on from what is written"
        ) from error
    finally:
        if ours:
            dist.destroy_process_group()


def _is_loss(error: RuntimeError) -> bool:
    """Whether it is the connection to the others that broke: gloo has no exception of its own."""
    import torch.distributed as dist

    return isinstance(error, dist.DistError) or "gloo" in str(error)


def find_device(name: str | None, local: int = 0) -> torch.device:
    """The device of a name; a GPU of its own for each process of a machine.

    Raises:
        UsageError: there is no such device.
    """
    import torch

    if name is None:
        name = "cuda" if torch.cuda.is_available() else "cpu"
    try:
        place = torch.device(name)
        if place.type == "cuda":
            if not torch.cuda.is_available():
                raise RuntimeError("this PyTorch sees no GPU")
            return place if place.index is not None else torch.device("cuda", local)
        torch.empty(1, device=place)
    except (RuntimeError, AssertionError, NotImplementedError) as error:
        said = str(error).splitlines()[0]
        raise UsageError(f'no device {name!r}: {said}; "cpu" is always there') from error
    return place


def free_cores() -> int:
    """Cores that this process may use and nobody else is busy on now, at least 1.

    A thread too many makes training many times slower, as threads wait for one another.
    """
    return max(1, count_cores() - _busy_cores())


def _busy_cores() -> int:
    """How many threads want to run, this one aside: the median of half a second.

    The load average would do, but what this process itself did a minute ago is in it.
    """
    seen = []
    try:
        for _ in range(11):
            running = Path("/proc/loadavg").read_text().split()[3].partition("/")[0]
            seen.append(int(running) - 1)
            time.sleep(0.05)
    except (OSError, ValueError, IndexError):
        return round(os.getloadavg()[0]) if hasattr(os, "getloadavg") else 0
    return max(0, sorted(seen)[len(seen) // 2])


@contextlib.contextmanager
def use_threads(count: int) -> Iterator[None]:
    """PyTorch with so many threads; sums depend on their number."""
    import torch

    before = torch.get_num_threads()
    torch.set_num_threads(count)
    try:
        yield
    finally:
        torch.set_num_threads(before)

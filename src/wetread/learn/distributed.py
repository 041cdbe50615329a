"""Distributed training: one process, or the processes that torchrun started."""

from __future__ import annotations

import contextlib
import os
import time
import traceback
from collections.abc import Callable, Iterator
from contextvars import ContextVar
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Any

from wetread.errors import EngineError, UsageError, WetreadError
from wetread.workers.local import count_cores

if TYPE_CHECKING:
    import torch

_TIMEOUT = timedelta(minutes=30)
"""Timeout of collective operations; the main process evaluates an epoch in less."""
_BARRIER_TIMEOUT = timedelta(hours=12)
"""Timeout of `barrier`, in which the others wait while the main process prepares the images."""


@dataclass(frozen=True)
class ProcessGroup:
    """This process and the number of processes that train one model."""

    rank: int
    """Rank of this process, from 0."""
    world: int
    """Number of processes."""
    device: torch.device
    local: int = 1
    """Number of processes on this machine."""
    barrier_group: Any = None
    """Group of torch with the timeout of `barrier`."""

    @property
    def is_main(self) -> bool:
        """True in the process of rank 0, which writes and prints."""
        return self.rank == 0

    def gather(self, value: Any) -> list[Any]:
        """Values of all processes by rank, in the main process; an empty list in the others."""
        if self.world == 1:
            return [value]
        import torch.distributed as dist

        values: list[Any] | None = [None] * self.world if self.is_main else None
        dist.gather_object(value, values)
        return values or []

    def broadcast(self, value: Any) -> Any:
        """Value of the main process."""
        if self.world == 1:
            return value
        import torch.distributed as dist

        values = [value]
        dist.broadcast_object_list(values)
        return values[0]

    def barrier(self) -> None:
        """Wait until all processes have called this."""
        if self.world == 1:
            return
        import torch.distributed as dist

        dist.barrier(self.barrier_group)

    def broadcast_buffers(self, model: Any) -> None:
        """Copy the buffers of the main process, such as running statistics, to all processes."""
        if self.world == 1:
            return
        import torch.distributed as dist

        for buffer in model.buffers():
            dist.broadcast(buffer, 0)

    def reduce_any(self, flag: bool) -> bool:
        """True if the flag is set in any process."""
        if self.world == 1:
            return flag
        import torch
        import torch.distributed as dist

        largest = torch.tensor(int(flag), device=self.device)
        dist.all_reduce(largest, dist.ReduceOp.MAX)
        return bool(largest.item())


_CURRENT: ContextVar[ProcessGroup | None] = ContextVar("process_group", default=None)


@contextlib.contextmanager
def process_group(device: str | None) -> Iterator[ProcessGroup]:
    """Process group from torchrun's environment; without torchrun, this process alone.

    Within another `process_group`, the same group: a new one would wait for processes that have
    ended since.

    Args:
        device: "cpu", "cuda", ... (default: a GPU, if there is one).

    Raises:
        UsageError: there is no such device.
        EngineError: another process has ended.
    """
    import torch
    import torch.distributed as dist

    if (current := _CURRENT.get()) is not None:
        yield current
        return
    world = int(os.environ.get("WORLD_SIZE", "1"))
    local = int(os.environ.get("LOCAL_WORLD_SIZE", "1"))
    torch_device = find_device(device, int(os.environ.get("LOCAL_RANK", "0")), local)
    if torch_device.type == "cuda":
        torch.cuda.set_device(torch_device)
    if world == 1:
        yield ProcessGroup(0, 1, torch_device)
        return
    owned = not dist.is_initialized()
    if owned:
        # nccl, and everything else on GPUs, follows PyTorch's documentation and is untested.
        dist.init_process_group("nccl" if torch_device.type == "cuda" else "gloo", timeout=_TIMEOUT)
    try:
        barrier_group = dist.new_group(timeout=_BARRIER_TIMEOUT, backend="gloo")
        group = ProcessGroup(dist.get_rank(), world, torch_device, local, barrier_group)
        token = _CURRENT.set(group)
        try:
            yield group
        finally:
            _CURRENT.reset(token)
    except RuntimeError as error:
        if not _is_disconnect(error):
            raise
        raise EngineError(
            "another process of the training has ended or does not respond: see its messages; run "
            "the same commands again to resume"
        ) from error
    finally:
        if owned:
            dist.destroy_process_group()


def _is_disconnect(error: RuntimeError) -> bool:
    """True for a broken connection to another process: gloo has no exception of its own."""
    import torch.distributed as dist

    return isinstance(error, dist.DistError) or "gloo" in str(error)


def find_device(name: str | None, local_rank: int = 0, local: int = 1) -> torch.device:
    """Device by name, for one of `local` processes on this machine; each has its own GPU.

    Raises:
        UsageError: there is no such device, or several processes with one GPU.
    """
    import torch

    if name is None:
        name = "cuda" if torch.cuda.is_available() else "cpu"
    try:
        device = torch.device(name)
        if device.type == "cuda":
            device = _find_gpu(device, local_rank, local)
        torch.zeros(1, device=device)
    except (RuntimeError, AssertionError, NotImplementedError) as error:
        reason = str(error).splitlines()[0]
        raise UsageError(f'no device {name!r}: {reason}; "cpu" always works') from error
    return device


def _find_gpu(device: torch.device, local_rank: int, local: int) -> torch.device:
    """GPU with a number; RuntimeError if there are too few, UsageError if processes share one."""
    import torch

    if local > 1 and device.index is not None:
        raise UsageError(
            f"device='{device}' is one GPU for {local} processes: device='cuda' gives each its own"
        )
    number = local_rank if device.index is None else device.index
    count = torch.cuda.device_count() if torch.cuda.is_available() else 0
    if count < max(number + 1, local):
        found = f"{count or 'no'} GPU{'s' * (count > 1)}"
        processes = f" for {local} processes" if local > 1 else ""
        raise RuntimeError(f"PyTorch finds {found}{processes}")
    return torch.device("cuda", number)


_MEMORY = ("out of memory", "can't allocate memory", "ALLOC_FAILED")
"""Messages of PyTorch, cuDNN and cuBLAS."""


@contextlib.contextmanager
def explain_memory(batch: int, size: int, remedy: str) -> Iterator[None]:
    """Raise WetreadError if the device has too little memory, and free the tensors of the step."""
    try:
        yield
    except RuntimeError as error:
        reason = str(error).splitlines()[0]
        if not any(text in reason for text in _MEMORY):
            raise
        traceback.clear_frames(error.__traceback__)
        reason = ". ".join(reason.split(". ")[:3])
        raise WetreadError(
            f"too little memory for batch={batch} of {size} x {size} pixels: {remedy} ({reason})"
        ) from error


def count_threads(processes: int = 1) -> int:
    """Number of CPU threads of PyTorch: OMP_NUM_THREADS, else an equal share of the idle cores."""
    number = os.environ.get("OMP_NUM_THREADS", "").partition(",")[0]
    if number.isdecimal() and int(number):
        return int(number)
    return max(1, free_cores() // processes)


def busy_cores() -> int:
    """Number of other runnable threads: the median over half a second.

    The load average would include the work of this process a minute ago.
    """
    counts = []
    try:
        for _ in range(11):
            running = Path("/proc/loadavg").read_text().split()[3].partition("/")[0]
            counts.append(int(running) - 1)
            time.sleep(0.05)
    except (OSError, ValueError, IndexError):
        return round(os.getloadavg()[0]) if hasattr(os, "getloadavg") else 0
    return max(0, sorted(counts)[len(counts) // 2])


def free_cores(count_busy: Callable[[], int] = busy_cores) -> int:
    """Number of idle cores that this process may use, at least 1.

    One thread too many makes training many times slower, because threads wait for each other.
    """
    return max(1, count_cores() - count_busy())


@contextlib.contextmanager
def use_threads(count: int) -> Iterator[None]:
    """Set the number of CPU threads of PyTorch; sums depend on it."""
    import torch

    before = torch.get_num_threads()
    torch.set_num_threads(count)
    try:
        yield
    finally:
        torch.set_num_threads(before)

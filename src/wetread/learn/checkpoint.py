"""Checkpoints: tensors in safetensors files, with JSON metadata.

Nothing is ever unpickled. A file is complete or absent.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from wetread.common.files import written
from wetread.errors import NotFoundError, UsageError

if TYPE_CHECKING:
    from torch import Tensor
    from torch.optim import Optimizer

    from wetread.learn.detector import Detector

_METADATA = "wetread"
_MODEL, _OPTIMISER = "model.", "optimiser."


def save_tensors(path: Path, tensors: Mapping[str, Tensor], metadata: Mapping[str, Any]) -> None:
    """Save tensors with JSON metadata.

    Raises:
        StorageError: the file cannot be written.
    """
    from safetensors.torch import save

    # Copies: safetensors refuses tensors that share memory.
    own = {name: t.detach().to("cpu", copy=True).contiguous() for name, t in tensors.items()}
    with written(path) as file:
        file.write(save(own, {_METADATA: json.dumps(metadata)}))


def load_tensors(path: Path) -> tuple[dict[str, Tensor], dict[str, Any]]:
    """Load tensors by name, and their metadata.

    Raises:
        NotFoundError: there is no such file.
        UsageError: not written by `save_tensors`.
    """
    from safetensors import SafetensorError, safe_open

    if not path.is_file():
        raise NotFoundError(f"{path}: no such file")
    try:
        with safe_open(path, "pt") as file:
            metadata = json.loads((file.metadata() or {})[_METADATA])
            return {name: file.get_tensor(name) for name in file.keys()}, metadata  # noqa: SIM118 - not a dict
    except (SafetensorError, KeyError, ValueError, TypeError, OSError) as error:
        raise UsageError(f"{path} was not written by wetread: {error}") from error


def save_state(
    path: Path, model: Detector, optimiser: Optimizer, metadata: Mapping[str, Any]
) -> None:
    """Save a training checkpoint as one file."""
    state = optimiser.state_dict()
    tensors = {f"{_MODEL}{name}": tensor for name, tensor in model.state_dict().items()}
    for number, values in state["state"].items():
        tensors |= {f"{_OPTIMISER}{number}.{name}": tensor for name, tensor in values.items()}
    save_tensors(path, tensors, {**metadata, "param_groups": state["param_groups"]})


def restore_state(
    tensors: Mapping[str, Tensor], metadata: dict[str, Any], model: Detector, optimiser: Optimizer
) -> None:
    """Restore a model and an optimiser from a loaded checkpoint."""
    model.load_state_dict(
        {n.removeprefix(_MODEL): t for n, t in tensors.items() if n.startswith(_MODEL)}
    )
    state: dict[int, dict[str, Tensor]] = {}
    for name, tensor in tensors.items():
        if name.startswith(_OPTIMISER):
            number, _, key = name.removeprefix(_OPTIMISER).partition(".")
            state.setdefault(int(number), {})[key] = tensor
    optimiser.load_state_dict({"state": state, "param_groups": metadata["param_groups"]})

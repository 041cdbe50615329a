"""What is kept of a model: tensors in safetensors files with what is said of them as JSON.

Nothing here is ever unpickled. A file is whole or not there.
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

_SAID = "wetread"
_MODEL, _OPTIMISER = "model.", "optimiser."


def save_tensors(path: Path, tensors: Mapping[str, Tensor], said: Mapping[str, Any]) -> None:
    """Writes tensors, and JSON beside them in the file.

    Raises:
        StorageError: the file cannot be written.
    """
    from safetensors.torch import save

    # Copies: safetensors refuses tensors that share memory.
    own = {name: t.detach().to("cpu", copy=True).contiguous() for name, t in tensors.items()}
    with written(path) as file:
        file.write(save(own, {_SAID: json.dumps(said)}))


def load_tensors(path: Path) -> tuple[dict[str, Tensor], dict[str, Any]]:
    """What `save_tensors` wrote: tensors by name, and what is said of them.

    Raises:
        NotFoundError: there is no such file.
        UsageError: it is a file of something else.
    """
    from safetensors import SafetensorError, safe_open

    if not path.is_file():
        raise NotFoundError(f"{path}: no such file")
    try:
        with safe_open(path, "pt") as file:
            said = json.loads((file.metadata() or {})[_SAID])
            return {name: file.get_tensor(name) for name in file.keys()}, said  # noqa: SIM118 - no dict
    except (SafetensorError, KeyError, ValueError, TypeError, OSError) as error:
        raise UsageError(f"{path} was not written by wetread: {error}") from error


def save_state(path: Path, model: Detector, optimiser: Optimizer, said: Mapping[str, Any]) -> None:
    """Writes all that training needs to go on: one file, so that its parts belong together."""
    state = optimiser.state_dict()
    tensors = {f"{_MODEL}{name}": tensor for name, tensor in model.state_dict().items()}
    for number, values in state["state"].items():
        tensors |= {f"{_OPTIMISER}{number}.{name}": tensor for name, tensor in values.items()}
    save_tensors(path, tensors, {**said, "param_groups": state["param_groups"]})


def put_state(
    tensors: Mapping[str, Tensor], said: dict[str, Any], model: Detector, optimiser: Optimizer
) -> None:
    """Puts what `load_tensors` found of a state into the two."""
    model.load_state_dict(
        {n.removeprefix(_MODEL): t for n, t in tensors.items() if n.startswith(_MODEL)}
    )
    state: dict[int, dict[str, Tensor]] = {}
    for name, tensor in tensors.items():
        if name.startswith(_OPTIMISER):
            number, _, what = name.removeprefix(_OPTIMISER).partition(".")
            state.setdefault(int(number), {})[what] = tensor
    optimiser.load_state_dict({"state": state, "param_groups": said["param_groups"]})

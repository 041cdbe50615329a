"""The models that come with wetread, and weights from a file."""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, NamedTuple, get_args

from wetread.errors import NotFoundError, UnknownNameError, UsageError
from wetread.learn.classifier import build_tiny
from wetread.learn.detector import Builder, Detector, build_resnet50, build_small

if TYPE_CHECKING:
    from collections.abc import Callable

Task = Literal["detect", "classify"]
TORCHVISION = "torchvision"
"""The weights that torchvision has downloaded before."""


class Recipe(NamedTuple):
    """A model, and the learning rate at which it learns."""

    name: str
    build: Builder
    lr: float


MODELS: dict[tuple[str, str], Recipe] = {
    ("detect", "small"): Recipe("small", build_small, 2e-3),
    ("detect", "resnet50"): Recipe("resnet50", build_resnet50, 2e-4),
    ("classify", "small"): Recipe("small", build_tiny, 2e-3),
}


def find_recipe(task: str, model: str | Callable[..., Any]) -> Recipe:
    """The recipe of a name, or of a builder of the user's own.

    Raises:
        UnknownNameError: no such task or model.

    >>> find_recipe("detect", "small").lr
    0.002
    """
    if task not in get_args(Task):
        raise UnknownNameError("task", task, get_args(Task))
    if callable(model):
        return Recipe(f"{model.__module__}:{model.__qualname__}", model, 1e-4)
    if (task, model) not in MODELS:
        known = [name for kind, name in MODELS if kind == task]
        raise UnknownNameError(f"model to {task}", model, known)
    return MODELS[task, model]


def load_weights(model: Detector, weights: str | os.PathLike[str]) -> list[str]:
    """Puts weights from a file into a model, as far as they fit.

    Args:
        model: what takes them.
        weights: a `.safetensors` file; one of torch, which is read as tensors and nothing else; or
            "torchvision" for the file that torchvision has in its own cache. Nothing is downloaded.

    Returns:
        The names that stay as they were: they are not in the file, or have another shape there, as
        the last layer has for other classes.

    Raises:
        NotFoundError: there is no such file; for torchvision's the message has its address.
        UsageError: it is no file of weights, or nothing in it fits; or it is one of torch that is
            not torchvision's own, and this torch is older than 2.10, in which such a file can break
            out of `weights_only` (CVE-2026-24747).
    """
    path = _find_cached() if weights == TORCHVISION else Path(weights)
    if not path.is_file():
        raise NotFoundError(f"{path}: no such file")
    if weights != TORCHVISION and path.suffix != ".safetensors":
        _check_torch(path)
    own = model.state_dict()
    given = _read(path)
    fit = {n: t for n, t in given.items() if n in own and t.shape == own[n].shape}
    if not fit:
        raise UsageError(
            f"nothing in {path} fits the model: it has {', '.join(list(given)[:3]) or 'no tensor'}"
        )
    model.load_state_dict(fit, strict=False)
    return [name for name in own if name not in fit]


def _check_torch(path: Path) -> None:
    """Refuse a foreign pickle where torch cannot be trusted with it."""
    import torch

    if tuple(map(int, torch.__version__.split(".")[:2])) < (2, 10):
        raise UsageError(
            f"{path}: torch {torch.__version__} does not read a stranger's file safely "
            "(CVE-2026-24747): pip install 'torch>=2.10', or save the weights as .safetensors"
        )


def _read(path: Path) -> dict[str, Any]:
    """The tensors of a file by name."""
    import pickle

    import torch
    from safetensors import SafetensorError
    from safetensors.torch import load_file

    try:
        if path.suffix == ".safetensors":
            return load_file(path)
        found = torch.load(path, map_location="cpu", weights_only=True)
    except (SafetensorError, pickle.UnpicklingError, RuntimeError, EOFError) as error:
        raise UsageError(f"{path} is no file of weights: {str(error).splitlines()[0]}") from error
    # Some keep the tensors below a name.
    for name in ("state_dict", "model"):
        if isinstance(found, dict) and isinstance(found.get(name), dict):
            found = found[name]
    if not isinstance(found, dict):
        raise UsageError(f"{path} holds no weights by name")
    return {name: value for name, value in found.items() if isinstance(value, torch.Tensor)}


def _find_cached() -> Path:
    """Where torchvision keeps the weights of the large model."""
    import torch.hub
    from torchvision.models.detection import FasterRCNN_ResNet50_FPN_V2_Weights

    url = FasterRCNN_ResNet50_FPN_V2_Weights.COCO_V1.url
    path = Path(torch.hub.get_dir(), "checkpoints", url.rpartition("/")[2])
    if not path.is_file():
        raise NotFoundError(f"{path} is not there and is not downloaded unasked; it is at {url}")
    return path

"""Built-in models, and loading of pretrained weights."""

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
"""Name of the weights in torchvision's cache."""


class Recipe(NamedTuple):
    """Model builder with its default peak learning rate."""

    name: str
    build: Builder
    lr: float


MODELS: dict[tuple[str, str], Recipe] = {
    ("detect", "small"): Recipe("small", build_small, 2e-3),
    ("detect", "resnet50"): Recipe("resnet50", build_resnet50, 2e-4),
    ("classify", "small"): Recipe("small", build_tiny, 2e-3),
}


def find_recipe(task: str, model: str | Callable[..., Any]) -> Recipe:
    """Recipe of a built-in model, or of a custom builder.

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
    """Load weights from a file into a model, as far as names and shapes match.

    Args:
        model: model to load them into.
        weights: a `.safetensors` file; a `.pth` file of torch, of which only tensors are read; or
            "torchvision" for the file in torchvision's cache. Nothing is downloaded.

    Returns:
        Names of the tensors that were not loaded: missing in the file, or of another shape, as the
        last layer is for other classes.

    Raises:
        NotFoundError: there is no such file; for torchvision's the message has its URL.
        UsageError: not a file of weights, or nothing in it matches; or a `.pth` file not from
            torchvision with torch before 2.10, where such a file can break out of `weights_only`
            (CVE-2026-24747).
    """
    path = _find_cached() if weights == TORCHVISION else Path(weights)
    if not path.is_file():
        raise NotFoundError(f"{path}: no such file")
    if weights != TORCHVISION and path.suffix != ".safetensors":
        _check_torch(path)
    own = model.state_dict()
    tensors = _read(path)
    fit = {n: t for n, t in tensors.items() if n in own and t.shape == own[n].shape}
    if not fit:
        raise UsageError(
            f"nothing in {path} matches the model: it has "
            f"{', '.join(list(tensors)[:3]) or 'no tensor'}"
        )
    model.load_state_dict(fit, strict=False)
    return [name for name in own if name not in fit]


def _check_torch(path: Path) -> None:
    """Raise UsageError for a pickle that this torch cannot load safely."""
    import torch

    if tuple(map(int, torch.__version__.split(".")[:2])) < (2, 10):
        raise UsageError(
            f"{path}: torch {torch.__version__} does not load untrusted files safely "
            "(CVE-2026-24747): pip install 'torch>=2.10', or save the weights as .safetensors"
        )


def _read(path: Path) -> dict[str, Any]:
    """Tensors of a file by name."""
    import pickle

    import torch
    from safetensors import SafetensorError
    from safetensors.torch import load_file

    try:
        if path.suffix == ".safetensors":
            return load_file(path)
        content = torch.load(path, map_location="cpu", weights_only=True)
    except (SafetensorError, pickle.UnpicklingError, RuntimeError, EOFError) as error:
        raise UsageError(
            f"{path} is not a file of weights: {str(error).splitlines()[0]}"
        ) from error
    # Some files have the state dict under a key.
    for name in ("state_dict", "model"):
        if isinstance(content, dict) and isinstance(content.get(name), dict):
            content = content[name]
    if not isinstance(content, dict):
        raise UsageError(f"{path} has no weights by name")
    return {name: value for name, value in content.items() if isinstance(value, torch.Tensor)}


def _find_cached() -> Path:
    """Path of the weights of `resnet50` in torchvision's cache."""
    import torch.hub
    from torchvision.models.detection import FasterRCNN_ResNet50_FPN_V2_Weights

    url = FasterRCNN_ResNet50_FPN_V2_Weights.COCO_V1.url
    path = Path(torch.hub.get_dir(), "checkpoints", url.rpartition("/")[2])
    if not path.is_file():
        raise NotFoundError(
            f"{path} is missing, and nothing is downloaded automatically; the URL is {url}"
        )
    return path

"""Run folder: configuration, metrics, predictions and weights that training writes.

run/
    config.json             options of the training, and the shape of the model
    split.parquet           part of each image
    truth.parquet           ground truth of all parts
    metrics.parquet         step, epoch, name, value: losses per step, scores per epoch
    curves.csv, curves.png  metrics per epoch, as table and plot
    examples.png            ground truth and predictions on images of the part "valid"
    best.safetensors        weights of the best epoch
    last.safetensors        weights of the last epoch
    state.safetensors       checkpoint: weights and optimiser
    valid.parquet           predictions of the best weights on the part "valid"
    calibration.json        temperature of their scores
"""

from __future__ import annotations

import math
import os
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, Self

import pyarrow as pa

from wetread.boxes.collection import Boxes
from wetread.common.files import written
from wetread.common.stamp import Stamp
from wetread.errors import MissingExtraError, NotFoundError, UsageError
from wetread.learn.checkpoint import load_tensors
from wetread.learn.detector import Builder, Detector, Shape
from wetread.learn.examples import VALID
from wetread.learn.models import MODELS

if TYPE_CHECKING:
    import pandas as pd

STAMP = Stamp("wetread-run", 1, UsageError, "train into a new folder")
CALIBRATION = "calibration.json"
Weights = Literal["best", "last"]


@dataclass(frozen=True, eq=False)
class RunFolder:
    """Folder of a training run and the model in it."""

    path: Path
    """Path of the folder."""
    config: Mapping[str, Any]
    """Content of config.json."""
    build: Builder
    """Builder of the untrained model."""

    @classmethod
    def open(cls, path: str | os.PathLike[str], model: Builder | None = None) -> Self:
        """Open a run folder. Nothing in it is executed or unpickled.

        Args:
            path: the folder.
            model: builder of a custom model.

        Raises:
            NotFoundError: there is no such folder.
            UsageError: not a run, of another schema version, or with an unknown model.
        """
        folder = Path(path)
        config = read_config(folder)
        if not folder.is_dir():
            raise NotFoundError(f"{folder}: no such folder")
        if config is None:
            raise UsageError(f"{folder} is not a run of wetread train: it has no config.json")
        name = config["model"]
        recipe = MODELS.get((config["task"], name))
        if model is None and recipe is not None:
            model = recipe.build
        if model is None:
            raise UsageError(
                f"{folder} has the custom model {name}: pass it as Run.open(path, model=...) "
                f"or --model {name}"
            )
        return cls(folder, config, model)

    @property
    def id(self) -> str:
        """Fingerprint of options and data: 16 hex digits."""
        return str(self.config["id"])

    @property
    def task(self) -> str:
        """`detect` or `classify`."""
        return str(self.config["task"])

    @property
    def classes(self) -> tuple[tuple[str, str], ...]:
        """(id, name), in the order of the model's labels."""
        return tuple((str(i), str(name)) for i, name in self.config["classes"])

    @property
    def size(self) -> int:
        """Side of the input of the model, in pixels."""
        return int(self.config["size"])

    @cached_property
    def split(self) -> pa.Table:
        """Part of each image: id, group, part, file_size, hash."""
        return self._table("split")

    @property
    def metrics(self) -> pd.DataFrame:
        """Losses by step and scores by epoch: step, epoch, name, value."""
        frame: pd.DataFrame = self._table("metrics").to_pandas()
        return frame

    @property
    def truth(self) -> Boxes:
        """Ground truth of the training and validation images."""
        return Boxes.open(self.path / "truth.parquet")

    @property
    def valid(self) -> Boxes:
        """Predictions of the best weights on the part "valid"."""
        return Boxes.open(self.path / "valid.parquet")

    @property
    def temperature(self) -> float | None:
        """Temperature fitted on the part "valid"; None without hits or misses there.

        `wetread.evaluation.calibration.fit_temperature` defines it.

        Raises:
            NotFoundError: training has not yet written it.
            UsageError: the file is damaged.
        """
        path = self.path / CALIBRATION
        if not path.is_file():
            raise NotFoundError(f"{path}: no such file; training has not yet written it")
        value = STAMP.read(path).get("temperature")
        is_number = type(value) in (int, float) and _is_number(value)
        if value is None or (is_number and value > 0):
            return value
        raise UsageError(f"{path} is damaged: invalid temperature; {STAMP.remedy}")

    def model(self, weights: Weights = "best") -> Detector:
        """The model, in evaluation mode on the CPU.

        Raises:
            NotFoundError: training has not yet written the weights.
            UsageError: the weights do not fit the model.
        """
        require_torch()
        model = self.build(self.shape)
        path = weights_path(self, weights)
        try:
            model.load_state_dict(load_tensors(path)[0])
        except RuntimeError as error:
            raise UsageError(f"{path} does not fit its model: {error}") from error
        model.train(False)
        return model

    @property
    def shape(self) -> Shape:
        """Shape that the model is built for."""
        mean, std = self.config["mean"], self.config["std"]
        return Shape(len(self.classes), self.size, mean, std)

    @property
    def window(self) -> Any:
        """Window of the images, as in `CacheDataset`."""
        return as_window(self.config["window"])

    def _table(self, name: str) -> pa.Table:
        import pyarrow.parquet as pq

        path = self.path / f"{name}.parquet"
        if not path.is_file():
            raise NotFoundError(f"{path}: no such file; training has not yet written it")
        try:
            return pq.read_table(path)
        except (pa.ArrowException, OSError) as error:
            raise UsageError(f"{path} is damaged: {error}; {STAMP.remedy}") from error

    def __repr__(self) -> str:
        names = ", ".join(name for _, name in self.classes[:3])
        more = ", ..." if len(self.classes) > 3 else ""
        model = f"{self.config['model']} to {self.task} {names}{more}"
        return f"<Run {self.id}: {model}, {self.size} pixels, in {self.path}>"


def weights_path(run: RunFolder, weights: Weights) -> Path:
    """Path of the weights of a run; NotFoundError if training has not yet written them."""
    path = run.path / f"{weights}.safetensors"
    if not path.is_file():
        raise NotFoundError(f"{path}: no such file; training has not yet written it")
    return path


def as_window(value: Any) -> Any:
    """Window from its JSON value."""
    return tuple(value) if isinstance(value, list) else value


def read_config(folder: Path) -> dict[str, Any] | None:
    """Content of config.json, None if it does not exist.

    Raises:
        UsageError: damaged, or of another schema version.
    """
    path = folder / "config.json"
    if not path.is_file():
        return None
    config = STAMP.read(path)
    invalid = [name for name, is_valid in _CONFIG.items() if not is_valid(config.get(name))]
    if invalid:
        raise UsageError(f"{path} is damaged: invalid {', '.join(invalid)}; {STAMP.remedy}")
    return config


def _is_number(value: Any) -> bool:
    return isinstance(value, int | float) and math.isfinite(value)


def _is_count(value: Any) -> bool:
    return type(value) is int and 1 <= value <= _LIMIT


def _are_classes(value: Any) -> bool:
    """True for a list of (id, name) of a supported length."""
    return (
        isinstance(value, list)
        and 1 <= len(value) <= _LIMIT
        and all(
            isinstance(one, list) and [type(text) for text in one] == [str, str] for one in value
        )
    )


_LIMIT = 2**16
"""Maximum number of classes, and of pixels on a side."""
_CONFIG: dict[str, Callable[[Any], bool]] = {
    "id": lambda value: isinstance(value, str),
    "task": lambda value: value in ("detect", "classify"),
    "model": lambda value: isinstance(value, str),
    "classes": _are_classes,
    "size": _is_count,
    "mean": _is_number,
    "std": lambda value: _is_number(value) and value > 0,
    "window": lambda value: (
        isinstance(value, str)
        or (isinstance(value, list) and len(value) == 2 and all(map(_is_number, value)))
    ),
    "precision": lambda value: value in ("float32", "bfloat16"),
    "threads": _is_count,
    "images": lambda value: (
        isinstance(value, dict) and all(type(value.get(part)) is int for part in ("train", VALID))
    ),
}
"""Validators of the configuration that opening a run relies on."""


def write_file(path: Path, data: bytes) -> None:
    """Write a file atomically."""
    with written(path) as file:
        file.write(data)


def write_table(path: Path, table: pa.Table) -> None:
    """Write a Parquet file atomically."""
    import io

    import pyarrow.parquet as pq

    buffer = io.BytesIO()
    pq.write_table(table, buffer)
    write_file(path, buffer.getvalue())


def require_torch() -> None:
    """Raise MissingExtraError if PyTorch, torchvision or safetensors is not installed."""
    from importlib import import_module

    try:
        for name in ("torch", "torchvision", "safetensors"):
            import_module(name)
    except ImportError as error:
        raise MissingExtraError("training and prediction", "train") from error

"""A run: the folder that training leaves, and the model in it.

run/
    config.json             what was asked, and what the model is
    split.parquet           which image was for what
    truth.parquet           the boxes that were learnt from, and those to judge by
    metrics.parquet         step, epoch, name, value: losses a step, scores an epoch
    curves.csv, curves.png  the same by epoch, and drawn
    examples.png            truth and predictions on images of the part "valid"
    best.safetensors        the weights of the best epoch
    last.safetensors        the weights of the last one
    state.safetensors       weights and optimiser, to go on from
    valid.parquet           what the best weights find on the part "valid"
"""

from __future__ import annotations

import math
import os
import warnings
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

import pyarrow as pa

from wetread.boxes.collection import Boxes
from wetread.cache.cache import MARKER as CACHE_MARKER
from wetread.cache.cache import Cache
from wetread.common.files import written
from wetread.common.stamp import Stamp
from wetread.errors import MissingExtraError, NotFoundError, UsageError
from wetread.learn.checkpoint import load_tensors
from wetread.learn.detector import Builder, Detector, Shape
from wetread.learn.examples import VALID
from wetread.learn.models import MODELS
from wetread.table.rows import IndexLike, IndexRows

if TYPE_CHECKING:
    import pandas as pd

    from wetread.learn.filter import Thresholds
    from wetread.workers import Engine

STAMP = Stamp("wetread-run", 1, UsageError, "train into a new folder")
Weights = Literal["best", "last"]


@dataclass(frozen=True, eq=False)
class Run:
    """A trained model and how it came about: made by `train`, or opened from its folder."""

    path: Path
    """The folder."""
    config: Mapping[str, Any]
    """What config.json says."""
    build: Builder
    """Makes the model, untrained."""

    @classmethod
    def open(cls, path: str | os.PathLike[str], model: Builder | None = None) -> Run:
        """The run in a folder. Nothing in it is executed or unpickled.

        Args:
            path: the folder.
            model: the builder, if it is not one that comes with wetread.

        Raises:
            NotFoundError: there is no such folder.
            UsageError: it is no run, another version's, or its model is not known here.
        """
        folder = Path(path)
        config = read_config(folder)
        if not folder.is_dir():
            raise NotFoundError(f"{folder}: no such folder")
        if config is None:
            raise UsageError(f"{folder} is no run: it has no config.json")
        name = config["model"]
        recipe = MODELS.get((config["task"], name))
        if model is None and recipe is not None:
            model = recipe.build
        if model is None:
            raise UsageError(
                f"{folder} has the model {name}, which is not wetread's: give it, "
                f"Run.open(path, model=...) or --model {name}"
            )
        return cls(folder, config, model)

    @property
    def id(self) -> str:
        """16 hex digits, the same for the same command on the same images."""
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
        """The longest side of what the model sees, in pixels."""
        return int(self.config["size"])

    @cached_property
    def split(self) -> pa.Table:
        """Which image was for what: id, group, part, file_size, hash."""
        return self._table("split")

    @property
    def metrics(self) -> pd.DataFrame:
        """Losses by step and scores by epoch: step, epoch, name, value."""
        frame: pd.DataFrame = self._table("metrics").to_pandas()
        return frame

    @property
    def truth(self) -> Boxes:
        """The boxes that were learnt from (part "train") and judged by."""
        return Boxes.open(self.path / "truth.parquet")

    @property
    def valid(self) -> Boxes:
        """What the best weights find on the images of the part "valid"."""
        return Boxes.open(self.path / "valid.parquet")

    def model(self, weights: Weights = "best") -> Detector:
        """The model, in evaluation mode on the CPU.

        Raises:
            NotFoundError: training has not come that far.
            UsageError: the weights are another model's.
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
        """What the model is built for."""
        mean, std = self.config["mean"], self.config["std"]
        return Shape(len(self.classes), self.size, mean, std)

    def predict(
        self,
        images: IndexLike | Cache,
        *,
        filter: Run | None = None,
        thresholds: tuple[float, float] | None = None,
        weights: Weights = "best",
        device: str | None = None,
        batch: int = 8,
        workers: int = 0,
        engine: Engine | None = None,
        progress: bool = True,
    ) -> Boxes:
        """What the model finds: boxes in stored pixels with scores, and the run's id and classes.

        An image where it finds nothing has a row "nothing". `part` says what each image was for in
        this run; `wetread.evaluate` refuses those of "train". A classifier's boxes are as large as
        their image; see `learn.prediction.list_boxes`.

        Args:
            images: an index, whose images are decoded for the purpose, a cache, or its folder.
            filter: a run that classifies, to say where there is nothing.
            thresholds: of the filter; by default those that `Run.thresholds` chooses.
            weights: of the best epoch or of the last.
            device: "cpu", "cuda", ...; by default a GPU where there is one (untested).
            batch: images at once.
            workers: processes that read images; 0 for none but this one.
            engine: who does the work; the workers of a `wetread.DaskEngine` must see the run's
                folder, and a cache. Each loads the model once, and has as many threads as its
                environment says.
            progress: say on stderr how far it is.

        Raises:
            UsageError: no image, no such device, a filter that does not classify, an engine for
                a model that is not wetread's.
            MissingExtraError: PyTorch is not installed.

        Warns:
            UserWarning: images that cannot be decoded: they have no row.
        """
        require_torch()
        images = open_images(images)
        from wetread.learn.filter import filter_normal
        from wetread.learn.inference import How, predict

        if filter is not None and thresholds is None:
            thresholds = self.thresholds(filter)[:2]
        runs = [self] if filter is None else [self, filter]
        how = How(weights, device, batch, workers)
        found, left = predict(runs, images, how, progress, engine)
        warn_left_out(left)
        return filter_normal(found[0], found[1], *thresholds) if filter and thresholds else found[0]

    @property
    def window(self) -> Any:
        """How values became grey, as in `Cache.dataset`."""
        return as_window(self.config["window"])

    def thresholds(self, classifier: Run) -> Thresholds:
        """The thresholds of the "normal" filter, chosen on images that neither run learnt from.

        They are those of the part "valid" in both; see `learn.filter`.

        Raises:
            UsageError: the run does not classify, or they have no such images in common.
        """
        import pyarrow.compute as pc

        from wetread.learn.filter import choose_thresholds

        if self.task != "detect" or classifier.task != "classify":
            raise UsageError("a filter is a run that classifies, beside one that detects")
        mine, theirs = self.valid, classifier.valid
        both = {*mine.table["image"].to_pylist()} & {*theirs.table["image"].to_pylist()}
        trained = classifier.split.filter(pc.equal(classifier.split["part"], "train"))
        both -= {*trained["id"].to_pylist()}
        if not both:
            raise UsageError(
                f'the two runs have no image of the part "{VALID}" in common: train both on one '
                "cache or index"
            )
        common = pa.array(sorted(both))
        found, said, truth = (
            boxes.select(pc.is_in(boxes.table["image"], value_set=common))
            for boxes in (mine, theirs, self.truth)
        )
        return choose_thresholds(found, said, truth)

    def _table(self, name: str) -> pa.Table:
        import pyarrow.parquet as pq

        path = self.path / f"{name}.parquet"
        if not path.is_file():
            raise NotFoundError(f"{path}: no such file; training has not come that far")
        try:
            return pq.read_table(path)
        except (pa.ArrowException, OSError) as error:
            raise UsageError(f"{path} is damaged: {error}; {STAMP.remedy}") from error

    def __repr__(self) -> str:
        names = ", ".join(name for _, name in self.classes[:3])
        more = ", ..." if len(self.classes) > 3 else ""
        what = f"{self.config['model']} to {self.task} {names}{more}"
        return f"<Run {self.id}: {what}, {self.size} pixels, in {self.path}>"


def weights_path(run: Run, weights: Weights) -> Path:
    """The file of a run's weights; NotFoundError where training has not come that far."""
    path = run.path / f"{weights}.safetensors"
    if not path.is_file():
        raise NotFoundError(f"{path}: no such file; training has not come that far")
    return path


def as_window(said: Any) -> Any:
    """A window as it was before it was JSON."""
    return tuple(said) if isinstance(said, list) else said


def read_config(folder: Path) -> dict[str, Any] | None:
    """What config.json says; None where there is none.

    Raises:
        UsageError: it is damaged, or another version's.
    """
    path = folder / "config.json"
    if not path.is_file():
        return None
    config = STAMP.read(path)
    wrong = [name for name, is_right in _CONFIG.items() if not is_right(config.get(name))]
    if wrong:
        raise UsageError(
            f"{path} is damaged: {', '.join(wrong)} cannot be as it says; {STAMP.remedy}"
        )
    return config


def _is_number(value: Any) -> bool:
    return isinstance(value, int | float) and math.isfinite(value)


def _is_count(value: Any) -> bool:
    return type(value) is int and 1 <= value <= _MOST


def _are_classes(value: Any) -> bool:
    """A list of (id, name), of a length that a model can be built for."""
    return (
        isinstance(value, list)
        and 1 <= len(value) <= _MOST
        and all(
            isinstance(one, list) and [type(text) for text in one] == [str, str] for one in value
        )
    )


_MOST = 2**16
"""Classes, and pixels on a side."""
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
"""Configuration that opening a run relies on, and a check of each value."""


def write_file(path: Path, data: bytes) -> None:
    """A file of a run: whole or not there."""
    with written(path) as file:
        file.write(data)


def write_table(path: Path, table: pa.Table) -> None:
    """The same for a table."""
    import io

    import pyarrow.parquet as pq

    held = io.BytesIO()
    pq.write_table(table, held)
    write_file(path, held.getvalue())


def open_images(images: IndexLike | Cache) -> IndexRows | Cache:
    """Return an index or a cache; a path is opened."""
    if isinstance(images, Cache):
        return images
    if isinstance(images, str | os.PathLike) and os.path.exists(os.path.join(images, CACHE_MARKER)):
        return Cache.open(images)
    return IndexRows.of(images)


def open_cache(
    images: IndexRows | Cache, size: int, to: Path | None = None, progress: bool = True
) -> Cache:
    """The cache, or one made of an index: in `to`, else for as long as it is used."""
    if isinstance(images, Cache):
        return images
    from wetread.cache.prepare import prepare

    return prepare(images, to, size, progress=progress)


def warn_left_out(left: pa.Table) -> None:
    """Says which files gave no picture: rows of `Cache.left_out`."""
    if len(left):
        names = ", ".join(left["path"][:3].to_pylist())
        warnings.warn(
            f"{len(left)} files or frames cannot be decoded and are left out, such as {names}; "
            "see the cache's left_out",
            UserWarning,
            stacklevel=3,
        )


def require_torch() -> None:
    """Raises MissingExtraError where PyTorch, torchvision or safetensors is not installed."""
    from importlib import import_module

    try:
        for name in ("torch", "torchvision", "safetensors"):
            import_module(name)
    except ImportError as error:
        raise MissingExtraError("what trains and predicts", "train") from error

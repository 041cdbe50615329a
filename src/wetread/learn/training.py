"""Train a model on a cache: check the options, train, validate, plot."""

from __future__ import annotations

import hashlib
import json
import math
import os
import warnings
from collections.abc import Mapping
from dataclasses import asdict
from pathlib import Path
from typing import Any, get_args

from wetread.boxes.collection import Boxes
from wetread.boxes.reading import open_boxes
from wetread.cache.cache import Cache, WindowOption, open_cache
from wetread.common.progress import Progress
from wetread.common.store import is_store
from wetread.common.text import counted
from wetread.errors import UnknownNameError, UsageError
from wetread.evaluation.images import TRAIN
from wetread.learn.augment import Augment
from wetread.learn.detector import Builder, Detector
from wetread.learn.distributed import (
    ProcessGroup,
    count_threads,
    explain_memory,
    process_group,
    use_threads,
)
from wetread.learn.examples import (
    VALID,
    Examples,
    TrainingData,
    check_truth,
    class_ids,
    hash_split,
    hash_truth,
    read_data,
)
from wetread.learn.inference import warn_left_out
from wetread.learn.loop import Hyperparameters, Precision, epoch_steps, fit
from wetread.learn.models import Task, find_recipe, load_weights
from wetread.learn.plots import draw_run
from wetread.learn.run import Run
from wetread.learn.run_folder import (
    STAMP,
    as_window,
    read_config,
    require_torch,
    write_file,
    write_table,
)
from wetread.learn.validation import Validation

SIZE = 512
"""Default input size of a model, in pixels."""
_LESS_MEMORY = "train with a smaller batch, size or model, into a new folder"


def train(
    cache: Cache | str | os.PathLike[str],
    truth: Boxes | str | os.PathLike[str],
    task: Task = "detect",
    model: str | Builder = "small",
    *,
    to: str | os.PathLike[str] = "run",
    size: int | None = None,
    window: WindowOption = "auto",
    augment: bool | Augment = True,
    epochs: float = 12,
    batch: int = 8,
    lr: float | None = None,
    weights: str | os.PathLike[str] | None = None,
    seed: int = 0,
    precision: Precision = "float32",
    device: str | None = None,
    workers: int = 0,
    progress: bool = True,
) -> Run:
    """Train a detector or a classifier.

    Resumable: the same call continues from the last checkpoint, on a CPU with the same result as
    an uninterrupted training. Under `torchrun` all processes train one model, on one machine or
    several; GPU code follows PyTorch's documentation and is untested.

    Args:
        cache: a cache (`wetread.prepare`) of a split index (`wetread.split`), or its path.
        truth: ground-truth boxes, one set per image (merge several readers first), or a file.
            Images that it does not mention are not used; images with a row "nothing" are negative
            examples.
        task: `"detect"` boxes, or `"classify"` images: each class, and any finding.
        model: `"small"` trains on a CPU; `"resnet50"` needs pretrained weights and a GPU; or a
            function that builds a model, see `learn.detector`.
        to: run folder.
        size: side of the input of the model, in pixels (default: 512, or the size of the cache if
            that is smaller).
        window: window of the images; see `learn.dataset.CacheDataset`.
        augment: augmentation; an `Augment` sets its ranges.
        epochs: number of epochs; 0.5 is half an epoch.
        batch: batch size per process.
        lr: peak learning rate (default: the model's).
        weights: initial weights: a file, or "torchvision"; see `learn.models.load_weights`.
        seed: random seed.
        precision: `"bfloat16"` uses autocast.
        device: "cpu", "cuda", ... (default: a GPU, if there is one). The number of CPU threads is
            the environment variable OMP_NUM_THREADS (default: the number of idle cores).
        workers: number of DataLoader workers per process.
        progress: show a progress bar.

    Returns:
        The run.

    Raises:
        UsageError: not a cache, no parts, several readers per image, or no image of the boxes in
            the cache; a folder with another run, an index or a cache; no such device; processes
            with different data.
        EngineError: another process of the training has ended.
        UnknownNameError: no such task or model.
        MissingExtraError: PyTorch is not installed.
        StorageError: the folder cannot be written.
        WetreadError: the loss is not finite, or the GPU has too little memory.
    """
    require_torch()
    recipe = find_recipe(task, model)
    check_options(to, size, epochs, batch, lr, workers, precision)
    folder = Path(to)
    cache = open_cache(cache)
    with process_group(device) as processes:
        data = _read(cache, check_truth(open_boxes(truth, cache.index), cache), processes)
        size = size or min(SIZE, cache.size)
        examples = data.examples(TRAIN, size, window, augment, seed)
        steps = max(1, round(epochs * epoch_steps(len(examples), batch, processes.world)))
        params = Hyperparameters(steps, batch, lr or recipe.lr, seed, precision, workers)
        options = {
            "task": task,
            "model": recipe.name,
            "classes": class_ids(data.truth, examples.dataset.classes),
            "size": size,
            "window": window,
            "augment": asdict(augment) if isinstance(augment, Augment) else augment,
            "epochs": float(epochs),
            "batch": batch,
            "lr": params.lr,
            "seed": seed,
            "precision": precision,
            "weights": _describe_weights(weights),
            "world": processes.world,
            **_describe_data(data, size, window),
            "steps": steps,
        }
        options = json.loads(json.dumps(options))  # as config.json has them
        config = processes.broadcast(read_config(folder) if processes.is_main else None)
        if config is None:
            config = _make_config(options, data, processes)
        _compare(folder, config, options, processes)
        run = Run(folder, config, recipe.build)
        untrained = _build_model(run, seed, weights)
        if processes.is_main:
            _write_start(run, data)
        with use_threads(config["threads"]), explain_memory(batch, size, _LESS_MEMORY):
            _train(run, untrained.to(processes.device), data, examples, params, processes, progress)
    return run


def check_options(
    to: str | os.PathLike[str],
    size: int | None,
    epochs: float,
    batch: int,
    lr: float | None,
    workers: int,
    precision: str,
) -> None:
    """Check the options of `train` that need no data.

    Raises:
        UsageError: a value out of range, or the folder `to` is an index or a cache.
        UnknownNameError: no such precision.
    """
    if precision not in get_args(Precision):
        raise UnknownNameError("precision", precision, get_args(Precision))
    at_least = {"size": (size, 32), "batch": (batch, 1), "workers": (workers, 0)}
    for name, (value, least) in at_least.items():
        if value is not None and value < least:
            raise UsageError(f"{name} must be at least {least}, not {value}")
    if not 0 < epochs < math.inf:
        raise UsageError(f"epochs must be above 0, not {epochs}")
    if lr is not None and not 0 < lr < 10:
        raise UsageError(f"lr must be above 0 and below 10, not {lr}")
    if is_store(to):
        raise UsageError(f"{to} is an index or a cache, not a run: choose a new folder")


def _read(cache: Cache, truth: Boxes, processes: ProcessGroup) -> TrainingData:
    """Read the training data; warn about images that could not be decoded."""
    if processes.is_main:
        warn_left_out(cache.left_out)
    if not len(cache):
        raise UsageError("no image could be decoded: there is nothing to train on")
    return read_data(cache, truth)


def _describe_weights(weights: str | os.PathLike[str] | None) -> list[str] | None:
    """Name and hash of the file of initial weights."""
    if weights is None:
        return None
    path = Path(weights)
    if not path.is_file():
        return [str(weights), ""]
    with path.open("rb") as file:
        return [path.name, hashlib.file_digest(file, "sha256").hexdigest()[:16]]


def _describe_data(data: TrainingData, size: int, window: WindowOption) -> dict[str, Any]:
    """Number of images per part, and fingerprints of the data."""
    counts = {
        part: len(data.examples(part, size, window)) if data.has(part) else 0
        for part in (TRAIN, VALID)
    }
    return {
        "images": counts,
        "index_hash": data.cache.index_hash,
        "split_hash": hash_split(data.split),
        "truth_hash": hash_truth(data.truth),
    }


def _make_config(
    options: Mapping[str, Any], data: TrainingData, processes: ProcessGroup
) -> dict[str, Any]:
    """Configuration of a new run, from the main process."""
    import torch

    digest = hashlib.blake2b(json.dumps(options, sort_keys=True).encode(), digest_size=8)
    mean, std = data.examples(TRAIN, options["size"], as_window(options["window"])).statistics()
    config: dict[str, Any] = processes.broadcast(
        {
            "id": digest.hexdigest(),
            "torch": torch.__version__,
            "threads": count_threads(processes.local),
            "device": processes.device.type,
            "mean": mean,
            "std": std,
            **options,
        }
    )
    return STAMP.mark(config)


def _compare(
    folder: Path, config: Mapping[str, Any], options: Mapping[str, Any], processes: ProcessGroup
) -> None:
    """Raise UsageError if the folder, or the main process, has a run with other options."""
    for name, value in options.items():
        if (other := config.get(name)) == value:
            continue
        if processes.is_main:
            raise UsageError(
                f"{folder} has a run with {name} = {other}, not {value}: use the same options to "
                "resume it, or another folder"
            )
        raise UsageError(
            f"process {processes.rank} has {name} = {value}, the run has {other}: every machine "
            "needs the same command, boxes and cache, or a copy of it"
        )
    processes.barrier()  # start only when no process has raised


def _write_start(run: Run, data: TrainingData) -> None:
    """Write the files of a new run; config.json is last and makes the folder a run."""
    if (run.path / "config.json").exists():
        return
    run.path.mkdir(parents=True, exist_ok=True)
    write_table(run.path / "split.parquet", data.split)
    write_table(run.path / "truth.parquet", data.truth.table)
    write_file(run.path / "config.json", json.dumps(run.config, indent=2).encode())


def _train(
    run: Run,
    model: Detector,
    data: TrainingData,
    examples: Examples,
    params: Hyperparameters,
    processes: ProcessGroup,
    progress: bool,
) -> None:
    """Train, validate each epoch, and plot."""
    validation = Validation(run, data, processes)
    with Progress(progress and processes.is_main, params.steps, "steps") as bar:
        fit(
            model,
            examples,
            params,
            processes,
            run.path / "state.safetensors",
            lambda epoch: bar.say(validation.end_epoch(model, epoch)),
            bar.reach,
        )
    if processes.is_main and not (run.path / "examples.png").exists():
        validation.finish()
        draw_run(run, data)


def _build_model(run: Run, seed: int, weights: str | os.PathLike[str] | None) -> Detector:
    """Initial model: the same for the same seed, in every process."""
    import torch

    with torch.random.fork_rng([]):
        torch.manual_seed(seed)
        model = run.build(run.shape)
    missing = load_weights(model, weights) if weights is not None else []
    if missing:
        warnings.warn(
            f"{counted(len(missing), 'tensor of the model', 'are')} not in {weights}, or have "
            f"another shape "
            f"there, and are initialised randomly: {', '.join(missing[:4])}",
            UserWarning,
            stacklevel=3,
        )
    return model

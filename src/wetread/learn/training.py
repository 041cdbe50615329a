"""Training from the outside: what is asked is checked, kept, done, and drawn."""

from __future__ import annotations

import hashlib
import json
import os
import warnings
from collections.abc import Mapping
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Any, get_args

from wetread.boxes.collection import Boxes
from wetread.cache.cache import MARKER as CACHE_MARKER
from wetread.cache.cache import Cache, Window
from wetread.common.progress import Progress
from wetread.errors import UnknownNameError, UsageError
from wetread.evaluation.images import TRAIN
from wetread.learn.augment import Augment
from wetread.learn.detector import Builder, Detector
from wetread.learn.distributed import Team, free_cores, join_team, use_threads
from wetread.learn.examples import (
    VALID,
    Material,
    class_ids,
    hash_split,
    hash_truth,
    read_material,
    read_truth,
)
from wetread.learn.loop import Plan, Precision, epoch_steps, fit
from wetread.learn.models import Task, find_recipe, load_weights
from wetread.learn.run import (
    STAMP,
    Run,
    as_window,
    open_cache,
    open_images,
    read_config,
    require_torch,
    warn_left_out,
    write_file,
    write_table,
)
from wetread.learn.validation import Scores
from wetread.sources.find import INDEX_MARKER

if TYPE_CHECKING:
    from wetread.table.rows import IndexLike, IndexRows

SIZE = 512
"""Of what a model sees where no other is asked for."""
_PLANNED = ("steps", "batch", "lr", "seed", "precision")
"""What of a `Plan` makes a run another one."""


def train(
    images: IndexLike | Cache,
    truth: Boxes | str | os.PathLike[str],
    task: Task = "detect",
    model: str | Builder = "small",
    size: int | None = None,
    epochs: int = 12,
    to: str | os.PathLike[str] = "run",
    batch: int = 8,
    lr: float | None = None,
    steps: int | None = None,
    seed: int = 0,
    weights: str | os.PathLike[str] | None = None,
    device: str | None = None,
    *,
    window: Window = "auto",
    augment: bool | Augment = True,
    precision: Precision = "float32",
    threads: int | None = None,
    workers: int = 0,
    progress: bool = True,
) -> Run:
    """Trains a model to find, or to tell, what is on images.

    The same call goes on where an earlier one was stopped, by a signal or by a crash; on a CPU the
    result is that of a call that was not. Under `torchrun` all processes train one model, on one
    machine or several; GPUs are written after PyTorch's documentation and untested.

    Args:
        images: an index, which is decoded into `to`/cache, a cache (`wetread.prepare`), or the
            folder of one. Where
            neither has parts, patients are split in 80 % "train" and 20 % "valid".
        truth: boxes of one opinion an image, or a file; images they do not mention are not used,
            images with "nothing" are learnt from as normal.
        task: `"detect"` boxes, or `"classify"` images: each class, and whether there is any.
        model: `"small"` learns on a CPU; `"resnet50"` wants weights and a GPU; or a function that
            makes a model, see `learn.detector`.
        size: the longest side of what the model sees, in pixels; by default 512, or that of the
            cache where it is smaller.
        epochs: how often each image is seen; the weights of the best one are kept too.
        to: the run's folder.
        batch: images a step and process.
        lr: the highest learning rate; by default the model's.
        steps: steps to take, instead of epochs.
        seed: of everything random.
        weights: to begin with: a file, or "torchvision"; see `learn.models.load_weights`.
        device: "cpu", "cuda", ...; by default a GPU where there is one.
        window: how values become grey; see `Cache.dataset`.
        augment: change pictures a little each time; an `Augment` says how far.
        precision: `"bfloat16"` computes in it where PyTorch holds that safe.
        threads: of PyTorch on the CPU; by default the cores that nobody else is busy on.
        workers: processes that read images, for each that trains.
        progress: say on stderr how far it is.

    Returns:
        The run.

    Raises:
        UsageError: boxes that know none of the images or come from several readers, a folder with
            another run, an index or a cache in it, no such device; machines that have not the same
            images.
        EngineError: another process of the training has ended.
        UnknownNameError: no such task or model.
        MissingExtraError: PyTorch is not installed.
        StorageError: the folder cannot be written.
    """
    require_torch()
    images = open_images(images)
    recipe = find_recipe(task, model)
    _check(size, epochs, batch, steps, lr, threads, workers, precision)
    folder = Path(to)
    _check_folder(folder)
    with join_team(device) as team:
        boxes = read_truth(images, truth)
        cache = _open_cache(images, size or SIZE, folder, team, progress)
        size = size or min(SIZE, cache.size)
        material = read_material(cache, boxes)
        items = material.items(TRAIN, size, window, augment, seed)
        length = epoch_steps(len(items), batch, team.world)
        plan = Plan(steps or epochs * length, batch, lr or recipe.lr, seed, precision, workers)
        asked = {
            "task": task,
            "model": recipe.name,
            "classes": class_ids(material.truth, items.data.classes),
            "size": size,
            "window": window,
            "augment": asdict(augment) if isinstance(augment, Augment) else augment,
            **{name: getattr(plan, name) for name in _PLANNED},
            "weights": _name_weights(weights),
            "world": team.world,
            **_describe_material(material, size, window),
        }
        config = team.share(read_config(folder) if team.leads else None)
        if config is None:
            config = _describe(asked, material, team, threads)
        _compare(folder, config, asked, team)
        run = Run(folder, config, recipe.build)
        untrained = _make_model(run, seed, weights)
        if team.leads:
            _begin(run, material)
        with use_threads(config["threads"]):
            _train(run, untrained.to(team.device), material, items, plan, team, progress)
    return run


def _check(
    size: int | None,
    epochs: int,
    batch: int,
    steps: int | None,
    lr: float | None,
    threads: int | None,
    workers: int,
    precision: str,
) -> None:
    if precision not in get_args(Precision):
        raise UnknownNameError("precision", precision, get_args(Precision))
    at_least: dict[str, tuple[int | None, int]]
    at_least = {"epochs": (epochs, 1), "batch": (batch, 1), "workers": (workers, 0)}
    at_least |= {"size": (size, 32), "steps": (steps, 1), "threads": (threads, 1)}
    for name, (value, least) in at_least.items():
        if value is not None and value < least:
            raise UsageError(f"{name} must be at least {least}, not {value}")
    if lr is not None and not 0 < lr < 10:
        raise UsageError(f"lr must be above 0 and below 10, not {lr}")


def _check_folder(folder: Path) -> None:
    """Raises UsageError for the folder of an index or a cache, whose files a run's would join."""
    if any((folder / marker).exists() for marker in (INDEX_MARKER, CACHE_MARKER)):
        raise UsageError(f"{folder} is an index or a cache, not a run: choose a new folder")


def _open_cache(
    images: IndexRows | Cache, size: int, folder: Path, team: Team, progress: bool
) -> Cache:
    """The cache; one process makes it, and says what is not in it."""
    if isinstance(images, Cache):
        cache = images
    else:
        if team.leads:
            folder.mkdir(parents=True, exist_ok=True)
            open_cache(images, size, folder / "cache", progress)
        team.wait()
        if not folder.exists():
            raise UsageError(
                f"process {team.rank} does not see {folder}, where the first one has prepared the "
                "images: prepare a cache before, and copy it to every machine"
            )
        cache = Cache.open(folder / "cache")
    if team.leads:
        warn_left_out(cache.left_out)
    if not len(cache):
        raise UsageError("no image could be decoded: there is nothing to learn from")
    return cache


def _name_weights(weights: str | os.PathLike[str] | None) -> list[str] | None:
    """The name of a file of weights and, where it is there, what tells it apart."""
    if weights is None:
        return None
    path = Path(weights)
    if not path.is_file():
        return [str(weights), ""]
    with path.open("rb") as file:
        return [path.name, hashlib.file_digest(file, "sha256").hexdigest()[:16]]


def _describe_material(material: Material, size: int, window: Window) -> dict[str, Any]:
    """What a run is trained on and judged by."""
    counts = {
        part: len(material.items(part, size, window)) if material.has(part) else 0
        for part in (TRAIN, VALID)
    }
    return {
        "images": counts,
        "index_hash": material.cache.index_hash,
        "split_hash": hash_split(material.split),
        "truth_hash": hash_truth(material.truth),
    }


def _describe(
    asked: Mapping[str, Any], material: Material, team: Team, threads: int | None
) -> dict[str, Any]:
    """The configuration of a new run; where it matters, the first process's."""
    import torch

    asked = _plain(asked)
    digest = hashlib.blake2b(json.dumps(asked, sort_keys=True).encode(), digest_size=8)
    mean, std = material.items(TRAIN, asked["size"], as_window(asked["window"])).statistics()
    config: dict[str, Any] = team.share(
        {
            "id": digest.hexdigest(),
            "torch": torch.__version__,
            "threads": threads or max(1, free_cores() // team.here),
            "device": team.device.type,
            "mean": mean,
            "std": std,
            **asked,
        }
    )
    return STAMP.mark(config)


def _compare(folder: Path, config: Mapping[str, Any], asked: Mapping[str, Any], team: Team) -> None:
    """Raises UsageError where the folder, or the first process, has another run than is asked."""
    for name, value in _plain(asked).items():
        if (other := config.get(name)) == value:
            continue
        if team.leads:
            raise UsageError(
                f"{folder} was begun with {name} = {other}, not {value}: the same command goes on "
                "there, another one needs another folder"
            )
        raise UsageError(
            f"process {team.rank} has {name} = {value}, the run {other}: every machine needs the "
            "same command, boxes and cache, or a copy of it"
        )
    team.wait()  # nothing is begun before all have come so far


def _begin(run: Run, material: Material) -> None:
    """What a run's folder has from the start; config.json comes last and makes it a run."""
    if (run.path / "config.json").exists():
        return
    run.path.mkdir(parents=True, exist_ok=True)
    write_table(run.path / "split.parquet", material.split)
    write_table(run.path / "truth.parquet", material.truth.table)
    write_file(run.path / "config.json", json.dumps(run.config, indent=2).encode())


def _plain(asked: Mapping[str, Any]) -> dict[str, Any]:
    """As JSON gives it back."""
    plain: dict[str, Any] = json.loads(json.dumps(asked))
    return plain


def _train(
    run: Run,
    model: Detector,
    material: Material,
    items: Any,
    plan: Plan,
    team: Team,
    progress: bool,
) -> None:
    """Trains, judges and draws."""
    from wetread.learn.plots import draw_run

    scores = Scores(run, material, team)
    with Progress(progress and team.leads, plan.steps, "steps") as bar:
        fit(
            model,
            items,
            plan,
            team,
            run.path / "state.safetensors",
            lambda epoch: bar.say(scores.judge(model, epoch)),
            bar.reach,
        )
    if team.leads and not (run.path / "examples.png").exists():
        scores.finish()
        draw_run(run, material)


def _make_model(run: Run, seed: int, weights: str | os.PathLike[str] | None) -> Detector:
    """The model as training begins: the same for the same seed, in every process."""
    import torch

    with torch.random.fork_rng([]):
        torch.manual_seed(seed)
        model = run.build(run.shape)
    left = load_weights(model, weights) if weights is not None else []
    if left:
        warnings.warn(
            f"{len(left)} tensors of the model are not in {weights}, or have another shape there, "
            f"and begin untrained: {', '.join(left[:4])}",
            UserWarning,
            stacklevel=3,
        )
    return model

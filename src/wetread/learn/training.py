"""Training from the outside: what is asked is checked, kept, done, and drawn."""

from __future__ import annotations

import contextlib
import hashlib
import json
import os
import warnings
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from wetread import __version__
from wetread.boxes.collection import Boxes
from wetread.errors import UsageError
from wetread.learn.cache import Cache, Window
from wetread.learn.detector import Builder, Detector, Shape
from wetread.learn.loop import Plan, Precision, epoch_steps, fit
from wetread.learn.material import (
    TRAIN,
    VALID,
    Material,
    class_ids,
    hash_truth,
    read_material,
)
from wetread.learn.models import Recipe, Task, find_recipe, load_weights
from wetread.learn.run import (
    FORMAT,
    SCHEMA_VERSION,
    Run,
    open_cache,
    read_config,
    require_torch,
    warn_left_out,
    write_file,
    write_table,
)
from wetread.learn.scores import Scores
from wetread.learn.team import Team, free_cores, join_team

if TYPE_CHECKING:
    from wetread.table.store import Indexed

_ENVIRONMENT = ("id", "wetread", "torch", "threads", "device")
"""What a run may be gone on with although it has changed; a change of results is then possible."""


def train(
    images: Indexed | Cache,
    truth: Boxes | str | os.PathLike[str],
    task: Task = "detect",
    model: str | Builder = "small",
    size: int = 512,
    epochs: int = 12,
    out: str | os.PathLike[str] = "run",
    batch: int = 8,
    lr: float | None = None,
    steps: int | None = None,
    seed: int = 0,
    weights: str | os.PathLike[str] | None = None,
    device: str | None = None,
    *,
    window: Window = "auto",
    augment: bool = True,
    precision: Precision = "float32",
    threads: int | None = None,
    workers: int = 0,
    progress: bool = True,
) -> Run:
    """Trains a model to find, or to tell, what is on images.

    The same call goes on where an earlier one was stopped, by a signal or by a crash; on a CPU the
    result is that of a call that was not. Under `torchrun` all processes train one model; GPUs and
    several machines are written after PyTorch's documentation and untested.

    Args:
        images: an index, which is decoded into `out`/cache, or a cache (`wetread.prepare`). Where
            neither has parts, patients are split in 80 % "train" and 20 % "valid".
        truth: boxes of one opinion an image, or a file; images they do not mention are not used,
            images with "nothing" are learnt from as normal.
        task: `"detect"` boxes, or `"classify"` images: each class, and whether there is any.
        model: `"small"` learns on a CPU; `"resnet50"` wants weights and a GPU; or a function that
            makes a model, see `learn.detector`.
        size: the longest side of what the model sees, in pixels.
        epochs: how often each image is seen; the weights of the best one are kept too.
        out: the run's folder.
        batch: images a step and process.
        lr: the highest learning rate; by default the model's.
        steps: steps to take, instead of epochs.
        seed: of everything random.
        weights: to begin with: a file, or "torchvision"; see `learn.models.load_weights`.
        device: "cpu", "cuda", ...; by default a GPU where there is one.
        window: how values become grey; see `Cache.dataset`.
        augment: change pictures a little each time; see `learn.augment`.
        precision: `"bfloat16"` computes in it where PyTorch holds that safe.
        threads: of PyTorch on the CPU; by default the cores that nobody else is busy on.
        workers: processes that read images, for each that trains.
        progress: say on stderr how far it is.

    Returns:
        The run.

    Raises:
        UsageError: boxes that know none of the images or come from several readers, a folder with
            another run in it, no such device.
        UnknownNameError: no such task or model.
        MissingExtraError: PyTorch is not installed.
        StorageError: the folder cannot be written.
    """
    require_torch()
    recipe = find_recipe(task, model)
    _check(size, epochs, batch, steps, lr, threads, workers)
    folder = Path(out)
    with join_team(device) as team:
        cache = _open_cache(images, size, folder, team, progress)
        material = read_material(cache, truth)
        items = material.items(TRAIN, size, window, augment, seed)
        mean, std = material.items(TRAIN, size, window).statistics()
        length = epoch_steps(len(items), batch, team.world)
        plan = Plan(steps or epochs * length, batch, lr or recipe.lr, seed, precision, workers)
        classes = class_ids(material.truth, items.data.classes)
        asked = {
            "task": task,
            "model": recipe.name,
            "classes": classes,
            "size": size,
            "window": window,
            "mean": mean,
            "std": std,
            "augment": augment,
            "steps": plan.steps,
            "batch": batch,
            "lr": plan.lr,
            "seed": seed,
            "precision": precision,
            "weights": _name_weights(weights),
            "world": team.world,
            "images": {
                part: len(material.items(part, size, window)) if material.has(part) else 0
                for part in (TRAIN, VALID)
            },
            "index_hash": cache.index_hash,
            "truth_hash": hash_truth(material.truth),
        }
        config = team.share(_keep_config(folder, asked, material, team, threads))
        run = Run(folder, config, recipe.build)
        with _threads(config["threads"]):
            _train(run, material, items, plan, recipe, weights, team, progress)
    return run


def _check(
    size: int,
    epochs: int,
    batch: int,
    steps: int | None,
    lr: float | None,
    threads: int | None,
    workers: int,
) -> None:
    at_least = {"epochs": (epochs, 1), "batch": (batch, 1), "workers": (workers, 0)}
    at_least |= {"size": (size, 32)}
    at_least |= {n: (v, 1) for n, v in (("steps", steps), ("threads", threads)) if v is not None}
    for name, (value, least) in at_least.items():
        if value < least:
            raise UsageError(f"{name} must be at least {least}, not {value}")
    if lr is not None and not 0 < lr < 10:
        raise UsageError(f"lr must be above 0 and below 10, not {lr}")


def _open_cache(
    images: Indexed | Cache, size: int, folder: Path, team: Team, progress: bool
) -> Cache:
    """The cache; one process makes it, and says what is not in it."""
    if isinstance(images, Cache):
        cache = images
    else:
        folder.mkdir(parents=True, exist_ok=True)
        if team.leads:
            open_cache(images, size, folder / "cache", progress)
        team.agree(False)
        cache = Cache.open(folder / "cache")
    if team.leads:
        warn_left_out(cache)
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


def _keep_config(
    folder: Path, asked: Mapping[str, Any], material: Material, team: Team, threads: int | None
) -> dict[str, Any] | None:
    """The configuration of the run that is there, if it is this one, else of a new one."""
    if not team.leads:
        return None
    import torch

    asked = json.loads(json.dumps(asked))
    known = read_config(folder)
    if known is not None:
        for name, value in asked.items():
            if known.get(name) != value:
                raise UsageError(
                    f"{folder} was begun with {name} = {known.get(name)}, not {value}: the same "
                    "command goes on there, another one needs another folder"
                )
        return known
    digest = hashlib.blake2b(json.dumps(asked, sort_keys=True).encode(), digest_size=8)
    config = {
        "format": FORMAT,
        "schema": SCHEMA_VERSION,
        "id": digest.hexdigest(),
        "wetread": __version__,
        "torch": torch.__version__,
        "threads": threads or max(1, free_cores() // team.world),
        "device": team.device.type,
        **asked,
    }
    folder.mkdir(parents=True, exist_ok=True)
    write_table(folder / "split.parquet", material.split)
    write_table(folder / "truth.parquet", material.truth.table)
    write_file(folder / "config.json", json.dumps(config, indent=2).encode())
    return config


@contextlib.contextmanager
def _threads(count: int) -> Iterator[None]:
    """PyTorch with so many threads; sums depend on their number."""
    import torch

    before = torch.get_num_threads()
    torch.set_num_threads(count)
    try:
        yield
    finally:
        torch.set_num_threads(before)


def _train(
    run: Run,
    material: Material,
    items: Any,
    plan: Plan,
    recipe: Recipe,
    weights: str | os.PathLike[str] | None,
    team: Team,
    progress: bool,
) -> None:
    """Trains, judges and draws."""
    from wetread.learn.curves import draw_run
    from wetread.learn.progress import Steps

    model = _make_model(recipe, run.shape, plan.seed, weights).to(team.device)
    scores = Scores(run, material, team)
    with Steps(plan.steps, progress and team.leads) as bar:
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


def _make_model(
    recipe: Recipe, shape: Shape, seed: int, weights: str | os.PathLike[str] | None
) -> Detector:
    """The model as training begins: the same for the same seed, in every process."""
    import torch

    with torch.random.fork_rng([]):
        torch.manual_seed(seed)
        model = recipe.build(shape)
    if weights is not None:
        left = load_weights(model, weights)
        if left:
            warnings.warn(
                f"{len(left)} tensors of the model are not in {weights}, or have another shape "
                f"there, and begin untrained: {', '.join(left[:4])}",
                UserWarning,
                stacklevel=4,
            )
    return model

"""`wetread train`."""

from __future__ import annotations

import shlex
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from wetread.cli.options import (
    consensus_option,
    json_option,
    number_option,
    quiet_option,
    root_option,
)
from wetread.cli.output import (
    echo,
    open_index,
    print_json,
    resumable,
)
from wetread.cli.picture import parse_window
from wetread.common.text import counted
from wetread.errors import NotFoundError, UsageError

if TYPE_CHECKING:
    from wetread.cache.cache import Cache
    from wetread.index import Index
    from wetread.learn.distributed import ProcessGroup


def device_option(command: Any) -> Any:
    """Option `--device`."""
    text = "PyTorch device, such as cpu or cuda (default: a GPU if available)."
    return click.option("--device", metavar="NAME", help=text)(command)


@click.command()
@click.argument("images", metavar="CACHE|INDEX", type=click.Path())
@click.argument("truth", metavar="BOXES", type=click.Path())
@click.option(
    "-o",
    "--output",
    "to",
    required=True,
    type=click.Path(),
    metavar="RUN",
    help="Run folder.",
)
@click.option(
    "--task", metavar="NAME", default="detect", show_default=True, help="detect or classify."
)
@consensus_option()
@click.option(
    "--model",
    metavar="NAME|FILE.py",
    default="small",
    show_default=True,
    help="small, resnet50, or a FILE.py with a function build.",
)
@click.option(
    "--weights",
    metavar="FILE|torchvision",
    help="Initial weights: a .safetensors or .pth file, or torchvision.",
)
@number_option(
    "--size",
    "Longest side of the model input in pixels (default: 512, or that of a smaller cache).",
)
@click.option(
    "--epochs", metavar="X", type=float, default=12, show_default=True, help="Number of epochs."
)
@number_option("--batch", "Batch size per process.", 8)
@click.option("--lr", metavar="X", type=float, help="Peak learning rate (default: the model's).")
@number_option("--seed", "Random seed.", 0)
@click.option(
    "--window",
    metavar="NAME|CENTER/WIDTH",
    default="auto",
    show_default=True,
    callback=lambda ctx, param, text: parse_window(text),
    help="Window of the model input: auto, file or CENTER/WIDTH.",
)
@click.option("--augment/--no-augment", default=True, help="Augment images at random.")
@click.option(
    "--precision",
    metavar="NAME",
    default="float32",
    show_default=True,
    help="float32 or bfloat16.",
)
@number_option("--workers", "Number of processes that load images.", 0)
@root_option
@device_option
@quiet_option
@json_option
def train(images: str, truth: str, quiet: bool, as_json: bool, **options: Any) -> None:
    """Train a detector or a classifier.

    The run folder contains weights, split, curves and example images. Run the same command again
    to resume. Under torchrun all processes train one model.

    \b
    wetread train train.cache train.csv --consensus wbf -o run/
    wetread train train.cache train.csv --consensus wbf --task classify -o normal/
    torchrun --nproc-per-node 8 -m wetread train train.cache truth.parquet -o run/
    """
    from wetread.boxes.join import joined
    from wetread.boxes.reading import open_boxes
    from wetread.cache.cache import Cache
    from wetread.learn.examples import check_truth

    method = options.pop("consensus")
    source = open_images(images)
    index = source.index if isinstance(source, Cache) else source
    boxes = joined(open_boxes(truth, index), index)
    if method:
        boxes = boxes.consensus(method)
    check_truth(boxes, source)  # before PyTorch, which takes seconds to import
    if not (quiet or _rank()):
        echo("loading PyTorch", err=True)
    from wetread.learn.distributed import process_group
    from wetread.learn.models import find_recipe
    from wetread.learn.run_folder import require_torch
    from wetread.learn.training import check_options
    from wetread.learn.training import train as train_model

    require_torch()
    options["model"] = load_builder(options["model"])
    find_recipe(options["task"], options["model"])
    checked = ("to", "size", "epochs", "batch", "lr", "workers", "precision")
    check_options(**{name: options[name] for name in checked})
    with resumable(), process_group(options["device"]) as processes:
        cache = _prepare(source, Path(options["to"]), options["size"], processes, not quiet)
        if not any(table["part"].drop_null() for table in (cache.rows, boxes.table)):
            cache = cache.split(boxes)
        run = train_model(cache, boxes, progress=not quiet, **options)
    if _rank():
        return
    scores = _last_scores(run)
    if as_json:
        print_json({"run": run.id, "folder": str(run.path), **scores})
        return
    echo(f"{run!r}")
    for name, value in scores["scores"].items():
        echo(f"{value:7.3f}  {name}")
    held_out = (
        f"{counted(scores['images'], 'held-out image')} of {scores['patients']:,} "
        f"patients or groups"
    )
    echo(f"best epoch, on {held_out}")
    folder = shlex.quote(str(run.path))
    runs = f"DETECTOR INDEX --filter {folder}" if run.task == "classify" else f"{folder} INDEX"
    echo(f"\nNext: wetread predict {runs} -o predictions.parquet")


def _prepare(
    source: Index | Cache, folder: Path, size: int | None, processes: ProcessGroup, progress: bool
) -> Cache:
    """The cache, prepared in RUN/cache by the main process if `source` is an index."""
    from wetread.cache.cache import Cache
    from wetread.cache.prepare import prepare
    from wetread.learn.training import SIZE

    if isinstance(source, Cache):
        return source
    if processes.is_main:
        folder.mkdir(parents=True, exist_ok=True)
        prepare(source, folder / "cache", size or SIZE, progress=progress)
    processes.barrier()
    if not folder.exists():
        raise UsageError(
            f"process {processes.rank} cannot find {folder}, where the main process has prepared "
            "the images: prepare a cache first, and copy it to every machine"
        )
    return Cache.open(folder / "cache")


def _last_scores(run: Any) -> dict[str, Any]:
    """Scores of the best epoch, with the numbers of images and patients."""
    from wetread.learn.validation import METRICS

    metric, metrics = METRICS[run.task], run.metrics
    mean = metrics[metrics["name"] == metric]
    scores = {}
    if len(mean):
        best = mean.loc[mean["value"].idxmax(), "step"]
        rows = metrics[(metrics["step"] == best) & metrics["name"].str.startswith(metric)]
        scores = dict(zip(rows["name"], rows["value"].astype(float), strict=True))
    held = run.split.to_pandas().query("part == 'valid'")
    count, groups = run.config["images"]["valid"], int(held["group"].nunique())
    return {"scores": scores, "images": count, "patients": groups}


def _rank() -> int:
    """Rank of this process under torchrun; only rank 0 prints the result."""
    import os

    return int(os.environ.get("RANK", "0"))


def open_images(path: str) -> Index | Cache:
    """Open the cache or the index in a folder."""
    from wetread.cache.cache import MARKER, Cache
    from wetread.index import Index

    if Path(path, MARKER).exists():
        return Cache.open(path)
    return Index.of(open_index(path))


def load_builder(model: str) -> Any:
    """Return the name of a model, or the function `build` of a Python file."""
    if not model.endswith(".py"):
        return model
    from importlib.util import module_from_spec, spec_from_file_location

    path = Path(model)
    if not path.is_file():
        raise NotFoundError(f"{path}: no such file")
    spec = spec_from_file_location(path.stem, path)
    assert spec is not None
    assert spec.loader is not None
    module = module_from_spec(spec)
    sys.modules[path.stem] = module
    spec.loader.exec_module(module)
    if not callable(getattr(module, "build", None)):
        raise UsageError(f"{path} has no function build(shape)")
    return module.build

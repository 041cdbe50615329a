"""Batch prediction, in this process or in the workers of an execution engine."""

from __future__ import annotations

import functools
import threading
import warnings
from collections.abc import Callable, Iterable, Sequence
from contextlib import closing
from dataclasses import asdict, dataclass, replace
from typing import TYPE_CHECKING, Any

import pyarrow as pa
import pyarrow.compute as pc

from wetread.boxes.collection import Boxes
from wetread.boxes.table import BOX_SCHEMA
from wetread.cache.cache import LEFT_OUT, Cache
from wetread.cache.folder import JOINED
from wetread.cache.prepare import prepare
from wetread.common.progress import Progress
from wetread.errors import UsageError
from wetread.headers.schema import CORE, unify
from wetread.images import batch
from wetread.learn.distributed import (
    ProcessGroup,
    count_threads,
    explain_memory,
    find_device,
    use_threads,
)
from wetread.learn.examples import known_parts
from wetread.learn.loop import predict_items
from wetread.learn.models import MODELS
from wetread.learn.prediction import list_boxes, to_boxes
from wetread.learn.run_folder import RunFolder, Weights, weights_path
from wetread.table.merge import conform
from wetread.table.query import query
from wetread.table.rows import IndexRows, check_files
from wetread.workers import Engine

if TYPE_CHECKING:
    from wetread.learn.detector import Detector

FUNCTION = "wetread.learn.inference:predict_part"
_TASK_IMAGES = 64
_TEXTS = ("path", "member", "status", "text")
SCHEMA = pa.schema([*BOX_SCHEMA, ("run", pa.int8()), *((n, pa.string()) for n in _TEXTS)])
"""Rows of `list_boxes` with the number of the run; without a run, rows of `Cache.left_out`."""


@dataclass(frozen=True)
class PredictOptions:
    """Options that do not depend on the images; see `Run.predict`."""

    weights: Weights
    device: str | None
    batch: int
    workers: int


def predict(
    runs: Sequence[RunFolder],
    images: IndexRows | Cache,
    options: PredictOptions,
    progress: bool,
    engine: Engine | None,
) -> tuple[list[Boxes], pa.Table]:
    """Predict the same images with several runs, at the size of the first.

    Returns:
        Boxes per run, and rows of `Cache.left_out`: images that cannot be decoded.
    """
    folder = None if isinstance(images, Cache) else images.folder
    index = None if folder is None else str(folder.absolute())
    if engine is None:
        if not isinstance(images, Cache):
            images = prepare(images, None, runs[0].size, progress=progress)
        device = find_device(options.device)
        models = [(run, run.model(options.weights).to(device)) for run in runs]
        bar = Progress(progress, len(images) * len(models), "frames")
        with bar, use_threads(count_threads()):
            rows = predict_cache(images, models, options, bar.add)
        left_out = images.left_out
    else:
        rows = _map(runs, images, options, progress, engine)
        failed = rows.filter(rows["run"].is_null()).drop_columns(["key"])
        left_out = failed.rename_columns({"image": "id"}).select(LEFT_OUT)
        if isinstance(images, Cache):
            left_out = pa.concat_tables([images.left_out, left_out])
    boxes = [
        to_boxes(rows.filter(pc.equal(rows["run"], number)), run.classes, run.id, index)
        for number, run in enumerate(runs)
    ]
    return boxes, left_out


def predict_cache(
    cache: Cache,
    models: Iterable[tuple[RunFolder, Detector]],
    options: PredictOptions,
    advance: Callable[[int], None] = lambda images: None,
) -> pa.Table:
    """Predict all frames of a cache with several runs: rows of SCHEMA, in order."""
    from wetread.learn.dataset import CacheDataset

    tables = [SCHEMA.empty_table()]
    for number, (run, model) in enumerate(models):
        dataset = CacheDataset(cache, size=run.size, window=run.window)
        with explain_memory(options.batch, run.size, "predict with a smaller batch"):
            predictions = predict_items(
                model,
                dataset,
                range(len(dataset)),
                ProcessGroup(0, 1, next(model.parameters()).device),
                run.config["precision"],
                options.batch,
                options.workers,
                advance,
            )
        rows = list_boxes(predictions, dataset, run.classes, known_parts(cache, run.split))
        rows = rows.append_column("run", pa.array([number] * len(rows), pa.int8()))
        tables.append(conform(rows, SCHEMA))
    return pa.concat_tables(tables)


def warn_left_out(left_out: pa.Table) -> None:
    """Warn about files that cannot be decoded: rows of `Cache.left_out`."""
    if len(left_out):
        names = ", ".join(left_out["path"][:3].to_pylist())
        warnings.warn(
            f"{len(left_out)} files or frames cannot be decoded and are left out, such as {names}; "
            "see the cache's left_out",
            UserWarning,
            stacklevel=3,
        )


def _map(
    runs: Sequence[RunFolder],
    images: IndexRows | Cache,
    options: PredictOptions,
    progress: bool,
    engine: Engine,
) -> pa.Table:
    """Predict with an engine: rows of SCHEMA, in the order of the images."""
    table, source = _list_images(images)
    models = [_describe(run, options) for run in runs]
    parameters = {
        **source,
        "size": runs[0].size,
        "runs": models,
        "options": asdict(replace(options, workers=0)),  # Dask processes cannot have children
    }
    engine = engine.limited(None)
    for folder in (source["root"], *(model["path"] for model in models)):
        engine.check(folder, None)
    size = max(options.batch, _TASK_IMAGES // options.batch * options.batch)  # the same batches
    tasks = [table.slice(at, size) for at in range(0, table.num_rows, size)]
    results = engine.map(FUNCTION, tasks, parameters, _fail)
    total = sum(pc.count_distinct(task["id"]).as_py() for task in tasks)
    bar = Progress(progress, total, "images")
    with closing(results):
        tables = list(bar.track(results, lambda rows: pc.count_distinct(rows["image"]).as_py()))
    rows = pa.concat_tables([SCHEMA.empty_table(), *tables]).combine_chunks()
    at = pc.index_in(rows["image"], value_set=table["id"].combine_chunks())
    if isinstance(images, Cache):  # `Cache.split` is in memory only: workers do not see its groups
        group = table["group"].take(at).combine_chunks()
        rows = rows.set_column(rows.column_names.index("group"), SCHEMA.field("group"), group)
    keys = pa.table({"at": at, "frame": rows["frame"]})
    return rows.take(pc.sort_indices(keys, [("at", "ascending"), ("frame", "ascending")]))


def _list_images(images: IndexRows | Cache) -> tuple[pa.Table, dict[str, Any]]:
    """One row per image, or per frame of a cache, and their source."""
    if isinstance(images, Cache):
        rows = images.rows.select(["id", "path", "member", "frame", "group"])
        folder = str(images.folder)
        source = {"root": folder, "cache": {"folder": folder, "version": images.version}}
        return rows.append_column("number", pa.array(range(len(rows)), pa.int64())), source
    columns = (*batch.COLUMNS, "Rows", "Columns", "NumberOfFrames", *JOINED)
    names = [name for name in dict.fromkeys(columns) if name in images.schema.names]
    listed = ", ".join(f'"{name}"' for name in names)
    rows = query(images, f"SELECT {listed} FROM index WHERE pixel_length IS NOT NULL")
    if not rows.num_rows:
        raise UsageError("no image to predict: no row has pixels")
    check_files(images)
    return rows, {"root": images.root, "cache": None}


def _describe(run: RunFolder, options: PredictOptions) -> dict[str, Any]:
    """Arguments of `_load` for a worker."""
    recipe = MODELS.get((run.task, run.config["model"]))
    if recipe is None or recipe.build is not run.build:
        raise UsageError(f"{run!r} has a custom model: predict without an engine")
    changed = weights_path(run, options.weights).stat().st_mtime_ns
    return {
        "path": str(run.path.absolute()),
        "id": run.id,
        "weights": options.weights,
        "device": options.device,
        "changed": changed,
    }


def _fail(image: pa.Table, status: str, text: str) -> pa.Table:
    """Row of an image, or of a frame of a cache, that crashed its worker."""
    row = conform(image.rename_columns({"id": "image"}), SCHEMA)
    for name, value in (("status", status), ("text", text)):
        row = row.set_column(SCHEMA.get_field_index(name), name, pa.array([value]))
    return row


def predict_part(images: pa.Table, options: dict[str, Any]) -> pa.Table:
    """Worker function of `predict`: rows of SCHEMA."""
    predict_options = PredictOptions(**options["options"])
    with _lock:  # the threads of a worker share one model
        models = [_load(**model) for model in options["runs"]]
        cache = options["cache"] and _open(**options["cache"])
    if cache:
        return predict_cache(cache.take(images["number"]), models, predict_options)
    schema = unify([CORE, images.schema])
    index = IndexRows(options["root"], schema, conform(images, schema))
    cache = prepare(index, None, options["size"], workers=1, progress=False)
    left_out = conform(cache.left_out.rename_columns({"id": "image"}), SCHEMA)
    return pa.concat_tables([predict_cache(cache, models, predict_options), left_out])


_lock = threading.Lock()


@functools.lru_cache(maxsize=4)
def _load(
    path: str,
    id: str,  # noqa: A002
    weights: Weights,
    device: str | None,
    changed: int,
) -> tuple[RunFolder, Detector]:
    run = RunFolder.open(path)
    if run.id != id:
        raise UsageError(f"a worker found a different run in {path}")
    return run, run.model(weights).to(find_device(device))


@functools.lru_cache(maxsize=1)
def _open(folder: str, version: str) -> Cache:
    cache = Cache.open(folder)
    if cache.version != version:
        raise UsageError(f"a worker found a different cache in {folder}")
    return cache

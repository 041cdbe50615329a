"""What runs find on many images: in this process, or chunk by chunk in the workers of an engine."""

from __future__ import annotations

import functools
import threading
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
from wetread.learn.distributed import Team, find_device, free_cores, use_threads
from wetread.learn.examples import known_parts
from wetread.learn.loop import find
from wetread.learn.models import MODELS
from wetread.learn.prediction import list_boxes, to_boxes
from wetread.learn.run import Run, Weights, open_cache, weights_path
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
"""A row of `list_boxes` of the run of that number; without a run, a row of `Cache.left_out`."""


@dataclass(frozen=True)
class How:
    """What does not depend on the images; see `Run.predict`."""

    weights: Weights
    device: str | None
    batch: int
    workers: int


def predict(
    runs: Sequence[Run],
    images: IndexRows | Cache,
    how: How,
    progress: bool,
    engine: Engine | None,
) -> tuple[list[Boxes], pa.Table]:
    """What each of the runs finds on the same pictures, of the first one's size.

    Returns:
        Boxes by run, and the rows of `Cache.left_out`: images that cannot be decoded.
    """
    if engine is None:
        cache = open_cache(images, runs[0].size, progress=progress)
        device = find_device(how.device)
        models = [(run, run.model(how.weights).to(device)) for run in runs]
        bar = Progress(progress, len(cache) * len(models), "pictures")
        with bar, use_threads(free_cores()):
            rows = find_on(cache, models, how, bar.add)
        left = cache.left_out
    else:
        rows = _map(runs, images, how, progress, engine)
        lost = rows.filter(rows["run"].is_null()).drop_columns(["key"])
        left = lost.rename_columns({"image": "id"}).select(LEFT_OUT)
        if isinstance(images, Cache):
            left = pa.concat_tables([images.left_out, left])
    found = [rows.filter(pc.equal(rows["run"], number)) for number in range(len(runs))]
    boxes = [to_boxes(one, run.classes, run.id) for one, run in zip(found, runs, strict=True)]
    return boxes, left


def find_on(
    cache: Cache,
    models: Iterable[tuple[Run, Detector]],
    how: How,
    advance: Callable[[int], None] = lambda images: None,
) -> pa.Table:
    """What runs find on all pictures of a cache: rows of SCHEMA, in order."""
    tables = [SCHEMA.empty_table()]
    for number, (run, model) in enumerate(models):
        data = cache.dataset(None, None, run.size, run.window)
        team = Team(0, 1, next(model.parameters()).device)
        precision = run.config["precision"]
        places = range(len(data))
        found = find(model, data, places, team, precision, how.batch, how.workers, advance)
        rows = list_boxes(found, data, cache, run.classes, known_parts(cache, run.split))
        rows = rows.append_column("run", pa.array([number] * len(rows), pa.int8()))
        tables.append(conform(rows, SCHEMA))
    return pa.concat_tables(tables)


def _map(
    runs: Sequence[Run], images: IndexRows | Cache, how: How, progress: bool, engine: Engine
) -> pa.Table:
    """Rows of SCHEMA, of all tasks, in the order of the images."""
    table, where = _list_images(images)
    models = [_name(run, how) for run in runs]
    # A process of Dask may have no children to read for it.
    options = {
        **where,
        "size": runs[0].size,
        "runs": models,
        "how": asdict(replace(how, workers=0)),
    }
    engine = engine.limited(None)
    for folder in (where["root"], *(said["path"] for said in models)):
        engine.check(folder, None)
    size = max(how.batch, _TASK_IMAGES // how.batch * how.batch)  # batches as without an engine
    tasks = [table.slice(at, size) for at in range(0, table.num_rows, size)]
    results = engine.map(FUNCTION, tasks, options, _failed)
    total = sum(pc.count_distinct(task["id"]).as_py() for task in tasks)
    bar = Progress(progress, total, "images")
    with closing(results):
        found = list(bar.track(results, lambda rows: pc.count_distinct(rows["image"]).as_py()))
    rows = pa.concat_tables([SCHEMA.empty_table(), *found]).combine_chunks()
    at = pc.index_in(rows["image"], value_set=table["id"].combine_chunks())
    keys = pa.table({"at": at, "frame": rows["frame"]})
    return rows.take(pc.sort_indices(keys, [("at", "ascending"), ("frame", "ascending")]))


def _list_images(images: IndexRows | Cache) -> tuple[pa.Table, dict[str, Any]]:
    """A row for every image or picture, and where they are."""
    if isinstance(images, Cache):
        rows = images.rows.select(["id", "path", "member", "frame"])
        folder = str(images.folder)
        where = {"root": folder, "cache": {"folder": folder, "version": images.version}}
        return rows.append_column("place", pa.array(range(len(rows)), pa.int64())), where
    wanted = (*batch.COLUMNS, "Rows", "Columns", "NumberOfFrames", *JOINED)
    names = [name for name in dict.fromkeys(wanted) if name in images.schema.names]
    listed = ", ".join(f'"{name}"' for name in names)
    rows = query(images, f"SELECT {listed} FROM index WHERE pixel_length IS NOT NULL")
    if not rows.num_rows:
        raise UsageError("no image to predict: no row has pixels")
    check_files(images)
    return rows, {"root": images.root, "cache": None}


def _name(run: Run, how: How) -> dict[str, Any]:
    """What a worker needs to load a model, and to know that it has loaded it before."""
    recipe = MODELS.get((run.task, run.config["model"]))
    if recipe is None or recipe.build is not run.build:
        raise UsageError(f"{run!r} has a model that is not wetread's: predict without an engine")
    path = weights_path(run, how.weights)
    said = {"path": str(run.path.absolute()), "id": run.id, "changed": path.stat().st_mtime_ns}
    return {**said, "weights": how.weights, "device": how.device}


def _failed(image: pa.Table, status: str, text: str) -> pa.Table:
    """What becomes of an image, or a picture of a cache, that ended its worker."""
    said = conform(image.rename_columns({"id": "image"}), SCHEMA)
    for name, value in (("status", status), ("text", text)):
        said = said.set_column(SCHEMA.get_field_index(name), name, pa.array([value]))
    return said


def predict_part(images: pa.Table, options: dict[str, Any]) -> pa.Table:
    """What runs find on some images: the engine's function. Rows of SCHEMA."""
    how = How(**options["how"])
    with _lock:  # a worker of several threads loads a model once, too
        models = [_load(**said) for said in options["runs"]]
        whole = options["cache"] and _open(**options["cache"])
    if whole:
        return find_on(whole._take(images["place"]), models, how)
    schema = unify([CORE, images.schema])
    index = IndexRows(options["root"], schema, conform(images, schema))
    cache = prepare(index, None, options["size"], workers=1, progress=False)
    left = conform(cache.left_out.rename_columns({"id": "image"}), SCHEMA)
    return pa.concat_tables([find_on(cache, models, how), left])


_lock = threading.Lock()


@functools.lru_cache(maxsize=4)
def _load(
    path: str,
    id: str,  # noqa: A002
    weights: Weights,
    device: str | None,
    changed: int,
) -> tuple[Run, Detector]:
    run = Run.open(path)
    if run.id != id:
        raise UsageError(f"a worker sees another run in {path}")
    return run, run.model(weights).to(find_device(device))


@functools.lru_cache(maxsize=1)
def _open(folder: str, version: str) -> Cache:
    cache = Cache.open(folder)
    if cache.version != version:
        raise UsageError(f"a worker sees another cache in {folder}")
    return cache

"""Pixel statistics and image-quality metrics of an index, as additional columns."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc

from wetread.display.pipeline import Pipeline, read_pipeline
from wetread.errors import UsageError
from wetread.headers.schema import CORE, PROBLEM_TYPE
from wetread.images import batch
from wetread.measure.statistics import COLUMNS, HASHES, measure
from wetread.pixels import Frame, Frames, read_frame
from wetread.settings import Settings
from wetread.table.changes import still_valid
from wetread.table.extra_columns import (
    join,
    join_index,
    joined_schema,
    latest,
    read_extra,
    write_extra,
)
from wetread.table.parts import Options, locked, write_part
from wetread.table.rows import AnyIndex, check_files
from wetread.workers import Engine

MEANINGS = {
    "px_status": "ok; partial: some frames cannot be decoded; failed, refused, no_access, timeout "
    "or crashed; null without pixels",
    "px_problems": "problems found while decoding; see problems.md",
    **COLUMNS,
}
"""Descriptions of the columns that `Index.measure` adds."""
SCHEMA = pa.schema(
    [
        ("px_status", pa.string()),
        ("px_problems", PROBLEM_TYPE),
        *((name, pa.float64()) for name in COLUMNS if name not in (*HASHES, "px_scale")),
        *((name, pa.string()) for name in HASHES),
        ("px_scale", pa.int32()),
    ]
)
FUNCTION = "wetread.measure.columns:measure_part"
_IDENTITY = ("id", "path", "path_bytes", "member", "member_bytes", "file_size", "mtime_ns")
_BESIDE = "measured"
"""Subfolder of the index folder."""


def measure_images(
    index: AnyIndex,
    size: int | None = None,
    workers: int | None = None,
    progress: bool = True,
    settings: Settings = Settings(),
    engine: Engine | None = None,
) -> AnyIndex:
    """Add the columns of `SCHEMA` to the rows; see `Index.measure`."""
    if size is not None and size < 1:
        raise UsageError(f"size must be at least 1, not {size}")
    options = {"root": index.root, "size": size}

    def measure_rows(images: pa.Table) -> Iterator[pa.Table]:
        if images.num_rows:
            check_files(index)
        return batch.run(FUNCTION, images, options, _failed, workers, progress, settings, engine)

    if index.folder is None:
        tables = list(measure_rows(batch.list_images(index)))
        rows = index.rows
        assert rows is not None
        columns = pa.concat_tables([_empty(), *tables]).select(["id", *SCHEMA.names])
        schema = joined_schema(rows.schema, columns.schema)
        return replace(index, schema=schema, rows=join(rows, columns, schema))
    beside = index.folder / _BESIDE
    with locked(index.folder), locked(beside):
        before, images = read_extra(beside), batch.list_images(index)
        if before is not None and not {*SCHEMA.names} <= {*before.column_names}:
            before = None  # measured by an earlier version
        todo = images if before is None else _outdated(images, before, size)
        scan_options = Options(index.root)
        tables = [] if before is None else [before]

        def commit(rows: pa.Table) -> pa.Table:
            rows = _with_size(rows, size)
            write_part(beside, rows, scan_options)
            return rows

        tables += batch.commit_often(measure_rows(todo), commit, settings)
        columns = latest([_with_size(_empty(), size), *tables])
        # A file that lost its pixels keeps its id: its earlier values are of another content.
        columns = columns.filter(pc.is_in(columns["id"], images["id"].combine_chunks()))
        if columns.num_rows:
            write_extra(beside, columns, scan_options)
        join_index(index.folder, columns.select(["id", *SCHEMA.names]))
    return index.reopen()


def _outdated(images: pa.Table, before: pa.Table, size: int | None) -> pa.Table:
    """Select images that are new, changed, measured at another size, or to be retried."""
    at = pc.index_in(images["id"], value_set=before["id"].combine_chunks())
    then = before.take(at)
    same = at.is_valid().to_numpy()
    same &= still_valid(then, images, "px_status")
    same &= then["px_size"].fill_null(0).to_numpy() == (size or 0)
    return images.filter(pa.array(~same))


def _with_size(rows: pa.Table, size: int | None) -> pa.Table:
    """Add the column `px_size`: rows of another size are measured again."""
    return rows.append_column("px_size", pa.array([size] * rows.num_rows, pa.int64()))


def measure_part(images: pa.Table, options: dict[str, Any]) -> pa.Table:
    """Measure images (worker function)."""
    settings = Settings.from_json(options["settings"])
    rows = [_measure(row, options, settings) for row in images.to_pylist()]
    return _join_rows(images, rows)


def _measure(row: dict[str, Any], options: dict[str, Any], settings: Settings) -> dict[str, Any]:
    """Return the columns of one image. Never raises."""
    problems: dict[str, str] = {}
    failures: list[batch.Problem] = []

    def decoded(frames: Frames) -> Iterator[tuple[Frame, Pipeline]]:
        def decode(number: int) -> tuple[Frame, Pipeline]:
            pipeline = read_pipeline(frames.header, number)
            # A lower resolution mixes padding with its neighbours, so padding cannot be masked.
            size = None if pipeline.padding else options["size"]
            return read_frame(frames, number, size=size, settings=settings), pipeline

        for _, result in batch.map_frames(frames, decode, settings):
            if isinstance(result, batch.Problem):
                failures.append(result)
                continue
            frame, pipeline = result
            for code, text in (*frame.notes, *pipeline.notes):
                problems.setdefault(code, text)
            yield result

    values: dict[str, Any] = {}
    try:
        with batch.open_image(options["root"], row, settings) as (_, frames):
            values = measure(decoded(frames))
    except BaseException as error:  # noqa: BLE001 - re-raised by explain if needed
        values, failures = {}, [batch.explain(error)]
    for failure in failures:
        problems.setdefault(failure.code, failure.text)
    status = failures[0].status if failures else "ok"
    if failures and values.get("px_xxh3"):
        status = "partial"
    return {**values, "px_status": status, "px_problems": _as_structs(problems)}


def _as_structs(problems: dict[str, str]) -> list[dict[str, Any]]:
    return [{"code": c, "tag": None, "offset": None, "text": t} for c, t in problems.items()]


def _join_rows(images: pa.Table, rows: list[dict[str, Any]]) -> pa.Table:
    """Join the identifying columns of images with their measurements."""
    named = images.select(_IDENTITY)
    for field in SCHEMA:
        named = named.append_column(field, pa.array([r.get(field.name) for r in rows], field.type))
    return named


def _failed(image: pa.Table, status: str, text: str) -> pa.Table:
    """Row of an image that crashed its worker."""
    problem = batch.explain_exit(status, text)
    problems = _as_structs({problem.code: problem.text})
    return _join_rows(image, [{"px_status": problem.status, "px_problems": problems}])


def _empty() -> pa.Table:
    return _join_rows(CORE.empty_table(), [])

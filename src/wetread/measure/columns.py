"""The pixels of every image of an index, measured; the numbers become columns."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc

from wetread.display.pipeline import Chain, read_chain
from wetread.errors import UsageError
from wetread.headers.schema import CORE, PROBLEM_TYPE
from wetread.images import batch
from wetread.measure.statistics import COLUMNS, measure
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
    "px_problems": "what decoding found; see problems.md",
    **COLUMNS,
}
"""What `Index.measure` adds to a table."""
_OTHERS = ("px_hash", "px_look", "px_scale")
SCHEMA = pa.schema(
    [
        ("px_status", pa.string()),
        ("px_problems", PROBLEM_TYPE),
        *((name, pa.float64()) for name in COLUMNS if name not in _OTHERS),
        ("px_hash", pa.string()),
        ("px_look", pa.string()),
        ("px_scale", pa.int32()),
    ]
)
FUNCTION = "wetread.measure.columns:measure_part"
_IDENTITY = ("id", "path", "path_bytes", "member", "member_bytes", "file_size", "mtime_ns")
_BESIDE = "measured"
"""The folder in an index folder."""


def measure_images(
    content: AnyIndex,
    size: int | None = None,
    workers: int | None = None,
    progress: bool = True,
    settings: Settings = Settings(),
    engine: Engine | None = None,
) -> AnyIndex:
    """The rows with the columns of `SCHEMA`; see `Index.measure`."""
    if size is not None and size < 1:
        raise UsageError(f"size must be at least 1, not {size}")
    options = {"root": content.root, "size": size}

    def fresh(images: pa.Table) -> Iterator[pa.Table]:
        if images.num_rows:
            check_files(content)
        return batch.run(FUNCTION, images, options, _failed, workers, progress, settings, engine)

    if content.folder is None:
        found = list(fresh(batch.list_images(content)))
        rows = content.rows
        assert rows is not None
        columns = pa.concat_tables([_nothing(), *found]).select(["id", *SCHEMA.names])
        schema = joined_schema(rows.schema, columns.schema)
        return replace(content, schema=schema, rows=join(rows, columns, schema))
    beside = content.folder / _BESIDE
    with locked(content.folder), locked(beside):
        before, images = read_extra(beside), batch.list_images(content)
        todo = images if before is None else _unmeasured(images, before, size)
        kept = Options(content.root)
        found = [] if before is None else [before]

        def keep(rows: pa.Table) -> pa.Table:
            rows = _with_size(rows, size)
            write_part(beside, rows, kept)
            return rows

        found += batch.keep_often(fresh(todo), keep, settings)
        columns = latest([_with_size(_nothing(), size), *found])
        if columns.num_rows:
            write_extra(beside, columns, kept)
        join_index(content.folder, columns.select(["id", *SCHEMA.names]))
    return content.reopen()


def _unmeasured(images: pa.Table, before: pa.Table, size: int | None) -> pa.Table:
    """The images that have changed since, were measured otherwise, or are worth another try."""
    at = pc.index_in(images["id"], value_set=before["id"].combine_chunks())
    then = before.take(at)
    same = at.is_valid().to_numpy()
    same &= still_valid(then, images, "px_status")
    same &= then["px_size"].fill_null(0).to_numpy() == (size or 0)
    return images.filter(pa.array(~same))


def _with_size(rows: pa.Table, size: int | None) -> pa.Table:
    """`px_size`, the size that was asked for, decides whether a row answers a later question."""
    return rows.append_column("px_size", pa.array([size] * rows.num_rows, pa.int64()))


def measure_part(images: pa.Table, options: dict[str, Any]) -> pa.Table:
    """Measures images: the engine's function."""
    settings = Settings.from_json(options["settings"])
    rows = [_measure(row, options, settings) for row in images.to_pylist()]
    return _table(images, rows)


def _measure(row: dict[str, Any], options: dict[str, Any], settings: Settings) -> dict[str, Any]:
    """The columns of one image, whatever happens."""
    problems: dict[str, str] = {}
    failures: list[batch.Problem] = []

    def decoded(frames: Frames) -> Iterator[tuple[Frame, Chain]]:
        def decode(number: int) -> Frame:
            # A lower resolution mixes padding with the pixels beside it, which no mask undoes.
            size = None if read_chain(frames.header, number).padding else options["size"]
            return read_frame(frames, number, size=size, settings=settings)

        for number, found in batch.each_frame(frames, decode, settings):
            if isinstance(found, batch.Problem):
                failures.append(found)
                continue
            chain = read_chain(frames.header, number)
            for code, text in (*found.notes, *chain.notes):
                problems.setdefault(code, text)
            yield found, chain

    values: dict[str, Any] = {}
    try:
        with batch.opened(options["root"], row, settings) as (_, frames):
            values = measure(decoded(frames))
    except BaseException as error:  # noqa: BLE001 - sorted out there
        values, failures = {}, [batch.explain(error)]
    for failure in failures:
        problems.setdefault(failure.code, failure.text)
    status = failures[0].status if failures else "ok"
    if failures and values.get("px_hash"):
        status = "partial"
    return {**values, "px_status": status, "px_problems": _as_structs(problems)}


def _as_structs(problems: dict[str, str]) -> list[dict[str, Any]]:
    return [{"code": c, "tag": None, "offset": None, "text": t} for c, t in problems.items()]


def _table(images: pa.Table, rows: list[dict[str, Any]]) -> pa.Table:
    """Which images they are, beside what was measured."""
    named = images.select(_IDENTITY)
    for field in SCHEMA:
        named = named.append_column(field, pa.array([r.get(field.name) for r in rows], field.type))
    return named


def _failed(image: pa.Table, status: str, text: str) -> pa.Table:
    """What becomes of an image that ended its worker."""
    problem = batch.explain_end(status, text)
    problems = _as_structs({problem.code: problem.text})
    return _table(image, [{"px_status": problem.status, "px_problems": problems}])


def _nothing() -> pa.Table:
    return _table(CORE.empty_table(), [])

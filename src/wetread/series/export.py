"""Export of volumes as NIfTI files, with a manifest.

Files are named by series id, never by header values.
"""

from __future__ import annotations

import os
from contextlib import closing
from dataclasses import asdict
from pathlib import Path
from typing import Any, Literal, get_args

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from wetread.common.exports import replace_export
from wetread.common.files import storage_errors
from wetread.common.progress import Progress
from wetread.errors import GeometryError, UnknownNameError, UsageError
from wetread.images.batch import explain, explain_exit
from wetread.images.export import write_manifest
from wetread.series.nifti import check_path
from wetread.series.table import Series, SeriesStack, SeriesTable
from wetread.series.volume import Grid, Slice, Volume
from wetread.settings import Settings
from wetread.table.rows import IndexRows, all_rows, check_files, encoded_columns
from wetread.workers import LocalEngine
from wetread.workers.local import count_cores

VolumeFormat = Literal["nii.gz", "nii"]
_F, _I, _T = pa.float64(), pa.int64(), pa.string()
SCHEMA = pa.schema(
    [
        ("series_id", _T),
        ("stack_index", _I),
        ("id", _T),
        ("path", _T),
        ("member", _T),
        ("frame", _I),
        ("file", _T),
        ("status", _T),
        ("text", _T),
        ("slices", _I),
        ("rows", _I),
        ("columns", _I),
        ("slice_spacing_mm", _F),
        ("row_spacing_mm", _F),
        ("column_spacing_mm", _F),
        ("divided_by", _T),
        ("dtype", _T),
        ("slope", _F),
        ("intercept", _F),
    ]
)
"""Columns of the manifest; id, path, member and frame are those of the first slice."""
_RESULT = pa.schema(
    SCHEMA.field(name)
    for name in (
        "series_id",
        "stack_index",
        "file",
        "status",
        "text",
        "dtype",
        "slope",
        "intercept",
    )
)
"""Columns that a worker returns."""


_SPACING = ("slice_spacing_mm", "row_spacing_mm", "column_spacing_mm")
Lines = dict[tuple[str, int], dict[str, Any]]
"""Rows of the manifest by series and stack."""


def export_volumes(
    index: IndexRows,
    to: str | os.PathLike[str],
    format: VolumeFormat = "nii.gz",
    workers: int | None = None,
    progress: bool = True,
    settings: Settings = Settings(),
) -> pa.Table:
    """Write every volume of an index as a NIfTI file, and the manifest.

    Volumes are decoded in worker processes: a decoder that crashes costs its volume.

    Args:
        index: rows with the slices.
        to: output folder; files of an earlier export are replaced, or removed.
        format: suffix of the files.
        workers: number of worker processes, at least 1 (default: one per core).
        progress: show a progress bar on stderr.
        settings: limits, and tolerances of the geometry.

    Returns:
        One row per stack. `status` is "ok", or "no_volume" if the slices are none, or as for
        `Index.export`; `text` gives the reason.

    Raises:
        UnknownNameError: no such format.
        UsageError: fewer than one worker.
        MissingExtraError: nibabel is not installed.
        StorageError: the folder cannot be written.
    """
    if format not in get_args(VolumeFormat):
        raise UnknownNameError("format of volumes", format, get_args(VolumeFormat))
    count = count_cores() if workers is None else workers
    if count < 1:
        raise UsageError("volumes are decoded in separate processes: workers must be at least 1")
    folder = Path(os.path.abspath(to))
    check_path(f"a.{format}")
    check_files(index)
    with storage_errors(folder):
        folder.mkdir(parents=True, exist_ok=True)
    if index.chosen is not None:  # a query would run again for every series
        index = IndexRows(index.root, index.schema, rows=all_rows(index))
    lines, volumes = _plan(index, SeriesTable(index, settings, progress), format)
    options = {"root": index.root, "to": str(folder), "settings": asdict(settings)}
    engine = LocalEngine(count).limited(settings.decode_seconds, each=True)
    tasks = (_pack(lines[key], volume) for key, volume in volumes.items())
    results = engine.map("wetread.series.export:export_part", tasks, options, _failed)
    with closing(results):
        for table in Progress(progress, len(volumes), "volumes").track(results):
            for line in table.to_pylist():
                lines[line["series_id"], line["stack_index"]] |= line
    manifest = pa.Table.from_pylist(list(lines.values()), SCHEMA)
    with replace_export(folder):
        write_manifest(manifest, folder)
    return manifest


def _plan(
    index: IndexRows, table: SeriesTable, format: str
) -> tuple[Lines, dict[tuple[str, int], Volume]]:
    """Rows of the manifest of all stacks, and the volumes among them."""
    lines, volumes = Lines(), {}
    for series in table:
        for number, stack in enumerate(series.stacks):
            key = series.series_id, number
            lines[key] = _describe(series, number, stack)
            if stack.is_volume:
                volumes[key] = stack.volume
                name = f"{series.series_id}_{number}" if len(series.volumes) > 1 else key[0]
                lines[key] |= {"file": f"{name}.{format}"}
                lines[key] |= zip(_SPACING, stack.spacing, strict=True)
    places = encoded_columns(index, ["id", "path", "member"])
    ids = pa.array([line["id"] for line in lines.values()], pa.string())
    found = places.take(pc.index_in(ids, value_set=places["id"].combine_chunks()))
    for line, place in zip(lines.values(), found.to_pylist(), strict=True):
        line |= place
    return lines, volumes


def _describe(series: Series, number: int, stack: SeriesStack) -> dict[str, Any]:
    """Row of the manifest of one stack."""
    line = dict.fromkeys(SCHEMA.names) | {
        "series_id": series.series_id,
        "stack_index": number,
        "id": stack.slices[0].id,
        "frame": stack.slices[0].frame,
        "divided_by": ", ".join(f"{k} {v}" for k, v in stack.divided_by.items()) or None,
    }
    line |= zip(("slices", "rows", "columns"), stack.shape, strict=True)
    if not stack.is_volume:
        try:
            stack.volume  # noqa: B018 - the error names the problems
        except GeometryError as error:
            line |= {"status": "no_volume", "text": str(error)}
    return line


def _pack(line: dict[str, Any], volume: Volume) -> pa.Table:
    """Task for a worker: one row with everything that the volume is read from."""
    rows = volume.table.combine_chunks()
    slices = [rows[name].combine_chunks() for name in rows.column_names]
    slices += [pa.array(values) for values in zip(*volume.slices, strict=True)][1:]
    fields = [*rows.schema, pa.field("frame", pa.int64()), pa.field("position", pa.float64())]
    nested = pa.StructArray.from_arrays(slices, fields=fields)
    bounds = pa.array([0, len(nested)], pa.int32())
    columns = {name: [line[name]] for name in ("series_id", "stack_index", "file")}
    grid = {
        "shape": [volume.shape],
        "affine": [volume.affine.ravel()],
        "samples": [volume.grid.samples],
    }
    return pa.table({**columns, **grid, "slices": pa.ListArray.from_arrays(bounds, nested)})


def _unpack(task: dict[str, Any], rows: pa.Table, root: str, settings: Settings) -> Volume:
    """Volume of a row of `_pack`."""
    names = ("id", "frame", "position")
    slices = list(map(Slice, *(rows[name].to_pylist() for name in names)))
    affine = np.array(task["affine"], np.float64).reshape(4, 4)
    grid = Grid(tuple(task["shape"]), affine, task["samples"])
    index = IndexRows(root, rows.schema, rows=rows)
    return Volume(index, np.arange(len(rows)), slices, grid, settings)


def export_part(volumes: pa.Table, options: dict[str, Any]) -> pa.Table:
    """Write volumes (worker function)."""
    settings = Settings.from_json(options["settings"])
    lines = []
    for number, task in enumerate(volumes.drop_columns(["slices"]).to_pylist()):
        rows = pa.Table.from_struct_array(volumes["slices"][number].values)
        line = {name: task[name] for name in ("series_id", "stack_index", "file")}
        try:
            volume = _unpack(task, rows, options["root"], settings)
            saved = volume.save(Path(options["to"], task["file"]))
            lines.append({**line, "status": "ok", **saved._asdict()})
        except BaseException as error:  # noqa: BLE001 - re-raised by explain if needed
            problem = explain(error)
            text = f"{problem.code}: {problem.text}"
            lines.append({**line, "file": None, "status": problem.status, "text": text})
    return pa.Table.from_pylist(lines, _RESULT)


def _failed(volume: pa.Table, status: str, text: str) -> pa.Table:
    """Result for a volume that ended its worker."""
    problem = explain_exit(status, text)
    line = {name: volume[name][0].as_py() for name in ("series_id", "stack_index")}
    line |= {"status": problem.status, "text": f"{problem.code}: {problem.text}"}
    return pa.Table.from_pylist([line], _RESULT)

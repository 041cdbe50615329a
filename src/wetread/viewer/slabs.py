"""Slabs: some slices of a volume, decoded in one task of a worker process."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

import numpy as np
import pyarrow as pa

from wetread.images import batch
from wetread.series.volume import Volume
from wetread.series.voxels import COLUMNS, Part, read_voxels
from wetread.settings import MIB, Settings

KIND = "slab"
"""Kind of these requests."""
_BYTES = 8 * MIB
"""Size of a slab, which is at least one slice."""


def cut(volume: Volume, stored: bool) -> Iterator[tuple[int, pa.Table]]:
    """Yield the first slice of each slab of a volume, and its task, a table of one row.

    Args:
        volume: the volume.
        stored: decode stored values, not modality values.
    """
    _, rows, columns = volume.shape
    count = max(1, _BYTES // max(1, rows * columns * volume.grid.samples * 2))
    frames = pa.array([one.frame for one in volume.slices], pa.int64())
    table = volume.table.select(COLUMNS).append_column("frame", frames)
    request = json.dumps({"kind": KIND, "stored": stored, "shape": [rows, columns]})
    slices = table.to_struct_array().combine_chunks()
    for first in range(0, len(slices), count):
        slab = slices[first : first + count]
        one = pa.ListArray.from_arrays(pa.array([0, len(slab)], pa.int32()), slab)
        yield first, pa.table({"request": [request], "slices": one})


def run(
    task: pa.Table, root: str, request: dict[str, Any], settings: Settings
) -> tuple[dict[str, Any], Any]:
    """Decode a slab; returns shape, type and rescale, or a problem, and the values as bytes."""
    (rows,) = task["slices"].to_pylist()
    parts = [Part(row, row.pop("frame"), place) for place, row in enumerate(rows)]
    size = 8 * _BYTES + 8 * max(row["file_size"] or 0 for row in rows)
    try:
        with batch.bounded_memory(settings.decode_bytes + size):
            shape = request["shape"][0], request["shape"][1]
            voxels = read_voxels(root, parts, shape, settings, stored=request["stored"])
    except BaseException as error:  # noqa: BLE001 - classified by `explain`
        return {"problem": tuple(batch.explain(error))}, b""
    values = np.ascontiguousarray(voxels.values)
    scale = None if voxels.scale is None else [voxels.scale.slope, voxels.scale.intercept]
    metadata = {"shape": values.shape, "dtype": values.dtype.str, "scale": scale}
    return metadata, values.data.cast("B")

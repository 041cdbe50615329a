"""Tables of series, slices and problems, from a collection."""

from __future__ import annotations

from collections import defaultdict
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from wetread.errors import SERIES_PROBLEMS
from wetread.series.build import Collection
from wetread.series.reading import IDENTITY, SHARED
from wetread.series.slices import Bools, Ints
from wetread.table.rows import encoded_columns, fetch_rows

Nulls = Bools | None
_PROBLEM_SCHEMA = pa.schema(
    [
        ("series_id", pa.string()),
        ("code", pa.string()),
        ("severity", pa.string()),
        ("path", pa.string()),
        ("member", pa.string()),
        ("id", pa.string()),
        ("frame", pa.int32()),
        ("slice_position_mm", pa.float64()),
        ("text", pa.string()),
    ]
)


def series_table(collection: Collection) -> pa.Table:
    """One row per series; docs/series.md describes the columns."""
    images = collection.images
    count = len(images.ids)
    columns: dict[str, Any] = {"series_id": pa.array(images.ids, pa.string())}
    for name in IDENTITY:
        columns[name] = pa.array(
            [i[IDENTITY.index(name)] or None for i in images.identities], pa.string()
        )
    for name in SHARED:
        columns[name] = _shared(collection, name)
    columns |= _geometry(collection)
    columns["files"] = pa.array(np.bincount(images.series, minlength=count))
    columns["slices"] = pa.array(np.bincount(collection.slices.series, minlength=count))
    columns["stacks"] = pa.array(collection.stacks)
    columns["volumes"] = pa.array(collection.volumes)
    tilt = collection.tilt
    columns["gantry_tilt_degrees"] = pa.array(tilt, mask=np.isnan(tilt))
    columns["problems"] = _problem_codes(collection)
    return pa.table(columns)


def _shared(collection: Collection, name: str) -> pa.Array:
    """Value of a column that all files of a series share, else null."""
    images = collection.images
    codes = images.codes[name]
    differs = codes != codes[images.first][images.series]
    mixed = np.bincount(images.series[differs], minlength=len(images.ids)) > 0
    values = images.columns[name].take(pa.array(images.first, mask=mixed))
    return values.cast(values.type.value_type) if pa.types.is_dictionary(values.type) else values


def _geometry(collection: Collection) -> dict[str, pa.Array]:
    """Columns of the geometry; null for series without slices."""
    geometry, s, names = collection.geometry, collection.slices, collection.names
    count = len(collection.images.ids)
    at = np.full(count, -1, np.int64)
    at[names] = np.arange(len(names))
    absent = at < 0

    def spread(values: np.ndarray[Any, Any], null: Nulls = None) -> pa.Array:
        if not len(names):
            return pa.nulls(count, pa.from_numpy_dtype(values.dtype))
        hidden = absent if null is None else absent | null[at]
        return pa.array(values[at], mask=hidden)

    def vectors(values: np.ndarray[Any, Any], known: Bools) -> pa.Array:
        rows = [v if k else None for v, k in zip(values.tolist(), known.tolist(), strict=True)]
        return pa.array(rows, pa.list_(pa.float64())).take(pa.array(at, mask=absent))

    first = collection.starts
    regular = geometry.regular.value
    checks = {name: spread(check.value, check.null) for name, check in geometry.checks.items()}
    same = {name: geometry.checks[name].value for name in geometry.checks}
    matrix = s.matrix[first].astype(np.int32)
    unsized = ~same["consistent_image_dimensions"]
    return {
        "Rows": spread(matrix[:, 0], unsized),
        "Columns": spread(matrix[:, 1], unsized),
        "PixelSpacing": vectors(s.spacing[first], same["consistent_pixel_spacing"]),
        "ImageOrientationPatient": vectors(s.orientation[first], same["single_orientation"]),
        **checks,
        "obliquity_degrees": spread(geometry.obliquity, np.isnan(geometry.obliquity)),
        "regularly_spaced_3d_volume": spread(regular, geometry.regular.null),
        "origin_patient": vectors(s.position[first], regular),
        "slice_spacing_mm": spread(geometry.step, ~regular),
    }


def _problem_codes(collection: Collection) -> pa.Array:
    """Distinct codes of each series, in the order of their registry."""
    order = {code: number for number, code in enumerate(SERIES_PROBLEMS)}
    codes: dict[int, set[str]] = defaultdict(set)
    for located in collection.problems:
        codes[located.series].add(located.found.code)
    rows = [
        sorted(codes.get(n, ()), key=order.__getitem__) for n in range(len(collection.images.ids))
    ]
    return pa.array(rows, pa.list_(pa.string()))


def slice_table(collection: Collection) -> pa.Table:
    """One row per slice: id, frame, series_id, stack_index, slice_index, slice_position_mm.

    Sorted by series, stack and place. `stack_index` is null for images without position, also
    `slice_index` for copies.
    """
    s = collection.slices
    ids = encoded_columns(collection.index, ["id"])["id"]
    last = np.iinfo(np.int64).max
    sort_keys = (
        np.where(collection.slice_index < 0, last, collection.slice_index),
        np.where(collection.stack_index < 0, last, collection.stack_index),
        s.series,
    )
    order = np.lexsort(sort_keys) if collection.divided else np.arange(len(s))

    def known(values: np.ndarray[Any, Any], null: Bools) -> pa.Array:
        return pa.array(values[order], mask=null[order])

    names = pa.array(collection.images.ids, pa.string()).dictionary_encode()
    return pa.table(
        {
            "id": ids.take(pa.array(collection.images.row[s.row[order]])),
            "frame": pa.array(np.maximum(s.frame, 0)[order].astype(np.int32)),
            "series_id": names.take(pa.array(s.series[order])),
            "stack_index": known(
                collection.stack_index.astype(np.int32), collection.stack_index < 0
            ),
            "slice_index": known(
                collection.slice_index.astype(np.int32), collection.slice_index < 0
            ),
            "slice_position_mm": known(collection.depth, np.isnan(collection.depth)),
        }
    )


def problem_table(collection: Collection, numbers: Ints, code: str | None = None) -> pa.Table:
    """Problems of some series, one row per problem, by series and severity.

    Args:
        collection: the series.
        numbers: numbers of the series, in order.
        code: only problems with this code.
    """
    s, images = collection.slices, collection.images
    place = {number: at for at, number in enumerate(numbers.tolist())}
    order = {one: number for number, one in enumerate(SERIES_PROBLEMS)}
    located = [
        one
        for one in collection.problems
        if one.series in place and (code is None or one.found.code == code)
    ]
    located.sort(key=lambda one: (place[one.series], order[one.found.code]))
    if not located:
        return _PROBLEM_SCHEMA.empty_table()
    files = [
        [int(s.row[n]) if n >= 0 else int(images.first[one.series]) for n in one.found.slices]
        for one in located
    ]
    every = np.unique([row for rows in files for row in rows])
    fetched = fetch_rows(collection.index, images.row[every], ["id", "path", "member"])
    sources = dict(zip(every.tolist(), fetched.to_pylist(), strict=True))
    records = []
    for one, rows in zip(located, files, strict=True):
        n = one.found.slices[0]
        names = [_name(sources[row], s, k) for row, k in zip(rows, one.found.slices, strict=True)]
        source = sources[rows[0]]
        depth = one.found.depth
        if depth is None and n >= 0 and not np.isnan(collection.depth[n]):
            depth = float(collection.depth[n])
        records.append(
            {
                "series_id": images.ids[one.series],
                "code": one.found.code,
                "severity": SERIES_PROBLEMS[one.found.code].severity,
                **{name: source[name] for name in ("path", "member", "id")},
                "frame": max(int(s.frame[n]), 0) if n >= 0 and s.record[n] >= 0 else None,
                "slice_position_mm": depth,
                "text": one.found.text.format(*names) if len(names) > 1 else one.found.text,
            }
        )
    return pa.Table.from_pylist(records, _PROBLEM_SCHEMA)


def _name(source: dict[str, Any], s: Any, number: int) -> str:
    """File, archive member and frame of a slice."""
    frame = f" frame {s.frame[number]}" if number >= 0 and s.record[number] >= 0 else ""
    return f"{source['path']} {source['member'] or ''}".strip() + frame


def count_problems(collection: Collection) -> dict[str, int]:
    """Number of problems per code, the most frequent first."""
    counts = pc.value_counts(pa.array([one.found.code for one in collection.problems], pa.string()))
    pairs = [(one["values"], one["counts"]) for one in counts.to_pylist()]
    return dict(sorted(pairs, key=lambda pair: (-pair[1], pair[0])))

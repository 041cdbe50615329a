"""Table of the frames of multi-frame images, read from their functional groups.

A parameter of a frame is in its item of the Per-Frame Functional Groups Sequence, else in the
Shared one, else in the data set (PS3.3 C.7.6.16).
"""

from __future__ import annotations

import warnings
from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING, Any

import pyarrow as pa

from wetread.common.arrays import array
from wetread.common.progress import Progress
from wetread.headers.dictionary import TAG_OF
from wetread.headers.macros import MACROS
from wetread.headers.schema import column_of
from wetread.pixels.access import items, read_numbers, texts
from wetread.settings import Settings
from wetread.sources.find import path_and_member
from wetread.table.rows import IndexRows, fetch_rows

if TYPE_CHECKING:
    from pydicom.dataset import Dataset

    from wetread.series.slices import Ints


def _widest(kind: pa.DataType) -> pa.DataType:
    """Type of a column of the table; integers have 64 bits."""
    if pa.types.is_list(kind):
        return pa.list_(_widest(kind.value_type))
    return pa.int64() if pa.types.is_integer(kind) else kind


FIELDS = {name: _widest(column_of(TAG_OF[name]).type) for name in MACROS}
"""Columns of the table: the elements of the macros, and their types."""
SCHEMA = pa.schema([("id", pa.string()), ("frame", pa.int32()), *FIELDS.items()])
_SOURCE = ("id", "path", "path_bytes", "member", "member_bytes", "file_size", "etag")
"""Columns of the index with which a file is opened."""
_ABSENT = object()
"""Element that is not there; None stands for one that cannot be read."""
_MOST_FRAMES = 1_000_000
"""Most frames of one image; more are a damaged number."""


def read_frames(
    index: IndexRows, rows: Ints, settings: Settings = Settings(), progress: bool = False
) -> pa.Table:
    """Read the functional groups of some images: one row per frame, in order.

    An image without functional groups per frame, or with a header that cannot be read, has no rows.

    Args:
        index: the index of the images.
        rows: row numbers of the images.
        settings: limits.
        progress: show a progress bar on stderr.

    Returns:
        `id`, `frame` from 0, and the columns `FIELDS`; null for absent and unreadable values.
    """
    sources = fetch_rows(index, rows, _SOURCE).to_pylist()
    columns: dict[str, list[Any]] = {name: [] for name in SCHEMA.names}
    for source in Progress(progress and len(sources) > 1, len(sources)).track(sources):
        for record in _read_image(index.root, source, settings):
            for name, values in columns.items():
                values.append(record[name])
    arrays = [array(columns[field.name], field.type) for field in SCHEMA]
    return pa.Table.from_arrays(arrays, schema=SCHEMA)


def _read_source(root: str, source: Mapping[str, Any], settings: Settings) -> Dataset | None:
    """Read the header of a file with the columns `_SOURCE`; None if it cannot be read."""
    from wetread.headers.dataset import read_dataset

    path, member = path_and_member(source)
    try:
        return read_dataset(root, path, member, settings, source["file_size"], source["etag"])
    except Exception:  # noqa: BLE001 - pydicom raises many kinds for damaged headers
        return None


def _read_image(
    root: str, source: Mapping[str, Any], settings: Settings
) -> Iterator[dict[str, Any]]:
    header = _read_source(root, source, settings)
    if header is None:
        return
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        shared = items(header, "SharedFunctionalGroupsSequence")[:1]
        per_frame = items(header, "PerFrameFunctionalGroupsSequence")[:_MOST_FRAMES]
        common = {name: _read(name, [*shared, header]) for name in FIELDS}
        stated = read_numbers(header, "NumberOfFrames").first or 0
        rest = int(min(stated, _MOST_FRAMES)) - len(per_frame)
        for number, group in enumerate([*per_frame, *[None] * rest] if per_frame else []):
            if group is None:  # a frame without groups: nothing is known of it
                yield {"id": source["id"], "frame": number, **dict.fromkeys(FIELDS)}
                continue
            values = {name: _read(name, [group]) for name in FIELDS}
            values = {n: common[n] if v is _ABSENT else v for n, v in values.items()}
            values = {n: None if v is _ABSENT else v for n, v in values.items()}
            yield {"id": source["id"], "frame": number, **values}


def _read(name: str, levels: list[Dataset]) -> Any:
    """Value of a column in the first data set that has it; None if it cannot be read there."""
    for level in levels:
        for group in _groups(level, name):
            value = _convert(group, name, FIELDS[name])
            if value is not _ABSENT:
                return value
    return _ABSENT


def _groups(level: Dataset, name: str) -> list[Dataset]:
    """Items in which an element may be; the data set itself is the last."""
    found = []
    for macro in MACROS[name]:
        inner = [level]
        for sequence in macro.split("/"):
            inner = [item for one in inner for item in items(one, sequence)[:1]]
        found += inner
    return [*found, level]


def _convert(group: Dataset, name: str, kind: pa.DataType) -> Any:
    many = pa.types.is_list(kind)
    one = kind.value_type if many else kind
    if pa.types.is_string(one):
        values: list[Any] = [*texts(group, name)]
    else:
        numbers = read_numbers(group, name)
        if numbers.unreadable:
            return None
        whole = pa.types.is_integer(one)
        values = [int(n) if whole else n for n in numbers.values if n is not None]
    if not values:
        return _ABSENT
    return values if many else values[0]

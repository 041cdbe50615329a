"""Training cache: decoded frames, memory-mapped, with the transform back to stored pixels.

    train.cache/
        wetread-cache.json       marker: format, schema, and the name of the current table
        tables/<name>.parquet    one row per frame, and one per file that could not be decoded
        commits/<name>.parquet   such rows of an unfinished run: their frames are synced to disk
        shards/<name>.npy        concatenated frames, uint16 in one dimension

Files are written under a temporary name, synced and renamed; shards are appended to instead, and
bytes that no row refers to are ignored. A shard that a table refers to is never written again.
"""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import replace
from functools import cached_property
from pathlib import Path
from typing import Any, Literal

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from wetread.boxes.collection import Boxes
from wetread.cache.shards import ShardReader, hash_pixels, shard_path, shard_sizes
from wetread.common.files import hash_file
from wetread.common.stamp import Stamp
from wetread.common.text import counted
from wetread.errors import CacheError, NotFoundError, UsageError
from wetread.headers.schema import CORE, unify
from wetread.splits import PIXEL_HASH, split_rows
from wetread.table.merge import conform
from wetread.table.rows import IndexRows

STAMP = Stamp("wetread-cache", 1, CacheError, "prepare into a new folder")
MARKER = "wetread-cache.json"
WindowOption = Literal["auto", "file"] | tuple[float, float]
VIEW = pa.struct([("center", pa.float64()), ("width", pa.float64()), ("function", pa.string())])
NAMED = ("SOPInstanceUID", "MediaStorageSOPInstanceUID", "PatientID", "StudyInstanceUID")
"""Index columns for joining boxes and grouping by patient."""
SCHEMA = pa.schema(
    [
        ("id", pa.string()),
        ("frame", pa.int32()),
        ("path", pa.string()),
        ("member", pa.string()),
        *((name, pa.string()) for name in NAMED),
        ("group", pa.string()),
        ("part", pa.string()),
        ("rows", pa.int32()),
        ("columns", pa.int32()),
        ("height", pa.int32()),
        ("width", pa.int32()),
        ("scale_x", pa.float64()),
        ("scale_y", pa.float64()),
        ("shard", pa.string()),
        ("place", pa.int64()),
        ("scale", pa.float64()),
        ("offset", pa.float64()),
        ("photometric", pa.string()),
        ("invert", pa.bool_()),
        ("view", VIEW),
        ("auto_low", pa.float64()),
        ("auto_high", pa.float64()),
        ("hash", pa.string()),
        ("file_size", pa.int64()),
        ("mtime_ns", pa.int64()),
        ("status", pa.string()),
        ("text", pa.string()),
    ]
)
"""Stored size `rows` x `columns`, cached size `height` x `width`: cached = stored * (scale_x,
scale_y). Modality value = `offset` + `scale` * pixel. `place`: offset in the shard, in pixels."""
LEFT_OUT = ("id", "path", "member", "frame", "status", "text")


class Cache:
    """Decoded frames of an index, made by `wetread.prepare`; `len(cache)` is their number.

    Pixels are memory-mapped, so a cache may be larger than the memory, and processes share it.
    Pickles as its path.
    """

    def __init__(self, folder: Path, marker: dict[str, Any], rows: pa.Table | None = None) -> None:
        self.folder = folder
        self._marker = marker
        self._selected = rows
        self._source: Cache | None = None
        """The cache that these rows are from: a temporary folder is removed with it."""

    @classmethod
    def open(cls, path: str | os.PathLike[str]) -> Cache:
        """Open a cache folder; checks the hash of its table and the size of every shard.

        Raises:
            NotFoundError: there is no such folder.
            CacheError: not a cache, damaged, unfinished, or of another schema version.
        """
        folder = Path(os.path.abspath(path))
        marker = read_marker(folder)
        if marker["table"] is None:
            raise CacheError(f"{folder} is not finished; run the same prepare again to resume")
        cache = cls(folder, marker)
        cache._check()
        return cache

    @property
    def size(self) -> int:
        """Maximum length of the longest side, in pixels."""
        return int(self._marker["size"])

    @property
    def version(self) -> str:
        """Name of the current table; changes when frames are added or decoded again."""
        return str(self._marker["table"])

    @property
    def index_hash(self) -> str:
        """Fingerprint of the source files, their ids and sizes: 16 hex digits."""
        return str(self._marker["index_hash"])

    @cached_property
    def rows(self) -> pa.Table:
        """One row per frame, in the order of the index, then of the frames."""
        if self._selected is not None:
            return self._selected
        rows = self._all_rows.filter(pc.equal(self._all_rows["status"], "ok"))
        return rows.drop_columns(["status", "text"]).combine_chunks()

    @cached_property
    def left_out(self) -> pa.Table:
        """Files and frames without pixels: id, path, member, frame (null: all), status, text."""
        failed = pc.not_equal(self._all_rows["status"], "ok")
        return self._all_rows.filter(failed).select(LEFT_OUT)

    @cached_property
    def _all_rows(self) -> pa.Table:
        return read_rows(table_path(self.folder, self.version))

    @cached_property
    def _reader(self) -> ShardReader:
        return ShardReader(self.folder, self.rows)

    def take(self, numbers: pa.Array | pa.ChunkedArray) -> Cache:
        """The frames with these row numbers, as a cache in the same folder."""
        return self._with_rows(self.rows.take(numbers))

    def _with_rows(self, rows: pa.Table) -> Cache:
        cache = Cache(self.folder, self._marker, rows)
        cache._source = self
        return cache

    def split(
        self,
        boxes: Boxes | None = None,
        parts: Mapping[str, float] | None = None,
        by: str | None = None,
        seed: int = 0,
    ) -> Cache:
        """Split the images into parts, for a cache of an index that was not split.

        As `wetread.split`; duplicate images are found by the pixels in the cache, so no file is
        read. The folder stays as it is.

        Args:
            boxes: labels to distribute evenly.
            parts: name and share of each part (default: 0.8 "train" and 0.2 "valid").
            by: column that identifies the patient (default: as in `wetread.split`).
            seed: random seed.

        Raises:
            UsageError: shares that do not add up to 1, or fewer groups than parts.

        Warns:
            UserWarning: the patient is not known for every image.
        """
        images = self.index.rows
        assert images is not None
        first = pc.index_in(images["id"], value_set=self.rows["id"].combine_chunks())
        images = images.append_column(PIXEL_HASH, self.rows["hash"].take(first))
        images = images.append_column("px_scale", pa.nulls(len(images), pa.int32()))
        index = replace(self.index, schema=images.schema, rows=images)
        split = split_rows(index, boxes, parts, by=by, seed=seed).rows
        assert split is not None
        at = pc.index_in(self.rows["id"], value_set=split["id"].combine_chunks())
        rows = self.rows
        for name in ("group", "part"):
            column = split[name].take(at).combine_chunks()
            rows = rows.set_column(rows.column_names.index(name), SCHEMA.field(name), column)
        return self._with_rows(rows)

    @property
    def index(self) -> IndexRows:
        """One row per image, with the index columns that boxes need: `boxes.join(cache.index)`."""
        names = ["path", "member", *NAMED, "group", "part", "rows", "columns"]
        rows = self.rows.group_by("id", use_threads=False).aggregate([(n, "min") for n in names])
        sizes = {"rows": "Rows", "columns": "Columns"}
        columns = {sizes.get(name, name): rows[f"{name}_min"] for name in names}
        empty = [name for name in ("group", "part") if not columns[name].drop_null()]
        known = {name: column for name, column in columns.items() if name not in empty}
        length = pa.array([0] * len(rows), CORE.field("pixel_length").type)
        table = pa.table({"id": rows["id"], **known, "pixel_length": length})
        schema = unify([CORE, table.schema])
        return IndexRows(self._marker["root"], schema, conform(table, schema))

    def read(self, i: int) -> NDArray[np.uint16]:
        """Pixels of row `i`, uint16 (height, width), memory-mapped and read-only.

        Raises:
            IndexError: there is no such row.
            CacheError: its shard cannot be read.
        """
        return self._reader.read(i)

    def values(self, i: int) -> NDArray[np.float32]:
        """Modality values of row `i`, float32 (height, width), not clipped; HU for CT."""
        scale, offset = (self.rows[name][i].as_py() for name in ("scale", "offset"))
        values: NDArray[np.float32] = (self.read(i) * np.float64(scale) + offset).astype(np.float32)
        return values

    def verify(self) -> None:
        """Read every frame and compare its hash.

        Raises:
            CacheError: frames are damaged; names some.
        """
        rows = zip(*(self.rows[n].to_pylist() for n in ("hash", "path", "frame")), strict=True)
        bad = [
            f"{path} frame {frame}"
            for i, (hash_, path, frame) in enumerate(rows)
            if hash_pixels(self.read(i)) != hash_
        ]
        if bad:
            raise CacheError(
                f"{self.folder}: {len(bad)} of {len(self)} frames are damaged, such as "
                f"{', '.join(bad[:3])}; prepare into a new folder"
            )

    def _check(self) -> None:
        path = table_path(self.folder, self.version)
        if not path.is_file() or hash_file(path) != self._marker["hash"]:
            raise CacheError(f"{path} is damaged: its hash differs; prepare into a new folder")
        for shard, size in shard_sizes(self.rows).items():
            file = shard_path(self.folder, shard)
            if not file.is_file() or file.stat().st_size < size:
                raise CacheError(f"{file} is missing or truncated; prepare into a new folder")

    def __len__(self) -> int:
        return int(self.rows.num_rows)

    def __reduce__(self) -> tuple[Any, ...]:
        return Cache, (self.folder, self._marker, self._selected)

    def __repr__(self) -> str:
        left = f", {len(self.left_out)} left out" if len(self.left_out) else ""
        return (
            f"<Cache: {counted(len(self), 'frame')} of at most {self.size} pixels in "
            f"{self.folder}{left}>"
        )


def open_cache(cache: Cache | str | os.PathLike[str]) -> Cache:
    """Open a cache by its path; return a `Cache` unchanged.

    Raises:
        UsageError: neither a cache nor a path.
        NotFoundError or CacheError: as `Cache.open`.
    """
    if isinstance(cache, Cache):
        return cache
    if not isinstance(cache, str | os.PathLike):
        raise UsageError(f"{cache!r} is not a cache: wr.prepare(index, folder) builds one")
    return Cache.open(cache)


def table_path(folder: Path, name: str) -> Path:
    """Path of a table."""
    return folder / "tables" / f"{name}.parquet"


def read_rows(*paths: Path) -> pa.Table:
    """Concatenated rows of tables and commits."""
    import pyarrow.parquet as pq

    try:
        tables = [pq.read_table(path, columns=SCHEMA.names) for path in paths]
    except (pa.ArrowException, OSError) as error:
        raise CacheError(f"{' or '.join(map(str, paths))} is damaged: {error}") from error
    return pa.concat_tables([SCHEMA.empty_table(), *tables])


def read_marker(folder: Path) -> dict[str, Any]:
    """Content of the marker file of a cache folder.

    Raises:
        NotFoundError: there is no such folder.
        CacheError: not a cache, or of another schema version.
    """
    path = folder / MARKER
    if not folder.exists():
        raise NotFoundError(f"{folder}: no such cache")
    if not path.is_file():
        raise CacheError(
            f"{folder} is not a cache: it has no {MARKER}; wr.prepare(index, folder) builds one"
        )
    marker = STAMP.read(path)
    texts = [marker.get("table")]
    texts += [marker.get(name) for name in ("root", "index_hash", "hash") if name in marker]
    finished = all(isinstance(text, str) for text in texts)
    if not isinstance(marker.get("size"), int) or not (finished or texts == [None]):
        raise CacheError(f"{path} is damaged: {marker}; {STAMP.remedy}")
    return marker

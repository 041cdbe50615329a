"""A cache: pictures decoded once, memory-mapped, and the way back to their files.

    train.cache/
        wetread-cache.json       what this folder is, and which table counts
        tables/<name>.parquet    a line for every picture, and for every file that gave none
        commits/<name>.parquet   such lines of a run under way: these pictures are safe
        shards/<name>.npy        pictures one after the other, uint16 in one dimension

A file is written under a temporary name, synced and renamed, but for the shards: they grow, and
what no line names of them does not count. A shard that a table names is never written again.
"""

from __future__ import annotations

import os
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from wetread.cache.shards import Pictures, ends, hash_picture, shard_path
from wetread.common.files import hash_file
from wetread.common.stamp import Stamp
from wetread.errors import CacheError, NotFoundError
from wetread.headers.schema import CORE, unify
from wetread.table.merge import conform
from wetread.table.rows import IndexRows

if TYPE_CHECKING:
    from wetread.boxes.collection import Boxes
    from wetread.learn.augment import Augment
    from wetread.learn.dataset import Images

STAMP = Stamp("wetread-cache", 1, CacheError, "prepare into a new folder")
MARKER = "wetread-cache.json"
Window = Literal["auto", "file"] | tuple[float, float]
VIEW = pa.struct([("center", pa.float64()), ("width", pa.float64()), ("function", pa.string())])
NAMED = ("SOPInstanceUID", "MediaStorageSOPInstanceUID", "PatientID", "StudyInstanceUID")
"""Columns of the index that boxes are joined and patients told apart by."""
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
"""`rows` x `columns` are stored, `height` x `width` kept: kept = stored * (scale_x, scale_y). A
modality value is `offset` + `scale` * pixel. `place` counts the pixels of the shard before it."""
LEFT_OUT = ("id", "path", "member", "frame", "status", "text")


class Cache:
    """Pictures of an index, made by `wetread.prepare`: `len(cache)` of them.

    What is read of it is mapped from the disk, so it may be larger than the memory, and processes
    share it. It can be pickled, as its path.
    """

    def __init__(self, folder: Path, said: dict[str, Any], some: pa.Table | None = None) -> None:
        self.folder = folder
        self._said = said
        self._some = some

    @classmethod
    def open(cls, path: str | os.PathLike[str]) -> Cache:
        """The cache in a folder: its table is checked by hash, of its shards that they are there.

        Raises:
            NotFoundError: there is no such folder.
            CacheError: it is no cache, damaged, another version's, or not finished.
        """
        folder = Path(os.path.abspath(path))
        said = read_marker(folder)
        if said["table"] is None:
            raise CacheError(f"{folder} is not finished; the same prepare again goes on from there")
        cache = cls(folder, said)
        cache._check()
        return cache

    @property
    def size(self) -> int:
        """The longest side that a picture may have."""
        return int(self._said["size"])

    @property
    def version(self) -> str:
        """The name of its table: another one when pictures were added or changed."""
        return str(self._said["table"])

    @property
    def index_hash(self) -> str:
        """16 hex digits of the files that it was made of: their ids and sizes."""
        return str(self._said["index_hash"])

    @cached_property
    def rows(self) -> pa.Table:
        """A row for every picture, in the order of the index, then of the frames."""
        if self._some is not None:
            return self._some
        rows = self._lines.filter(pc.equal(self._lines["status"], "ok"))
        return rows.drop_columns(["status", "text"]).combine_chunks()

    @cached_property
    def left_out(self) -> pa.Table:
        """What could not be decoded: id, path, member, frame (null: all), status, text."""
        return self._lines.filter(pc.not_equal(self._lines["status"], "ok")).select(LEFT_OUT)

    @cached_property
    def _lines(self) -> pa.Table:
        return read_lines(table_path(self.folder, self._said["table"]))

    @cached_property
    def _pictures(self) -> Pictures:
        return self.pictures(self.rows)

    def _take(self, places: pa.Array | pa.ChunkedArray) -> Cache:
        """The pictures of some of its rows, as a cache on the same disk."""
        return Cache(self.folder, self._said, self.rows.take(places))

    def pictures(self, rows: pa.Table) -> Pictures:
        """The pictures of some of the rows, by their place among them."""
        return Pictures(self.folder, rows)

    @property
    def index(self) -> IndexRows:
        """The images as an index has them, as far as boxes need it: `boxes.join(cache.index)`."""
        names = ["path", "member", *NAMED, "group", "part", "rows", "columns"]
        rows = self.rows.group_by("id", use_threads=False).aggregate([(n, "min") for n in names])
        sizes = {"rows": "Rows", "columns": "Columns"}
        found = {sizes.get(name, name): rows[f"{name}_min"] for name in names}
        empty = [name for name in ("group", "part") if not found[name].drop_null()]
        known = {name: column for name, column in found.items() if name not in empty}
        length = pa.array([0] * len(rows), CORE.field("pixel_length").type)
        table = pa.table({"id": rows["id"], **known, "pixel_length": length})
        schema = unify([CORE, table.schema])
        return IndexRows(self._said["root"], schema, conform(table, schema))

    def read(self, i: int) -> NDArray[np.uint16]:
        """The picture of a row, uint16 (height, width), mapped: not to be written to.

        Raises:
            IndexError: there is no such row.
            CacheError: its shard is not there any more.
        """
        return self._pictures.read(i)

    def values(self, i: int) -> NDArray[np.float32]:
        """Its modality values, float32 (height, width), not clipped: HU of a CT."""
        scale, offset = (self.rows[name][i].as_py() for name in ("scale", "offset"))
        values: NDArray[np.float32] = (self.read(i) * np.float64(scale) + offset).astype(np.float32)
        return values

    def dataset(
        self,
        truth: Boxes | None = None,
        part: str | None = None,
        size: int | None = None,
        window: Window = "auto",
        augment: bool | Augment = False,
        seed: int = 0,
    ) -> Images:
        """Pictures and targets for PyTorch; see `learn.dataset.Images`."""
        from wetread.learn.dataset import Images

        return Images(self, truth, part, size, window, augment, seed)

    def verify(self) -> None:
        """Reads every picture and compares its hash.

        Raises:
            CacheError: pictures are not what was written; names some.
        """
        rows = zip(*(self.rows[n].to_pylist() for n in ("hash", "path", "frame")), strict=True)
        bad = [
            f"{path} frame {frame}"
            for i, (hash_, path, frame) in enumerate(rows)
            if hash_picture(self.read(i)) != hash_
        ]
        if bad:
            raise CacheError(
                f"{self.folder}: {len(bad)} of {len(self)} pictures are damaged, such as "
                f"{', '.join(bad[:3])}; prepare into a new folder"
            )

    def _check(self) -> None:
        path = table_path(self.folder, self._said["table"])
        if not path.is_file() or hash_file(path) != self._said["hash"]:
            raise CacheError(f"{path} is not what was written; prepare into a new folder")
        for shard, end in ends(self.rows).items():
            file = shard_path(self.folder, shard)
            if not file.is_file() or file.stat().st_size < end:
                raise CacheError(f"{file} is shorter than it was; prepare into a new folder")

    def __len__(self) -> int:
        return int(self.rows.num_rows)

    def __reduce__(self) -> tuple[Any, ...]:
        return Cache, (self.folder, self._said, self._some)

    def __repr__(self) -> str:
        left = f", {len(self.left_out)} left out" if len(self.left_out) else ""
        return f"<Cache: {len(self):,} pictures of at most {self.size} in {self.folder}{left}>"


def table_path(folder: Path, name: str) -> Path:
    """Where the table is."""
    return folder / "tables" / f"{name}.parquet"


def read_lines(*paths: Path) -> pa.Table:
    """The lines of tables and commits, in the order of the paths."""
    import pyarrow.parquet as pq

    try:
        tables = [pq.read_table(path, columns=SCHEMA.names) for path in paths]
    except (pa.ArrowException, OSError) as error:
        raise CacheError(f"{' or '.join(map(str, paths))} is damaged: {error}") from error
    return pa.concat_tables([SCHEMA.empty_table(), *tables])


def read_marker(folder: Path) -> dict[str, Any]:
    """What the folder says of itself.

    Raises:
        NotFoundError: there is no such folder.
        CacheError: it is no cache, or of another schema version.
    """
    path = folder / MARKER
    if not folder.exists():
        raise NotFoundError(f"{folder}: no such cache")
    if not path.is_file():
        raise CacheError(f"{folder} is not a cache: it has no {MARKER}")
    said = STAMP.read(path)
    texts = [said.get("table"), *(said.get(n) for n in ("root", "index_hash", "hash") if n in said)]
    finished = all(isinstance(text, str) for text in texts)
    if not isinstance(said.get("size"), int) or not (finished or texts == [None]):
        raise CacheError(f"{path} is damaged: {said}; {STAMP.remedy}")
    return said

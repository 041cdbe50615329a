"""The index folder: immutable Parquet parts, one commit per part, and one generation over all.

    train.index/
        wetread-index.json              marker with the schema version
        parts/<name>.parquet            rows in the order of (path, member) bytes
        commits/<name>.json             a part of an unfinished scan
        commits/generation-000001.json  a finished scan: its parts in order

Files are written atomically: under a temporary name, synced, then renamed. Files that no generation
or commit names are left over from a killed scan; the next scan removes them.
"""

from __future__ import annotations

import base64
import contextlib
import time
import uuid
from collections.abc import Iterable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict, dataclass, field
from datetime import UTC, datetime
from functools import partial
from pathlib import Path
from typing import Any

import pyarrow as pa

from wetread import __version__
from wetread.common.arrays import scalar, whole_array
from wetread.common.files import TEMPORARY, checksum, storage_errors, whole_file
from wetread.common.stamp import Stamp
from wetread.common.store import Store
from wetread.errors import IndexFormatError, NotFoundError
from wetread.headers.schema import CORE_NAMES
from wetread.sources.find import INDEX_MARKER
from wetread.table.mirror import push

STAMP = Stamp("wetread-index", 2, IndexFormatError, "scan into a new folder")
SHARDS = "shards"
"""Folder of the shards in an index that many jobs scan."""
STORE = Store(
    STAMP, INDEX_MARKER, INDEX_MARKER, ("parts", "commits"), "an index", "scan", (SHARDS,)
)
GROUP_ROWS = 8192
"""Rows per Parquet row group, which a reader or a merge holds in memory."""


def new_name() -> str:
    """Unique name of a part or a scan; later ones sort later."""
    return f"{time.time_ns():020d}-{uuid.uuid4().hex[:8]}"


@dataclass(frozen=True)
class Part:
    """One Parquet file of an index."""

    name: str
    rows: int
    first: bytes
    """Key of the first row."""
    last: bytes
    """Key of the last row."""
    columns: tuple[str, ...]
    """Columns with a value, except those of the core schema."""
    checksum: str
    """Checksum of the file; see `common.files.checksum`."""

    def to_json(self) -> dict[str, Any]:
        """Convert to JSON values; bytes that are not UTF-8 become lone surrogates."""
        first, last = (k.decode("utf-8", "surrogateescape") for k in (self.first, self.last))
        return {**asdict(self), "first": first, "last": last}

    @classmethod
    def from_json(cls, values: dict[str, Any]) -> Part:
        """Convert from the values of `to_json`."""
        ends = {k: values[k].encode("utf-8", "surrogateescape") for k in ("first", "last")}
        return cls(**{**values, **ends, "columns": tuple(values["columns"])})


@dataclass(frozen=True)
class Options:
    """Scan options that invalidate earlier rows when they change."""

    root: str
    private: bool = False
    sequences: bool = False


@dataclass(frozen=True)
class Generation:
    """A finished scan: its parts in order, their schema, and statistics of the scan."""

    number: int
    options: Options
    schema: pa.Schema
    parts: tuple[Part, ...]
    scan: dict[str, Any]
    scan_id: str = field(default_factory=new_name)
    """Stays the same when columns are added."""


@dataclass(frozen=True)
class State:
    """Last generation of an index folder, and the parts of an interrupted scan."""

    generation: Generation | None = None
    loose: tuple[tuple[Part, Options], ...] = field(default=())


def part_path(folder: Path, name: str) -> Path:
    """Path of a part."""
    return folder / "parts" / f"{name}.parquet"


def row_keys(rows: pa.Table | pa.RecordBatch) -> pa.Array:
    """Key of each source or row, in the sort order of the table: path, NUL, member, as bytes."""
    import pyarrow.compute as pc

    def names(name: str) -> pa.Array | pa.ChunkedArray:
        column = rows[name]
        if column.type == pa.string():
            column = pc.coalesce(rows[f"{name}_bytes"], column.cast(pa.binary()))
        return column

    keys = pc.binary_join_element_wise(names("path"), names("member"), scalar(b"\0", pa.binary()))
    return whole_array(keys)


def used_columns(rows: pa.Table) -> list[str]:
    """Columns with a value or of an option of the scan, except those of the core schema.

    Other columns of a table depend on the files that were read in the same task.
    """
    return [
        name
        for name, column in zip(rows.column_names, rows.itercolumns(), strict=True)
        if name not in CORE_NAMES
        and (
            column.null_count < rows.num_rows
            or b"tag" not in (rows.schema.field(name).metadata or {})
        )
    ]


def used_schema(schema: pa.Schema, used: Iterable[str]) -> pa.Schema:
    """Core schema and the used fields."""
    names = {*CORE_NAMES, *used}
    return pa.schema([field for field in schema if field.name in names])


def write_part(folder: Path, rows: pa.Table, options: Options) -> Part:
    """Write rows of an unfinished scan, then their commit.

    Raises:
        StorageError: the disk is full or the folder cannot be written.
    """
    keys = row_keys(rows)
    ends = keys[0].as_py(), keys[-1].as_py()
    path = part_path(folder, name := new_name())
    with storage_errors(folder):
        with part_writer(path, rows.schema) as writer:
            writer.write_table(rows, row_group_size=GROUP_ROWS)
        part = Part(name, rows.num_rows, *ends, tuple(used_columns(rows)), checksum(path))
        commit = {"part": part.to_json(), "options": asdict(options)}
        STAMP.write(folder / "commits" / f"{part.name}.json", commit)
    return part


@contextlib.contextmanager
def part_writer(path: Path, schema: pa.Schema) -> Iterator[Any]:
    """Open a Parquet writer; the file is renamed into place when it is complete."""
    import pyarrow.parquet as pq

    versions = {"wetread-schema": str(STAMP.schema), "wetread": __version__}
    with (
        whole_file(path) as file,
        pq.ParquetWriter(file, schema, compression="zstd", compression_level=1) as writer,
    ):
        writer.add_key_value_metadata(versions)
        yield writer


def commit_generation(folder: Path, generation: Generation, keep: Iterable[str] = ()) -> None:
    """Write the generation of a finished scan, then remove parts and commits that it does not name.

    The copy of an index in a bucket is sent there.

    Args:
        folder: the index folder, locked.
        generation: the finished scan.
        keep: names of other parts to keep with their commits.
    """
    schema = base64.b64encode(generation.schema.serialize().to_pybytes()).decode()
    name = f"generation-{generation.number:06d}"
    content = {
        "number": generation.number,
        "options": asdict(generation.options),
        "parts": [part.to_json() for part in generation.parts],
        "scan": generation.scan,
        "scan_id": generation.scan_id,
        "finished": datetime.now(UTC).isoformat(timespec="seconds"),
        "arrow_schema": schema,
    }
    with storage_errors(folder):
        STAMP.write(folder / "commits" / f"{name}.json", content)
    loose = set(keep)
    parts = {*(part.name for part in generation.parts), *loose}
    STORE.sweep(folder, {"commits": {name, *loose}, "parts": parts})
    push(folder, name)


def find_damage(folder: Path, part: Part) -> str | None:
    """Damage of the file of a part, None if it is intact."""
    try:
        same = checksum(part_path(folder, part.name)) == part.checksum
    except OSError as error:
        return error.strerror or str(error)
    return None if same else "its checksum differs"


def check_parts(folder: Path, parts: Sequence[Part], remedy: str) -> None:
    """Compare the files of parts with their checksums, in parallel.

    Raises:
        IndexFormatError: one is damaged or missing; names it and the `remedy`.
    """
    with ThreadPoolExecutor(min(8, len(parts) or 1)) as pool:
        for part, problem in zip(parts, pool.map(partial(find_damage, folder), parts), strict=True):
            if problem:
                path = part_path(folder, part.name)
                raise IndexFormatError(f"{path} is damaged: {problem}; {remedy}")


def check_folder(folder: Path) -> None:
    """Check that a folder is an index of this schema version.

    Raises:
        NotFoundError: there is no such folder.
        IndexFormatError: not an index, or one of another schema version.
    """
    if not folder.exists():
        raise NotFoundError(f"{folder}: no such index; wetread scan FOLDER -o {folder} makes one")
    if not folder.is_dir():
        raise IndexFormatError(f"{folder} is a file, not an index, which is a folder")
    if not (folder / INDEX_MARKER).is_file():
        raise IndexFormatError(
            f"{folder} is not an index: it has no {INDEX_MARKER}; {STAMP.remedy}"
        )
    STAMP.read(folder / INDEX_MARKER)
    for name in ("parts", "commits"):
        if (folder / name).exists() and not (folder / name).is_dir():
            raise IndexFormatError(f"{folder / name} is damaged: no folder; {STAMP.remedy}")


@contextlib.contextmanager
def locked(folder: Path) -> Iterator[None]:
    """Lock an index folder for writing; it is created if it does not exist.

    Raises:
        IndexFormatError: the folder has other files, or is an index of another version.
        StorageError: it cannot be written, or another process holds the lock.
    """
    if (folder / INDEX_MARKER).exists():
        check_folder(folder)
    with STORE.locked(folder, {}):
        yield


def read_state(folder: Path) -> State:
    """Read the last generation and the commits of a scan interrupted after it, oldest first.

    Raises:
        IndexFormatError: a commit is damaged or of another schema version.
    """
    generation = read_generation(folder)
    names = sorted(p.stem for p in (folder / "commits").iterdir() if p.suffix == ".json")
    known = {part.name for part in generation.parts} if generation else set()
    loose = []
    for name in names:
        if name.startswith(("generation-", TEMPORARY)) or name in known:
            continue
        with _readable(path := folder / "commits" / f"{name}.json"):
            commit = STAMP.read(path)
            part, options = Part.from_json(commit["part"]), Options(**commit["options"])
        if find_damage(folder, part) is None:  # else its files are read again
            loose.append((part, options))
    return State(generation, tuple(loose))


def read_generation(folder: Path) -> Generation | None:
    """Read the last finished scan; needs no lock.

    Raises:
        IndexFormatError: it is damaged or of another schema version.
    """
    paths = _generations(folder)
    while paths:
        try:
            return _generation(paths[-1])
        except FileNotFoundError:  # removed by a scan that has finished meanwhile
            before, paths = paths, _generations(folder)
            if paths == before:
                raise
    return None


def _generations(folder: Path) -> list[Path]:
    names = (folder / "commits").glob("generation-*.json")
    return sorted(path for path in names if path.stem[11:].isdecimal())


def _generation(path: Path) -> Generation:
    with _readable(path):
        commit = STAMP.read(path)
        schema = pa.ipc.read_schema(pa.py_buffer(base64.b64decode(commit["arrow_schema"])))
        parts = tuple(Part.from_json(part) for part in commit["parts"])
        options = Options(**commit["options"])
        scan_id = commit.get("scan_id", "")  # missing in indexes of earlier versions
        return Generation(commit["number"], options, schema, parts, commit["scan"], scan_id)


@contextlib.contextmanager
def _readable(path: Path) -> Iterator[None]:
    """Raise IndexFormatError for a commit with missing or wrong values."""
    try:
        yield
    except (KeyError, TypeError, ValueError, AttributeError, pa.ArrowException) as error:
        raise IndexFormatError(f"{path} is damaged: {error!r}; {STAMP.remedy}") from error

"""The index folder: immutable parts, each with a commit written last, and a generation over all.

    train.index/
        wetread-index.json              what this folder is, and which schema version wrote it
        parts/<name>.parquet            rows in order of (path, member) bytes
        commits/<name>.json             a part of a scan under way: these rows are safe
        commits/generation-000001.json  a finished scan: its parts in order

A file is written under a temporary name, synced and renamed, so it is whole or not there. What no
generation or commit names is rubbish of a killed scan, and the next one sweeps it away.
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
from wetread.common.arrays import scalar
from wetread.common.files import TEMPORARY, checksum, storage_errors, take_lock, whole_file
from wetread.common.stamp import Stamp
from wetread.errors import IndexFormatError, NotFoundError, StorageError
from wetread.headers.schema import CORE
from wetread.sources.find import INDEX_MARKER
from wetread.table.mirror import push

STAMP = Stamp("wetread-index", 2, IndexFormatError, "scan into a new folder")
SHARDS = "shards"
"""The folder in an index that is made of shards, where these are."""
GROUP_ROWS = 8192
"""Rows in a Parquet row group: what a reader or a merge holds at once."""


def new_name() -> str:
    """Unique name of a part or a scan; later ones sort later."""
    return f"{time.time_ns():020d}-{uuid.uuid4().hex[:8]}"


@dataclass(frozen=True)
class Part:
    """One Parquet file of an index."""

    name: str
    rows: int
    first: bytes
    """The key of its first row."""
    last: bytes
    """The key of its last row."""
    columns: tuple[str, ...]
    """The columns that have a value, but for the core."""
    checksum: str
    """Of the file; see `files.checksum`."""

    def to_json(self) -> dict[str, Any]:
        """The part as JSON can hold it; bytes that are not UTF-8 as lone surrogates."""
        first, last = (k.decode("utf-8", "surrogateescape") for k in (self.first, self.last))
        return {**asdict(self), "first": first, "last": last}

    @classmethod
    def from_json(cls, said: dict[str, Any]) -> Part:
        """The inverse of `to_json`."""
        first, last = (said[k].encode("utf-8", "surrogateescape") for k in ("first", "last"))
        return cls(
            said["name"], said["rows"], first, last, tuple(said["columns"]), said["checksum"]
        )


@dataclass(frozen=True)
class Options:
    """What decides whether a row that is kept answers a new scan."""

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
    """What an index folder holds: the last generation, and the parts of a scan that was stopped."""

    generation: Generation | None = None
    loose: tuple[tuple[Part, Options], ...] = field(default=())


def part_path(folder: Path, name: str) -> Path:
    """Where a part is."""
    return folder / "parts" / f"{name}.parquet"


def row_keys(rows: pa.Table | pa.RecordBatch) -> pa.Array:
    """The key of every source or row: path, NUL, member, as bytes that sort as the table does."""
    import pyarrow.compute as pc

    def names(name: str) -> pa.Array | pa.ChunkedArray:
        column = rows[name]
        if column.type == pa.string():
            column = pc.coalesce(rows[f"{name}_bytes"], column.cast(pa.binary()))
        return column

    keys = pc.binary_join_element_wise(names("path"), names("member"), scalar(b"\0", pa.binary()))
    return keys.combine_chunks() if isinstance(keys, pa.ChunkedArray) else keys


def used_columns(rows: pa.Table) -> list[str]:
    """The columns with a value or that were asked for, but for the core, which is always there.

    What a table has beyond them depends on which files were once read with which.
    """
    return [
        field.name
        for field, column in zip(rows.schema, rows.itercolumns(), strict=True)
        if CORE.get_field_index(field.name) < 0
        and (column.null_count < rows.num_rows or b"tag" not in (field.metadata or {}))
    ]


def used_schema(schema: pa.Schema, used: Iterable[str]) -> pa.Schema:
    """The core, and the fields that are used."""
    names = {*CORE.names, *used}
    return pa.schema([field for field in schema if field.name in names])


def write_part(folder: Path, rows: pa.Table, options: Options) -> Part:
    """Writes rows of a scan under way and then their commit.

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
    """A Parquet writer of a file that appears when it is whole."""
    import pyarrow.parquet as pq

    versions = {"wetread-schema": str(STAMP.schema), "wetread": __version__}
    with (
        whole_file(path) as file,
        pq.ParquetWriter(file, schema, compression="zstd", compression_level=1) as writer,
    ):
        writer.add_key_value_metadata(versions)
        yield writer


def commit_generation(folder: Path, generation: Generation, keep: Iterable[str] = ()) -> None:
    """Makes a scan count, then removes every part and commit it does not name, but for `keep`.

    A copy of an index in a bucket is sent there.
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
    _sweep(folder, {name, *loose}, {*(part.name for part in generation.parts), *loose})
    push(folder, name)


def _sweep(folder: Path, commits: set[str], parts: set[str]) -> None:
    """Removes every other commit, then every other part, as far as the system lets it."""
    for below, named in (("commits", commits), ("parts", parts)):
        for entry in (folder / below).iterdir():
            if entry.stem not in named:
                with contextlib.suppress(OSError):  # Windows keeps what a reader holds open
                    entry.unlink()


def find_damage(folder: Path, part: Part) -> str | None:
    """Problem of a part's file, None if it is as it was written."""
    try:
        same = checksum(part_path(folder, part.name)) == part.checksum
    except OSError as error:
        return error.strerror or str(error)
    return None if same else "its checksum differs"


def check_parts(folder: Path, parts: Sequence[Part], remedy: str) -> None:
    """Compare the files of parts with their checksums, several at once.

    Raises:
        IndexFormatError: one is damaged or missing; says which, and the `remedy`.
    """
    with ThreadPoolExecutor(min(8, len(parts) or 1)) as pool:
        for part, problem in zip(parts, pool.map(partial(find_damage, folder), parts), strict=True):
            if problem:
                path = part_path(folder, part.name)
                raise IndexFormatError(f"{path} is damaged: {problem}; {remedy}")


def check_folder(folder: Path) -> None:
    """Says what is wrong with a folder that should be an index.

    Raises:
        NotFoundError: there is no such folder.
        IndexFormatError: it is no index, or one of another schema version.
    """
    if not folder.exists():
        raise NotFoundError(f"{folder}: no such index")
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
    """The folder as an index that this process alone writes; made where there is none.

    Raises:
        IndexFormatError: the folder holds something else, or another version's index.
        StorageError: it cannot be written, or another scan is writing it.
    """
    with storage_errors(folder):
        folder.mkdir(parents=True, exist_ok=True)
        if not (folder / INDEX_MARKER).exists():
            names = [entry.name for entry in folder.iterdir() if entry.name != SHARDS]
            if not all(name.startswith(TEMPORARY) for name in names):
                raise IndexFormatError(
                    f"{folder} has files in it and is no index: choose a new folder"
                )
            STAMP.write(folder / INDEX_MARKER, {})
        check_folder(folder)
        for name in ("parts", "commits"):
            (folder / name).mkdir(exist_ok=True)
        file = open(folder / INDEX_MARKER, "r+b")  # noqa: SIM115  (held until the scan ends)
    with file:
        if not take_lock(file):
            raise StorageError(f"{folder}: another scan is writing this index")
        yield


def read_state(folder: Path) -> State:
    """The last generation and the commits of a scan that was stopped after it, oldest first.

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
            said = STAMP.read(path)
            part, options = Part.from_json(said["part"]), Options(**said["options"])
        if find_damage(folder, part) is None:  # else its files are read again
            loose.append((part, options))
    return State(generation, tuple(loose))


def read_generation(folder: Path) -> Generation | None:
    """The last finished scan; needs no lock.

    Raises:
        IndexFormatError: it is damaged or of another schema version.
    """
    paths = _generations(folder)
    while paths:
        try:
            return _generation(paths[-1])
        except FileNotFoundError:  # a scan that has finished since has removed it
            before, paths = paths, _generations(folder)
            if paths == before:
                raise
    return None


def _generations(folder: Path) -> list[Path]:
    names = (folder / "commits").glob("generation-*.json")
    return sorted(path for path in names if path.stem[11:].isdecimal())


def _generation(path: Path) -> Generation:
    with _readable(path):
        said = STAMP.read(path)
        schema = pa.ipc.read_schema(pa.py_buffer(base64.b64decode(said["arrow_schema"])))
        parts = tuple(Part.from_json(part) for part in said["parts"])
        options = Options(**said["options"])
        scan_id = said.get("scan_id", "")  # "" from version 0.1.0
        return Generation(said["number"], options, schema, parts, said["scan"], scan_id)


@contextlib.contextmanager
def _readable(path: Path) -> Iterator[None]:
    """IndexFormatError for a commit that does not say what it should."""
    try:
        yield
    except (KeyError, TypeError, ValueError, AttributeError, pa.ArrowException) as error:
        raise IndexFormatError(f"{path} is damaged: {error!r}; {STAMP.remedy}") from error

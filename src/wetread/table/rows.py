"""Rows of an index, in memory or on disk."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field, fields, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, Self, TypeVar

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from wetread.errors import IndexFormatError, NotFoundError, UsageError
from wetread.sources.buckets import is_url, open_bucket
from wetread.table.database import ALL_ROWS, open_database
from wetread.table.merge import conform
from wetread.table.mirror import address_of, local_folder, pull
from wetread.table.parts import (
    Generation,
    Part,
    check_folder,
    check_parts,
    part_path,
    read_generation,
)

if TYPE_CHECKING:
    import duckdb
    import pyarrow.dataset as ds

_BATCH_ROWS = 8192
_DISTINCT = frozenset(["id", "path", "member", "SOPInstanceUID"])
"""Text columns with a different value in almost every row."""
_SAMPLED_OBJECTS = 16
"""Objects of a bucket that `check_files` looks for."""


@dataclass(frozen=True, eq=False, repr=False)
class IndexRows:
    """Rows of an index: a table in memory, or Parquet parts on disk that are read on demand.

    `wetread.Index` extends it. A copy with other rows (`dataclasses.replace`, `where`) has the
    class of the original.
    """

    root: str
    """The absolute folder or the URL that the column `path` is relative to."""
    schema: pa.Schema
    """Names, types and, for DICOM columns, tag, VR, VM and unit."""
    rows: pa.Table | None = None
    """The table of an index in memory; None for one on disk."""
    folder: Path | None = None
    """The folder of an index on disk."""
    parts: tuple[Part, ...] = ()
    """The Parquet files of an index on disk."""
    chosen: str | None = None
    """The SELECT statement of `where` over the rows on disk; checked before it is stored."""
    scan: dict[str, Any] = field(default_factory=dict)
    """Statistics of the last scan: files, read, seconds."""
    scan_id: str = ""
    """Id of the last scan of an index on disk; added columns do not change it."""

    @classmethod
    def open(
        cls, path: str | os.PathLike[str], root: str | bytes | os.PathLike[str] | None = None
    ) -> Self:
        """Open the index in a folder; its rows are read on demand.

        Args:
            path: the index folder, or its URL in a bucket.
            root: the present folder or URL of the files, if they were moved since the scan.

        Raises:
            NotFoundError: there is no such folder.
            StorageError: the bucket of the index cannot be read.
            IndexFormatError: not an index, damaged, of another version, or without a finished scan.
        """
        folder = local_folder(path)
        pull(folder)
        try:
            index = cls._checked(folder)
        except IndexFormatError as error:
            if url := address_of(folder):
                text = f"{error}. It is a copy of {url}: delete {folder} to fetch it again"
                raise IndexFormatError(text) from error
            raise
        if root is None:
            return index
        root = os.fsdecode(root)
        return replace(index, root=root if is_url(root) else os.path.abspath(root))

    @classmethod
    def _checked(cls, folder: Path) -> Self:
        """Read a folder and verify the checksums of its parts."""
        index = cls.read(folder)
        try:
            check_parts(folder, index.parts, "the same scan again reads its files")
        except IndexFormatError:
            if cls.read(folder).parts == index.parts:
                raise
            return cls._checked(folder)  # another scan has finished meanwhile and removed its parts
        return index

    @classmethod
    def read(cls, folder: Path) -> Self:
        """Read the last generation of a local folder; checksums are not verified."""
        check_folder(folder)
        generation = read_generation(folder)
        if generation is None:
            raise IndexFormatError(
                f"{folder}: its first scan did not finish; the same scan again resumes it"
            )
        return cls(
            generation.options.root,
            generation.schema,
            folder=folder,
            parts=generation.parts,
            scan=generation.scan,
            scan_id=generation.scan_id,
        )

    @classmethod
    def of(cls, index: IndexLike) -> Self:
        """Return an index of this class; a path is opened, another class converted."""
        if isinstance(index, cls):
            return index
        if isinstance(index, IndexRows):
            return cls(**{field.name: getattr(index, field.name) for field in fields(index)})
        if isinstance(index, str | os.PathLike):
            return cls.open(index)
        raise UsageError(
            f"expected an index or its folder, not {type(index).__name__}; open one with "
            "wetread.open(folder), or make one with wetread.scan(files)"
        )

    def reopen(self) -> Self:
        """Read the folder again, with the same `root` and selection of rows."""
        assert self.folder is not None
        return replace(type(self).read(self.folder), root=self.root, chosen=self.chosen)

    def __arrow_c_stream__(self, requested_schema: object = None) -> object:
        """Rows for polars, pyarrow, DuckDB and others (Arrow PyCapsule interface)."""
        rows = pa.RecordBatchReader.from_batches(self.schema, batches(self))
        return rows.__arrow_c_stream__(requested_schema)

    def __len__(self) -> int:
        if self.rows is not None:
            return int(self.rows.num_rows)
        if self.chosen is None:
            return sum(part.rows for part in self.parts)
        return int(_select(self, "SELECT count(*) AS n FROM index")["n"][0].as_py())


AnyIndex = TypeVar("AnyIndex", bound=IndexRows)
IndexLike = IndexRows | str | os.PathLike[str]
"""An index, or the folder of one."""


@contextlib.contextmanager
def database(index: IndexRows, seconds: float | None = None) -> Iterator[duckdb.DuckDBPyConnection]:
    """Open a database with the rows; see `open_database`."""
    view = index.chosen or ALL_ROWS
    with open_database(_source(index), view, index.schema.names, seconds) as connection:
        yield connection


def _select(index: IndexRows, sql: str) -> pa.Table:
    with database(index) as connection:
        return connection.sql(sql).to_arrow_table()


def check_files(index: IndexRows) -> None:
    """Check that files of an index are where its `root` says: one is enough.

    For an index of a bucket, 16 objects are looked for.

    Raises:
        NotFoundError: none is there; names the parameter `root`.
    """
    paths = _select(index, "SELECT DISTINCT path, path_bytes FROM index ORDER BY ALL")
    rows = paths.to_pylist()
    if is_url(index.root):
        rows = rows[:: -(-len(rows) // _SAMPLED_OBJECTS) or 1]
    if rows and not any(_exists(index.root, row["path_bytes"] or row["path"]) for row in rows):
        raise NotFoundError(
            f"none of the {len(paths):,} files of the index is in {index.root}, such as "
            f"{rows[0]['path']}: if they were moved, open the index with root=FOLDER"
        )


def _exists(root: str, path: str | bytes) -> bool:
    if not is_url(root):
        return os.path.exists(os.path.join(os.fsencode(root), os.fsencode(path)))
    try:
        open_bucket(root).stat(os.fsdecode(path))
    except FileNotFoundError:
        return False
    except OSError:  # an unreachable bucket does not mean that the file is gone
        return True
    return True


def all_rows(index: IndexRows) -> pa.Table:
    """Every row, in order, in memory."""
    if index.rows is not None:
        return index.rows
    if index.chosen is None:  # not as a dataset, whose module imports pandas
        empty = pa.Table.from_batches([], index.schema)
        with ThreadPoolExecutor() as pool:
            parts = [conform(rows, index.schema) for rows in pool.map(_read_part, _paths(index))]
        return pa.concat_tables([empty, *parts])
    return _select(index, "SELECT * FROM index").cast(index.schema)


def some_rows(index: IndexRows, start: int, stop: int) -> pa.Table:
    """Rows from `start` up to `stop`, in memory."""
    if index.rows is not None:
        return index.rows.slice(start, stop - start)
    if index.chosen is not None:
        page = f"SELECT * FROM index LIMIT {stop - start} OFFSET {start}"
        return _select(index, page).cast(index.schema)
    pieces = [pa.Table.from_batches([], index.schema)]
    at = 0
    for path, part in zip(_paths(index), index.parts, strict=True):
        if at < stop and start < at + part.rows:
            pieces += _read_groups(path, start - at, stop - at)
        at += part.rows
    return pa.concat_tables([conform(piece, index.schema) for piece in pieces])


def _read_part(path: str) -> pa.Table:
    import pyarrow.parquet as pq

    with pq.ParquetFile(path) as file:
        return file.read()


def _read_groups(path: str, start: int, stop: int) -> Iterator[pa.Table]:
    """Rows of one part; only the row groups that hold them are read."""
    import pyarrow.parquet as pq

    with pq.ParquetFile(path) as file:
        at = 0
        for group in range(file.num_row_groups):
            count = file.metadata.row_group(group).num_rows
            if at < stop and start < at + count:
                rows = file.read_row_group(group)
                yield rows.slice(max(0, start - at), stop - max(at, start))
            at += count


def batches(index: IndexRows) -> Iterator[pa.RecordBatch]:
    """Every row, in order, in batches of some thousands."""
    import pyarrow.parquet as pq

    if index.rows is not None:
        yield from index.rows.to_batches(_BATCH_ROWS)
    elif index.chosen is not None:
        with database(index) as connection:
            selected = connection.sql("SELECT * FROM index")
            new = hasattr(selected, "to_arrow_reader")  # from DuckDB 1.4
            read = selected.to_arrow_reader if new else selected.fetch_arrow_reader
            yield from read(_BATCH_ROWS)
    else:
        for path in _paths(index):
            with pq.ParquetFile(path, pre_buffer=False) as file:
                for batch in file.iter_batches(_BATCH_ROWS):
                    rows = conform(pa.Table.from_batches([batch]), index.schema)
                    yield from rows.to_batches()


def encoded_columns(index: IndexRows, names: Sequence[str]) -> pa.Table:
    """Some columns of all rows, in order; texts may be dictionary-encoded, which is faster.

    A name without a column gives nulls.
    """
    known = [index.schema.field(n) for n in names if n in index.schema.names]
    columns = [field.name for field in known]
    if index.rows is not None:
        rows = index.rows.select(columns)
    elif index.chosen is not None:
        listed = ", ".join('"' + name.replace('"', '""') + '"' for name in columns)
        rows = _select(index, f"SELECT {listed} FROM index")
    else:
        import pyarrow.dataset as ds

        repeated = {f.name for f in known if f.type == pa.string()} - _DISTINCT
        texts = pa.dictionary(pa.int32(), pa.string())
        schema = pa.schema([f.with_type(texts) if f.name in repeated else f for f in known])
        form = ds.ParquetFileFormat(dictionary_columns=repeated)
        paths = _paths(index)
        rows = ds.dataset(paths, schema, form).to_table() if paths else schema.empty_table()
    for name in names:
        if name not in columns:
            rows = rows.append_column(name, pa.nulls(len(rows)))
    return rows


def fetch(
    index: IndexRows, numbers: Sequence[int] | NDArray[np.int64], columns: list[str]
) -> pa.Table:
    """Columns of the rows with some numbers, in the order given; `chosen` is ignored.

    Of an index on disk only the row groups and columns that are needed are read.
    """
    if index.rows is not None:
        return index.rows.select(columns).take(pa.array(numbers, pa.int64()))
    wanted = np.asarray(numbers, np.int64)
    order = np.argsort(wanted, kind="stable")
    pieces, at = [index.schema.empty_table().select(columns)], 0
    for path, part in zip(_paths(index), index.parts, strict=True):
        low, high = np.searchsorted(wanted[order], [at, at + part.rows])
        if low < high:
            pieces += _read_rows(path, wanted[order[low:high]] - at, columns)
        at += part.rows
    schema = pieces[0].schema
    rows = pa.concat_tables([conform(piece, schema) for piece in pieces])
    return rows.take(pa.array(np.argsort(order)))


def _read_rows(path: str, numbers: NDArray[np.int64], columns: list[str]) -> Iterator[pa.Table]:
    """Rows of one part with ascending numbers."""
    import pyarrow.parquet as pq

    with pq.ParquetFile(path) as file:
        have = [name for name in columns if name in file.schema_arrow.names]
        at = 0
        for group in range(file.num_row_groups):
            count = file.metadata.row_group(group).num_rows
            low, high = np.searchsorted(numbers, [at, at + count])
            if low < high:
                yield file.read_row_group(group, have).take(pa.array(numbers[low:high] - at))
            at += count


def fetch_rows(index: IndexRows, numbers: NDArray[np.int64], names: Sequence[str]) -> pa.Table:
    """Columns of the rows with some numbers, in the order given; nulls for unknown names."""
    known = [name for name in names if name in index.schema.names]
    if index.chosen is not None:
        rows = encoded_columns(index, known).take(pa.array(numbers, pa.int64()))
    else:
        rows = fetch(index, numbers, known)
    for name in names:
        if name not in known:
            rows = rows.append_column(name, pa.nulls(len(rows)))
    return rows.select(list(names))


def take_rows(index: AnyIndex, numbers: range | NDArray[np.int64]) -> AnyIndex:
    """Rows with some numbers as an index in memory."""
    if isinstance(numbers, range) and numbers.step == 1:
        rows = some_rows(index, numbers.start, max(numbers.start, numbers.stop))
    elif index.chosen is None:
        rows = fetch(index, numbers, index.schema.names)
    else:
        rows = all_rows(index).take(pa.array(numbers))
    return type(index)(index.root, index.schema, rows=rows)


def row_numbers(key: Any, count: int) -> NDArray[np.int64]:
    """Row numbers of a boolean mask, or of a sequence of row numbers.

    >>> row_numbers([False, True], 2), row_numbers([-1, 0], 2)
    (array([1]), array([1, 0]))
    """
    values = None
    if hasattr(key, "__iter__") and not isinstance(key, tuple | bytes):
        if str(getattr(key, "dtype", "")) == "boolean":  # pandas; a missing value selects no row
            key = key.fillna(False)
        values = np.asarray(key if hasattr(key, "__array__") else list(key))
    if values is not None and values.ndim == 1:
        if values.dtype == bool:
            if len(values) != count:
                raise UsageError(f"the mask has {len(values)} values, the index {count} rows")
            return np.flatnonzero(values).astype(np.int64)
        if not len(values) or values.dtype.kind in "iu":
            numbers = values.astype(np.int64)
            if len(numbers) and not -count <= numbers.min() <= numbers.max() < count:
                raise IndexError(f"row numbers must be from {-count} to {count - 1}, not {numbers}")
            return np.where(numbers < 0, numbers + count, numbers)
    raise UsageError(
        f"an index takes a row number, a slice, a column name, a list of these or a boolean mask, "
        f"not {key!r}; for a condition use where(\"Modality = 'CT'\")"
    )


def _paths(index: IndexRows) -> list[str]:
    """Paths of the parts of an index on disk, also after columns were added to it.

    Raises:
        NotFoundError: a later scan has replaced the rows.
    """
    assert index.folder is not None
    paths = [part_path(index.folder, part.name) for part in index.parts]
    if not all(path.exists() for path in paths):
        now = read_generation(index.folder) if index.folder.is_dir() else None
        if now is None or not _same_rows(index, now):
            raise NotFoundError(
                f"{index.folder} has been scanned again since it was opened: open it again"
            )
        paths = [part_path(index.folder, part.name) for part in now.parts]
    return [str(path) for path in paths]


def _same_rows(index: IndexRows, now: Generation) -> bool:
    """True if a generation has the rows of an index, part by part: `join_index` adds columns."""
    sizes = [[part.rows for part in parts] for parts in (index.parts, now.parts)]
    return bool(index.scan_id) and index.scan_id == now.scan_id and sizes[0] == sizes[1]


def _source(index: IndexRows) -> pa.Table | ds.Dataset:
    import pyarrow.dataset as ds

    if index.rows is not None:
        return index.rows
    paths = _paths(index)
    return ds.dataset(paths, index.schema) if paths else pa.Table.from_batches([], index.schema)

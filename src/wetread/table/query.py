"""Rows of an index, in memory or on disk, and the questions that can be asked of them.

SQL may come from a stranger: it is one SELECT, runs on a database of its own that sees nothing but
the tables `index`, `problems` and `problem_codes`, with files, network and settings locked.
"""

from __future__ import annotations

import contextlib
import json
import os
import re
import threading
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from wetread.common.arrays import array
from wetread.errors import PROBLEMS, IndexFormatError, NotFoundError, QueryError, UnknownNameError
from wetread.sources.buckets import is_url, open_bucket
from wetread.table.merge import conform
from wetread.table.mirror import address_of, local_folder, pull
from wetread.table.parts import Part, check_folder, check_parts, part_path, read_generation
from wetread.table.problems import make_view

if TYPE_CHECKING:
    import duckdb
    import pyarrow.dataset as ds

_BATCH_ROWS = 8192
_EVERYTHING = "SELECT * FROM all_rows"
_CONFIG: dict[str, str | bool | int | float | list[str]] = {
    "enable_external_access": False,
    "python_enable_replacements": False,
    "autoload_known_extensions": False,
    "autoinstall_known_extensions": False,
    "temp_directory": "",  # values of patients are not spilled to a disk
    "lock_configuration": True,
}
_UNKNOWN_COLUMN = re.compile(r'column "(.+?)" not found|not have a column named "(.+?)"')
_UNKNOWN_TABLE = re.compile(r"Table with name (\S+) does not exist")


@dataclass(frozen=True)
class Content:
    """The rows of an index: a table in memory, or parts on disk that are read when asked for."""

    root: str
    """The absolute folder that paths are relative to."""
    schema: pa.Schema
    rows: pa.Table | None = None
    folder: Path | None = None
    parts: tuple[Part, ...] = ()
    chosen: str | None = None
    """What `where` asks of the rows on disk: a SELECT that was checked."""
    scan: dict[str, Any] = field(default_factory=dict)
    """What the last scan did: files, read, seconds."""

    def __len__(self) -> int:
        if self.rows is not None:
            return int(self.rows.num_rows)
        if self.chosen is None:
            return sum(part.rows for part in self.parts)
        return int(query(self, "SELECT count(*) AS n FROM index")["n"][0].as_py())


class Indexed(Protocol):
    """Whatever has the rows of an index, as `wetread.Index`."""

    @property
    def content(self) -> Content:
        """The rows."""


def open_content(
    path: str | os.PathLike[str], root: str | os.PathLike[str] | None = None
) -> Content:
    """The rows of an index folder, none of them read yet; `root` is where their files are now.

    Raises:
        NotFoundError: there is no such folder.
        StorageError: the bucket that it is in cannot be read.
        IndexFormatError: it is no index, one of another version, or no scan of it has finished.
    """
    folder = local_folder(path)
    pull(folder)
    try:
        content = _checked(folder)
    except IndexFormatError as error:
        if url := address_of(folder):
            said = f"{error}. It is a copy of {url}: delete {folder} to fetch it again"
            raise IndexFormatError(said) from error
        raise
    if root is None:
        return content
    return replace(content, root=os.fspath(root) if is_url(root) else os.path.abspath(root))


def _checked(folder: Path) -> Content:
    """The rows of a folder whose parts are as they were written."""
    content = read_content(folder)
    try:
        check_parts(folder, content.parts, "the same scan again reads its files anew")
    except IndexFormatError:
        if read_content(folder).parts == content.parts:
            raise
        return _checked(folder)  # another scan has finished meanwhile and removed its parts
    return content


def check_files(content: Content) -> None:
    """Check that files of an index are where its `root` says: one is enough.

    Of an index in a bucket 16 objects are looked for.

    Raises:
        NotFoundError: none is there; names the option `--root`.
    """
    paths = query(content, "SELECT DISTINCT path, path_bytes FROM index ORDER BY ALL")
    rows = paths.to_pylist()
    if is_url(content.root):
        rows = rows[:: -(-len(rows) // 16) or 1]
    if rows and not any(_exists(content.root, row["path_bytes"] or row["path"]) for row in rows):
        raise NotFoundError(
            f"none of the {len(paths):,} files of the index is in {content.root}, such as "
            f"{rows[0]['path']}: if they were moved, say where they are now, --root FOLDER or "
            "Index.open(..., root=FOLDER)"
        )


def _exists(root: str, path: str | bytes) -> bool:
    if not is_url(root):
        return os.path.exists(os.path.join(os.fsencode(root), os.fsencode(path)))
    try:
        open_bucket(root).stat(os.fsdecode(path))
    except FileNotFoundError:
        return False
    except OSError:  # no answer does not mean that it is gone
        return True
    return True


def read_content(folder: Path) -> Content:
    """The rows of a folder on this machine, or of a copy as it is; parts are not checked."""
    check_folder(folder)
    generation = read_generation(folder)
    if generation is None:
        raise IndexFormatError(
            f"{folder}: its first scan did not finish; the same scan again goes on from there"
        )
    root, parts = generation.options.root, generation.parts
    return Content(root, generation.schema, folder=folder, parts=parts, scan=generation.scan)


def all_rows(content: Content) -> pa.Table:
    """Every row, in order, in memory."""
    if content.rows is not None:
        return content.rows
    if content.chosen is None:
        source = _source(content)
        rows = source if isinstance(source, pa.Table) else source.to_table()
        return conform(rows, content.schema)  # a dataset loses the fields' metadata
    return query(content, "SELECT * FROM index").cast(content.schema)


def some_rows(content: Content, start: int, stop: int) -> pa.Table:
    """The rows from `start` up to `stop`, in memory."""
    if content.rows is not None:
        return content.rows.slice(start, max(0, stop - start))
    if content.chosen is not None:
        page = f"SELECT * FROM index LIMIT {max(0, stop - start)} OFFSET {start}"
        return query(content, page).cast(content.schema)
    pieces = [content.schema.empty_table()]
    at = 0
    for path, part in zip(_paths(content), content.parts, strict=True):
        if at < stop and start < at + part.rows:
            pieces += _groups(path, start - at, stop - at)
        at += part.rows
    return pa.concat_tables([conform(piece, content.schema) for piece in pieces])


def _groups(path: str, start: int, stop: int) -> Iterator[pa.Table]:
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


def batches(content: Content) -> Iterator[pa.RecordBatch]:
    """Every row, in order, some thousands at a time."""
    import pyarrow.parquet as pq

    if content.rows is not None:
        yield from content.rows.to_batches(_BATCH_ROWS)
    elif content.chosen is not None:
        with _database(content) as database:
            found = database.sql("SELECT * FROM index")
            name = "to_arrow_reader" if hasattr(found, "to_arrow_reader") else "fetch_arrow_reader"
            yield from getattr(found, name)(_BATCH_ROWS)  # the second before DuckDB 1.4
    else:
        for path in _paths(content):
            with pq.ParquetFile(path, pre_buffer=False) as file:
                for batch in file.iter_batches(_BATCH_ROWS):
                    rows = conform(pa.Table.from_batches([batch]), content.schema)
                    yield from rows.to_batches()


def fetch(content: Content, places: Sequence[int], columns: list[str]) -> pa.Table:
    """Columns of the rows at some places, in the order given; `chosen` is not heeded.

    Of an index on disk only the row groups and columns that are asked for are read.
    """
    if content.rows is not None:
        return content.rows.select(columns).take(pa.array(places, pa.int64()))
    wanted = np.asarray(places, np.int64)
    order = np.argsort(wanted, kind="stable")
    pieces, at = [content.schema.empty_table().select(columns)], 0
    for path, part in zip(_paths(content), content.parts, strict=True):
        low, high = np.searchsorted(wanted[order], [at, at + part.rows])
        if low < high:
            pieces += _picked(path, wanted[order[low:high]] - at, columns)
        at += part.rows
    schema = pieces[0].schema
    found = pa.concat_tables([conform(piece, schema) for piece in pieces])
    return found.take(pa.array(np.argsort(order)))


def _picked(path: str, places: NDArray[np.int64], columns: list[str]) -> Iterator[pa.Table]:
    """Rows of one part at ascending places."""
    import pyarrow.parquet as pq

    with pq.ParquetFile(path) as file:
        have = [name for name in columns if name in file.schema_arrow.names]
        at = 0
        for group in range(file.num_row_groups):
            count = file.metadata.row_group(group).num_rows
            low, high = np.searchsorted(places, [at, at + count])
            if low < high:
                yield file.read_row_group(group, have).take(pa.array(places[low:high] - at))
            at += count


def query(
    content: Content, sql: str, values: Sequence[Any] = (), seconds: float | None = None
) -> pa.Table:
    """What one SELECT statement gives; its tables are `index`, `problems` and `problem_codes`.

    `values` stand for its question marks; after so many `seconds` it is stopped.

    Raises:
        QueryError: it is not one SELECT statement, names what does not exist, or took too long.
    """
    with _database(content, seconds) as database:
        _check_select(database, sql)
        return database.sql(sql, params=list(values)).to_arrow_table()


def name_column(name: str) -> str:
    """A column in SQL."""
    return '"' + name.replace('"', '""') + '"'


class Ask(Protocol):
    """One SELECT statement answered; `tables` are others that it may name."""

    def __call__(self, sql: str, **tables: pa.Table) -> pa.Table:
        """The rows."""


@contextlib.contextmanager
def questions(content: Content) -> Iterator[Ask]:
    """Many queries of one database, which is quicker than one for each; see `query`."""
    with _database(content) as database:

        def ask(sql: str, **tables: pa.Table) -> pa.Table:
            for name, table in tables.items():
                database.register(name, table)
            _check_select(database, sql)
            return database.sql(sql).to_arrow_table()

        yield ask


def where(content: Content, expression: str, seconds: float | None = None) -> Content:
    """The rows that fulfil an SQL expression over the columns, in order.

    After so many `seconds` it is stopped.

    Raises:
        QueryError: it is not one expression, names an unknown column, or took too long.
    """
    with _database(content, seconds) as database:
        _check_expression(database, expression)
        condition = f"({expression}\n)"  # the line break ends a comment
        if content.rows is None:
            database.sql(f"SELECT 1 FROM index WHERE {condition} LIMIT 0").to_arrow_table()
            before = content.chosen or _EVERYTHING
            chosen = f'WITH "index" AS ({before}) SELECT * FROM "index" WHERE {condition}'
            return replace(content, chosen=chosen, scan={})
        numbered = content.rows.append_column("row number", pa.array(np.arange(len(content.rows))))
        database.register("numbered", numbered)
        found = database.sql(f'SELECT "row number" FROM numbered WHERE {condition} ORDER BY ALL')
        return replace(content, rows=content.rows.take(found.to_arrow_table()[0]), scan={})


def problems(content: Content, code: str | None = None) -> pa.Table:
    """One row per problem, across files too: path, member, id, code, severity, tag, offset, text.

    Raises:
        UnknownNameError: there is no such code.
    """
    if code is not None and code not in PROBLEMS:
        raise UnknownNameError("problem code", code, PROBLEMS)
    chosen = "" if code is None else f"WHERE code = '{code}'"
    order = 'ORDER BY path, member, "offset" NULLS LAST, code'
    return query(content, f"SELECT * FROM problems {chosen} {order}")


def _paths(content: Content) -> list[str]:
    """The files of an index on disk."""
    assert content.folder is not None
    paths = [part_path(content.folder, part.name) for part in content.parts]
    if not all(path.exists() for path in paths):
        raise NotFoundError(
            f"{content.folder} has been scanned again since it was opened: open it again"
        )
    return [str(path) for path in paths]


def _source(content: Content) -> pa.Table | ds.Dataset:
    import pyarrow.dataset as ds

    if content.rows is not None:
        return content.rows
    paths = _paths(content)
    return ds.dataset(paths, content.schema) if paths else pa.Table.from_batches([], content.schema)


@contextlib.contextmanager
def _database(
    content: Content, seconds: float | None = None
) -> Iterator[duckdb.DuckDBPyConnection]:
    """A database of its own for one question, which says plainly what is wrong with it."""
    import duckdb

    names = ("code", "severity", "meaning")
    codes = {n: array([getattr(c, n) for c in PROBLEMS.values()], pa.string()) for n in names}
    with duckdb.connect(":memory:", config=_CONFIG) as database:
        database.register("all_rows", _source(content))
        database.register("problem_codes", pa.table(codes))
        database.execute(f'CREATE VIEW "index" AS {content.chosen or _EVERYTHING}')
        database.execute(make_view(content.schema.names))
        try:
            with _stopped_after(seconds, database.interrupt):
                yield database
        except duckdb.InterruptException as error:
            raise QueryError(f"stopped after {seconds} s, the longest it may take") from error
        except (duckdb.DataError, duckdb.InvalidInputException) as error:
            kind = str(error).partition(":")[0]  # what follows may quote a patient's value
            hint = "TRY_CAST and TRY give null where a value does not fit"
            raise QueryError(f"{kind} in some row; {hint}") from None
        except duckdb.Error as error:  # all that DuckDB says is in the message
            raise QueryError(_explained(str(error), content.schema.names)) from None


@contextlib.contextmanager
def _stopped_after(seconds: float | None, stop: Callable[[], None]) -> Iterator[None]:
    """Calls `stop` from another thread, unless the block is left before."""
    if seconds is None:
        yield
        return
    timer = threading.Timer(seconds, stop)
    timer.daemon = True
    timer.start()
    try:
        yield
    finally:
        timer.cancel()
        timer.join()  # so that it never stops what has been closed


def _explained(message: str, columns: list[str]) -> str:
    if found := _UNKNOWN_COLUMN.search(message):
        return str(UnknownNameError("column", found[1] or found[2], columns))
    if found := _UNKNOWN_TABLE.search(message):
        return f"unknown table {found[1]!r}; the tables are index, problems and problem_codes"
    return message.strip()


def _check_select(database: duckdb.DuckDBPyConnection, sql: str) -> None:
    statements = database.extract_statements(sql)
    if len(statements) != 1:
        raise QueryError(f"one SELECT statement, please; this is {len(statements)}")
    kind = str(statements[0].type).rpartition(".")[2]
    if kind != "SELECT":
        raise QueryError(f"only SELECT statements can be asked of an index, not {kind}")
    _parsed(database, sql)


def _check_expression(database: duckdb.DuckDBPyConnection, expression: str) -> None:
    """Refuses what is more than an expression, as `1) UNION ALL SELECT (2`.

    In brackets it must parse as the only thing that a SELECT has.
    """
    parsed = json.loads(_parsed(database, f"SELECT ({expression}\n)"))
    nodes = [statement["node"] for statement in parsed["statements"]]
    if len(nodes) == 1:
        node = nodes[0]
        plain = node["type"] == "SELECT_NODE" and len(node["select_list"]) == 1
        bare = not any(node.get(k) for k in _CLAUSES) and not node["cte_map"]["map"]
        if plain and bare and node["from_table"]["type"] == "EMPTY":
            return
    raise QueryError(f"not one SQL expression: {expression}")


_CLAUSES = ("modifiers", "where_clause", "group_expressions", "having", "sample", "qualify")


def _parsed(database: duckdb.DuckDBPyConnection, sql: str) -> str:
    """The syntax tree as JSON."""
    found = database.execute("SELECT json_serialize_sql(?::VARCHAR)", [sql]).fetchall()
    tree = str(found[0][0])
    if tree.startswith('{"error":true'):
        raise QueryError(f"not SQL: {json.loads(tree)['error_message']}")
    if _WRITES.search(tree):
        raise QueryError("only SELECT statements can be asked of an index")
    return tree


# DuckDB 2 has INSERT, UPDATE and DELETE inside WITH. No text in a query can look like this, as the
# tree has its quotes escaped.
_WRITES = re.compile(r'"type":"[A-Z]+_QUERY_NODE"')

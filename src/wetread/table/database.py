"""A locked DuckDB database over the rows of one index.

SQL may come from a stranger: the database sees nothing but the tables `index`, `problems`,
`problem_codes` and those given with a query; files, network and settings are locked.
"""

from __future__ import annotations

import contextlib
import re
import threading
from collections.abc import Callable, Iterator, Sequence
from typing import TYPE_CHECKING

import pyarrow as pa

from wetread.common.arrays import array
from wetread.errors import PROBLEMS, QueryError, UnknownNameError
from wetread.settings import MIB
from wetread.table.problems import COLUMNS, make_view

if TYPE_CHECKING:
    import duckdb
    import pyarrow.dataset as ds

ALL_ROWS = "SELECT * FROM all_rows"
"""The view `index` where no rows were selected."""
TABLES = (
    "index",
    "problems",
    "problem_codes",
    "series",
    "series_problems",
    "slices",
    "frames",
)
"""Tables of a query; the last four are added by `series.query`."""
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


def _has_records(kind: pa.DataType) -> bool:
    """True for the problems of an index; other tables have a column of codes."""
    return bool(pa.types.is_list(kind) and pa.types.is_struct(kind.value_type))


@contextlib.contextmanager
def open_database(
    source: pa.Table | ds.Dataset,
    view: str,
    columns: list[str],
    seconds: float | None = None,
    memory: int | None = None,
    known: Sequence[str] = (),
) -> Iterator[duckdb.DuckDBPyConnection]:
    """Open a database in memory; errors of queries in the block become a `QueryError`.

    Args:
        source: all rows.
        view: the SELECT statement of the view `index`, over the table `all_rows`.
        columns: names of the columns of `source`.
        seconds: time limit of the block; None for no limit.
        memory: limit in bytes of DuckDB's buffers; None for its own, 80 % of the memory.
        known: further names of columns, suggested for an unknown one.
    """
    import duckdb

    names = ("code", "severity", "meaning")
    codes = {n: array([getattr(c, n) for c in PROBLEMS.values()], pa.string()) for n in names}
    limit = {} if memory is None else {"memory_limit": f"{max(1, memory // MIB)}MiB"}
    with duckdb.connect(":memory:", config=_CONFIG | limit) as database:
        database.register("all_rows", source)
        database.register("problem_codes", pa.table(codes))
        database.execute(f'CREATE VIEW "index" AS {view}')
        is_index = set(COLUMNS) <= set(columns)
        if is_index and _has_records(source.schema.field("problems").type):
            database.execute(make_view(columns))
        try:
            with _time_limit(seconds, database.interrupt):
                yield database
        except duckdb.InterruptException as error:
            raise QueryError(f"stopped after {seconds:g} s, the time limit of a query") from error
        except duckdb.OutOfMemoryException:
            size = "all memory" if memory is None else f"{memory // MIB:,} MiB, the memory limit"
            raise QueryError(f"stopped at {size} of a query") from None
        except (duckdb.DataError, duckdb.InvalidInputException) as error:
            kind = str(error).partition(":")[0]  # what follows may quote a patient's value
            hint = "TRY_CAST and TRY give null where a value does not fit"
            raise QueryError(f"{kind} in some row; {hint}") from None
        except duckdb.PermissionException:
            raise QueryError(
                "a query reads no files and no network, only the tables of the index; labels are "
                "the table boxes with boxes=FILE; join another file in pandas, as "
                "index.to_pandas().merge(pandas.read_csv(FILE), on=COLUMN, how='left')"
            ) from None
        except duckdb.Error as error:  # all that DuckDB says is in the message
            raise QueryError(_explain(str(error), list(known) or columns)) from None


@contextlib.contextmanager
def _time_limit(seconds: float | None, stop: Callable[[], None]) -> Iterator[None]:
    """Call `stop` from another thread, unless the block ends before."""
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
        timer.join()  # so that it never stops a database that has been closed


def _explain(message: str, columns: list[str]) -> str:
    """Error message of DuckDB, with the known columns or tables."""
    if match := _UNKNOWN_COLUMN.search(message):
        name = match[1] or match[2]
        error = UnknownNameError("column", name, columns)
        return f"{error}; text takes single quotes: '{name}'"
    if match := _UNKNOWN_TABLE.search(message):
        tables = f"{', '.join(TABLES)}, and boxes with boxes=FILE"
        return f"unknown table {match[1]!r}; the tables are {tables}"
    return message.strip()

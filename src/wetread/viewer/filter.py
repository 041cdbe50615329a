"""Filter of rows by an SQL expression, in worker processes that end at a limit of time or memory.

DuckDB checks for an interrupt between blocks of rows only, and a single value can take gigabytes
and minutes: `list_sum(range(300000000))`. Only the end of a process stops it.
"""

from __future__ import annotations

import json
from typing import Any, NamedTuple

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from wetread.errors import QueryError
from wetread.images.batch import bounded_memory
from wetread.settings import MIB, Settings
from wetread.table.database import ALL_ROWS, open_database
from wetread.table.query import name_column
from wetread.viewer.orders import distinct
from wetread.workers.pool import Pool, WorkerEndedError

FUNCTION = "wetread.viewer.filter:run_filter"
NUMBER, BOX = "row number", "box number"
"""Columns that identify a row of the index and a box."""
Numbers = NDArray[np.uint32]
_GRACE = 1.0
"""Seconds after the time limit at which a process is ended; DuckDB stops most queries before."""
_ROWS = f'SELECT "{NUMBER}" FROM "index" WHERE '
_BOXES = (
    f'SELECT DISTINCT "{NUMBER}", boxes."{BOX}" FROM "index" '
    f'LEFT JOIN (SELECT {{}} FROM boxes) AS boxes USING ("{NUMBER}") WHERE '
)
"""A column of the index hides that of the boxes with its name."""


class Matches(NamedTuple):
    """Rows that match a filter, ascending, and the boxes that do; None if it names no box."""

    rows: Numbers
    boxes: Numbers | None


class RowFilter:
    """Worker processes that evaluate filters."""

    def __init__(self, columns: list[str], settings: Settings) -> None:
        self._seconds, self._bytes = settings.filter_seconds, settings.filter_bytes
        options = {"columns": columns, "seconds": self._seconds, "bytes": self._bytes}
        self._pool = Pool(FUNCTION, options, 1, self._seconds + _GRACE)

    def warm(self) -> None:
        """Start the processes."""
        self._pool.start()

    def close(self) -> None:
        """End the processes."""
        self._pool.close()

    def match(self, expression: str, rows: pa.Table, boxes: pa.Table, joined: bool) -> Matches:
        """Find the rows that fulfil an expression.

        Args:
            expression: one SQL expression, checked by `table.query.parse_expression`.
            rows: the columns of the index that it names, and `NUMBER`.
            boxes: the table `boxes`, with `NUMBER` and `BOX`.
            joined: the expression names columns of boxes: a row matches if one of its boxes does.

        Raises:
            QueryError: not valid, or over the limit of time or memory.
        """
        request = json.dumps({"expression": expression, "joined": joined})
        tables = {"rows": [_to_bytes(rows)], "boxes": [_to_bytes(boxes)]}
        arrays = {name: pa.array(data, pa.large_binary()) for name, data in tables.items()}
        try:
            (answer,) = (
                self._pool.submit(pa.table({"request": [request], **arrays}), 0)
                .result()
                .to_pylist()
            )
        except WorkerEndedError as error:
            raise QueryError(self._explain(error.status)) from None
        if answer["error"]:
            raise QueryError(answer["error"])
        numbers = pa.ipc.open_stream(answer["numbers"]).read_all()
        found = distinct(numbers[NUMBER].to_numpy())
        if not joined:
            return Matches(found, None)
        return Matches(found, np.sort(numbers[BOX].drop_null().to_numpy()))

    def _explain(self, status: str) -> str:
        if status == "timeout":
            return f"stopped after {self._seconds:g} s, the time limit of a query"
        return f"stopped at {self._bytes // MIB:,} MiB, the memory limit of a query"


def run_filter(task: pa.Table, options: dict[str, Any]) -> pa.Table:
    """Worker side of `RowFilter.match`: the numbers found, or the error of an invalid filter."""
    (row,) = task.to_pylist()
    request = json.loads(row["request"])
    rows, boxes = (pa.ipc.open_stream(row[name]).read_all() for name in ("rows", "boxes"))
    numbers, error = b"", ""
    own = [n for n in boxes.column_names if n == NUMBER or n not in rows.column_names]
    select = _BOXES.format(", ".join(map(name_column, own))) if request["joined"] else _ROWS
    sql = select + f"({request['expression']}\n)"
    memory = options["bytes"]
    try:
        with (
            bounded_memory(memory),
            open_database(
                rows, ALL_ROWS, rows.column_names, options["seconds"], memory, options["columns"]
            ) as database,
        ):
            database.register("boxes", boxes)
            numbers = _to_bytes(database.sql(sql).to_arrow_table())
    except QueryError as problem:
        error = str(problem)
    except MemoryError:
        error = f"stopped at {memory // MIB:,} MiB, the memory limit of a query"
    binary = pa.array([numbers], pa.large_binary())
    return pa.table({"error": [error], "numbers": binary})


def _to_bytes(table: pa.Table) -> bytes:
    """Table as an Arrow IPC stream."""
    sink = pa.BufferOutputStream()
    with pa.ipc.new_stream(sink, table.schema) as stream:
        stream.write_table(table)
    data: bytes = sink.getvalue().to_pybytes()
    return data

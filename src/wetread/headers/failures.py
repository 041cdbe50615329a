"""Rows of sources that could not be read to the end."""

from __future__ import annotations

import os
import traceback

import pyarrow as pa

from wetread.common.arrays import array
from wetread.headers.identity import identify
from wetread.headers.schema import CORE

_CODES = {"crashed": "CRASHED", "timeout": "TIMEOUT"}
_MOST_TEXT = 200


def failed_row(sources: pa.Table | pa.RecordBatch, status: str, text: str) -> pa.Table:
    """Rows of sources that ended their worker, took too long, or raised an exception.

    `status` is "crashed" or "timeout". Nothing is read of the sources, and no other code that
    makes rows is used, as that may be what failed.
    """
    count = sources.num_rows
    problem = {"code": _CODES[status], "tag": None, "offset": None, "text": text}
    known = {
        **identify(sources),
        **{name: sources.column(name) for name in ("file_size", "mtime_ns", "etag")},
        "read_status": array([status] * count, pa.string()),
        "problems": array([[problem]] * count, CORE.field("problems").type),
        "invalid": array([[]] * count, CORE.field("invalid").type),
    }
    columns = [known.get(field.name, pa.nulls(count, field.type)) for field in CORE]
    return pa.Table.from_arrays(columns, schema=CORE)


def describe_exception(error: Exception) -> str:
    """Type, location and message of an unexpected exception."""
    frames = traceback.extract_tb(error.__traceback__)
    place = f" in {os.path.basename(frames[-1].filename)}, line {frames[-1].lineno}"
    return f"{type(error).__name__}{place if frames else ''}: {error}"[:_MOST_TEXT]

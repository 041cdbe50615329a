"""Rows that stay valid: their file is unchanged and their status is final."""

from __future__ import annotations

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
from numpy.typing import NDArray

from wetread.common.arrays import array, filled

TRY_AGAIN = array(["no_access", "timeout", "crashed"], pa.string())
"""Statuses that another attempt may change."""


def still_valid(
    before: pa.Table | pa.RecordBatch, now: pa.Table | pa.RecordBatch, status: str
) -> NDArray[np.bool_]:
    """Boolean mask of the rows that need no second reading, shape (rows,).

    Args:
        before: earlier rows, aligned with `now`; all null where there was none.
        now: the files of the same rows, with sizes and times, and ETags for objects of a bucket.
        status: name of the status column of `before`.
    """
    valid = ~filled(pc.is_in(before[status], TRY_AGAIN), False)
    for name in ("file_size", "mtime_ns"):
        valid &= filled(before[name], -1) == filled(now[name], -1)
    both = all("etag" in rows.schema.names for rows in (before, now))
    if both and now["etag"].null_count < len(now):
        etags = (pc.fill_null(rows["etag"].cast(pa.string()), "") for rows in (before, now))
        valid &= filled(pc.equal(*etags), False)
    return valid

"""Elements without a value; in columns they are null, like absent ones."""

from __future__ import annotations

import numpy as np
import pyarrow as pa

from wetread.common.arrays import array
from wetread.headers.core.constants import DATE
from wetread.headers.gather import trim
from wetread.headers.registry import Registry
from wetread.headers.walks import Bytes, Elements


def list_empties(arena: Bytes, elements: Elements, rows: int, registry: Registry) -> pa.ListArray:
    """For every row, the columns whose element has no value, or only padding."""
    codes = registry.codes_of(elements)
    length = elements.length.copy()
    is_column = codes < len(registry.columns)
    texts = np.flatnonzero(is_column & (registry.family[codes] <= DATE) & (elements.start >= 0))
    length[texts] = trim(arena, elements.start[texts], length[texts])
    found = np.flatnonzero((length == 0) & is_column)
    names = array([column.name for column in registry.columns], pa.string())
    bounds = np.searchsorted(elements.row[found], np.arange(rows + 1)).astype(np.int32)
    return pa.ListArray.from_arrays(
        array(bounds, pa.int32()), names.take(array(codes[found], pa.uint16()))
    )

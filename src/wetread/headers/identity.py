"""Identity of a row: the columns id, path, path_bytes, member and member_bytes."""

from __future__ import annotations

import numpy as np
import pyarrow as pa

from wetread.common.arrays import array, whole_array
from wetread.headers.core.hashes import write_ids
from wetread.headers.values import bytes_of


def identify(sources: pa.RecordBatch | pa.Table) -> dict[str, pa.Array]:
    """The identity of sources: `id` is 16 hex digits of BLAKE2b(path, NUL, member).

    A name that is not UTF-8 is shown with escapes; its bytes are in `path_bytes` or
    `member_bytes`, null otherwise.
    """
    paths, members = (whole_array(sources.column(name)) for name in ("path", "member"))
    digits = np.empty((len(paths), 16), np.uint8)
    write_ids(*bytes_of(paths), *bytes_of(members), digits)
    bounds = np.arange(0, digits.size + 1, 16, dtype=np.int32)
    ids = [None, pa.py_buffer(bounds), pa.py_buffer(digits)]
    columns = {"id": pa.Array.from_buffers(pa.string(), len(paths), ids)}
    for name, column in (("path", paths), ("member", members)):
        columns[name], columns[f"{name}_bytes"] = _shown(column)
    return columns


def _shown(names: pa.Array) -> tuple[pa.Array, pa.Array]:
    """Names as text, and the bytes of those that are not UTF-8."""
    try:
        return names.cast(pa.string()), pa.nulls(len(names), pa.binary())
    except pa.ArrowInvalid:
        raw = names.to_pylist()
    texts = [name.decode("utf-8", "backslashreplace") for name in raw]
    return array(texts, pa.string()), array(list(map(_unless_text, raw)), pa.binary())


def _unless_text(name: bytes) -> bytes | None:
    try:
        name.decode("utf-8")
    except UnicodeDecodeError:
        return name
    return None

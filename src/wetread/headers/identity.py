"""Identity of a row: the columns id, path, path_bytes, member and member_bytes."""

from __future__ import annotations

import numpy as np
import pyarrow as pa

from wetread.common.arrays import array, whole_array
from wetread.headers.core.hashes import Blake2b, write_ids
from wetread.headers.values import bytes_of

# RFC 7693, 2.6 and 2.7
_START = (
    0x6A09E667F3BCC908, 0xBB67AE8584CAA73B, 0x3C6EF372FE94F82B, 0xA54FF53A5F1D36F1,
    0x510E527FADE682D1, 0x9B05688C2B3E6C1F, 0x1F83D9ABFB41BD6B, 0x5BE0CD19137E2179,
)  # fmt: skip
_ORDER = (
    (0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15),
    (14, 10, 4, 8, 9, 15, 13, 6, 1, 12, 0, 2, 11, 7, 5, 3),
    (11, 8, 12, 0, 5, 2, 15, 13, 10, 14, 3, 6, 7, 1, 9, 4),
    (7, 9, 3, 1, 13, 12, 11, 14, 2, 6, 5, 10, 4, 0, 15, 8),
    (9, 0, 5, 7, 2, 4, 10, 15, 14, 1, 11, 12, 6, 8, 3, 13),
    (2, 12, 6, 10, 0, 11, 8, 3, 4, 13, 7, 5, 15, 14, 1, 9),
    (12, 5, 1, 15, 14, 13, 4, 10, 0, 7, 6, 3, 9, 2, 8, 11),
    (13, 11, 7, 14, 12, 1, 3, 9, 5, 0, 15, 4, 8, 6, 2, 10),
    (6, 15, 14, 9, 11, 3, 0, 8, 12, 2, 13, 7, 1, 4, 10, 5),
    (10, 2, 8, 4, 7, 6, 1, 5, 15, 11, 9, 14, 3, 12, 13, 0),
)


def identify(sources: pa.RecordBatch | pa.Table) -> dict[str, pa.Array]:
    """The identity of sources: `id` is 16 hex digits of BLAKE2b(path, NUL, member).

    A name that is not UTF-8 is shown with escapes; its bytes are in `path_bytes` or
    `member_bytes`, null otherwise.
    """
    paths, members = (whole_array(sources.column(name)) for name in ("path", "member"))
    digits = np.empty((len(paths), 16), np.uint8)
    write_ids(_hash(), *bytes_of(paths), *bytes_of(members), digits)
    bounds = np.arange(0, digits.size + 1, 16, dtype=np.int32)
    ids = [None, pa.py_buffer(bounds), pa.py_buffer(digits)]
    columns = {"id": pa.Array.from_buffers(pa.string(), len(paths), ids)}
    for name, column in (("path", paths), ("member", members)):
        columns[name], columns[f"{name}_bytes"] = _shown(column)
    return columns


def _hash() -> Blake2b:
    order = np.array([*_ORDER, *_ORDER[:2]], np.uint8)
    return Blake2b(np.array(_START, np.uint64), order, np.zeros(128, np.uint8))


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

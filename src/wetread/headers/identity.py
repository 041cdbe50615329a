"""Identity of a row: the columns id, path, path_bytes, member and member_bytes."""

from __future__ import annotations

from hashlib import blake2b

import pyarrow as pa

from wetread.common.arrays import array


def identify(sources: pa.RecordBatch | pa.Table) -> dict[str, pa.Array]:
    """The identity of sources: `id` is 16 hex digits of BLAKE2b(path, NUL, member).

    A name that is not UTF-8 is shown with escapes; its bytes are in `path_bytes` or
    `member_bytes`, null otherwise.
    """
    paths, members = (_whole(sources.column(name)) for name in ("path", "member"))
    keys = zip(paths.to_pylist(), members.to_pylist(), strict=True)
    ids = [blake2b(path + b"\0" + member, digest_size=8).hexdigest() for path, member in keys]
    columns = {"id": array(ids, pa.string())}
    for name, column in (("path", paths), ("member", members)):
        columns[name], columns[f"{name}_bytes"] = _shown(column)
    return columns


def _whole(column: pa.Array | pa.ChunkedArray) -> pa.Array:
    return column.combine_chunks() if isinstance(column, pa.ChunkedArray) else column


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

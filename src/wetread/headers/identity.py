"""Who a row is: the columns id, path, path_bytes and member."""

from __future__ import annotations

from hashlib import blake2b

import pyarrow as pa

from wetread.arrays import array


def identify(sources: pa.RecordBatch | pa.Table) -> dict[str, pa.Array]:
    """The identity of sources: `id` is 16 hex digits of BLAKE2b(path, NUL, member).

    A name that is not UTF-8 is shown with escapes; its bytes are in `path_bytes`, null otherwise.
    """
    paths, members = (_whole(sources.column(name)) for name in ("path", "member"))
    keys = zip(paths.to_pylist(), members.to_pylist(), strict=True)
    ids = [blake2b(path + b"\0" + member, digest_size=8).hexdigest() for path, member in keys]
    shown = _as_text(paths)
    escaped = [None] * len(paths) if shown is not None else map(_unless_text, paths.to_pylist())
    return {
        "id": array(ids, pa.string()),
        "path": shown if shown is not None else _escape(paths),
        "path_bytes": array(list(escaped), pa.binary()),
        "member": _escape(members) if (inner := _as_text(members)) is None else inner,
    }


def _whole(column: pa.Array | pa.ChunkedArray) -> pa.Array:
    return column.combine_chunks() if isinstance(column, pa.ChunkedArray) else column


def _as_text(names: pa.Array) -> pa.Array | None:
    """All names as text, None where one is not UTF-8."""
    try:
        return names.cast(pa.string())
    except pa.ArrowInvalid:
        return None


def _escape(names: pa.Array) -> pa.Array:
    texts = [name.decode("utf-8", "backslashreplace") for name in names.to_pylist()]
    return array(texts, pa.string())


def _unless_text(name: bytes) -> bytes | None:
    try:
        name.decode("utf-8")
    except UnicodeDecodeError:
        return name
    return None

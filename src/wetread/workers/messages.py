"""Messages in the pipes between a caller and its workers: kind (one byte), length, content.

Tables are sent as Arrow IPC streams, everything else as JSON; nothing is pickled.
"""

from __future__ import annotations

import builtins
import functools
import importlib
import json
import struct
import traceback
from collections.abc import Callable
from typing import Any, BinaryIO

import pyarrow as pa

Function = Callable[[pa.Table, dict[str, Any]], pa.Table]

CALL, READY, TABLE, ERROR = b"C", b"R", b"T", b"E"
ROW, HEARTBEAT = b"N", b"B"
"""Progress messages before the result: the next row begins; the time limit is extended."""
_HEAD = struct.Struct("<cQ")


def write_message(pipe: BinaryIO, kind: bytes, content: pa.Table | dict[str, Any]) -> None:
    """Send a table (TABLE), or a dict as JSON (any other kind)."""
    if isinstance(content, dict):
        data = memoryview(json.dumps(content).encode())
    else:
        sink = pa.BufferOutputStream()
        with pa.ipc.new_stream(sink, content.schema) as stream:
            stream.write_table(content)
        data = memoryview(sink.getvalue())
    pipe.write(_HEAD.pack(kind, data.nbytes))
    pipe.write(data)
    pipe.flush()


def read_message(pipe: BinaryIO) -> tuple[bytes, Any]:
    """Read a message of `write_message`; EOFError if the other end has closed the pipe."""
    kind, size = _HEAD.unpack(_read(pipe, _HEAD.size))
    data = _read(pipe, size)
    return kind, pa.ipc.open_stream(data).read_all() if kind == TABLE else json.loads(data)


def _read(pipe: BinaryIO, size: int) -> bytes:
    data = pipe.read(size)
    if len(data) < size:
        raise EOFError("the pipe was closed")
    return data


@functools.cache
def resolve(name: str) -> Function:
    """Function by name, "wetread.module:function"; only functions of wetread.

    >>> resolve("os:system")
    Traceback (most recent call last):
        ...
    ValueError: not a function of wetread: 'os:system'
    """
    module, _, function = name.partition(":")
    if module.split(".")[0] != "wetread" or not function.isidentifier():
        raise ValueError(f"not a function of wetread: {name!r}")
    resolved: Function = getattr(importlib.import_module(module), function)
    return resolved


def describe(error: BaseException) -> dict[str, Any]:
    """An exception as JSON."""
    plain = all(isinstance(arg, str | int | float | None) for arg in error.args)
    return {
        "module": type(error).__module__,
        "type": type(error).__qualname__,
        "args": list(error.args) if plain else [str(error)],
        "plain": plain,
        "traceback": "".join(traceback.format_exception(error)),
    }


def rebuild(description: dict[str, Any]) -> Exception:
    """Inverse of `describe`; RuntimeError for types that are neither built in nor wetread's."""
    module, name, args = (description[key] for key in ("module", "type", "args"))
    error: Exception = RuntimeError(f"{name}: {', '.join(map(str, args))}")
    if description["plain"] and (module == "builtins" or module.startswith("wetread.")):
        namespace = builtins if module == "builtins" else importlib.import_module(module)
        kind = getattr(namespace, name, None)
        if isinstance(kind, type) and issubclass(kind, Exception):
            try:
                error = kind(*args)
            except TypeError:  # a constructor with other parameters
                error = kind.__new__(kind)
                error.args = tuple(args)
    error.add_note(f"In a worker process:\n{description['traceback']}")
    return error

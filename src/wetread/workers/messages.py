"""What goes through the pipe between a caller and its workers: one letter, a length, the bytes.

Tables travel as Arrow IPC streams, all else as JSON; nothing is pickled.
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
ROW, BEAT = b"N", b"B"
"""Beside the answer: the next row begins; so many seconds are wanted."""
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
    """Receive what `write_message` sent; EOFError where the other end is gone."""
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
    """The function that "wetread.module:function" names; none outside wetread.

    >>> resolve("os:system")
    Traceback (most recent call last):
        ...
    ValueError: not a function of wetread: 'os:system'
    """
    module, _, function = name.partition(":")
    if module.split(".")[0] != "wetread" or not function.isidentifier():
        raise ValueError(f"not a function of wetread: {name!r}")
    found: Function = getattr(importlib.import_module(module), function)
    return found


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


def rebuild(what: dict[str, Any]) -> Exception:
    """The exception that `describe` described, if its type is Python's or ours."""
    error: Exception = RuntimeError(f"{what['type']}: {', '.join(map(str, what['args']))}")
    module = what["module"]
    if what["plain"] and (module == "builtins" or module.startswith("wetread.")):
        space = builtins if module == "builtins" else importlib.import_module(module)
        kind = getattr(space, what["type"], None)
        if isinstance(kind, type) and issubclass(kind, Exception):
            try:
                error = kind(*what["args"])
            except TypeError:  # its own signature: made without it
                error = kind.__new__(kind)
                error.args = tuple(what["args"])
    error.add_note(f"In a worker process:\n{what['traceback']}")
    return error
